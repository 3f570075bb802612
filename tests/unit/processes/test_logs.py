import logging
import re
from collections.abc import Iterator

import pytest

from cooper_gateway.processes import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_has_time_level_role_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("worker 1/2")
    logging.getLogger("cooper_gateway.anything").warning("the port %d", 9000)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ warning worker 1/2 the port 9000\n", capsys.readouterr().err)


def test_nothing_in_a_message_makes_a_second_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = logs.set_up("committer")
    try:
        raise ValueError("a\r\nb\x1b[31m")
    except ValueError:
        log.exception("bad\nnews\u2028\x85")
    output = capsys.readouterr().err
    assert len(output.splitlines()) == 1
    assert "bad | news\\x2028\\x85 | Traceback" in output
    assert "a\\x0d | b\\x1b[31m" in output


def test_set_up_twice_does_not_say_everything_twice(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("one")
    log = logs.set_up("two")
    log.info("hello")
    assert capsys.readouterr().err.count("hello") == 1
