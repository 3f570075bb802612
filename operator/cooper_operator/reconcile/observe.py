"""Observe: read all that matters to one resource, live, and note what was seen of others."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.bucket_grant import BucketGrant
from cooper_crds.names import (
    access_key_id,
    bucket_record_name,
    domain_record_name,
    key_record_name,
    region_record_name,
)
from cooper_crds.records import BucketRecord, DomainRecord, RecordError, RegionRecord
from cooper_crds.region import Region
from cooper_crds.stored import Credentials, StoredRecord, Workload
from cooper_operator.cluster.port import Cluster, Object, Ref
from cooper_operator.cluster.recollection import Recollection
from cooper_operator.gateways.port import Gateways, GatewayUnavailable
from cooper_operator.plan.access_key import is_to_work
from cooper_operator.plan.adoption import inherited
from cooper_operator.plan.bucket import proof_due, record_of, wanted_name, wanted_region
from cooper_operator.plan.grants import is_own
from cooper_operator.plan.keys import key_in, keys_among, next_serial, reaches
from cooper_operator.plan.keys import wanted_region as wanted_region_of_key
from cooper_operator.plan.region import find_home, region_record
from cooper_operator.plan.secrets import is_foreign
from cooper_operator.plan.snapshot import (
    NOT_LOOKED_AT,
    AccessKeySnapshot,
    Blocked,
    BucketGrantSnapshot,
    BucketSnapshot,
    BucketUsage,
    GatewaysSeen,
    GrantedBucket,
    Left,
    RegionSnapshot,
    SharedBucket,
    Snapshot,
    Surroundings,
)
from cooper_operator.reconcile.look import Look
from cooper_operator.reconcile.reading import read, read_related, ref_of, section
from cooper_operator.reconcile.records_index import RecordsIndex
from cooper_operator.reconcile.relations import ANY_REGION, Facts, any_bucket, any_grant, facts_of
from cooper_operator.reconcile.usage import UsageSchedule

_OF_DOMAINS: Final = domain_record_name("")
#: Resources of a namespace that are read without a pause.
_AT_A_TIME: Final = 50


@dataclass(slots=True)
class Observed:
    """One look at a resource. `obj` None: proven absent. `seen`: what others looked like."""

    ref: Ref
    obj: Object | None
    look: Look
    snapshot: Snapshot | None = None
    seen: dict[Ref, Facts] = field(default_factory=dict[Ref, Facts])


class Observer:
    """Reads through the ports only. `clock` gives Unix seconds."""

    def __init__(
        self,
        cluster: Cluster,
        gateways: Gateways,
        index: RecordsIndex,
        usage: UsageSchedule,
        clock: Callable[[], float],
        default_endpoint: str,
        recollection: Recollection,
    ) -> None:
        self._cluster = cluster
        self._recollection = recollection
        self._gateways = gateways
        self._index = index
        self._usage = usage
        self._clock = clock
        self._default_endpoint = default_endpoint

    async def observe(self, ref: Ref, obj: Object | None, blocked: Blocked | None, look: Look) -> Observed:
        """Look at what belongs to a resource that was just read. Raises what the port raises, and ManifestError."""
        observed = Observed(ref, obj, look)
        if ref.kind == "Region":
            observed.snapshot = await self._region(observed, blocked)
        elif obj is not None and ref.kind == "Bucket":
            observed.snapshot = await self._bucket(observed, read(obj, Bucket), blocked)
        elif obj is not None and ref.kind == "BucketGrant":
            observed.snapshot = await self._bucket_grant(observed, read(obj, BucketGrant))
        elif obj is not None:
            observed.snapshot = await self._access_key(observed, read(obj, AccessKey), blocked)
        self._index.looked_at(observed.snapshot)
        return observed

    def regions_left(self) -> list[Ref]:
        """Regions that have a record, and as far as is known no resource."""
        refs = [Ref("Region", "", name) for name in sorted(self._index.regions)]
        return [ref for ref in refs if self._recollection.resource(ref) is None]

    async def _region(self, observed: Observed, blocked: Blocked | None) -> RegionSnapshot:
        name = observed.ref.name
        every = await self._all_regions(observed)
        observed.seen.pop(observed.ref, None)
        record = await observed.look.record(region_record_name(name))
        region = None if observed.obj is None else read(observed.obj, Region)
        return RegionSnapshot(
            name=name,
            region=region,
            all_regions=every,
            record=record,
            in_use=observed.obj is not None or (record is not None and await self._region_in_use(name, observed.look)),
            default_endpoint=self._default_endpoint,
            now=self._clock(),
            gateways=GatewaysSeen() if region is None else self._gateways_of(region),
            blocked=blocked,
        )

    def _gateways_of(self, region: Region) -> GatewaysSeen:
        known = self._gateways.known(region_record(region, self._default_endpoint))
        ready = tuple(each.shown for each in known.endpoints if each.ready)
        others = tuple(each.shown for each in known.endpoints if not each.ready)
        return GatewaysSeen(ready, others, known.unknown, known.told, known.soon)

    async def _bucket(self, observed: Observed, bucket: Bucket, blocked: Blocked | None) -> BucketSnapshot:
        meta = bucket.metadata
        owned = await self._owned_bucket_record(bucket, observed.look)
        around = await self._surroundings(wanted_region(bucket, owned), observed)
        if bucket.spec.domains:
            around = replace(around, regions=await self._all_regions(observed))
        claim = owned
        if owned is None and (name := wanted_name(bucket, around, None)):
            claim = await self._cluster.get_record(bucket_record_name(name))
            owned = claim if record_of(claim, meta.uid) is not None else None
            if owned is None and claim is not None:
                await self._look_at_holder(claim, observed)
        child = await self._look(Ref("AccessKey", meta.namespace, meta.name), observed)
        domains, unreadable = await self._domains(bucket, observed)
        snapshot = BucketSnapshot(
            bucket=bucket,
            around=around,
            claim=claim,
            owned=owned,
            access_key=read_related(child, AccessKey),
            key=await self._key_to_ask_with(bucket, owned, observed),
            usage=await self._usage_when_due(bucket, around, owned),
            now=self._clock(),
            blocked=blocked,
            namespace_uid=await self._namespace_uid(bucket, owned),
            left=await self._left(bucket, claim, owned),
            domains=domains,
            unreadable_domains=unreadable,
        )
        return await self._with_what_it_inherits(snapshot)

    async def _domains(self, bucket: Bucket, observed: Observed) -> tuple[tuple[StoredRecord, ...], frozenset[str]]:
        """Records of the domains that a Bucket asks for and of those that it has, and domains whose record is there and
        cannot be read: whoever's that is, nothing else of the Bucket waits for it."""
        names = {name for name in self._index.owned_by(bucket.metadata.uid) if name.startswith(_OF_DOMAINS)}
        told = [] if bucket.status is None else bucket.status.domains or []
        names.update(map(domain_record_name, [*(bucket.spec.domains or ()), *told]))
        found, unreadable = list[StoredRecord](), set[str]()
        for name in sorted(names):
            try:
                stored = await observed.look.record(name)
            except RecordError:
                unreadable.add(name.removeprefix(_OF_DOMAINS))
                continue
            if stored is not None:
                found.append(stored)
                await self._look_at_holder(stored, observed)
        return tuple(found), frozenset(unreadable)

    async def _namespace_uid(self, bucket: Bucket, owned: StoredRecord | None) -> str:
        """Read where the record does not tell it: to be noted, and compared with that of who left data."""
        record = record_of(owned, bucket.metadata.uid)
        if record is not None and record.namespace_uid:
            return record.namespace_uid
        if record is None and bucket.metadata.deletion_timestamp is not None:
            return ""
        return await self._cluster.namespace_uid(bucket.metadata.namespace)

    async def _left(self, bucket: Bucket, claim: StoredRecord | None, owned: StoredRecord | None) -> Left:
        """What is left under a name that is another's, and is asked for: never told by what was seen before."""
        record = None if claim is None else claim.record
        if owned is not None or not bucket.spec.adopt or not isinstance(record, BucketRecord) or not record.retained:
            return Left()
        owner = record.owner
        if not self._cluster.serves(owner.namespace):
            return Left()
        obj = await self._cluster.get(Ref("Bucket", owner.namespace, owner.name))
        granted = [await self._granted_key(name) for name in self._index.granted_on(record.data_id)]
        in_use = any(key is not None and reaches(key_in(key), record, self._clock()) for key in granted)
        return Left(absent=obj is None or obj["metadata"]["uid"] != owner.uid, granted=in_use)

    async def _granted_key(self, name: str) -> StoredRecord | None:
        try:
            return await self._cluster.get_record(name)
        except RecordError:
            return None  # gateways refuse a key whose record cannot be read

    async def _with_what_it_inherits(self, snapshot: BucketSnapshot) -> BucketSnapshot:
        """With what the data holds that is about to be taken over: status is to tell it from the first on."""
        home = find_home(wanted_region(snapshot.bucket, snapshot.owned), snapshot.around)
        former = inherited(snapshot, home) if snapshot.owned is None else None
        if former is None or home.record is None:
            return snapshot
        return replace(snapshot, usage=await self._ask_usage(home.record, former))

    async def _look_at_holder(self, claim: StoredRecord, observed: Observed) -> None:
        """See the Bucket that holds the name, so that its end is told."""
        if isinstance(claim.record, BucketRecord | DomainRecord):
            holder = Ref("Bucket", claim.record.owner.namespace, claim.record.owner.name)
            if holder != observed.ref and self._cluster.serves(holder.namespace):
                await self._look(holder, observed)

    async def _access_key(self, observed: Observed, key: AccessKey, blocked: Blocked | None) -> AccessKeySnapshot:
        namespace = key.metadata.namespace
        records = await self._key_records(key, observed.look)
        region = wanted_region_of_key(key, records)
        around = await self._surroundings(region, observed)
        names = await self._buckets_of(key, observed) if is_to_work(key, self._clock()) else []
        granted = await asyncio.gather(*(self._granted(namespace, name, around, observed) for name in names))
        wanted = key.spec.secret_name or key.metadata.name
        return AccessKeySnapshot(
            access_key=key,
            around=await self._with_what_gateways_know(around, region, records, observed.look),
            buckets=dict(zip(names, granted, strict=True)),
            records=records,
            credentials=await self._credentials(
                Ref("AccessKey", namespace, key.metadata.name), wanted, key.metadata.uid
            ),
            other_credentials=await observed.look.other_credentials(namespace, key.metadata.uid, wanted),
            now=self._clock(),
            blocked=blocked,
            workloads=await self._workloads(key),
            shared=await self._shared(key, around, observed) if is_to_work(key, self._clock()) else {},
        )

    async def _shared(
        self, key: AccessKey, around: Surroundings, observed: Observed
    ) -> dict[tuple[str, str], SharedBucket]:
        """The Buckets of other namespaces that a key names. One that is not granted to it is not even looked at."""
        own, found = key.metadata.namespace, dict[tuple[str, str], SharedBucket]()
        granted_in: dict[str, list[BucketGrant]] = {}  # to its namespace
        for right in key.spec.grants or ():
            if is_own(right, key) or right.namespace is None:
                continue
            if right.namespace not in granted_in:
                granted_in[right.namespace] = await self._grants_in(right.namespace, observed)
            lets = tuple(each for each in granted_in[right.namespace] if each.spec.lets(own, right.bucket))
            granted = await self._granted(right.namespace, right.bucket, around, observed) if lets else NOT_LOOKED_AT
            found[right.namespace, right.bucket] = SharedBucket(granted, lets)
        return found

    async def _grants_in(self, namespace: str, observed: Observed) -> list[BucketGrant]:
        """All BucketGrants of a namespace that are to last. Raises RelatedUnreadable."""
        observed.seen[any_grant(namespace)] = None
        found: list[BucketGrant] = []
        for number, obj in enumerate(await observed.look.all_of("BucketGrant", namespace)):
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)  # whoever makes thousands of them holds up nobody else
            observed.seen[ref_of(obj)] = facts_of(obj)
            grant = None if "deletionTimestamp" in obj["metadata"] else read_related(obj, BucketGrant)
            if grant is not None:
                found.append(grant)
        return found

    async def _bucket_grant(self, observed: Observed, grant: BucketGrant) -> BucketGrantSnapshot:
        namespace = grant.metadata.namespace
        names = grant.spec.buckets or ()
        there = [await self._look(Ref("Bucket", namespace, name), observed) for name in names]
        missing = tuple(name for name, obj in zip(names, there, strict=True) if obj is None)
        return BucketGrantSnapshot(grant, missing, self._clock())

    async def _buckets_of(self, key: AccessKey, observed: Observed) -> list[str]:
        """Names of the Buckets that a key is granted something on: those that it names, and all where it says so."""
        names = [right.bucket for right in key.spec.grants or () if is_own(right, key)]
        if key.spec.all_buckets is None:
            return names
        observed.seen[any_bucket(key.metadata.namespace)] = None
        every = sorted(ref.name for ref in map(ref_of, await observed.look.all_of("Bucket", key.metadata.namespace)))
        return list(dict.fromkeys([*names, *every]))

    async def _workloads(self, key: AccessKey) -> tuple[Workload, ...]:
        """What is to be restarted for a key that is to be in use, in a Secret."""
        in_secret = is_to_work(key, self._clock()) and key.spec.recipient is None
        names = key.spec.restart or () if in_secret else ()
        found = await asyncio.gather(*(self._cluster.get_workload(key.metadata.namespace, name) for name in names))
        return tuple(found)

    async def _look(self, ref: Ref, observed: Observed) -> Object | None:
        obj = await observed.look.resource(ref)
        observed.seen[ref] = facts_of(obj)
        return obj

    async def _all_regions(self, observed: Observed) -> tuple[Region, ...]:
        found: list[Region] = []
        observed.seen[ANY_REGION] = None
        for obj in await observed.look.all_of("Region"):
            observed.seen[ref_of(obj)] = facts_of(obj)
            region = read_related(obj, Region)
            if region is not None:
                found.append(region)
        return tuple(found)

    async def _surroundings(self, named: str | None, observed: Observed) -> Surroundings:
        if named is None:
            regions = await self._all_regions(observed)
            recorded = self._index.regions if find_home(None, Surroundings(regions)).record is None else set[str]()
        else:
            region = read_related(await self._look(Ref("Region", "", named), observed), Region)
            regions = () if region is None else (region,)
            recorded = set[str]() if region is not None else {named}
        return Surroundings(regions, await self._region_record(recorded, observed.look), self._default_endpoint)

    async def _with_what_gateways_know(
        self, around: Surroundings, named: str | None, keys: tuple[StoredRecord, ...], look: Look
    ) -> Surroundings:
        """Where a revoked key is to be refused it matters by which record the Region's gateways go."""
        home = find_home(named, around)
        if home.region is None or all(key_in(each).state != "Revoked" for each in keys):
            return around
        return replace(around, recorded=await self._region_record([home.name], look))

    async def _region_record(self, names: Iterable[str], look: Look) -> RegionRecord | None:
        """The record of a Region; None also when there are several and none is named."""
        records = await self._records({region_record_name(name) for name in names}, look)
        found = [each.record for each in records if isinstance(each.record, RegionRecord)]
        return found[0] if len(found) == 1 else None

    async def _records(self, names: Iterable[str], look: Look) -> tuple[StoredRecord, ...]:
        stored = await asyncio.gather(*(look.record(name) for name in names))
        return tuple(each for each in stored if each is not None)

    async def _owned_bucket_record(self, bucket: Bucket, look: Look) -> StoredRecord | None:
        uid = bucket.metadata.uid
        names = {name for name in self._index.owned_by(uid) if not name.startswith(_OF_DOMAINS)}
        if bucket.status is not None and bucket.status.bucket_name is not None:
            names.add(bucket_record_name(bucket.status.bucket_name))
        return next((found for found in await self._records(names, look) if record_of(found, uid) is not None), None)

    async def _key_records(self, key: AccessKey, look: Look) -> tuple[StoredRecord, ...]:
        """Records that may be this AccessKey's. Status is a hint only: whose a record is, it says itself.

        That there is none of a key that is to work need not be proven: to create the first one, or the next, fails if
        it is there, and the next look is live.
        """
        uid = key.metadata.uid
        proven = look.live or not is_to_work(key, self._clock())
        names = self._index.owned_by(uid)
        if proven:
            names.add(_key_record(uid, 0))
        if key.status is not None and key.status.access_key_id is not None:
            names.add(key_record_name(key.status.access_key_id))
        found = await self._records(names, look)
        if not proven:
            return found
        following = _key_record(uid, next_serial(key, keys_among(found, uid)))
        return found if following in names else (*found, *await self._records([following], look))

    async def _credentials(self, ref: Ref, name: str, uid: str) -> Credentials | None:
        """The Secret of that name, whoever's it is. A foreign one is followed: nothing else tells when it goes."""
        found = await self._cluster.get_credentials(ref.namespace, name)
        if not is_foreign(found, uid):
            return found
        await self._cluster.follow_foreign_credentials(ref, name)
        return await self._cluster.get_credentials(ref.namespace, name)

    async def _granted(self, namespace: str, name: str, around: Surroundings, observed: Observed) -> GrantedBucket:
        bucket = read_related(await self._look(Ref("Bucket", namespace, name), observed), Bucket)
        if bucket is None:
            return GrantedBucket(None, None)
        record = await self._owned_bucket_record(bucket, observed.look)
        return GrantedBucket(bucket, record)

    async def _key_to_ask_with(
        self, bucket: Bucket, owned: StoredRecord | None, observed: Observed
    ) -> StoredRecord | None:
        """A key that works on a bucket, where one is needed for a proof. Without one nobody can tell that the bucket is
        refused: the Bucket waits for the first that there is."""
        uid = bucket.metadata.uid
        record, due = record_of(owned, uid), proof_due(bucket, owned)
        first = record is None and bucket.metadata.deletion_timestamp is None
        lacks = bucket.spec.api_access == "Revoked" and (first or due)
        self._index.waits_for_key(uid, observed.ref, waits=lacks)  # first: one that comes meanwhile is told of
        found = None if record is None or not due else await self._key_that_reaches(record, observed.look)
        if found is not None:
            self._index.waits_for_key(uid, observed.ref, waits=False)
        return found

    async def _key_that_reaches(self, record: BucketRecord, look: Look) -> StoredRecord | None:
        for name in sorted(self._index.granted_on(record.data_id)):
            for found in await self._records([name], look):
                if reaches(key_in(found), record, self._clock()):
                    return found
        return None

    async def _region_in_use(self, name: str, look: Look) -> bool:
        """Whether something lives there by its record, or is about to by its resource."""
        for record in self._index.in_region(name):
            if await look.record(record) is not None:
                return True
            self._index.removed(record)  # somebody else took it away
        for kind in ("Bucket", "AccessKey"):
            for obj in await self._cluster.list_kind(kind):
                if name in (section(obj, "status").get("region"), section(obj, "spec").get("region")):
                    return True
        return False

    async def _usage_when_due(
        self, bucket: Bucket, around: Surroundings, owned: StoredRecord | None
    ) -> BucketUsage | None:
        record = record_of(owned, bucket.metadata.uid)
        if record is None or bucket.metadata.deletion_timestamp is not None:
            return None
        if not self._usage.due(bucket.metadata.uid, self._clock()):
            return None
        home = find_home(wanted_region(bucket, owned), around)
        if home.record is None:
            return None
        return await self._ask_usage(home.record, record)

    async def _ask_usage(self, region: RegionRecord, record: BucketRecord) -> BucketUsage | None:
        try:
            usage = await self._gateways.usage(region, record)
        except GatewayUnavailable:
            return None  # what was known before stands
        return BucketUsage(usage.objects, usage.size)


def _key_record(uid: str, serial: int) -> str:
    return key_record_name(access_key_id(uid, serial))
