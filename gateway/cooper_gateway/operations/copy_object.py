"""CopyObject: another object's bytes under a new name, or new attributes for the same object."""

import msgspec

from cooper_gateway.operations.attributes import attributes_of
from cooper_gateway.operations.call import Call
from cooper_gateway.operations.copy_source import Source, open_source
from cooper_gateway.operations.limits import check_quota, check_type, too_large
from cooper_gateway.operations.markup import checksum_elements, document, iso_time, quoted
from cooper_gateway.operations.receive import copy_bytes, requested_algorithm
from cooper_gateway.operations.write_conditions import condition_failed, write_conditions
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Response
from cooper_gateway.storage.port import Attributes, Checksum, ConditionFailed, Conditions, ObjectInfo

_ILLEGAL_SELF_COPY = (
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
    "metadata, storage class, website redirect location or encryption attributes."
)


def _directive(call: Call) -> str:
    """COPY or REPLACE. Raises InvalidArgument."""
    directive = call.request.headers.get("x-amz-metadata-directive", "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise S3Error("InvalidArgument", "x-amz-metadata-directive must be COPY or REPLACE.")
    return directive


def _pinned(conditions: Conditions, source: Source) -> Conditions:
    """A self-copy with conditions on its source must find at the commit the object that they held for."""
    if source.conditional and conditions.if_match in (None, "*"):
        return msgspec.structs.replace(conditions, if_match=source.info.etag)
    return conditions


def _carried(info: ObjectInfo, algorithm: str | None) -> tuple[str | None, Checksum | None, str | None]:
    """What of the source's identity holds for a copy: its ETag, its checksum; and the algorithm still to be computed.

    A copy is one piece, so the ETag and checksum of an object made of parts do not carry over.
    """
    etag = None if info.part_sizes or "-" in info.etag else info.etag
    stored = info.checksum
    if stored is not None and stored.kind == "FULL_OBJECT" and algorithm in (None, stored.algorithm):
        return etag, stored, None
    return etag, None, algorithm or (stored.algorithm if stored is not None else None)


async def _rewrite(
    call: Call, source: Source, attributes: Attributes, algorithm: str | None, conditions: Conditions
) -> ObjectInfo:
    """Copy the bytes into a new object."""
    info = source.info
    etag, checksum, to_compute = _carried(info, algorithm)
    writer = call.store.writer(call.ref, info.size)
    try:
        copied = await copy_bytes(source.opened, 0, info.size, writer, to_compute, with_etag=etag is None)
        return await call.store.put(
            call.ref,
            call.name,
            copied.segment,
            etag or copied.etag,
            attributes,
            checksum or copied.checksum,
            conditions,
            source.guard,
        )
    finally:
        writer.abort()


async def _copy(
    call: Call, source: Source, directive: str, replacing: Attributes, algorithm: str | None, conditions: Conditions
) -> ObjectInfo:
    """Make the copy: an object onto itself gets new attributes and keeps its bytes."""
    onto_itself = (source.record.data_id, source.name) == (call.record.data_id, call.name)
    if onto_itself and directive == "COPY":
        raise S3Error("InvalidRequest", _ILLEGAL_SELF_COPY)
    attributes = replacing if directive == "REPLACE" else source.info.attributes
    check_type(call, attributes)
    if onto_itself:
        conditions = _pinned(conditions, source)
    try:
        if onto_itself and _carried(source.info, algorithm)[2] is None:
            return await call.store.replace_attributes(call.ref, call.name, attributes, conditions, source.guard)
        return await _rewrite(call, source, attributes, algorithm, conditions)
    except ConditionFailed:
        raise await condition_failed(call, call.name, conditions) from None


async def copy_object(call: Call) -> Response:
    """Copy an object within or between buckets. Raises InvalidRequest for a copy onto itself that changes nothing."""
    directive, algorithm = _directive(call), requested_algorithm(call.request.headers)
    replacing = attributes_of(call)
    conditions = write_conditions(call)
    async with open_source(call) as source:
        if source.info.size > call.max_object_size:
            raise too_large(call.max_object_size)
        await check_quota(call, source.info.size)
        copy = await _copy(call, source, directive, replacing, algorithm, conditions)
    return document(
        "CopyObjectResult",
        f"<LastModified>{iso_time(copy.modified)}</LastModified>{quoted(copy.etag)}{checksum_elements(copy.checksum)}",
    )
