"""The folders of a folder cluster while one process has them open: their lock, their content, and following changes."""

import fcntl
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cooper_crds.records import Box
from cooper_operator.cluster.credential_folder import CredentialFolder
from cooper_operator.cluster.folder_report import FolderReport
from cooper_operator.cluster.folder_sync import FolderSync
from cooper_operator.cluster.made_files import made_path, write
from cooper_operator.cluster.manifest_files import ManifestFiles
from cooper_operator.cluster.objects import Objects, checked, copied, ref_of
from cooper_operator.cluster.port import AlreadyExists, Invalid, Object, Ref, Unavailable
from cooper_operator.cluster.problems import Problem
from cooper_operator.cluster.record_files import RecordFiles
from cooper_operator.cluster.state_files import StateFiles


def new_uid() -> str:
    """A random UID."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Sources:
    """What a folder cluster gets from outside. `clock` gives Unix seconds, `monotonic` seconds that nobody sets."""

    resources_dir: Path
    state_dir: Path
    credentials_dir: Path
    box: Box
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    new_uid: Callable[[], str] = new_uid


class OpenFolder:
    """Takes the lock and reads everything. Raises Unavailable, also while another process has the state open."""

    def __init__(self, sources: Sources, changed: Callable[[Ref], None], removed: Callable[[], None]) -> None:
        self._sources = sources
        self._changed = changed
        self._on_removed = removed
        self._told: FolderReport | None = None
        self._unreadable: str | None = None
        self._lock = _locked(sources.state_dir)
        try:
            self._load()
        except OSError as error:
            self.close()
            raise Unavailable(f"the state cannot be read: {error}") from None
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        sources = self._sources
        self._state = StateFiles(sources.state_dir)
        self._state.remove_temporaries()
        self.records = RecordFiles(sources.state_dir / "records", sources.box)
        self.records.open()
        self.credentials = CredentialFolder(sources.credentials_dir, sources.state_dir)
        self.credentials.open()
        entries = self._state.load()
        self.objects = Objects(
            sources.clock, sources.new_uid, self._state, self._changed, self._removed_object, entries
        )
        # A crash may have come between the removal of an owner and that of what it owned.
        self.objects.collect()
        self.credentials.collect(self.objects.uids)
        self._sync = FolderSync(ManifestFiles(sources.resources_dir), self.objects, self._state, sources.monotonic)

    def close(self) -> None:
        """Let another process have the state."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    @property
    def report(self) -> FolderReport:
        """What is wrong in the folders, in order of file and line, and what there is to say of resources."""
        folder = [Problem("", None, self._unreadable)] if self._unreadable else []
        found = self._sync.report
        return FolderReport([*folder, *found.problems], found.remarks)

    def refresh(self) -> float | None:
        """Follow the folders once. Returns the seconds until a deletion is due. The unreadable becomes a problem."""
        due = None
        try:
            self._check_state()
            due = self._sync.run()
            self._tell_changes()
            self._unreadable = None
        except Unavailable as error:
            self._unreadable = str(error)
        if (report := self.report) != self._told:
            self._told = report
            try:
                self._state.save_report(report)
            except Unavailable as error:
                self._unreadable = self._unreadable or str(error)
        return due

    def prove_absence(self) -> None:
        """Raises Unavailable unless the folders could be read: only then does what was not found not exist."""
        if self._unreadable:
            raise Unavailable(self._unreadable)

    def declare(self, obj: Object) -> Object:
        """Write a new file that declares a resource, and have it made. Raises AlreadyExists, Invalid, Unavailable."""
        ref = ref_of(obj)
        if ref in self.objects.entries:
            raise AlreadyExists(f"{ref} exists already")
        checked(copied(obj))
        tombstone = self._state.tombstones.get(ref)
        if tombstone is not None and tombstone.path != made_path(ref):
            raise Invalid(f"{ref} was deleted over S3, and {tombstone.path} still declares it: remove that file")
        write(self._sources.resources_dir, obj)
        if tombstone is not None:
            self._state.forget_tombstone(ref)
        self.refresh()
        made = self.objects.get(ref)
        if made is None:
            raise Unavailable(f"{ref} is declared in {made_path(ref)}, and was not made")
        return made

    def delete(self, ref: Ref, uid: str) -> None:
        """Delete other than by a file: a file that declares the resource as it is now does not bring it back."""
        entry = self.objects.entries.get(ref)
        if entry and entry.obj["metadata"]["uid"] == uid and "deletionTimestamp" not in entry.obj["metadata"]:
            self._sync.note_deletion(ref)
        self.objects.delete(ref, uid)

    def watched_folders(self) -> set[str]:
        """Absolute paths of the folders in which a change matters."""
        sources = self._sources
        resources = self._sync.folders or {str(sources.resources_dir)}
        return resources | self.credentials.folders() | {str(sources.state_dir / "records")}

    def _removed_object(self) -> None:
        self.credentials.collect(self.objects.uids)
        self._on_removed()

    def _check_state(self) -> None:
        """Whether the state is still the one that was opened."""
        try:
            same = os.path.samestat(os.fstat(self._lock), os.stat(_lock_path(self._sources.state_dir)))
        except OSError:
            same = False
        if not same:
            raise Unavailable("the state folder was removed or replaced while in use: stop, put it back, start again")

    def _tell_changes(self) -> None:
        """Tell whose records and credentials were changed by somebody else."""
        owners, namespaces = self.credentials.changed()
        # A foreign file may have been in the way of any AccessKey in its namespace.
        waiting = {ref for ref in self.objects.entries if ref.kind == "AccessKey" and ref.namespace in namespaces}
        for ref in sorted(owners | waiting | self.records.changed(), key=str):
            self._changed(ref)


def _lock_path(state_dir: Path) -> Path:
    return state_dir / "lock"


def _locked(state_dir: Path) -> int:
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        state_dir.chmod(0o700)
        lock = os.open(_lock_path(state_dir), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"the state folder cannot be opened: {error}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise Unavailable(f"the state in {state_dir} is in use by another process: stop that one first") from None
    return lock
