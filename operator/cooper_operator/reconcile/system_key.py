"""The operator's own key, known to gateways by a record like any other.

It is made anew at a start, so that who led before and may not know that he leads no longer is refused from then on. Of
one who gave the Lease up nothing is to be feared: his key is kept, and such a start writes nothing.
"""

import uuid
from collections.abc import Callable

from cooper_crds.names import access_key_id, key_record_name
from cooper_crds.records import KeyRecord, Owner
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.port import Cluster


async def system_key(cluster: Cluster, new_secret: Callable[[], str], *, keep: bool) -> KeyRecord:
    """The key to go on with: with `keep` the one that is there, if it is the only one and as it is made here; else a
    new one, whose record is written before those of earlier starts are removed. Raises what the port raises."""
    if keep:
        found = [record for _, record in await _system_keys(cluster)]
        if len(found) == 1 and found[0] == _new(found[0].owner.uid, found[0].secret_key):
            return found[0]
    key = _new(str(uuid.uuid4()), new_secret())
    await cluster.create_record(key_record_name(key.access_key_id), key)
    for stored, record in await _system_keys(cluster):
        if record.access_key_id != key.access_key_id:
            await cluster.delete_record(stored)
    return key


def _new(uid: str, secret: str) -> KeyRecord:
    owner = Owner("", "cooper-operator", uid)
    return KeyRecord(access_key_id=access_key_id(uid, 0), secret_key=secret, owner=owner, serial=0, system=True)


async def _system_keys(cluster: Cluster) -> list[tuple[StoredRecord, KeyRecord]]:
    found = [(stored, stored.record) for stored in await cluster.list_records()]
    return [(stored, record) for stored, record in found if isinstance(record, KeyRecord) and record.system]
