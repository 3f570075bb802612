"""Makes the objects follow the resources folder: what files declare is applied, what they no longer do is deleted.

declared ──gone──► missing ──still gone after 2 s──► being deleted ──► gone
    ▲                 │                                   │
    └──back, in whatever file: the deletion is called off─┘  (unless it is final: then made anew after it)
"""

from collections.abc import Callable
from typing import Final

import msgspec

from cooper_crds.meta import API_VERSION
from cooper_operator.cluster.declaration import Declaration, applied, new_object
from cooper_operator.cluster.declarations import Declarations, LastGood, blocker, gather, remembered
from cooper_operator.cluster.folder_report import FolderReport, Remark, remark
from cooper_operator.cluster.manifest_files import Declared, ManifestFiles, Scan
from cooper_operator.cluster.objects import Entry, Objects
from cooper_operator.cluster.port import Invalid, Ref, Unavailable
from cooper_operator.cluster.problems import Problem
from cooper_operator.cluster.state_files import StateFiles

#: Seconds for which a resource's document must be gone before that counts as its deletion.
GRACE: Final = 2.0
_VANISHED: Final = "no file declares it any more: it is about to be deleted"


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
        self._remarks: dict[Ref, Remark] = {}
        self.folders: set[str] = set()  # absolute paths that the last scan read

    def run(self) -> float | None:
        """Read the folder and apply it. Returns the seconds until a deletion is due, None when none is.

        Raises Unavailable when the folder or the state cannot be read or written: nothing was deleted then.
        """
        try:
            scan = self._manifests.scan()
        except OSError as error:
            self._missing_since.clear()  # a folder that cannot be read proves no absence
            reason = f"the resources folder cannot be read ({error.strerror}): all resources are kept until it can"
            raise Unavailable(reason) from None
        self.folders = scan.folders
        self._last_good = remembered(scan, self._last_good)
        found = gather(scan, self._last_good, self._sources())
        self._problems, self._remarks = found.problems, {}
        for ref, declaration in found.by_ref.items():
            self._apply(ref, declaration)
        self._remark_unapplied(found)
        return self._delete_missing(found.by_ref, scan)

    def note_deletion(self, ref: Ref) -> None:
        """Remember what a resource's document says now: while it says so, the resource is not made again."""
        declaration = self._objects.entries[ref].declaration
        if declaration:
            deleted = msgspec.structs.replace(declaration, deleted_digest=declaration.digest)
            self._objects.declare(ref, deleted)

    @property
    def report(self) -> FolderReport:
        """What the last run found."""
        problems = sorted(set(self._problems), key=lambda each: (each.file, each.line or 0, each.reason))
        return FolderReport(problems, sorted(self._remarks.values(), key=lambda each: str(each.ref)))

    def _sources(self) -> dict[Ref, str]:
        """The file that each resource was last made from, or is not made because of."""
        tombstones = {ref: tombstone.path for ref, tombstone in self._state.tombstones.items()}
        entries = self._objects.entries.items()
        return tombstones | {ref: entry.declaration.path for ref, entry in entries if entry.declaration}

    def _apply(self, ref: Ref, declaration: Declaration) -> None:
        entry = self._objects.entries.get(ref)
        try:
            if entry is None:
                self._create(ref, declaration)
            elif entry.declaration is None:
                self._report(declaration, f"{ref} is there already and was not made from a file: choose another name")
            else:
                self._update(ref, entry.declaration, declaration)
        except Invalid as error:
            self._report(declaration, str(error))
            if entry is not None:
                self._remarks[ref] = _not_applied(ref, declaration.path, str(error))

    def _create(self, ref: Ref, declaration: Declaration) -> None:
        tombstone = self._state.tombstones.get(ref)
        if tombstone and tombstone.digest == declaration.digest:
            self._report(declaration, f"{ref} was deleted over S3; its file still declares it: remove the file")
            return
        self._objects.create(new_object(ref, API_VERSION, declaration), declaration)
        if tombstone:
            self._state.forget_tombstone(ref)

    def _update(self, ref: Ref, before: Declaration, after: Declaration) -> None:
        if before.deleted_digest is None:
            self._objects.recall(ref)
        entry = self._objects.entries[ref]
        after = msgspec.structs.replace(after, deleted_digest=before.deleted_digest)
        if not after.says_the_same_as(before):
            self._objects.update(applied(entry.obj, before, after), after)
        elif after != before:
            self._objects.declare(ref, after)
        if _is_deleting(entry) and before.deleted_digest != after.digest:
            self._report(after, f"{ref} is being deleted; it will be made anew from this file after that")

    def _remark_unapplied(self, found: Declarations) -> None:
        for ref, problem in found.unapplied.items():
            if ref in self._objects.entries:
                where = f"line {problem.line}: " if problem.line else ""
                self._remarks[ref] = _not_applied(ref, found.by_ref[ref].path, where + problem.reason)

    def _delete_missing(self, declared: dict[Ref, Declaration], scan: Scan) -> float | None:
        now = self._monotonic()
        missing = self._missing(declared)
        self._missing_since = {ref: self._missing_since.get(ref, now) for ref in missing}
        due = [ref for ref, since in self._missing_since.items() if now - since >= GRACE]
        held: dict[str, list[Ref]] = {}
        for ref in due:
            if place := blocker(ref, self._sources().get(ref, ""), scan):
                held.setdefault(place, []).append(ref)
            else:
                self._delete(ref)
        waiting = {ref: since for ref, since in self._missing_since.items() if ref not in due}
        self._remarks |= {ref: remark(ref, "Vanished", _VANISHED) for ref in waiting if ref in self._objects.entries}
        self._report_held(held)
        return max(0.0, min(waiting.values()) + GRACE - now) if waiting else None

    def _report_held(self, held: dict[str, list[Ref]]) -> None:
        for place, refs in held.items():
            kept = [ref for ref in refs if ref in self._objects.entries]
            for ref in kept:
                self._remarks[ref] = remark(
                    ref, "Held", f"no file declares it any more; it is kept while {place} cannot be read"
                )
            if kept:
                self._problems.append(Problem(place, None, _kept_text(kept)))

    def _missing(self, declared: dict[Ref, Declaration]) -> list[Ref]:
        """What was made from a file, or is not made because of one, and no file declares."""
        made = [ref for ref, entry in self._objects.entries.items() if entry.declaration and not _is_deleting(entry)]
        return [ref for ref in (*made, *self._state.tombstones) if ref not in declared]

    def _delete(self, ref: Ref) -> None:
        entry = self._objects.entries.get(ref)
        if entry is not None and entry.declaration:
            self._objects.delete(ref, entry.obj["metadata"]["uid"])
        elif ref in self._state.tombstones:
            self._state.forget_tombstone(ref)
        self._missing_since.pop(ref, None)

    def _report(self, declaration: Declaration, reason: str) -> None:
        self._problems.append(Problem(declaration.path, declaration.line, reason))


def _is_deleting(entry: Entry) -> bool:
    return "deletionTimestamp" in entry.obj["metadata"]


def _kept_text(kept: list[Ref]) -> str:
    named = ", ".join(str(ref) for ref in kept[:3]) + (", …" if len(kept) > 3 else "")
    many = len(kept) > 1
    count, they = (f"{len(kept)} resources", "they are") if many else ("1 resource", "it is")
    return f"{count} ({named}) vanished while this cannot be read: {they} kept until it can"


def _not_applied(ref: Ref, path: str, reason: str) -> Remark:
    return remark(ref, "NotApplied", f"spec of {path} not applied: {reason}")


def _last_good(entries: dict[Ref, Entry]) -> LastGood:
    """What each file declared when it was last read before a restart. What is deleted for want of a file is in none."""
    by_path: LastGood = {}
    for ref, entry in entries.items():
        declaration = entry.declaration
        if declaration and (declaration.deleted_digest or not _is_deleting(entry)):
            by_path[declaration.path] = (*by_path.get(declaration.path, ()), Declared(ref, declaration))
    return by_path
