"""An operator under random edits, faults and crashes, and what must hold whatever happens."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn, TypeVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.conditions import Condition, find_condition
from cooper_crds.fields import timestamp
from cooper_crds.names import domain_record_name, key_record_name
from cooper_crds.records import BucketRecord, DomainRecord, KeyRecord, Owner, Record
from cooper_crds.rotation import ROTATE_AT
from cooper_crds.sealing import open_sealed, recipient_of
from cooper_operator.cluster.port import Credentials, Object, Ref, StoredRecord
from cooper_operator.gateways.system_key import SystemKey
from cooper_operator.plan.keys import reaches
from cooper_operator.reconcile.operator import Intervals, Operator
from cooper_operator.reconcile.reading import read
from support.disk_crashes import Crash
from support.lagging_gateways import LaggingGateways, View
from support.memory_stage import MemoryStage
from support.rights_over_time import RightsOverTime
from support.stages import StageMaker, is_system
from support.wanted_rights import may_have, rights_of, wanted_domains, wanted_rights

_T = TypeVar("_T")
EPOCH = 1_800_000_000.0
NEVER = 1e9
FOREIGN = {"password": "mine"}
NOBODY = "uid-of-nobody"
#: Reasons for which a resource that can be read is not ready although everything runs and nothing is lost.
LASTING = {
    "ApiAccessRevoked",
    "NameTaken",
    "RecordMissing",
    "SecretConflict",
    "AccessKeyConflict",
    "BucketNotFound",
    "BucketNotReady",
    "NotGranted",
    "Revoked",
    "Expired",
}
_WRITES = ("create", "update", "delete", "replace", "annotate")
#: Who keys are sealed to that are delivered once.
IDENTITY = X25519PrivateKey.from_private_bytes(bytes([7] * 32))
RECIPIENT = recipient_of(IDENTITY)


class Ports:
    """One life of the operator: its calls take a moment, and at one of its writes it dies, before or after it is done.

    Dying at a read is like dying after the write before it.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.dead = asyncio.Event()
        self.left: int | None = None  # writes until it dies
        self.writes: list[str] = []

    def __call__(self, port: Any) -> Any:
        return _Port(self, port)

    async def call(self, name: str, action: Callable[[], Awaitable[_T]]) -> _T:
        if self._rng.random() < 0.5:
            await asyncio.sleep(self._rng.choice((0.0, 0.001, 0.02)))
        writes = name.split("_")[0] in _WRITES
        last = writes and self._dies()
        if self.dead.is_set() or (last and self._rng.random() < 0.3):
            await self._die()
        if writes:
            self.writes.append(name)
        try:
            result = await action()
        except Crash:
            await self._die()
        if last:
            await self._die()
        if self._rng.random() < 0.3:
            await asyncio.sleep(0)
        return result

    def _dies(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        return self.left == 0

    async def _die(self) -> NoReturn:
        self.dead.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("the dead do nothing")


class _Port:
    def __init__(self, ports: Ports, port: Any) -> None:
        self._ports = ports
        self._port = port

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name in ("watch", "serves", "known"):  # they ask nobody
            return method
        return lambda *args, **more: self._ports.call(name, lambda: method(*args, **more))


class _Told:
    """The port, which calls back after each write that promises something."""

    def __init__(self, port: Any, model: "Model") -> None:
        self._port = port
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    async def create_record(self, name: str, record: Record) -> StoredRecord:
        try:
            return await self._port.create_record(name, record)
        finally:  # an operator that died within it may have written it
            if self._model.stage.stored(name) == record:
                self._model.check_issued(record)
                self._model.rights.check()

    async def update_record(self, current: StoredRecord, record: Record) -> StoredRecord:
        before = current.record
        try:
            return await self._port.update_record(current, record)
        finally:
            self._model.rights.check()
            moved = isinstance(before, BucketRecord) and isinstance(record, BucketRecord)
            if moved and before.owner != record.owner and self._model.stage.stored(current.name) == record:
                self._model.check_moved(before, record)

    async def create_credentials(
        self, namespace: str, name: str, data: Mapping[str, str], owner: Object, access_key_id: str, *more: Any
    ) -> None:
        with self._delivering(data, access_key_id):
            await self._port.create_credentials(namespace, name, data, owner, access_key_id, *more)

    async def update_credentials(
        self, current: Credentials, data: Mapping[str, str], owner: Object, access_key_id: str, *more: Any
    ) -> None:
        with self._delivering(data, access_key_id):
            await self._port.update_credentials(current, data, owner, access_key_id, *more)

    async def update_status(self, obj: Object) -> Object:
        written = await self._port.update_status(obj)
        self._model.check_said(written)
        return written

    @contextmanager
    def _delivering(self, data: Mapping[str, str], key_id: str) -> Iterator[None]:
        try:
            yield
        except Crash:
            self._model.check_delivered(data, key_id)  # some of it may be there
            raise
        self._model.check_delivered(data, key_id)


class _Unexpected(logging.Handler):
    """Exceptions that the operator logs because nobody expected them."""

    def __init__(self, violations: list[str]) -> None:
        super().__init__()
        self._violations = violations

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._violations.append(f"unexpected: {record.getMessage()}: {record.exc_info[1]!r}")


class Model:
    """The world as people and misfortune change it. `violations` collects promises that were broken."""

    def __init__(self, seed: int, make_stage: StageMaker | None = None) -> None:
        self._rng = random.Random(seed)
        random.seed(seed)
        self.violations: list[str] = []
        self._numbers = 0  # of records that were made up
        make_stage = make_stage or partial(MemoryStage, echoes=bool(seed % 2))
        self.stage = make_stage(self._rng, self.now)
        self.rights = RightsOverTime(self.stage, self.now, self.violations)
        self._homes: dict[str, str] = {}  # UID of the namespace that has the data, or had it last, by the data's id
        self._named: set[tuple[str, str]] = set()  # S3 name and namespace that the Region ever named
        self.suffixes: list[dict[str, Any]] = []  # of domains, as they are to be in the end
        self._let: list[list[dict[str, Any]]] = []  # the same, at any time
        self.gateways = LaggingGateways(self.stage.log)
        self.gateways.purged_at_once = 1
        self.foreign: set[str] = set()
        self._delivered: set[str] = set()
        self.ports = Ports(self._rng)
        self._operator: Operator | None = None
        self._running: asyncio.Task[None] | None = None
        self._unexpected = _Unexpected(self.violations)

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time()

    # The operator's lives

    def start(self) -> None:
        logger = logging.getLogger("cooper_operator")
        logger.handlers, logger.propagate = [self._unexpected], False
        self.ports = Ports(self._rng)
        port, recollection = self.stage.open(self.ports.dead)
        self._operator = Operator(
            self.ports(_Told(port, self)),
            self.ports(self.gateways),
            system_key=SystemKey(),
            recollection=recollection,
            clock=self.now,
            default_endpoint="http://127.0.0.1:9000",
            intervals=Intervals(intents=NEVER, usage=NEVER, sweep=30.0, resync=50.0 if self.stage.echoes else NEVER),
        )
        self._running = asyncio.create_task(self._operator.run())

    async def stop(self) -> None:
        if self._operator is not None and self._running is not None:
            await self._operator.stop()
            await self._running
            await self.stage.close()
        self._operator = self._running = None

    def start_again(self) -> None:
        """Start the operator, if none runs."""
        if self._operator is None:
            self.start()

    async def crash_within(self, writes: int | None) -> None:
        """Let the operator die at one of its next writes, or (None) when the stage says so, at the latest after five
        seconds; another one is started."""
        self.ports.left = writes
        try:
            async with asyncio.timeout(5):
                await self.ports.dead.wait()
        except TimeoutError:
            pass
        await self.stop()
        await asyncio.sleep(self._rng.choice((0.0, 1.0, 40.0)))
        self.start()

    # What people do

    async def apply(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        ref = ref_of(kind, name)
        metadata = {"name": ref.name, **({"namespace": ref.namespace} if ref.namespace else {})}
        manifest = {"apiVersion": "cooper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": dict(spec)}
        if kind == "Region":
            self._let.append(spec.get("domainSuffixes", []))
        self._named |= {(each["bucketName"], each["namespace"]) for each in spec.get("adoptions", ())}
        await self.stage.apply(manifest)

    async def delete(self, kind: Any, name: str) -> None:
        await self.stage.delete(ref_of(kind, name))

    async def orphan(self, name: str, objects: int) -> None:
        """A Bucket's record, as an operator that was killed left it when the Bucket was gone already."""
        uid = f"00000000-0000-4000-9000-{self._numbers:012d}"
        self._numbers += 1
        lost = BucketRecord(name, uid, Owner("default", "lost", uid), region="local", deletion_policy="Delete")
        if await self.stage.leave_record(f"bucket-{name}", lost):
            self.check_issued(lost)
            self.gateways.bucket(uid).objects = objects

    async def let_domains(self, suffixes: list[dict[str, Any]]) -> None:
        """The Region says anew which domains which namespaces may have."""
        self.suffixes = suffixes
        await self.apply("Region", "local", self._region())

    def _region(self) -> dict[str, Any]:
        more = {"domainSuffixes": self.suffixes} if self.suffixes else {}
        return {"tag": "us-east-1", "default": True, **more}

    async def lose_domain(self, domain: str) -> None:
        """The record of a domain of a Bucket that is gone without its finalizer."""
        lost = DomainRecord(domain, "lost", "d", Owner("default", "lost", NOBODY), "local")
        await self.stage.leave_record(domain_record_name(domain), lost)

    async def rotate(self, kind: Any, name: str) -> None:
        """Somebody wants a new key now."""
        await self.stage.annotate(ref_of(kind, name), ROTATE_AT, timestamp(self.now()))

    async def recall(self, kind: Any, name: str) -> None:
        """Somebody puts back the manifest of a resource, if it is being deleted."""
        await self.stage.recall(ref_of(kind, name))

    def set_foreign(self, name: str) -> None:
        """Somebody else makes a Secret, where there is none."""
        if ("default", name) not in self.stage.credentials():
            self.stage.set_credentials("default", name, FOREIGN)
            self.foreign.add(name)

    def spoil_secret(self, name: str, *, remove: bool) -> None:
        """Somebody edits or removes a Secret that is the operator's."""
        if name in self.foreign or ("default", name) not in self.stage.credentials():
            return
        if remove:
            self.stage.remove_credentials("default", name)
        else:
            self.stage.set_credentials("default", name, {"ACCESS_KEY": "edited"})

    def damage(self, number: int) -> None:
        """Damage some record but the operator's own key."""
        names = sorted(name for name, record in self.stage.records().items() if not is_system(record))
        if names:
            self.stage.damage_record(names[number % len(names)])

    async def fill(self, objects: int) -> None:
        """Clients write objects in all buckets that are open, or delete those that are anywhere."""
        for found in self.stage.records().values():
            if objects and isinstance(found, BucketRecord) and not self.gateways.bucket(found.data_id).closed:
                self.gateways.bucket(found.data_id).objects = objects
        for bucket in self.gateways.data.values():
            bucket.objects = min(bucket.objects, objects)

    # What must hold at every write

    def check_delivered(self, data: Mapping[str, str], key_id: str) -> None:
        self._delivered.add(key_id)
        record = self.stage.stored(key_record_name(key_id))
        if record is None:
            return  # damaged or removed since it was proven
        if key_id not in data.values():
            self.violations.append(f"delivered data without the id {key_id}")
        if not all(any(_knows(view, key_id, value) for value in data.values()) for view in self.gateways.views()):
            self.violations.append(f"delivered key {key_id} that not every worker accepts")

    def check_moved(self, before: BucketRecord, after: BucketRecord) -> None:
        """Data changes hands where it was retained, its Bucket is gone, and it is that namespace's or was named."""
        home, now = self._homes.get(before.data_id, ""), self._namespace_uid(after)
        if not before.retained or before.owner.uid in self.stage.uids():
            self.violations.append(f"data under {before.name} was adopted while it was in use")
        if home != now and (after.name, after.owner.namespace) not in self._named:
            self.violations.append(f"data under {before.name} was adopted from another namespace")
        if before.data_id != after.data_id:
            self.violations.append(f"data under {before.name} was lost when it was adopted")
        if self.gateways.bucket(after.data_id).closed:
            self.violations.append(f"data under {before.name} is closed, and was adopted")
        self._homes[after.data_id] = now

    def _namespace_uid(self, record: BucketRecord) -> str:
        return self.stage.home_of(record.owner.namespace)

    def check_issued(self, record: Record) -> None:
        if isinstance(record, BucketRecord):
            self._homes[record.data_id] = self._namespace_uid(record)
        if isinstance(record, DomainRecord) and record.owner.uid != NOBODY:
            name, namespace = record.name, record.owner.namespace
            if not any(may_have(name, namespace, each) for each in self._let):
                self.violations.append(f"{record.owner.name} has the domain {name}, which it was never let have")
        if not isinstance(record, KeyRecord) or record.system:
            return
        stored = self.stage.records().values()
        keys = [each for each in stored if isinstance(each, KeyRecord) and each.owner.uid == record.owner.uid]
        live = [each for each in keys if each.state == "Active" and (each.not_after or EPOCH * 2) > self.now()]
        if len(live) > 2:
            self.violations.append(f"{record.owner.name} has {len(live)} keys that work")

    def check_said(self, obj: Object) -> None:
        self._check_refusal(obj)
        if obj["kind"] == "AccessKey":
            self._check_accepted(read(obj, AccessKey))
            self._check_rotated(read(obj, AccessKey))
            self._check_sealed(read(obj, AccessKey))
        elif obj["kind"] == "Bucket":
            self._check_served(read(obj, Bucket))

    def _check_refusal(self, obj: Object) -> None:
        if obj["kind"] == "AccessKey":
            self._check_revoked(read(obj, AccessKey))
        elif obj["kind"] == "Bucket":
            self._check_bucket(read(obj, Bucket))

    def _check_revoked(self, access_key: AccessKey) -> None:
        meta, status = access_key.metadata, access_key.status
        if status is None or not _holds(status.conditions, "Revoked", meta.generation):
            return
        for key in (key for view in self.gateways.views() for key in _keys(view)):
            if key.owner.uid == meta.uid and self._could_be_used(key):
                self.violations.append(f"{meta.name} is said to be revoked, and a worker honours its key")

    def _check_rotated(self, access_key: AccessKey) -> None:
        meta, status = access_key.metadata, access_key.status
        if status is None or not _holds(status.conditions, "Rotated", meta.generation):
            return
        record = self.stage.stored(key_record_name(status.access_key_id or ""))
        former = record.replaces if isinstance(record, KeyRecord) else ""
        for key in (key for view in self.gateways.views() for key in _keys(view)):
            if key.access_key_id == former and self._could_be_used(key):
                self.violations.append(f"{meta.name} is said to be rotated, and a worker honours its former key")

    def _check_sealed(self, access_key: AccessKey) -> None:
        """What is delivered once is what it says, and works everywhere when it is first there."""
        once = None if access_key.status is None else access_key.status.once
        if once is None or once.access_key_id in self._delivered:
            return
        self.check_delivered(open_sealed(IDENTITY, once.access_key_id, once.sealed), once.access_key_id)

    def _check_accepted(self, access_key: AccessKey, *, always: bool = False) -> None:
        """A key that is said to be ready works everywhere, and serves nowhere what was withdrawn."""
        meta, status = access_key.metadata, access_key.status
        if status is None or not (always or _holds(status.conditions, "Ready", meta.generation)):
            return
        record = self.stage.stored(key_record_name(status.access_key_id or ""))
        if not isinstance(record, KeyRecord) or (always and record.state != "Active"):
            return  # damaged or removed since it was proven
        granted = {grant.bucket for grant in record.grants}
        for view in self.gateways.views():
            known = _knows(view, record.access_key_id, record.secret_key)
            if known is None:
                self.violations.append(f"{meta.name} is ready, and a worker does not accept its key")
            elif not {grant.bucket for grant in known.grants if f"bucket-{grant.bucket}" in view} <= granted:
                self.violations.append(f"{meta.name} is settled, and a worker honours a withdrawn grant")

    def _check_bucket(self, bucket: Bucket) -> None:
        meta, status = bucket.metadata, bucket.status
        if status is None or not _holds(status.conditions, "Revoked", meta.generation):
            return
        for view in self.gateways.views():
            known = view.get(f"bucket-{status.bucket_name}")
            if not isinstance(known, BucketRecord) or known.owner.uid != meta.uid or known.api_access != "Allowed":
                continue
            if any(self._could_be_used(key) and reaches(key, known, self.now()) for key in _keys(view)):
                self.violations.append(f"Bucket {meta.name} is said to be revoked, and a worker serves it")

    def _check_served(self, bucket: Bucket) -> None:
        """A bucket that is said to be ready lets in whoever has a key, if anybody has."""
        meta, status = bucket.metadata, bucket.status
        if status is None or not _holds(status.conditions, "Ready", meta.generation):
            return
        stored = self.stage.records().values()
        keys = [key for key in stored if isinstance(key, KeyRecord) and self._could_be_used(key)]
        for view in self.gateways.views():
            known = view.get(f"bucket-{status.bucket_name}")
            if not isinstance(known, BucketRecord) or known.owner.uid != meta.uid or known.api_access == "Allowed":
                continue
            if any(reaches(key, known, self.now()) for key in keys):
                self.violations.append(f"Bucket {meta.name} is said to be ready, and a worker refuses it")

    def _could_be_used(self, key: KeyRecord) -> bool:
        """Whether a worker that knows the key so honours it, and somebody has it.

        A key that was never delivered may be unknown to a worker that learns of it late, and at once of its end.
        """
        expired = key.not_after is not None and key.not_after <= self.now()
        return key.state == "Active" and not expired and key.access_key_id in self._delivered

    def check_refusals(self) -> None:
        """What was said to be refused stays so while the spec is the same, and so does what was deleted; and nobody has
        what was never given."""
        self.rights.check()
        for obj in self.stage.objects():
            self._check_refusal(obj)
        live = self.stage.uids()
        for key in (key for view in self.gateways.views() for key in _keys(view)):
            if key.owner.uid not in live and self._could_be_used(key):
                self.violations.append(f"{key.owner.name} is gone, and a worker honours its key")

    def check_withdrawn(self, seconds: float) -> None:
        """To be called after so many seconds in which nothing was done: where an operator runs that can read, records
        have nothing of what was withdrawn."""
        if self._operator is not None and not self.ports.dead.is_set() and self.stage.unavailable is None:
            self.rights.check_withdrawn(seconds)

    # What must hold in the end

    async def converge(self) -> None:
        """Let everything run again, and time pass; then do as told about records that nothing can replace."""
        await self.stage.settle()
        self.gateways.away = False
        self.gateways.stale.clear()
        await self.fill(0)
        await self.apply("Region", "local", self._region())
        await self.stage.edit_all(_without_interval)  # which would never come to an end
        if self._operator is None or self.ports.dead.is_set():
            await self.stop()
            self.start()
        self.ports.left = None
        await asyncio.sleep(130)
        self.check_refusals()
        damaged = [name for name, record in self.stage.records().items() if record is None]
        for name in damaged:
            self.stage.drop_record(name)
        if damaged:
            for worker in range(self.gateways.workers):
                self.gateways.catch_up(worker)
            await asyncio.sleep(130)

    async def check_end(self) -> None:
        """Everything that was deleted is gone, everything else is as it says, and nobody is left over."""
        self.violations += self._leftovers()
        self.violations += self._taken_over()
        self.violations += self._wrong_domains()
        self.violations += self.stage.faults()
        for obj in self.stage.objects():
            self.check_said(obj)
            if obj["kind"] == "AccessKey":
                self._check_accepted(read(obj, AccessKey), always=True)
                self.violations += self._wrong_rights(read(obj, AccessKey))
            self.violations += self._unsettled(obj)
        secrets = self.stage.credentials()
        held = [secrets.get(("default", name)) for name in self.foreign]
        if any(each is None or dict(each.data) != FOREIGN for each in held):
            self.violations.append("a Secret of somebody else was changed")
        await self.stop()
        versions = self.stage.versions()
        self.gateways.calls.clear()
        self.start()
        await asyncio.sleep(25)
        if (writes := self.ports.writes) and writes != ["create_record", "delete_record"]:
            self.violations.append(f"a restart of what is settled writes: {writes}")
        if changed := dict(self.stage.versions().items() ^ versions.items()):
            self.violations.append(f"a restart of what is settled changes: {sorted(changed)}")
        expected = {f"prove_works {key_id}" for _, key_id in self._held_up()}
        if asked := [each for each in self.gateways.calls if each not in expected]:
            self.violations.append(f"a restart of what is settled asks: {asked}")

    def _wrong_rights(self, access_key: AccessKey) -> Iterator[str]:
        """A key that is in use may do what its AccessKey and others' BucketGrants say, and nothing else."""
        status = access_key.status
        record = self.stage.stored(key_record_name((status and status.access_key_id) or ""))
        if not isinstance(record, KeyRecord) or record.state != "Active":
            return
        objects = self.stage.objects()
        stored = self.stage.records().values()
        buckets = [each for each in stored if isinstance(each, BucketRecord)]
        wanted, found = wanted_rights(access_key, objects, buckets), rights_of(record, buckets)
        name = access_key.metadata.name
        if found != wanted:
            yield f"{name} may do {sorted(found - wanted)} unasked, and not {sorted(wanted - found)}"
        if record.networks != tuple(access_key.spec.allowed_networks or ()):
            yield f"{name} may be used from {record.networks}"
        once = status and status.once
        if (once is not None) != (access_key.spec.delivery == "Once"):
            yield f"{name} is delivered in another way than it asks for"

    def _leftovers(self) -> Iterator[str]:
        live = self.stage.uids()
        active: dict[str, int] = {}
        for name, record in self.stage.records().items():
            if isinstance(record, KeyRecord) and not record.system:
                overlaps = record.superseded_at is not None and (record.not_after or 0) > self.now()
                active[record.owner.uid] = active.get(record.owner.uid, 0) + (record.state == "Active" and not overlaps)
                if record.owner.uid not in live:
                    yield f"record {name} has no owner left"
            if isinstance(record, DomainRecord) and record.owner.uid not in live:
                yield f"record {name} is of nobody"
            if isinstance(record, BucketRecord) and record.owner.uid not in live and record.deletion_policy != "Retain":
                yield f"record {name} keeps its name for nobody"
        held_up = {uid for uid, _ in self._held_up()}
        yield from (f"{uid} has {count} keys" for uid, count in active.items() if count > 1 + (uid in held_up))
        for (_, name), secret in self.stage.credentials().items():
            if secret.owner_uid is None:
                if name not in self.foreign:
                    yield f"Secret {name} is taken for somebody else's"
                continue
            record = self.stage.stored(key_record_name(secret.access_key_id or ""))
            if not isinstance(record, KeyRecord) or record.owner.uid != secret.owner_uid or record.state != "Active":
                yield f"Secret {name} holds no key that is in use"
            elif not {record.access_key_id, record.secret_key} <= set(secret.data.values()):
                yield f"Secret {name} does not hold the key that it is marked with"

    def _held_up(self) -> Iterator[tuple[str, str]]:
        """AccessKeys whose rotation waits until somebody else's Secret goes, and their new keys: until then both are
        kept, and the new one is asked about at each look."""
        for obj in self.stage.objects():
            status = obj.get("status") or {}
            conditions = [Condition.model_validate(each) for each in status.get("conditions", [])]
            ready = find_condition(conditions, "Ready")
            if status.get("state") != "Rotating" or ready is None or ready.reason != "SecretConflict":
                continue
            for record in self.stage.records().values():
                if isinstance(record, KeyRecord) and record.owner.uid == obj["metadata"]["uid"] and record.replaces:
                    yield obj["metadata"]["uid"], record.access_key_id

    def _wrong_domains(self) -> Iterator[str]:
        """Each domain that somebody asks for who may have it is one of theirs, and no other is anybody's."""
        objects = self.stage.objects()
        stored = self.stage.records().values()
        buckets = [each for each in stored if isinstance(each, BucketRecord)]
        wanted = wanted_domains(objects, buckets, self.suffixes)
        found = {each.name: each for each in stored if isinstance(each, DomainRecord)}
        for domain in wanted.keys() | found.keys():
            record = found.get(domain)
            told = None if record is None else (record.owner.uid, record.bucket, record.data_id)
            if told not in wanted.get(domain, [None]):
                yield f"the domain {domain} is {told}'s, and is to be one of {wanted.get(domain)}"
        for obj in objects:
            if obj["kind"] == "Bucket":
                uid = obj["metadata"]["uid"]
                own = [
                    each for each in obj["spec"].get("domains", ()) if each in found and found[each].owner.uid == uid
                ]
                if obj["status"].get("domains", []) != own:
                    yield f"Bucket {obj['metadata']['name']} has {own} and says {obj['status'].get('domains')}"

    def _taken_over(self) -> Iterator[str]:
        """A name belongs to one bucket, and an id to one secret, until their record is gone."""
        before: dict[str, str] = {}
        for name, record in self.stage.log:
            whose = _whose(record)
            if name in before and whose and before[name] != whose:
                yield f"record {name} was taken over"
            before.pop(name, None)
            if whose:
                before[name] = whose

    def _buckets_of(self, uid: str) -> list[BucketRecord]:
        stored = self.stage.records().values()
        return [each for each in stored if isinstance(each, BucketRecord) and each.owner.uid == uid]

    def _unsettled(self, obj: Object) -> Iterator[str]:
        meta = obj["metadata"]
        ref = f"{obj['kind']} {meta['name']}"
        if meta.get("deletionTimestamp"):
            yield f"{ref} is deleted and still there"
            return
        data = next((self.gateways.data.get(each.data_id) for each in self._buckets_of(meta["uid"])), None)
        if data is not None and (data.closed or data.destroyed):
            yield f"{ref} is there and its data is {'destroyed' if data.destroyed else 'closed'}"
        if data is not None and data.purged:
            yield f"{ref} is there and {data.purged} of its objects were purged"
        conditions = [Condition.model_validate(each) for each in (obj.get("status") or {}).get("conditions", [])]
        ready = find_condition(conditions, "Ready")
        if ready is None or ready.observed_generation != meta["generation"]:
            yield f"{ref} was not looked at"
        elif ready.status != "True" and ready.reason not in LASTING:
            yield f"{ref} is not ready: {ready.reason}: {ready.message}"
        over = ready is not None and ready.reason in ("Revoked", "Expired") and obj["kind"] == "AccessKey"
        if over and not _holds(conditions, "Revoked", meta["generation"]):
            yield f"{ref} is not said to be refused"


def ref_of(kind: Any, name: str) -> Ref:
    """A resource of the namespace `default`, or by `namespace/name`; or a Region."""
    namespace, _, rest = name.rpartition("/")
    return Ref(kind, "" if kind == "Region" else namespace or "default", rest)


def _without_interval(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """A spec that is the same but rotates no key by itself; None: it does not anyway."""
    if "interval" in spec.get("rotation", {}):
        return {**spec, "rotation": {"overlap": spec["rotation"].get("overlap", "1h")}}
    credentials = _without_interval(spec["credentials"]) if "credentials" in spec else None
    return None if credentials is None else {**spec, "credentials": credentials}


def _whose(record: Record | None) -> str:
    """What a record's name stands for while it is there."""
    if isinstance(record, KeyRecord):
        return record.secret_key
    if isinstance(record, DomainRecord):
        return record.owner.uid
    return record.data_id if isinstance(record, BucketRecord) else ""


def _holds(conditions: list[Condition], type_: str, generation: int) -> bool:
    found = find_condition(conditions, type_)
    return found is not None and found.status == "True" and found.observed_generation == generation


def _keys(view: View) -> list[KeyRecord]:
    return [each for each in view.values() if isinstance(each, KeyRecord)]


def _knows(view: View, key_id: str, secret: str) -> KeyRecord | None:
    """The key as a worker knows it, if it would accept it."""
    held = view.get(key_record_name(key_id))
    works = isinstance(held, KeyRecord) and held.state == "Active" and held.secret_key == secret
    return held if works and isinstance(held, KeyRecord) else None
