"""Makes the objects follow the resources folder: what files declare is applied, what they no longer do is deleted.

    declared ──gone──► missing ──still gone after 2 s──► deleted
                          └──back, in whatever file──► declared

A file that cannot be used counts as still declaring what it declared when it last could.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from cooper_crds.meta import API_VERSION
from cooper_operator.cluster.declaration import Declaration, applied, new_object
from cooper_operator.cluster.manifest_files import Broken, Declared, ManifestFiles, Scan
from cooper_operator.cluster.objects import Entry, Objects
from cooper_operator.cluster.port import Invalid, Ref, Unavailable
from cooper_operator.cluster.problems import Problem
from cooper_operator.cluster.state_files import StateFiles

#: Seconds for which a resource's document must be gone before that counts as its deletion.
GRACE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Declarations:
    """What the folder declares, all files together."""

    by_ref: dict[Ref, Declaration]
    problems: list[Problem]


def gather(scan: Scan, last_good: dict[str, tuple[Declared, ...]]) -> Declarations:
    """One declaration of each resource: the first in order of path. A broken file declares what it last did."""
    by_ref: dict[Ref, Declaration] = {}
    problems = list(scan.unreadable)
    files = dict(scan.files)
    for path, held in last_good.items():
        if isinstance(files.get(path), Broken) or _is_under(path, scan.unreadable):
            problems += _problems_of(files.get(path))
            files[path] = held
    for path in sorted(files):
        content = files[path]
        if isinstance(content, Broken):
            problems += content.problems
            continue
        for declared in content:
            first = by_ref.setdefault(declared.ref, declared.declaration)
            if first is not declared.declaration:
                where = f"{first.path}:{first.line}"
                reason = f"{declared.ref} is declared already in {where}: that one counts, remove one of them"
                problems.append(Problem(path, declared.declaration.line, reason))
    return Declarations(by_ref, problems)


def _problems_of(content: tuple[Declared, ...] | Broken | None) -> tuple[Problem, ...]:
    return content.problems if isinstance(content, Broken) else ()


def _is_under(path: str, folders: Iterable[Problem]) -> bool:
    return any(path.startswith(folder.file + "/") for folder in folders)


class FolderSync:
    """One pass at every `run`. `monotonic` gives seconds."""

    def __init__(
        self, manifests: ManifestFiles, objects: Objects, state: StateFiles, monotonic: Callable[[], float]
    ) -> None:
        self._manifests = manifests
        self._objects = objects
        self._state = state
        self._monotonic = monotonic
        self._missing_since: dict[Ref, float] = {}
        self._last_good = _last_good(objects.entries)
        self._problems: list[Problem] = []
        self.folders: set[str] = set()  # absolute paths that the last scan read

    def run(self) -> float | None:
        """Read the folder and apply it. Returns the seconds until a deletion is due, None when none is.

        Raises Unavailable when the folder or the state cannot be read or written: nothing was deleted then.
        """
        try:
            scan = self._manifests.scan()
        except OSError as error:
            self._missing_since.clear()  # a folder that cannot be read proves no absence
            raise Unavailable(f"the resources folder cannot be read ({error.strerror}): nothing changes") from None
        self.folders = scan.folders
        self._remember(scan)
        declarations = gather(scan, self._last_good)
        self._problems = declarations.problems
        for ref, declaration in declarations.by_ref.items():
            self._apply(ref, declaration)
        return self._delete_missing(declarations.by_ref, scan)

    def note_deletion(self, ref: Ref) -> None:
        """Remember what a resource's document says now: while it says so, the resource is not made again."""
        declaration = self._objects.entries[ref].declaration
        if declaration:
            deleted = msgspec.structs.replace(declaration, deleted_digest=declaration.digest)
            self._objects.declare(ref, deleted)

    @property
    def problems(self) -> list[Problem]:
        """What the last run found wrong, in order of file and line."""
        return sorted(set(self._problems), key=lambda problem: (problem.file, problem.line or 0, problem.reason))

    def _remember(self, scan: Scan) -> None:
        """Keep the last good content of what is broken or hidden now; forget files that are gone."""
        kept = {path: held for path, held in self._last_good.items() if _is_under(path, scan.unreadable)}
        for path, content in scan.files.items():
            if not isinstance(content, Broken):
                kept[path] = content
            elif path in self._last_good:
                kept[path] = self._last_good[path]
        self._last_good = kept

    def _apply(self, ref: Ref, declaration: Declaration) -> None:
        entry = self._objects.entries.get(ref)
        try:
            if entry is None:
                self._create(ref, declaration)
            elif entry.declaration is None:
                self._report(declaration, f"{ref} is there already and was not made from a file: choose another name")
            else:
                self._update(ref, entry, entry.declaration, declaration)
        except Invalid as error:
            self._report(declaration, str(error))

    def _create(self, ref: Ref, declaration: Declaration) -> None:
        tombstone = self._state.tombstones.get(ref)
        if tombstone and tombstone.digest == declaration.digest:
            self._report(declaration, f"{ref} was deleted over S3; its file still declares it: remove the file")
            return
        self._objects.create(new_object(ref, API_VERSION, declaration), declaration)
        if tombstone:
            self._state.forget_tombstone(ref)

    def _update(self, ref: Ref, entry: Entry, before: Declaration, after: Declaration) -> None:
        after = msgspec.structs.replace(after, deleted_digest=before.deleted_digest)
        if not after.says_the_same_as(before):
            self._objects.update(applied(entry.obj, before, after), after)
        elif after != before:
            self._objects.declare(ref, after)
        if "deletionTimestamp" in entry.obj["metadata"] and before.deleted_digest != after.digest:
            self._report(after, f"{ref} is being deleted; it will be made anew from this file after that")

    def _delete_missing(self, declared: dict[Ref, Declaration], scan: Scan) -> float | None:
        now = self._monotonic()
        missing = self._missing(declared)
        self._missing_since = {ref: self._missing_since.get(ref, now) for ref in missing}
        due = [ref for ref, since in self._missing_since.items() if now - since >= GRACE]
        for ref in due:
            if blocker := _blocker(ref, self._path(ref), scan):
                self._problems.append(Problem(blocker, None, f"{ref} may be declared here: it is not deleted"))
            else:
                self._delete(ref)
        waiting = [since + GRACE - now for ref, since in self._missing_since.items() if ref not in due]
        return max(0.0, min(waiting)) if waiting else None

    def _missing(self, declared: dict[Ref, Declaration]) -> list[Ref]:
        """What was made from a file, or is not made because of one, and no file declares."""
        entries = self._objects.entries.items()
        made = [ref for ref, entry in entries if entry.declaration and "deletionTimestamp" not in entry.obj["metadata"]]
        return [ref for ref in (*made, *self._state.tombstones) if ref not in declared]

    def _delete(self, ref: Ref) -> None:
        entry = self._objects.entries.get(ref)
        if entry is not None and entry.declaration:
            self._objects.delete(ref, entry.obj["metadata"]["uid"])
        elif ref in self._state.tombstones:
            self._state.forget_tombstone(ref)
        self._missing_since.pop(ref, None)

    def _path(self, ref: Ref) -> str:
        """The file that last declared a resource which none declares now."""
        entry, tombstone = self._objects.entries.get(ref), self._state.tombstones.get(ref)
        if entry and entry.declaration:
            return entry.declaration.path
        return tombstone.path if tombstone else ""

    def _report(self, declaration: Declaration, reason: str) -> None:
        self._problems.append(Problem(declaration.path, declaration.line, reason))


def _blocker(ref: Ref, path: str, scan: Scan) -> str | None:
    """The place that may still declare a resource, or to which its document may have been moved, if unreadable."""
    if scan.unreadable:
        return scan.unreadable[0].file
    broken = ((each, content) for each, content in scan.files.items() if isinstance(content, Broken))
    return next((each for each, content in broken if each == path or content.may_declare(ref.name)), None)


def _last_good(entries: dict[Ref, Entry]) -> dict[str, tuple[Declared, ...]]:
    """What each file declared when it was last read before a restart."""
    found = [Declared(ref, entry.declaration) for ref, entry in entries.items() if entry.declaration]
    by_path: dict[str, tuple[Declared, ...]] = {}
    for declared in found:
        path = declared.declaration.path
        by_path[path] = (*by_path.get(path, ()), declared)
    return by_path
