"""Frames and records: what verifies, and that nothing else does."""

import hashlib
import hmac
import os

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cooper_gateway.crypto.derivation import Deriver
from cooper_gateway.crypto.envelope import FRAME_SIZE, HEADER_SIZE, BucketCipher

DATA_ID = b"D" * 16
SEGMENT = b"S" * 16
STEP = FRAME_SIZE + 16
KEY = bytes(range(32))


def sealed(cipher: BucketCipher, plaintext: bytes) -> tuple[bytes, bytearray]:
    segment = cipher.new_segment(SEGMENT)
    out = bytearray(len(plaintext) + 16 * max(1, -(-len(plaintext) // FRAME_SIZE)))
    assert segment.seal_into(memoryview(plaintext), 0, True, memoryview(out)) == len(out)
    return segment.header, out


def test_derivation_is_hkdf_sha256() -> None:
    salt = os.urandom(32)
    expected = HKDF(SHA256(), 32, salt=None, info=b"purpose\0" + salt).derive(KEY)
    assert Deriver(KEY, b"purpose").derive(salt) == expected
    assert expected == hmac.digest(hmac.digest(bytes(32), KEY, hashlib.sha256), b"purpose\0" + salt + b"\1", "sha256")


def test_purposes_salts_and_keys_have_keys_of_their_own() -> None:
    derived = {
        Deriver(key, label).derive(salt)
        for key in (KEY, bytes(32))
        for label in (b"a", b"b")
        for salt in (b"1" * 32, b"2" * 32)
    }
    assert len(derived) == 8


@pytest.mark.parametrize("size", [0, 1, FRAME_SIZE - 1, FRAME_SIZE, FRAME_SIZE + 1, 3 * FRAME_SIZE])
def test_a_segment_opens_whole_and_by_ranges(size: int) -> None:
    plaintext = os.urandom(size)
    cipher = BucketCipher(DATA_ID, KEY)
    header, body = sealed(cipher, plaintext)
    segment = BucketCipher(DATA_ID, KEY).segment(SEGMENT, header)
    assert segment.open_frames(memoryview(body), 0, True) == plaintext
    for first in range(size // FRAME_SIZE):
        last = (first + 1) * STEP >= len(body)
        frames = segment.open_frames(memoryview(body)[first * STEP : (first + 1) * STEP], first, last)
        assert frames == plaintext[first * FRAME_SIZE : (first + 1) * FRAME_SIZE]


def test_whole_bodies_and_frames_are_the_same_format() -> None:
    cipher = BucketCipher(DATA_ID, KEY)
    whole = cipher.seal_whole(SEGMENT, b"hello")
    segment = cipher.segment(SEGMENT, whole[:HEADER_SIZE])
    out = bytearray(21)
    segment.seal_into(memoryview(b"hello"), 0, True, memoryview(out))
    assert whole == segment.header + out
    assert cipher.open_whole(SEGMENT, whole) == b"hello"


TAMPERINGS = {
    "a bit flipped": lambda body: body[:100] + bytes([body[100] ^ 1]) + body[101:],
    "the last frame cut off": lambda body: body[: 2 * STEP],
    "cut within a frame": lambda body: body[:-1],
    "cut to nothing": lambda body: body[:0] + bytes(16),
    "two frames swapped": lambda body: body[STEP : 2 * STEP] + body[:STEP] + body[2 * STEP :],
    "a frame repeated": lambda body: body[:STEP] + body[:STEP] + body[2 * STEP :],
    "a frame dropped": lambda body: body[STEP:],
    "bytes appended": lambda body: body + bytes(32),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_is_detected(tampering: str) -> None:
    cipher = BucketCipher(DATA_ID, KEY)
    header, body = sealed(cipher, os.urandom(2 * FRAME_SIZE + 500))
    tampered = TAMPERINGS[tampering](bytes(body))
    with pytest.raises(ValueError):
        cipher.segment(SEGMENT, header).open_frames(memoryview(tampered), 0, True)


@pytest.mark.parametrize(
    ("data_id", "key", "segment"),
    [(b"E" * 16, KEY, SEGMENT), (DATA_ID, bytes(32), SEGMENT), (DATA_ID, KEY, b"T" * 16)],
    ids=["bucket", "key", "segment"],
)
def test_a_segment_opens_only_as_itself(data_id: bytes, key: bytes, segment: bytes) -> None:
    header, body = sealed(BucketCipher(DATA_ID, KEY), b"hello")
    with pytest.raises(ValueError):
        BucketCipher(data_id, key).segment(segment, header).open_frames(memoryview(body), 0, True)


@pytest.mark.parametrize("header", [b"", bytes(HEADER_SIZE), b"CSG2" + bytes(32), b"CSG1"])
def test_an_unknown_header_is_refused(header: bytes) -> None:
    with pytest.raises(ValueError, match="format"):
        BucketCipher(DATA_ID, KEY).segment(SEGMENT, header)


def test_every_write_has_a_key_of_its_own() -> None:
    cipher = BucketCipher(DATA_ID, KEY)
    assert cipher.seal_whole(SEGMENT, b"x" * 50) != cipher.seal_whole(SEGMENT, b"x" * 50)
    assert cipher.seal_record(b"x" * 50, b"c") != cipher.seal_record(b"x" * 50, b"c")


def test_a_record_opens_only_in_its_context() -> None:
    record = BucketCipher(DATA_ID, KEY).seal_record(b"etag", b"context")
    assert BucketCipher(DATA_ID, KEY).open_record(memoryview(record), b"context") == b"etag"
    for cipher, context, data in (
        (BucketCipher(DATA_ID, KEY), b"other", record),
        (BucketCipher(b"E" * 16, KEY), b"context", record),
        (BucketCipher(DATA_ID, bytes(32)), b"context", record),
        (BucketCipher(DATA_ID, KEY), b"context", record[:-1]),
        (BucketCipher(DATA_ID, KEY), b"context", b""),
    ):
        with pytest.raises(ValueError):
            cipher.open_record(data, context)
