"""Options of all the tests."""

import pytest
from hypothesis import settings

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
