"""The key-encryption keys: the newest wraps bucket keys and seals records' secrets, each of them opens."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from cooper_gateway.crypto import key_file
from cooper_gateway.crypto.derivation import KEY_SIZE, TAG_SIZE, Deriver
from cooper_gateway.crypto.envelope import FRAME_SIZE, HEADER_SIZE, BucketCipher
from cooper_gateway.crypto.key_file import KeyFile, KeyringError, fingerprint_of

__all__ = ["Keyring", "KeyringError"]

_FORMAT: Final = 1  # of a bucket's key file


class _WrappedKey(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    kek: str  # fingerprint of the key-encryption key that wrapped it
    wrapped: str  # hex


class _Key:
    """One key-encryption key."""

    __slots__ = ("box", "fingerprint", "wraps")

    def __init__(self, kek: bytes) -> None:
        if len(kek) != KEY_SIZE:
            raise KeyringError(f"a key-encryption key has {KEY_SIZE} bytes, this has {len(kek)}")
        self.wraps = Deriver(kek, b"cooper/bucket-key/1")
        self.box = Deriver(kek, b"cooper/box/1")
        self.fingerprint = fingerprint_of(kek)


class Keyring:
    """Implements the store's `Sealer` and `cooper_crds.records.Box`.

    One that was loaded follows its file: it seals with the newest key that is there, and looks there for a key that it
    lacks. So programs that run take up a key that is added.
    """

    frame_size: int = FRAME_SIZE
    frame_overhead: int = TAG_SIZE
    header_size: int = HEADER_SIZE

    def __init__(self, *keks: bytes) -> None:
        """`keks`: newest first."""
        self._keys = [_Key(kek) for kek in keks]
        self._removed: Sequence[str] = ()
        self._path: Path | None = None
        self._seen: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self.fingerprints)})"

    @classmethod
    def load_or_create(cls, kek_file: str, store_is_empty: bool) -> "Keyring":
        """Read the key-encryption keys; make one when there is none and the store is empty. Raises KeyringError."""
        path = Path(kek_file)
        key_file.settle(path)
        try:
            return cls.load(kek_file)
        except FileNotFoundError:
            if not store_is_empty:
                raise KeyringError(
                    f"the key-encryption key {path} is missing, and the store already holds encrypted data that only "
                    "that key opens. Put the file back; nothing was created or changed"
                ) from None
        try:
            key_file.create(path)
        except FileExistsError:  # another process was faster
            pass
        except OSError as error:
            raise KeyringError(f"the key-encryption key {path} cannot be created: {error.strerror}") from error
        return cls.load(kek_file)

    @classmethod
    def load(cls, kek_file: str) -> "Keyring":
        """Read the key-encryption keys. Raises FileNotFoundError, or KeyringError with the reason."""
        path = Path(kek_file)
        seen = _signature(path)
        keyring = cls.of(key_file.load(path))
        keyring._path, keyring._seen = path, seen
        return keyring

    @classmethod
    def of(cls, file: KeyFile) -> "Keyring":
        """Of what a file holds, whatever becomes of that."""
        keyring = cls(*file.keys)
        keyring._removed = file.removed
        return keyring

    @property
    def fingerprint(self) -> str:
        """Names the newest key."""
        return self._keys[0].fingerprint

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of all keys, newest first."""
        return tuple(key.fingerprint for key in self._keys)

    def only(self, chosen: Callable[[str], bool]) -> "Keyring":
        """With those keys alone whose fingerprints are chosen."""
        keyring = Keyring()
        keyring._keys = [key for key in self._keys if chosen(key.fingerprint)]
        return keyring

    def refresh(self) -> bool:
        """Take up what was added to the file, and removed. True when that has changed anything.

        A file that cannot be used, or that never held the newest of these keys, is passed over: who starts is told.
        """
        if self._path is None or (seen := _signature(self._path)) == self._seen:
            return False
        self._seen = seen
        try:
            file = key_file.load(self._path)
        except (FileNotFoundError, KeyringError):
            return False
        if self.fingerprint not in (*file.fingerprints, *file.removed):
            return False
        self._keys, self._removed = [_Key(kek) for kek in file.keys], file.removed
        return True

    def check_fingerprint(self, stored: str) -> None:
        """Raise KeyringError unless all keys that a store says it needs, with blanks between, are there."""
        missing = [each for each in stored.split() or [stored] if each not in self.fingerprints]
        if not missing:
            return
        removed = " and ".join(each for each in missing if each in self._removed)
        file = (
            f"a copy of it from before {removed} was removed" if removed else "the key file that belongs to this store"
        )
        raise KeyringError(
            f"the store was made with key-encryption key {' and '.join(missing)}, but the key file holds "
            f"{' and '.join(self.fingerprints)}. Put {file} back, or point to the store that belongs to this key"
        )

    def new_bucket_key(self, data_id: bytes) -> bytes:
        """Content of a bucket's key file: a new random key, wrapped."""
        return self._wrapped(os.urandom(KEY_SIZE), data_id)

    def bucket(self, data_id: bytes, key_file: bytes) -> BucketCipher:
        """The cipher of a bucket, from its key file's content. Raises ValueError with the reason."""
        return BucketCipher(data_id, self._unwrapped(data_id, key_file))

    def wrapped_by(self, key_file: bytes) -> str | None:
        """Fingerprint of the key that wraps a bucket's key; None when that is not what the file holds."""
        try:
            return msgspec.json.decode(key_file, type=_WrappedKey).kek
        except (msgspec.MsgspecError, ValueError):
            return None

    def rewrapped(self, data_id: bytes, key_file: bytes) -> bytes:
        """Content of a key file with the same key, wrapped by the newest. Raises ValueError with the reason."""
        return self._wrapped(self._unwrapped(data_id, key_file), data_id)

    def _wrapped(self, key: bytes, data_id: bytes) -> bytes:
        return msgspec.json.encode(_WrappedKey(_FORMAT, self.fingerprint, self.wrap(key, data_id).hex())) + b"\n"

    def _unwrapped(self, data_id: bytes, key_file: bytes) -> bytes:
        try:
            content = msgspec.json.decode(key_file, type=_WrappedKey)
            wrapped = bytes.fromhex(content.wrapped)
        except (msgspec.MsgspecError, ValueError):
            raise ValueError("not a bucket key file, or damaged") from None
        if content.format != _FORMAT:
            raise ValueError(f"bucket key format {content.format} is not {_FORMAT}: upgrade this program")
        if content.kek not in self.fingerprints:
            self.refresh()
        for key in self._keys:
            if key.fingerprint == content.kek:
                return key.wraps.open(wrapped, data_id)
        raise ValueError(f"wrapped by key-encryption key {content.kek}, but this is {' and '.join(self.fingerprints)}")

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Encrypt a bucket key; it unwraps only with the same context."""
        return self._keys[0].wraps.seal(key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt a bucket key. Raises ValueError when another key or context wrapped it."""
        return _opened([key.wraps for key in self._keys], wrapped, context)

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt a secret at rest (`Box`)."""
        self.refresh()
        return self._keys[0].box.seal(plaintext, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt a secret at rest (`Box`). Raises ValueError when another key or context sealed it."""
        try:
            return _opened([key.box for key in self._keys], sealed, context)
        except ValueError:
            if not self.refresh():
                raise
        return _opened([key.box for key in self._keys], sealed, context)


def _opened(derivers: Sequence[Deriver], sealed: bytes, context: bytes) -> bytes:
    """By whichever opens it. Raises ValueError."""
    for deriver in derivers:
        try:
            return deriver.open(sealed, context)
        except ValueError:
            continue
    raise ValueError("sealed value does not verify")


def _signature(path: Path) -> tuple[int, ...]:
    """Tells a file from the one that takes its place; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
