"""HeadBucket, GetBucketLocation, DeleteBucket."""

import msgspec

from cooper_gateway.operations.call import Call
from cooper_gateway.operations.markup import document, text
from cooper_gateway.protocol.messages import Response
from cooper_gateway.storage.port import BucketClosed

#: "Buckets in Region us-east-1 have a LocationConstraint of null." (GetBucketLocation)
_UNNAMED_REGION = "us-east-1"


class Intent(msgspec.Struct, frozen=True, rename="camel"):
    """A DeleteBucket that waits for the operator: kept by the store in the transaction that closed the bucket."""

    bucket: str
    data_id: str
    access_key_id: str


async def _check_open(call: Call) -> None:
    usage = await call.store.usage(call.ref)
    if usage.closed:
        raise BucketClosed


async def head_bucket(call: Call) -> Response:
    """200 when the bucket is there, with its region."""
    await _check_open(call)
    return Response(headers={"x-amz-bucket-region": call.region.tag, "x-amz-access-point-alias": "false"})


async def get_bucket_location(call: Call) -> Response:
    """The bucket's region."""
    await _check_open(call)
    tag = call.region.tag
    return document("LocationConstraint", "" if tag == _UNNAMED_REGION else text(tag))


async def delete_bucket(call: Call) -> Response:
    """Close the empty bucket and leave the intent to delete its resource: the operator authorises it again and acts."""
    intent = Intent(call.record.name, call.record.data_id, call.access_key_id)
    await call.store.close_bucket(call.ref, call.guard, msgspec.json.encode(intent))
    return Response(204)
