"""Limits that a request's headers alone can break: checked before a byte of the body is asked for."""

from typing import Final

from cooper_gateway.operations.attributes import read_attributes
from cooper_gateway.operations.call import Call
from cooper_gateway.protocol.errors import S3Error

#: Operations whose body becomes an object or a part of one.
_STORES_BODY: Final = frozenset({"PutObject", "UploadPart"})
#: Operations whose headers become an object's attributes.
_STORES_ATTRIBUTES: Final = frozenset({"PutObject", "CopyObject", "CreateMultipartUpload"})


def too_large(limit: int) -> S3Error:
    """The error of an object over `limit` bytes."""
    return S3Error("EntityTooLarge", f"The object is larger than this bucket allows ({limit} bytes).")


def declared_size(call: Call) -> int:
    """The body's size in bytes. Raises MissingContentLength, EntityTooLarge."""
    size = call.body.size
    if size is None:
        raise S3Error("MissingContentLength")
    if size > call.max_object_size:
        raise too_large(call.max_object_size)
    return size


def check_declared(call: Call) -> None:
    """Raise what the headers alone deserve: EntityTooLarge, MetadataTooLarge, MissingContentLength."""
    operation = call.route.operation
    if operation in _STORES_BODY:
        declared_size(call)
    if operation in _STORES_ATTRIBUTES:
        read_attributes(call.request.headers, call.region.max_metadata_size)
