"""Records what a program does to a folder, by strace: what LMDB does from C and what Python does, in one order.

A step is noted when its call returned, so that a sync covers only what had returned before it began. What the program
writes to a file of marks is noted when that call begins: what it tells is known by then.
"""

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from support.power_loss import ROOT, Change, Mark, Resize, Step, Sync, Write

_CALLS: Final = (
    "open,openat,creat,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "write,pwrite64,writev,pwritev,pwritev2,lseek,ftruncate,truncate,fallocate,fsync,fdatasync,msync,sync,syncfs,"
    "sync_file_range,copy_file_range,sendfile,splice"
)
_OPTIONS: Final = ("-f", "--seccomp-bpf", "-y", "-xx", "-s", "4194304", "-e", f"trace={_CALLS}", "-e", "signal=none")
_HEX: Final = r"((?:\\x[0-9a-f]{2})*)"
_STRING: Final = re.compile(f'"{_HEX}"')
_DESCRIPTOR: Final = re.compile(rf"^(AT_FDCWD|\d+)<{_HEX}>")
_ARGUMENT: Final = re.compile(rf'(?:(AT_FDCWD|\d+)<{_HEX}>(?:\(deleted\))?, )?"{_HEX}"')
_BEGUN: Final = re.compile(r"^(\d+) +(\w+)\((.*)$", re.DOTALL)
_RESUMED: Final = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$", re.DOTALL)
_RESULT: Final = re.compile(r"\)\s+= (-?\d+)")
_UNFINISHED: Final = " <unfinished ...>"


class NotRecordable(Exception):
    """The program did something that the model does not know."""


def record(strace: str, command: Sequence[str], trace: Path, env: dict[str, str], timeout: float) -> None:
    """Run a program to its end. Raises CalledProcessError where it fails."""
    subprocess.run([strace, *_OPTIONS, "-o", str(trace), "--", *command], env=env, check=True, timeout=timeout)


@dataclass(slots=True)
class Log:
    """What was done, and which nodes are folders."""

    steps: list[Step] = field(default_factory=list[Step])
    folders: set[int] = field(default_factory=set[int])


def read(trace: Path, folder: Path, marks: Path) -> Log:
    """The log of what was done below a folder, which was there and empty, and of marks. Raises NotRecordable."""
    reader = _Reader(str(folder), str(marks))
    with trace.open(encoding="ascii", newline="\n") as file:
        for line in file:
            reader.take(line.rstrip("\n"))
    return reader.log


