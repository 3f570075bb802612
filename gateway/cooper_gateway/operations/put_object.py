"""PutObject: one body becomes one object, visible only when all of it arrived and verified."""

from cooper_gateway.operations.attributes import attributes_of
from cooper_gateway.operations.call import Call
from cooper_gateway.operations.get_object import checksum_headers
from cooper_gateway.operations.limits import check_quota, check_type, declared_size
from cooper_gateway.operations.receive import receive
from cooper_gateway.operations.write_conditions import condition_failed, write_conditions
from cooper_gateway.protocol.messages import Response
from cooper_gateway.storage.port import ConditionFailed, ObjectInfo


async def put_object(call: Call) -> Response:
    """Store the body as an object. Raises EntityTooLarge, BadDigest, PreconditionFailed, MetadataTooLarge …"""
    info = await store_object(call, declared_size(call))
    return Response(headers={"ETag": f'"{info.etag}"', **checksum_headers(info)})


async def store_object(call: Call, size: int) -> ObjectInfo:
    """Make the body the object. `size` is how many bytes it has, or has at least. Raises as `put_object` does."""
    attributes = attributes_of(call)
    check_type(call, attributes)
    conditions = write_conditions(call)
    await check_quota(call, size)
    ref = call.ref
    writer = call.store.writer(ref, size)
    try:
        body = await receive(call, writer)
        return await call.store.put(
            ref, call.name, body.segment, body.etag, attributes, body.checksum, conditions, call.guard
        )
    except ConditionFailed:
        raise await condition_failed(call, call.name, conditions) from None
    finally:
        writer.abort()
