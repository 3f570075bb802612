"""Files in folders that others may write to: nothing follows a symlink, nothing half-written is ever seen.

A write is a temporary file in the same folder, synced, then linked (create-only) or renamed (replace) to its name, then
the folder synced. The temporary files' names begin with a dot and do not end as anything that is looked for.
"""

import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_TEMPORARY: Final = re.compile(r"\.[0-9a-f]{16}\.cooper-tmp")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: What identifies a file's content without reading it: inode, size, and the times of change in nanoseconds.
Signature = tuple[int, int, int, int]


class NotRegular(Exception):
    """Something of that name is there, and it is no regular file (a symlink, folder, pipe …)."""


def signature(status: os.stat_result) -> Signature:
    """See `Signature`."""
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def digest(data: bytes) -> str:
    """What tells contents apart."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def opened(root: Path, *parts: str, create: bool = False) -> Generator[int]:
    """A descriptor of the folder `parts` under `root`. Symlinks below root are refused (OSError); `create` makes it."""
    descriptor = os.open(root, _DIRECTORY)
    try:
        for part in parts:
            child = _open_child(descriptor, part, create)
            os.close(descriptor)
            descriptor = child
        yield descriptor
    finally:
        os.close(descriptor)


def _open_child(parent: int, name: str, create: bool) -> int:
    if name in ("", ".", "..") or "/" in name:
        raise OSError(errno.EINVAL, "not the name of a folder", name)
    try:
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        if not create:
            raise
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
        os.fsync(parent)
    except FileExistsError:
        pass  # somebody made it meanwhile: what it is, the next line finds out
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def read(folder: int, name: str, limit: int) -> tuple[bytes, os.stat_result] | None:
    """Up to `limit` bytes and the status of a regular file; None when there is none. Raises NotRegular, OSError."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EMLINK):
            raise NotRegular(name) from None
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotRegular(name)
        return _read_all(descriptor, limit), status
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, limit: int) -> bytes:
    chunks: list[bytes] = []
    while limit > 0 and (chunk := os.read(descriptor, min(limit, 1 << 20))):
        chunks.append(chunk)
        limit -= len(chunk)
    return b"".join(chunks)


def create(folder: int, name: str, data: bytes) -> None:
    """Write a new file of mode 0600, durably. Raises FileExistsError whatever is there, also a dangling symlink."""
    temporary = _write_temporary(folder, data)
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    finally:
        os.unlink(temporary, dir_fd=folder)
    os.fsync(folder)


def replace(folder: int, name: str, data: bytes) -> None:
    """Write a file of mode 0600 over whatever file or symlink is there, durably."""
    temporary = _write_temporary(folder, data)
    try:
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def keep_beside(folder: int, name: str, infix: str) -> str:
    """Give a file a second name, made of its own, `infix` and its digest; returned. Once for each content."""
    data, _ = read(folder, name, 1 << 24) or (b"", None)
    beside = f"{name}{infix}{digest(data)[:12]}"
    try:
        os.link(name, beside, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        pass  # the same content was kept before
    os.fsync(folder)
    return beside


def remove(folder: int, name: str) -> None:
    """Unlink a file, durably. Absent already is success."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    os.fsync(folder)


def remove_temporaries(folder: int) -> None:
    """Remove what a crash left. Only for the one process that writes into the folder."""
    for name in os.listdir(folder):
        if _TEMPORARY.fullmatch(name):
            os.unlink(name, dir_fd=folder)


def _write_temporary(folder: int, data: bytes) -> str:
    name = f".{secrets.token_hex(8)}.cooper-tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            os.fchmod(descriptor, 0o600)
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(descriptor)
    except OSError:
        os.unlink(name, dir_fd=folder)
        raise
    return name
