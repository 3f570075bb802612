"""The choke point, as one matrix."""

import dataclasses
import uuid

import msgspec
import pytest

from cooper_crds.actions import (
    CREATE_BUCKET,
    DELETE_BUCKET,
    DELETE_OBJECT,
    GET_OBJECT,
    GRANTABLE_ACTIONS,
    LIST_BUCKET,
    OPERATE,
    PUT_OBJECT,
)
from cooper_crds.records import BucketRecord, DomainRecord, Grant, KeyRecord, Owner, RegionRecord
from cooper_gateway.access.authorize import authorize, may_know_absence, recheck
from cooper_gateway.access.principals import ANONYMOUS, KeyHolder
from cooper_gateway.protocol.errors import CODES

NOW = 1_800_000_000.0
DATA = str(uuid.UUID(int=7))
OTHER_DATA = str(uuid.UUID(int=8))
OWNER = Owner("team", "photos", "uid-1")
BUCKET = BucketRecord("photos", DATA, OWNER)
PUBLIC = msgspec.structs.replace(BUCKET, visibility="Public")
RETAINED = msgspec.structs.replace(PUBLIC, retained=True)
REGION = RegionRecord("local", "local", max_record_age=30.0)
CUT_OFF = msgspec.structs.replace(BUCKET, api_access="Revoked")


def key(*actions: str, bucket: str = "photos", data: str = DATA, **fields: object) -> KeyRecord:
    grants = (Grant(bucket, data, actions),) if actions else ()
    return msgspec.structs.replace(KeyRecord("AKIA1", "secret", OWNER, 1, grants), **fields)


READER = key(GET_OBJECT, LIST_BUCKET)
ALL = key(*GRANTABLE_ACTIONS)
CREATOR = key(create_buckets=True)
SYSTEM = key(system=True)
TWO_GRANTS = msgspec.structs.replace(
    READER, grants=(Grant("photos", DATA, (GET_OBJECT,)), Grant("photos", DATA, (PUT_OBJECT,)))
)
LISTING = None

