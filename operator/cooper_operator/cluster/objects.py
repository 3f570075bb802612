"""The rules of an API server over a set of objects: identity, versions, finalizers, owners.

    created ──delete, no finalizers──────────────────────────────► removed
       └─────delete──► deletionTimestamp set ──last finalizer off──► removed ──► what it owned is deleted
                          └──recall──► live again, unless the deletion is final

Calling a deletion off (recall) is the one thing here that no API server can. Both the memory and the folder adapter are
made of this. Nothing changes in memory before it is stored.
"""

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from cooper_crds.fields import timestamp
from cooper_crds.manifest import ManifestError, Resource, check_update, parse
from cooper_crds.meta import DEFAULT_NAMESPACE, DELETION, DELETION_FINAL, DELETION_RECALLED
from cooper_operator.cluster.declaration import Declaration
from cooper_operator.cluster.port import AlreadyExists, Conflict, Invalid, Kind, NotFound, Object, Ref

KINDS: Final[tuple[Kind, ...]] = ("Region", "Bucket", "BucketGrant", "AccessKey")

#: What a writer decides of an object's metadata. All else belongs to the server.
_WRITABLE: Final = ("labels", "annotations", "finalizers", "ownerReferences")
_SERVERS: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as it is kept, and the document that declares it (folder adapter only)."""

    obj: dict[str, Any]
    declaration: Declaration | None = None


class Storage(Protocol):
    """Where entries are kept. Either call raises Unavailable and has then changed nothing that matters."""

    def save(self, ref: Ref, entry: Entry) -> None:
        """Keep an entry durably."""
        ...

    def remove(self, ref: Ref, entry: Entry) -> None:
        """Forget an entry durably."""
        ...


def copied(obj: Object) -> dict[str, Any]:
    """A deep copy with JSON types only. Raises Invalid when the object is not JSON."""
    try:
        return msgspec.json.decode(msgspec.json.encode(obj), type=dict[str, Any])
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise Invalid(f"the object is not JSON: {error}") from None


def ref_of(obj: Object) -> Ref:
    """The identity of an object."""
    metadata = obj["metadata"]
    return Ref(obj["kind"], metadata.get("namespace") or "", metadata["name"])


def checked(obj: dict[str, Any]) -> Resource:
    """The object as its kind's model. Raises Invalid with every problem."""
    try:
        return parse(obj)
    except ManifestError as error:
        raise Invalid(str(error)) from None


def _check_change(before: dict[str, Any], after: dict[str, Any]) -> None:
    new = checked(after)
    try:
        check_update(checked(before), new)
    except ManifestError as error:
        raise Invalid(str(error)) from None


def _with_namespace(obj: dict[str, Any]) -> dict[str, Any]:
    if obj["kind"] == "Region" or obj["metadata"].get("namespace"):
        return obj
    return {**obj, "metadata": {**obj["metadata"], "namespace": DEFAULT_NAMESPACE}}


def _written(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: metadata[key] for key in _WRITABLE if metadata.get(key)}


