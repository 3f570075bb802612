"""Host names of Buckets: claimed by one, told to nobody, given up when they are not to be had any more."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cooper_crds.bucket import Bucket
from cooper_crds.names import domain_record_name
from cooper_crds.records import BucketRecord, DomainRecord, Owner
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.port import Invalid, Ref
from cooper_operator.plan import steps as do
from cooper_operator.plan.bucket import plan_bucket
from cooper_operator.plan.domains import claim
from cooper_operator.plan.plan import Plan
from cooper_operator.plan.region import region_record
from cooper_operator.plan.snapshot import Blocked, BucketSnapshot, Surroundings
from unit.operator.operator_world import World
from unit.operator.test_plan_tables import AROUND, CLAIM, ENDPOINT, RECORD, bucket, bucket_snapshot, own_key, region

A, B = "a.example.com", "b.example.com"
ANY = [{"suffix": "example.com"}]
FILMS = [{"suffix": "example.com", "namespaces": ["films"]}]
INSIDE = {"internal": "http://gw.cooper.svc.cluster.local:9000"}
PUBLIC: dict[str, Any] = {"visibility": "Public"}


# Plans


def letting(suffixes: list[dict[str, Any]] | None, **spec: Any) -> Surroundings:
    return Surroundings((region(domainSuffixes=suffixes, **spec),), None, ENDPOINT)


def two_regions(**spec: Any) -> Surroundings:
    """The Bucket's own, which lets everybody have a domain, and another one."""
    return Surroundings((region(domainSuffixes=ANY), region("other", default=False, **spec)), None, ENDPOINT)


def stored(domain: str, record: BucketRecord = RECORD, **other: Any) -> StoredRecord:
    return StoredRecord(domain_record_name(domain), msgspec.structs.replace(claim(domain, record), **other), "1")


def theirs(domain: str) -> StoredRecord:
    return stored(domain, owner=Owner("elsewhere", "secret-name", "u"), bucket="another", data_id="x")


def snapshot(*names: str, found: tuple[StoredRecord, ...] = (), **fields: Any) -> BucketSnapshot:
    spec = {**PUBLIC, **fields.pop("spec", {}), **({"domains": list(names)} if names else {})}
    made = bucket(deleting=fields.pop("deleting", False), status=fields.pop("status", None), **spec)
    record = msgspec.structs.replace(RECORD, visibility=spec["visibility"], deletion_policy=made.spec.deletion_policy)
    owned = StoredRecord(CLAIM.name, record, "1")
    base = bucket_snapshot(bucket=made, around=letting(ANY), claim=owned, owned=owned, domains=found)
    return replace(base, **fields)


def about_domains(plan: Plan[Any]) -> list[str]:
    """Steps that write or remove the record of a domain, as `<step> <domain>`."""
    told: list[str] = []
    for step in plan.steps:
        name = step.name if isinstance(step, do.CreateRecord) else ""
        if isinstance(step, do.UpdateRecord | do.DeleteRecord):
            name = step.current.name
        if name.startswith("domain-"):
            told.append(f"{type(step).__name__} {name.removeprefix('domain-')}")
    return told


def said(plan: Plan[Any]) -> tuple[str, str, str] | None:
    assert plan.status is not None
    found = [each for each in plan.status.conditions if each.type == "DomainsReady"]
    return (found[0].status, found[0].reason, found[0].message) if found else None


