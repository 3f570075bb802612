"""Names of the records that exist, by whom they were made for. Only names: each record is read live when it matters."""

from collections.abc import Iterable

from cooper_crds.names import region_record_name
from cooper_crds.records import Record, RegionRecord

_REGION_PREFIX = region_record_name("")


class RecordsIndex:
    """Filled from a complete list, then kept by the operator's own writes: it is the only writer of records."""

    def __init__(self) -> None:
        self._by_owner: dict[str, set[str]] = {}
        self._owner_of: dict[str, str] = {}
        self.regions: set[str] = set()  # names of Regions that have a record

    def fill(self, records: Iterable[tuple[str, Record]]) -> None:
        """Add everything that was listed."""
        for name, record in records:
            self.wrote(name, record)

    def wrote(self, name: str, record: Record) -> None:
        """A record is there."""
        if isinstance(record, RegionRecord):
            self.regions.add(record.name)
            return
        self.removed(name)
        self._owner_of[name] = record.owner.uid
        self._by_owner.setdefault(record.owner.uid, set()).add(name)

    def removed(self, name: str) -> None:
        """A record is gone."""
        if name.startswith(_REGION_PREFIX):
            self.regions.discard(name.removeprefix(_REGION_PREFIX))
        owner = self._owner_of.pop(name, None)
        if owner is None:
            return
        names = self._by_owner[owner]
        names.discard(name)
        if not names:
            del self._by_owner[owner]

    def owned_by(self, uid: str) -> set[str]:
        """Names of the records made for the resource with this UID."""
        return set(self._by_owner.get(uid, ()))