class Objects:
    """Objects of all kinds. What is returned is a copy; what changed is told to `changed`, what went to `removed`."""

    def __init__(
        self,
        clock: Callable[[], float],
        new_uid: Callable[[], str],
        storage: Storage,
        changed: Callable[[Ref], None],
        removed: Callable[[], None],
        entries: Iterable[Entry] = (),
    ) -> None:
        self._clock = clock
        self._new_uid = new_uid
        self._storage = storage
        self._changed = changed
        self._removed = removed
        self._entries = {ref_of(entry.obj): entry for entry in entries}
        self._uids: set[str] = {entry.obj["metadata"]["uid"] for entry in self._entries.values()}
        versions = [int(entry.obj["metadata"]["resourceVersion"]) for entry in self._entries.values()]
        # Begins at the clock, so that a version given to an object that is gone is not given again after a restart.
        self._version = max([*versions, int(clock() * 1000)])

    @property
    def entries(self) -> dict[Ref, Entry]:
        """The entries as they are kept: read only."""
        return self._entries

    @property
    def uids(self) -> Set[str]:
        """UIDs of all that exist."""
        return self._uids

    def get(self, ref: Ref) -> dict[str, Any] | None:
        """One object, or None."""
        entry = self._entries.get(ref)
        return copied(entry.obj) if entry else None

    def list_kind(self, kind: Kind) -> list[Object]:
        """All objects of a kind in order of namespace and name."""
        refs = sorted((ref for ref in self._entries if ref.kind == kind), key=lambda ref: (ref.namespace, ref.name))
        return [copied(self._entries[ref].obj) for ref in refs]

    def create(self, obj: Object, declaration: Declaration | None = None) -> dict[str, Any]:
        """Add a new object. Raises AlreadyExists, Invalid."""
        given = copied(obj)
        checked(given)
        given = _with_namespace(given)
        ref = ref_of(given)
        if ref in self._entries:
            raise AlreadyExists(f"{ref} exists already")
        metadata = {"name": ref.name, **({"namespace": ref.namespace} if ref.namespace else {})}
        metadata |= {"uid": self._new_uid(), "generation": 1, "creationTimestamp": timestamp(self._clock())}
        metadata |= _written(given["metadata"])
        made = {
            **{key: given[key] for key in ("apiVersion", "kind")},
            "metadata": metadata,
            "spec": given.get("spec") or {},
        }
        result = self._keep(ref, made, declaration)
        if metadata.get("ownerReferences"):
            self.collect()
        return result

    def update(self, obj: Object, declaration: Declaration | None = None) -> dict[str, Any]:
        """Replace writable metadata and spec; a declaration given replaces the entry's. Raises as the port says."""
        given = copied(obj)
        ref, entry = self._entry_for_write(given)
        current = entry.obj["metadata"]
        metadata = {key: current[key] for key in _SERVERS if key in current}
        metadata |= _written(given["metadata"])
        made = {**entry.obj, "metadata": metadata, "spec": given.get("spec") or {}}
        deleting = "deletionTimestamp" in metadata
        added = set(metadata.get("finalizers", ())) - set(current.get("finalizers", ()))
        if deleting and added:
            raise Invalid(f"{ref}: metadata.finalizers: no finalizer can be added while it is being deleted")
        if made["spec"] != entry.obj["spec"]:
            metadata["generation"] += 1
        _check_change(entry.obj, made)
        if deleting and not metadata.get("finalizers"):
            return self._remove(ref, Entry(made, declaration or entry.declaration))
        if made == entry.obj and declaration is None:
            return copied(made)
        return self._keep(ref, made, declaration or entry.declaration)

    def update_status(self, obj: Object) -> dict[str, Any]:
        """Replace the status. Raises Conflict, NotFound, Invalid."""
        given = copied(obj)
        ref, entry = self._entry_for_write(given)
        made = {**entry.obj, "metadata": dict(entry.obj["metadata"])}
        made.pop("status", None)
        if given.get("status"):
            made["status"] = given["status"]
        if made == entry.obj:
            return copied(made)
        checked(made)
        return self._keep(ref, made, entry.declaration)

    def declare(self, ref: Ref, declaration: Declaration) -> None:
        """Remember another declaration of an object that does not itself change."""
        entry = Entry(self._entries[ref].obj, declaration)
        self._storage.save(ref, entry)
        self._entries[ref] = entry

    def delete(self, ref: Ref, uid: str) -> None:
        """Remove, or mark for deletion while finalizers remain. Raises NotFound, Conflict."""
        entry = self._entries.get(ref)
        if entry is None:
            raise NotFound(f"{ref} does not exist")
        if entry.obj["metadata"]["uid"] != uid:
            raise Conflict(f"{ref} has another UID than {uid}: it was made anew")
        if not entry.obj["metadata"].get("finalizers"):
            self._remove(ref, entry)
        elif "deletionTimestamp" not in entry.obj["metadata"]:
            made = {**entry.obj, "metadata": {**entry.obj["metadata"], "deletionTimestamp": timestamp(self._clock())}}
            self._keep(ref, made, entry.declaration)

    def recall(self, ref: Ref) -> bool:
        """Call a deletion off: the object lives on under its UID. False when its deletion is final, or it has none."""
        entry = self._entries[ref]
        metadata = dict(entry.obj["metadata"])
        annotations: dict[str, str] = metadata.get("annotations", {})
        if metadata.pop("deletionTimestamp", None) is None or annotations.get(DELETION) == DELETION_FINAL:
            return False
        metadata["annotations"] = annotations | {DELETION: DELETION_RECALLED}
        # Nothing that was observed of the object before its deletion counts as observed of it now.
        metadata["generation"] += 1
        self._keep(ref, {**entry.obj, "metadata": metadata}, entry.declaration)
        return True

    def collect(self) -> None:
        """Delete every object all of whose owners are gone, and tell that owned things may be without an owner."""
        for ref, entry in list(self._entries.items()):
            owners = entry.obj["metadata"].get("ownerReferences", ())
            deleting = "deletionTimestamp" in entry.obj["metadata"]
            # A deletion earlier in this loop may have removed it already.
            if (
                owners
                and not deleting
                and ref in self._entries
                and self._uids.isdisjoint(owner["uid"] for owner in owners)
            ):
                self.delete(ref, entry.obj["metadata"]["uid"])

    def _entry_for_write(self, given: dict[str, Any]) -> tuple[Ref, Entry]:
        """The entry that a write is about, if it was decided on what is there now."""
        ref = ref_of(given)
        entry = self._entries.get(ref)
        if entry is None:
            raise NotFound(f"{ref} does not exist")
        metadata, current = given["metadata"], entry.obj["metadata"]
        if not metadata.get("resourceVersion"):
            raise Invalid(f"{ref}: metadata.resourceVersion: must be specified for an update")
        if metadata.get("uid", current["uid"]) != current["uid"]:
            raise Conflict(f"{ref} has another UID: it was made anew")
        if metadata["resourceVersion"] != current["resourceVersion"]:
            raise Conflict(f"{ref} changed since it was read")
        return ref, entry

    def _keep(self, ref: Ref, obj: dict[str, Any], declaration: Declaration | None) -> dict[str, Any]:
        version = self._version + 1
        entry = Entry({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}, declaration)
        self._storage.save(ref, entry)
        self._version = version
        self._entries[ref] = entry
        self._uids.add(obj["metadata"]["uid"])
        self._changed(ref)
        return copied(entry.obj)

    def _remove(self, ref: Ref, entry: Entry) -> dict[str, Any]:
        self._storage.remove(ref, entry)
        del self._entries[ref]
        self._uids.discard(entry.obj["metadata"]["uid"])
        self._changed(ref)
        self._removed()
        self.collect()
        return copied(entry.obj)
