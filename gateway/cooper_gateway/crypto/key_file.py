"""The file of key-encryption keys, newest first: made once, whole, and exchanged whole when one is added or removed."""

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from cooper_gateway.crypto.derivation import KEY_SIZE, Deriver
from cooper_gateway.shredding import exchange, sync_directory, tidy, write_new

#: One that holds a single key and never held another: as programs of before know it.
_FIRST_FORMAT: Final = 1
_FORMAT: Final = 2


class KeyringError(Exception):
    """Key-encryption keys cannot be used: the reason, and what to do. Never carries key material."""


class _First(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    key: str  # 64 hex digits


class _Second(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    keys: list[str]  # the same, newest first
    removed: list[str]  # fingerprints


class _AnyFormat(msgspec.Struct):
    format: int


class KeyFile(msgspec.Struct, frozen=True):
    """What the file holds."""

    keys: tuple[bytes, ...]  # newest first
    removed: tuple[str, ...] = ()  # fingerprints of keys that it held before

    def __repr__(self) -> str:
        return f"KeyFile({', '.join(self.fingerprints)})"

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of its keys, newest first."""
        return tuple(fingerprint_of(key) for key in self.keys)

    def added(self) -> "KeyFile":
        """With a new key, which is the newest."""
        return KeyFile((os.urandom(KEY_SIZE), *self.keys), self.removed)

    def without(self, fingerprint: str) -> "KeyFile":
        """Without one of its keys. Raises KeyringError when that is the newest, or not there."""
        if fingerprint not in self.fingerprints:
            raise KeyringError(f"there is no key {fingerprint}: there are {', '.join(self.fingerprints)}")
        if fingerprint == self.fingerprints[0]:
            raise KeyringError(f"{fingerprint} is the newest key: add another one, and rewrap, before it can go")
        kept = tuple(key for key in self.keys if fingerprint_of(key) != fingerprint)
        return KeyFile(kept, (fingerprint, *self.removed))


def fingerprint_of(key: bytes) -> str:
    """Names a key without telling anything about it: derived like a key, used for nothing else."""
    return Deriver(key, b"cooper/fingerprint/1").derive(b"")[:8].hex()


def encode(file: KeyFile) -> bytes:
    """The file's content."""
    keys = [key.hex() for key in file.keys]
    first = len(keys) == 1 and not file.removed
    content = _First(_FIRST_FORMAT, keys[0]) if first else _Second(_FORMAT, keys, list(file.removed))
    return msgspec.json.encode(content) + b"\n"


def decode(data: bytes, about: str) -> KeyFile:
    """Read the content of a file, or of what `about` names. Raises KeyringError."""
    try:
        version = msgspec.json.decode(data, type=_AnyFormat).format
        if version == _FIRST_FORMAT:
            return _checked([msgspec.json.decode(data, type=_First).key], [])
        if version == _FORMAT:
            second = msgspec.json.decode(data, type=_Second)
            return _checked(second.keys, second.removed)
    except (msgspec.MsgspecError, ValueError):
        raise KeyringError(f"{about} is not a key-encryption key file, or is damaged") from None
    raise KeyringError(f"{about} has format {version}, this program knows up to {_FORMAT}: upgrade it")


def _checked(keys: list[str], removed: list[str]) -> KeyFile:
    file = KeyFile(tuple(bytes.fromhex(key) for key in keys), tuple(removed))
    if not file.keys or any(len(key) != KEY_SIZE for key in file.keys):
        raise ValueError("a key has another size")
    return file


def load(path: Path) -> KeyFile:
    """Read a file. Raises FileNotFoundError, or KeyringError with the reason."""
    try:
        return decode(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyringError(f"the key-encryption key {path} cannot be read: {error.strerror}") from error


def create(path: Path) -> KeyFile:
    """Make a file with a new key, whole or not at all: a torn one would lock the store that is written next. Raises
    FileExistsError, OSError.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = KeyFile((os.urandom(KEY_SIZE),))
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    write_new(draft, encode(file))
    try:
        os.link(draft, path)  # create-only: fails when the file exists
    finally:
        draft.unlink()
    for folder in (path.parent, *(new.parent for new in made)):  # without this key all that is stored is lost
        sync_directory(folder)
    return file


def change(path: Path, how: Callable[[KeyFile], KeyFile]) -> KeyFile:
    """Exchange a file for what `how` makes of it, durably, and overwrite the old one. Raises FileNotFoundError,
    KeyringError, OSError, SyncFailed, or what `how` raises.
    """
    path = path.resolve()
    with _locked(path.parent):
        tidy(path.parent, [path.name])  # first of all: what was cut short may have been just this change
        changed = how(load(path))
        exchange(path.parent, {path.name: encode(changed)})
    return changed


def settle(path: Path) -> None:
    """At the start: finish a change that was cut short, where there is one and the folder can be written to. Raises
    SyncFailed.
    """
    path = path.resolve()
    with suppress(OSError), _locked(path.parent):
        tidy(path.parent, [path.name])


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """One at a time changes a file in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
