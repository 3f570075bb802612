"""Gateways in memory, for tests: workers that know records only when they have seen them, as real ones do."""

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from cooper_crds.records import BucketRecord, KeyRecord, Record, RegionRecord, concerns
from cooper_operator.gateways.port import (
    NOBODY_LEFT,
    BucketNotEmpty,
    GatewayUnavailable,
    Intent,
    Proof,
    Purged,
    Usage,
    Wish,
)
from cooper_operator.gateways.roster import Endpoint, Roster
from cooper_operator.gateways.silence import NO_ANSWER, Silence, silence_about

Accepts = Callable[[dict[str, Record]], bool]  # of what a worker knows: whether it answers as it should

_AWAY: Final = "no gateway answers"


@dataclass(slots=True)
class MemoryBucket:
    """A bucket's content, by `data_id`."""

    objects: int = 0
    size: int = 0  # bytes
    closed: bool = False
    destroyed: bool = False
    purged: int = 0  # objects


@dataclass(slots=True)
class MemoryGateways:
    """The port over `records`, the records' source. Tests set what else is there to make gateways misbehave.

    Each worker is a replica of its own. `clock` gives Unix seconds.
    """

    records: Callable[[], Awaitable[Iterable[Record]]]
    workers: int = 2  # 0: it is known that there is none
    clock: Callable[[], float] = time.time
    away: bool = False  # it is not known who there is, and nobody answers
    stale: set[int] = field(default_factory=set[int])  # workers that see no new records
    silent: set[int] = field(default_factory=set[int])  # workers that do not answer
    unready: set[int] = field(default_factory=set[int])  # workers that clients are not sent to
    data: dict[str, MemoryBucket] = field(default_factory=dict[str, MemoryBucket])
    purged_at_once: int = 10  # objects that one question drops
    requests: list[Intent] = field(default_factory=list[Intent])
    asked: dict[str, Wish] = field(default_factory=dict[str, Wish])  # by the bucket's name
    outcomes: dict[str, str] = field(default_factory=dict[str, str])
    calls: list[str] = field(default_factory=list[str])  # what was asked, in order
    _missed: bool = False  # whether somebody was silent when they were asked last
    _seen: dict[int, dict[str, Record]] = field(default_factory=dict[int, dict[str, Record]])

    def bucket(self, data_id: str) -> MemoryBucket:
        """The content of a bucket; empty when it was never written."""
        return self.data.setdefault(data_id, MemoryBucket())

    def known(self, region: RegionRecord) -> Roster:
        """Each worker as a replica."""
        if self.away:
            return Roster(unknown=_AWAY, told=False, soon=True)
        workers = range(self.workers)
        return Roster(tuple(Endpoint("memory", each, each not in self.unready, f"worker-{each}") for each in workers))

    async def prove_settings(self, region: RegionRecord) -> Proof:
        """Every ready worker must know the Region by this record."""
        self.calls.append(f"prove_settings {region.name}")
        return await self._prove(region, lambda known: known.get(_name(region)) == region)

    async def prove_works(self, region: RegionRecord, key: KeyRecord, buckets: list[str]) -> Proof:
        """Every ready worker must know the key by this record, and list the buckets."""
        self.calls.append(f"prove_works {key.access_key_id}")
        return await self._prove(region, lambda known: _accepts(known, key, buckets))

    async def prove_denied(self, region: RegionRecord, key: KeyRecord) -> Proof:
        """Every worker must refuse the key."""
        self.calls.append(f"prove_denied {key.access_key_id}")
        silence = silence_about(key, region, self.clock())
        return await self._prove(region, lambda known: _refuses(known, key), everyone=True, silence=silence)

    async def prove_bucket_denied(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        """Every worker must refuse the bucket to a key that works."""
        self.calls.append(f"prove_bucket_denied {bucket.name}")
        return await self._prove(region, lambda known: _refuses_bucket(known, key, bucket), everyone=True)

    async def prove_bucket_allowed(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        """Every ready worker must let the key to the bucket."""
        self.calls.append(f"prove_bucket_allowed {bucket.name}")
        return await self._prove(region, lambda known: _lets(known, key, bucket) is True)

    async def returned(self) -> bool:
        """Whether all answer again."""
        again = self._missed and not (self.away or self.silent)
        self._missed = self._missed and not again
        return again

    async def usage(self, region: RegionRecord, bucket: BucketRecord) -> Usage:
        """Objects and bytes. Raises GatewayUnavailable."""
        found = self._operate("usage", bucket)
        return Usage(found.objects, found.size, found.closed)

    async def close_bucket(self, region: RegionRecord, bucket: BucketRecord, *, with_content: bool = False) -> None:
        """Close if empty, or with its content. Raises BucketNotEmpty, GatewayUnavailable."""
        found = self._operate("close", bucket)
        if found.objects and not with_content:
            found.closed = False
            raise BucketNotEmpty
        found.closed = True

    async def reopen_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Undo a close, and forget its intent."""
        found = self._operate("reopen", bucket)
        if found.destroyed:
            raise GatewayUnavailable("the bucket was destroyed")
        found.closed = False
        self.requests = [intent for intent in self.requests if intent.data_id != bucket.data_id]

    async def destroy_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Destroy a closed bucket."""
        found = self._operate("destroy", bucket)
        if not found.closed or found.objects:
            raise GatewayUnavailable(f"the bucket is {'not empty' if found.objects else 'not closed'}")
        found.destroyed = True
        self.requests = [intent for intent in self.requests if intent.data_id != bucket.data_id]

    async def purge_bucket(self, region: RegionRecord, bucket: BucketRecord) -> Purged:
        """Drop some objects."""
        found = self._operate("purge", bucket)
        before, found.closed = found.objects, True
        found.objects = max(0, before - self.purged_at_once)
        found.purged += before - found.objects
        return Purged(before, found.objects, 0)

    async def intents(self, region: RegionRecord) -> list[Intent]:
        """DeleteBucket requests that wait."""
        if self.away:
            raise GatewayUnavailable(_AWAY)
        return list(self.requests)

    async def wishes(self, region: RegionRecord) -> list[Wish]:
        """CreateBucket requests that are kept."""
        if self.away:
            raise GatewayUnavailable(_AWAY)
        return list(self.asked.values())

    async def settle_wish(self, region: RegionRecord, wish: Wish, outcome: str) -> None:
        """Note what became of one, or forget it."""
        if self.away:
            raise GatewayUnavailable(_AWAY)
        self.calls.append(f"settle {wish.bucket} {outcome}")
        if self.asked.get(wish.bucket) == wish:
            del self.asked[wish.bucket]
            if outcome != "forgotten":
                self.asked[wish.bucket] = replace(wish, settled=True)
                self.outcomes[wish.bucket] = outcome

    def _operate(self, question: str, bucket: BucketRecord) -> MemoryBucket:
        self.calls.append(f"{question} {bucket.name}")
        self._missed = self._missed or self.away
        if self.away:
            raise GatewayUnavailable(_AWAY)
        return self.bucket(bucket.data_id)

    async def _prove(
        self, region: RegionRecord, accepts: Accepts, *, everyone: bool = False, silence: Silence = NO_ANSWER
    ) -> Proof:
        self._missed = self._missed or self.away or bool(self.silent)
        if self.away:
            return Proof(0, 0, _AWAY)
        fresh = {_name(record): record for record in await self.records()}
        for worker in range(self.workers):
            if worker not in self.stale:
                self._seen[worker] = fresh
        return self._proof(region.name, accepts, everyone, silence)

    def _proof(self, region: str, accepts: Accepts, everyone: bool, silence: Silence) -> Proof:
        """What the workers answer by what they have seen."""
        asked = [worker for worker in range(self.workers) if everyone or worker not in self.unready]
        if not asked:
            return NOBODY_LEFT if everyone else Proof(0, 0, "no gateway is ready")
        proven = [
            silence.refuses if worker in self.silent else accepts(self._known(worker, region)) for worker in asked
        ]
        waiting = [worker for worker, right in zip(asked, proven, strict=True) if not right]
        return Proof(sum(proven), len(asked), ", ".join(f"worker {worker}" for worker in waiting))

    def _known(self, worker: int, region: str) -> dict[str, Record]:
        """What a worker of that Region knows of what it has seen."""
        seen = self._seen.get(worker, {})
        return {name: record for name, record in seen.items() if concerns(record, region)}


def _name(record: Record) -> str:
    return record.access_key_id if isinstance(record, KeyRecord) else f"{type(record).__name__} {record.name}"


def _refuses_bucket(known: dict[str, Record], key: KeyRecord, bucket: BucketRecord) -> bool:
    """Whether a worker refuses the bucket to every key, by this record of it or a later one."""
    held = known.get(f"BucketRecord {bucket.name}")
    later = isinstance(held, BucketRecord) and held.access_generation >= bucket.access_generation
    return later and _lets(known, key, bucket) is False


def _lets(known: dict[str, Record], key: KeyRecord, bucket: BucketRecord) -> bool | None:
    """Whether a worker lets the key to the bucket; None when that cannot be told, as the key does not work there."""
    held = known.get(f"BucketRecord {bucket.name}")
    if not isinstance(held, BucketRecord) or held.data_id != bucket.data_id or held.retained:
        return None
    return held.api_access == "Allowed" if _lists(known, key, [bucket.name]) else None


def _refuses(known: dict[str, Record], key: KeyRecord) -> bool:
    """Whether a worker says that the key is none. Told another secret it says nothing of the key: it knows it."""
    held = known.get(key.access_key_id)
    return not isinstance(held, KeyRecord) or (held.state != "Active" and held.secret_key == key.secret_key)


def _works(known: dict[str, Record], key: KeyRecord) -> bool:
    held = known.get(key.access_key_id)
    return isinstance(held, KeyRecord) and held.state == "Active" and held.secret_key == key.secret_key


def _accepts(known: dict[str, Record], key: KeyRecord, buckets: list[str]) -> bool:
    return known.get(key.access_key_id) == key and _lists(known, key, buckets)


def _lists(known: dict[str, Record], key: KeyRecord, buckets: list[str]) -> bool:
    held = known.get(key.access_key_id)
    if not isinstance(held, KeyRecord) or not _works(known, key):
        return False
    return {grant.bucket for grant in held.grants if f"BucketRecord {grant.bucket}" in known}.issuperset(buckets)
