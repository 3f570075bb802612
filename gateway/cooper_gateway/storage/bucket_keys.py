"""Bucket keys on disk: one wrapped key a file, outside LMDB, whose freed pages would keep what was deleted."""

import contextlib
import os
from collections.abc import Callable

from cooper_gateway.shredding import NEXT, OLD, exchange, never_again, shred, tidy, write_new
from cooper_gateway.storage.layout import DRAFT, Layout, sync_directory
from cooper_gateway.storage.port import Damaged, StoreFailed
from cooper_gateway.storage.sealing import BucketSealer, Sealer

_CACHED = 16384  # bucket ciphers a process keeps at most


class BucketKeys:
    """Reads, makes, rewraps and shreds bucket keys; keeps what was read."""

    def __init__(self, layout: Layout, sealer: Sealer) -> None:
        self._layout = layout
        self._sealer = sealer
        self._known: dict[bytes, BucketSealer] = {}
        self._others: list[bytes] = []  # data ids of keys that another key-encryption key than the newest wraps

    def get(self, data_id: bytes) -> BucketSealer:
        """The cipher of a bucket. Raises StoreFailed when its key is missing, Damaged when it does not unwrap."""
        known = self._known.get(data_id)
        return known if known is not None else self._load(data_id)

    def exists(self, data_id: bytes) -> bool:
        """Whether the bucket has a key on disk."""
        return data_id in self._known or self._layout.bucket_key(data_id).exists()

    def newest(self) -> str:
        """Fingerprint of the key-encryption key that wraps from now on."""
        self._sealer.refresh()
        return self._sealer.fingerprint

    def create(self, data_id: bytes) -> None:
        """Make a bucket's key, durable and whole, unless it has one. It counts once it is published.

        Raises OSError, or SyncFailed when nobody knows whether its name is durable.
        """
        path = self._layout.bucket_key(data_id)
        if not path.exists():
            self._draft(data_id)
        with never_again("that a bucket has a key"):
            sync_directory(self._layout.bucket_keys)

    def _draft(self, data_id: bytes) -> None:
        path = self._layout.bucket_key_draft(data_id)
        with contextlib.suppress(FileNotFoundError):
            # Made for a commit that failed later: as good as a new one, nothing was encrypted with it.
            if self._sealer.wrapped_by(path.read_bytes()) == self._sealer.fingerprint:
                return
            path.unlink()
        write_new(path, self._sealer.new_bucket_key(data_id))

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
        shred(path)  # it may be gone: removed by whoever ended before that was synced, or there never was one
        for end in (DRAFT, NEXT, OLD):
            shred(path.with_name(path.name + end))  # of a rewrap that was cut short
        with never_again("that a bucket's key is gone"):
            sync_directory(self._layout.bucket_keys)

    def rewrap(self, at_once: int) -> int | None:
        """Have the newest key-encryption key wrap some of the bucket keys that others wrap, and overwrite those wraps.

        Returns how many are left of those that were known; None when a look at all of them has found none. Raises
        StoreFailed, once the others of these are done, when one cannot be unwrapped; OSError, SyncFailed.
        """
        self._others = self._others or self._wrapped_by_others()
        if not self._others:
            folder = self._layout.bucket_keys  # a step that failed may have left old wraps
            tidy(folder, [name.removesuffix(OLD) for name in os.listdir(folder) if name.endswith(OLD)])
            return None
        some, self._others = self._others[:at_once], self._others[at_once:]
        contents: dict[str, bytes] = {}
        failed = ""
        for data_id in some:
            path = self._layout.bucket_key(data_id)
            try:
                contents[path.name] = self._sealer.rewrapped(data_id, path.read_bytes())
            except FileNotFoundError:
                continue  # destroyed since
            except ValueError as error:
                failed = f"the bucket key {path.name} cannot be used: {error}"
        exchange(self._layout.bucket_keys, contents)
        if failed:
            raise StoreFailed(failed)
        return len(self._others)

    def _wrapped_by_others(self) -> list[bytes]:
        found: list[bytes] = []
        for name in os.listdir(self._layout.bucket_keys):
            data_id = _data_id(name) if name.endswith(".key") else None
            if data_id is not None:
                by = self._sealer.wrapped_by((self._layout.bucket_keys / name).read_bytes())
                if by != self._sealer.fingerprint:  # None: a damaged file, of which nobody knows what wraps it
                    found.append(data_id)
        return found

    def settle_drafts(self, is_known: Callable[[bytes], bool]) -> None:
        """At the start: publish keys of buckets that the index knows, and remove those that were made for none, and
        what a rewrap left. Raises OSError, SyncFailed.
        """
        left: list[str] = []
        for name in os.listdir(self._layout.bucket_keys):
            if name.endswith((NEXT, OLD)):
                left.append(name.removesuffix(NEXT).removesuffix(OLD))
            elif name.endswith(DRAFT):
                data_id = _data_id(name.removesuffix(DRAFT))
                if data_id is not None and is_known(data_id) and not self._layout.bucket_key(data_id).exists():
                    self.publish(data_id)
                else:
                    shred(self._layout.bucket_keys / name)
        tidy(self._layout.bucket_keys, left)

    def _load(self, data_id: bytes) -> BucketSealer:
        path = self._layout.bucket_key(data_id)
        content = self._read(data_id)
        while True:
            try:
                cipher = self._sealer.bucket(data_id, content)
                break
            except ValueError as error:
                before, content = content, self._read(data_id)
                if content == before:
                    raise Damaged(f"the bucket key {path.name} cannot be used: {error}") from None
                # It was overwritten while it was read, since another wrap has its name: that one is read.
        if len(self._known) >= _CACHED:
            self._known.clear()
        self._known[data_id] = cipher
        return cipher

    def _read(self, data_id: bytes) -> bytes:
        path = self._layout.bucket_key(data_id)
        try:
            return path.read_bytes()
        except OSError as error:
            raise StoreFailed(f"the bucket key {path.name} cannot be read: {error.strerror}") from error


def _data_id(name: str) -> bytes | None:
    """Whose key file bears a name; None when no key file does."""
    try:
        return bytes.fromhex(name.removesuffix(".key"))
    except ValueError:
        return None
