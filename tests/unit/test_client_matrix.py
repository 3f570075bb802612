"""The client matrix as text: what clients print of an error, how outcomes become a table, and where the page has it."""

from pathlib import Path

import pytest

from clients.matrix.all import CLIENTS
from clients.matrix.rows import Outcome, Ran, Row, failed, of_client, table, version_of, with_table, within

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()

#: output of a client -> the outcome's answer and message
PRINTED = {
    "upload failed: a An error occurred (NoSuchKey) when calling the GetObject operation: No such key.\n": (
        "NoSuchKey",
        "No such key.",
    ),
    "ERROR : x: Failed: operation error S3: PutObject, api error AccessDenied: Access denied.\nNOTICE: more": (
        "AccessDenied",
        "Access denied.",
    ),
    "ERROR: S3 error: 501 (NotImplemented): Cooper does not implement that.\n": (
        "NotImplemented",
        "Cooper does not implement that.",
    ),
    "<Error><Code>InvalidRequest</Code><Message>Sign it.</Message></Error>curl: (22) error": (
        "InvalidRequest",
        "Sign it.",
    ),
    "An error occurred (Unheard) when calling it: x\nthe last line\n": ("the last line", ""),
    "some lines\nit cannot seek in a stream\nmore": ("cannot seek", ""),
    "": ("nothing was printed", ""),
}


@pytest.mark.parametrize("output", PRINTED)
def test_what_a_client_prints_of_an_error(output: str) -> None:
    found = failed(Row("put", "", "cannot seek"), output)
    assert (found.answer, found.message, found.output) == (*PRINTED[output], output)


def test_a_table_has_a_line_for_each_answer_of_a_client() -> None:
    refused = Outcome("c", "NotImplemented", "a | b")
    lines = table([Ran("x", "1.0", (Outcome("a"), refused, Outcome("b"))), Ran("y", "2", (Outcome("d", "broken"),))])
    assert lines.splitlines()[2:] == [
        "| x | 1.0 | a; b | works |",
        "| x | 1.0 | c | `501 NotImplemented`: a \\| b |",
        "| y | 2 | d | fails: `broken` |",
    ]
    assert of_client(lines, "y") == "| y | 2 | d | fails: `broken` |\n"
    assert (version_of(of_client(lines, "x")), version_of(of_client(lines, "z"))) == ("1.0", "")


def test_a_table_is_put_between_its_marks_and_nothing_else_changes() -> None:
    assert with_table(PAGE, within(PAGE)) == PAGE
    changed = with_table(PAGE, table([]))
    assert within(changed) == table([])
    assert with_table(changed, within(PAGE)) == PAGE
    with pytest.raises(AssertionError, match="lacks the mark"):
        with_table("a page", table([]))


def test_the_page_has_every_row_of_every_client_and_no_others() -> None:
    """That what it tells of them is so is shown by tests/integration/test_client_matrix.py."""
    lines = [line for line in within(PAGE).splitlines()[2:] if line]
    cells = [line.removeprefix("| ").split(" | ") for line in lines]
    told = {(client, what) for client, _, whats, *_ in cells for what in whats.split("; ")}
    wanted = {(client.name, what) for client in CLIENTS for row in client.rows for what in row.what.split("; ")}
    assert told == wanted


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_rows_of_a_client_differ_in_what_they_tell(client) -> None:
    assert len({row.what for row in client.rows}) == len(client.rows)
