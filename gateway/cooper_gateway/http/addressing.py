"""What a request is about: the one place that decides bucket and object from Host and path.

Below the Region's own domain each name is a bucket's, and all that is served by path is served there. A host name of a
bucket's own serves what `/public/<bucket>/` does, and nothing else: anonymous reads. Any other Host is none in
particular, and the path begins with the bucket.
"""

from functools import lru_cache
from typing import Final

from cooper_crds.host_names import MAX_DOMAIN, is_domain
from cooper_gateway.access.directory import Directory
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.paths import check_bucket, parse_target

#: How every signature's Authorization header begins, whatever its version.
_SIGNED: Final = "AWS"
_ITSELF: Final = ""


def locate(request: Request, directory: Directory) -> None:
    """Fill in what Host and target say: see `parse_target`. Raises S3Error."""
    host = request.headers.get("host", "")
    region = directory.region()
    # The Region's names come first: no claim on one of them, however it came to be, takes them away.
    named = _below(host, region.virtual_hosts) if region is not None and region.virtual_hosts else None
    if named is not None:
        parse_target(request, named or None)
        return
    bucket = _own_bucket(host, directory)
    parse_target(request, bucket, anonymous=True)
    if bucket is not None and _is_signed(request):
        raise S3Error(
            "InvalidRequest",
            "This host name is for public reads without a signature: send signed requests to the Region's endpoint.",
        )


@lru_cache(256)  # what raises is not kept
def _below(host: str, domain: str) -> str | None:
    """The bucket that a Host header names by its place below the Region's domain; `_ITSELF` where it is that domain,
    None where it is another name. Raises S3Error InvalidBucketName."""
    name = _name(host)
    if name == domain:
        return _ITSELF
    return check_bucket(name.removesuffix(f".{domain}")) if name.endswith(f".{domain}") else None


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
    """The name in a Host header, as a record would bear it; None where no bucket can have it."""
    if len(host) > MAX_DOMAIN + len(".:65535"):
        return None
    name = _name(host)
    return name if is_domain(name) else None


def _name(host: str) -> str:
    """The name in a Host header; of an IPv6 address nothing that is one.

    "The host subcomponent is case-insensitive" (RFC 3986, 3.2.2); a port and the final period of a full name are no
    part of it.
    """
    return host.partition(":")[0].removesuffix(".").lower()


def _is_signed(request: Request) -> bool:
    sent = request.headers.get("authorization", "").startswith(_SIGNED)
    return sent or "X-Amz-Signature" in request.query
