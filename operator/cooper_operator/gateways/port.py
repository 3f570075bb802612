"""What the operator needs of a Region's gateways. Spoken over signed S3 requests: there is no other way in."""

from dataclasses import dataclass
from typing import Final, Protocol

from cooper_crds.records import BucketRecord, KeyRecord, RegionRecord
from cooper_operator.gateways.roster import Roster


class GatewayUnavailable(Exception):
    """No gateway of the region answered; nothing was changed, or it is not known whether it was."""


class BucketNotEmpty(Exception):
    """The bucket holds objects and was not closed."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the workers of those replicas that matter answered to a signed probe."""

    proven: int
    expected: int  # workers that have to answer; 0 when it is not known who has to
    waiting_for: str = ""  # who has not answered as it should, in words
    nobody_left: bool = False  # it is known that no gateway is there, and so none that could honour anything

    @property
    def complete(self) -> bool:
        """Whether everyone who has to answer did so as he should."""
        return self.nobody_left or 0 < self.expected == self.proven


#: Of a refusal, where there is no gateway (any more).
NOBODY_LEFT: Final = Proof(0, 0, nobody_left=True)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a bucket holds."""

    objects: int
    size: int  # bytes
    closed: bool


@dataclass(frozen=True, slots=True)
class Purged:
    """How far the purge of a bucket has come."""

    objects_before: int  # when this question was asked
    objects: int  # left
    uploads: int  # left

    @property
    def complete(self) -> bool:
        """Whether nothing is left."""
        return not self.objects and not self.uploads


@dataclass(frozen=True, slots=True)
class Intent:
    """A DeleteBucket that a client asked for over S3: the bucket is closed and waits for the operator's decision."""

    bucket: str
    data_id: str
    access_key_id: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A CreateBucket that a client asked for over S3 and that a gateway keeps."""

    id: str
    bucket: str  # S3 name
    access_key_id: str
    asked_at: float  # Unix seconds
    settled: bool = False  # it has an outcome, which waits for its client


class Gateways(Protocol):
    """The port. `region` tells which gateways; addresses are the adapter's business.

    What works is proven by the replicas that are ready, at least one. What is refused is proven by all that are there,
    also those that are not ready: clients may know their addresses. One that is gone refuses everything.
    """

    def known(self, region: RegionRecord) -> Roster:
        """Which replicas there are, as was told last. Nobody is asked."""
        ...

    async def prove_settings(self, region: RegionRecord) -> Proof:
        """Ask every worker of every ready replica: each must go by this very record of the Region."""
        ...

    async def prove_works(self, region: RegionRecord, key: KeyRecord, buckets: list[str]) -> Proof:
        """Ask every worker of every ready replica with the key: each must accept it, going by this very record, and
        list the buckets."""
        ...

    async def prove_denied(self, region: RegionRecord, key: KeyRecord) -> Proof:
        """Ask every worker of every replica with the key: each must answer KeyAccessRevoked or InvalidAccessKeyId."""
        ...

    async def prove_bucket_denied(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        """Ask every worker of every replica for the bucket with a key that works and is granted on it: each must
        refuse the bucket."""
        ...

    async def prove_bucket_allowed(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        """Ask every worker of every ready replica so: each must let the key to the bucket, as far as the key's actions
        go."""
        ...

    async def returned(self) -> bool:
        """Whether a replica that was silent when it was asked last answers again: what waited for it may go on.
        Once for each return."""
        ...

    async def usage(self, region: RegionRecord, bucket: BucketRecord) -> Usage:
        """Objects and bytes. Raises GatewayUnavailable."""
        ...

    async def close_bucket(self, region: RegionRecord, bucket: BucketRecord, *, with_content: bool = False) -> None:
        """Close if empty, in one transaction, or with its content. Raises BucketNotEmpty, GatewayUnavailable.

        Idempotent. One that was closed with its content, and is not to be so any more, is open when this raises.
        """
        ...

    async def reopen_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Undo a close whose deletion was not authorised. Idempotent."""
        ...

    async def destroy_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Drop a closed bucket's uploads and its encryption key. Idempotent."""
        ...

    async def purge_bucket(self, region: RegionRecord, bucket: BucketRecord) -> Purged:
        """Close a bucket and drop what it holds, for about a tenth of a second: to be repeated until nothing is left.

        What is left is whole. Raises GatewayUnavailable.
        """
        ...

    async def intents(self, region: RegionRecord) -> list[Intent]:
        """DeleteBucket requests that wait for a decision."""
        ...

    async def wishes(self, region: RegionRecord) -> list[Wish]:
        """CreateBucket requests that are kept. Raises GatewayUnavailable."""
        ...

    async def settle_wish(self, region: RegionRecord, wish: Wish, outcome: str) -> None:
        """Say what became of a wish: `made`, an S3 error code, or `forgotten`. Idempotent."""
        ...
