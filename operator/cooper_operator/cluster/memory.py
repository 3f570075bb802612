"""A cluster in memory: a small API server with Secrets and records. For tests, and as the model of the port."""

import itertools
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any, Literal

from cooper_crds.records import Record
from cooper_crds.rotation import WorkloadName
from cooper_crds.stored import Workload
from cooper_operator.cluster.event_log import Event, EventLog
from cooper_operator.cluster.objects import Entry, Objects, copied, ref_of
from cooper_operator.cluster.owners import record_owner
from cooper_operator.cluster.port import (
    AlreadyExists,
    Conflict,
    Credentials,
    Kind,
    Namespace,
    NamespaceGone,
    NotFound,
    Object,
    Ref,
    StoredRecord,
    Unavailable,
)
from cooper_operator.cluster.record_listing import DamagedRecord, RecordListing
from cooper_operator.cluster.watch_hub import WatchHub


class _NoStorage:
    """Memory is all there is."""

    def save(self, ref: Ref, entry: Entry) -> None:
        """Nothing to do."""

    def remove(self, ref: Ref, entry: Entry) -> None:
        """Nothing to do."""


@dataclass(frozen=True, slots=True)
class _Secret:
    data: dict[str, str]
    owner: Ref | None
    owner_uid: str | None
    version: str
    access_key_id: str | None

    def credentials(self, namespace: str, name: str) -> Credentials:
        return Credentials(namespace, name, dict(self.data), self.owner_uid, self.version, self.access_key_id)


