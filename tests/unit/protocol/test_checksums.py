"""Checksums: known values, what requests declare, and how parts compose."""

import base64
import hashlib
from itertools import pairwise

import pytest

from cooper_gateway.protocol.checksums import (
    ALGORITHMS,
    Checksummer,
    compose,
    content_md5,
    declared_checksum,
    multipart_etag,
    multipart_kind,
    named_algorithm,
    object_checksum,
    trailer_names,
)
from cooper_gateway.protocol.errors import S3Error

CHECK = b"123456789"
#: "check" of each algorithm: the CRC catalogue, and FIPS 180-4 implementations.
KNOWN = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": hashlib.sha1(CHECK).hexdigest(),
    "SHA256": hashlib.sha256(CHECK).hexdigest(),
}


def b64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def code(error: pytest.ExceptionInfo[S3Error]) -> str:
    return error.value.code


@pytest.mark.parametrize("name", ALGORITHMS)
def test_known_values_in_any_pieces_and_buffers(name):
    for pieces in ([CHECK], [CHECK[:4], CHECK[4:]], [b"", *(bytes([byte]) for byte in CHECK)]):
        for kind in (bytes, bytearray, memoryview):
            checksummer = Checksummer({}, default=name)
            for piece in pieces:
                checksummer.update(kind(piece))
            assert checksummer.result == (name, b64(KNOWN[name]))
            assert checksummer.etag == hashlib.md5(CHECK).hexdigest()


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("trailer", [False, True])
def test_a_declared_checksum_is_compared(name, trailer):
    header = f"x-amz-checksum-{name.lower()}"
    for digest, holds in ((KNOWN[name], True), ("00" * (len(KNOWN[name]) // 2), False)):
        headers = {"x-amz-trailer": header} if trailer else {header: b64(digest)}
        checksummer = Checksummer(headers | {"x-amz-sdk-checksum-algorithm": name})
        checksummer.update(CHECK)
        trailers = {header: b64(digest)} if trailer else {}
        if holds:
            checksummer.verify(trailers)
        else:
            with pytest.raises(S3Error) as caught:
                checksummer.verify(trailers)
            assert code(caught) == "XAmzContentChecksumMismatch"


def test_a_trailer_that_was_announced_must_come():
    checksummer = Checksummer({"x-amz-trailer": "x-amz-checksum-crc32"})
    with pytest.raises(S3Error, match="did not come"):
        checksummer.verify({})


def test_an_algorithm_alone_is_computed_and_not_compared():
    checksummer = Checksummer({"x-amz-sdk-checksum-algorithm": "sha256"})
    checksummer.update(CHECK)
    checksummer.verify({})
    assert checksummer.result == ("SHA256", b64(KNOWN["SHA256"]))


def test_nothing_declared():
    checksummer = Checksummer({"x-amz-checksum-mode": "ENABLED", "x-amz-checksum-algorithm": "CRC32"})
    checksummer.verify({})
    assert checksummer.result is None
    assert declared_checksum({"content-type": "text/plain"}) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": ""},
        {"x-amz-checksum-crc32": "AAAA"},
        {"x-amz-checksum-crc32": "AAAAAA"},
        {"x-amz-checksum-crc32": "AAAAAA=="[:-1] + "*"},
        {"x-amz-checksum-crc32": "AAAAAA==-2"},
        {"x-amz-checksum-crc32": "\xe9AAAAA=="},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": b64(KNOWN["SHA1"])},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-trailer": "x-amz-checksum-crc32"},
        {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-sdk-checksum-algorithm": "SHA1"},
        {"x-amz-checksum-md4": "AAAAAA=="},
        {"x-amz-sdk-checksum-algorithm": "MD4"},
        {"x-amz-trailer": "x-amz-meta-owner"},
        {"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-crc32"},
        {"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"},
    ],
)
def test_declarations_that_are_refused(headers):
    with pytest.raises(S3Error) as caught:
        declared_checksum(headers)
    assert code(caught) == "InvalidRequest"


def test_trailer_names():
    assert trailer_names({}) == []
    assert trailer_names({"x-amz-trailer": " X-Amz-Checksum-CRC32 ,"}) == ["x-amz-checksum-crc32"]


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        (b64(hashlib.md5(CHECK).hexdigest()), hashlib.md5(CHECK).digest()),
        ("AAAA", None),
        ("not base64", None),
        ("", None),
        (hashlib.md5(CHECK).hexdigest(), None),
    ],
)
def test_content_md5(value, digest):
    if digest is None:
        with pytest.raises(S3Error) as caught:
            content_md5({"content-md5": value})
        assert code(caught) == "InvalidDigest"
    else:
        assert content_md5({"content-md5": value}) == digest


