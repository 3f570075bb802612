"""Limits that a request's headers alone can break: checked before a byte of the body is asked for."""

import re
from fnmatch import fnmatchcase
from typing import Final

from cooper_gateway.operations.attributes import DEFAULT_CONTENT_TYPE, attributes_of
from cooper_gateway.operations.call import Call
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.payload import content_length
from cooper_gateway.protocol.post_form import least_size
from cooper_gateway.storage.port import NO_QUOTA, Attributes, NoSuchName

#: Operations whose body becomes an object or a part of one.
_STORES_BODY: Final = frozenset({"PutObject", "UploadPart"})
#: Operations whose headers become an object's attributes.
_STORES_ATTRIBUTES: Final = frozenset({"PutObject", "PostObject", "CopyObject", "CreateMultipartUpload"})
# RFC 9110, 8.3.1: type "/" subtype, both tokens. What is none of a token's characters ends the type for a browser.
_TYPE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z/-]*")


def too_large(limit: int) -> S3Error:
    """The error of an object over `limit` bytes."""
    return S3Error("EntityTooLarge", f"The object is larger than this bucket allows ({limit} bytes).")


def check_type(call: Call, attributes: Attributes) -> None:
    """Raise ContentTypeNotAllowed unless the bucket takes objects of this content type. Parameters play no part."""
    patterns = call.record.content_types
    if not patterns:
        return
    for named in _named_types(attributes.headers.get("content-type", DEFAULT_CONTENT_TYPE)):
        if not _TYPE.fullmatch(named) or not any(fnmatchcase(named, pattern) for pattern in patterns):
            raise S3Error(
                "ContentTypeNotAllowed",
                f"This bucket takes objects of {', '.join(patterns)}, and this one is {named:.127}.",
            )


def _named_types(value: str) -> list[str]:
    """Every type that a reader may take a Content-Type to name.

    To a browser the last of several counts, and what has no slash is none (Fetch, "extract a MIME type"). Where a
    quoted string with a comma ends they do not agree, so here it has no quotes.
    """
    first, *others = (part.partition(";")[0].strip(" \t").lower() for part in value.split(","))
    return [first, *(each for each in others if "/" in each)]


async def check_quota(call: Call, size: int) -> None:
    """Raise QuotaExceeded where the commit is going to: before the body is taken in. `size` in bytes."""
    quota = call.guard.quota
    if quota == NO_QUOTA:
        return
    held = await call.store.usage(call.ref)
    in_use = held.size + held.parts_size
    if not quota.forbids(held.objects, in_use, 1, size):
        return
    replaced = await _size_of(call)
    if replaced is None or quota.forbids(held.objects, in_use, 0, size - replaced):
        raise S3Error("QuotaExceeded")


async def _size_of(call: Call) -> int | None:
    """The size of the object that is there now."""
    try:
        opened = await call.store.open(call.ref, call.name)
    except NoSuchName:
        return None
    opened.close()
    return opened.info.size


def declared_size(call: Call) -> int:
    """The body's size in bytes. Raises MissingContentLength, EntityTooLarge."""
    size = call.body.size
    if size is None:
        raise S3Error("MissingContentLength")
    if size > call.max_object_size:
        raise too_large(call.max_object_size)
    return size


def least_file(call: Call) -> int:
    """Bytes that the file of a form has at least. Raises EntityTooLarge; InvalidRequest when there is no form."""
    if call.form is None:
        raise S3Error(
            "InvalidRequest",
            "A POST to a bucket is an upload by form (multipart/form-data), which is signed by its policy: leave other "
            "signatures out. Use PUT to upload without a form.",
        )
    size = least_size(call.form, content_length(call.request.headers) or 0)
    if size > call.max_object_size:
        raise too_large(call.max_object_size)
    return size


def check_declared(call: Call) -> None:
    """Raise what the headers alone deserve: EntityTooLarge, MetadataTooLarge, ContentTypeNotAllowed …"""
    operation = call.route.operation
    if operation in _STORES_BODY:
        declared_size(call)
    if operation == "PostObject":
        least_file(call)
    if operation in _STORES_ATTRIBUTES:
        attributes = attributes_of(call)
        if operation != "CopyObject":  # a copy may have its source's
            check_type(call, attributes)
