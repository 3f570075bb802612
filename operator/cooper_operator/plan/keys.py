"""The keys of an AccessKey: one is in use, those before it are on their way out."""

import zlib
from collections.abc import Iterable
from typing import Final

import msgspec

from cooper_crds.access_key import AccessKey
from cooper_crds.names import access_key_id, key_record_name
from cooper_crds.records import BucketRecord, Grant, KeyRecord, Owner, spent
from cooper_crds.stored import StoredRecord
from cooper_operator.plan.snapshot import AccessKeySnapshot

#: How many keys of an AccessKey are tried for the one that an id tells: of one an hour, those of two years.
SERIALS: Final = 20_000
#: The same where any look may have to: whoever writes a status can have it tell any id, as often as he likes.
NEAR_SERIALS: Final = 500


def key_in(found: StoredRecord) -> KeyRecord:
    """The key in a record that is known to be one."""
    if not isinstance(found.record, KeyRecord):
        raise TypeError(f"record {found.name} is no key's")
    return found.record


def keys_of(snapshot: AccessKeySnapshot) -> list[StoredRecord]:
    """The records of this AccessKey's keys, the newest first."""
    return keys_among(snapshot.records, snapshot.access_key.metadata.uid)


def keys_among(records: Iterable[StoredRecord], uid: str) -> list[StoredRecord]:
    """Of these records those of keys of the AccessKey with this UID, the newest first."""
    mine = [found for found in records if isinstance(found.record, KeyRecord) and found.record.owner.uid == uid]
    return sorted(mine, key=lambda found: key_in(found).serial, reverse=True)


def usable_key(keys: list[StoredRecord], now: float) -> StoredRecord | None:
    """The key that is in use. One that gateways have refused never comes to life again: a new one is made instead."""
    if not keys:
        return None
    return None if spent(key_in(keys[0]), now) else keys[0]


def tombstone(key: KeyRecord, now: float) -> KeyRecord:
    """What a key's record says once it is revoked. The secret stays, so that only its holder is told so; the grants go,
    so that there is room to say it however many there were.

    A tombstone stays as it is: how long ago the key was revoked decides whether a silent gateway is waited for.
    """
    return key if key.state == "Revoked" else msgspec.structs.replace(key, state="Revoked", revoked_at=now, grants=())


def reaches(key: KeyRecord, bucket: BucketRecord, now: float) -> bool:
    """Whether a key can show how a bucket's API access stands: it is in use, and granted something there."""
    return not spent(key, now) and any(grant.is_on(bucket) for grant in key.grants)


def wanted_region(access_key: AccessKey, records: Iterable[StoredRecord]) -> str | None:
    """Name of the Region to look for: where the keys are honoured once there are some, else what the spec says.

    The default Region may become another one. A key stays where it is, so that it is known who is to refuse it.
    """
    keys = keys_among(records, access_key.metadata.uid)
    if not keys:
        return access_key.spec.region
    told = access_key.status.region if access_key.status is not None else None
    return next((key_in(found).region for found in keys if key_in(found).region), told or access_key.spec.region)


def wanted_key(
    snapshot: AccessKeySnapshot,
    keys: list[StoredRecord],
    newest: StoredRecord | None,
    beside: StoredRecord | None,
    region: str,
    grants: tuple[Grant, ...],
) -> KeyRecord:
    """What the record of the newest key is to say: of `newest`, or of one that is to be issued, beside another or not.

    That has no secret yet: it is made when the key is issued.
    """
    if newest is not None:
        return as_wanted(snapshot.access_key, key_in(newest), region, grants, newest=True)
    meta = snapshot.access_key.metadata
    serial = next_serial(snapshot.access_key, keys)
    key = KeyRecord(
        access_key_id=access_key_id(meta.uid, serial),
        secret_key="",
        owner=Owner(meta.namespace, meta.name, meta.uid),
        serial=serial,
        issued_at=snapshot.now,
        replaces="" if beside is None else key_in(beside).access_key_id,
    )
    return as_wanted(snapshot.access_key, key, region, grants, newest=True)


def as_wanted(
    access_key: AccessKey, key: KeyRecord, region: str, grants: tuple[Grant, ...], *, newest: bool
) -> KeyRecord:
    """A key with what its AccessKey says, which grants these. One that is not the newest keeps the end that it has, if
    that comes sooner."""
    ends = [at for at in (access_key.spec.not_after, None if newest else key.not_after) if at is not None]
    return msgspec.structs.replace(
        key,
        region=region,
        grants=grants,
        create_buckets=access_key.spec.creates_buckets,
        networks=tuple(access_key.spec.allowed_networks or ()),
        not_after=min(ends, default=None),
    )


def serial_of(uid: str, record: str, most: int) -> int | None:
    """Which key of an AccessKey has a record of that name; None where none of the first `most` has."""
    return next((serial for serial in range(most) if key_record_name(access_key_id(uid, serial)) == record), None)


def next_serial(access_key: AccessKey, keys: list[StoredRecord]) -> int:
    """One that no key had, of those known, the newest first: an id that was refused is not used again. Where no record
    is left, status tells the last; after one that is not among the first ones the next is far from all of them."""
    if keys:
        return key_in(keys[0]).serial + 1
    told = access_key.status.access_key_id if access_key.status is not None else None
    if told is None:
        return 0
    last = serial_of(access_key.metadata.uid, key_record_name(told), NEAR_SERIALS)
    return SERIALS + zlib.crc32(told.encode()) if last is None else last + 1
