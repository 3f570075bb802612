"""DeleteObject and DeleteObjects. Both are idempotent: what is not there is deleted already."""

from cooper_gateway.operations.call import Call
from cooper_gateway.operations.markup import document, name_text
from cooper_gateway.operations.receive import read_verified
from cooper_gateway.operations.write_conditions import refuse_conditions
from cooper_gateway.protocol.messages import Response
from cooper_gateway.protocol.xml import read_delete


async def delete_object(call: Call) -> Response:
    """Delete one object: 204 whether or not it was there."""
    refuse_conditions(call)
    await call.store.delete(call.ref, (call.name,), call.guard)
    return Response(204)


async def delete_objects(call: Call) -> Response:
    """Delete up to 1,000 objects in one commit, with a result for each name."""
    request = read_delete(await read_verified(call))
    await call.store.delete(call.ref, request.names, call.guard)
    results = "" if request.quiet else "".join(map(_deleted, request.names))
    return document("DeleteResult", results)


def _deleted(name: bytes) -> str:
    return f"<Deleted><Key>{name_text(name)}</Key></Deleted>"
