"""What the operator asks with its system key: usage; closing, reopening, purging and destroying a bucket; the intents
and the wishes.

The bucket is named by its data (x-cooper-data-id), not by its record: the record may be gone or retained already, and
a new bucket of the same name has other data.
"""

import time
from typing import Final
from uuid import UUID

import msgspec

from cooper_crds.names import bucket_name_problem
from cooper_crds.records import REGION_DIGEST, record_digest
from cooper_gateway.operations.call import Call
from cooper_gateway.operations.create_bucket import MADE
from cooper_gateway.protocol.errors import CODES, S3Error
from cooper_gateway.protocol.messages import Response
from cooper_gateway.storage.port import BucketNotEmpty, BucketRef

DATA_ID_HEADER = "x-cooper-data-id"
#: What of a bucket is to be closed: only what is empty, or with its content.
CONTENT_HEADER = "x-cooper-content"
WITH_CONTENT = "closed"
#: A wish: the name of the bucket that is asked for, the wish's id, and what became of it.
BUCKET_HEADER = "x-cooper-bucket"
WISH_HEADER = "x-cooper-wish"
OUTCOME_HEADER = "x-cooper-outcome"
FORGOTTEN = "forgotten"

#: Seconds that one question purges for: then it is told how far it has come.
PURGE_FOR: Final = 0.1


class _Purged(msgspec.Struct, frozen=True, rename="camel"):
    objects_before: int
    objects: int
    uploads: int


def _ref(call: Call) -> BucketRef:
    """The bucket that the header names. Raises InvalidArgument."""
    try:
        data_id = UUID(call.request.headers.get(DATA_ID_HEADER, ""))
    except ValueError:
        raise S3Error("InvalidArgument", f"{DATA_ID_HEADER} must be the UUID of the bucket's data.") from None
    return BucketRef(data_id.bytes, call.request.bucket or "")


def _json(body: bytes) -> Response:
    return Response(headers={"Content-Type": "application/json"}, body=body)


async def get_usage(call: Call) -> Response:
    """What the bucket holds, as JSON."""
    usage = await call.store.usage(_ref(call))
    return _json(msgspec.json.encode(usage))


async def close_bucket(call: Call) -> Response:
    """Close the bucket if it is empty, or with its content. Raises BucketNotEmpty.

    One that is closed with its content, and is to be so no longer, is opened: who is to empty it must get at it.
    """
    ref, with_content = _ref(call), call.request.headers.get(CONTENT_HEADER) == WITH_CONTENT
    try:
        await call.store.close_bucket(ref, None, b"", with_content=with_content)
    except BucketNotEmpty:
        if (await call.store.usage(ref)).closed:
            await call.store.reopen_bucket(ref)
        raise
    return Response(204)


async def purge_bucket(call: Call) -> Response:
    """Close the bucket and drop what it holds, for a while. What is left, as JSON: to be asked until it is nothing."""
    ref, end = _ref(call), time.monotonic() + PURGE_FOR
    before = (await call.store.usage(ref)).objects
    while await call.store.purge_bucket(ref) and time.monotonic() < end:
        pass
    left = await call.store.usage(ref)
    return _json(msgspec.json.encode(_Purged(before, left.objects, left.uploads)))


async def reopen_bucket(call: Call) -> Response:
    """Open a closed bucket again."""
    await call.store.reopen_bucket(_ref(call))
    return Response(204)


async def destroy_bucket(call: Call) -> Response:
    """Drop what a closed bucket keeps."""
    await call.store.destroy_bucket(_ref(call))
    return Response(204)


async def list_intents(call: Call) -> Response:
    """The DeleteBucket requests that wait for the operator, as a JSON list; and by which settings this worker goes."""
    response = _json(b"[" + b",".join(await call.store.intents()) + b"]")
    response.headers[REGION_DIGEST] = record_digest(call.region)
    return response


async def list_wishes(call: Call) -> Response:
    """The CreateBucket requests that wait for the operator or their client, as a JSON list."""
    return _json(msgspec.json.encode(await call.store.wishes()))


async def settle_wish(call: Call) -> Response:
    """Note what became of a wish, or forget it. Idempotent; one that is another by now stays."""
    headers = call.request.headers
    bucket, wish, outcome = (headers.get(name, "") for name in (BUCKET_HEADER, WISH_HEADER, OUTCOME_HEADER))
    if bucket_name_problem(bucket) or not wish or (outcome not in (MADE, FORGOTTEN) and outcome not in CODES):
        raise S3Error("InvalidArgument", f"{BUCKET_HEADER}, {WISH_HEADER} and {OUTCOME_HEADER} must be given.")
    await call.store.settle_wish(bucket, wish, "" if outcome == FORGOTTEN else outcome)
    return Response(204)
