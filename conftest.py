"""Options of all the tests, and what becomes of one that passes at the second try only (docs/decisions/0021)."""

from typing import Final

import pytest
from _pytest.terminal import TerminalReporter
from hypothesis import settings

#: With `--reruns`, so many tests of a run may need a second try. With more of them something is wrong.
_SECOND_TRIES: Final = 3

# A busy machine makes any example slow now and then: no example is a timed test.
settings.register_profile("cooper", deadline=None)
settings.load_profile("cooper")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--soak`."""
    parser.addoption("--soak", action="store_true", help="the long runs of the same tests, and those that are long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `--soak`, leave those out that are marked so: nothing of them is short."""
    if not config.getoption("--soak"):
        left_out = [each for each in items if each.get_closest_marker("soak")]
        items[:] = [each for each in items if each not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run in which many tests needed a second try has failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, TerminalReporter) and len(_retried(reporter)) > _SECOND_TRIES:
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Tell of first tries that failed, whole: each is a race to be understood, of the test or of the program."""
    for name, reports in _retried(terminalreporter).items():
        terminalreporter.section(f"second try of {name}: the first one failed", sep="-", yellow=True)
        for report in reports:
            report.toterminal(terminalreporter._tw)
            for title, text in report.sections:
                terminalreporter.write_sep("-", title)
                terminalreporter.write_line(text)
    if (tried := len(_retried(terminalreporter))) > _SECOND_TRIES:
        terminalreporter.write_line(
            f"{tried} tests needed a second try; {_SECOND_TRIES} may: the run has failed", red=True
        )


def _retried(reporter: TerminalReporter) -> dict[str, list[pytest.TestReport]]:
    """The reports of first tries that failed, by test."""
    found: dict[str, list[pytest.TestReport]] = {}
    for report in reporter.stats.get("rerun", []):
        found.setdefault(report.nodeid, []).append(report)
    return found
