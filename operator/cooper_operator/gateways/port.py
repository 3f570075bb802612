"""What the operator needs of a Region's gateways. Spoken over signed S3 requests: there is no other way in."""

from dataclasses import dataclass
from typing import Protocol

from cooper_crds.records import BucketRecord, KeyRecord, RegionRecord


class GatewayUnavailable(Exception):
    """No gateway of the region answered; nothing was changed, or it is not known whether it was."""


class BucketNotEmpty(Exception):
    """The bucket holds objects and was not closed."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the workers of all replicas answered to a signed probe."""

    proven: int
    expected: int  # workers known; 0 when no replica is known, which proves nothing
    waiting_for: str = ""  # who has not answered as it should, in words

    @property
    def complete(self) -> bool:
        """Whether every worker answered as it should."""
        return self.expected > 0 and self.proven == self.expected


@dataclass(frozen=True, slots=True)
class Usage:
    """What a bucket holds."""

    objects: int
    size: int  # bytes
    closed: bool


@dataclass(frozen=True, slots=True)
class Intent:
    """A DeleteBucket that a client asked for over S3: the bucket is closed and waits for the operator's decision."""

    bucket: str
    data_id: str
    access_key_id: str


class Gateways(Protocol):
    """The port. `region` tells which gateways; addresses are the adapter's business."""

    async def prove_works(self, region: RegionRecord, key: KeyRecord, buckets: list[str]) -> Proof:
        """Ask every worker of every replica with the key: each must accept it and list the buckets,
        and none that it is not granted."""
        ...

    async def prove_denied(self, region: RegionRecord, key: KeyRecord) -> Proof:
        """Ask every worker of every replica with the key: each must answer KeyAccessRevoked or InvalidAccessKeyId."""
        ...

    async def prove_bucket_denied(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        """Ask every worker for the bucket with a key that works and is granted on it: each must refuse the bucket."""
        ...

    async def prove_bucket_allowed(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        """The same, and each must let the key to the bucket, as far as the key's actions go."""
        ...

    async def usage(self, region: RegionRecord, bucket: BucketRecord) -> Usage:
        """Objects and bytes. Raises GatewayUnavailable."""
        ...

    async def close_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Close if empty, in one transaction. Raises BucketNotEmpty, GatewayUnavailable. Idempotent."""
        ...

    async def reopen_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Undo a close whose deletion was not authorised. Idempotent."""
        ...

    async def destroy_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Drop a closed bucket's uploads and its encryption key. Idempotent."""
        ...

    async def intents(self, region: RegionRecord) -> list[Intent]:
        """DeleteBucket requests that wait for a decision."""
        ...
