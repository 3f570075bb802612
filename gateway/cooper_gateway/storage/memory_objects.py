"""What the store in memory keeps: segments, objects, uploads, buckets."""

import bisect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from cooper_gateway.storage.port import ObjectInfo, PartInfo, UploadInfo

_READ_CHUNK: Final = 256 << 10


class MemorySegment:
    """Bytes that wait for their commit."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self.data)


class MemoryWriter:
    """Collects one body."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._seen: Callable[[bytes], None] | None = None

    def watch(self, seen: Callable[[bytes], None]) -> None:
        """Have it called with all that is written."""
        self._seen = seen

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes."""
        self._chunks.append(bytes(data))
        if self._seen is not None:
            self._seen(self._chunks[-1])

    async def finish(self) -> MemorySegment:
        """The segment of what was written."""
        return MemorySegment(b"".join(self._chunks))

    def abort(self) -> None:
        """Forget what was written."""
        self._chunks.clear()


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: immutable, so a reader keeps the one it opened."""

    info: ObjectInfo
    data: bytes


@dataclass(slots=True)
class Upload:
    """A multipart upload and its parts by number."""

    info: UploadInfo
    parts: dict[int, tuple[PartInfo, bytes]] = field(default_factory=dict[int, tuple[PartInfo, bytes]])


@dataclass(frozen=True, slots=True)
class Completed:
    """What a completion answered, kept so that it can be answered again."""

    name: bytes
    parts: tuple[tuple[int, str], ...]
    info: ObjectInfo
    at: int


@dataclass(slots=True)
class MemoryBucket:
    """A bucket's objects, uploads and state."""

    objects: dict[bytes, Stored] = field(default_factory=dict[bytes, Stored])
    names: list[bytes] = field(default_factory=list[bytes])  # the objects' names in byte order
    uploads: dict[str, Upload] = field(default_factory=dict[str, Upload])
    completed: dict[str, Completed] = field(default_factory=dict[str, Completed])
    size: int = 0
    closed: bool = False
    destroyed: bool = False  # for good: the id of its data is used up
    intent: bytes = b""

    def set(self, name: bytes, stored: Stored) -> None:
        """Make `stored` the object of that name."""
        old = self.objects.get(name)
        if old is None:
            bisect.insort(self.names, name)
        else:
            self.size -= old.info.size
        self.objects[name] = stored
        self.size += stored.info.size

    def remove(self, name: bytes) -> None:
        """Drop the object of that name, if there is one."""
        old = self.objects.pop(name, None)
        if old is not None:
            del self.names[bisect.bisect_left(self.names, name)]
            self.size -= old.info.size


class MemoryObject:
    """An object as it was when it was opened."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    @property
    def info(self) -> ObjectInfo:
        """The object's metadata."""
        return self._stored.info

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes start (inclusive) to end (exclusive)."""
        for position in range(start, min(end, self.info.size), _READ_CHUNK):
            yield self._stored.data[position : min(position + _READ_CHUNK, end)]

    def close(self) -> None:
        """Nothing to release."""
