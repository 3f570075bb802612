"""What was last seen of a cluster, for a first look that costs no request.

It may be outdated, and what is not in it may be there: absence is proven by live reads only. Nothing wrong comes of a
plan that was made from it: every write is create-only or bears the version it was decided on, so it fails where that
matters, and the next look is live. Where nothing was to be written, the change not seen yet wakes the resource again.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any, Final, Protocol

from cooper_crds.records import KeyRecord
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.port import Kind, Object, Ref

#: How many of the latest shown versions are kept: an answer is that late only while others come by the thousands.
_KEPT: Final = 10_000
#: How many deletions that were shown are kept until they are asked for, within seconds.
_KEPT_DELETED: Final = 100_000


class Recollection(Protocol):
    """What is remembered; None: nothing."""

    def resource(self, ref: Ref) -> Object | None:
        """A resource."""
        ...

    def all_of(self, kind: Kind, namespace: str) -> list[Object] | None:
        """All resources of a kind in a namespace; those of a kind that belongs to none have the empty one."""
        ...

    def record(self, name: str) -> StoredRecord | None:
        """A record that is not a key's: no secret is kept in memory."""
        ...

    def credentials(self, namespace: str, owner_uid: str) -> frozenset[str] | None:
        """Names of the Secrets that were made for an AccessKey."""
        ...

    def take_deleted(self) -> list[str]:
        """UIDs of resources whose deletion was shown by a watch since this was asked last. It proves what an absence
        does not: that somebody deleted that one."""
        ...


class Nothing:
    """Implements `Recollection` for a cluster whose reads cost little."""

    def resource(self, ref: Ref) -> Object | None:
        """Nothing."""
        return None

    def all_of(self, kind: Kind, namespace: str) -> list[Object] | None:
        """Nothing."""
        return None

    def record(self, name: str) -> StoredRecord | None:
        """Nothing."""
        return None

    def credentials(self, namespace: str, owner_uid: str) -> frozenset[str] | None:
        """Nothing."""
        return None

    def take_deleted(self) -> list[str]:
        """Nothing."""
        return []


class _Shown:
    """The latest versions that watches have shown, also of what is gone: an answer may come later, and be older."""

    def __init__(self) -> None:
        self._versions: OrderedDict[Hashable, int] = OrderedDict()

    def note(self, what: Hashable, version: int) -> None:
        """It was shown at this version, or to be gone at it."""
        self._versions[what] = max(version, self._versions.pop(what, 0))
        if len(self._versions) > _KEPT:
            self._versions.popitem(last=False)

    def is_past(self, what: Hashable, version: int) -> bool:
        """Whether what holds now is newer than this version."""
        return version < self._versions.get(what, 0)


