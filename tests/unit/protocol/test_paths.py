"""From request targets and copy sources to buckets, names and queries."""

import pytest

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.paths import check_name, parse_copy_source, parse_target


def parsed(target: bytes, **headers: str) -> Request:
    path, _, query = target.partition(b"?")
    request = Request("GET", path, query, dict(headers))
    parse_target(request)
    return request


@pytest.mark.parametrize(
    ("target", "bucket", "name", "public"),
    [
        (b"/", None, None, False),
        (b"/photos", "photos", None, False),
        (b"/photos/", "photos", None, False),
        (b"/photos?x", "photos", None, False),
        (b"/p%68otos/a", "photos", b"a", False),
        (b"/photos/a%20b+c", "photos", b"a b+c", False),
        (b"/photos/a/", "photos", b"a/", False),
        (b"/photos//", "photos", b"/", False),
        (b"/photos//a//b", "photos", b"/a//b", False),
        (b"/photos/a/../b/./c", "photos", b"a/../b/./c", False),
        (b"/photos/%2e%2e/x", "photos", b"../x", False),
        (b"/photos/%2F%5C\\", "photos", b"/\\\\", False),
        (b"/photos/%0D%0A%01%7F", "photos", b"\r\n\x01\x7f", False),
        ("/photos/grün".encode(), "photos", "grün".encode(), False),
        (b"/photos/gr%C3%BCn", "photos", "grün".encode(), False),
        (b"/photos/" + b"k" * 1024, "photos", b"k" * 1024, False),
        (b"/photos/" + b"%C3%BC" * 512, "photos", "ü".encode() * 512, False),
        (b"/public/photos/a/b", "photos", b"a/b", True),
        (b"/public/photos/public/a", "photos", b"public/a", True),
        (b"/public/photos", "photos", None, True),
        (b"/photos/public/photos/a", "photos", b"public/photos/a", False),
    ],
)
def test_targets(target, bucket, name, public):
    request = parsed(target)
    assert (request.bucket, request.name, request.public_path) == (bucket, name, public)


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (b"/photos/%", "InvalidURI"),
        (b"/photos/%4", "InvalidURI"),
        (b"/photos/%zz", "InvalidURI"),
        (b"/photos?x=%zz", "InvalidURI"),
        (b"/photos/%00", "InvalidURI"),
        (b"/photos/a%00b", "InvalidURI"),
        (b"/photos/%FF", "InvalidURI"),
        (b"/photos/%C3", "InvalidURI"),
        (b"/photos/%C0%AF", "InvalidURI"),  # an overlong slash
        (b"/photos/%ED%A0%80", "InvalidURI"),  # a lone surrogate
        (b"/photos/" + b"k" * 1025, "KeyTooLongError"),
        (b"/photos/" + b"%C3%BC" * 513, "KeyTooLongError"),
        (b"//a", "InvalidBucketName"),
        (b"/../a", "InvalidBucketName"),
        (b"/%2e%2e/a", "InvalidBucketName"),
        (b"/Photos/a", "InvalidBucketName"),
        (b"/pho%2Ftos/a", "InvalidBucketName"),
        (b"/%FF/a", "InvalidBucketName"),
        (b"/127.0.0.1/a", "InvalidBucketName"),
        (b"/public", "InvalidBucketName"),
        (b"/public/", "InvalidBucketName"),
        (b"/public//a", "InvalidBucketName"),
        (b"/public/public/a", "InvalidBucketName"),
        (b"/photos?a=1&a=2", "InvalidArgument"),
        (b"/photos?a&%61", "InvalidArgument"),
        (b"/photos?prefix=%FF", "InvalidArgument"),
        (b"/photos?prefix=%00", "InvalidArgument"),
    ],
)
def test_targets_that_are_refused(target, code):
    with pytest.raises(S3Error) as caught:
        parsed(target)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", {}),
        (b"uploads", {"uploads": ""}),
        (b"uploads=", {"uploads": ""}),
        (b"&a=1&&b=x%20y+z&", {"a": "1", "b": "x y z"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"prefix=gr%C3%BCn%2F", {"prefix": "grün/"}),
        (b"A=1&a=2", {"A": "1", "a": "2"}),
    ],
)
def test_queries(query, expected):
    assert parsed(b"/photos?" + query).query == expected