#: name -> (snapshot, steps about domains, status, reason, in the message, what status lists)
CASES: dict[str, tuple[BucketSnapshot, list[str], str, str, str, list[str] | None]] = {
    "claimed": (snapshot(A, B), [f"CreateRecord {A}", f"CreateRecord {B}"], "True", "DomainsClaimed", A, [A, B]),
    "with the bucket itself": (
        snapshot(A, claim=None, owned=None),
        [f"CreateRecord {A}"],
        "True",
        "DomainsClaimed",
        A,
        [A],
    ),
    "kept": (snapshot(A, found=(stored(A),)), [], "True", "DomainsClaimed", A, [A]),
    "mended": (
        snapshot(A, found=(stored(A, bucket="former"),)),
        [f"UpdateRecord {A}"],
        "True",
        "DomainsClaimed",
        A,
        [A],
    ),
    "changed for another": (
        snapshot(B, found=(stored(A),)),
        [f"DeleteRecord {A}", f"CreateRecord {B}"],
        "True",
        "DomainsClaimed",
        B,
        [B],
    ),
    "taken": (snapshot(A, B, found=(theirs(A),)), [f"CreateRecord {B}"], "False", "DomainTaken", A, [B]),
    "not let": (snapshot(A, around=letting(FILMS)), [], "False", "DomainNotAllowed", "under no suffix", None),
    "no suffixes": (snapshot(A, around=AROUND), [], "False", "DomainNotAllowed", "Region local", None),
    "let no more": (
        snapshot(A, found=(stored(A),), around=letting(FILMS)),
        [f"DeleteRecord {A}"],
        "False",
        "DomainNotAllowed",
        A,
        None,
    ),
    "not let, and another's": (
        snapshot(A, found=(theirs(A),), around=letting(FILMS)),
        [],
        "False",
        "DomainNotAllowed",
        A,
        None,
    ),
    "the endpoint": (
        snapshot(A, around=letting(ANY, endpoints={"public": f"https://{A.upper()}:443"})),
        [],
        "False",
        "DomainNotAllowed",
        "of the gateways themselves",
        None,
    ),
    "the inner endpoint, once it is one": (
        snapshot(A, found=(stored(A),), around=letting(ANY, endpoints={"internal": f"http://{A}"})),
        [f"DeleteRecord {A}"],
        "False",
        "DomainNotAllowed",
        "of the gateways themselves",
        None,
    ),
    "the endpoint of another Region": (
        snapshot(A, around=two_regions(endpoints={"public": f"https://{A}"})),
        [],
        "False",
        "DomainNotAllowed",
        "of the gateways themselves",
        None,
    ),
    "a name of the Region's buckets": (
        snapshot(A, around=letting([{"suffix": "com"}], features={"virtualHosts": "example.com"})),
        [],
        "False",
        "DomainNotAllowed",
        "of the gateways themselves",
        None,
    ),
    "a name of another Region's buckets, given up": (
        snapshot(A, found=(stored(A),), around=two_regions(features={"virtualHosts": A.partition(".")[2]})),
        [f"DeleteRecord {A}"],
        "False",
        "DomainNotAllowed",
        "of the gateways themselves",
        None,
    ),
    "beside the names of the Region's buckets": (
        snapshot(A, around=letting(ANY, features={"virtualHosts": f"s3.{A}"})),
        [f"CreateRecord {A}"],
        "True",
        "DomainsClaimed",
        "",
        [A],
    ),
    "let by another Region alone": (
        snapshot("a.example.org", around=two_regions(domainSuffixes=[{"suffix": "example.org"}])),
        [],
        "False",
        "DomainNotAllowed",
        "under no suffix",
        None,
    ),
    "the Service": (
        snapshot("gw.cooper", around=letting([{"suffix": "cooper"}], service={"name": "gw"}, endpoints=INSIDE)),
        [],
        "False",
        "DomainNotAllowed",
        "of the gateways themselves",
        None,
    ),
    "the Service in full": (
        snapshot("local.cooper.svc.cluster.local", around=letting([{"suffix": "local"}])),
        [],
        "False",
        "DomainNotAllowed",
        "of the gateways themselves",
        None,
    ),
    "a name of two parts that begins as the Service": (
        snapshot("local.com", around=letting([{"suffix": "local.com"}], endpoints={"internal": "http://local.a.svc"})),
        ["CreateRecord local.com"],
        "True",
        "DomainsClaimed",
        "",
        ["local.com"],
    ),
    "the Service before the cluster's domain": (
        snapshot("local.cooper.svc.example.com", around=letting(ANY)),
        [],
        "False",
        "DomainNotAllowed",
        "of the gateways themselves",
        None,
    ),
    "like the Service": (
        snapshot("local.app.example.com", around=letting(ANY)),
        ["CreateRecord local.app.example.com"],
        "True",
        "DomainsClaimed",
        "",
        ["local.app.example.com"],
    ),
    "private": (
        snapshot(A, found=(stored(A),), spec={"visibility": "Private"}),
        [],
        "False",
        "DomainsNotPublic",
        "nothing is served",
        [A],
    ),
    "unreadable": (
        snapshot(A, unreadable_domains=frozenset({A})),
        [],
        "False",
        "RecordUnreadable",
        A,
        None,
    ),
    "unreadable, and its own": (
        snapshot(A, unreadable_domains=frozenset({A}), status={"domains": [A]}),
        [],
        "False",
        "RecordUnreadable",
        A,
        [A],
    ),
    "Region gone": (
        snapshot(A, found=(stored(A),), around=Surroundings((), region_record(region()), ENDPOINT)),
        [],
        "True",
        "DomainsClaimed",
        A,
        [A],
    ),
    "Region gone, new": (
        snapshot(A, around=Surroundings((), region_record(region()), ENDPOINT)),
        [],
        "False",
        "RegionNotFound",
        "nobody can tell",
        None,
    ),
    "not provisioned": (
        snapshot(A, found=(stored(A),), claim=theirs(A), owned=None, spec={"bucketName": "taken"}),
        [f"DeleteRecord {A}"],
        "False",
        "NotProvisioned",
        "",
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_plans(case: str) -> None:
    made, steps, status, reason, text, listed = CASES[case]
    plan = plan_bucket(made)
    told = said(plan)
    assert plan.status is not None and told is not None
    assert (about_domains(plan), told[:2], plan.status.domains) == (steps, (status, reason), listed)
    assert text in told[2]
    assert plan.retry == (reason in ("DomainTaken", "RecordUnreadable") or case == "not provisioned")


def test_the_page_on_domains_has_every_reason() -> None:
    page = (Path(__file__).parents[3] / "docs" / "domains.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == {case[3] for case in CASES.values()} | {"Deleting"}


def test_whose_a_domain_is_is_told_to_nobody() -> None:
    told = said(plan_bucket(snapshot(A, found=(theirs(A),))))
    assert told is not None and told[2].startswith("another Bucket has a.example.com. Choose another name.")
    assert not any(each in told[2] for each in ("elsewhere", "secret-name", "another-"))


def test_a_bucket_that_asks_for_none_says_nothing_of_them() -> None:
    before = plan_bucket(snapshot(A))
    assert before.status is not None
    status = before.status.model_dump(by_alias=True, exclude_none=True)
    plan = plan_bucket(snapshot(found=(stored(A),), status=status))
    assert (said(plan), about_domains(plan)) == (None, [f"DeleteRecord {A}"])
    assert plan.status is not None and plan.status.domains is None


def test_domains_are_claimed_after_the_bucket_and_wait_for_no_gateway() -> None:
    plan = plan_bucket(snapshot(A, claim=None, owned=None, blocked=Blocked(do.CreateAccessKey, "refused")))
    assert [type(each).__name__ for each in plan.steps] == ["CreateRecord", "CreateRecord"]


@pytest.mark.parametrize(
    ("policy", "annotation", "steps"),
    [
        ("Delete", None, "CloseBucket MakeDeletionFinal DeleteRecord DestroyBucket DeleteRecord RemoveFinalizer"),
        ("Retain", None, "UpdateRecord DeleteRecord RemoveFinalizer"),
        (
            "Purge",
            None,
            "CloseBucket MakeDeletionFinal DeleteRecord PurgeBucket DestroyBucket DeleteRecord RemoveFinalizer",
        ),
        ("Purge", "final", "DeleteRecord PurgeBucket DestroyBucket DeleteRecord RemoveFinalizer"),
    ],
)
def test_a_deletion_gives_domains_up_once_it_is_final(policy: str, annotation: str | None, steps: str) -> None:
    made = snapshot(A, found=(stored(A),), spec={"deletionPolicy": policy}, deleting=True)
    if annotation:
        deleted: Bucket = bucket(True, None, annotation, **PUBLIC, domains=[A], deletionPolicy=policy)
        made = replace(made, bucket=deleted)
    plan = plan_bucket(made)
    assert " ".join(type(each).__name__ for each in plan.steps) == steps
    assert about_domains(plan) == [f"DeleteRecord {A}"]


def test_a_bucket_that_cannot_be_deleted_yet_keeps_its_domains() -> None:
    waits = Blocked(do.CloseBucket, "not-empty", objects=1)
    made = snapshot(A, found=(stored(A),), deleting=True, blocked=waits)
    assert about_domains(plan_bucket(made)) == []


@pytest.mark.parametrize("policy", ["Delete", "Retain", "Purge"])
@pytest.mark.parametrize("why", ["not let any more", "dropped"])
def test_a_deletion_gives_up_first_of_all_what_the_bucket_may_have_no_longer(policy: str, why: str) -> None:
    asked, around = ((A, B), letting([{"suffix": B}])) if why == "not let any more" else ((B,), letting(ANY))
    found = (stored(A), stored(B))
    made = snapshot(*asked, found=found, around=around, spec={"deletionPolicy": policy}, deleting=True)
    plan = plan_bucket(made)
    assert about_domains(plan) == [f"DeleteRecord {A}", f"DeleteRecord {B}"]
    assert plan.steps[0] == do.DeleteRecord(found[0])
    waits = plan_bucket(replace(made, access_key=own_key(), blocked=Blocked(do.CloseBucket, "not-empty", objects=1)))
    assert about_domains(waits) == [f"DeleteRecord {A}"]
    assert waits.status is not None and waits.status.domains == [B]


def test_a_deletion_claims_nothing_and_says_so() -> None:
    waits = Blocked(do.CloseBucket, "not-empty", objects=1)
    plan = plan_bucket(snapshot(A, B, found=(stored(A),), deleting=True, blocked=waits))
    assert about_domains(plan) == []
    assert said(plan) == ("False", "Deleting", f"the Bucket is being deleted, and claims {B} no more")
    assert plan.status is not None and plan.status.domains == [A]


def test_a_deletion_that_waits_for_a_region_or_that_somebody_else_holds_gives_up_what_was_dropped() -> None:
    dropped = (stored(A), stored(B))
    made = snapshot(B, found=dropped, around=Surroundings(()), deleting=True)
    assert about_domains(plan_bucket(made)) == [f"DeleteRecord {A}"]
    held = bucket(True, **PUBLIC, domains=[B])
    held = held.model_copy(update={"metadata": held.metadata.model_copy(update={"finalizers": ["example.com/hold"]})})
    assert plan_bucket(replace(made, bucket=held)).steps == (do.DeleteRecord(dropped[0]),)


@pytest.mark.parametrize("provisioned", [True, False])
def test_what_is_given_up_waits_for_no_write_to_the_resource(provisioned: bool) -> None:
    made = snapshot(B, found=(stored(A),))
    if not provisioned:
        made = replace(made, claim=theirs(A), owned=None)
    stripped = made.bucket.metadata.model_copy(update={"finalizers": []})
    plan = plan_bucket(replace(made, bucket=made.bucket.model_copy(update={"metadata": stripped})))
    names = [type(each).__name__ for each in plan.steps]
    assert names.index("DeleteRecord") < names.index("AddFinalizer")


def test_a_deletion_without_a_record_gives_domains_up() -> None:
    made = snapshot(A, found=(stored(A), theirs(B)), deleting=True, owned=None, claim=None)
    assert about_domains(plan_bucket(made)) == [f"DeleteRecord {A}"]


# The operator


async def let(world: World, suffixes: list[dict[str, Any]] | None = None, **spec: Any) -> None:
    asked = ANY if suffixes is None else suffixes
    await world.apply("Region", "local", {"tag": "us-east-1", "default": True, "domainSuffixes": asked, **spec})


async def make(world: World, name: str, *domains: str, namespace: str = "default", **spec: Any) -> None:
    await world.apply("Bucket", name, {**PUBLIC, "domains": list(domains), **spec}, namespace)
    await world.until_ready("Bucket", name, namespace)


async def until(world: World, name: str, status: str, reason: str, namespace: str = "default") -> None:
    await world.until_condition("Bucket", name, status, reason, "DomainsReady", namespace)


async def holder(world: World, domain: str = A) -> str | None:
    """Namespace and name of the Bucket that has a domain."""
    found = await world.cluster.get_record(domain_record_name(domain))
    if found is None:
        return None
    assert isinstance(found.record, DomainRecord)
    return f"{found.record.owner.namespace}/{found.record.owner.name}"


def told(world: World, name: str, reason: str) -> list[int]:
    return [each.count for each in world.cluster.events(Ref("Bucket", "default", name)) if each.reason == reason]


async def sweep(world: World) -> None:
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    await world.settle()


async def test_a_domain_is_one_buckets_until_it_gives_it_up_and_then_comes_to_who_waits(world: World) -> None:
    await let(world)
    await make(world, "one", A)
    await until(world, "one", "True", "DomainsClaimed")
    await make(world, "two", A, namespace="films")
    await until(world, "two", "False", "DomainTaken", "films")
    await world.settle()
    assert await holder(world) == "default/one"
    await world.apply("Bucket", "one", {**PUBLIC, "domains": [B]})
    await until(world, "two", "True", "DomainsClaimed", "films")
    assert (await holder(world), await holder(world, B)) == ("films/two", "default/one")
    await world.apply("Bucket", "one", {**PUBLIC, "domains": [A, B]})
    await until(world, "one", "False", "DomainTaken")
    await world.settle()
    assert told(world, "one", "DomainTaken") == [1]
    await world.delete("Bucket", "two", "films")
    await until(world, "one", "True", "DomainsClaimed")
    assert await holder(world) == "default/one"
    obj = await world.get("Bucket", "one") or {}
    assert obj["status"]["domains"] == [A, B]


async def test_of_many_that_want_one_at_once_one_has_it_for_good(world: World) -> None:
    await let(world)
    names = [f"bucket{number}" for number in range(8)]
    for name in names:
        await world.apply("Bucket", name, {**PUBLIC, "domains": [A]})
    for name in names:
        await world.until_ready("Bucket", name)
    await world.settle()
    first = await holder(world)
    claimed = [name for name in names if (await world.condition("Bucket", name, "DomainsReady"))[0] == "True"]
    assert [f"default/{name}" for name in claimed] == [first]
    world.operator.hurry()
    await world.settle()
    assert await holder(world) == first


async def test_a_suffix_that_is_withdrawn_takes_the_domain_away(world: World) -> None:
    await let(world)
    await make(world, "one", A)
    await make(world, "two", A, namespace="films")
    await let(world, FILMS)
    await until(world, "one", "False", "DomainNotAllowed")
    await until(world, "two", "True", "DomainsClaimed", "films")
    assert await holder(world) == "films/two"
    assert (await world.condition("Bucket", "one"))[0] == "True"
    await let(world, [])
    await until(world, "two", "False", "DomainNotAllowed", "films")
    assert await holder(world) is None
    await world.settle()
    assert told(world, "one", "DomainNotAllowed") == [1]


async def test_a_domain_goes_with_its_suffix_though_its_owner_has_a_deletion_wait(world: World) -> None:
    await let(world)
    await make(world, "one", A, B)
    obj = await world.get("Bucket", "one") or {}
    world.gateways.bucket(obj["metadata"]["uid"]).objects = 1
    await world.delete("Bucket", "one")
    await world.until_condition("Bucket", "one", "False", "BucketNotEmpty")
    await world.settle()
    assert (await holder(world), await holder(world, B)) == ("default/one", "default/one")
    await let(world, [{"suffix": B}])
    await until(world, "one", "False", "DomainNotAllowed")
    assert (await holder(world), await holder(world, B)) == (None, "default/one")
    assert await world.condition("Bucket", "one") == ("False", "BucketNotEmpty")
    obj = await world.get("Bucket", "one") or {}
    assert obj["status"]["domains"] == [B]
    await let(world)
    await until(world, "one", "False", "Deleting")
    assert await world.cluster.recall(Ref("Bucket", "default", "one"))
    await until(world, "one", "True", "DomainsClaimed")


async def test_a_domain_goes_with_its_suffix_though_the_resource_cannot_be_written_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await let(world)
    await make(world, "one", A)
    await world.settle()
    await world.stop()
    obj = await world.get("Bucket", "one") or {}
    write = world.cluster.update

    async def refused(changed: Any) -> Any:
        if changed["kind"] == "Bucket":
            raise Invalid("Request entity too large")
        return await write(changed)

    await world.cluster.update({**obj, "metadata": {**obj["metadata"], "finalizers": []}})
    monkeypatch.setattr(world.cluster, "update", refused)
    await let(world, [])
    await world.start(region=False)

    async def gone() -> bool:
        return await holder(world) is None

    await world.until(gone)


async def test_a_domain_goes_when_it_comes_to_be_the_endpoint_of_another_region(world: World) -> None:
    await let(world)
    await make(world, "one", A, region="local")
    await world.apply("Region", "west", {"tag": "west"})
    await until(world, "one", "True", "DomainsClaimed")
    await world.apply("Region", "west", {"tag": "west", "endpoints": {"public": f"https://{A}"}})
    await until(world, "one", "False", "DomainNotAllowed")
    assert await holder(world) is None


async def test_a_record_that_somebody_removed_is_made_again(world: World) -> None:
    await let(world)
    await make(world, "one", A)
    found = await world.cluster.get_record(domain_record_name(A))
    assert found is not None
    await world.cluster.delete_record(found)
    await world.settle()
    assert await holder(world) == "default/one"


async def test_a_restart_of_what_is_settled_writes_nothing(world: World) -> None:
    await let(world)
    await make(world, "one", A, B)
    await make(world, "two", B)
    await until(world, "two", "False", "DomainTaken")
    await world.settle()
    await world.stop()
    writes = world.count_writes()
    await world.start(region=False)
    await world.settle()
    assert [each for each in writes if "key-" not in each] == []


async def test_what_is_retained_has_no_domain_and_who_adopts_it_claims_its_own(world: World) -> None:
    await let(world)
    await make(world, "one", A, deletionPolicy="Retain")
    await world.delete("Bucket", "one")
    await world.until_gone("Bucket", "one")
    assert await holder(world) is None
    await make(world, "heir", A, adopt=True, bucketName="one")
    await until(world, "heir", "True", "DomainsClaimed")
    record = await world.cluster.get_record(domain_record_name(A))
    data = await world.bucket_record("one")
    assert record is not None and isinstance(record.record, DomainRecord) and data is not None
    assert (record.record.bucket, record.record.data_id) == ("one", data.data_id)


async def test_the_sweep_gives_up_domains_of_nobody_and_touches_no_others(world: World) -> None:
    await let(world)
    await make(world, "one", A)
    lost = DomainRecord(B, "gone", "d", Owner("default", "gone", "no-such-uid"), "local")
    again = DomainRecord("c.example.com", "one", "d", Owner("default", "one", "former-uid"), "local")
    for each in (lost, again):
        await world.cluster.create_record(domain_record_name(each.name), each)
    await sweep(world)
    assert [await holder(world, each) for each in (A, B, "c.example.com")] == ["default/one", None, None]


async def test_a_bucket_that_loses_its_finalizer_leaves_no_domain(world: World) -> None:
    await let(world)
    await make(world, "one", A)
    await make(world, "two", A, namespace="films")
    await until(world, "two", "False", "DomainTaken", "films")
    await world.stop()
    obj = await world.get("Bucket", "one") or {}
    await world.cluster.update({**obj, "metadata": {**obj["metadata"], "finalizers": []}})
    await world.delete("Bucket", "one")
    await world.start(region=False)
    await world.settle()
    await sweep(world)
    world.operator.hurry()
    await until(world, "two", "True", "DomainsClaimed", "films")


async def test_a_damaged_record_is_no_harm_to_the_bucket_and_is_mended_for_who_had_it(world: World) -> None:
    await let(world)
    await make(world, "one", A)
    await make(world, "two", A, namespace="films")
    await until(world, "two", "False", "DomainTaken", "films")
    before = await world.cluster.get_record(domain_record_name(A))
    world.cluster.damage_record(domain_record_name(A))
    await until(world, "one", "False", "RecordUnreadable")
    assert (await world.condition("Bucket", "one"))[0] == "True"
    await sweep(world)
    await sweep(world)
    await until(world, "one", "True", "DomainsClaimed")
    after = await world.cluster.get_record(domain_record_name(A))
    assert before is not None and after is not None and after.record == before.record