class MemoryCluster:
    """Implements `port.Cluster`. `clock` gives Unix seconds; `new_uid` gives a new UID at every call."""

    def __init__(
        self, clock: Callable[[], float] = time.time, new_uid: Callable[[], str] = lambda: str(uuid.uuid4())
    ) -> None:
        self._clock = clock
        self._hub = WatchHub()
        self._objects = Objects(clock, new_uid, _NoStorage(), self._hub.notify, self._collect_credentials)
        self._secrets: dict[tuple[str, str], _Secret] = {}
        self._waiting: dict[Ref, str] = {}  # for the name of a Secret that is not theirs
        self._records: dict[str, StoredRecord | DamagedRecord] = {}
        self._versions = itertools.count(1)
        self.namespaces: dict[str, str] = {}  # UIDs of those that were made anew
        self.made: dict[str, float] = {}  # when, in Unix seconds, where that is known
        self.gone: set[str] = set()  # namespaces that are not there any more: nothing in them can be written to
        self.set_aside: dict[str, DamagedRecord] = {}  # damaged records that were replaced
        self.workloads: dict[tuple[str, WorkloadName], Workload] = {}  # who puts some here runs them as well
        self.restarts: list[tuple[str, str]] = []  # namespace and workload, as they came
        self._events = EventLog()
        #: Set it to a reason to make every call raise Unavailable, as an API server that cannot be reached.
        self.unavailable: str | None = None

    async def get(self, ref: Ref) -> Object | None:
        """See the port."""
        self._reach()
        return self._objects.get(ref)

    async def list_kind(self, kind: Kind) -> list[Object]:
        """See the port."""
        self._reach()
        return self._objects.list_kind(kind)

    async def create(self, obj: Object) -> Object:
        """See the port."""
        self._reach()
        self._stand_in(_ref_with_namespace(obj).namespace)
        return self._objects.create(obj)

    async def declare(self, obj: Object) -> Object:
        """See the port."""
        return await self.create(obj)

    async def update(self, obj: Object) -> Object:
        """See the port."""
        self._reach()
        self._stand_in(_ref_with_namespace(obj).namespace)
        return self._objects.update(obj)

    async def update_status(self, obj: Object) -> Object:
        """See the port."""
        self._reach()
        self._stand_in(_ref_with_namespace(obj).namespace)
        return self._objects.update_status(obj)

    async def delete(self, ref: Ref, uid: str) -> None:
        """See the port."""
        self._reach()
        self._objects.delete(ref, uid)

    async def apply(self, manifest: Object) -> Object:
        """Do what `kubectl apply` does: create the resource, or give the one that is there this spec."""
        self._reach()
        current = self._objects.get(_ref_with_namespace(manifest))
        if current is None:
            return self._objects.create(manifest)
        return self._objects.update({**current, "spec": manifest.get("spec", {})})

    async def recall(self, ref: Ref) -> bool:
        """Do what putting a manifest back into a resources folder does: see `objects.Objects.recall`."""
        self._reach()
        return self._objects.recall(ref)

    async def get_credentials(self, namespace: str, name: str) -> Credentials | None:
        """See the port."""
        self._reach()
        secret = self._secrets.get((namespace, name))
        return secret and secret.credentials(namespace, name)

    async def follow_foreign_credentials(self, waiting: Ref, name: str) -> None:
        """See the port."""
        self._reach()
        self._waiting[waiting] = name

    async def list_credentials(self, namespace: str, owner_uid: str) -> list[Credentials]:
        """See the port."""
        self._reach()
        return [
            secret.credentials(*key)
            for key, secret in sorted(self._secrets.items())
            if key[0] == namespace and secret.owner_uid == owner_uid
        ]

    async def create_credentials(
        self,
        namespace: str,
        name: str,
        data: Mapping[str, str],
        owner: Object,
        access_key_id: str,
        in_config_map: Set[str] = frozenset(),
    ) -> None:
        """See the port."""
        self._reach()
        self._stand_in(namespace)
        if (namespace, name) in self._secrets:
            raise AlreadyExists(f"credentials {namespace}/{name} exist already")
        self._put_secret(namespace, name, data, ref_of(owner), owner["metadata"]["uid"], access_key_id)
        self._collect_credentials()

    async def update_credentials(
        self,
        current: Credentials,
        data: Mapping[str, str],
        owner: Object,
        access_key_id: str,
        in_config_map: Set[str] = frozenset(),
    ) -> None:
        """See the port."""
        self._reach()
        self._stand_in(current.namespace)
        secret = self._own_secret(current)
        if secret is None or secret.owner_uid != owner["metadata"]["uid"]:
            raise Conflict(f"credentials {current.namespace}/{current.name} are not those of {ref_of(owner)}")
        self._put_secret(current.namespace, current.name, data, ref_of(owner), secret.owner_uid, access_key_id)

    def _stand_in(self, namespace: str) -> None:
        if namespace in self.gone:
            raise NamespaceGone(f'namespaces "{namespace}" not found', namespace)

    async def delete_credentials(self, current: Credentials) -> None:
        """See the port."""
        self._reach()
        if self._own_secret(current) is not None:
            self.remove_credentials(current.namespace, current.name)

    def set_credentials(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        """Edit credentials behind the operator's back, or make ones that are not its own."""
        known = self._secrets.get((namespace, name))
        owner, uid, key_id = (known.owner, known.owner_uid, known.access_key_id) if known else (None, None, None)
        self._put_secret(namespace, name, data, owner, uid, key_id)

    def remove_credentials(self, namespace: str, name: str) -> None:
        """Remove credentials, whosever they are."""
        secret = self._secrets.pop((namespace, name), None)
        if secret and secret.owner:
            self._hub.notify(secret.owner)
        for waiting, awaited in self._waiting.items():
            if (waiting.namespace, awaited) == (namespace, name):
                self._hub.notify(waiting)

    async def get_workload(self, namespace: str, name: WorkloadName) -> Workload:
        """See the port."""
        self._reach()
        return self.workloads.get((namespace, name), Workload(name))

    async def annotate_workload(
        self, namespace: str, current: Workload, annotation: str, value: str, *, roll: bool
    ) -> Workload:
        """See the port. A restart is over when somebody says so in `workloads`."""
        self._reach()
        found = self.workloads.get((namespace, current.name))
        if found is None:
            raise NotFound(f"{current.name} does not exist")
        if found.version != current.version:
            raise Conflict(f"{current.name} changed")
        marks = {**found.marks, annotation: value}
        waiting = "Pods that are new: 0 of 1" if roll else found.waiting
        changed = replace(found, version=str(next(self._versions)), marks=marks, waiting=waiting)
        self.workloads[namespace, current.name] = changed
        if roll:
            self.restarts.append((namespace, str(current.name)))
        return changed

    async def get_record(self, name: str) -> StoredRecord | None:
        """See the port."""
        self._reach()
        stored = self._records.get(name)
        if isinstance(stored, DamagedRecord):
            raise stored.error
        return stored

    async def namespace(self, name: str) -> Namespace | None:
        """See the port."""
        self._reach()
        if name in self.gone:
            return None
        return Namespace(self.namespaces.get(name, f"uid-of-{name}"), self.made.get(name, 0.0))

    def serves(self, namespace: str) -> bool:
        """See the port: of all."""
        return True

    async def list_records(self) -> RecordListing:
        """See the port; `damaged` has those that cannot be read."""
        self._reach()
        every = [self._records[name] for name in sorted(self._records)]
        return RecordListing(
            (each for each in every if isinstance(each, StoredRecord)),
            (each for each in every if isinstance(each, DamagedRecord)),
        )

    async def create_record(self, name: str, record: Record) -> StoredRecord:
        """See the port."""
        self._reach()
        if name in self._records:
            raise AlreadyExists(f"record {name} exists already")
        return self._put_record(name, record)

    async def update_record(self, current: StoredRecord, record: Record) -> StoredRecord:
        """See the port."""
        self._reach()
        self._check_record(current)
        if current.name not in self._records:
            raise NotFound(f"record {current.name} does not exist")
        return self._put_record(current.name, record)

    async def delete_record(self, current: StoredRecord) -> None:
        """See the port."""
        self._reach()
        self._check_record(current)
        if self._records.pop(current.name, None) is not None:
            self._notify_record(current.record)

    def damage_record(self, name: str, reason: str = "it is damaged", *, replaceable: bool = True) -> None:
        """Make a record unreadable. Whose it is learns of it, as of any change."""
        before = self._records.get(name)
        self._records[name] = DamagedRecord(name, reason, replaceable)
        if isinstance(before, StoredRecord):
            self._notify_record(before.record)

    async def replace_damaged_record(self, name: str, record: Record) -> str:
        """See the port; `set_aside` keeps the damaged one."""
        self._reach()
        found = self._records.get(name)
        if found is None:
            raise NotFound(f"record {name} does not exist")
        if isinstance(found, StoredRecord) or not found.replaceable:
            raise Conflict(f"record {name} is not to be replaced")
        kept = f"{name}.damaged-{len(self.set_aside)}"
        self.set_aside[kept] = found
        self._put_record(name, record)
        return kept

    async def emit(self, about: Object, type_: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """See the port."""
        if self.unavailable is None:
            self._events.record(ref_of(about), about["metadata"].get("uid", ""), type_, reason, message, self._clock())

    def events(self, about: Ref | None = None) -> list[Event]:
        """Events about one resource, or all; the longest unseen first."""
        return self._events.all() if about is None else self._events.about(about)

    def watch(self) -> AsyncIterator[Ref]:
        """See the port."""
        return self._hub.watch(lambda: list(self._objects.entries))

    def _reach(self) -> None:
        if self.unavailable is not None:
            raise Unavailable(self.unavailable)

    def _put_secret(
        self,
        namespace: str,
        name: str,
        data: Mapping[str, str],
        owner: Ref | None,
        owner_uid: str | None,
        access_key_id: str | None,
    ) -> None:
        version = str(next(self._versions))
        self._secrets[namespace, name] = _Secret(dict(data), owner, owner_uid, version, access_key_id)
        if owner:
            self._hub.notify(owner)

    def _own_secret(self, current: Credentials) -> _Secret | None:
        """The secret that `current` was read from, None when it is gone. Raises Conflict when changed or foreign."""
        secret = self._secrets.get((current.namespace, current.name))
        if secret is not None and (secret.version != current.version or secret.owner_uid is None):
            raise Conflict(
                f"credentials {current.namespace}/{current.name} changed since they were read, or are foreign"
            )
        return secret

    def _collect_credentials(self) -> None:
        uids = self._objects.uids
        for (namespace, name), secret in list(self._secrets.items()):
            if secret.owner_uid is not None and secret.owner_uid not in uids:
                self.remove_credentials(namespace, name)

    def _put_record(self, name: str, record: Record) -> StoredRecord:
        stored = StoredRecord(name, record, str(next(self._versions)))
        self._records[name] = stored
        self._notify_record(record)
        return stored

    def _check_record(self, current: StoredRecord) -> None:
        stored = self._records.get(current.name)
        if stored is not None and (isinstance(stored, DamagedRecord) or stored.version != current.version):
            raise Conflict(f"record {current.name} changed since it was read")

    def _notify_record(self, record: Record) -> None:
        owner = record_owner(record)
        if owner:
            self._hub.notify(owner)


def _ref_with_namespace(manifest: Object) -> Ref:
    obj: dict[str, Any] = copied(manifest)
    ref = ref_of(obj)
    return ref if ref.namespace or ref.kind == "Region" else Ref(ref.kind, "default", ref.name)
