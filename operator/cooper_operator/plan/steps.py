"""What a plan can ask for: values, carried out by `reconcile.apply` in the order given. Each is idempotent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cooper_crds.records import BucketRecord, KeyRecord, Record, RegionRecord
from cooper_crds.stored import Credentials, StoredRecord, Workload
from cooper_operator.plan.secrets import SecretContent


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Hold the resource's deletion until everything it stands for is gone."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Let the resource go. Always the last step."""


@dataclass(frozen=True, slots=True)
class MakeDeletionFinal:
    """Go on only when the deletion was not called off, and from then on it cannot be."""


@dataclass(frozen=True, slots=True)
class EndRecall:
    """Note that what a deletion had begun before it was called off is undone."""


@dataclass(frozen=True, slots=True)
class CreateRecord:
    """Write a record, create-only: for a bucket this is the claim on its name."""

    name: str
    record: Record


@dataclass(frozen=True, slots=True)
class IssueKey:
    """Write a new key's record, create-only. Its secret is made while the step is carried out: plans hold none."""

    name: str
    record: KeyRecord


@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """Replace a record that was read at a version."""

    current: StoredRecord
    record: Record


@dataclass(frozen=True, slots=True)
class AdoptBucket:
    """Make a retained record, that was read at a version, another Bucket's."""

    current: StoredRecord
    record: BucketRecord


@dataclass(frozen=True, slots=True)
class DeleteRecord:
    """Delete a record that was read at a version."""

    current: StoredRecord


@dataclass(frozen=True, slots=True)
class ProveSettings:
    """Go on only when every worker goes by this record of the Region."""

    region: RegionRecord


@dataclass(frozen=True, slots=True)
class ProveWorks:
    """Go on only when every worker accepts the key (of a key issued in this plan: with its new secret)."""

    region: RegionRecord
    key: KeyRecord
    buckets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProveDenied:
    """Go on only when every worker refuses the key."""

    region: RegionRecord
    key: KeyRecord


@dataclass(frozen=True, slots=True)
class ProveApiAccess:
    """Go on only when every worker follows `bucket.api_access`, as seen with a key that is granted on the bucket."""

    region: RegionRecord
    bucket: BucketRecord
    key: KeyRecord


@dataclass(frozen=True, slots=True)
class DeliverCredentials:
    """Write the Secret: create-only when there is none, else an update of ours. `content` holds no secret key.

    The secret key is filled in from `key` (of a key issued in this plan: the new secret). `rewrites` tells the user why
    it is written, where it was there before.
    """

    name: str
    content: SecretContent
    key: KeyRecord
    current: Credentials | None
    rewrites: str = ""


@dataclass(frozen=True, slots=True)
class SealCredentials:
    """Seal the key to its recipient, for status. The secret key is filled in as for a Secret."""

    recipient: str
    content: SecretContent
    key: KeyRecord


@dataclass(frozen=True, slots=True)
class DeleteCredentials:
    """Delete a Secret of ours."""

    current: Credentials


@dataclass(frozen=True, slots=True)
class MarkWorkload:
    """Annotate a workload, and not its Pods: nothing is restarted by it."""

    workload: Workload
    annotation: str
    value: str


@dataclass(frozen=True, slots=True)
class RollWorkload:
    """Annotate a workload and the template of its Pods, which restarts them. What refuses that stops no other step."""

    workload: Workload
    annotation: str
    value: str


@dataclass(frozen=True, slots=True)
class CreateAccessKey:
    """Create the bucket's AccessKey, create-only."""

    manifest: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class UpdateAccessKey:
    """Put fields of the bucket's AccessKey's spec back; fields given as None are taken out, others are left."""

    name: str
    uid: str
    version: str
    spec: Mapping[str, Any]
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])  # put beside those that are there


@dataclass(frozen=True, slots=True)
class DeleteAccessKey:
    """Ask for the deletion of the bucket's AccessKey; its own finalizer sees to the revocation."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class CloseBucket:
    """Go on only when the bucket is closed, and empty unless it may be closed with its content."""

    region: RegionRecord
    bucket: BucketRecord
    with_content: bool = False


@dataclass(frozen=True, slots=True)
class ReopenBucket:
    """Undo what CloseBucket did."""

    region: RegionRecord
    bucket: BucketRecord


@dataclass(frozen=True, slots=True)
class PurgeBucket:
    """Drop what a bucket holds, a share of it at a time: go on only when nothing is left."""

    region: RegionRecord
    bucket: BucketRecord


@dataclass(frozen=True, slots=True)
class DestroyBucket:
    """Drop a closed bucket's encryption key and uploads."""

    region: RegionRecord
    bucket: BucketRecord


Step = (
    AddFinalizer
    | RemoveFinalizer
    | MakeDeletionFinal
    | EndRecall
    | CreateRecord
    | IssueKey
    | UpdateRecord
    | AdoptBucket
    | DeleteRecord
    | ProveSettings
    | ProveWorks
    | ProveDenied
    | ProveApiAccess
    | DeliverCredentials
    | SealCredentials
    | DeleteCredentials
    | MarkWorkload
    | RollWorkload
    | CreateAccessKey
    | UpdateAccessKey
    | DeleteAccessKey
    | CloseBucket
    | ReopenBucket
    | PurgeBucket
    | DestroyBucket
)
