"""GetObject and HeadObject: one decision about what to answer, and three ways to send it.

Small objects are answered at once (`now_*`, no task is made), large ones are streamed; a HEAD never reads bytes.
"""

from collections.abc import AsyncIterator
from typing import Final

from cooper_crds.records import BucketRecord
from cooper_gateway.access.principals import Anonymous
from cooper_gateway.operations.attributes import STORED_HEADERS, attribute_headers, check_value
from cooper_gateway.operations.call import Call, bucket_ref
from cooper_gateway.operations.paging import read_number
from cooper_gateway.protocol.dates import to_http_date
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request, Response
from cooper_gateway.protocol.ranges import evaluate_conditions, parse_range, range_still_holds
from cooper_gateway.protocol.xml import MAX_PARTS
from cooper_gateway.storage.port import ObjectInfo, OpenObject, Store

#: The header that says, truthfully, how an object is kept, and what it says.
ENCRYPTION: Final = "x-amz-server-side-encryption"
OURS: Final = "AES256"
_OVERRIDE = "response-"
_READS: Final = frozenset({"GetObject", "HeadObject"})
#: Headers that `decide` looks at, or who renders its answer.
_LOOKED_AT: Final = frozenset(
    {
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "origin",
        "range",
        "x-amz-checksum-mode",
    }
)
_EMPTY: tuple[int, int] = (0, 0)


class ObjectStream:
    """The bytes of an open object as a response's body. `aclose` releases the object, also when nothing was read."""

    def __init__(self, opened: OpenObject, start: int, end: int) -> None:
        self._opened = opened
        self._chunks = opened.read(start, end)

    def __aiter__(self) -> AsyncIterator[bytes | bytearray]:
        return self

    async def __anext__(self) -> bytes | bytearray:
        try:
            return await anext(self._chunks)
        except BaseException:
            self._opened.close()
            raise

    async def aclose(self) -> None:
        """Release the object. Idempotent."""
        self._opened.close()
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()


