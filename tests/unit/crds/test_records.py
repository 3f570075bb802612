"""Records as JSON: what was written before a field was there can be read, and what nobody knows is refused."""

import json

import pytest

from cooper_crds.records import (
    CorsRule,
    DomainRecord,
    Owner,
    Rates,
    Record,
    RecordError,
    RecordTooNew,
    RegionRecord,
    decode,
    dump_file,
    encode,
    load_file,
    record_digest,
)
from support.records_fixtures import SmallBox, bucket, key, region

#: As they were written before the fields in the second column were there.
EARLIER = [
    (key(state="Revoked"), ("revokedAt",)),
    (key(), ("revokedAt",)),
    (region(), ("service", "servicePort", "longerAgeUntil")),
    (region(), ("tlsName", "caBundle")),
    (bucket(), ("cors",)),
]


def without(record: Record, fields: tuple[str, ...]) -> bytes:
    return json.dumps(
        {name: value for name, value in json.loads(encode(record)).items() if name not in fields}
    ).encode()


@pytest.mark.parametrize(("record", "missing"), EARLIER)
def test_record_that_was_written_before_a_field_was_there_is_read(record: Record, missing: tuple[str, ...]) -> None:
    earlier = without(record, missing)
    assert all(field in encode(record).decode() and field not in earlier.decode() for field in missing)
    assert decode(earlier) == record


@pytest.mark.parametrize(
    "record",
    [
        key(state="Revoked", revoked_at=1_800_000_000.25),
        bucket(),
        bucket(cors=(CorsRule(("https://a",), ("GET", "PUT"), ("content-type",), ("ETag",), 600),)),
        DomainRecord("photos.example.com", "photos", "d", Owner("default", "photos", "u"), "local"),
        region(service="gateway", service_port="http", longer_age_until=1_800_000_000.5, tls_name="s3", ca_bundle="x"),
        region(virtual_hosts="s3.example.com", rates=Rates(100, None)),
    ],
)
def test_record_comes_back_as_it_was(record: Record) -> None:
    assert decode(encode(record)) == record
    assert load_file(dump_file(record, SmallBox()), SmallBox()) == record


def test_field_that_nobody_knows_is_refused() -> None:
    with pytest.raises(RecordError, match="unknown field"):
        decode(json.dumps({**json.loads(encode(key())), "onlyOnSundays": True}).encode())


def test_what_came_later_is_left_out_while_it_says_nothing() -> None:
    """A program of before reads the record, and tells its digest alike."""
    for record in (key(), RegionRecord("eu", "eu-west-1")):
        told = encode(record)
        for name in (b"createBuckets", b"virtualHosts", b"rates", b"idleUploads"):
            assert name not in told
        assert decode(told) == record
    said = RegionRecord(
        "eu", "eu", virtual_hosts="s3.example.com", create_buckets=True, rates=Rates(1), idle_uploads=60
    )
    assert decode(encode(said)) == said
    assert len({record_digest(each) for each in (said, RegionRecord("eu", "eu"))}) == 2


def test_a_field_of_a_version_to_come_is_no_damage() -> None:
    with pytest.raises(RecordTooNew, match="unknown field"):
        decode(encode(key())[:-1] + b',"later":1}')


@pytest.mark.parametrize("record", [key(), bucket(), region()])
def test_no_flipped_bit_is_worse_than_a_damaged_record(record: Record) -> None:
    """Whoever reads records leaves out those that are damaged, and only these: any other error ends it."""
    whole = dump_file(record, SmallBox())
    for at in range(len(whole)):
        for bit in range(8):
            try:
                load_file(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :], SmallBox())
            except RecordError as error:
                assert "sealed:" not in str(error)


@pytest.mark.parametrize("data", [b'{"a":' + b"[" * 100_000, b'{"kind":"bucket","a":' + b"[" * 100_000])
def test_brackets_in_brackets_are_no_record(data: bytes) -> None:
    with pytest.raises(RecordError):
        decode(data)
