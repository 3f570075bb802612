"""CompleteMultipartUpload: the parts that the client names become one object, without rewriting a byte."""

import re
from collections.abc import Sequence
from typing import Final

from cooper_gateway.operations.call import Call
from cooper_gateway.operations.limits import too_large
from cooper_gateway.operations.markup import checksum_elements, document, quoted, text
from cooper_gateway.operations.paging import shown
from cooper_gateway.operations.write_conditions import condition_failed, write_conditions
from cooper_gateway.protocol.checksums import check_md5, compose, multipart_etag, named_algorithm, object_checksum
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Response
from cooper_gateway.protocol.xml import MAX_DOCUMENT, MAX_PARTS, CompletedPart, read_complete
from cooper_gateway.storage.port import (
    Checksum,
    ConditionFailed,
    InvalidPart,
    NoSuchUpload,
    ObjectInfo,
    PartInfo,
    UploadInfo,
)

_MD5: Final = re.compile(r"[0-9a-f]{32}")


def composed_etag(parts: Sequence[CompletedPart]) -> str:
    """The ETag of an object made of parts: the MD5 of the parts' MD5s, and their number. Raises InvalidPart."""
    if not all(_MD5.fullmatch(part.etag) for part in parts):
        raise InvalidPart
    return multipart_etag([part.etag for part in parts])


def _choose(wanted: Sequence[CompletedPart], stored: Sequence[PartInfo]) -> list[PartInfo]:
    """The stored parts that the client names, in its order. Raises InvalidPart."""
    by_number = {part.number: part for part in stored}
    chosen: list[PartInfo] = []
    for want in wanted:
        part = by_number.get(want.number)
        if part is None or part.etag != want.etag:
            raise InvalidPart
        known = {} if part.checksum is None else {part.checksum.algorithm: part.checksum.value}
        if not want.checksums.items() <= known.items():
            raise InvalidPart
        chosen.append(part)
    return chosen


def _composed(upload: UploadInfo, parts: Sequence[PartInfo]) -> Checksum | None:
    """The object's checksum, from those of its parts."""
    algorithm = upload.checksum_algorithm
    if algorithm is None:
        return None
    values = [(part.checksum.value, part.size) for part in parts if part.checksum is not None]
    if len(values) != len(parts):
        raise InvalidPart
    return Checksum(algorithm, compose(named_algorithm(algorithm), upload.checksum_kind, values), upload.checksum_kind)


def _check_declared(call: Call, upload: UploadInfo, checksum: Checksum | None, size: int) -> None:
    """What the client says of the whole object must be so. Raises InvalidRequest, BadDigest."""
    headers = call.request.headers
    kind = headers.get("x-amz-checksum-type")
    if kind is not None and kind.upper() != upload.checksum_kind:
        raise S3Error("InvalidRequest", f"The upload was created with the checksum type {upload.checksum_kind}.")
    declared_size = headers.get("x-amz-mp-object-size")
    if declared_size is not None and declared_size != str(size):
        raise S3Error("InvalidRequest", f"x-amz-mp-object-size is not the size of the parts, {size}.")
    declared = object_checksum(headers)
    if declared is None:
        return
    name = declared[0].name
    if checksum is None or name != checksum.algorithm:
        raise S3Error("InvalidRequest", f"The upload was not created with the checksum algorithm {name}.")
    if declared[1] not in (checksum.value, checksum.value.partition("-")[0]):
        raise S3Error("BadDigest", f"The {name} that you sent is not that of the parts.")


async def _complete(call: Call, wanted: Sequence[CompletedPart]) -> ObjectInfo:
    upload_id, ref = call.request.query["uploadId"], call.ref
    named = [(part.number, part.etag) for part in wanted]
    conditions = write_conditions(call)
    checksum: Checksum | None = None
    try:
        upload = await call.store.upload_info(ref, call.name, upload_id)
        chosen = _choose(wanted, await call.store.list_parts(ref, call.name, upload_id, 0, MAX_PARTS))
        size = sum(part.size for part in chosen)
        if size > call.max_object_size:
            raise too_large(call.max_object_size)
        checksum = _composed(upload, chosen)
        _check_declared(call, upload, checksum, size)
    except NoSuchUpload:
        # Complete already, perhaps: the client did not see the answer and asks again. The store knows for a day.
        if not all(_MD5.fullmatch(part.etag) for part in wanted):
            raise
    etag = composed_etag(wanted)
    try:
        return await call.store.complete_upload(
            ref, call.name, upload_id, named, etag, checksum, conditions, call.guard
        )
    except ConditionFailed:
        raise await condition_failed(call, call.name, conditions) from None


async def complete_multipart_upload(call: Call) -> Response:
    """Make the object. Repeating a completion that succeeded gives the same answer."""
    body = await call.body.read(MAX_DOCUMENT)
    check_md5(call.request.headers, body)  # checksums of SDKs are the object's here, not the body's
    wanted = read_complete(body)
    info = await _complete(call, wanted)
    bucket = call.record.name
    return document(
        "CompleteMultipartUploadResult",
        f"<Location>{text(call.location)}</Location><Bucket>{text(bucket)}</Bucket><Key>{shown(call.name, False)}</Key>"
        f"{quoted(info.etag)}{checksum_elements(info.checksum)}",
    )
