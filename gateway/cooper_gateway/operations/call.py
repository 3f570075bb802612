"""What a handler is given: one authorised request and the means to answer it."""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote
from uuid import UUID

import msgspec

from cooper_crds.records import BucketRecord, RegionRecord
from cooper_gateway.access.authorize import DENIED, authorize, denial
from cooper_gateway.access.directory import Directory
from cooper_gateway.access.principals import KeyHolder, Principal
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Body, Request, Response
from cooper_gateway.protocol.post_form import Form
from cooper_gateway.protocol.routes import Route
from cooper_gateway.storage.port import NO_QUOTA, Attributes, BucketRef, Guard, Quota, Store


class Spending(Protocol):
    """Counts the bytes of a request."""

    def announce(self, count: int) -> None:
        """So many bytes are about to move."""
        ...

    def progress(self, moved: int) -> None:
        """So many bytes have moved until now."""
        ...

    def settle(self, moved: int) -> None:
        """So many bytes have moved, and no more will."""
        ...


@lru_cache(maxsize=4096)
def bucket_ref(data_id: str, name: str) -> BucketRef:
    """The store's reference of a bucket. Raises ValueError when `data_id` is not a UUID."""
    return BucketRef(UUID(data_id).bytes, name)


def _as_admitted(call: "Call") -> Directory:
    return call.directory


class Call(msgspec.Struct):
    """One request whose signature was verified and whose principal may do `route.action` on `bucket`."""

    request: Request
    route: Route
    principal: Principal
    bucket: BucketRecord | None
    region: RegionRecord
    directory: Directory
    store: Store
    body: Body
    request_id: str
    now: float  # Unix seconds
    spending: Spending | None = None  # where its bytes are counted for its key
    attributes: Attributes | None = None  # of the object, once they are read: see `attributes_of`
    form: Form | None = None  # what stood before the file, of an upload by form
    again: Callable[["Call"], Directory] = _as_admitted  # see `look_again`

    def look_again(self) -> Directory:
        """The records as they are now, for who waits. Raises S3Error when they would not admit this call any more."""
        return self.again(self)

    @property
    def record(self) -> BucketRecord:
        """The bucket's record. Raises NoSuchBucket when there is none."""
        if self.bucket is None:
            raise S3Error("NoSuchBucket")
        return self.bucket

    @property
    def ref(self) -> BucketRef:
        """The bucket as the store knows it."""
        record = self.record
        return bucket_ref(record.data_id, record.name)

    @property
    def name(self) -> bytes:
        """The object's name. Raises InvalidURI when the path names none."""
        if self.request.name is None:
            raise S3Error("InvalidURI", "The path names no object.")
        return self.request.name

    @property
    def access_key_id(self) -> str:
        """Who asks; empty for anonymous."""
        return self.principal.key.access_key_id if isinstance(self.principal, KeyHolder) else ""

    @property
    def guard(self) -> Guard:
        """What is checked again inside the commit."""
        bucket = self.bucket
        quota = NO_QUOTA if bucket is None else Quota(bucket.max_objects, bucket.max_size)
        address = self.principal.address if isinstance(self.principal, KeyHolder) else ""
        return Guard(self.access_key_id, self.route.action or "", quota=quota, address=address)

    @property
    def max_object_size(self) -> int:
        """Bytes that one object of this bucket may have: the least of the region's and the bucket's limit."""
        return min(self.region.max_object_size, self.record.max_object_size)

    @property
    def location(self) -> str:
        """The object's URL, as the client sees the gateway."""
        scheme = "https" if self.request.secure else "http"
        host = self.request.headers.get("host", "")
        bucket = "" if self.request.bucket_in_host else f"{self.record.name}/"
        return f"{scheme}://{host}/{bucket}{quote(self.name, safe='/')}"

    def refusal(self, name: bytes) -> str | None:
        """Why this principal may not do the route's action on an object: an S3 error code. None: it may."""
        return authorize(self.principal, self.route.action, self.request.bucket, self.bucket, self.now, name)

    def authorize_other(self, action: str, bucket_name: str, name: bytes) -> BucketRecord:
        """The record of another bucket if the principal may do `action` on that object there (a copy's source); else
        S3Error."""
        record = self.directory.bucket(bucket_name)
        code = authorize(self.principal, action, bucket_name, record, self.now, name)
        if code is not None:
            raise S3Error(code, denial(self.principal, action, bucket_name) if code == DENIED else None)
        if record is None:
            raise S3Error("NoSuchBucket")
        return record


Handler = Callable[[Call], Awaitable[Response]]
NowHandler = Callable[[Call], Response | None]
