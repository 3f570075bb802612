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
    decode,
    dump_file,
    encode,
    load_file,
)
from support.records_fixtures import SmallBox, bucket, key, region

#: As they were written before the fields in the second column were there.
EARLIER = [
    (key(state="Revoked"), ("revokedAt",)),
    (key(), ("revokedAt",)),
    (region(), ("service", "servicePort", "longerAgeUntil")),
    (region(), ("tlsName", "caBundle")),
    (region(), ("virtualHosts",)),
    (region(), ("rates",)),
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
