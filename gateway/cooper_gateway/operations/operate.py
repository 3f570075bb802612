"""What the operator asks with its system key: usage, closing, reopening and destroying a bucket, and the intents.

The bucket is named by its data (x-cooper-data-id), not by its record: the record may be gone or retained already, and
a new bucket of the same name has other data.
"""

from uuid import UUID

import msgspec

from cooper_crds.records import REGION_DIGEST, record_digest
from cooper_gateway.operations.call import Call
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Response
from cooper_gateway.storage.port import BucketRef

DATA_ID_HEADER = "x-cooper-data-id"


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
    """Close the bucket if it is empty. Raises BucketNotEmpty."""
    await call.store.close_bucket(_ref(call), None, b"")
    return Response(204)


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
