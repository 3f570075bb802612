"""What Host and path say together: a name below the Region's domain is a bucket's, a bucket's own domain serves public
reads, and any other host nothing of its own."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooper_crds.domains import MAX_VIRTUAL_HOSTS
from cooper_crds.names import bucket_name_problem
from cooper_crds.records import BucketRecord, DomainRecord, Owner, RegionRecord
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


BELOW = "s3.example.com"


def region_of(below: str = BELOW, **domains: DomainRecord) -> Asked:
    at = directory(**domains)
    at.settings = RegionRecord("local", "local", virtual_hosts=below)
    return at


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("photos.s3.example.com", "photos"),
        ("PHOTOS.S3.Example.COM", "photos"),
        ("photos.s3.example.com:9000", "photos"),
        ("photos.s3.example.com.", "photos"),
        ("photos.s3.example.com.:9000", "photos"),
        ("photos.s3.example.com:", "photos"),
        ("my.photos.s3.example.com", "my.photos"),
        ("s3.example.com.s3.example.com", "s3.example.com"),
        ("a" * 63 + ".s3.example.com", "a" * 63),
    ],
)
@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/a/b", b"a/b"),
        ("/public/photos/a", b"public/photos/a"),
        ("/photos/a", b"photos/a"),
        ("//a", b"/a"),
        ("/a%2Fb%20c?v=3", b"a/b c"),
        ("/../secrets/a", b"../secrets/a"),
        ("/", None),
        ("/?list-type=2", None),
    ],
)
def test_below_the_regions_domain_the_path_is_an_objects_name(
    host: str, bucket: str, target: str, name: bytes | None
) -> None:
    request = located(host, target, {"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/x"}, at=region_of())
    assert (request.bucket, request.name, request.public_path) == (bucket, name, False)
    assert request.bucket_in_host


@pytest.mark.parametrize(
    "host",
    [
        "s3.example.com",
        "S3.example.com.:9000",
        "example.com",
        "xs3.example.com",
        "photos.s3.example.com..",
        "photos.s3.example.com.evil.org",
        "photos.s3.example.org",
        "photos.s3%2eexample.com",
        "photos",
        "192.0.2.7:9000",
        "[::1]:9000",
        "[photos.s3.example.com]",
        "",
    ],
)
def test_at_and_beside_the_regions_domain_the_bucket_is_in_the_path(host: str) -> None:
    request = located(host, "/secrets/a", at=region_of())
    assert (request.bucket, request.name, request.public_path) == ("secrets", b"a", False)
    assert not request.bucket_in_host
    assert located(host, "/public/photos/a", at=region_of()).public_path


@pytest.mark.parametrize(
    "bucket",
    ["", "ab", "a" * 64, "public", "a..b", ".photos", "photos.", "-ab", "a_b", "ph%6ftos", "192.0.2.7", "photos~"],
)
def test_a_name_that_no_bucket_can_have_is_refused(bucket: str) -> None:
    with pytest.raises(S3Error) as refused:
        located(f"{bucket}.{BELOW}", "/a", at=region_of())
    assert refused.value.code == "InvalidBucketName"


def test_the_regions_names_come_before_claims_on_them() -> None:
    """However such a claim came to be."""
    for host, bucket in ((DOMAIN.name, "photos"), ("example.com", None)):
        claim = DomainRecord(host, "photos", "d", OWNER, "local")
        at = region_of("example.com", **{host: claim})
        if bucket is None:
            with pytest.raises(S3Error, match="bucket name"):  # in the path, where `a` is too short to be one
                located(host, "/a/b", at=at)
        else:
            request = located(host, "/a/b", at=at)
            assert (request.bucket, request.name, request.public_path) == (bucket, b"a/b", False)
        assert at.names == []


def test_without_a_domain_and_without_a_region_hosts_mean_what_they_did() -> None:
    assert located("photos.s3.example.com", "/secrets/a").bucket == "secrets"
    nobody = directory()
    nobody.settings = None  # type: ignore[assignment]
    assert located("photos.s3.example.com", "/secrets/a", at=nobody).bucket == "secrets"


def test_own_domains_work_beside_the_regions() -> None:
    request = located(DOMAIN.name, "/a", at=region_of())
    assert (request.bucket, request.public_path) == ("photos", True)


def test_the_longest_names_fit_into_a_host_name() -> None:
    below = ("a" * 63 + ".") * 3
    below = below[: MAX_VIRTUAL_HOSTS - 2] + ".b"
    host = f"{'a' * 63}.{below}"
    assert (len(host), len(below)) == (253, MAX_VIRTUAL_HOSTS)
    assert located(f"{host}.:65535", "/a", at=region_of(below)).bucket == "a" * 63


@given(
    st.text(st.characters(max_codepoint=255), max_size=80) | st.from_regex(r"[a-c.A-]{0,6}\.s3\.example\.com[.:0-9]*")
)
def test_a_host_names_a_bucket_or_nothing(host: str) -> None:
    name = host.partition(":")[0].removesuffix(".").lower()
    bucket = name.removesuffix(f".{BELOW}") if name.endswith(f".{BELOW}") else None
    if bucket is not None and bucket_name_problem(bucket) is not None:
        with pytest.raises(S3Error, match="bucket name"):
            located(host, "/secrets/a", at=region_of())
        return
    assert located(host, "/secrets/a", at=region_of()).bucket == (bucket or "secrets")
