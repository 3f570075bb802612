"""Hand-made calls of operations against the store in memory: no HTTP, no signatures."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from cooper_crds.actions import GRANTABLE_ACTIONS
from cooper_crds.records import BucketRecord, DomainRecord, Grant, KeyRecord, Owner, RegionRecord
from cooper_gateway.access.principals import KeyHolder, Principal
from cooper_gateway.operations.call import Call
from cooper_gateway.operations.registry import HANDLERS, NOW
from cooper_gateway.protocol.messages import Request, Response
from cooper_gateway.protocol.routes import ROUTES
from cooper_gateway.storage.memory import MemoryStore
from cooper_gateway.storage.port import Store

OWNER = Owner("team", "photos", "uid-1")
PHOTOS = BucketRecord("photos", "00000000-0000-4000-8000-000000000001", OWNER, max_object_size=1 << 30)
OTHER = BucketRecord("other", "00000000-0000-4000-8000-000000000002", OWNER)
#: 2026-11-23T09:00:00Z
NOW_SECONDS = 1_795_424_400
_ROUTES = {route.operation: route for route in ROUTES}


def key_for(*buckets: BucketRecord, actions: tuple[str, ...] = GRANTABLE_ACTIONS, system: bool = False) -> KeyRecord:
    grants = tuple(Grant(bucket.name, bucket.data_id, actions) for bucket in buckets)
    return KeyRecord("AKIAEXAMPLE", "secret", OWNER, 1, grants, system=system)


@dataclass
class FakeDirectory:
    keys: dict[str, KeyRecord] = field(default_factory=dict)
    buckets: dict[str, BucketRecord] = field(default_factory=dict)
    settings: RegionRecord = field(default_factory=lambda: RegionRecord("eu", "eu-west-1"))
    domains: dict[str, DomainRecord] = field(default_factory=dict[str, DomainRecord])
    revision: int = 0

    def key(self, access_key_id: str) -> KeyRecord | None:
        return self.keys.get(access_key_id)

    def bucket(self, name: str) -> BucketRecord | None:
        return self.buckets.get(name)

    def domain(self, name: str) -> DomainRecord | None:
        return self.domains.get(name)

    def region(self) -> RegionRecord | None:
        return self.settings

    def verified_at(self) -> float:
        return NOW_SECONDS


class FakeBody:
    """A body in chunks. `fails` is raised where the chunks end, as a body does that did not verify."""

    def __init__(
        self,
        chunks: list[bytes],
        trailers: Mapping[str, str] | None = None,
        size: int | None = -1,
        fails: Exception | None = None,
    ) -> None:
        self._chunks = chunks
        self._fails = fails
        self.trailers: Mapping[str, str] = trailers or {}
        self.size = sum(map(len, chunks)) if size == -1 else size
        self.taken = 0

    def at_once(self) -> list[bytes] | None:
        return None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            yield chunk
        if self._fails is not None:
            raise self._fails

    async def read(self, limit: int) -> bytes:
        return b"".join(self._chunks)


async def content(response: Response) -> bytes:
    """All of a response's body."""
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([chunk async for chunk in response.body])


def element(response: Response, name: str) -> str | None:
    """Text of the first element of that name."""
    found = elements(response, name)
    return found[0] if found else None


def elements(response: Response, name: str) -> list[str]:
    assert isinstance(response.body, bytes)
    return re.findall(f"<{name}>(.*?)</{name}>", response.body.decode(), re.DOTALL)


@dataclass
class Rig:
    """A gateway without HTTP: a store, records, and one key that may do everything on two buckets."""

    store: Store = field(default_factory=lambda: MemoryStore(clock=lambda: NOW_SECONDS * 1000 + 123, min_part_size=5))
    directory: FakeDirectory = field(default_factory=FakeDirectory)
    principal: Principal = field(default_factory=lambda: KeyHolder(key_for(PHOTOS, OTHER)))

    def __post_init__(self) -> None:
        for bucket in (PHOTOS, OTHER):
            self.directory.buckets.setdefault(bucket.name, bucket)

    def call(
        self,
        operation: str,
        name: bytes | str | None = None,
        body: bytes | FakeBody = b"",
        *,
        bucket: str = "photos",
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Call:
        route = _ROUTES[operation]
        encoded = name.encode() if isinstance(name, str) else name
        request = Request(route.method, b"", b"", headers or {}, bucket, encoded, query or {})
        given = FakeBody([body]) if isinstance(body, bytes) else body
        record = self.directory.bucket(bucket)
        region = self.directory.settings
        return Call(
            request, route, self.principal, record, region, self.directory, self.store, given, "req-1", NOW_SECONDS
        )

    async def do(
        self, operation: str, name: bytes | str | None = None, body: bytes | FakeBody = b"", **more
    ) -> Response:
        """Answer asynchronously."""
        return await HANDLERS[operation](self.call(operation, name, body, **more))

    def now(self, operation: str, name: str, **more) -> Response | None:
        """Answer at once, or None."""
        return NOW[operation](self.call(operation, name, **more))

    async def put(self, name: str, body: bytes = b"", **more) -> Response:
        return await self.do("PutObject", name, body, **more)

    async def get(self, name: str, **more) -> Response:
        return await self.do("GetObject", name, **more)
