"""The operator's model on folders: people edit files, and each operator opens the folders anew.

There are no workloads here, and a namespace cannot come anew. Nothing waits for inotify: the folders are looked at soon
after, or at any moment until the next regular look.
"""

import asyncio
import hashlib
import itertools
import json
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cooper_crds.manifest import ManifestError, parse
from cooper_crds.meta import DELETION, DELETION_FINAL
from cooper_crds.records import Record, RecordError
from cooper_operator.cluster.credential_folder import CredentialFolder
from cooper_operator.cluster.folder import FolderCluster
from cooper_operator.cluster.folder_watch import RESCAN, FolderWatch
from cooper_operator.cluster.objects import Entry, ref_of
from cooper_operator.cluster.port import AlreadyExists, ClusterError, Credentials, Object, Ref, Unavailable
from cooper_operator.cluster.recollection import Nothing, Recollection
from cooper_operator.cluster.record_files import RecordFiles
from cooper_operator.cluster.state_files import StateFiles
from support.disk_crashes import Crash, CrashAfter
from support.lagging_gateways import Log
from support.records_fixtures import SmallBox
from support.stages import Edit, is_system, numbered_uids

#: Seconds after which a change is noticed that inotify tells.
_NOTICED = 0.05
#: Seconds that pass between two looks at least: a clock that jumps to the next timer stands still where none is later.
_MOMENT = 0.001
_SUFFIXES = (".env", ".credentials", ".rclone.conf", ".ca.crt", ".ca-bundle.pem")
Manifest = dict[str, Any]


