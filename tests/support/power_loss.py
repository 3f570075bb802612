"""What a disk may hold after the power went, given all that was done to it in order.

Only what a sync covered is sure. Of the rest any part may be there: each sector of a write by itself, a file's new size
with zeros in it, each change of a folder by itself, but a rename as a whole. Real file systems promise more, and each
something else.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    """One state: folders by node, and files by node, also those that no folder has any more."""

    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    files: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def write_to(self, target: Path) -> None:
        """Make it real. A node that has entries in two places is one file with two names."""
        target.mkdir(mode=0o700)
        made: dict[int, Path] = {}
        for path, node in self.paths():
            real = target / path
            if node in self.folders:
                real.mkdir(mode=0o700)
            elif node in made:
                real.hardlink_to(made[node])
            else:
                real.write_bytes(self.files.get(node, b""))
                made[node] = real

    def paths(self, node: int = ROOT, before: str = "") -> Iterator[tuple[str, int]]:
        """All that can be reached, folders before what is in them."""
        for name, child in sorted(self.folders.get(node, {}).items()):
            yield before + name, child
            if child in self.folders:
                yield from self.paths(child, f"{before}{name}/")


class Digests:
    """Tells states apart by what they hold."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[bytes, bytes]] = {}  # node -> content seen last, its digest

    def of(self, disk: Disk) -> bytes:
        """The same for two states exactly if they hold the same, under the same names."""
        whole = hashlib.blake2b(digest_size=16)
        for path, node in disk.paths():
            content = None if node in disk.folders else disk.files.get(node, b"")
            whole.update(b"%b\0" % path.encode() + (b"folder" if content is None else self._file(node, content)))
        return whole.digest()

    def _file(self, node: int, content: bytes) -> bytes:
        known = self._known.get(node)
        if known is None or known[0] is not content:
            known = self._known[node] = (content, hashlib.blake2b(content, digest_size=16).digest())
        return known[1]


@dataclass(slots=True)
class _Open:
    """A step that is not on the disk for sure, or cannot be put there before an earlier one that is not."""

    number: int
    step: Write | Resize | Change
    sure: bool = False


#: Asked for each sector of a write whether it is there.
Sectors = Callable[[], bool]


class Replay:
    """Walks along a log. At each point it knows what is sure, and makes states of that and any part of the rest."""

    def __init__(self, folders: Iterable[int]) -> None:
        self._sure = Disk({ROOT: {}, **{node: {} for node in folders}})
        self._number = 0
        self._files: dict[int, list[_Open]] = {}
        self._changes: list[_Open] = []

    def advance(self, step: Step) -> None:
        """One step of the log."""
        number, self._number = self._number, self._number + 1
        if isinstance(step, Change):
            self._changes.append(_Open(number, step))
        elif isinstance(step, Write | Resize):
            waiting = self._files.setdefault(step.node, [])
            waiting.append(_Open(number, step, isinstance(step, Write) and step.durable))
            self._settle_file(step.node)
        elif isinstance(step, Sync):
            for each in self._files.get(step.node, ()):
                each.sure |= each.number < step.began
            for each in self._changes:
                # A rename that one of its folders was synced after is there in both: file systems log it as one.
                assert isinstance(each.step, Change)
                each.sure |= each.number < step.began and any(step.node == entry[0] for entry in each.step.entries)
            self._settle_file(step.node)
            self._settle_changes()

    def unsure(self) -> list[int]:
        """Numbers of the steps that may be there or not, in order."""
        waiting = [each.number for steps in self._files.values() for each in steps if not each.sure]
        return sorted(waiting + [each.number for each in self._changes if not each.sure])

    def state(self, there: Callable[[int], bool], sector: Sectors | None = None) -> Disk:
        """A legal state: what is sure, and of the rest the steps that are `there`, by their numbers. With `sector`
        these writes are there in part: it is asked for each of their sectors, and for a new size without the data."""
        folders = {node: dict(entries) for node, entries in self._sure.folders.items()}
        for each in self._changes:
            if each.sure or there(each.number):
                assert isinstance(each.step, Change)
                _change(folders, each.step)
        files = dict(self._sure.files)
        for node, steps in self._files.items():
            content = bytearray(files.get(node, b""))
            for each in steps:
                if each.sure or there(each.number):
                    _put(content, each.step, None if each.sure else sector)
            files[node] = bytes(content)
        return Disk(folders, files)

    def _settle_file(self, node: int) -> None:
        steps = self._files.get(node, [])
        first_unsure = next((at for at, each in enumerate(steps) if not each.sure), len(steps))
        if not first_unsure:
            return
        content = bytearray(self._sure.files.get(node, b""))
        for each in steps[:first_unsure]:
            _put(content, each.step, None)
        self._sure.files[node] = bytes(content)
        del steps[:first_unsure]
        if not steps:
            self._files.pop(node, None)

    def _settle_changes(self) -> None:
        kept: list[_Open] = []
        touched: set[tuple[int, str]] = set()
        for each in self._changes:
            assert isinstance(each.step, Change)
            places = {(folder, name) for folder, name, _ in each.step.entries}
            if each.sure and not places & touched:
                _change(self._sure.folders, each.step)
            else:
                kept.append(each)
                touched |= places
        self._changes = kept


