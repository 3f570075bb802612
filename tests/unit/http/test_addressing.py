"""What Host and path say together: a bucket's own domain serves public reads, any other host nothing of its own."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooper_crds.records import BucketRecord, DomainRecord, Owner
from cooper_gateway.http.addressing import locate
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from support.calls import FakeDirectory

OWNER = Owner("default", "photos", "u")
PHOTOS = BucketRecord("photos", "d", OWNER, visibility="Public")
DOMAIN = DomainRecord("photos.example.com", "photos", "d", OWNER, "local")


@dataclass
class Asked(FakeDirectory):
    names: list[str] = field(default_factory=list[str])

    def domain(self, name: str) -> DomainRecord | None:
        self.names.append(name)
        return super().domain(name)


def directory(**domains: DomainRecord) -> Asked:
    return Asked(buckets={"photos": PHOTOS}, domains=domains or {DOMAIN.name: DOMAIN})


def located(
    host: str, target: str = "/a/b", headers: dict[str, str] | None = None, *, at: Asked | None = None
) -> Request:
    path, _, query = target.partition("?")
    request = Request("GET", path.encode(), query.encode(), {"host": host, **(headers or {})})
    locate(request, at or directory())
    return request


@pytest.mark.parametrize(
    "host",
    [
        "photos.example.com",
        "PHOTOS.Example.com",
        "photos.example.com:9000",
        "photos.example.com.",
        "photos.example.com:",
    ],
)
@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/a/b", b"a/b"),
        ("/public/photos/a", b"public/photos/a"),
        ("/secrets/a", b"secrets/a"),
        ("//a", b"/a"),
        ("/a%2Fb%20c?v=3", b"a/b c"),
        ("/../secrets/a", b"../secrets/a"),
        ("/", None),
    ],
)
def test_its_own_domain_is_about_that_bucket_whatever_the_path(host: str, target: str, name: bytes | None) -> None:
    request = located(host, target)
    assert (request.bucket, request.name, request.public_path) == ("photos", name, True)


@pytest.mark.parametrize(
    "host",
    [
        "s3.example.com",
        "a.photos.example.com",
        "example.com",
        "photos.example.com..",
        "photos.example.com.evil.org",
        "photos",
        "192.0.2.7:9000",
        "[::1]:9000",
        "",
        "ph%6ftos.example.com",
        "a." * 200 + "com",
    ],
)
def test_any_other_host_leaves_the_bucket_to_the_path(host: str) -> None:
    request = located(host, "/secrets/a")
    assert (request.bucket, request.name, request.public_path) == ("secrets", b"a", False)
    assert located(host, "/public/photos/a").public_path


def test_a_request_without_a_host_is_as_ever() -> None:
    request = Request("GET", b"/photos/a", b"", {})
    locate(request, directory())
    assert (request.bucket, request.public_path) == ("photos", False)


@pytest.mark.parametrize("host", ["192.0.2.7", "localhost:9000", "[::1]", "x", "a" * 300 + ".com"])
def test_a_host_that_can_be_no_domain_costs_no_look(host: str) -> None:
    at = directory()
    located(host, "/photos/a", at=at)
    assert at.names == []


def test_another_bucket_of_that_name_has_nothing_of_the_domain() -> None:
    at = directory(**{DOMAIN.name: DomainRecord(DOMAIN.name, "photos", "another", OWNER, "local")})
    request = located(DOMAIN.name, "/secrets/a", at=at)
    assert (request.bucket, request.public_path) == ("secrets", False)
    gone = directory(**{DOMAIN.name: DomainRecord(DOMAIN.name, "gone", "d", OWNER, "local")})
    assert located(DOMAIN.name, "/secrets/a", at=gone).bucket == "secrets"


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/a", {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/x"}),
        ("/a?X-Amz-Signature=0&X-Amz-Credential=x", {}),
    ],
)
def test_a_signed_request_is_told_where_to_go(target: str, headers: dict[str, str]) -> None:
    with pytest.raises(S3Error, match="endpoint") as refused:
        located(DOMAIN.name, target, headers)
    assert refused.value.code == "InvalidRequest"
    assert located(DOMAIN.name, "/a", {"authorization": "Basic eDp5", "cookie": "a=b"}).public_path


@given(st.text(st.characters(max_codepoint=255), max_size=40) | st.from_regex(r"[Pp]hotos\.example\.com[.:0-9]*"))
def test_a_host_gives_that_bucket_or_nothing(host: str) -> None:
    request = located(host, "/secrets/a")
    own = host.partition(":")[0].removesuffix(".").lower() == DOMAIN.name
    assert (request.bucket, request.public_path) == (("photos", True) if own else ("secrets", False))
