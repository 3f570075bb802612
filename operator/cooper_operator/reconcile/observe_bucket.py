"""Observe a Bucket: who holds its name and domains, what its data holds, and which key can show how access stands."""

from collections.abc import Callable
from dataclasses import replace

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.names import bucket_record_name, domain_record_name
from cooper_crds.records import BucketRecord, DomainRecord, RecordError, RegionRecord
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.port import Cluster, Ref
from cooper_operator.gateways.port import Gateways, GatewayUnavailable
from cooper_operator.plan.adoption import inherited
from cooper_operator.plan.bucket import proof_due, record_of, wanted_name, wanted_region
from cooper_operator.plan.keys import key_in, reaches
from cooper_operator.plan.region import find_home
from cooper_operator.plan.snapshot import Blocked, BucketSnapshot, BucketUsage, Left, Surroundings
from cooper_operator.reconcile.look import Look
from cooper_operator.reconcile.neighbours import OF_DOMAINS, Neighbours
from cooper_operator.reconcile.observed import Observed
from cooper_operator.reconcile.reading import read_related
from cooper_operator.reconcile.records_index import RecordsIndex
from cooper_operator.reconcile.usage import UsageSchedule


class BucketObserver:
    """`clock` gives Unix seconds."""

    def __init__(
        self,
        cluster: Cluster,
        gateways: Gateways,
        index: RecordsIndex,
        neighbours: Neighbours,
        usage: UsageSchedule,
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._gateways = gateways
        self._index = index
        self._neighbours = neighbours
        self._usage = usage
        self._clock = clock

    async def observe(self, observed: Observed, bucket: Bucket, blocked: Blocked | None) -> BucketSnapshot:
        """A Bucket that is there."""
        meta = bucket.metadata
        owned = await self._neighbours.bucket_record(bucket, observed.look)
        named, every = wanted_region(bucket, owned), bool(bucket.spec.domains)
        around = await self._neighbours.surroundings(named, observed, every=every)
        claim = owned
        if owned is None and (name := wanted_name(bucket, around, None)):
            claim = await self._cluster.get_record(bucket_record_name(name))
            owned = claim if record_of(claim, meta.uid) is not None else None
            if owned is None and claim is not None:
                await self._look_at_holder(claim, observed)
        child = await self._neighbours.resource(Ref("AccessKey", meta.namespace, meta.name), observed)
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
            left_behind=await self._is_left_behind(bucket, owned),
            left=await self._left(bucket, claim, owned),
            domains=domains,
            unreadable_domains=unreadable,
        )
        return await self._with_what_it_inherits(snapshot)

    async def _domains(self, bucket: Bucket, observed: Observed) -> tuple[tuple[StoredRecord, ...], frozenset[str]]:
        """Records of the domains that a Bucket asks for and of those that it has, and domains whose record is there and
        cannot be read: whoever's that is, nothing else of the Bucket waits for it."""
        names = {name for name in self._index.owned_by(bucket.metadata.uid) if name.startswith(OF_DOMAINS)}
        told = [] if bucket.status is None else bucket.status.domains or []
        names.update(map(domain_record_name, [*(bucket.spec.domains or ()), *told]))
        found, unreadable = list[StoredRecord](), set[str]()
        for name in sorted(names):
            try:
                stored = await observed.look.record(name)
            except RecordError:
                unreadable.add(name.removeprefix(OF_DOMAINS))
                continue
            if stored is not None:
                found.append(stored)
                await self._look_at_holder(stored, observed)
        return tuple(found), frozenset(unreadable)

    async def _look_at_holder(self, claim: StoredRecord, observed: Observed) -> None:
        """See the Bucket that holds the name, so that its end is told."""
        if isinstance(claim.record, BucketRecord | DomainRecord):
            holder = Ref("Bucket", claim.record.owner.namespace, claim.record.owner.name)
            if holder != observed.ref and self._cluster.serves(holder.namespace):
                await self._neighbours.resource(holder, observed)

    async def _namespace_uid(self, bucket: Bucket, owned: StoredRecord | None) -> str:
        """Read where the record does not tell it: to be noted, and compared with that of who left data."""
        record = record_of(owned, bucket.metadata.uid)
        if record is not None and record.namespace_uid:
            return record.namespace_uid
        if record is None and bucket.metadata.deletion_timestamp is not None:
            return ""
        namespace = await self._cluster.namespace(bucket.metadata.namespace)
        return "" if namespace is None else namespace.uid

    async def _is_left_behind(self, bucket: Bucket, owned: StoredRecord | None) -> bool:
        """Asked where it matters: while the Bucket is being deleted."""
        record = record_of(owned, bucket.metadata.uid)
        if record is None or not record.namespace_uid or bucket.metadata.deletion_timestamp is None:
            return False
        namespace = await self._cluster.namespace(bucket.metadata.namespace)
        return namespace is None or namespace.uid not in ("", record.namespace_uid)

    async def _left(self, bucket: Bucket, claim: StoredRecord | None, owned: StoredRecord | None) -> Left:
        """What is left under a name that is another's, and is asked for: never told by what was seen before."""
        record = None if claim is None else claim.record
        if owned is not None or not bucket.spec.adopt or not isinstance(record, BucketRecord) or not record.retained:
            return Left()
        owner = record.owner
        if not self._cluster.serves(owner.namespace):
            return Left()
        obj = await self._cluster.get(Ref("Bucket", owner.namespace, owner.name))
        granted = [await self._granted_key(name) for name in sorted(self._index.granted_on(record.data_id))]
        in_use = any(key is not None and reaches(key_in(key), record, self._clock()) for key in granted)
        return Left(absent=obj is None or obj["metadata"]["uid"] != owner.uid, granted=in_use)

    async def _granted_key(self, name: str) -> StoredRecord | None:
        try:
            return await self._cluster.get_record(name)
        except RecordError:
            return None  # gateways refuse a key whose record cannot be read

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
            for found in await self._neighbours.records([name], look):
                if reaches(key_in(found), record, self._clock()):
                    return found
        return None

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

    async def _with_what_it_inherits(self, snapshot: BucketSnapshot) -> BucketSnapshot:
        """With what the data holds that is about to be taken over: status is to tell it from the first on."""
        home = find_home(wanted_region(snapshot.bucket, snapshot.owned), snapshot.around)
        former = inherited(snapshot, home) if snapshot.owned is None else None
        if former is None or home.record is None:
            return snapshot
        return replace(snapshot, usage=await self._ask_usage(home.record, former))

    async def _ask_usage(self, region: RegionRecord, record: BucketRecord) -> BucketUsage | None:
        try:
            usage = await self._gateways.usage(region, record)
        except GatewayUnavailable:
            return None  # what was known before stands
        return BucketUsage(usage.objects, usage.size)