def entity_headers(info: ObjectInfo) -> dict[str, str]:
    """The headers that describe an object, whatever part of it is sent."""
    headers = attribute_headers(info.attributes)
    headers["Accept-Ranges"] = "bytes"
    headers["ETag"] = f'"{info.etag}"'
    headers["Last-Modified"] = to_http_date(info.modified // 1000)
    return headers


def checksum_headers(info: ObjectInfo) -> dict[str, str]:
    """The headers that tell an object's checksum, or none."""
    checksum = info.checksum
    if checksum is None:
        return {}
    return {
        f"x-amz-checksum-{checksum.algorithm.lower()}": checksum.value,
        "x-amz-checksum-type": checksum.kind,
    }


def _overrides(call: Call) -> dict[str, str]:
    """The headers that response-* parameters replace. Raises InvalidRequest for anonymous requests.

    "You must sign the request, either using an Authorization header or a presigned URL, when using these parameters.
    They can't be used with an unsigned (anonymous) request." (GetObject)
    """
    headers: dict[str, str] = {}
    for parameter, value in call.request.query.items():
        spelled = STORED_HEADERS.get(parameter[len(_OVERRIDE) :]) if parameter.startswith(_OVERRIDE) else None
        if spelled is not None:
            headers[spelled] = check_value(parameter, value).encode().decode("latin-1")
    if headers and isinstance(call.principal, Anonymous):
        raise S3Error("InvalidRequest", "response-* parameters cannot be used in anonymous requests.")
    return headers


def _part_span(info: ObjectInfo, number: int) -> tuple[int, int]:
    """Where part `number` lies. Raises InvalidPartNumber."""
    sizes = info.part_sizes or (info.size,)
    if number > len(sizes):
        raise S3Error("InvalidPartNumber", f"The object has {len(sizes)} parts.", Content_Range=f"bytes */{info.size}")
    start = sum(sizes[: number - 1])
    return start, start + sizes[number - 1]


def _wanted(request: Request, info: ObjectInfo, headers: dict[str, str]) -> tuple[int, int] | None:
    """The part of the object that is asked for (start, end exclusive), or None for all of it."""
    asked = request.headers.get("range")
    if "partNumber" in request.query:
        if asked is not None:
            raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter.")
        number = read_number(request.query, "partNumber", 1, least=1, most=MAX_PARTS)
        if info.part_sizes:
            headers["x-amz-mp-parts-count"] = str(len(info.part_sizes))
        return _part_span(info, number) if info.size else None
    if asked is None or not range_still_holds(request.headers, info.etag, info.modified):
        return None
    return parse_range(asked, info.size)


def _not_modified(headers: dict[str, str]) -> Response:
    """RFC 9110, 15.4.5: a 304 has the validators and what a cache needs, and no content."""
    kept = ("Cache-Control", "ETag", "Expires", "Last-Modified")
    return Response(304, {name: headers[name] for name in kept if name in headers})


def decide(call: Call, info: ObjectInfo) -> tuple[Response, tuple[int, int]]:
    """What to answer about `info`: a response without its body, and the bytes (start, end) that a GET sends.

    Raises S3Error PreconditionFailed, InvalidRange, InvalidPartNumber, InvalidRequest.
    """
    request = call.request
    headers = entity_headers(info)
    verdict = evaluate_conditions(request.headers, info.etag, info.modified)
    if verdict == 412:
        failed = "If-Match" if "if-match" in request.headers else "If-Unmodified-Since"
        raise S3Error("PreconditionFailed", None, {"Condition": failed})
    if verdict == 304:
        return _not_modified(headers), _EMPTY
    span = _wanted(request, info, headers) if "range" in request.headers or request.query else None
    if request.query:
        headers.update(_overrides(call))
    if span is None:
        if request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            headers.update(checksum_headers(info))
        return Response(200, headers, length=info.size), (0, info.size)
    start, end = span
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{info.size}"
    return Response(206, headers, length=end - start), span


def is_plain(request: Request, operation: str) -> bool:
    """Whether a request without a query is a read whose answer follows from the object alone."""
    return operation in _READS and _LOOKED_AT.isdisjoint(request.headers)


def plain_headers(info: ObjectInfo) -> dict[str, str]:
    """The headers that a plain read of an object is answered with."""
    headers = entity_headers(info)
    headers[ENCRYPTION] = OURS
    return headers


def read_plainly(store: Store, bucket: BucketRecord, name: bytes, operation: str) -> tuple[ObjectInfo, bytes] | None:
    """What a plain read is answered with; None for what cannot be read without waiting. Raises what `peek` raises."""
    heads = operation == "HeadObject"
    found = store.peek(bucket_ref(bucket.data_id, bucket.name), name, 0, 0 if heads else None)
    if found is None or found[0].part_sizes:  # what is told of parts is not worth keeping
        return None
    info, body = found
    if heads:
        return info, b""
    return None if body is None else (info, body)


def now_head_object(call: Call) -> Response | None:
    """HeadObject without waiting."""
    found = call.store.peek(call.ref, call.name, 0, 0)
    return None if found is None else decide(call, found[0])[0]


def now_get_object(call: Call) -> Response | None:
    """GetObject without waiting, for objects that lie inline."""
    found = call.store.peek(call.ref, call.name)
    if found is None or found[1] is None:
        return None
    response, (start, end) = decide(call, found[0])
    response.body = found[1] if end - start == len(found[1]) else found[1][start:end]
    return response


async def head_object(call: Call) -> Response:
    """An object's headers."""
    at_once = now_head_object(call)
    if at_once is not None:
        return at_once
    opened = await call.store.open(call.ref, call.name)
    try:
        return decide(call, opened.info)[0]
    finally:
        opened.close()


async def get_object(call: Call) -> Response:
    """An object's bytes, streamed."""
    opened = await call.store.open(call.ref, call.name)
    try:
        response, (start, end) = decide(call, opened.info)
    except S3Error:
        opened.close()
        raise
    if start == end:
        opened.close()
    else:
        response.body = ObjectStream(opened, start, end)
    return response
