"""What a disk may hold after the power went, given all that was done to it in order.

Only what a sync covered is sure. Of the rest any part may be there: each sector of a write by itself, a file's new size
with zeros in it, each change of a folder by itself, but a rename as a whole.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SECTOR: Final = 512
ROOT: Final = 0  # the node of the folder that is watched


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes of a file. `durable`: through a descriptor whose writes are synced (O_DSYNC)."""

    node: int
    offset: int
    data: bytes
    durable: bool = False


@dataclass(frozen=True, slots=True)
class Resize:
    """A file was cut or extended."""

    node: int
    size: int


@dataclass(frozen=True, slots=True)
class Change:
    """Entries of folders, changed in one step: (folder, name) and the node that is there now, None for none.

    Making and linking change one entry, removing as well; a rename changes two.
    """

    entries: tuple[tuple[int, str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Sync:
    """A file or folder was synced: sure is what was done to it before number `began` of the log."""

    node: int
    began: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Somebody was told something."""

    text: str


Step = Write | Resize | Change | Sync | Mark


@dataclass(slots=True)
class Disk:
    """One state: folders by node, and files by node."""

    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    files: dict[int, bytearray] = field(default_factory=dict[int, bytearray])

    def write_to(self, target: Path, node: int = ROOT) -> None:
        """Make it real. A node that has entries in two places is one file with two names."""
        self._write_to(target, node, {})

    def _write_to(self, target: Path, node: int, made: dict[int, Path]) -> None:
        target.mkdir(mode=0o700, exist_ok=True)
        for name, child in self.folders.get(node, {}).items():
            path = target / name
            if child in self.folders:
                self._write_to(path, child, made)
            elif child in made:
                path.hardlink_to(made[child])
            else:
                path.write_bytes(self.files.get(child, b""))
                path.chmod(0o600)
                made[child] = path


def after_power_loss(log: Sequence[Step], end: int, folders: Iterable[int], chance: random.Random) -> Disk:
    """A state that is legal when the power goes after the first `end` steps. `folders`: the nodes that are folders."""
    log = log[:end]
    since = _sure_until(log)
    disk = Disk({ROOT: {}, **{node: {} for node in folders}})
    luck = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))  # all or nothing as often as a mixture
    for number, step in enumerate(log):
        if isinstance(step, Change):
            _change(disk, step, number, since, chance.random() < luck)
        elif isinstance(step, Write):
            sure = step.durable or number < since.get(step.node, 0)
            _write(disk.files.setdefault(step.node, bytearray()), step, None if sure else (chance, luck))
        elif isinstance(step, Resize) and (number < since.get(step.node, 0) or chance.random() < luck):
            _resize(disk.files.setdefault(step.node, bytearray()), step.size)
    return disk


def _sure_until(log: Sequence[Step]) -> dict[int, int]:
    """For each node, the number of the first step on it that no sync covers."""
    since: dict[int, int] = {}
    for step in log:
        if isinstance(step, Sync):
            since[step.node] = max(step.began, since.get(step.node, 0))
    return since


def _change(disk: Disk, change: Change, number: int, since: dict[int, int], lucky: bool) -> None:
    # A rename that one of its folders was synced after is there in both: file systems log it as one.
    if not lucky and all(number >= since.get(folder, 0) for folder, _, _ in change.entries):
        return
    for folder, name, node in change.entries:
        entries = disk.folders.setdefault(folder, {})
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def _write(content: bytearray, write: Write, odds: tuple[random.Random, float] | None) -> None:
    """All of it, or by these odds each of its sectors, and its length."""
    end = write.offset + len(write.data)
    if odds is None:
        _resize(content, max(len(content), end))
        content[write.offset : end] = write.data
        return
    chance, luck = odds
    if chance.random() < luck:  # the size is metadata: it may come without the data
        _resize(content, max(len(content), end))
    at = write.offset
    while at < end:
        until = min(end, (at // SECTOR + 1) * SECTOR)
        if chance.random() < luck:
            _resize(content, max(len(content), until))
            content[at:until] = write.data[at - write.offset : until - write.offset]
        at = until


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))
