"""What the operator needs of a cluster, and nothing more.

Objects are Kubernetes-shaped mappings (`apiVersion`, `kind`, `metadata`, `spec`, `status`): the Kubernetes adapter
passes them through, the folder and memory adapters behave like a small API server. Every write is create-only or
carries the resourceVersion it was decided on, so a late write fails or changes nothing.
"""

from collections.abc import AsyncIterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from cooper_crds.records import Record
from cooper_crds.rotation import WorkloadName
from cooper_crds.stored import Credentials, StoredRecord, Workload
from cooper_operator.cluster.record_listing import RecordListing

Kind = Literal["Region", "Bucket", "BucketGrant", "AccessKey"]
Object = Mapping[str, Any]


class ClusterError(Exception):
    """Base of what a cluster can say. Messages carry no secret."""


class NotFound(ClusterError):
    """No such object."""


class NamespaceGone(NotFound):
    """There is no such namespace, so that nothing can be made there. `namespace` is its name."""

    def __init__(self, message: str, namespace: str) -> None:
        super().__init__(message)
        self.namespace = namespace


class AlreadyExists(ClusterError):
    """A create-only write met an object of that name."""


class Conflict(ClusterError):
    """The object changed since it was read (resourceVersion or UID): read it again and decide anew."""


class Invalid(ClusterError):
    """The cluster refused the object; the message has the field's path and the reason."""


class Unavailable(ClusterError):
    """The cluster cannot be reached or read: nothing is known, least of all that something is absent."""


class NotAllowed(Unavailable):
    """The operator's own credentials or rights do not suffice: waiting alone does not mend it."""


@dataclass(frozen=True, slots=True)
class Ref:
    """Identity of a resource. Region has namespace ''."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace that is there."""

    uid: str  # tells it from a later one of its name; empty where that cannot be known
    created: float  # Unix seconds; 0 where that cannot be known


class Cluster(Protocol):
    """The port. Reads of one object are live: `None` proves absence, `Unavailable` proves nothing."""

    async def get(self, ref: Ref) -> Object | None:
        """Read one resource, live."""
        ...

    async def list_kind(self, kind: Kind) -> list[Object]:
        """Read all resources of a kind, completely."""
        ...

    async def create(self, obj: Object) -> Object:
        """Create-only. Raises AlreadyExists, Invalid."""
        ...

    async def declare(self, obj: Object) -> Object:
        """Create-only, as somebody would who may then change it and take it away: where resources are files, in one.

        Raises AlreadyExists, Invalid.
        """
        ...

    async def update(self, obj: Object) -> Object:
        """Replace metadata (finalizers, labels, annotations) and spec. Raises Conflict, NotFound, Invalid.

        Taking the last finalizer off an object that is being deleted removes it.
        """
        ...

    async def update_status(self, obj: Object) -> Object:
        """Replace status. Raises Conflict, NotFound."""
        ...

    async def delete(self, ref: Ref, uid: str) -> None:
        """Ask for deletion: sets deletionTimestamp while finalizers remain. Raises NotFound, Conflict (another UID)."""
        ...

    async def get_credentials(self, namespace: str, name: str) -> Credentials | None:
        """Read a Secret, live, whoever made it."""
        ...

    async def follow_foreign_credentials(self, waiting: Ref, name: str) -> None:
        """`waiting` waits until a Secret of that name in its namespace, which is not its own, goes.

        Watches tell it then. Who reads the Secret after this returned misses nothing. It lasts for a minute at least;
        where it cannot be told nothing is, so that looking again now and then is still needed.
        """
        ...

    async def list_credentials(self, namespace: str, owner_uid: str) -> list[Credentials]:
        """All Secrets of a namespace that were made for the owner with this UID, whatever their names."""
        ...

    async def create_credentials(
        self,
        namespace: str,
        name: str,
        data: Mapping[str, str],
        owner: Object,
        access_key_id: str,
        in_config_map: Set[str] = frozenset(),
    ) -> None:
        """Create-only, controlled by `owner` (its UID), marked to hold that key. Raises AlreadyExists, Invalid.

        `in_config_map`: keys of values that are no secrets and belong in a ConfigMap of that name, where the cluster
        has such. It is one with the Secret: read, written, told of and deleted together. One that is there and not the
        owner's is left alone, and then nothing is written: Invalid.
        """
        ...

    async def update_credentials(
        self,
        current: Credentials,
        data: Mapping[str, str],
        owner: Object,
        access_key_id: str,
        in_config_map: Set[str] = frozenset(),
    ) -> None:
        """Replace content and mark of one that is ours. Raises Conflict, Invalid."""
        ...

    async def delete_credentials(self, current: Credentials) -> None:
        """Delete one that is ours. Raises Conflict."""
        ...

    async def get_workload(self, namespace: str, name: WorkloadName) -> Workload:
        """Read a workload, live. One that is not there has no version; one that may not be read tells its `problem`."""
        ...

    async def annotate_workload(
        self, namespace: str, current: Workload, annotation: str, value: str, *, roll: bool
    ) -> Workload:
        """Annotate a workload, and with `roll` the template of its Pods, which restarts them. Returns it as it is then.

        Raises Conflict, NotFound, Invalid, NotAllowed.
        """
        ...

    async def namespace(self, name: str) -> Namespace | None:
        """A namespace, live. None proves that there is none."""
        ...

    async def get_record(self, name: str) -> StoredRecord | None:
        """Read a record, live. Raises RecordError when it is there and unreadable."""
        ...

    def serves(self, namespace: str) -> bool:
        """Whether resources of this namespace are among what is listed."""
        ...

    async def list_records(self) -> RecordListing:
        """All records, completely; those that cannot be read apart."""
        ...

    async def create_record(self, name: str, record: Record) -> StoredRecord:
        """Create-only: for a bucket this is the claim on its name. Raises AlreadyExists."""
        ...

    async def update_record(self, current: StoredRecord, record: Record) -> StoredRecord:
        """Replace. Raises Conflict, NotFound."""
        ...

    async def delete_record(self, current: StoredRecord) -> None:
        """Delete. Raises Conflict; absent already is success."""
        ...

    async def replace_damaged_record(self, name: str, record: Record) -> str:
        """Put a record in the place of one that cannot be read, which is kept under the name that is returned.

        The name is claimed all the while. Raises NotFound, and Conflict when the record can be read or is not to be
        replaced.
        """
        ...

    async def emit(self, about: Object, type_: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Report an event about a resource. Repeats are counted. What cannot be reported is left out: never fails."""
        ...

    def watch(self) -> AsyncIterator[Ref]:
        """References of resources that may have changed (also their Secrets and records); begins with all there are."""
        ...