class FolderStage:
    """Implements `Stage`, in an empty folder."""

    def __init__(self, root: Path, rng: random.Random, now: Callable[[], float]) -> None:
        self._root = root
        self._rng = rng
        self._now = now
        self._new_uid = numbered_uids()
        self._box = SmallBox()
        self._resources, self._away = root / "resources", root / "resources away"
        self._state, self._credentials = root / "state", root / "credentials"
        self._resources.mkdir()
        (self._state / "records").mkdir(parents=True)
        self._records = RecordFiles(self._state / "records", self._box)
        self._noted: dict[str, Record | None] = {}  # the records as the log has them
        self.log: Log = []
        self.unavailable: str | None = None
        self.echoes = True
        self.changed: Callable[[], None] = lambda: None
        self._files: dict[str, list[Manifest]] = {}  # what people wrote, by path
        self._removed: dict[Ref, Manifest] = {}
        self._broken: set[str] = set()  # paths of files that are no YAML
        self._deleted: dict[Ref, str] = {}  # UIDs of what was deleted over S3, as long as no file of it is edited
        self._not_recalled: list[str] = []
        self._numbers = itertools.count(1)
        self._cluster: FolderCluster | None = None
        self._dead = asyncio.Event()
        self._steps: int | None = None  # that change the disk, until the operator dies

    # An operator's lives

    def open(self, dead: asyncio.Event) -> tuple[Any, Recollection]:
        """See the protocol. The folders are followed from the first watch on."""
        self._dead = dead
        monotonic = asyncio.get_running_loop().time
        self._cluster = FolderCluster(
            self._resources, self._state, self._credentials, self._box, self._now, monotonic, self._new_uid
        )
        self._cluster.open()
        watch = FolderWatch(self._look, set)
        self._cluster._watch = watch
        return _Port(self, self._cluster, watch), Nothing()

    async def close(self) -> None:
        """See the protocol."""
        cluster, self._cluster, self._steps = self._cluster, None, None
        if cluster is not None:
            await cluster.close()

    async def call(self, name: str, *args: Any, **more: Any) -> Any:
        """A call of the operator's."""
        if self.unavailable is not None and name != "emit":
            raise Unavailable(self.unavailable)
        try:
            with self._mortal():
                return await getattr(self._cluster, name)(*args, **more)
        finally:
            if name.endswith("_record") and name != "get_record":
                self._note_records()

    def _look(self) -> float | None:
        if self._dead.is_set() or self._cluster is None:
            return None
        put_back = self._put_back(self._cluster)
        try:
            with self._mortal():
                due = self._cluster.refresh()
        except Crash:
            self._dead.set()
            return None
        self.changed()
        left = put_back.items() & self._put_back(self._cluster).items()
        self._not_recalled += [f"{ref} was put back, and its deletion goes on" for ref, _ in left]
        again = self._rng.choice((_NOTICED, self._rng.random() * RESCAN))
        return again if due is None else min(max(due, _MOMENT), again)

    def _put_back(self, cluster: FolderCluster) -> dict[Ref, str]:
        """UIDs of what is being deleted, could be called off, and is in a file that can be read."""
        assert cluster._folder is not None
        if self._there != self._resources:
            return {}
        return {
            ref: entry.obj["metadata"]["uid"]
            for ref, entry in cluster._folder.objects.entries.items()
            if entry.declaration is not None
            and entry.declaration.deleted_digest is None
            and "deletionTimestamp" in entry.obj["metadata"]
            and entry.obj["metadata"].get("annotations", {}).get(DELETION) != DELETION_FINAL
            and any(self._can_be_read(path) for path in self._paths_of(ref))
        }

    @contextmanager
    def _mortal(self) -> Iterator[None]:
        """What is done here can be the last that the operator does."""
        if self._steps is None:
            yield
            return
        with pytest.MonkeyPatch.context() as patch:
            crash = CrashAfter(patch, self._steps)
            try:
                yield
            finally:
                self._steps = crash.left

    def _note_records(self) -> None:
        """Have the log tell what is in the folder."""
        found = self.records()
        for name in sorted(found.keys() | self._noted.keys()):
            if found.get(name) != self._noted.get(name):
                self.log.append((name, found.get(name)))
        self._noted = found

    # What people do

    async def apply(self, manifest: Object) -> None:
        """See the protocol. All files that declare the resource are edited."""
        ref = ref_of(manifest)
        paths = self._paths_of(ref)
        for path in paths:
            self._write(path, [_with_spec(each, ref, manifest["spec"]) for each in self._files[path]])
        if not paths:
            self._add(self._new_path(ref), dict(manifest))

    async def delete(self, ref: Ref) -> None:
        """See the protocol."""
        for path in self._paths_of(ref):
            manifests = self._files[path]
            self._removed |= {ref_of(each): each for each in manifests if ref_of(each) == ref}
            self._write(path, [each for each in manifests if ref_of(each) != ref])

    async def recall(self, ref: Ref) -> None:
        """See the protocol. It may come back in another file."""
        if ref in self._removed and not self._paths_of(ref):
            self._add(self._new_path(ref), self._removed[ref])

    async def annotate(self, ref: Ref, key: str, value: str) -> None:
        """See the protocol."""
        for path in self._paths_of(ref):
            self._write(
                path, [_annotated(each, key, value) if ref_of(each) == ref else each for each in self._files[path]]
            )

    async def edit_all(self, edit: Edit) -> None:
        """See the protocol."""
        for path, manifests in list(self._files.items()):
            self._write(path, [{**each, "spec": edit(each["spec"]) or each["spec"]} for each in manifests])

    def set_credentials(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        """See the protocol. The first line of a file that is there stays."""
        file = self._credentials / namespace / f"{name}.env"
        if not file.exists() and (namespace, name) in self.credentials():
            return  # files beside it are there: without its first line it would be somebody else's
        first = file.read_text().splitlines()[:1] if file.exists() else []
        self._put(file, "\n".join([*first, *(f"{key}={value}" for key, value in data.items()), ""]))

    def remove_credentials(self, namespace: str, name: str) -> None:
        """See the protocol: one file, or all there are."""
        suffixes = self._rng.choice((_SUFFIXES, _SUFFIXES[:1], _SUFFIXES[1:2]))
        for suffix in suffixes:
            (self._credentials / namespace / f"{name}{suffix}").unlink(missing_ok=True)

    async def leave_record(self, name: str, record: Record) -> bool:
        """See the protocol."""
        try:
            self._records.create(name, record)
        except AlreadyExists:
            return False
        self._note_records()
        return True

    def damage_record(self, name: str) -> None:
        """See the protocol."""
        self._put(self._state / "records" / f"{name}.json", "{")
        self._note_records()

    def drop_record(self, name: str) -> None:
        """See the protocol."""
        (self._state / "records" / f"{name}.json").unlink(missing_ok=True)
        self._note_records()

    async def happen(self, what: str, *how: Any) -> None:
        """See the protocol."""
        await {
            "cut": self._let_die,
            "broken": self._break,
            "mended": self._mend,
            "moved": self._move,
            "twice": self._declare_twice,
            "one less": self._remove_file,
            "folder away": self._take_away,
            "deleted over S3": self._delete_over_s3,
        }[what](*how)

    async def settle(self) -> None:
        """See the protocol. A document that means nothing is put back to what was last applied, or removed."""
        self.unavailable = None
        await self._take_away(False)
        await self._mend()
        applied = {ref_of(obj): obj["spec"] for obj in self.objects()}
        for path, manifests in list(self._files.items()):
            self._write(path, [good for each in manifests if (good := _usable(each, applied)) is not None])

    async def _let_die(self, steps: int) -> None:
        """The operator dies after so many steps that change the disk."""
        if self._cluster is not None:
            self._steps = steps

    async def _break(self, number: int) -> None:
        """A file is no YAML until it is edited again."""
        if path := self._path(number):
            self._broken.add(path)
            self._put(self._there / path, _text(self._files[path]) + "}{")

    async def _mend(self) -> None:
        for path in sorted(self._broken):
            self._write(path, self._files[path])

    async def _move(self, number: int) -> None:
        """A file gets another name, in another folder."""
        if path := self._path(number):
            manifests = self._files[path]
            self._write(f"moved/{next(self._numbers)}.yaml", manifests)
            self._write(path, [])

    async def _declare_twice(self, number: int) -> None:
        """Another file declares a resource as well, in another way where it can be. Regions are left out: what theirs
        says is known to the model."""
        every = [each for path in sorted(self._files) for each in self._files[path] if each["kind"] != "Region"]
        if every:
            chosen = every[number % len(every)]
            alike = [each["spec"] for each in every if each["kind"] == chosen["kind"]]
            self._write(f"again/{next(self._numbers)}.yaml", [{**chosen, "spec": self._rng.choice(alike)}])

    async def _remove_file(self, number: int) -> None:
        """A file goes with all that is in it."""
        if path := self._path(number):
            self._removed |= {ref_of(each): each for each in self._files[path]}
            self._write(path, [])

    async def _take_away(self, away: bool) -> None:
        """The resources folder is somewhere else for a while."""
        before, after = (self._resources, self._away) if away else (self._away, self._resources)
        if before.exists():
            before.rename(after)

    async def _delete_over_s3(self, name: str) -> None:
        """A client deletes a Bucket, whose file stays."""
        ref = Ref("Bucket", "default", name)
        if self._cluster is None or self._dead.is_set():
            return
        with suppress(ClusterError):
            obj = await self._cluster.get(ref)
            if obj is not None:
                await self._cluster.delete(ref, obj["metadata"]["uid"])
                specs = [
                    each["spec"] for path in self._paths_of(ref) for each in self._files[path] if ref_of(each) == ref
                ]
                if specs and all(each == obj["spec"] for each in specs) and "deletionTimestamp" not in obj["metadata"]:
                    self._deleted[ref] = obj["metadata"]["uid"]

    # What there is

    def objects(self) -> list[dict[str, Any]]:
        """See the protocol."""
        return [entry.obj for entry in self._entries()]

    def uids(self) -> Set[str]:
        """See the protocol."""
        return {obj["metadata"]["uid"] for obj in self.objects()}

    def records(self) -> dict[str, Record | None]:
        """See the protocol."""
        listing = self._records.listing()
        damaged: dict[str, Record | None] = dict.fromkeys(each.name for each in listing.damaged)
        return damaged | {each.name: each.record for each in listing}

    def stored(self, name: str) -> Record | None:
        """See the protocol."""
        try:
            found = self._records.get(name)
        except RecordError:
            return None
        return found and found.record

    def credentials(self) -> dict[tuple[str, str], Credentials]:
        """See the protocol."""
        folder = CredentialFolder(self._credentials, self._state)
        folder.open()
        files = [(file, suffix) for file in self._credentials.glob("*/*") for suffix in _SUFFIXES]
        names = {(file.parent.name, file.name.removesuffix(s)) for file, s in files if file.name.endswith(s)}
        return {key: found for key in sorted(names) if (found := folder.get(*key)) is not None}

    def home_of(self, namespace: str) -> str:
        """See the protocol."""
        return f"folder:{namespace}"

    def versions(self) -> dict[str, str]:
        """See the protocol."""
        own = {f"{name}.json" for name, record in self.records().items() if is_system(record)}
        files = [file for root in (self._state, self._credentials) for file in root.rglob("*") if file.is_file()]
        return {
            str(file.relative_to(self._root)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
            if file.name not in own
        }

    def faults(self) -> list[str]:
        """See the protocol. What is not as its file says is told as a problem of that file."""
        return [*self._unfollowed(), *self._unwanted(), *self._not_recalled]

    def _unfollowed(self) -> Iterator[str]:
        problems = StateFiles(self._state).load_report().problems
        entries = {ref_of(entry.obj): entry for entry in self._entries()}
        for ref in sorted({ref_of(each) for manifests in self._files.values() for each in manifests}, key=str):
            paths, entry = self._paths_of(ref), entries.get(ref)
            about = [each.reason for each in problems if each.file in paths and str(ref) in each.reason]
            told = [reason for reason in about if "is declared already" not in reason]
            declaration = entry and entry.declaration
            if entry is None or declaration is None:
                if not told:
                    yield f"{ref} is not as {paths} say, and that is told nowhere"
            elif declaration.path not in paths:
                yield f"{ref} is said to be of {declaration.path}, and is in {paths}"
            else:
                wanted = [each for each in self._files[declaration.path] if ref_of(each) == ref]
                if not any(_is_as(entry.obj, each) for each in wanted) and not told:
                    yield f"{ref} is {entry.obj['spec']}, and is to be {wanted}"

    def _unwanted(self) -> Iterator[str]:
        for entry in self._entries():
            ref, owners = ref_of(entry.obj), entry.obj["metadata"].get("ownerReferences")
            if not self._paths_of(ref) and not owners:
                yield f"{ref} is there, and no file declares it"
            if self._deleted.get(ref, entry.obj["metadata"]["uid"]) != entry.obj["metadata"]["uid"]:
                yield f"{ref} was deleted over S3, and is there again"
        yield from (f"{file.name} was left over" for file in self._root.rglob("*.cooper-tmp"))

    def _entries(self) -> list[Entry]:
        """Read anew: what is in the operator's memory does not count."""
        return StateFiles(self._state).load()

    # Files

    @property
    def _there(self) -> Path:
        return self._away if self._away.exists() else self._resources

    def _paths_of(self, ref: Ref) -> list[str]:
        return sorted(path for path, manifests in self._files.items() if any(ref_of(each) == ref for each in manifests))

    def _path(self, number: int) -> str | None:
        paths = sorted(self._files)
        return paths[number % len(paths)] if paths else None

    def _new_path(self, ref: Ref) -> str:
        own = f"{ref.kind}-{ref.namespace}-{ref.name}.yaml"
        return self._rng.choice((own, own, f"{ref.namespace or 'regions'}/{own}", "shared.yaml"))

    def _add(self, path: str, manifest: Manifest) -> None:
        self._write(path, [*self._files.get(path, []), manifest])

    def _can_be_read(self, path: str) -> bool:
        return path not in self._broken and all(_is_usable(each) for each in self._files[path])

    def _write(self, path: str, manifests: list[Manifest]) -> None:
        self._broken.discard(path)
        before = self._files.get(path, [])
        for each in (*before, *manifests):
            if each not in before or each not in manifests:
                self._deleted.pop(ref_of(each), None)
        if manifests:
            self._files[path] = manifests
            self._put(self._there / path, _text(manifests))
        else:
            self._files.pop(path, None)
            (self._there / path).unlink(missing_ok=True)

    def _put(self, file: Path, text: str) -> None:
        """Write over a file, or put another one in its place, as editors do. Each has a time of its own: all that is
        done in a moment of the loop's time has the same one otherwise."""
        file.parent.mkdir(parents=True, exist_ok=True)
        target = file if self._rng.random() < 0.5 else self._root / "draft"
        target.write_text(text)
        os.utime(target, ns=(time := next(self._numbers), time))
        target.replace(file)


class _Port:
    """The port, as the stage lets the operator have it."""

    def __init__(self, stage: FolderStage, cluster: FolderCluster, watch: FolderWatch) -> None:
        self._stage = stage
        self._cluster = cluster
        self._watch = watch
        self.serves = cluster.serves

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **more: self._stage.call(name, *args, **more)

    def watch(self) -> AsyncIterator[Ref]:
        self._watch.start()
        return self._cluster.watch()


def _text(manifests: list[Manifest]) -> str:
    """JSON is YAML."""
    return "\n---\n".join(json.dumps(each) for each in manifests)


def _with_spec(manifest: Manifest, ref: Ref, spec: Mapping[str, Any]) -> Manifest:
    return {**manifest, "spec": dict(spec)} if ref_of(manifest) == ref else manifest


def _annotated(manifest: Manifest, key: str, value: str) -> Manifest:
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), key: value}}}


def _usable(manifest: Manifest, applied: Mapping[Ref, Any]) -> Manifest | None:
    """The manifest, or what it was before it had mistakes; None: it was nothing."""
    if _is_usable(manifest):
        return manifest
    spec = applied.get(ref_of(manifest))
    return None if spec is None else {**manifest, "spec": spec}


def _is_usable(manifest: Manifest) -> bool:
    try:
        parse(manifest)
    except ManifestError:
        return False
    return True


def _is_as(obj: Object, manifest: Manifest) -> bool:
    annotations, wanted = (each["metadata"].get("annotations", {}) for each in (obj, manifest))
    return obj["spec"] == manifest["spec"] and wanted.items() <= annotations.items()
