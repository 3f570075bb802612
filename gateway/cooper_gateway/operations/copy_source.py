"""The source of a CopyObject or UploadPartCopy: named, authorised, opened, and its conditions checked."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from cooper_crds.actions import GET_OBJECT
from cooper_crds.records import BucketRecord
from cooper_gateway.access.authorize import may_know_absence, unknown_absence
from cooper_gateway.operations.call import Call, bucket_ref
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.paths import parse_copy_source
from cooper_gateway.protocol.ranges import evaluate_conditions
from cooper_gateway.storage.port import BucketClosed, Guard, NoSuchName, ObjectInfo, OpenObject

_PREFIX: Final = "x-amz-copy-source-"
_CONDITIONS: Final = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
_RANGE: Final = re.compile(r"bytes=(\d{1,19})-(\d{1,19})")


@dataclass(frozen=True, slots=True)
class Source:
    """An authorised source, open as it was at one instant."""

    record: BucketRecord
    name: bytes
    opened: OpenObject
    conditional: bool
    guard: Guard  # what the commit of the copy checks again: the right to write it, and to read this

    @property
    def info(self) -> ObjectInfo:
        """The source's metadata."""
        return self.opened.info


def _check_conditions(call: Call, info: ObjectInfo) -> bool:
    """Whether there are conditions on the source. Raises PreconditionFailed when they do not hold.

    "If the x-amz-copy-source-if-none-match ... condition evaluates to false ... Amazon S3 returns the 412 Precondition
    Failed response code": a copy knows no 304.
    """
    headers = call.request.headers
    if evaluate_conditions(headers, info.etag, info.modified, _PREFIX) is not None:
        failed = ", ".join(_PREFIX + name for name in _CONDITIONS if _PREFIX + name in headers)
        raise S3Error("PreconditionFailed", "A condition on the copy source did not hold.", {"Condition": failed})
    return any(_PREFIX + name in headers for name in _CONDITIONS)


async def _open(call: Call, record: BucketRecord, name: bytes) -> OpenObject:
    """Open the source. What is missing there is told by the source bucket's rules, not by the destination's."""
    try:
        return await call.store.open(bucket_ref(record.data_id, record.name), name)
    except BucketClosed:
        raise S3Error(
            "NoSuchBucket", "The bucket of the copy source does not exist.", {"BucketName": record.name}
        ) from None
    except NoSuchName:
        if may_know_absence(call.principal, record, name):
            raise S3Error(
                "NoSuchKey", "The copy source does not exist.", {"Key": name.decode(errors="replace")}
            ) from None
        raise S3Error("AccessDenied", unknown_absence(call.principal)) from None


@asynccontextmanager
async def open_source(call: Call) -> AsyncGenerator[Source, None]:
    """The object that x-amz-copy-source names, which the principal must be allowed to read."""
    bucket, name = parse_copy_source(call.request.headers.get("x-amz-copy-source", ""))
    record = call.authorize_other(GET_OBJECT, bucket, name)
    opened = await _open(call, record, name)
    try:
        source = bucket_ref(record.data_id, record.name)
        guard = msgspec.structs.replace(call.guard, source=source.data_id, source_name=name)
        yield Source(record, name, opened, _check_conditions(call, opened.info), guard)
    finally:
        opened.close()


def source_span(call: Call, info: ObjectInfo) -> tuple[int, int]:
    """The bytes of x-amz-copy-source-range (start, end exclusive), or all. Raises InvalidArgument.

    "The range value must use the form bytes=first-last, where the first and last are the zero-based byte offsets to
    copy." No suffix, no open end, and nothing outside the object.
    """
    value = call.request.headers.get(_PREFIX + "range")
    if value is None:
        return 0, info.size
    found = _RANGE.fullmatch(value)
    if found is None:
        raise S3Error("InvalidArgument", "x-amz-copy-source-range must have the form bytes=first-last.")
    start, last = int(found[1]), int(found[2])
    if not start <= last < info.size:
        raise S3Error("InvalidArgument", f"Range specified is not valid for source object of size {info.size}.")
    return start, last + 1