def test_content_md5_is_compared():
    checksummer = Checksummer({"content-md5": b64(hashlib.md5(CHECK).hexdigest())})
    checksummer.update(CHECK[:-1])
    with pytest.raises(S3Error) as caught:
        checksummer.verify({})
    assert code(caught) == "BadDigest"
    checksummer.update(CHECK[-1:])
    checksummer.verify({})


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_composition_is_the_checksum_of_the_whole(name):
    whole = bytes(range(256)) * 40
    cuts = [0, 1, 1, 5000, 10240]
    parts = [whole[a:b] for a, b in pairwise(cuts)]
    values = [(value(name, part), len(part)) for part in parts]
    assert compose(ALGORITHMS[name], "FULL_OBJECT", values) == value(name, whole)


@pytest.mark.parametrize("name", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_composite_is_the_checksum_of_checksums(name):
    values = [value(name, b"one"), value(name, b"two")]
    expected = value(name, b"".join(base64.b64decode(v) for v in values)) + "-2"
    assert compose(ALGORITHMS[name], "COMPOSITE", [(v, 3) for v in values]) == expected


@pytest.mark.parametrize("name", ["SHA1", "SHA256"])
def test_hashes_do_not_combine(name):
    with pytest.raises(S3Error, match="cannot be combined"):
        compose(ALGORITHMS[name], "FULL_OBJECT", [(value(name, b""), 0)])


@pytest.mark.parametrize(
    ("name", "wanted", "kind"),
    [
        ("CRC32", None, "COMPOSITE"),
        ("CRC32", "FULL_OBJECT", "FULL_OBJECT"),
        ("CRC32C", "composite", "COMPOSITE"),
        ("CRC64NVME", None, "FULL_OBJECT"),
        ("CRC64NVME", "COMPOSITE", None),
        ("SHA256", None, "COMPOSITE"),
        ("SHA256", "FULL_OBJECT", None),
        ("CRC32", "HALF", None),
    ],
)
def test_kinds(name, wanted, kind):
    if kind is None:
        with pytest.raises(S3Error, match=name):
            multipart_kind(ALGORITHMS[name], wanted)
    else:
        assert multipart_kind(ALGORITHMS[name], wanted) == kind


def test_a_completion_declares_the_whole_objects_checksum():
    found = object_checksum({"x-amz-checksum-crc32": "AAAAAA==-3", "x-amz-checksum-type": "COMPOSITE"})
    assert found == (ALGORITHMS["CRC32"], "AAAAAA==-3")
    assert object_checksum({"x-amz-sdk-checksum-algorithm": "CRC32"}) is None
    assert object_checksum({}) is None


def test_names_in_any_case_and_no_others():
    assert named_algorithm("crc64nvme") is ALGORITHMS["CRC64NVME"]
    with pytest.raises(S3Error, match="CRC16"):
        named_algorithm("CRC16")


def test_multipart_etag():
    etags = [hashlib.md5(part).hexdigest() for part in (b"one", b"two")]
    joined = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in etags)).hexdigest()
    assert multipart_etag(etags) == f"{joined}-2"


def value(name: str, data: bytes) -> str:
    checksummer = Checksummer({}, default=name)
    checksummer.update(data)
    assert checksummer.result is not None
    return checksummer.result[1]
