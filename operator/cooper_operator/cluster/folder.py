"""A cluster made of folders: resources as YAML, credentials as `.env` files, and beside them what an API server keeps.

    resources/            people's files: read only, ever. New ones are in resources/over-s3/
    state/objects/        identity, versions, finalizers, status; also resources that no file declares
    state/tombstones/     resources deleted over S3 whose file is still there
    state/records/        records, watched by the gateway
    state/credentials/    notes of the credentials that are ours; state/credential-files/, of files beside them
    credentials/<namespace>/<name>.env, .credentials and .rclone.conf

Every file is replaced as a whole, so a crash at any point leaves a state from which the next start goes on.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import aclosing
from pathlib import Path
from typing import Literal

from cooper_crds.records import Box, Record
from cooper_crds.rotation import WorkloadName
from cooper_crds.stored import Workload
from cooper_operator.cluster.env_text import Owner
from cooper_operator.cluster.event_log import Event, EventLog
from cooper_operator.cluster.folder_report import Remark
from cooper_operator.cluster.folder_watch import FolderWatch
from cooper_operator.cluster.objects import ref_of
from cooper_operator.cluster.open_folder import OpenFolder, Sources, new_uid
from cooper_operator.cluster.owners import record_owner
from cooper_operator.cluster.port import Credentials, Kind, Namespace, NotFound, Object, Ref, StoredRecord
from cooper_operator.cluster.problems import Problem
from cooper_operator.cluster.record_listing import RecordListing
from cooper_operator.cluster.watch_hub import WatchHub


class FolderCluster:
    """Implements `port.Cluster`; one process at a time per state folder. Opens itself at the first use.

    The folder is followed while somebody watches; `refresh` follows it once. `clock` gives Unix seconds and `monotonic`
    seconds of a clock that nobody sets. Any call raises Unavailable when the state cannot be opened.
    """

    def __init__(
        self,
        resources_dir: Path,
        state_dir: Path,
        credentials_dir: Path,
        box: Box,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        new_uid: Callable[[], str] = new_uid,
    ) -> None:
        self._sources = Sources(resources_dir, state_dir, credentials_dir, box, clock, monotonic, new_uid)
        self._hub = WatchHub()
        self._events = EventLog()
        self._folder: OpenFolder | None = None
        self._watch: FolderWatch | None = None

    @property
    def records_dir(self) -> Path:
        """Where the gateway finds the records."""
        return self._sources.state_dir / "records"

    @property
    def problems(self) -> list[Problem]:
        """What is wrong in the folders, in order of file and line."""
        return self._open.report.problems

    @property
    def remarks(self) -> dict[Ref, Remark]:
        """What there is to say of resources that their own status cannot, since it is about their files."""
        return {each.ref: each for each in self._open.report.remarks}

    def events(self, about: Ref | None = None) -> list[Event]:
        """Events since the start about one resource, or all; the longest unseen first."""
        return self._events.all() if about is None else self._events.about(about)

    def open(self) -> None:
        """Read the state and the resources folder. Raises Unavailable, also when another process has the state open."""
        if self._folder is None:
            self._folder = OpenFolder(self._sources, self._hub.notify, self._removed)
            self._folder.refresh()

    def refresh(self) -> float | None:
        """Follow the folders once, now. Returns the seconds until a deletion is due, None when none is."""
        return self._open.refresh()

    async def close(self) -> None:
        """Stop following the folders, and let another process have the state."""
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.close()
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    async def get(self, ref: Ref) -> Object | None:
        """See the port."""
        obj = self._open.objects.get(ref)
        if obj is None:
            self._open.prove_absence()
        return obj

    async def list_kind(self, kind: Kind) -> list[Object]:
        """See the port."""
        self._open.prove_absence()
        return self._open.objects.list_kind(kind)

    async def create(self, obj: Object) -> Object:
        """See the port."""
        return self._open.objects.create(obj)

    async def declare(self, obj: Object) -> Object:
        """See the port: in a file of its own, beside those of people, which are not touched."""
        return self._open.declare(obj)

    async def update(self, obj: Object) -> Object:
        """See the port."""
        return self._open.objects.update(obj)

    async def update_status(self, obj: Object) -> Object:
        """See the port."""
        return self._open.objects.update_status(obj)

    async def delete(self, ref: Ref, uid: str) -> None:
        """See the port. What a file still declares is not made again until the file's spec is another one."""
        self._open.delete(ref, uid)

    async def get_credentials(self, namespace: str, name: str) -> Credentials | None:
        """See the port."""
        return self._open.credentials.get(namespace, name)

    async def follow_foreign_credentials(self, waiting: Ref, name: str) -> None:
        """See the port. Every AccessKey of a namespace is told of every foreign file there."""

    async def list_credentials(self, namespace: str, owner_uid: str) -> list[Credentials]:
        """See the port."""
        return self._open.credentials.owned(namespace, owner_uid)

    async def create_credentials(
        self,
        namespace: str,
        name: str,
        data: Mapping[str, str],
        owner: Object,
        access_key_id: str,
        in_config_map: Set[str] = frozenset(),
    ) -> None:
        """See the port. Invalid: no files can hold the data, or one beside the `.env` file would be somebody else's."""
        self._open.credentials.create(namespace, name, data, _owner(owner), access_key_id)
        self._open.credentials.collect(self._open.objects.uids)
        self._hub.notify(ref_of(owner))

    async def update_credentials(
        self,
        current: Credentials,
        data: Mapping[str, str],
        owner: Object,
        access_key_id: str,
        in_config_map: Set[str] = frozenset(),
    ) -> None:
        """See the port; Invalid as for `create_credentials`."""
        self._open.credentials.update(current, data, _owner(owner), access_key_id)
        self._hub.notify(ref_of(owner))

    async def delete_credentials(self, current: Credentials) -> None:
        """See the port."""
        owner = self._open.credentials.delete(current)
        if owner:
            self._hub.notify(owner)

    async def get_workload(self, namespace: str, name: WorkloadName) -> Workload:
        """See the port. Nothing runs here: there is none."""
        return Workload(name)

    async def annotate_workload(
        self, namespace: str, current: Workload, annotation: str, value: str, *, roll: bool
    ) -> Workload:
        """See the port."""
        raise NotFound(f"{current.name} does not exist: nothing is run from a folder")

    async def get_record(self, name: str) -> StoredRecord | None:
        """See the port."""
        return self._open.records.get(name)

    async def namespace(self, name: str) -> Namespace | None:
        """See the port: its name, since there are no namespaces here that could come and go."""
        return Namespace(f"folder:{name}", 0.0)

    def serves(self, namespace: str) -> bool:
        """See the port: of all."""
        return True

    async def list_records(self) -> RecordListing:
        """See the port; `damaged` has those that cannot be read."""
        return self._open.records.listing()

    async def create_record(self, name: str, record: Record) -> StoredRecord:
        """See the port."""
        stored = self._open.records.create(name, record)
        self._notify_record(record)
        return stored

    async def update_record(self, current: StoredRecord, record: Record) -> StoredRecord:
        """See the port."""
        stored = self._open.records.update(current, record)
        self._notify_record(record)
        return stored

    async def replace_damaged_record(self, name: str, record: Record) -> str:
        """See the port."""
        kept = self._open.records.replace_damaged(name, record)
        self._notify_record(record)
        return kept

    async def delete_record(self, current: StoredRecord) -> None:
        """See the port."""
        self._open.records.delete(current)
        self._notify_record(current.record)

    async def emit(self, about: Object, type_: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """See the port."""
        self._events.record(
            ref_of(about), about["metadata"].get("uid", ""), type_, reason, message, self._sources.clock()
        )

    async def watch(self) -> AsyncIterator[Ref]:
        """See the port. From the first watch until `close`, the folders are followed in the background."""
        folder = self._open
        if self._watch is None:
            self._watch = FolderWatch(folder.refresh, folder.watched_folders)
            self._watch.start()
        async with aclosing(self._hub.watch(lambda: list(folder.objects.entries))) as refs:
            async for ref in refs:
                yield ref

    @property
    def _open(self) -> OpenFolder:
        self.open()
        assert self._folder is not None
        return self._folder

    def _removed(self) -> None:
        # Something may wait in a file to be made anew.
        if self._watch is not None:
            self._watch.wake()

    def _notify_record(self, record: Record) -> None:
        owner = record_owner(record)
        if owner:
            self._hub.notify(owner)


def _owner(obj: Object) -> Owner:
    ref = ref_of(obj)
    return Owner(ref.kind, ref.namespace, ref.name, obj["metadata"]["uid"])