MATRIX = [
    # who, action, record of the bucket, answer
    ("granted", READER, GET_OBJECT, BUCKET, None),
    ("granted twice, first", TWO_GRANTS, GET_OBJECT, BUCKET, None),
    ("granted twice, second", TWO_GRANTS, PUT_OBJECT, BUCKET, None),
    ("another action", READER, PUT_OBJECT, BUCKET, "AccessDenied"),
    ("the public bucket gives a key nothing more", READER, DELETE_OBJECT, PUBLIC, "AccessDenied"),
    ("no grant, bucket exists", key(), GET_OBJECT, BUCKET, "AccessDenied"),
    ("no grant, no bucket", key(), GET_OBJECT, None, "AccessDenied"),
    ("grant on another bucket, exists", key(GET_OBJECT, bucket="other"), GET_OBJECT, BUCKET, "AccessDenied"),
    ("grant on another bucket, missing", key(GET_OBJECT, bucket="other"), GET_OBJECT, None, "AccessDenied"),
    ("grant made for an earlier bucket", key(GET_OBJECT, data=OTHER_DATA), GET_OBJECT, BUCKET, "AccessDenied"),
    ("granted, record gone", READER, GET_OBJECT, None, "NoSuchBucket"),
    ("granted, retained", READER, GET_OBJECT, RETAINED, "NoSuchBucket"),
    ("granted, cut off", READER, GET_OBJECT, CUT_OFF, "KeyAccessRevoked"),
    ("granted, cut off, other action", READER, PUT_OBJECT, CUT_OFF, "KeyAccessRevoked"),
    ("not granted, cut off", key(), GET_OBJECT, CUT_OFF, "AccessDenied"),
    ("revoked", key(GET_OBJECT, state="Revoked"), GET_OBJECT, BUCKET, "KeyAccessRevoked"),
    ("revoked, elsewhere", key(state="Revoked"), GET_OBJECT, None, "KeyAccessRevoked"),
    ("revoked, listing buckets", key(state="Revoked"), LISTING, None, "KeyAccessRevoked"),
    ("expires in a second", key(GET_OBJECT, not_after=NOW + 1), GET_OBJECT, BUCKET, None),
    ("expires now", key(GET_OBJECT, not_after=NOW), GET_OBJECT, BUCKET, "KeyAccessRevoked"),
    ("expired", key(GET_OBJECT, not_after=NOW - 1), LISTING, None, "KeyAccessRevoked"),
    ("any valid key lists its buckets", key(), LISTING, None, None),
    ("nobody but the system operates", ALL, OPERATE, BUCKET, "AccessDenied"),
    ("not even when a grant says so", key(OPERATE), OPERATE, BUCKET, "AccessDenied"),
    ("the system operates", SYSTEM, OPERATE, BUCKET, None),
    ("the system operates on what is retained", SYSTEM, OPERATE, RETAINED, None),
    ("the system, no such bucket", SYSTEM, OPERATE, None, "NoSuchBucket"),
    ("the system reads nothing", key(GET_OBJECT, system=True), GET_OBJECT, BUCKET, "AccessDenied"),
    ("the system lists nothing", SYSTEM, LISTING, None, "AccessDenied"),
    ("the system, revoked", key(system=True, state="Revoked"), OPERATE, BUCKET, "KeyAccessRevoked"),
    ("the system, expired", key(system=True, not_after=NOW), OPERATE, BUCKET, "KeyAccessRevoked"),
    ("creates where nothing is", CREATOR, CREATE_BUCKET, None, None),
    ("a name that is taken is told elsewhere", CREATOR, CREATE_BUCKET, BUCKET, None),
    ("who may create may nothing else", CREATOR, GET_OBJECT, BUCKET, "AccessDenied"),
    ("who may do all on a bucket may not create", ALL, CREATE_BUCKET, BUCKET, "AccessDenied"),
    ("nor where nothing is", ALL, CREATE_BUCKET, None, "AccessDenied"),
    ("creates, revoked", key(create_buckets=True, state="Revoked"), CREATE_BUCKET, None, "KeyAccessRevoked"),
    ("creates, expired", key(create_buckets=True, not_after=NOW), CREATE_BUCKET, None, "KeyAccessRevoked"),
    (
        "creates, elsewhere",
        key(create_buckets=True, networks=("10.0.0.0/8",)),
        CREATE_BUCKET,
        None,
        "NetworkNotAllowed",
    ),
    ("the system creates nothing", key(create_buckets=True, system=True), CREATE_BUCKET, None, "AccessDenied"),
    ("a stranger creates nothing", None, CREATE_BUCKET, None, "AccessDenied"),
    ("stranger, public", None, GET_OBJECT, PUBLIC, None),
    ("stranger, private", None, GET_OBJECT, BUCKET, "AccessDenied"),
    ("stranger, missing", None, GET_OBJECT, None, "AccessDenied"),
    ("stranger, retained", None, GET_OBJECT, RETAINED, "AccessDenied"),
    ("stranger lists buckets", None, LISTING, None, "AccessDenied"),
]


@pytest.mark.parametrize(("who", "record", "action", "bucket", "answer"), MATRIX, ids=[row[0] for row in MATRIX])
def test_matrix(who, record, action, bucket, answer):
    principal = ANONYMOUS if record is None else KeyHolder(record)
    name = None if action is None else "photos"
    assert authorize(principal, action, name, bucket, NOW) == answer
    assert answer is None or answer in CODES


@pytest.mark.parametrize("action", [*GRANTABLE_ACTIONS, OPERATE])
def test_strangers_do_nothing_but_read_objects(action):
    expected = None if action == GET_OBJECT else "AccessDenied"
    assert authorize(ANONYMOUS, action, "photos", PUBLIC, NOW) == expected


@pytest.mark.parametrize("granted", GRANTABLE_ACTIONS)
def test_an_action_gives_itself_and_nothing_else(granted):
    """But for CreateBucket, which no grant on a bucket gives."""
    holder = KeyHolder(key(granted))
    allowed = {a for a in (*GRANTABLE_ACTIONS, OPERATE) if authorize(holder, a, "photos", BUCKET, NOW) is None}
    assert allowed == {granted} - {CREATE_BUCKET}


def test_the_system_operates_without_a_bucket():
    assert authorize(KeyHolder(SYSTEM), OPERATE, None, None, NOW) is None


