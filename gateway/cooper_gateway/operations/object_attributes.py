"""GetObjectAttributes: of an object, what the client names, without its bytes."""

from collections.abc import Mapping
from typing import Final

from cooper_gateway.access.principals import Anonymous
from cooper_gateway.operations.call import Call
from cooper_gateway.operations.markup import checksum_elements, checksum_values, document
from cooper_gateway.operations.paging import MAX_KEYS, read_limit, read_number
from cooper_gateway.protocol.dates import to_http_date
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Response
from cooper_gateway.storage.port import ObjectInfo

_WANTED: Final = "x-amz-object-attributes"
_MAX_PARTS: Final = "x-amz-max-parts"
_MARKER: Final = "x-amz-part-number-marker"


def _etag(info: ObjectInfo, _: Mapping[str, str]) -> str:
    return f"<ETag>{info.etag}</ETag>"  # without quotes: only here


def _checksum(info: ObjectInfo, _: Mapping[str, str]) -> str:
    return f"<Checksum>{checksum_elements(info.checksum)}</Checksum>" if info.checksum is not None else ""


def _parts(info: ObjectInfo, headers: Mapping[str, str]) -> str:
    """A page of the parts; nothing of an object that was not made of parts.

    "if an additional checksum [...] isn't applied to the object specified in the request, the response doesn't return
    the Part element" (GetObjectAttributes).
    """
    limit = read_limit(dict(headers), _MAX_PARTS, MAX_KEYS)
    after = read_number(dict(headers), _MARKER, 0)
    total = len(info.part_sizes)
    if not total:
        return ""
    last = min(after + limit, total)
    shown = range(after + 1, last + 1) if info.checksum is not None else range(0)
    parts = "".join(_part(info, number) for number in shown)
    return (
        f"<ObjectParts><PartsCount>{total}</PartsCount><PartNumberMarker>{after}</PartNumberMarker>"
        f"<NextPartNumberMarker>{max(last, after)}</NextPartNumberMarker><MaxParts>{limit}</MaxParts>"
        f"<IsTruncated>{'true' if last < total else 'false'}</IsTruncated>{parts}</ObjectParts>"
    )


def _part(info: ObjectInfo, number: int) -> str:
    checksum = info.part_checksums[number - 1] if info.part_checksums else None
    return (
        f"<Part><PartNumber>{number}</PartNumber><Size>{info.part_sizes[number - 1]}</Size>"
        f"{checksum_values(checksum)}</Part>"
    )


def _storage_class(info: ObjectInfo, _: Mapping[str, str]) -> str:
    del info
    return "<StorageClass>STANDARD</StorageClass>"


def _size(info: ObjectInfo, _: Mapping[str, str]) -> str:
    return f"<ObjectSize>{info.size}</ObjectSize>"


#: What may be asked for, in the order of the answer.
_ATTRIBUTES: Final = {
    "ETag": _etag,
    "Checksum": _checksum,
    "ObjectParts": _parts,
    "StorageClass": _storage_class,
    "ObjectSize": _size,
}


def _wanted(headers: Mapping[str, str]) -> set[str]:
    """The attributes that the request names. Raises InvalidArgument."""
    named = {name.strip() for name in headers.get(_WANTED, "").split(",")}
    if not named <= _ATTRIBUTES.keys():
        raise S3Error("InvalidArgument", f"{_WANTED} must name some of {', '.join(_ATTRIBUTES)}, joined by commas.")
    return named


async def get_object_attributes(call: Call) -> Response:
    """What the request names of an object, as XML."""
    if isinstance(call.principal, Anonymous):  # of a public bucket's objects strangers get bytes and headers
        raise S3Error("AccessDenied")
    headers = call.request.headers
    wanted = _wanted(headers)
    opened = await call.store.open(call.ref, call.name)
    info = opened.info
    opened.close()
    content = "".join(show(info, headers) for name, show in _ATTRIBUTES.items() if name in wanted)
    last_modified = {"Last-Modified": to_http_date(info.modified // 1000)}
    return document("GetObjectAttributesResponse", content, last_modified)
