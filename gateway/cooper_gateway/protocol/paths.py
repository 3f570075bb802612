"""Request targets and copy sources: from raw bytes to a bucket, an object name and a query.

Paths are never normalised: `//`, `.`, `..` and backslashes are ordinary bytes of an object's name.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from cooper_crds.names import MAX_OBJECT_NAME_BYTES, bucket_name_problem
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request

# RFC 3986, 2.1: a percent sign is followed by two hex digits. Which bytes may stand raw is framing's to judge.
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
#: A token (RFC 9110, 5.6.2): what may stand as a header's name.
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PUBLIC: Final = b"/public/"
#: Most headers that a presigned request has in its query: as many as a request may have at all.
_MAX_HOISTED: Final = 100
#: Parameters that are never headers in disguise: those of the signature, and checksums, which SDKs compute over the
#: empty body they have when they presign (Amazon S3 ignores them there too).
_NEVER_HEADERS: Final = (
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "x-amz-content-sha256",
    "x-amz-user-agent",
    "x-amz-checksum-",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-trailer",
    "x-amz-decoded-content-length",
)


def parse_target(request: Request, host_bucket: str | None = None, *, anonymous: bool = False) -> None:
    """Fill in bucket, name, query and public_path from the raw path and query. Raises S3Error.

    `host_bucket`: the bucket that the Host names, where the path is an object's name; `anonymous`: for public reads
    only. In a presigned request, x-amz-* query parameters that SDKs moved there from the headers become headers again.
    """
    path = request.path
    if b"%" in path and _BAD_ESCAPE.search(path):
        raise S3Error("InvalidURI", "The path has an incomplete %-escape.")
    public = anonymous if host_bucket is not None else path.startswith(_PUBLIC)
    request.public_path = public
    if host_bucket is None:
        bucket, _, name = path[len(_PUBLIC) if public else 1 :].partition(b"/")
        request.bucket = _bucket(bucket) if bucket or name or public or path != b"/" else None
    else:
        request.bucket, request.bucket_in_host, name = host_bucket, True, path[1:]
    request.name = decode_name(name) if name else None
    request.query = parse_query(request.query_string) if request.query_string else {}
    if "X-Amz-Signature" in request.query and not public:
        _restore_hoisted_headers(request)


def parse_query(query_string: bytes) -> dict[str, str]:
    """Decode a query. A plus sign is a space, as in forms. Raises S3Error InvalidArgument."""
    query: dict[str, str] = {}
    for pair in query_string.split(b"&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition(b"=")
        name, value = _parameter(raw_name), _parameter(raw_value)
        if name in query:
            raise S3Error("InvalidArgument", f"The query parameter {name!r} is there more than once.")
        query[name] = value
    return query


def parse_copy_source(value: str) -> tuple[str, bytes]:
    """Bucket and object name of an `x-amz-copy-source` header: `[/]bucket/name`, percent-encoded. Raises S3Error."""
    source, _, version = value.partition("?versionId=")
    if version not in ("", "null"):
        raise S3Error("NotImplemented", "x-amz-copy-source: there are no object versions here; leave out versionId.")
    if source.startswith("arn:"):
        raise S3Error("NotImplemented", "x-amz-copy-source: access points do not exist here; use bucket/name.")
    raw = source.encode("latin-1", "replace")
    if _BAD_ESCAPE.search(raw):
        raise S3Error("InvalidArgument", "x-amz-copy-source: an incomplete %-escape.")
    # Some SDKs encode the slash after the bucket too. A bucket's name has no slash: decode first, split then.
    bucket, _, name = unquote_to_bytes(raw).removeprefix(b"/").partition(b"/")
    if not bucket or not name:
        raise S3Error("InvalidArgument", "x-amz-copy-source must be a bucket and an object name: bucket/name.")
    return _bucket(bucket), check_name(name)


def decode_name(raw: bytes) -> bytes:
    """An object's name from its percent-encoded form. Raises S3Error InvalidURI or KeyTooLongError."""
    return check_name(unquote_to_bytes(raw) if b"%" in raw else raw)


def check_name(name: bytes) -> bytes:
    """Return `name` if it can be an object's name, wherever it came from. Raises S3Error InvalidURI, KeyTooLongError.

    "The name for a key is a sequence of Unicode characters whose UTF-8 encoding is at most 1,024 bytes long." (Amazon
    S3 User Guide, naming objects)
    """
    if len(name) > MAX_OBJECT_NAME_BYTES:
        raise S3Error("KeyTooLongError", f"The object key has {len(name)} bytes; at most {MAX_OBJECT_NAME_BYTES}.")
    if not name.isascii():
        try:
            name.decode()
        except UnicodeDecodeError:
            raise S3Error("InvalidURI", "The object key is not valid UTF-8.") from None
    if b"\0" in name:
        raise S3Error("InvalidURI", "The object key contains a NUL character.")
    if not name:
        raise S3Error("InvalidURI", "The object key is empty.")
    return name


def check_bucket(name: str) -> str:
    """Return `name` if it can be a bucket's. Raises S3Error InvalidBucketName."""
    problem = bucket_name_problem(name)
    if problem is not None:
        raise S3Error("InvalidBucketName", f"The bucket name is not valid: {problem}.")
    return name


@lru_cache(1024)  # checked at every request; a name that is not valid raises and is not kept
def _bucket(raw: bytes) -> str:
    try:
        name = (unquote_to_bytes(raw) if b"%" in raw else raw).decode("ascii")
    except UnicodeDecodeError:
        raise S3Error("InvalidBucketName") from None
    return check_bucket(name)


def _parameter(raw: bytes) -> str:
    if b"%" in raw and _BAD_ESCAPE.search(raw):
        raise S3Error("InvalidURI", "The query has an incomplete %-escape.")
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise S3Error("InvalidArgument", "A query parameter is not valid UTF-8.") from None
    if "\0" in text:
        raise S3Error("InvalidArgument", "A query parameter contains a NUL character.")
    return text


def _restore_hoisted_headers(request: Request) -> None:
    restored = 0
    for parameter, value in request.query.items():
        name = parameter.lower()
        if not name.startswith("x-amz-") or name.startswith(_NEVER_HEADERS):
            continue
        # Framing checks the names of headers; this one did not pass there, and would be sent back with the object.
        if not _TOKEN.fullmatch(parameter):
            raise S3Error("InvalidArgument", f"The query parameter {name!r:.100} cannot be the name of a header.")
        if name in request.headers:
            raise S3Error("InvalidArgument", f"{name} is there both as a header and as a query parameter.")
        if "\r" in value or "\n" in value:
            raise S3Error("InvalidArgument", f"The query parameter {name} has a line break in it.")
        restored += 1
        if restored > _MAX_HOISTED:
            raise S3Error("InvalidArgument", f"More than {_MAX_HOISTED} headers are in the query.")
        request.headers[name] = value.encode().decode("latin-1")
