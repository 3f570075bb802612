"""Statuses as the operator writes them: of its plans' tables, of lives with edits and faults, and the longest ones."""

import asyncio
import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cooper_crds.manifest import parse
from cooper_crds.names import access_key_id, key_record_name
from cooper_crds.records import KeyRecord, Owner
from cooper_crds.region import Region
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.memory import MemoryCluster
from cooper_operator.cluster.port import Object
from cooper_operator.plan import steps as do
from cooper_operator.plan.access_key import plan_access_key
from cooper_operator.plan.bucket import plan_bucket, wanted_record
from cooper_operator.plan.bucket_grant import plan_bucket_grant
from cooper_operator.plan.plan import Plan
from cooper_operator.plan.region import plan_region
from cooper_operator.plan.snapshot import (
    AccessKeySnapshot,
    Blocked,
    BucketGrantSnapshot,
    BucketSnapshot,
    BucketUsage,
    GatewaysSeen,
    GrantedBucket,
    RegionSnapshot,
    Surroundings,
)
from cooper_operator.reconcile.reconciler import make_plan
from e2e.crds.samples import manifest
from property.test_operator_model import STEPS, live
from support.virtual_time import VirtualLoop
from unit.operator import test_domains
from unit.operator import test_plan_tables as tables

#: Kind and status.
Found = tuple[str, dict[str, Any]]
#: What tells statuses apart is not when, and of which key.
_VARIES: Final = re.compile(r'AKIA[A-Z2-7]{16}|"[0-9T:.Z-]+"|\d+')
_LIVES: Final = 12
_KINDS: Final = {
    plan_region: "Region",
    plan_bucket: "Bucket",
    plan_bucket_grant: "BucketGrant",
    plan_access_key: "AccessKey",
}


def _written(kind: str, plan: Plan[Any]) -> list[Found]:
    """As it is written to the cluster."""
    return [] if plan.status is None else [(kind, plan.status.model_dump(by_alias=True, exclude_none=True))]


def of_tables() -> list[Found]:
    """Of every row of the plans' tables."""
    found: list[Found] = []

    def noting(plan: Callable[[Any], Plan[Any]]) -> Callable[[Any], Plan[Any]]:
        def noted(snapshot: Any) -> Plan[Any]:
            made = plan(snapshot)
            found.extend(_written(_KINDS[plan], made))
            return made

        return noted

    with pytest.MonkeyPatch.context() as patch:
        for plan in _KINDS:
            patch.setattr(tables, plan.__name__, noting(plan))
        for rows, test in (
            (tables.BUCKETS, tables.test_bucket),
            (tables.API_ACCESS, tables.test_api_access),
            (tables.ACCESS_KEYS, tables.test_access_key),
            (tables.ROTATIONS, tables.test_rotation),
            (tables.SHARED, tables.test_what_another_namespace_lets),
            (tables.BUCKET_GRANTS, tables.test_bucket_grant),
            (tables.DELETIONS, tables.test_access_key_deletion),
            (tables.REGIONS, tables.test_region),
            (tables.GONE, tables.test_region_that_is_gone),
        ):
            for case in rows:
                test(case)
        tables.test_record_of_a_key_has_room_for_what_comes_after()
    for made, *_ in test_domains.CASES.values():
        found.extend(_written("Bucket", plan_bucket(made)))
    found.extend(_written("Region", make_plan(_misspelt())))
    return found


def _misspelt() -> RegionSnapshot:
    """A Region with annotations that are nothing, with the longest names."""
    region = parse(manifest("Region", {"tag": "a"}, "a", uid="uid-1", generation=1))
    names = (f"{'a.' * 121}cooper.dev/{number:063}" for number in range(4))
    metadata = region.metadata.model_copy(update={"annotations": dict.fromkeys(names, "")})
    region = region.model_copy(update={"metadata": metadata})
    assert isinstance(region, Region)
    return RegionSnapshot("a", region, (region,), None, False, "", tables.NOW)


def of_lives() -> list[Found]:
    """Of an operator under random edits, faults and crashes; the same at every run."""
    found: dict[str, Found] = {}
    write = MemoryCluster.update_status

    async def noted(cluster: MemoryCluster, obj: Object) -> Object:
        alike = obj["kind"] + _VARIES.sub("", json.dumps(obj["status"]))
        found.setdefault(alike, (obj["kind"], dict(obj["status"])))
        return await write(cluster, obj)

    @settings(
        max_examples=_LIVES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(STEPS, st.integers(0, 2**32))
    def run(steps: Any, seed: int) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(live(steps, seed))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryCluster, "update_status", noted)
        run()
    return list(found.values())