@pytest.mark.parametrize(
    ("principal", "known"),
    [
        (KeyHolder(READER), True),
        (KeyHolder(key(GET_OBJECT)), False),
        (KeyHolder(key(GET_OBJECT, LIST_BUCKET, data=OTHER_DATA)), False),
        (ANONYMOUS, False),
    ],
)
def test_only_who_may_list_may_know_absence(principal, known):
    assert may_know_absence(principal, BUCKET, b"name") is known


#: May read and list below two prefixes, and write below one of them.
WITHIN = msgspec.structs.replace(
    READER,
    grants=(
        Grant("photos", DATA, (GET_OBJECT, LIST_BUCKET, DELETE_BUCKET), ("a/", "\N{LATIN SMALL LETTER E WITH ACUTE}")),
        Grant("photos", DATA, (PUT_OBJECT,), ("a/b",)),
    ),
)
PLACES = [
    # action, where, whether that is allowed
    (GET_OBJECT, b"a/", True),
    (GET_OBJECT, b"a/x", True),
    (GET_OBJECT, "\N{LATIN SMALL LETTER E WITH ACUTE}t".encode(), True),
    (GET_OBJECT, "\N{LATIN SMALL LETTER E WITH ACUTE}".encode()[:1], False),
    (GET_OBJECT, b"a", False),
    (GET_OBJECT, b"A/x", False),
    (GET_OBJECT, b"b/a/x", False),
    (GET_OBJECT, b"", False),
    (GET_OBJECT, None, True),
    (LIST_BUCKET, b"a/", True),
    (LIST_BUCKET, b"a/deeper/", True),
    (LIST_BUCKET, b"a", False),
    (LIST_BUCKET, b"", False),
    (LIST_BUCKET, None, True),
    (PUT_OBJECT, b"a/bc", True),
    (PUT_OBJECT, b"a/c", False),
    (DELETE_OBJECT, None, False),
    (DELETE_BUCKET, b"", False),
]


@pytest.mark.parametrize(("action", "where", "allowed"), PLACES)
def test_a_grant_ends_at_its_prefixes(action: str, where: bytes | None, allowed: bool) -> None:
    assert authorize(KeyHolder(WITHIN), action, "photos", BUCKET, NOW, where) == (None if allowed else "AccessDenied")
    if where is not None:
        records = Records({"AKIA1": WITHIN}, {"photos": BUCKET})
        again = recheck(records, "AKIA1", "", action, DATA_BYTES, (where,), NOW)
        assert again == (None if allowed else "AccessDenied")


def test_each_object_of_a_write_is_judged_again() -> None:
    records = Records({"AKIA1": WITHIN}, {"photos": BUCKET})
    assert recheck(records, "AKIA1", "", PUT_OBJECT, DATA_BYTES, (b"a/b1", b"a/b2"), NOW) is None
    assert recheck(records, "AKIA1", "", PUT_OBJECT, DATA_BYTES, (b"a/b1", b"a/c"), NOW) == "AccessDenied"


def test_absence_is_known_within_the_prefixes_that_may_be_listed() -> None:
    assert may_know_absence(KeyHolder(WITHIN), BUCKET, b"a/missing")
    assert not may_know_absence(KeyHolder(WITHIN), BUCKET, b"b/missing")


@dataclasses.dataclass
class Records:
    keys: dict[str, KeyRecord]
    buckets: dict[str, BucketRecord]
    settings: RegionRecord | None = REGION
    verified: float = NOW
    domains: dict[str, DomainRecord] = dataclasses.field(default_factory=dict[str, DomainRecord])
    revision: int = 0

    def key(self, access_key_id: str) -> KeyRecord | None:
        return self.keys.get(access_key_id)

    def bucket(self, name: str) -> BucketRecord | None:
        return self.buckets.get(name)

    def domain(self, name: str) -> DomainRecord | None:
        return self.domains.get(name)

    def region(self) -> RegionRecord | None:
        return self.settings

    def verified_at(self) -> float:
        return self.verified


