"""A gateway takes the records of its own Region only: no other's key is honoured, and no other's bucket is served."""

import msgspec
import pytest

from cooper_crds.records import DomainRecord, Owner, Record, concerns, decode, encode
from cooper_gateway.records.source import Ledger, Reading
from cooper_gateway.records.table import record_name
from support.records_fixtures import bucket, key, region

#: A record, and whether the gateways of the Region `local` take it.
RECORDS: dict[str, tuple[Record, bool]] = {
    "its key": (key(1), True),
    "another's key": (key(1, region="west"), False),
    "a key of nowhere": (key(1, region=""), False),
    "the operator's key": (key(1, region="", system=True), True),
    "its bucket": (bucket(), True),
    "another's bucket": (bucket(region="west"), False),
    "a bucket of nowhere": (bucket(region=""), False),
    "a domain of its buckets": (DomainRecord("a.b", "photos", "d", Owner("n", "b", "u"), "local"), True),
    "a domain of another's": (DomainRecord("a.b", "photos", "d", Owner("n", "b", "u"), "west"), False),
    "its settings": (region(), True),
    "another's settings": (region("west"), False),
}


@pytest.mark.parametrize("what", RECORDS)
def test_whom_a_record_concerns(what: str) -> None:
    record, taken = RECORDS[what]
    assert concerns(record, "local") is taken
    reading, ledger = Reading(), Ledger("local")
    ledger.found(record_name(record), record, reading)
    assert (ledger.usable, ledger.broken) == (int(taken), 0)
    assert reading.changes == ({record_name(record): record} if taken else {})


def test_what_becomes_anothers_is_gone() -> None:
    ledger, name = Ledger("local"), record_name(bucket())
    ledger.found(name, bucket(), Reading())
    reading = Reading()
    ledger.found(name, bucket(region="west"), reading)
    assert (reading.changes, ledger.has(name)) == ({name: None}, False)


def test_what_was_broken_and_is_anothers_is_mended() -> None:
    ledger, reading = Ledger("local"), Reading()
    ledger.unusable("key-x", "it is damaged", Reading())
    ledger.found("key-x", key(1, region="west"), reading)
    assert (reading.mended, ledger.broken, reading.changes) == (["key-x"], 0, {})


def test_a_record_of_before_there_was_a_region_in_it_is_nowhere() -> None:
    fields = msgspec.json.decode(encode(key(1)))
    del fields["region"]
    assert not concerns(decode(msgspec.json.encode(fields)), "local")
