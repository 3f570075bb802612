"""A complete listing of records that also tells which of them cannot be used."""

from collections.abc import Iterable
from dataclasses import dataclass

from cooper_operator.cluster.port import StoredRecord


@dataclass(frozen=True, slots=True)
class DamagedRecord:
    """A record that is there and cannot be read. It still claims its name; gateways deny what it was for."""

    name: str
    reason: str


class RecordListing(list[StoredRecord]):
    """What `list_records` returns: the readable records, and beside them the damaged ones.

    Whoever decides by absence from this list must look at `damaged` too.
    """

    def __init__(self, records: Iterable[StoredRecord] = (), damaged: Iterable[DamagedRecord] = ()) -> None:
        super().__init__(records)
        self.damaged: tuple[DamagedRecord, ...] = tuple(damaged)
