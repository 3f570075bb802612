"""DeleteObject and DeleteObjects. Both are idempotent: what is not there is deleted already."""

from cooper_gateway.access.authorize import DENIED, denial
from cooper_gateway.operations.call import Call
from cooper_gateway.operations.markup import document, name_text
from cooper_gateway.operations.receive import read_verified
from cooper_gateway.operations.write_conditions import refuse_conditions
from cooper_gateway.protocol.errors import CODES
from cooper_gateway.protocol.messages import Response
from cooper_gateway.protocol.xml import read_delete


async def delete_object(call: Call) -> Response:
    """Delete one object: 204 whether or not it was there."""
    refuse_conditions(call)
    await call.store.delete(call.ref, (call.name,), call.guard)
    return Response(204)


async def delete_objects(call: Call) -> Response:
    """Delete up to 1,000 objects in one commit, with a result for each name. Those that the key may not are left."""
    request = read_delete(await read_verified(call))
    refusals = {name: call.refusal(name) for name in request.names}
    names = [name for name in request.names if refusals[name] is None]
    if names:
        await call.store.delete(call.ref, names, call.guard)
    results = "" if request.quiet else "".join(map(_deleted, names))
    denied = denial(call.principal, call.route.action, call.request.bucket)
    errors = "".join(_refused(name, code, denied) for name, code in refusals.items() if code is not None)
    return document("DeleteResult", results + errors)


def _deleted(name: bytes) -> str:
    return f"<Deleted><Key>{name_text(name)}</Key></Deleted>"


def _refused(name: bytes, code: str, denied: str | None) -> str:
    message = (denied if code == DENIED else None) or CODES[code][1]
    return f"<Error><Key>{name_text(name)}</Key><Code>{code}</Code><Message>{message}</Message></Error>"
