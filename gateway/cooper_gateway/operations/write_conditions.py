"""If-Match and If-None-Match of a write: the store decides them inside the commit."""

from cooper_crds.actions import GET_OBJECT
from cooper_gateway.operations.call import Call
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.ranges import entity_tag
from cooper_gateway.storage.port import NO_CONDITIONS, Conditions, NoSuchName


def write_conditions(call: Call) -> Conditions:
    """The conditions of a PutObject, CopyObject or CompleteMultipartUpload. Raises NotImplemented, AccessDenied.

    "If-None-Match: ... Expects the '*' (asterisk) character." (PutObject)
    """
    headers = call.request.headers
    wanted, unwanted = headers.get("if-match"), headers.get("if-none-match")
    if wanted is None and unwanted is None:
        return NO_CONDITIONS
    if unwanted is not None and unwanted.strip() != "*":
        raise S3Error("NotImplemented", "If-None-Match on a write can only be *.")
    if wanted is not None and "," in wanted:
        raise S3Error("NotImplemented", "If-Match on a write takes one ETag.")
    conditions = Conditions(
        if_match=None if wanted is None else entity_tag(wanted.strip()),
        if_none_match=None if unwanted is None else "*",
    )
    check_may_compare(call, call.name, conditions)
    return conditions


def delete_conditions(call: Call) -> Conditions:
    """The condition that a DeleteObject makes. Raises NotImplemented, AccessDenied."""
    if "if-none-match" in call.request.headers:
        raise S3Error("NotImplemented", "If-None-Match on a delete is not implemented: it takes If-Match.")
    return write_conditions(call)


def check_may_compare(call: Call, name: bytes, conditions: Conditions) -> None:
    """Raise AccessDenied where a write compares the ETag of an object that the key may not read.

    "To perform a conditional delete using If-Match header with ETag value, you must have the s3:DeleteObject and
    s3:GetObject permissions." (conditional deletes) By trying, a key could learn an ETag otherwise.
    """
    if conditions.if_match not in (None, "*"):
        call.authorize_other(GET_OBJECT, call.record.name, name)


async def condition_failed(call: Call, name: bytes, conditions: Conditions) -> S3Error:
    """What to say where a condition of a write did not hold: NoSuchKey when an If-Match found no object.

    "If the object key name doesn't exist, the operation returns a 404 Not Found error." (conditional writes)
    """
    if conditions.if_match is None:
        return S3Error("PreconditionFailed", None, {"Condition": "If-None-Match"})
    try:
        opened = await call.store.open(call.ref, name)
    except NoSuchName:
        return S3Error("NoSuchKey")
    opened.close()
    return S3Error("PreconditionFailed", None, {"Condition": "If-Match"})
