"""ListParts and ListMultipartUploads."""

from cooper_gateway.operations.call import Call
from cooper_gateway.operations.markup import OWNER, checksum_values, document, iso_time, quoted, text
from cooper_gateway.operations.paging import MAX_KEYS, read_limit, read_number, shown, wants_url_encoding
from cooper_gateway.protocol.messages import Response
from cooper_gateway.storage.port import PartInfo, UploadEntry, UploadInfo

_INITIATOR = OWNER.replace("Owner>", "Initiator>")


def _algorithm(info: UploadInfo | UploadEntry) -> str:
    if info.checksum_algorithm is None:
        return ""
    return (
        f"<ChecksumAlgorithm>{info.checksum_algorithm}</ChecksumAlgorithm>"
        f"<ChecksumType>{info.checksum_kind}</ChecksumType>"
    )


def _part(part: PartInfo) -> str:
    return (
        f"<Part><PartNumber>{part.number}</PartNumber><LastModified>{iso_time(part.modified)}</LastModified>"
        f"{quoted(part.etag)}<Size>{part.size}</Size>{checksum_values(part.checksum)}</Part>"
    )


async def list_parts(call: Call) -> Response:
    """A page of an upload's parts."""
    query = call.request.query
    upload_id = query["uploadId"]
    limit = read_limit(query, "max-parts", MAX_KEYS)
    after = read_number(query, "part-number-marker", 0)
    url = wants_url_encoding(query)
    info = await call.store.upload_info(call.ref, call.name, upload_id)
    found = await call.store.list_parts(call.ref, call.name, upload_id, after, limit + 1)
    page = found[:limit]
    content = (
        f"<Bucket>{text(call.record.name)}</Bucket><Key>{shown(call.name, url)}</Key>",
        f"<UploadId>{text(upload_id)}</UploadId>{_INITIATOR}{OWNER}<StorageClass>STANDARD</StorageClass>",
        f"<PartNumberMarker>{after}</PartNumberMarker>",
        f"<NextPartNumberMarker>{page[-1].number if page else after}</NextPartNumberMarker>",
        f"<MaxParts>{limit}</MaxParts>",
        "<EncodingType>url</EncodingType>" if url else "",
        f"<IsTruncated>{'true' if limit and len(found) > limit else 'false'}</IsTruncated>",
        _algorithm(info),
        "".join(_part(part) for part in page),
    )
    return document("ListPartsResult", "".join(content))


def _upload(entry: UploadEntry, url: bool) -> str:
    return (
        f"<Upload><Key>{shown(entry.name, url)}</Key><UploadId>{text(entry.upload_id)}</UploadId>{_INITIATOR}{OWNER}"
        f"<StorageClass>STANDARD</StorageClass><Initiated>{iso_time(entry.initiated)}</Initiated>"
        f"{_algorithm(entry)}</Upload>"
    )


async def list_multipart_uploads(call: Call) -> Response:
    """A page of the bucket's uploads in progress."""
    query = call.request.query
    prefix, delimiter = query.get("prefix", "").encode(), query.get("delimiter", "").encode()
    key_marker, id_marker = query.get("key-marker", "").encode(), query.get("upload-id-marker", "")
    limit = read_limit(query, "max-uploads", MAX_KEYS)
    url = wants_url_encoding(query)
    # "If key-marker is not specified, the upload-id-marker parameter is ignored."
    # Without the latter, "only the keys lexicographically greater than the specified key-marker are included".
    after = (key_marker, id_marker if key_marker else "")
    listing = await call.store.list_uploads(call.ref, prefix, delimiter, after, limit)
    content = [
        f"<Bucket>{text(call.record.name)}</Bucket><KeyMarker>{shown(key_marker, url)}</KeyMarker>",
        f"<UploadIdMarker>{text(id_marker)}</UploadIdMarker>",
    ]
    if listing.resume is not None:
        name, upload_id = listing.resume
        content.append(f"<NextKeyMarker>{shown(name, url)}</NextKeyMarker>")
        content.append(f"<NextUploadIdMarker>{text(upload_id)}</NextUploadIdMarker>")
    content += (
        f"<Prefix>{shown(prefix, url)}</Prefix>",
        f"<Delimiter>{shown(delimiter, url)}</Delimiter>" if delimiter else "",
        "<EncodingType>url</EncodingType>" if url else "",
        f"<MaxUploads>{limit}</MaxUploads>",
        f"<IsTruncated>{'true' if listing.resume is not None else 'false'}</IsTruncated>",
        "".join(_upload(entry, url) for entry in listing.entries),
        "".join(f"<CommonPrefixes><Prefix>{shown(p, url)}</Prefix></CommonPrefixes>" for p in listing.prefixes),
    )
    return document("ListMultipartUploadsResult", "".join(content))
