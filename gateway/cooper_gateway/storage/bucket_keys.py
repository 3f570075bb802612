"""Bucket keys on disk: one wrapped key a file, outside LMDB, whose freed pages would keep what was deleted."""

import os

from cooper_gateway.storage.layout import Layout, sync_directory
from cooper_gateway.storage.port import Damaged, StoreFailed
from cooper_gateway.storage.sealing import BucketSealer, Sealer
from cooper_gateway.storage.sync import SyncFailed

_CACHED = 16384  # bucket ciphers a process keeps at most


class BucketKeys:
    """Reads, makes and shreds bucket keys; keeps what was read."""

    def __init__(self, layout: Layout, sealer: Sealer) -> None:
        self._layout = layout
        self._sealer = sealer
        self._known: dict[bytes, BucketSealer] = {}

    def get(self, data_id: bytes) -> BucketSealer:
        """The cipher of a bucket. Raises StoreFailed when its key is missing, Damaged when it does not unwrap."""
        known = self._known.get(data_id)
        return known if known is not None else self._load(data_id)

    def exists(self, data_id: bytes) -> bool:
        """Whether the bucket has a key on disk."""
        return data_id in self._known or self._layout.bucket_key(data_id).exists()

    def create(self, data_id: bytes) -> None:
        """Make a bucket's key, durable and whole, unless it has one. Raises OSError, or SyncFailed when nobody knows
        whether its name is durable.
        """
        path = self._layout.bucket_key(data_id)
        draft = path.with_name(f"{path.name}.{os.urandom(4).hex()}.new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._sealer.new_bucket_key(data_id))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)  # create-only
            except FileExistsError:
                pass  # made by a commit that failed later: as good as a new one, nothing was encrypted with it
        finally:
            draft.unlink()
        try:
            sync_directory(self._layout.bucket_keys)
        except OSError as error:  # Linux tells an error once: the next attempt would find the key, and sync in vain
            raise SyncFailed(f"a bucket's key could not be synced: {error.strerror}") from error

    def shred(self, data_id: bytes) -> None:
        """Overwrite and remove a bucket's key: what it encrypted is unreadable from now on. Raises OSError."""
        self._known.pop(data_id, None)
        path = self._layout.bucket_key(data_id)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.pwrite(descriptor, os.urandom(os.fstat(descriptor).st_size), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path.unlink()
        sync_directory(self._layout.bucket_keys)

    def clear_drafts(self) -> None:
        """Remove what a crash left half made."""
        for name in os.listdir(self._layout.bucket_keys):
            if name.endswith(".new"):
                (self._layout.bucket_keys / name).unlink(missing_ok=True)

    def _load(self, data_id: bytes) -> BucketSealer:
        path = self._layout.bucket_key(data_id)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StoreFailed(f"the bucket key {path.name} cannot be read: {error.strerror}") from error
        try:
            cipher = self._sealer.bucket(data_id, content)
        except ValueError as error:
            raise Damaged(f"the bucket key {path.name} cannot be used: {error}") from None
        if len(self._known) >= _CACHED:
            self._known.clear()
        self._known[data_id] = cipher
        return cipher
