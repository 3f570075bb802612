"""Records that cannot be read: whose they are is told by their names, and what they said by the resources.

A Region's and a Bucket's record are made from nothing but their resource (a bucket's data bears the resource's UID), so
they are rebuilt as they were; not that of a Bucket which took data over, since which data that is tells its record
alone. A key's secret is in its record only: the key is given up for a tombstone of its serial, after which planning
goes on as after any revocation, with a new key of the next serial.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.names import (
    access_key_id,
    bucket_record_name,
    domain_record_name,
    key_record_name,
    region_record_name,
)
from cooper_crds.records import BucketRecord, DomainRecord, KeyRecord, Owner, Record
from cooper_crds.region import Region
from cooper_operator.plan.bucket import wanted_record
from cooper_operator.plan.domains import claim
from cooper_operator.plan.keys import SERIALS, serial_of, tombstone
from cooper_operator.plan.region import region_record, unread

#: How many keys of an AccessKey are tried when its status does not name the one: former keys, or one that was made just
#: before a crash.
_OTHER_SERIALS: Final = 8


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The one resource that a record was made for, and what is to stand in its place. A tombstone has no secret yet."""

    owner: Region | Bucket | AccessKey
    record: Record


def rebuild(name: str, resources: Sequence[Region | Bucket | AccessKey], now: float) -> Rebuilt | None:
    """What can be known of a record by its name. None: no resource, or more than one, says that it is its own."""
    found = [Rebuilt(each, record) for each in resources if (record := _record(name, each, now)) is not None]
    return found[0] if len(found) == 1 else None


def _record(name: str, resource: Region | Bucket | AccessKey, now: float) -> Record | None:
    if isinstance(resource, Region):
        return unread(region_record(resource), now) if region_record_name(resource.metadata.name) == name else None
    if isinstance(resource, Bucket):
        return _of_bucket(name, resource)
    return _tombstone(name, resource, now)


def _of_bucket(name: str, bucket: Bucket) -> BucketRecord | DomainRecord | None:
    """The record of its S3 name, or of a domain that it says it has."""
    status = bucket.status
    if status is None or status.bucket_name is None or status.adopted is not None:
        return None
    record = wanted_record(bucket, status.bucket_name, status.region or bucket.spec.region or "")
    if bucket_record_name(status.bucket_name) == name:
        return record
    return next((claim(each, record) for each in status.domains or () if domain_record_name(each) == name), None)


def _tombstone(name: str, access_key: AccessKey, now: float) -> KeyRecord | None:
    meta, status = access_key.metadata, access_key.status
    known = status.access_key_id if status is not None else None
    current = known is not None and key_record_name(known) == name
    serial = serial_of(meta.uid, name, SERIALS if current else _OTHER_SERIALS)
    if serial is None:
        return None
    owner = Owner(meta.namespace, meta.name, meta.uid)
    region = (status.region if status is not None else None) or access_key.spec.region or ""
    return tombstone(KeyRecord(access_key_id(meta.uid, serial), "", owner, serial, region=region), now)
