"""A Kubernetes cluster: implements the port over the API server.

Resources are the tenants', credentials are Secrets beside them, records are Secrets in the gateways' namespace
(`cooper_crds.kubernetes` has the names). Reads of one object are quorum reads; nothing is cached here.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence, Set
from typing import Any, Final, Literal

from cooper_crds.fields import unix_seconds
from cooper_crds.kubernetes import CREDENTIALS_LABEL, CREDENTIALS_OWNER_LABEL, RECORD_SELECTOR, SYSTEM_NAMESPACE
from cooper_crds.kubernetes import secret_name as record_secret_name
from cooper_crds.records import Record
from cooper_crds.rotation import WorkloadName
from cooper_crds.stored import Workload
from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_config_maps import ConfigMaps, of_secret
from cooper_operator.cluster.kubernetes_credentials import (
    credentials_of,
    credentials_owner,
    new_secret,
    secret_patch,
)
from cooper_operator.cluster.kubernetes_credentials import owner_uid as controlled_by
from cooper_operator.cluster.kubernetes_event_recorder import EventRecorder
from cooper_operator.cluster.kubernetes_foreign import ForeignSecrets
from cooper_operator.cluster.kubernetes_ledgers import (
    CredentialsLedger,
    EchoLedger,
    Ledger,
    RecordLedger,
    TellUnlessEcho,
)
from cooper_operator.cluster.kubernetes_objects import (
    CLUSTER_SCOPED,
    PLURALS,
    core_path,
    kind_path,
    resource_path,
    trimmed,
)
from cooper_operator.cluster.kubernetes_records import (
    damaged_copy,
    list_record_secrets,
    listing_of,
    new_record_secret,
    record_patch,
    record_secret_owner,
    stored_record,
)
from cooper_operator.cluster.kubernetes_revision import RevisionWriter
from cooper_operator.cluster.kubernetes_watch import OwnerOf, OwnerWatch
from cooper_operator.cluster.kubernetes_workloads import workload_of, workload_patch, workload_path
from cooper_operator.cluster.objects import ref_of
from cooper_operator.cluster.own_writes import OwnWrites
from cooper_operator.cluster.port import (
    AlreadyExists,
    Conflict,
    Credentials,
    Kind,
    Namespace,
    NotAllowed,
    NotFound,
    Object,
    Ref,
    StoredRecord,
    Unavailable,
)
from cooper_operator.cluster.recollection import Seen
from cooper_operator.cluster.record_listing import DamagedRecord, RecordListing
from cooper_operator.cluster.watch_hub import WatchHub

_ALL: Final = ("",)
#: Most Secrets of one AccessKey that are read at a time.
_CREDENTIALS_AT_ONCE: Final = 8

log = logging.getLogger(__name__)


class KubernetesCluster:
    """Implements `port.Cluster`. `namespace` has the records; `namespaces` are the tenants', all where it is None.

    Changes of resources are told to it by `changed` (`cooper_operator.handlers` does); those of credentials and records
    it watches itself, from the first `watch` until `close`. `clock` gives Unix seconds.

    `echoes` False: a watch is not told of what was written through this object itself.
    """

    def __init__(
        self,
        api: KubernetesApi,
        *,
        namespace: str = SYSTEM_NAMESPACE,
        namespaces: Sequence[str] | None = None,
        echoes: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._namespaces = _ALL if namespaces is None else tuple(namespaces)
        self._hub = WatchHub()
        self._writes = OwnWrites()
        self._config_maps = ConfigMaps(api, self._writes)
        self.seen = Seen()
        self._echoes = echoes
        self._events = EventRecorder(api, clock)
        self._revision = RevisionWriter(api, namespace)
        self._foreign = ForeignSecrets(api, self.notify)
        self._watches: dict[OwnerWatch, asyncio.Task[None]] = {}

    async def check(self) -> None:
        """See whether our kinds are there and may be listed. Raises Unavailable, with what to do."""
        for kind in PLURALS:
            for namespace in _ALL if kind in CLUSTER_SCOPED else self._namespaces:
                await self._api.get(kind_path(kind, namespace), f"all {kind}s", {"limit": "1"})

    async def close(self) -> None:
        """End watches and connection. What gateways are yet to be told of is told before, if that is possible soon."""
        for task in self._watches.values():
            task.cancel()
        await asyncio.gather(*self._watches.values(), return_exceptions=True)
        self._watches.clear()
        await self._foreign.close()
        await self._revision.close()
        await self._api.close()

    # Resources

    async def get(self, ref: Ref) -> Object | None:
        """See the port."""
        try:
            found = trimmed(await self._api.get(resource_path(ref), str(ref)))
        except NotFound:
            return None
        metadata = found["metadata"]
        # What is decided of one resource is carried out on no other.
        if (found.get("kind"), metadata.get("namespace", ""), metadata.get("name")) != (
            ref.kind,
            ref.namespace,
            ref.name,
        ):
            raise Unavailable(f"{ref}: the API server answered with something else")
        return found

    async def list_kind(self, kind: Kind) -> list[Object]:
        """See the port. Where tenants' namespaces were named, those of theirs."""
        namespaces = _ALL if kind in CLUSTER_SCOPED else self._namespaces
        objects: list[Object] = []
        for each in namespaces:
            listing = await self._api.list(Collection(kind_path(kind, each), f"all {kind}s"))
            found: list[Object] = [trimmed(obj) for obj in listing.items]
            for gone in self.seen.listed(kind, each, {ref_of(obj): obj for obj in found}, listing.version):
                self.notify(gone)  # a watch that was begun anew does not tell what went in between
            objects += found
        return objects

    async def create(self, obj: Object) -> Object:
        """See the port."""
        ref = ref_of(obj)
        return await self._write_resource(ref, self._api.create(kind_path(ref.kind, ref.namespace), str(ref), obj))

    async def declare(self, obj: Object) -> Object:
        """See the port."""
        return await self.create(obj)

    async def update(self, obj: Object) -> Object:
        """See the port."""
        ref = ref_of(obj)
        return await self._write_resource(ref, self._api.replace(resource_path(ref), str(ref), obj))

    async def update_status(self, obj: Object) -> Object:
        """See the port."""
        ref = ref_of(obj)
        return await self._write_resource(ref, self._api.replace(f"{resource_path(ref)}/status", str(ref), obj))

    async def delete(self, ref: Ref, uid: str) -> None:
        """See the port."""
        await self._api.delete(resource_path(ref), str(ref), {"uid": uid})

    # Credentials

    async def get_credentials(self, namespace: str, name: str) -> Credentials | None:
        """See the port."""
        try:
            secret = await self._api.get(core_path("secrets", namespace, name), _secret(namespace, name))
        except NotFound:
            return None
        return await self._config_maps.join(secret, credentials_of(secret))

    async def follow_foreign_credentials(self, waiting: Ref, name: str) -> None:
        """See the port."""
        await self._foreign.follow(waiting, name)

    async def list_credentials(self, namespace: str, owner_uid: str) -> list[Credentials]:
        """See the port. Those whose label was taken off are not among them: a watch tells of that. Nor are those that
        are being deleted, which somebody else holds; and no more than some, of which there is one as a rule."""
        selector = {"labelSelector": f"{CREDENTIALS_OWNER_LABEL}={owner_uid}"}
        path, about = core_path("secrets", namespace), f"credentials in namespace {namespace}"
        # Anybody there may give Secrets of a megabyte that label, so many that they have no room here.
        of = Collection(path, about, selector, metadata_only=True)
        found = [each["metadata"] for each in (await self._api.list(of)).items]
        ours = [each["name"] for each in found if controlled_by(each) == owner_uid and "deletionTimestamp" not in each]
        read = [await self.get_credentials(namespace, name) for name in ours[:_CREDENTIALS_AT_ONCE]]
        return [each for each in read if each is not None and each.owner_uid == owner_uid]

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
        beside = {key: data[key] for key in in_config_map & data.keys()}
        if beside:
            await self._config_maps.bring(namespace, name, beside, owner)
        made = new_secret(namespace, name, data, owner, access_key_id, beside.keys())
        request = self._api.create(core_path("secrets", namespace), _secret(namespace, name), made)
        await self._writes.write(core_path("secrets", namespace, name), request)
        self.seen.saw_credentials(namespace, name, owner["metadata"]["uid"])

    async def update_credentials(
        self,
        current: Credentials,
        data: Mapping[str, str],
        owner: Object,
        access_key_id: str,
        in_config_map: Set[str] = frozenset(),
    ) -> None:
        """See the port. Labels and annotations that others put on the Secret stay."""
        about = _secret(current.namespace, current.name)
        owned_by = (current.namespace, current.owner_uid)
        if owned_by != (owner["metadata"]["namespace"], owner["metadata"]["uid"]):
            raise Conflict(f"{about} is not that of {ref_of(owner)}")
        beside = {key: data[key] for key in in_config_map & data.keys()}
        if beside:
            await self._config_maps.bring(current.namespace, current.name, beside, owner, current)
        else:
            await self._config_maps.remove(current)
        path = core_path("secrets", current.namespace, current.name)
        try:
            patch = secret_patch(of_secret(current), data, owner, access_key_id, beside.keys())
            await self._writes.write(path, self._api.patch(path, about, patch))
        except NotFound as error:
            raise Conflict(str(error)) from None

    async def delete_credentials(self, current: Credentials) -> None:
        """See the port."""
        about = _secret(current.namespace, current.name)
        if current.owner_uid is None:
            raise Conflict(f"{about} is not one of ours")
        await self._config_maps.remove(current)
        await self._delete_secret(current.namespace, current.name, about, of_secret(current).version)

    # Workloads

    async def get_workload(self, namespace: str, name: WorkloadName) -> Workload:
        """See the port."""
        try:
            return workload_of(name, await self._api.get(workload_path(namespace, name), f"{name} in {namespace}"))
        except NotFound:
            return Workload(name)
        except NotAllowed as error:
            return Workload(name, problem=str(error))

    async def annotate_workload(
        self, namespace: str, current: Workload, annotation: str, value: str, *, roll: bool
    ) -> Workload:
        """See the port."""
        path, patch = workload_path(namespace, current.name), workload_patch(current, annotation, value, roll)
        return workload_of(current.name, await self._api.patch(path, f"{current.name} in {namespace}", patch))

    # Records

    async def namespace(self, name: str) -> Namespace | None:
        """See the port."""
        try:
            found = await self._api.get(core_path("namespaces", "", name), f"namespace {name}")
        except NotFound:
            return None
        except NotAllowed as error:
            log.warning("which namespace %s is cannot be known: %s", name, error)
            return Namespace("", 0.0)
        return Namespace(found["metadata"]["uid"], unix_seconds(found["metadata"]["creationTimestamp"]))

    async def get_record(self, name: str) -> StoredRecord | None:
        """See the port."""
        secret = await self._record_secret(name)
        found = None if secret is None else stored_record(secret)
        if isinstance(found, DamagedRecord):
            raise found.error
        if found is not None:
            self.seen.read_record(found)
        return found

    def serves(self, namespace: str) -> bool:
        """See the port."""
        return self._namespaces == _ALL or namespace in self._namespaces

    async def list_records(self) -> RecordListing:
        """See the port. Also makes sure that gateways are told how far to watch."""
        secrets = await list_record_secrets(self._api, self._namespace)
        self._revision.confirm(max((int(each["metadata"]["resourceVersion"]) for each in secrets), default=0))
        return listing_of(secrets)

    async def create_record(self, name: str, record: Record) -> StoredRecord:
        """See the port."""
        made = new_record_secret(self._namespace, name, record)
        request = self._api.create(core_path("secrets", self._namespace), f"record {name}", made)
        return await self._write_record(name, record, request)

    async def update_record(self, current: StoredRecord, record: Record) -> StoredRecord:
        """See the port."""
        patch = record_patch(current.name, record, current.version, {})
        request = self._api.patch(self._record_path(current.name), f"record {current.name}", patch)
        return await self._write_record(current.name, record, request)

    async def delete_record(self, current: StoredRecord) -> None:
        """See the port."""
        name = record_secret_name(current.name)
        await self._delete_secret(self._namespace, name, f"record {current.name}", current.version)
        self.seen.forget_record(current.name)

    async def replace_damaged_record(self, name: str, record: Record) -> str:
        """See the port: the damaged content is copied into a Secret beside, then overwritten where it is."""
        secret = await self._record_secret(name)
        if secret is None:
            raise NotFound(f"record {name} does not exist")
        found = stored_record(secret)
        if isinstance(found, StoredRecord) or not found.replaceable:
            raise Conflict(f"record {name} is not to be replaced")
        copy = damaged_copy(secret)
        kept: str = copy["metadata"]["name"]
        try:
            await self._api.create(core_path("secrets", self._namespace), f"Secret {kept}", copy)
        except AlreadyExists:
            pass  # copied by an attempt that got no further: the name bears the version, so the content is this one
        patch = record_patch(name, record, secret["metadata"]["resourceVersion"], secret.get("data") or {})
        await self._write_record(name, record, self._api.patch(self._record_path(name), f"record {name}", patch))
        return kept

    # Telling

    async def emit(self, about: Object, type_: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """See the port."""
        await self._events.emit(about, type_, reason, message)

    def notify(self, ref: Ref) -> None:
        """A resource may have changed: tell all watchers."""
        self._hub.notify(ref)

    def changed(self, ref: Ref, obj: Object, gone: bool) -> None:
        """A resource was shown by a watch, perhaps as it went: tell all watchers, but not of our own writes."""
        version: str = obj["metadata"]["resourceVersion"]
        if gone:
            self.seen.gone(ref, version)
            self.seen.saw_deletion(obj["metadata"]["uid"])
        else:
            self.seen.saw(ref, obj)
        self._tell_unless_echo(resource_path(ref), None if gone else version, lambda: self.notify(ref))

    def watch(self) -> AsyncIterator[Ref]:
        """See the port. Raises Unavailable when what there is cannot be listed."""
        return self._watch()

    async def _watch(self) -> AsyncGenerator[Ref]:
        with self._hub.watching() as watcher:
            self._start_watches()
            for each in list(self._watches):
                await each.attempted.wait()
            for kind in PLURALS:
                for obj in await self.list_kind(kind):
                    watcher.add(ref_of(obj))
            while True:
                yield await watcher.next()

    def _start_watches(self) -> None:
        if self._watches:
            return
        for of, owner_of, ledger in self._watched():
            watch = OwnerWatch(self._api, of, owner_of, self.notify, ledger)
            self._watches[watch] = asyncio.create_task(watch.run())

    def _watched(self) -> Iterator[tuple[Collection, OwnerOf, Ledger]]:
        def all_of(plural: str, namespace: str, about: str, selector: dict[str, str]) -> Collection:
            return Collection(core_path(plural, namespace), about, selector, metadata_only=True)

        records, ours = {"fieldSelector": RECORD_SELECTOR}, {"labelSelector": CREDENTIALS_LABEL}
        ledger = RecordLedger(self.seen, self._tell_of("secrets"))
        yield all_of("secrets", self._namespace, "records", records), record_secret_owner, ledger
        for each in self._namespaces:
            noted = CredentialsLedger(self.seen, each, self._tell_of("secrets"))
            yield all_of("secrets", each, "credentials", ours), credentials_owner, noted
            beside = EchoLedger(self._tell_of("configmaps"))
            yield all_of("configmaps", each, "ConfigMaps of credentials", ours), credentials_owner, beside

    def _tell_unless_echo(self, path: str, version: str | None, tell: Callable[[], None]) -> None:
        if self._echoes:
            tell()
        else:
            self._writes.tell_unless_echo(path, version, tell)

    def _tell_of(self, plural: str) -> TellUnlessEcho:
        def tell_unless_echo(metadata: Mapping[str, Any], deleted: bool, tell: Callable[[], None]) -> None:
            path = core_path(plural, metadata["namespace"], metadata["name"])
            self._tell_unless_echo(path, None if deleted else metadata["resourceVersion"], tell)

        return tell_unless_echo

    async def _write_resource(self, ref: Ref, request: Awaitable[dict[str, Any]]) -> Object:
        written = await self._writes.write(resource_path(ref), request)
        obj = trimmed(written)
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self.seen.gone(ref, metadata["resourceVersion"])  # that was the last one: it went with this write
        else:
            self.seen.saw(ref, obj)
        return obj

    # Secrets

    def _record_path(self, name: str) -> str:
        return core_path("secrets", self._namespace, record_secret_name(name))

    async def _record_secret(self, name: str) -> dict[str, Any] | None:
        try:
            return await self._api.get(self._record_path(name), f"record {name}")
        except NotFound:
            return None

    async def _write_record(self, name: str, record: Record, request: Awaitable[dict[str, Any]]) -> StoredRecord:
        secret = await self._writes.write(self._record_path(name), request)
        version: str = secret["metadata"]["resourceVersion"]
        self._revision.wrote(version)
        stored = StoredRecord(name, record, version)
        self.seen.read_record(stored)
        return stored

    async def _delete_secret(self, namespace: str, name: str, about: str, version: str) -> None:
        try:
            await self._api.delete(core_path("secrets", namespace, name), about, {"resourceVersion": version})
        except NotFound:
            pass  # absent already is success


def _secret(namespace: str, name: str) -> str:
    return f"Secret {namespace}/{name}"