class _Reader:
    def __init__(self, folder: str, marks: str) -> None:
        self.log = Log()
        self._folder = folder
        self._marks = marks
        self._nodes: dict[str, int] = {folder: ROOT}
        self._next = ROOT + 1
        self._sizes: dict[int, int] = {}
        self._begun: dict[str, tuple[str, int]] = {}  # thread -> what is known of its call, and where the log was
        self._positions: dict[tuple[str, str], int] = {}  # thread and descriptor -> where it writes next
        self._opened: dict[tuple[str, str], int] = {}  # of these, the nodes of ours
        self._synced: set[tuple[str, str]] = set()  # of these, those whose writes are synced
        self._appending: set[tuple[str, str]] = set()
        # Only bytes of hexadecimal digits may tell what is ours: everything else costs a look only.
        self._wanted = tuple("".join(f"\\x{byte:02x}" for byte in os.fsencode(path)) for path in (folder, marks))
        self._handlers: dict[str, Callable[[str, str, int, int], None]] = {
            **dict.fromkeys(("open", "openat"), self._open),
            **dict.fromkeys(("mkdir", "mkdirat"), self._mkdir),
            **dict.fromkeys(("rmdir", "unlink", "unlinkat"), self._remove),
            **dict.fromkeys(("rename", "renameat", "renameat2"), self._rename),
            **dict.fromkeys(("link", "linkat"), self._link),
            **dict.fromkeys(("write", "writev"), self._write),
            "pwrite64": self._pwrite,
            "lseek": self._seek,
            "ftruncate": self._truncate,
            "fallocate": self._allocate,
            **dict.fromkeys(("fsync", "fdatasync"), self._sync),
        }

    def take(self, line: str) -> None:
        if resumed := _RESUMED.match(line):
            thread, name, rest = resumed.groups()
            known = self._begun.pop(thread, None)
            if known is not None:
                self._ended(thread, name, known[0] + rest, known[1])
        elif begun := _BEGUN.match(line):
            thread, name, rest = begun.groups()
            if any(path in rest for path in self._wanted):
                self._began(thread, name, rest)

    def _began(self, thread: str, name: str, rest: str) -> None:
        if name == "write" and self._wanted[1] in rest.partition(",")[0]:
            self.log.steps.append(Mark(_data(rest).decode()))
        elif rest.endswith(_UNFINISHED):
            self._begun[thread] = (rest.removesuffix(_UNFINISHED), len(self.log.steps))
        else:
            self._ended(thread, name, rest, len(self.log.steps))

    def _ended(self, thread: str, name: str, arguments: str, began: int) -> None:
        result = _RESULT.search(arguments)
        if result is None or int(result[1]) < 0:
            return
        if (handler := self._handlers.get(name)) is None:
            raise NotRecordable(f"{name}({arguments[:300]}")
        handler(thread, arguments, int(result[1]), began)

    def _open(self, thread: str, arguments: str, result: int, began: int) -> None:
        path = self._paths(arguments)[0]
        descriptor = (thread, str(result))
        for kept in (self._synced, self._appending):
            kept.discard(descriptor)
        self._positions[descriptor] = 0
        self._opened.pop(descriptor, None)
        if not self._is_ours(path):
            return
        if path not in self._nodes:
            if "O_CREAT" not in arguments:
                raise NotRecordable(f"{path} was opened, and nobody made it")
            self._make(path)
        elif "O_TRUNC" in arguments and self._sizes.get(self._nodes[path], 0):
            self._resize(self._nodes[path], 0)
        self._opened[descriptor] = self._nodes[path]
        if "O_DSYNC" in arguments or "O_SYNC" in arguments:
            self._synced.add(descriptor)
        if "O_APPEND" in arguments:
            self._appending.add(descriptor)

    def _mkdir(self, thread: str, arguments: str, result: int, began: int) -> None:
        path = self._paths(arguments)[0]
        if self._is_ours(path):
            self.log.folders.add(self._next)
            self._make(path)

    def _make(self, path: str) -> None:
        node, self._next = self._next, self._next + 1
        self._change((path, node))

    def _remove(self, thread: str, arguments: str, result: int, began: int) -> None:
        path = self._paths(arguments)[0]
        if self._is_ours(path):
            self._change((path, None))

    def _rename(self, thread: str, arguments: str, result: int, began: int) -> None:
        old, new = self._paths(arguments)[:2]
        if self._is_ours(old) or self._is_ours(new):
            self._change((old, None), (new, self._nodes[old]))
            for path in [each for each in self._nodes if each.startswith(old + "/")]:
                self._nodes[new + path.removeprefix(old)] = self._nodes.pop(path)

    def _link(self, thread: str, arguments: str, result: int, began: int) -> None:
        old, new = self._paths(arguments)[:2]
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
            self._put(node, at, _data(arguments)[:result], descriptor)
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
            self._put(node, at, _data(arguments)[:result], descriptor)

    def _put(self, node: int, at: int, data: bytes, descriptor: tuple[str, str]) -> None:
        self._sizes[node] = max(self._sizes.get(node, 0), at + len(data))
        self.log.steps.append(Write(node, at, data, descriptor in self._synced))

    def _seek(self, thread: str, arguments: str, result: int, began: int) -> None:
        self._positions[thread, arguments.partition("<")[0]] = result

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
        found = _DESCRIPTOR.match(arguments)
        path = "" if found is None else _text(found[2])
        if found is None or not self._is_ours(path):
            return None
        return self._nodes.get(path, self._opened.get((thread, found[1])))

    def _is_ours(self, path: str) -> bool:
        return path == self._folder or path.startswith(self._folder + "/")

    def _paths(self, arguments: str) -> list[str]:
        return [os.path.normpath(os.path.join(_text(base), _text(name))) for _, base, name in _found(arguments)]


def _found(arguments: str) -> list[tuple[str, str, str]]:
    return _ARGUMENT.findall(arguments)


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def _text(escaped: str) -> str:
    return os.fsdecode(_bytes(escaped))


def _data(arguments: str) -> bytes:
    return b"".join(_bytes(each) for each in _STRING.findall(arguments))
