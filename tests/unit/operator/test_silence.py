"""Whom a revocation waits for: replicas that are not ready, that are gone, and that nobody hears of."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from cooper_crds.fields import timestamp
from cooper_crds.records import KeyRecord, Owner, RegionRecord
from cooper_crds.stored import StoredRecord
from cooper_operator.gateways.silence import MARGIN, silence_about
from unit.operator.operator_world import World

NOW = 1_800_000_000.0
DAY = 86400.0
REGION = RegionRecord("local", "us-east-1", max_record_age=600.0)
KEY = KeyRecord("AKIAIOSFODNN7EXAMPLE", "s" * 40, Owner("default", "photos", "uid"), 0, state="Revoked", revoked_at=NOW)
LOWERED = msgspec.structs.replace(REGION, max_record_age=30.0, longer_age_until=NOW + 500)

#: Of a key and its Region: seconds after the revocation from which silence refuses it; None: never.
SILENCES = {
    "revoked": (KEY, REGION, 600 + MARGIN),
    "age lowered meanwhile": (KEY, LOWERED, 500 + MARGIN),
    "age lowered long ago": (KEY, msgspec.structs.replace(LOWERED, longer_age_until=NOW - 1), 30 + MARGIN),
    "revoked nobody knows when": (msgspec.structs.replace(KEY, revoked_at=None), REGION, None),
    "not revoked": (msgspec.structs.replace(KEY, state="Active"), REGION, None),
}


@pytest.mark.parametrize("case", SILENCES)
def test_silence_refuses_a_key_once_whoever_does_not_know_better_refuses_everything(case: str) -> None:
    key, region, after = SILENCES[case]
    times = (0.0, 90.0, *((after - 0.001, after) if after is not None else (100 * DAY,)))
    for passed in times:
        silence = silence_about(key, region, NOW + passed)
        assert silence.refuses == (after is not None and passed >= after)
        told = after is not None and not silence.refuses
        assert silence.until == (f" (waited for until {timestamp(NOW + (after or 0))})" if told else "")


# The operator


async def revoke(world: World) -> None:
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}], "state": "Revoked"})


@pytest.fixture
async def issued(world: World) -> World:
    await world.apply("Bucket", "photos", {"credentials": {"enabled": False}})
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}]})
    await world.until_ready("AccessKey", "ci")
    return world


async def look_again(world: World) -> None:
    await world.operator._resync()
    await world.settle()


async def test_key_is_ready_without_a_replica_that_is_not_and_revoked_only_with_it(world: World) -> None:
    world.gateways.unready, world.gateways.stale = {1}, {1}
    await world.apply("Bucket", "photos")
    await world.until_ready("Bucket", "photos")
    world.gateways.stale = set()
    assert (await world.gateways.prove_denied(await region(world), await world.key())).proven == 0  # it knows the key
    world.gateways.stale = {1}
    spec = (await world.get("AccessKey", "photos") or {})["spec"]
    await world.apply("AccessKey", "photos", {**spec, "state": "Revoked"})
    await world.until_condition("AccessKey", "photos", "False", "WaitingForGateways", "Revoked")
    assert "worker 1" in await world.message("AccessKey", "photos", "Revoked")
    world.gateways.stale = set()
    await look_again(world)
    await world.until_condition("AccessKey", "photos", "True", "RefusedEverywhere", "Revoked")


async def region(world: World) -> RegionRecord:
    stored = await world.cluster.get_record("region-local")
    assert stored is not None
    assert isinstance(stored.record, RegionRecord)
    return stored.record


async def test_deletion_does_not_wait_where_no_gateway_is_left(issued: World) -> None:
    issued.gateways.workers = 0
    await issued.delete("AccessKey", "ci")
    await issued.until_gone("AccessKey", "ci")
    assert await issued.keys() == []


async def test_no_key_is_ready_where_no_gateway_is(world: World) -> None:
    world.gateways.workers = 0
    await world.apply("Bucket", "photos")
    await world.until_condition("AccessKey", "photos", "False", "GatewayUnavailable")
    assert "no gateway is ready" in await world.message("AccessKey", "photos")


async def lower(world: World) -> None:
    await world.apply("Region", "local", {"tag": "us-east-1", "default": True, "maxRecordAge": "30s"})


async def lower_and_record(world: World) -> None:
    await lower(world)
    await world.settle()


async def lower_unrecorded(world: World) -> None:
    """The Region says so, and gateways were not told yet."""

    async def kept(current: StoredRecord, record: object) -> StoredRecord:
        return current

    update = world.cluster.update_record
    world.cluster.update_record = kept  # type: ignore[method-assign]
    await lower(world)
    await world.settle()
    world.cluster.update_record = update  # type: ignore[method-assign]


async def nothing(world: World) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "longer"),
    [(nothing, 0.0), (lower_and_record, 0.0), (lower_unrecorded, DAY)],  # the last is recorded a day later
)
async def test_silent_replica_is_waited_for_until_it_refuses_everything_whatever_the_region_says_by_then(
    issued: World, change: Callable[[World], Awaitable[None]], longer: float
) -> None:
    world = issued
    world.gateways.silent = {0}
    await revoke(world)
    await world.until_condition("AccessKey", "ci", "False", "WaitingForGateways", "Revoked")
    key = await world.key()
    assert key.revoked_at == pytest.approx(world.now(), abs=10)
    await change(world)
    world.offset += DAY - 100
    await look_again(world)
    assert (await world.condition("AccessKey", "ci", "Revoked"))[0] == "False"
    assert await world.key() == key  # nor does it begin anew
    world.offset += 100 + MARGIN + 60 + longer
    await look_again(world)
    await world.until_condition("AccessKey", "ci", "True", "RefusedEverywhere", "Revoked")
    assert await world.key() == key


async def test_age_that_was_lowered_long_ago_is_what_silence_is_measured_by(issued: World) -> None:
    world = issued
    await lower_and_record(world)
    assert (await region(world)).longer_age_until == pytest.approx(world.now() + DAY, abs=10)
    world.offset += DAY
    world.gateways.silent = {0}
    await revoke(world)
    await world.until_condition("AccessKey", "ci", "False", "WaitingForGateways", "Revoked")
    world.offset += 30 + MARGIN + 10
    await look_again(world)
    await world.until_condition("AccessKey", "ci", "True", "RefusedEverywhere", "Revoked")


async def test_orphaned_key_is_revoked_as_of_now_and_goes_when_silence_refuses_it(issued: World) -> None:
    world = issued
    key = KeyRecord("AKIAORPHAN2222222222", "s" * 40, Owner("default", "gone", "gone-uid"), 0)
    await world.cluster.create_record("key-akiaorphan2222222222", key)
    world.gateways.silent = {0}
    for _ in range(2):
        await world.operator._sweeper.sweep()
        stored = await world.cluster.get_record("key-akiaorphan2222222222")
        assert stored is not None
        assert isinstance(stored.record, KeyRecord)
        assert stored.record.revoked_at == pytest.approx(world.now(), abs=10)
    world.offset += DAY + MARGIN + 1
    await world.operator._sweeper.sweep()
    assert await world.cluster.get_record("key-akiaorphan2222222222") is None
