"""From what went wrong to what the client reads: one rendering."""

import re
from collections.abc import Mapping
from typing import Final

from cooper_gateway.operations.store_codes import code_of
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request, Response
from cooper_gateway.protocol.xml import escape

#: Codes that pass: how many seconds a client should wait.
_RETRY_AFTER: Final = {"SlowDown": "1", "ServiceUnavailable": "2"}

# XML 1.0, 2.2 Char: control characters other than tab and line ends cannot stand in a document, not even escaped.
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def to_s3_error(error: Exception, absence: S3Error | None = None) -> S3Error:
    """The S3 error of anything raised. Unknown exceptions become InternalError: the caller logs them.

    `absence` is told to who may not know that an object is missing.
    """
    found = error if isinstance(error, S3Error) else S3Error(code_of(error))
    return absence if absence is not None and found.code == "NoSuchKey" else found


def subject(error: S3Error, request: Request) -> dict[str, str]:
    """What of the request an error is about, as S3 names it; what the error says itself counts more."""
    match error.code:
        case "NoSuchKey" if request.name is not None:
            about = {"Key": request.name.decode(errors="replace")}
        case "NoSuchBucket" | "InvalidBucketName" if request.bucket is not None:
            about = {"BucketName": request.bucket}
        case "NoSuchUpload":
            about = {"UploadId": request.query.get("uploadId", "")}
        case _:
            about = {}
    return about | error.details


def error_response(
    error: S3Error, resource: str, request_id: str, host_id: str, about: Mapping[str, str] | None = None
) -> Response:
    """The error as S3 XML. `resource` is the raw, still percent-encoded path; `about` are elements that tell more."""
    details = "".join(f"<{name}>{_text(value)}</{name}>" for name, value in (about or {}).items())
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{error.code}</Code><Message>{_text(error.message)}</Message>{details}"
        f"<Resource>{_text(resource)}</Resource><RequestId>{request_id}</RequestId><HostId>{host_id}</HostId></Error>"
    )
    headers = {"Content-Type": "application/xml", **error.headers}
    if error.code in _RETRY_AFTER:
        headers.setdefault("Retry-After", _RETRY_AFTER[error.code])
    return Response(error.status, headers, document.encode())


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))
