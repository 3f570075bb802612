"""Whether a tenant is served as wanted, and nothing is left of what was: no key, record, Secret or finalizer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cooper_crds.kubernetes import CREDENTIALS_LABEL, DAMAGED_RECORD_TYPE, RECORD_TYPE, record_of
from cooper_crds.records import BucketRecord, KeyRecord, RegionRecord
from cooper_operator.cluster.kubernetes_objects import controller_of, core_path, kind_path
from e2e.system.server import Object, Server, values
from e2e.system.workload import Workload


@dataclass
class State:
    """All that matters, read one after the other."""

    buckets: list[Object]  # of all tenants
    access_keys: list[Object]
    regions: list[Object]
    secrets: list[Object]  # of all tenants
    system: list[Object]  # Secrets of the gateways' namespace

    def of(self, namespace: str) -> "State":
        """What one tenant has."""
        chosen = [
            [each for each in objects if each["metadata"].get("namespace") == namespace]
            for objects in (self.buckets, self.access_keys, self.secrets)
        ]
        return State(chosen[0], chosen[1], self.regions, chosen[2], self.system)


async def read_state(server: Server, system_namespace: str) -> State:
    """Records first: what is there before its resource is read has one, or is left over."""
    system = await server.list(core_path("secrets", system_namespace))
    secrets = await server.list(core_path("secrets"), labelSelector=CREDENTIALS_LABEL)
    buckets, keys, regions = [await server.list(kind_path(kind)) for kind in ("Bucket", "AccessKey", "Region")]
    return State(buckets, keys, regions, secrets, system)


def findings(state: State, workload: Workload) -> list[str]:
    """What is not as it is to be, in words."""
    own = state.of(workload.namespace)
    return [*_resources(own, workload), *_secrets(own, workload), *_records(state)]


def _resources(own: State, workload: Workload) -> Iterator[str]:
    wanted = workload.wanted()
    kinds = (("Bucket", own.buckets, set(workload.buckets)), ("AccessKey", own.access_keys, {*wanted, *workload.keys}))
    for kind, found, names in kinds:
        there = {each["metadata"]["name"]: each for each in found}
        yield from (f"{kind} {name} is not there" for name in names - set(there))
        for name, obj in there.items():
            if name not in names:
                yield f"{kind} {name} is still there: {_conditions(obj)}"
            elif "deletionTimestamp" in obj["metadata"]:
                yield f"{kind} {name} is going: {_conditions(obj)}"
            elif kind == "AccessKey" and name in workload.revoked():
                yield from _lacks(kind, obj, "Revoked")
            else:
                yield from _lacks(kind, obj, "Ready")


def _lacks(kind: str, obj: Object, condition: str) -> Iterator[str]:
    metadata, status = obj["metadata"], obj.get("status", {})
    holds = any(each["type"] == condition and each["status"] == "True" for each in status.get("conditions", ()))
    if not holds or status["observedGeneration"] != metadata["generation"]:
        yield f"{kind} {metadata['name']} is not {condition}: {_conditions(obj)}"


def _conditions(obj: Object) -> list[tuple[str, ...]]:
    found = obj.get("status", {}).get("conditions", ())
    return [tuple(str(each.get(key)) for key in ("type", "status", "reason", "message")) for each in found]


def _secrets(own: State, workload: Workload) -> Iterator[str]:
    uids = {each["metadata"]["name"]: each["metadata"]["uid"] for each in own.access_keys}
    wanted = {(each.secret, name, uids.get(name)) for name, each in workload.wanted().items()}
    found = {
        (each["metadata"]["name"], *(controller_of(each["metadata"], "AccessKey") or ("nobody", ""))): each
        for each in own.secrets
    }
    yield from (
        f"Secret {secret} of AccessKey {owner} {uid} is not there" for secret, owner, uid in wanted - set(found)
    )
    yield from (f"Secret {secret} of {owner} {uid} is left over" for secret, owner, uid in set(found) - wanted)


def _records(state: State) -> Iterator[str]:
    """Of all tenants: what has no resource any more, and keys that none needs."""
    live = {each["metadata"]["uid"] for each in (*state.buckets, *state.access_keys)}
    delivered = {values(each).get("ACCESS_KEY") for each in state.secrets}
    regions = {each["metadata"]["name"] for each in state.regions}
    keys: dict[str, list[KeyRecord]] = {}
    for secret in state.system:
        name = secret["metadata"]["name"]
        if secret["type"] == DAMAGED_RECORD_TYPE:
            yield f"record {name} was damaged"
        if secret["type"] != RECORD_TYPE:
            continue
        record: Any = record_of(secret)
        if isinstance(record, RegionRecord):
            if record.name not in regions:
                yield f"record {name} has no Region"
            continue
        system = isinstance(record, KeyRecord) and record.system
        if isinstance(record, KeyRecord):
            keys.setdefault("" if system else record.owner.uid, []).append(record)
        retained = isinstance(record, BucketRecord) and record.retained
        if not system and not retained and record.owner.uid not in live:
            yield f"record {name} of {record.owner.namespace}/{record.owner.name} has no resource"
    for uid, records in keys.items():
        yield from _keys_of_one(uid, records, delivered)


def _keys_of_one(uid: str, records: list[KeyRecord], delivered: set[str | None]) -> Iterator[str]:
    """One is in use, or was and is refused; of those before it one may stay as a tombstone."""
    if uid == "":
        if len(records) != 1:
            yield f"the operator has {len(records)} keys"
        return
    newest, *others = sorted(records, key=lambda record: record.serial, reverse=True)
    whose = f"{newest.owner.namespace}/{newest.owner.name}"
    if newest.state == "Active" and newest.access_key_id not in delivered:
        yield f"key {newest.access_key_id} of {whose} is in no Secret"
    if len(others) > 1:
        yield f"{whose} has {len(records)} keys: {records}"
    yield from (f"the former {each} of {whose} is not revoked" for each in others if each.state != "Revoked")
