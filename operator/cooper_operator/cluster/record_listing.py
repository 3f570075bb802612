"""What a cluster says of records: those that can be used, and those that are there and cannot."""

from collections.abc import Iterable
from dataclasses import dataclass

from cooper_crds.records import RecordError, RecordTooNew
from cooper_crds.stored import StoredRecord


@dataclass(frozen=True, slots=True)
class DamagedRecord:
    """A record that is there and cannot be read. It still claims its name; gateways deny what it was for."""

    name: str
    reason: str
    replaceable: bool = True  # False: it is no damage that a new record mends: a newer version wrote it

    @property
    def error(self) -> RecordError:
        """What a reader of this record is told."""
        kind = RecordError if self.replaceable else RecordTooNew
        return kind(f"record {self.name}: {self.reason}")


class RecordListing(list[StoredRecord]):
    """What `list_records` returns: the readable records, and beside them the damaged ones.

    Whoever decides by absence from this list must look at `damaged` too.
    """

    def __init__(self, records: Iterable[StoredRecord] = (), damaged: Iterable[DamagedRecord] = ()) -> None:
        super().__init__(records)
        self.damaged: tuple[DamagedRecord, ...] = tuple(damaged)
