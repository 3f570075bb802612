"""DeleteObject and DeleteObjects. Both are idempotent: what is not there is deleted already."""

import asyncio
import logging
from typing import Final

from cooper_gateway.access.authorize import DENIED, denial, may_know_absence, unknown_absence
from cooper_gateway.operations.call import Call
from cooper_gateway.operations.markup import document, name_text, text
from cooper_gateway.operations.receive import read_verified
from cooper_gateway.operations.store_codes import code_of, is_fault
from cooper_gateway.operations.write_conditions import check_may_compare, condition_failed, delete_conditions
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Response
from cooper_gateway.protocol.xml import read_delete
from cooper_gateway.storage.port import ConditionFailed, Conditions, StoreError

log = logging.getLogger(__name__)

#: Deletions with an ETag that are on their way together.
_COMPARED_AT_ONCE: Final = 32


async def delete_object(call: Call) -> Response:
    """Delete one object: 204 whether or not it was there, unless If-Match asks for it."""
    conditions = delete_conditions(call)
    try:
        await call.store.delete(call.ref, (call.name,), call.guard, conditions)
    except ConditionFailed:
        raise await condition_failed(call, call.name, conditions) from None
    return Response(204)


async def delete_objects(call: Call) -> Response:
    """Delete up to 1,000 objects, with a result for each name. Those that the key may not are left.

    All are deleted in one commit, but for those with an ETag: each of them has its own, as each may fail by itself.
    """
    request = read_delete(await read_verified(call))
    denied = denial(call.principal, call.route.action, call.request.bucket)
    refused = {name: _refusal(code, denied) for name in request.names if (code := call.refusal(name)) is not None}
    names = [name for name in request.names if name not in refused and name not in request.etags]
    if names:
        await call.store.delete(call.ref, names, call.guard)
    compared = [name for name in request.etags if name not in refused]
    for start in range(0, len(compared), _COMPARED_AT_ONCE):
        some = compared[start : start + _COMPARED_AT_ONCE]
        failures = await asyncio.gather(*(_delete_compared(call, name, request.etags[name]) for name in some))
        refused |= {name: failure for name, failure in zip(some, failures, strict=True) if failure is not None}
    results = "" if request.quiet else "".join(_deleted(name) for name in request.names if name not in refused)
    errors = "".join(_error(name, failure) for name, failure in refused.items())
    return document("DeleteResult", results + errors)


async def _delete_compared(call: Call, name: bytes, etag: str) -> S3Error | None:
    """Delete an object if that is its ETag. Why it was not, or None: what becomes of the others is told as well."""
    try:
        return await _compare_and_delete(call, name, Conditions(if_match=etag))
    except S3Error as error:
        return error
    except StoreError as error:
        if is_fault(error):
            log.error("request %s (DeleteObjects) failed", call.request_id, exc_info=error)
        return S3Error(code_of(error))


async def _compare_and_delete(call: Call, name: bytes, conditions: Conditions) -> S3Error | None:
    check_may_compare(call, name, conditions)
    try:
        await call.store.delete(call.ref, (name,), call.guard, conditions)
    except ConditionFailed:
        failure = await condition_failed(call, name, conditions)
        if failure.code == "NoSuchKey" and not may_know_absence(call.principal, call.record, name):
            return S3Error(DENIED, unknown_absence(call.principal))
        return failure
    return None


def _deleted(name: bytes) -> str:
    return f"<Deleted><Key>{name_text(name)}</Key></Deleted>"


def _refusal(code: str, denied: str | None) -> S3Error:
    return S3Error(code, denied if code == DENIED else None)


def _error(name: bytes, error: S3Error) -> str:
    return (
        f"<Error><Key>{name_text(name)}</Key><Code>{error.code}</Code><Message>{text(error.message)}</Message></Error>"
    )
