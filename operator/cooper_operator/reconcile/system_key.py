"""The operator's own key, known to gateways by a record like any other.

It is made anew at a start, so that who led before and may not know that he leads no longer is refused from then on. Of
one who gave the Lease up nothing is to be feared: his key is kept, and such a start writes nothing.
"""

import uuid
from collections.abc import Callable, Iterable

from cooper_crds.names import access_key_id, key_record_name
from cooper_crds.records import KeyRecord, Owner
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.port import Cluster


def kept_key(records: Iterable[StoredRecord]) -> KeyRecord | None:
    """The system key that is there, if it is the only one and as it is made here."""
    found = [record for _, record in _system_keys(records)]
    return found[0] if len(found) == 1 and found[0] == _new(found[0].owner.uid, found[0].secret_key) else None


async def issue_system_key(cluster: Cluster, new_secret: Callable[[], str]) -> KeyRecord:
    """Write a new system key's record, then remove those of earlier starts. Raises what the port raises."""
    key = _new(str(uuid.uuid4()), new_secret())
    await cluster.create_record(key_record_name(key.access_key_id), key)
    for stored, record in _system_keys(await cluster.list_records()):
        if record.access_key_id != key.access_key_id:
            await cluster.delete_record(stored)
    return key


def _new(uid: str, secret: str) -> KeyRecord:
    owner = Owner("", "cooper-operator", uid)
    return KeyRecord(access_key_id=access_key_id(uid, 0), secret_key=secret, owner=owner, serial=0, system=True)


def _system_keys(records: Iterable[StoredRecord]) -> list[tuple[StoredRecord, KeyRecord]]:
    found = [(stored, stored.record) for stored in records]
    return [(stored, record) for stored, record in found if isinstance(record, KeyRecord) and record.system]
