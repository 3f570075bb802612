"""If-Match and If-None-Match of a write: the store decides them inside the commit."""

from cooper_gateway.operations.call import Call
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.storage.port import Conditions

_NONE = Conditions()


def write_conditions(call: Call) -> Conditions:
    """The conditions that a PutObject, CopyObject or CompleteMultipartUpload makes. Raises NotImplemented.

    "If-None-Match: ... Expects the '*' (asterisk) character." (PutObject)
    """
    headers = call.request.headers
    wanted, unwanted = headers.get("if-match"), headers.get("if-none-match")
    if wanted is None and unwanted is None:
        return _NONE
    if unwanted is not None and unwanted.strip() != "*":
        raise S3Error("NotImplemented", "If-None-Match on a write can only be *.")
    if wanted is not None and "," in wanted:
        raise S3Error("NotImplemented", "If-Match on a write takes one ETag.")
    return Conditions(
        if_match=None if wanted is None else _tag(wanted.strip()),
        if_none_match=None if unwanted is None else "*",
    )


def _tag(value: str) -> str:
    """An ETag without its quotes, or `*`. In quotes a star is an ETag like any other (RFC 9110, 13.1.1): nobody's."""
    unquoted = value.strip('"')
    return value if unquoted == "*" else unquoted


async def raise_if_missing(call: Call, conditions: Conditions) -> None:
    """Say NoSuchKey instead of PreconditionFailed when an If-Match failed because there is no object.

    "If the object key name doesn't exist, the operation returns a 404 Not Found error." (conditional writes)
    """
    if conditions.if_match is not None:
        opened = await call.store.open(call.ref, call.name)
        opened.close()


def refuse_conditions(call: Call) -> None:
    """Raise NotImplemented when a delete has conditions: ignoring one would delete what the client wants to keep."""
    if "if-match" in call.request.headers:
        raise S3Error("NotImplemented", "Cooper does not implement If-Match on a delete.")
