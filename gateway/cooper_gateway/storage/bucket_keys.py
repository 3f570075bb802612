"""Bucket keys on disk: one wrapped key a file, outside LMDB, whose freed pages would keep what was deleted."""

import contextlib
import os
from collections.abc import Callable, Generator

from cooper_gateway.storage.layout import DRAFT, Layout, sync_directory
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
        """Make a bucket's key, durable and whole, unless it has one. It counts once it is published.

        Raises OSError, or SyncFailed when nobody knows whether its name is durable.
        """
        path = self._layout.bucket_key(data_id)
        if not path.exists():
            self._draft(data_id)
        with _never_again("that a bucket has a key"):
            sync_directory(self._layout.bucket_keys)

    def _draft(self, data_id: bytes) -> None:
        path = self._layout.bucket_key_draft(data_id)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return  # made for a commit that failed later: as good as a new one, nothing was encrypted with it
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._sealer.new_bucket_key(data_id))
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise

    def publish(self, data_id: bytes) -> None:
        """The bucket is in the index, durable: its key may be used. Raises OSError.

        The new name need not be durable: the former one is, and means the same at the next start.
        """
        with contextlib.suppress(FileNotFoundError):  # it had its key before
            os.rename(self._layout.bucket_key_draft(data_id), self._layout.bucket_key(data_id))

    def shred(self, data_id: bytes) -> None:
        """Overwrite and remove a bucket's key: what it encrypted is unreadable from now on.

        Raises OSError, or SyncFailed when nobody knows whether it is: then asking again would not tell.
        """
        self._known.pop(data_id, None)
        path = self._layout.bucket_key(data_id)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            pass  # removed by whoever ended before it was synced, or there never was one
        else:
            self._overwrite(descriptor)
            path.unlink()
        with _never_again("that a bucket's key is gone"):
            sync_directory(self._layout.bucket_keys)

    @staticmethod
    def _overwrite(descriptor: int) -> None:
        try:
            os.pwrite(descriptor, os.urandom(os.fstat(descriptor).st_size), 0)
            with _never_again("that a bucket's key is overwritten"):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def settle_drafts(self, is_known: Callable[[bytes], bool]) -> None:
        """At the start: publish keys of buckets that the index knows, and remove those that were made for none."""
        for name in os.listdir(self._layout.bucket_keys):
            if not name.endswith(DRAFT):
                continue
            draft = self._layout.bucket_keys / name
            data_id = _data_id(name.removesuffix(DRAFT))
            if data_id is not None and is_known(data_id) and not self._layout.bucket_key(data_id).exists():
                self.publish(data_id)
            else:
                draft.unlink(missing_ok=True)

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


@contextlib.contextmanager
def _never_again(what: str) -> Generator[None]:
    """Linux tells an error of a sync once: whoever asked again would be told that all is well. Raises SyncFailed."""
    try:
        yield
    except OSError as error:
        raise SyncFailed(f"{what} could not be synced: {error.strerror}") from error


def _data_id(name: str) -> bytes | None:
    """Whose key file bears a name; None when no key file does."""
    try:
        return bytes.fromhex(name.removesuffix(".key"))
    except ValueError:
        return None
