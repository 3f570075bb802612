"""Whatever bytes a stranger sends, their reader gives a value or an S3 error, in a moment: never another exception.

What was found once, and what leads deep into a reader, is kept in `corpus/` and is read first. Other bytes are made
from it, thousands for each reader, the same in each run; with `--soak` (`make fuzz`) many more, from a new seed.
"""

import random
import time

import pytest

from cooper_gateway.protocol.errors import S3Error
from support.hostile_bytes import CORPUS, READERS, Fuzzer, corpus, shrunk

#: Seconds of the processor for one reading: some hundred times of what it takes.
MOMENT = 0.5
FILES = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.glob("*/*"))


def read(name: str, data: bytes) -> str:
    """The error that it is refused with, or an empty text."""
    began, refusal = time.process_time(), ""
    try:
        READERS[name](data)
    except S3Error as error:
        assert error.code != "InternalError"
        error.message.encode()  # it is told to the client
        refusal = f"{error.code} {error.message}"
    assert time.process_time() - began < MOMENT
    return refusal


def fails(name: str, data: bytes) -> bool:
    try:
        read(name, data)
    except Exception:
        return True
    return False


@pytest.mark.parametrize("file", FILES)
def test_what_is_kept(file: str) -> None:
    read(file.partition("/")[0], (CORPUS / file).read_bytes())


def test_each_reader_has_a_corpus_of_both_kinds() -> None:
    """Of what it takes and of what it refuses: so both ways are gone further from there."""
    assert {file.partition("/")[0] for file in FILES} == set(READERS)
    never = {"date", "forwarded", "cors"}  # these have no errors: what they do not understand is nothing
    for name in READERS:
        refused = {bool(read(name, data)) for data in corpus(name)}
        assert refused == ({False} if name in never else {True, False}), name


@pytest.mark.parametrize("name", READERS)
def test_bytes_that_are_nearly_right(name: str, request: pytest.FixtureRequest) -> None:
    soak = request.config.getoption("--soak")
    seed, count = (time.time_ns(), 300_000) if soak else (1, 3000)
    print(f"seed {seed}")
    fuzzer = Fuzzer(corpus(name), random.Random(seed))
    for _ in range(count):
        data = fuzzer.next()
        try:
            fuzzer.learn(data, read(name, data))
        except Exception as error:
            least = shrunk(data, lambda less: fails(name, less))
            raise AssertionError(f"{name} fails with {least!r}: keep it in {CORPUS / name}") from error


def test_a_reader_that_fails_is_found_with_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the fuzzer finds anything: a reader that overlooks what only an edit of the corpus has in it."""

    def overlooks(data: bytes) -> None:
        int(data.partition(b"bytes=")[2][:1] or b"0") if b"bytes=" in data else None

    monkeypatch.setitem(READERS, "range", overlooks)
    fuzzer = Fuzzer([b"bytes=0-9"], random.Random(1))
    found = next(data for data in (fuzzer.next() for _ in range(1000)) if fails("range", data))
    assert len(shrunk(found, lambda less: fails("range", less))) == len("bytes=x")
