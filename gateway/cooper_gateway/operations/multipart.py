"""CreateMultipartUpload, UploadPart, UploadPartCopy, AbortMultipartUpload."""

from cooper_gateway.operations.attributes import read_attributes
from cooper_gateway.operations.call import Call
from cooper_gateway.operations.copy_source import open_source, source_span
from cooper_gateway.operations.limits import check_quota, check_type, declared_size, too_large
from cooper_gateway.operations.markup import checksum_values, document, iso_time, quoted, text
from cooper_gateway.operations.paging import read_number, shown
from cooper_gateway.operations.receive import copy_bytes, receive, requested_algorithm
from cooper_gateway.protocol.checksums import Kind, multipart_kind, named_algorithm
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Response
from cooper_gateway.protocol.xml import MAX_PARTS
from cooper_gateway.storage.port import UploadInfo


def _kind(algorithm: str | None, asked: str | None) -> Kind:
    """The checksum's kind over parts. Raises InvalidRequest for one that the algorithm cannot have."""
    if algorithm is not None:
        return multipart_kind(named_algorithm(algorithm), asked)
    if asked is not None:
        raise S3Error("InvalidRequest", "x-amz-checksum-type needs x-amz-checksum-algorithm.")
    return "COMPOSITE"


async def create_multipart_upload(call: Call) -> Response:
    """Begin an upload: attributes and the checksum's algorithm are fixed now."""
    headers = call.request.headers
    attributes = read_attributes(headers, call.region.max_metadata_size)
    check_type(call, attributes)
    algorithm = requested_algorithm(headers)
    kind = _kind(algorithm, headers.get("x-amz-checksum-type"))
    upload = UploadInfo(call.name, int(call.now * 1000), attributes, algorithm, kind)
    upload_id = await call.store.create_upload(call.ref, upload, call.guard)
    shown_checksum = {} if algorithm is None else {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
    return document(
        "InitiateMultipartUploadResult",
        f"<Bucket>{text(call.record.name)}</Bucket><Key>{shown(call.name, False)}</Key>"
        f"<UploadId>{text(upload_id)}</UploadId>",
        shown_checksum,
    )


def _part_number(call: Call) -> int:
    return read_number(call.request.query, "partNumber", 0, least=1, most=MAX_PARTS)


async def upload_part(call: Call) -> Response:
    """Store the body as a part. Raises NoSuchUpload before it asks for the body."""
    number, upload_id, ref = _part_number(call), call.request.query["uploadId"], call.ref
    size = declared_size(call)
    upload = await call.store.upload_info(ref, call.name, upload_id)
    await check_quota(call, size)
    writer = call.store.writer(ref, size)
    try:
        body = await receive(call, writer, upload.checksum_algorithm)
        part = await call.store.put_part(
            ref, call.name, upload_id, number, body.segment, body.etag, body.checksum, call.guard
        )
    finally:
        writer.abort()
    headers = {"ETag": f'"{part.etag}"'}
    if part.checksum is not None:
        headers[f"x-amz-checksum-{part.checksum.algorithm.lower()}"] = part.checksum.value
    return Response(headers=headers)


async def upload_part_copy(call: Call) -> Response:
    """Store bytes of another object as a part."""
    number, upload_id, ref = _part_number(call), call.request.query["uploadId"], call.ref
    upload = await call.store.upload_info(ref, call.name, upload_id)
    async with open_source(call) as source:
        start, end = source_span(call, source.info)
        if end - start > call.max_object_size:
            raise too_large(call.max_object_size)
        await check_quota(call, end - start)
        writer = call.store.writer(ref, end - start)
        try:
            copied = await copy_bytes(source.opened, start, end, writer, upload.checksum_algorithm)
            part = await call.store.put_part(
                ref, call.name, upload_id, number, copied.segment, copied.etag, copied.checksum, source.guard
            )
        finally:
            writer.abort()
    return document(
        "CopyPartResult",
        f"<LastModified>{iso_time(part.modified)}</LastModified>{quoted(part.etag)}{checksum_values(part.checksum)}",
    )


async def abort_multipart_upload(call: Call) -> Response:
    """Drop an upload and its parts."""
    await call.store.abort_upload(call.ref, call.name, call.request.query["uploadId"], call.guard)
    return Response(204)
