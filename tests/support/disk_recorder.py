"""Records what a program does to a folder, by strace: what LMDB does from C and what Python does, in one order.

A step is noted when its call returned, so that a sync covers only what had returned before it began. What the program
writes to a file of marks is noted when that call begins: what it tells is known by then. A removal is noted earlier
where another call saw that the name is gone: who saw that relies on it, and a sync that begins after covers it.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from support import strace_log
from support.power_loss import ROOT, Change, Mark, Resize, Step, Sync, Write
from support.strace_log import Call

_CALLS: Final = (
    "open,openat,creat,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "write,pwrite64,writev,pwritev,pwritev2,lseek,ftruncate,truncate,fallocate,fsync,fdatasync,msync,sync,syncfs,"
    "sync_file_range,copy_file_range,sendfile,splice,getdents64"
)
_REMOVALS: Final = ("rmdir", "unlink", "unlinkat")
_LOOKS: Final = ("open", "openat", *_REMOVALS)  # of one name: ENOENT tells that it is not there
_RENAMES: Final = ("rename", "renameat", "renameat2")
_CHANGES: Final = ("open", "openat", "creat", "mkdir", "mkdirat", "link", "linkat", *_REMOVALS, *_RENAMES)
_HARMLESS: Final = ("fsync", "fdatasync", "lseek", "getdents64")  # where nobody knows whether they were done
_OPTIONS: Final = (
    *("-f", "--seccomp-bpf", "-y", "-xx", "-s", "4194304", "-e", f"trace={_CALLS}", "-e", "signal=none"),
    *("-e", "abbrev=!getdents64"),  # the names in a folder are told
)


class NotRecordable(Exception):
    """The program did something that the model does not know."""


class Unclear(Exception):
    """A process was killed within a call, and whether that was done cannot be told."""


def record(strace: str, command: Sequence[str], trace: Path, env: dict[str, str], timeout: float) -> None:
    """Run a program to its end. Raises CalledProcessError where it fails."""
    subprocess.run([strace, *_OPTIONS, "-o", str(trace), "--", *command], env=env, check=True, timeout=timeout)


@dataclass(slots=True)
class Log:
    """What was done, and which nodes are folders."""

    steps: list[Step] = field(default_factory=list[Step])
    folders: set[int] = field(default_factory=set[int])


def read(trace: Path, folder: Path, marks: Path) -> Log:
    """The log of what was done below a folder, which was there and empty, and of marks.

    Raises NotRecordable, or Unclear.
    """
    reader = _Reader(str(folder), str(marks))
    with trace.open(encoding="ascii", newline="\n") as file:
        for line in file:
            reader.take(line.rstrip("\n"))
    reader.close()
    return reader.log


@dataclass(slots=True)
class _Listing:
    """What a folder was seen to hold, since its descriptor was opened."""

    path: str
    node: int
    began: int
    names: set[str] = field(default_factory=set[str])


class _Reader:
    def __init__(self, folder: str, marks: str) -> None:
        self.log = Log()
        self._folder = folder
        self._marks = marks
        self._nodes: dict[str, int] = {folder: ROOT}
        self._next = ROOT + 1
        self._sizes: dict[int, int] = {}
        self._begun: dict[str, Call] = {}  # thread -> its call
        self._positions: dict[tuple[str, str], int] = {}  # thread and descriptor -> where it writes next
        self._opened: dict[tuple[str, str], int] = {}  # of these, the nodes of ours
        self._synced: set[tuple[str, str]] = set()  # of these, those whose writes are synced
        self._appending: set[tuple[str, str]] = set()
        self._listings: dict[tuple[str, str], _Listing] = {}  # of descriptors that were read from their start on
        # Only bytes of hexadecimal digits may tell what is ours: everything else costs a look only.
        self._wanted = tuple(map(strace_log.escaped, (folder, marks)))
        self._handlers: dict[str, Callable[[str, str, int, int], None]] = {
            **dict.fromkeys(("open", "openat"), self._open),
            **dict.fromkeys(("mkdir", "mkdirat"), self._mkdir),
            **dict.fromkeys(_REMOVALS, self._remove),
            **dict.fromkeys(_RENAMES, self._rename),
            **dict.fromkeys(("link", "linkat"), self._link),
            **dict.fromkeys(("write", "writev"), self._write),
            "pwrite64": self._pwrite,
            "lseek": self._seek,
            "getdents64": self._list,
            "ftruncate": self._truncate,
            "fallocate": self._allocate,
            **dict.fromkeys(("fsync", "fdatasync"), self._sync),
        }

    def take(self, line: str) -> None:
        if (ends := strace_log.resumed(line)) is not None:
            if (call := self._begun.pop(ends[0], None)) is not None:
                call.go_on(ends[1])
                self._ended(ends[0], call)
        elif (begins := strace_log.begun(line)) is not None:
            thread, name, rest = begins
            if any(path in rest for path in self._wanted):
                self._began(thread, Call(name, rest, len(self.log.steps)))

    def close(self) -> None:
        """It has ended. Raises Unclear."""
        for call in self._begun.values():
            opened = call.name in ("open", "openat") and "O_CREAT" not in call.arguments
            if not (call.noted or opened or call.name in _HARMLESS):
                raise Unclear(f"its thread was killed within {call.name}({call.arguments[:300]}")

    def _began(self, thread: str, call: Call) -> None:
        if call.name == "write" and self._wanted[1] in call.arguments.partition(",")[0]:
            self.log.steps.append(Mark(strace_log.data(call.arguments).decode()))
        elif call.unfinished:
            self._begun[thread] = call
        else:
            self._ended(thread, call)

    def _ended(self, thread: str, call: Call) -> None:
        if (end := call.result()) is None:
            self._begun[thread] = call
        elif end[0] < 0:
            if end[1] == "ENOENT" and call.name in _LOOKS and "(deleted)" not in call.arguments:
                self._is_gone(strace_log.paths(call.arguments)[0], call.began)
        elif call.noted:
            return
        elif (handler := self._handlers.get(call.name)) is None:
            raise NotRecordable(f"{call.name}({call.arguments[:300]}")
        else:
            handler(thread, call.arguments, end[0], call.began)

    def _is_gone(self, path: str, since: int) -> None:
        """A name was missed by a call that began at `since`: a removal that is under way is done, if nothing but that
        explains it."""
        if path not in self._nodes or self._was_touched(path, since):
            return
        others = [call for call in self._begun.values() if call.name in _CHANGES]
        if any(call.name in _RENAMES for call in others):
            return
        of_it = [call for call in others if path in strace_log.paths(call.arguments)]
        if len(of_it) == 1 and of_it[0].name in _REMOVALS:
            self._change((path, None))
            of_it[0].noted = True

    def _was_touched(self, path: str, since: int) -> bool:
        """Whether the name, or the way to it, was changed since then."""
        places: set[tuple[int, str]] = set()
        while path != self._folder:
            path, name = os.path.split(path)
            places.add((self._nodes[path], name))
        steps = self.log.steps[since:]
        return any(entry[:2] in places for step in steps if isinstance(step, Change) for entry in step.entries)

    def _list(self, thread: str, arguments: str, result: int, began: int) -> None:
        """Reading a folder, from its start to its end: what it held when it was opened and does not tell is gone."""
        node, descriptor = self._node(thread, arguments), (thread, arguments.partition("<")[0])
        listing = self._listings.get(descriptor)
        if listing is None or listing.node != node:  # another descriptor may move where one reads that we know
            self._forget_listings(node)
            return
        listing.names |= strace_log.entries(arguments)
        if not result:
            del self._listings[descriptor]
            if "." in listing.names:
                there = {os.path.join(listing.path, name) for name in listing.names}
                for path in [each for each in self._nodes if os.path.dirname(each) == listing.path]:
                    if path not in there:
                        self._is_gone(path, listing.began)

    def _forget_listings(self, node: int | None) -> None:
        for descriptor in [each for each, listing in self._listings.items() if listing.node == node]:
            del self._listings[descriptor]

    def _open(self, thread: str, arguments: str, result: int, began: int) -> None:
        path = strace_log.paths(arguments)[0]
        descriptor = (thread, str(result))
        for kept in (self._synced, self._appending):
            kept.discard(descriptor)
        self._positions[descriptor] = 0
        for forgotten in (self._opened, self._listings):
            forgotten.pop(descriptor, None)
        if not self._is_ours(path):
            return
        if path not in self._nodes:
            if "O_CREAT" not in arguments:
                raise NotRecordable(f"{path} was opened, and nobody made it")
            self._make(path)
        elif "O_TRUNC" in arguments and self._sizes.get(self._nodes[path], 0):
            self._resize(self._nodes[path], 0)
        node = self._opened[descriptor] = self._nodes[path]
        if node in self.log.folders or node == ROOT:
            self._listings[descriptor] = _Listing(path, node, len(self.log.steps))
        if "O_DSYNC" in arguments or "O_SYNC" in arguments:
            self._synced.add(descriptor)
        if "O_APPEND" in arguments:
            self._appending.add(descriptor)

    def _mkdir(self, thread: str, arguments: str, result: int, began: int) -> None:
        path = strace_log.paths(arguments)[0]
        if self._is_ours(path):
            self.log.folders.add(self._next)
            self._make(path)

    def _make(self, path: str) -> None:
        node, self._next = self._next, self._next + 1
        self._change((path, node))

    def _remove(self, thread: str, arguments: str, result: int, began: int) -> None:
        path = strace_log.paths(arguments)[0]
        if self._is_ours(path):
            for inside in [each for each in self._nodes if each.startswith(path + "/")]:  # a folder that goes is empty
                self._is_gone(inside, began)
            self._change((path, None))

    def _rename(self, thread: str, arguments: str, result: int, began: int) -> None:
        old, new = strace_log.paths(arguments)[:2]
        if self._is_ours(old) or self._is_ours(new):
            self._change((old, None), (new, self._nodes[old]))
            for path in [each for each in self._nodes if each.startswith(old + "/")]:
                self._nodes[new + path.removeprefix(old)] = self._nodes.pop(path)

    def _link(self, thread: str, arguments: str, result: int, began: int) -> None:
        old, new = strace_log.paths(arguments)[:2]
        if self._is_ours(new):
            self._change((new, self._nodes[old]))

    def _change(self, *changes: tuple[str, int | None]) -> None:
        entries: list[tuple[int, str, int | None]] = []
        for path, node in changes:
            folder, name = os.path.split(path)
            entries.append((self._nodes[folder], name, node))
            if node is None:
                del self._nodes[path]
            else:
                self._nodes[path] = node
        self.log.steps.append(Change(tuple(entries)))

    def _write(self, thread: str, arguments: str, result: int, began: int) -> None:
        if (node := self._node(thread, arguments)) is not None:
            descriptor = self._descriptor(thread, arguments.partition("<")[0], node)
            at = self._positions.get(descriptor)
            if descriptor in self._appending:
                at = self._sizes.get(node, 0)
            if at is None:
                raise NotRecordable(f"nobody knows where this is written: {arguments[:300]}")
            self._put(node, at, strace_log.data(arguments)[:result], descriptor)
            self._positions[descriptor] = at + result

    def _descriptor(self, thread: str, number: str, node: int) -> tuple[str, str]:
        """As it is known: by the thread that opened it, of whichever process has that file by that number."""
        if self._opened.get((thread, number)) == node:
            return thread, number
        known = (each for each in reversed(self._opened) if each[1] == number and self._opened[each] == node)
        return next(known, (thread, number))

    def _pwrite(self, thread: str, arguments: str, result: int, began: int) -> None:
        if (node := self._node(thread, arguments)) is not None:
            at = int(arguments[: arguments.rindex(")")].rpartition(", ")[2])
            descriptor = self._descriptor(thread, arguments.partition("<")[0], node)
            self._put(node, at, strace_log.data(arguments)[:result], descriptor)

    def _put(self, node: int, at: int, data: bytes, descriptor: tuple[str, str]) -> None:
        self._sizes[node] = max(self._sizes.get(node, 0), at + len(data))
        self.log.steps.append(Write(node, at, data, descriptor in self._synced))

    def _seek(self, thread: str, arguments: str, result: int, began: int) -> None:
        self._positions[thread, arguments.partition("<")[0]] = result
        self._forget_listings(self._node(thread, arguments))

    def _truncate(self, thread: str, arguments: str, result: int, began: int) -> None:
        if (node := self._node(thread, arguments)) is not None:
            self._resize(node, int(arguments[: arguments.rindex(")")].rpartition(", ")[2]))

    def _allocate(self, thread: str, arguments: str, result: int, began: int) -> None:
        if (node := self._node(thread, arguments)) is not None:
            mode, offset, length = arguments[: arguments.rindex(")")].split(", ")[1:]
            if mode != "0":
                raise NotRecordable(f"fallocate of mode {mode}")
            if int(offset) + int(length) > self._sizes.get(node, 0):
                self._resize(node, int(offset) + int(length))

    def _resize(self, node: int, size: int) -> None:
        self._sizes[node] = size
        self.log.steps.append(Resize(node, size))

    def _sync(self, thread: str, arguments: str, result: int, began: int) -> None:
        if (node := self._node(thread, arguments)) is not None:
            self.log.steps.append(Sync(node, began))

    def _node(self, thread: str, arguments: str) -> int | None:
        """Of a descriptor, the first argument. None where it is not ours, or another thread opened a file that has lost
        the name that it was opened by."""
        number, path = strace_log.descriptor(arguments)
        return self._nodes.get(path, self._opened.get((thread, number))) if self._is_ours(path) else None

    def _is_ours(self, path: str) -> bool:
        return path == self._folder or path.startswith(self._folder + "/")
