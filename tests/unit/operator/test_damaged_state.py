"""State on disk with a flipped bit: it is said that it cannot be read, whichever bit it was."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cooper_operator.cluster import env_text
from cooper_operator.cluster.credential_files import CredentialFiles, Form
from cooper_operator.cluster.port import Unavailable
from cooper_operator.cluster.state_files import StateFiles

#: What is no UTF-8, in a place where text is read.
NO_TEXT = (
    b'{"version":1,"object":{"kind":"\xff"},"owner":{"namespace":"\xff"},"problems":[{"file":"\xff"}],"digest":"\xff"}'
)


def _objects(root: Path) -> object:
    return StateFiles(root).load()


def _report(root: Path) -> object:
    return StateFiles(root).load_report()


def _notes(root: Path) -> object:
    return CredentialFiles(root / "credentials", root / "notes", Form(".env", env_text.render, env_text.parse)).open()


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("objects/a.json", _objects),
        ("tombstones/a.json", _objects),
        ("report.json", _report),
        ("notes/ns/a.json", _notes),
    ],
)
@pytest.mark.parametrize("content", [NO_TEXT, b"", b"{"])
def test_what_is_damaged_cannot_be_read(
    tmp_path: Path, file: str, read: Callable[[Path], object], content: bytes
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(Unavailable, match="cannot be read"):
        read(tmp_path)
