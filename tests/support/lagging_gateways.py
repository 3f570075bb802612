"""A cluster that remembers every state of its records, and gateways whose workers know one of those states each."""

from typing import Any

from cooper_crds.names import bucket_record_name, key_record_name, region_record_name
from cooper_crds.records import BucketRecord, KeyRecord, Record, RegionRecord
from cooper_operator.cluster.memory import MemoryCluster
from cooper_operator.cluster.port import StoredRecord
from cooper_operator.gateways.memory import Accepts, MemoryGateways
from cooper_operator.gateways.port import Proof
from cooper_operator.gateways.silence import NO_ANSWER, Silence

View = dict[str, Record]
#: Every change of a record in order; None: it is gone, or cannot be read.
Log = list[tuple[str, Record | None]]


class LoggedCluster(MemoryCluster):
    """`log` has every change of a record."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.log: Log = []

    def _put_record(self, name: str, record: Record) -> StoredRecord:
        self.log.append((name, record))
        return super()._put_record(name, record)

    async def delete_record(self, current: StoredRecord) -> None:
        await super().delete_record(current)
        self.log.append((current.name, None))

    def damage_record(self, name: str, reason: str = "it is damaged", *, replaceable: bool = True) -> None:
        super().damage_record(name, reason, replaceable=replaceable)
        self.log.append((name, None))

    def drop_record(self, name: str) -> None:
        """What a person does who deletes a record."""
        self._records.pop(name, None)
        self.log.append((name, None))

    def stored(self, name: str) -> Record | None:
        """The record as it is; None when it is gone or cannot be read."""
        found = self._records.get(name)
        return found.record if isinstance(found, StoredRecord) else None


class LaggingGateways(MemoryGateways):
    """Workers follow the log in order, as late as they may: no further than to what they are asked about."""

    def __init__(self, log: Log) -> None:
        async def nothing() -> list[Record]:
            return []

        super().__init__(nothing, workers=2)
        self._log = log
        self._at = [0] * self.workers
        self._views: list[View] = [{} for _ in range(self.workers)]
        self._asked: set[str] = set()

    async def prove_settings(self, region: RegionRecord) -> Proof:
        self._asked = {region_record_name(region.name)}
        return await super().prove_settings(region)

    async def prove_works(self, region: RegionRecord, key: KeyRecord, buckets: list[str]) -> Proof:
        self._asked = {key_record_name(key.access_key_id), *map(bucket_record_name, buckets)}
        return await super().prove_works(region, key, buckets)

    async def prove_denied(self, region: RegionRecord, key: KeyRecord) -> Proof:
        self._asked = {key_record_name(key.access_key_id)}
        return await super().prove_denied(region, key)

    async def prove_bucket_denied(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        self._asked = {key_record_name(key.access_key_id), bucket_record_name(bucket.name)}
        return await super().prove_bucket_denied(region, bucket, key)

    async def prove_bucket_allowed(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        self._asked = {key_record_name(key.access_key_id), bucket_record_name(bucket.name)}
        return await super().prove_bucket_allowed(region, bucket, key)

    def views(self) -> list[View]:
        """What each worker knows, by the records' names."""
        return self._views

    def catch_up(self, worker: int) -> None:
        """Let a worker know all there is, unless it is stale."""
        if worker not in self.stale:
            self._follow(worker, len(self._log))

    async def _prove(
        self, region: RegionRecord, accepts: Accepts, *, everyone: bool = False, silence: Silence = NO_ANSWER
    ) -> Proof:
        """Nothing is awaited before the workers are asked, so that `_asked` is this probe's."""
        if self.away:
            return Proof(0, 0, "no gateway answers")
        end = max((at for at, (name, _) in enumerate(self._log, 1) if name in self._asked), default=0)
        for worker in range(self.workers):
            if worker not in self.stale:
                self._follow(worker, end)
        self._seen = {
            worker: {_identity(each): each for each in view.values()} for worker, view in enumerate(self._views)
        }
        return self._proof(region.name, accepts, everyone, silence)

    def _follow(self, worker: int, end: int) -> None:
        for name, record in self._log[self._at[worker] : end]:
            if record is None:
                self._views[worker].pop(name, None)
            else:
                self._views[worker][name] = record
        self._at[worker] = max(self._at[worker], end)


def _identity(record: Record) -> str:
    return record.access_key_id if isinstance(record, KeyRecord) else f"{type(record).__name__} {record.name}"
