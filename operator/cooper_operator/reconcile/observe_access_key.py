"""Observe an AccessKey: its records, its credentials, and the Buckets that it is granted something on."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.bucket_grant import BucketGrant
from cooper_crds.names import access_key_id, key_record_name
from cooper_crds.records import RecordError, RecordTooNew
from cooper_crds.stored import Credentials, StoredRecord, Workload
from cooper_operator.cluster.port import Cluster, NamespaceGone, Ref
from cooper_operator.plan.access_key import is_to_work
from cooper_operator.plan.grants import MAX_LETTING, is_own
from cooper_operator.plan.keys import key_in, keys_among, next_serial, wanted_region
from cooper_operator.plan.region import find_home
from cooper_operator.plan.secrets import is_foreign
from cooper_operator.plan.snapshot import (
    NOT_LOOKED_AT,
    AccessKeySnapshot,
    Blocked,
    GrantedBucket,
    SharedBucket,
    Surroundings,
)
from cooper_operator.reconcile.left_behind import stayed
from cooper_operator.reconcile.look import Look
from cooper_operator.reconcile.neighbours import Neighbours
from cooper_operator.reconcile.observed import Observed
from cooper_operator.reconcile.reading import read_related, ref_of
from cooper_operator.reconcile.records_index import RecordsIndex
from cooper_operator.reconcile.relations import any_bucket, any_grant, facts_of

#: Resources of a namespace that are read without a pause.
_AT_A_TIME: Final = 50


class AccessKeyObserver:
    """`clock` gives Unix seconds."""

    def __init__(
        self, cluster: Cluster, index: RecordsIndex, neighbours: Neighbours, clock: Callable[[], float]
    ) -> None:
        self._cluster = cluster
        self._index = index
        self._neighbours = neighbours
        self._clock = clock

    async def observe(self, observed: Observed, key: AccessKey, blocked: Blocked | None) -> AccessKeySnapshot:
        """An AccessKey that is there."""
        namespace = key.metadata.namespace
        records, unreadable = await self._key_records(key, observed.look)
        region = wanted_region(key, records)
        around = await self._neighbours.surroundings(region, observed)
        names = await self._buckets_of(key, observed) if is_to_work(key, self._clock()) else []
        granted = await asyncio.gather(*(self._granted(namespace, name, observed) for name in names))
        wanted = key.spec.secret_name or key.metadata.name
        return AccessKeySnapshot(
            access_key=key,
            around=await self._with_what_gateways_know(around, region, records, observed.look),
            buckets=dict(zip(names, granted, strict=True)),
            records=records,
            credentials=await self._credentials(key, wanted),
            other_credentials=await observed.look.other_credentials(namespace, key.metadata.uid, wanted),
            now=self._clock(),
            blocked=blocked,
            workloads=await self._workloads(key),
            shared=await self._shared(key, observed) if is_to_work(key, self._clock()) else {},
            unreadable=unreadable,
        )

    async def _key_records(self, key: AccessKey, look: Look) -> tuple[tuple[StoredRecord, ...], str]:
        """Records that may be this AccessKey's, and why one of them cannot be read. Status is a hint only: whose a
        record is, it says itself.

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
        found, unreadable = await self._readable(names, look)
        if unreadable or not proven:
            return found, unreadable
        following = _key_record(uid, next_serial(key, keys_among(found, uid)))
        if following in names:
            return found, ""
        more, unreadable = await self._readable([following], look)
        return (*found, *more), unreadable

    async def _readable(self, names: Iterable[str], look: Look) -> tuple[tuple[StoredRecord, ...], str]:
        """Those of these records that are there and can be read, and why one cannot. Raises RecordTooNew."""
        results = await asyncio.gather(*(look.record(name) for name in sorted(names)), return_exceptions=True)
        found, unreadable = list[StoredRecord](), ""
        for each in results:
            if isinstance(each, RecordError) and not isinstance(each, RecordTooNew):
                unreadable = unreadable or str(each)
            elif isinstance(each, BaseException):
                raise each
            elif each is not None:
                found.append(each)
        return tuple(found), unreadable

    async def _with_what_gateways_know(
        self, around: Surroundings, named: str | None, keys: tuple[StoredRecord, ...], look: Look
    ) -> Surroundings:
        """Where a revoked key is to be refused it matters by which record the Region's gateways go."""
        home = find_home(named, around)
        if home.region is None or all(key_in(each).state != "Revoked" for each in keys):
            return around
        return replace(around, recorded=await self._neighbours.region_record([home.name], look))

    async def _buckets_of(self, key: AccessKey, observed: Observed) -> list[str]:
        """Names of the Buckets that a key is granted something on: those that it names, and all where it says so."""
        names = [right.bucket for right in key.spec.grants or () if is_own(right, key)]
        if key.spec.all_buckets is None:
            return names
        observed.seen[any_bucket(key.metadata.namespace)] = None
        every = sorted(ref.name for ref in map(ref_of, await observed.look.all_of("Bucket", key.metadata.namespace)))
        return list(dict.fromkeys([*names, *every]))

    async def _granted(self, namespace: str, name: str, observed: Observed) -> GrantedBucket:
        bucket = read_related(await self._neighbours.resource(Ref("Bucket", namespace, name), observed), Bucket)
        if bucket is None:
            return GrantedBucket(None, None)
        try:
            return GrantedBucket(bucket, await self._neighbours.bucket_record(bucket, observed.look))
        except RecordTooNew:
            raise  # nothing is wrong with it: whoever can read it decides
        except RecordError as error:  # the key's other Buckets are not to wait for this one
            return GrantedBucket(bucket, None, str(error))

    async def _shared(self, key: AccessKey, observed: Observed) -> dict[tuple[str, str], SharedBucket]:
        """The Buckets of other namespaces that a key names. One that is not granted to it is not even looked at."""
        named = defaultdict[str, list[str]](list)  # Buckets, by namespace
        for right in key.spec.grants or ():
            if right.namespace is not None and not is_own(right, key):
                named[right.namespace].append(right.bucket)
        found: dict[tuple[str, str], SharedBucket] = {}
        for namespace, names in named.items():
            for name, lets in (await self._letting(key, namespace, names, observed)).items():
                granted = await self._granted(namespace, name, observed) if lets else NOT_LOOKED_AT
                found[namespace, name] = SharedBucket(granted, tuple(lets))
        return found

    async def _letting(
        self, key: AccessKey, namespace: str, names: list[str], observed: Observed
    ) -> dict[str, list[BucketGrant]]:
        """BucketGrants of a namespace that are to last and let a key have some of its Buckets, by the Bucket's name.
        Raises RelatedUnreadable."""
        observed.seen[any_grant(namespace)] = None
        found: dict[str, list[BucketGrant]] = {name: [] for name in names}
        objects = sorted(await observed.look.all_of("BucketGrant", namespace), key=lambda obj: obj["metadata"]["name"])
        for number, obj in enumerate(objects):
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)  # whoever makes thousands of them holds up nobody else
            observed.seen[ref_of(obj)] = facts_of(obj)
            grant = None if "deletionTimestamp" in obj["metadata"] else read_related(obj, BucketGrant)
            if grant is None or not grant.spec.lets_in(key.metadata.namespace):
                continue
            for name, lets in found.items():
                if grant.spec.is_on(name) and len(lets) <= MAX_LETTING:
                    lets.append(grant)
        return found

    async def _credentials(self, key: AccessKey, name: str) -> Credentials | None:
        """The Secret of that name, whoever's it is. A foreign one is followed: nothing else tells when it goes.

        One that was there and is gone may be gone with its namespace. Raises NamespaceGone.
        """
        namespace = key.metadata.namespace
        found = await self._cluster.get_credentials(namespace, name)
        if found is None and key.status is not None and key.status.secret_name == name:
            await self._prove_home(key)
        if not is_foreign(found, key.metadata.uid):
            return found
        await self._cluster.follow_foreign_credentials(Ref("AccessKey", namespace, key.metadata.name), name)
        return await self._cluster.get_credentials(namespace, name)

    async def _prove_home(self, key: AccessKey) -> None:
        """That what is delivered goes to the namespace that the AccessKey was made in, and to no later one."""
        meta = key.metadata
        if meta.deletion_timestamp is not None:
            return
        if stayed(meta.creation_timestamp, await self._cluster.namespace(meta.namespace)):
            raise NamespaceGone(f"AccessKey {meta.namespace}/{meta.name} was left behind", meta.namespace)

    async def _workloads(self, key: AccessKey) -> tuple[Workload, ...]:
        """What is to be restarted for a key that is to be in use, in a Secret."""
        in_secret = is_to_work(key, self._clock()) and key.spec.recipient is None
        names = key.spec.restart or () if in_secret else ()
        found = await asyncio.gather(*(self._cluster.get_workload(key.metadata.namespace, name) for name in names))
        return tuple(found)


def _key_record(uid: str, serial: int) -> str:
    return key_record_name(access_key_id(uid, serial))
