"""The key-encryption key: a file, created once over an empty store. It wraps bucket keys and seals records' secrets."""

import os
from pathlib import Path
from typing import Final

import msgspec

from cooper_gateway.crypto.derivation import KEY_SIZE, TAG_SIZE, Deriver
from cooper_gateway.crypto.envelope import FRAME_SIZE, HEADER_SIZE, BucketCipher

_FORMAT: Final = 1


class KeyringError(Exception):
    """The key-encryption key cannot be used: the reason, and what to do. Never carries key material."""


class _KekFile(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    key: str  # 64 hex digits

    def __repr__(self) -> str:
        return f"_KekFile(format={self.format})"


class _WrappedKey(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    kek: str  # fingerprint of the key-encryption key that wrapped it
    wrapped: str  # hex


class Keyring:
    """Implements the store's `Sealer` and `cooper_crds.records.Box`."""

    frame_size: int = FRAME_SIZE
    frame_overhead: int = TAG_SIZE
    header_size: int = HEADER_SIZE

    def __init__(self, kek: bytes) -> None:
        if len(kek) != KEY_SIZE:
            raise KeyringError(f"a key-encryption key has {KEY_SIZE} bytes, this has {len(kek)}")
        self._wraps = Deriver(kek, b"cooper/bucket-key/1")
        self._box = Deriver(kek, b"cooper/box/1")
        #: Names this key without telling anything about it: derived like a key, used for nothing else.
        self.fingerprint: Final = Deriver(kek, b"cooper/fingerprint/1").derive(b"")[:8].hex()

    def __repr__(self) -> str:
        return f"Keyring({self.fingerprint})"

    @classmethod
    def load_or_create(cls, kek_file: str, store_is_empty: bool) -> "Keyring":
        """Read the key-encryption key; create it when there is none and the store is empty. Raises KeyringError."""
        path = Path(kek_file)
        try:
            return cls.load(kek_file)
        except FileNotFoundError:
            if not store_is_empty:
                raise KeyringError(
                    f"the key-encryption key {path} is missing, and the store already holds encrypted data that only "
                    "that key opens. Put the file back; nothing was created or changed"
                ) from None
        try:
            return cls(_create(path))
        except FileExistsError:  # another process was faster
            return cls.load(kek_file)
        except OSError as error:
            raise KeyringError(f"the key-encryption key {path} cannot be created: {error.strerror}") from error

    @classmethod
    def load(cls, kek_file: str) -> "Keyring":
        """Read the key-encryption key. Raises FileNotFoundError, or KeyringError with the reason."""
        try:
            data = Path(kek_file).read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise KeyringError(f"the key-encryption key {kek_file} cannot be read: {error.strerror}") from error
        try:
            content = msgspec.json.decode(data, type=_KekFile)
            key = bytes.fromhex(content.key)
        except (msgspec.MsgspecError, ValueError):
            raise KeyringError(f"{kek_file} is not a key-encryption key file, or is damaged") from None
        if content.format != _FORMAT:
            raise KeyringError(f"{kek_file} has format {content.format}, this program knows {_FORMAT}: upgrade it")
        return cls(key)

    def check_fingerprint(self, stored: str) -> None:
        """Raise KeyringError unless the store was made with this key."""
        if stored != self.fingerprint:
            raise KeyringError(
                f"the store was made with key-encryption key {stored}, but the key file holds {self.fingerprint}. "
                "Put the key file that belongs to this store back, or point to the store that belongs to this key"
            )

    def new_bucket_key(self, data_id: bytes) -> bytes:
        """Content of a bucket's key file: a new random key, wrapped."""
        wrapped = self.wrap(os.urandom(KEY_SIZE), data_id)
        return msgspec.json.encode(_WrappedKey(_FORMAT, self.fingerprint, wrapped.hex())) + b"\n"

    def bucket(self, data_id: bytes, key_file: bytes) -> BucketCipher:
        """The cipher of a bucket, from its key file's content. Raises ValueError with the reason."""
        try:
            content = msgspec.json.decode(key_file, type=_WrappedKey)
            wrapped = bytes.fromhex(content.wrapped)
        except (msgspec.MsgspecError, ValueError):
            raise ValueError("not a bucket key file, or damaged") from None
        if content.format != _FORMAT:
            raise ValueError(f"bucket key format {content.format} is not {_FORMAT}: upgrade this program")
        if content.kek != self.fingerprint:
            raise ValueError(f"wrapped by key-encryption key {content.kek}, but this is {self.fingerprint}")
        return BucketCipher(data_id, self.unwrap(wrapped, data_id))

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Encrypt a bucket key; it unwraps only with the same context."""
        return self._wraps.seal(key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt a bucket key. Raises ValueError when another key or context wrapped it."""
        return self._wraps.open(wrapped, context)

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt a secret at rest (`Box`)."""
        return self._box.seal(plaintext, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt a secret at rest (`Box`). Raises ValueError when another key or context sealed it."""
        return self._box.open(sealed, context)


def _create(path: Path) -> bytes:
    """Write a new key, whole or not at all: a torn key file would lock the store that is written next."""
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = os.urandom(KEY_SIZE)
    content = msgspec.json.encode(_KekFile(_FORMAT, key.hex())) + b"\n"
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # create-only: fails when the file exists
    finally:
        draft.unlink()
    for folder in (path.parent, *(new.parent for new in made)):  # without this key all that is stored is lost
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    return key
