"""The operator's own key: made anew at each start, known to gateways by a record like any other."""

import uuid
from collections.abc import Callable

from cooper_crds.names import access_key_id, key_record_name
from cooper_crds.records import KeyRecord, Owner
from cooper_operator.cluster.port import Cluster


async def issue_system_key(cluster: Cluster, new_secret: Callable[[], str]) -> KeyRecord:
    """Write a new system key's record, then remove those of earlier starts. Raises what the port raises."""
    uid = str(uuid.uuid4())
    key = KeyRecord(
        access_key_id=access_key_id(uid, 0),
        secret_key=new_secret(),
        owner=Owner("", "cooper-operator", uid),
        serial=0,
        system=True,
    )
    await cluster.create_record(key_record_name(key.access_key_id), key)
    for stored in await cluster.list_records():
        record = stored.record
        if isinstance(record, KeyRecord) and record.system and record.access_key_id != key.access_key_id:
            await cluster.delete_record(stored)
    return key