# The longest: names as long as they may be, numbers as large, and what others say without end.

_NAMESPACE, _LABEL, _NAME = "n" * 63, "r" * 63, "a" * 253
_ENDLESS: Final = "ä😀" * 100_000
_ENDPOINT: Final = "http://".ljust(512, "h")
_DOMAINS: Final = [f"{number}." + "a." * 98 + "bb" for number in range(8)]
_BLOCKS: Final = [
    Blocked(step, why, _ENDLESS, (1 << 63) - 1)
    for step in do.Step.__args__
    for why in ("incomplete", "unavailable", "not-empty", "refused")
]


def _parsed(kind: str, spec: dict[str, Any], name: str, deleting: bool = False) -> Any:
    metadata: dict[str, Any] = {} if kind == "Region" else {"namespace": _NAMESPACE}
    if deleting:
        metadata["deletionTimestamp"] = "2027-01-01T00:00:00Z"
    return parse(manifest(kind, spec, name, uid="uid-1", generation=(1 << 63) - 1, **metadata))


def longest() -> Iterator[Found]:
    """Whatever is told in a status at its longest."""
    suffixes = [{"suffix": each} for each in _DOMAINS[:4]]
    spec = {"tag": _LABEL, "endpoints": {"internal": _ENDPOINT}, "domainSuffixes": suffixes}
    many = tuple(_parsed("Region", {**spec, "default": True}, f"{n:03}".rjust(63, "r")) for n in range(999))
    pods = tuple(f"{n:03}".rjust(253, "p") for n in range(999))
    for seen in (GatewaysSeen((), pods), GatewaysSeen(pods, pods), GatewaysSeen(pods), GatewaysSeen(unknown=_ENDLESS)):
        for regions, blocked in itertools.product((many, many[:1]), (None, *_BLOCKS)):
            region = RegionSnapshot(_LABEL, regions[0], regions, None, True, "", tables.NOW, seen, blocked)
            yield from _written("Region", plan_region(region))
    to = {"from": [{"namespace": f"{n:02}".rjust(63, "n")} for n in range(64)]}
    all_missing = tuple(f"{n:03}".rjust(253, "b") for n in range(128))
    for missing in ((), all_missing):
        grant = _parsed("BucketGrant", {**to, "buckets": list(all_missing)}, _NAME)
        yield from _written("BucketGrant", plan_bucket_grant(BucketGrantSnapshot(grant, missing, tables.NOW)))
    home = Surroundings((_parsed("Region", spec, _LABEL),))
    for around, blocked, deleting in itertools.product((home, Surroundings(many)), (None, *_BLOCKS), (False, True)):
        yield from _written("Bucket", plan_bucket(_bucket(around, blocked, deleting)))
        yield from _written("AccessKey", plan_access_key(_access_key(around, blocked, deleting)))


def _bucket(around: Surroundings, blocked: Blocked | None, deleting: bool) -> BucketSnapshot:
    region = {} if len(around.regions) > 1 else {"region": _LABEL}
    spec = {**region, "bucketName": "b" * 63, "domains": _DOMAINS, "credentials": {"secretName": _NAME}}
    bucket = _parsed("Bucket", spec, _NAME, deleting)
    claim = StoredRecord(f"bucket-{'b' * 63}", wanted_record(bucket, "b" * 63, region.get("region", "")), "9" * 20)
    usage = BucketUsage((1 << 63) - 1, (1 << 63) - 1)
    return BucketSnapshot(bucket, around, claim, claim, None, tables.NOW, usage=usage, blocked=blocked)


def _access_key(around: Surroundings, blocked: Blocked | None, deleting: bool) -> AccessKeySnapshot:
    region = {} if len(around.regions) > 1 else {"region": _LABEL}
    spec = {**region, "grants": [{"bucket": _NAME}], "secretName": _NAME}
    access_key = _parsed("AccessKey", spec, _NAME, deleting)
    bucket = _bucket(around, None, False)
    granted = {_NAME: GrantedBucket(bucket.bucket, bucket.claim)}
    key = KeyRecord(
        access_key_id("uid-1", 0), "s" * 40, Owner(_NAMESPACE, _NAME, "uid-1"), 0, region=region.get("region", "")
    )
    records = (StoredRecord(key_record_name(key.access_key_id), key, "9" * 20),)
    return AccessKeySnapshot(access_key, around, granted, records, None, (), tables.NOW, blocked=blocked)