def variants(replay: Replay, chance: random.Random, singles: int, mixtures: int) -> Iterator[Disk]:
    """States of one point: nothing that is not sure, all of it, all but one step, one step alone, and mixtures with
    torn writes; of the single ones `singles` at most are drawn."""
    unsure = replay.unsure()
    yield replay.state(lambda _: False)
    if not unsure:
        return
    yield replay.state(lambda _: True)
    for one in chance.sample(unsure, min(singles, len(unsure))):
        yield replay.state(lambda number, one=one: number != one)
        yield replay.state(lambda number, one=one: number == one)
    for _ in range(mixtures):
        luck, whole = chance.choice((0.1, 0.5, 0.9)), chance.choice((0.2, 0.5, 0.8, 1.0))
        chosen = {number for number in unsure if chance.random() < luck}
        yield replay.state(chosen.__contains__, lambda whole=whole: chance.random() < whole)


def after_power_loss(log: Sequence[Step], end: int, folders: Iterable[int], chance: random.Random) -> Disk:
    """A state that is legal when the power goes after the first `end` steps. `folders`: the nodes that are folders."""
    replay = Replay(folders)
    for step in log[:end]:
        replay.advance(step)
    luck = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))  # all or nothing as often as a mixture
    chosen = {number for number in replay.unsure() if chance.random() < luck}
    return replay.state(chosen.__contains__, lambda: chance.random() < luck)


def _change(folders: dict[int, dict[str, int]], change: Change) -> None:
    for folder, name, node in change.entries:
        if node is None:
            folders[folder].pop(name, None)
        else:
            folders[folder][name] = node


def _put(content: bytearray, step: Write | Resize | Change, sector: Sectors | None) -> None:
    if isinstance(step, Resize):
        _resize(content, step.size)
    elif isinstance(step, Write):
        _write(content, step, sector)


def _write(content: bytearray, write: Write, sector: Sectors | None) -> None:
    """All of it, or each of its sectors, and its length, as `sector` says."""
    end = write.offset + len(write.data)
    if sector is None:
        _resize(content, max(len(content), end))
        content[write.offset : end] = write.data
        return
    if sector():  # the size is metadata: it may come without the data
        _resize(content, max(len(content), end))
    at = write.offset
    while at < end:
        until = min(end, (at // SECTOR + 1) * SECTOR)
        if sector():
            _resize(content, max(len(content), until))
            content[at:until] = write.data[at - write.offset : until - write.offset]
        at = until


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))
