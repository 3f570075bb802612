"""What a request is about: the one place that decides bucket and object from Host and path.

A host name of a bucket's own serves what `/public/<bucket>/` does, and nothing else: anonymous reads. Any other Host is
none in particular, and the path begins with the bucket.
"""

from functools import lru_cache
from typing import Final

from cooper_crds.domains import MAX_DOMAIN, is_domain
from cooper_gateway.access.directory import Directory
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.paths import parse_target

#: How every signature's Authorization header begins, whatever its version.
_SIGNED: Final = "AWS"


def locate(request: Request, directory: Directory) -> None:
    """Fill in what the target says: see `parse_target`. Raises S3Error."""
    bucket = _own_bucket(request.headers.get("host", ""), directory)
    parse_target(request, bucket)
    if bucket is not None and _is_signed(request):
        raise S3Error(
            "InvalidRequest",
            "This host name is for public reads without a signature: send signed requests to the Region's endpoint.",
        )


def _own_bucket(host: str, directory: Directory) -> str | None:
    """S3 name of the bucket that a Host header names by a domain of its own."""
    name = _domain(host)
    domain = None if name is None else directory.domain(name)
    if domain is None:
        return None
    bucket = directory.bucket(domain.bucket)
    # Another bucket of that name has nothing of the domain.
    return domain.bucket if bucket is not None and bucket.data_id == domain.data_id else None


@lru_cache(256)
def _domain(host: str) -> str | None:
    """The name in a Host header, as a record would bear it; None where no bucket can have it.

    "The host subcomponent is case-insensitive" (RFC 3986, 3.2.2); a port and the final period of a full name are no
    part of it.
    """
    if len(host) > MAX_DOMAIN + len(".:65535"):
        return None
    name = host.partition(":")[0].removesuffix(".").lower()
    return name if is_domain(name) else None


def _is_signed(request: Request) -> bool:
    sent = request.headers.get("authorization", "").startswith(_SIGNED)
    return sent or "X-Amz-Signature" in request.query