class Seen:
    """Implements `Recollection` from what watches, lists and writes show: the newest version stays."""

    def __init__(self) -> None:
        self._shown = _Shown()
        self._resources: dict[tuple[Kind, str], dict[Ref, Object]] = {}  # by kind and namespace
        self._listed: set[tuple[Kind, str]] = set()  # kinds, and in which namespaces; '' stands for all
        self._records: dict[str, StoredRecord] = {}
        self._credentials: dict[str, set[tuple[str, str]]] = {}  # by the owner's UID: namespace and name
        self._owner: dict[tuple[str, str], str] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()  # UIDs
        #: Namespaces whose credentials have all been seen, and changes of them are shown; '' stands for all namespaces.
        self.followed: set[str] = set()

    def resource(self, ref: Ref) -> Object | None:
        """See the protocol."""
        return self._there(ref).get(ref)

    def all_of(self, kind: Kind, namespace: str) -> list[Object] | None:
        """See the protocol."""
        if self._listed.isdisjoint({(kind, ""), (kind, namespace)}):
            return None
        return list(self._resources.get((kind, namespace), {}).values())

    def record(self, name: str) -> StoredRecord | None:
        """See the protocol."""
        return self._records.get(name)

    def credentials(self, namespace: str, owner_uid: str) -> frozenset[str] | None:
        """See the protocol."""
        if self.followed.isdisjoint({"", namespace}):
            return None
        return frozenset(name for where, name in self._credentials.get(owner_uid, ()) if where == namespace)

    # Resources

    def take_deleted(self) -> list[str]:
        """See the protocol."""
        taken = list(self._deleted)
        self._deleted.clear()
        return taken

    def saw_deletion(self, uid: str) -> None:
        """A watch has shown that the resource with this UID was deleted."""
        self._deleted[uid] = None
        if len(self._deleted) > _KEPT_DELETED:
            self._deleted.popitem(last=False)

    def saw(self, ref: Ref, obj: Object) -> None:
        """A resource as it was shown or written."""
        before = self._there(ref).get(ref)
        if self._shown.is_past(ref, _version(obj)):
            return
        if before is None or _version(before) <= _version(obj):
            self._resources.setdefault((ref.kind, ref.namespace), {})[ref] = obj

    def gone(self, ref: Ref, version: str) -> None:
        """A resource is gone, as of a version."""
        self._shown.note(ref, int(version) + 1)
        before = self._there(ref).get(ref)
        if before is not None and _version(before) <= int(version):
            self._drop(ref)

    def listed(self, kind: Kind, namespace: str, found: Mapping[Ref, Object], version: str) -> list[Ref]:
        """All resources of a kind in a namespace, or (empty) of all, at a version of the cluster. Returns those that
        were there and are not any more."""
        gone = [
            ref
            for (of, where), held in self._resources.items()
            if of == kind and namespace in ("", where)
            for ref, obj in held.items()
            if ref not in found and _version(obj) <= int(version)
        ]
        for ref in gone:
            self._drop(ref)
        for ref, obj in found.items():
            self.saw(ref, obj)
        self._listed.add((kind, namespace))
        return gone

    def _there(self, ref: Ref) -> Mapping[Ref, Object]:
        """All of its kind in its namespace."""
        return self._resources.get((ref.kind, ref.namespace), {})

    def _drop(self, ref: Ref) -> None:
        place = (ref.kind, ref.namespace)
        del self._resources[place][ref]
        if not self._resources[place]:
            del self._resources[place]

    # Records

    def read_record(self, stored: StoredRecord) -> None:
        """A record as it was read or written."""
        if isinstance(stored.record, KeyRecord) or self._shown.is_past(stored.name, int(stored.version)):
            return
        known = self._records.get(stored.name)
        if known is None or int(known.version) <= int(stored.version):
            self._records[stored.name] = stored

    def saw_record(self, name: str, version: str) -> None:
        """A record was shown at a version, or to be gone at it. What it says is read when it matters."""
        self._shown.note(name, int(version))
        known = self._records.get(name)
        if known is not None and int(known.version) < int(version):
            self.forget_record(name)

    def forget_record(self, name: str) -> None:
        """A record is to be read when it matters."""
        self._records.pop(name, None)

    def records_are(self, versions: Mapping[str, str]) -> None:
        """The versions of all records."""
        self._records = {name: each for name, each in self._records.items() if versions.get(name) == each.version}

    # Credentials

    def saw_credentials(self, namespace: str, name: str, owner_uid: str | None) -> None:
        """A Secret is there, and says whose it is; None: it is gone, or nobody's."""
        place = (namespace, name)
        before = self._owner.pop(place, None)
        if before is not None:
            self._credentials[before].discard(place)
            if not self._credentials[before]:
                del self._credentials[before]
        if owner_uid is not None:
            self._owner[place] = owner_uid
            self._credentials.setdefault(owner_uid, set()).add(place)

    def forget_credentials(self, namespace: str) -> None:
        """Those of a namespace, or (empty) of all, are about to be seen anew."""
        for where, name in [place for place in self._owner if namespace in ("", place[0])]:
            self.saw_credentials(where, name, None)


def _version(obj: Mapping[str, Any]) -> int:
    return int(obj["metadata"]["resourceVersion"])