DATA_BYTES = uuid.UUID(DATA).bytes
RECHECKS = [
    ("still allowed", key(PUT_OBJECT), PUT_OBJECT, BUCKET, None),
    ("data id without hyphens", key(PUT_OBJECT, data=uuid.UUID(DATA).hex), PUT_OBJECT, None, "NoSuchBucket"),
    ("revoked meanwhile", key(PUT_OBJECT, state="Revoked"), PUT_OBJECT, BUCKET, "KeyAccessRevoked"),
    ("expired meanwhile", key(PUT_OBJECT, not_after=NOW), PUT_OBJECT, BUCKET, "KeyAccessRevoked"),
    ("gone meanwhile", None, PUT_OBJECT, BUCKET, "KeyAccessRevoked"),
    ("grant withdrawn", key(), PUT_OBJECT, BUCKET, "AccessDenied"),
    ("grant withdrawn and revoked", key(state="Revoked"), PUT_OBJECT, BUCKET, "KeyAccessRevoked"),
    ("action withdrawn", READER, PUT_OBJECT, BUCKET, "AccessDenied"),
    ("bucket gone", key(PUT_OBJECT), PUT_OBJECT, None, "NoSuchBucket"),
    ("bucket retained", key(PUT_OBJECT), PUT_OBJECT, RETAINED, "NoSuchBucket"),
    (
        "name taken by other data",
        key(PUT_OBJECT),
        PUT_OBJECT,
        msgspec.structs.replace(BUCKET, data_id=OTHER_DATA),
        "NoSuchBucket",
    ),
    ("bucket cut off", key(PUT_OBJECT), PUT_OBJECT, CUT_OFF, "KeyAccessRevoked"),
    ("grant on what is no UUID", key(PUT_OBJECT, data="?"), PUT_OBJECT, BUCKET, "AccessDenied"),
    ("bucket's deletion", key(DELETE_BUCKET), DELETE_BUCKET, BUCKET, None),
    ("the system", SYSTEM, OPERATE, None, None),
    ("the system, revoked", key(system=True, state="Revoked"), OPERATE, None, "KeyAccessRevoked"),
    ("not the system", ALL, OPERATE, BUCKET, "AccessDenied"),
]


@pytest.mark.parametrize(("case", "record", "action", "bucket", "answer"), RECHECKS, ids=[row[0] for row in RECHECKS])
def test_recheck_inside_a_commit(case, record, action, bucket, answer):
    records = Records({"AKIA1": record} if record else {}, {"photos": bucket} if bucket else {})
    assert recheck(records, "AKIA1", "", action, DATA_BYTES, (b"name",), NOW) == answer


@pytest.mark.parametrize(
    ("settings", "verified", "answer"),
    [
        (REGION, NOW - REGION.max_record_age, None),
        (REGION, NOW - REGION.max_record_age - 1, "ServiceUnavailable"),
        (None, NOW, "ServiceUnavailable"),
    ],
)
def test_records_may_have_grown_too_old_by_the_commit(settings, verified, answer):
    records = Records({"AKIA1": key(PUT_OBJECT)}, {"photos": BUCKET}, settings, verified)
    assert recheck(records, "AKIA1", "", PUT_OBJECT, DATA_BYTES, (b"name",), NOW) == answer


def test_strangers_never_write():
    assert recheck(Records({}, {"photos": PUBLIC}), "", "", PUT_OBJECT, DATA_BYTES, (b"name",), NOW) == "AccessDenied"


SERVING = msgspec.structs.replace(REGION, create_buckets=True)
ASKED_AGAIN = [
    # key, region, age of the records, answer
    (CREATOR, SERVING, 0.0, None),
    (ALL, SERVING, 0.0, "AccessDenied"),
    (CREATOR, REGION, 0.0, "AccessDenied"),
    (CREATOR, SERVING, 31.0, "ServiceUnavailable"),
    (None, SERVING, 0.0, "KeyAccessRevoked"),
    (key(create_buckets=True, state="Revoked"), SERVING, 0.0, "KeyAccessRevoked"),
    (key(create_buckets=True, networks=("10.0.0.0/8",)), SERVING, 0.0, "NetworkNotAllowed"),
    (key(create_buckets=True, system=True), SERVING, 0.0, "AccessDenied"),
]


@pytest.mark.parametrize(("record", "region", "age", "answer"), ASKED_AGAIN)
def test_who_asks_for_a_bucket_is_looked_at_again_in_the_commit(
    record: KeyRecord | None, region: RegionRecord, age: float, answer: str | None
) -> None:
    records = Records({} if record is None else {"AKIA1": record}, {}, settings=region, verified=NOW - age)
    assert recheck(records, "AKIA1", "192.0.2.1", CREATE_BUCKET, b"", (), NOW) == answer
