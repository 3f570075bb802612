"""The client matrix: what is tried with a client is a row, what came of it an outcome; all of them make a table."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cooper_gateway.protocol.errors import CODES

WORKS: Final = "works"
_TITLES: Final = ("client", "version", "tried", "outcome")
_BEGIN, _END = (
    "<!-- begin of the client matrix: `make client-matrix` writes it -->\n",
    "<!-- end of the client matrix -->\n",
)
#: How clients print an error of S3: aws-cli and boto3, rclone, s3cmd, XML as curl has it, and the SDKs' programs.
_TOLD: Final = re.compile(
    r"An error occurred \((?P<aws>\w+)\)[^:\n]*: (?P<aws_says>[^\n]*)"
    r"|api error (?P<rclone>\w+): (?P<rclone_says>[^\n]*)"
    r"|S3 error: \d+ \((?P<s3cmd>\w+)\):? ?(?P<s3cmd_says>[^\n]*)"
    r"|<Code>(?P<xml>\w+)</Code>\s*<Message>(?P<xml_says>[^<]*)"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is tried.

    `do` is a shell script for a client that is a command, and the name of a function for an SDK. `answer` is the code
    that the client is refused with, or a text that it prints when it fails by itself.
    """

    what: str
    do: str
    answer: str = WORKS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a row: it works, or the code (or text) and message that the client was answered."""

    what: str
    answer: str = WORKS
    message: str = ""
    output: str = field(default="", compare=False)  # for whoever has to find out why

    @property
    def told(self) -> str:
        """As the table has it."""
        if self.answer == WORKS:
            return WORKS
        shown = f"`{CODES[self.answer][0]} {self.answer}`" if self.answer in CODES else f"fails: `{self.answer}`"
        return f"{shown}: {self.message}" if self.message else shown


@dataclass(frozen=True, slots=True)
class Client:
    """A client, the rows that are tried with it, and how: `run` gives its version and an outcome for each row."""

    name: str
    rows: Sequence[Row]
    run: Callable[["Client", "Place"], "Ran"]
    ours: bool = True  # its version is pinned here; else it is the machine's own


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client is tried: delivered credentials of the bucket `work`, an empty folder, files to send."""

    credentials: dict[str, str]
    folder: Path
    small: Path
    big: Path  # 12 MiB: three parts
    tree: Path


@dataclass(frozen=True, slots=True)
class Ran:
    """A client that was tried."""

    client: str
    version: str
    outcomes: tuple[Outcome, ...]


def failed(row: Row, output: str) -> Outcome:
    """The outcome of a row whose client ended with an error and printed this: the first of S3's errors in it."""
    for found in _TOLD.finditer(output):
        code, message = (text for text in found.groups() if text is not None)
        if code in CODES:
            return Outcome(row.what, code, message.strip(), output)
    if row.answer in output:
        return Outcome(row.what, row.answer, output=output)
    last = output.strip().rpartition("\n")[2] or "nothing was printed"
    return Outcome(row.what, last, output=output)


def table(ran: Iterable[Ran]) -> str:
    """The table: by client, all that works in one line, and each other answer in one."""
    lines = [_TITLES, ("---",) * len(_TITLES)]
    for each in ran:
        told: dict[str, list[str]] = {WORKS: []}
        for outcome in each.outcomes:
            told.setdefault(outcome.told, []).append(outcome.what)
        lines += [(each.client, each.version, "; ".join(whats), outcome) for outcome, whats in told.items() if whats]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def within(page: str) -> str:
    """The table that a page has between its two marks."""
    return page.partition(_BEGIN)[2].partition(_END)[0].strip("\n") + "\n"


def with_table(page: str, new: str) -> str:
    """The page with another table between its marks."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    assert begin, "the page lacks the mark at which its table begins"
    assert end, "the page lacks the mark at which its table ends"
    return f"{before}{begin}\n{new}\n{end}{after}"


def of_client(text: str, client: str) -> str:
    """The lines of a table that are about one client."""
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith(f"| {client} |"))


def version_of(lines: str) -> str:
    """The version that lines about one client have; empty where there are none."""
    return lines.split(" | ")[1] if lines else ""
