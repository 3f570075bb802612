"""What a plan is made from: values that were read at one time. Nothing here reads anything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.bucket_grant import BucketGrant
from cooper_crds.meta import DELETION, DELETION_FINAL, DELETION_RECALLED, ObjectMetadata
from cooper_crds.records import RegionRecord
from cooper_crds.region import Region
from cooper_crds.stored import Credentials, StoredRecord, Workload

FINALIZER = "cooper.dev/finalizer"


def was_recalled(metadata: ObjectMetadata) -> bool:
    """Whether the resource's deletion was called off, and what it had begun is yet to be undone."""
    return metadata.deletion_timestamp is None and metadata.annotations.get(DELETION) == DELETION_RECALLED


def is_final(metadata: ObjectMetadata) -> bool:
    """Whether the resource's deletion can no longer be called off."""
    return metadata.annotations.get(DELETION) == DELETION_FINAL


@dataclass(frozen=True, slots=True)
class Blocked:
    """The step at which carrying out the plan stopped in this reconcile, and why. The next plan says so in status."""

    step: type
    why: Literal["incomplete", "unavailable", "not-empty", "purging", "refused"]
    detail: str = ""
    objects: int | None = None  # for not-empty, where known, and purging: those that are left
    objects_before: int = 0  # for purging: before this share
    proven: int = 0  # for incomplete: workers that answered as they should


@dataclass(frozen=True, slots=True)
class BucketUsage:
    """What a bucket holds, as a gateway said."""

    objects: int
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Left:
    """What is known, live, of the data under an S3 name that is another's."""

    absent: bool = False  # its Bucket is proven absent
    granted: bool = True  # a key that works is granted something on it


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all resources of a Region share."""

    #: The Region that is named; all of them when none is, and where it matters which names are those of gateways.
    regions: tuple[Region, ...]
    recorded: RegionRecord | None = None  # the Region's record, where it is gone or matters to what keys are refused
    default_endpoint: str = ""  # for a Region that names none


@dataclass(frozen=True, slots=True)
class GatewaysSeen:
    """The gateways of a Region, by the names that people know them by, as they were told last.

    `unknown`: why it is not known which there are. `told` False: nobody can tell; `soon`: for the moment only.
    """

    ready: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # there, and not ready
    unknown: str = ""
    told: bool = True
    soon: bool = False

    @property
    def count(self) -> int:
        """All of them."""
        return len(self.ready) + len(self.others)


@dataclass(frozen=True, slots=True)
class RegionSnapshot:
    """A Region and all that matters to it. `region` is None when it is proven absent."""

    name: str
    region: Region | None
    all_regions: tuple[Region, ...]
    record: StoredRecord | None
    in_use: bool  # whether a Bucket or AccessKey lives there
    default_endpoint: str
    now: float  # Unix seconds
    gateways: GatewaysSeen = GatewaysSeen()
    blocked: Blocked | None = None


@dataclass(frozen=True, slots=True)
class BucketSnapshot:
    """A Bucket and all that matters to it."""

    bucket: Bucket
    around: Surroundings
    claim: StoredRecord | None  # the record of the S3 name that the spec asks for, whoever's it is
    owned: StoredRecord | None  # the record that is this Bucket's, perhaps of an earlier name
    access_key: AccessKey | None  # of the bucket's name, whoever's it is
    now: float  # Unix seconds
    key: StoredRecord | None = None  # of a key that works on the bucket, read when its API access is to be proven
    usage: BucketUsage | None = None
    blocked: Blocked | None = None
    namespace_uid: str = ""  # of the Bucket's namespace, where it matters; empty: not known
    left_behind: bool = False  # it is being deleted, and its namespace is gone, or another one
    left: Left = Left()  # where the Bucket asks for what is left under the name
    domains: tuple[StoredRecord, ...] = ()  # records of those that it asks for, whoever's they are, and of its own
    unreadable_domains: frozenset[str] = frozenset()  # those whose record is there and cannot be read


@dataclass(frozen=True, slots=True)
class GrantedBucket:
    """A Bucket that an AccessKey names, and the record of its S3 name. None: proven absent."""

    bucket: Bucket | None
    record: StoredRecord | None
    unreadable: str = ""  # why the record that is there cannot be read


NOT_LOOKED_AT: Final = GrantedBucket(None, None)


@dataclass(frozen=True, slots=True)
class SharedBucket:
    """A Bucket of another namespace that an AccessKey names, and the BucketGrants there that let it: the first by name,
    one more than count where there are so many. Without one nothing was looked at."""

    granted: GrantedBucket
    grants: tuple[BucketGrant, ...]


@dataclass(frozen=True, slots=True)
class BucketGrantSnapshot:
    """A BucketGrant and all that matters to it."""

    grant: BucketGrant
    missing: tuple[str, ...]  # Buckets that it names and that are not there
    now: float  # Unix seconds


@dataclass(frozen=True, slots=True)
class AccessKeySnapshot:
    """An AccessKey and all that matters to it."""

    access_key: AccessKey
    around: Surroundings
    buckets: Mapping[str, GrantedBucket]  # by the name that a grant bears; none for a key that is not to be in use
    records: tuple[StoredRecord, ...]  # all key records of this AccessKey
    credentials: Credentials | None  # of the name that the spec asks for, whoever's it is
    other_credentials: tuple[Credentials, ...]  # ours under other names: of a former spec, or left by a crash
    now: float  # Unix seconds
    blocked: Blocked | None = None
    workloads: tuple[Workload, ...] = ()  # those that the spec names, in its order
    unreadable: str = ""  # why one of the key records that are there cannot be read
    #: The same for Buckets of other namespaces, by namespace and name.
    shared: Mapping[tuple[str, str], SharedBucket] = field(default_factory=dict[tuple[str, str], SharedBucket])


Snapshot = RegionSnapshot | BucketSnapshot | BucketGrantSnapshot | AccessKeySnapshot