PRESIGNED = b"X-Amz-Signature=0"


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        (b"x-amz-meta-a=1", {"x-amz-meta-a": "1"}),
        (b"X-Amz-Meta-A=gr%C3%BCn", {"x-amz-meta-a": "grün".encode().decode("latin-1")}),
        (b"x-amz-copy-source=b/k", {"x-amz-copy-source": "b/k"}),
        (b"x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32", {}),
        (b"X-Amz-Date=1&X-Amz-Expires=2&X-Amz-Content-Sha256=3&x-amz-security-token=4", {}),
        (b"x-amz-trailer=a&x-amz-decoded-content-length=1", {}),
    ],
)
def test_headers_that_presigning_moved_to_the_query_come_back(query, headers):
    assert parsed(b"/photos/a?" + query + b"&" + PRESIGNED).headers == headers
    assert parsed(b"/photos/a?" + query).headers == {}
    assert parsed(b"/public/photos/a?" + query + b"&" + PRESIGNED).headers == {}


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        (b"x-amz-meta-a=1", {"x-amz-meta-a": "2"}),
        (b"x-amz-meta-a=1&X-Amz-Meta-A=1", {}),
        (b"x-amz-meta-a=%0D%0Aset-cookie:x", {}),
        # Such an object could be stored, and never be sent again.
        (b"x-amz-meta-a%0D%0Aset-cookie:x=1", {}),
        (b"x-amz-meta-a:%20b=1", {}),
        (b"x-amz-meta-a%20=1", {}),
        (b"x-amz-meta-a%C3%BC=1", {}),
        (b"x-amz-meta-a%E2%84%AA=1", {}),  # a Kelvin sign, lower case of which is an ASCII k
    ],
)
def test_headers_that_cannot_come_back(query, headers):
    with pytest.raises(S3Error, match="x-amz-meta-a"):
        parse_target(Request("PUT", b"/photos/a", query + b"&" + PRESIGNED, dict(headers)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("photos/a", ("photos", b"a")),
        ("/photos/a/b", ("photos", b"a/b")),
        ("photos//a", ("photos", b"/a")),
        ("photos%2Fa%2Fb", ("photos", b"a/b")),
        ("/photos/a%20b%25", ("photos", b"a b%")),
        ("photos/../b", ("photos", b"../b")),
        ("photos/a?b", ("photos", b"a?b")),
        ("photos/a?versionId=null", ("photos", b"a")),
        ("photos/a+b", ("photos", b"a+b")),
        ("photos/" + "grün".encode().decode("latin-1"), ("photos", "grün".encode())),
        ("/public/photos/a", "InvalidBucketName"),
        ("", "InvalidArgument"),
        ("photos", "InvalidArgument"),
        ("photos/", "InvalidArgument"),
        ("//a", "InvalidArgument"),
        ("../a", "InvalidBucketName"),
        ("%2e%2e%2f%2e%2e/a", "InvalidBucketName"),
        ("photos/%00", "InvalidURI"),
        ("photos/%FF", "InvalidURI"),
        ("photos/%zz", "InvalidArgument"),
        ("photos/" + "k" * 1025, "KeyTooLongError"),
        ("photos/a?versionId=3", "NotImplemented"),
        ("arn:aws:s3:::photos/a", "NotImplemented"),
    ],
)
def test_copy_sources(value, expected):
    try:
        assert parse_copy_source(value) == expected
    except S3Error as error:
        assert error.code == expected


def test_an_empty_name_is_no_name():
    with pytest.raises(S3Error, match="empty"):
        check_name(b"")
