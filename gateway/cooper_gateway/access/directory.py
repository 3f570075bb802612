"""What the choke point needs to look up: records, and how fresh they are."""

from typing import Protocol

from cooper_crds.records import BucketRecord, DomainRecord, KeyRecord, RegionRecord


class Directory(Protocol):
    """Records as one request sees them."""

    def key(self, access_key_id: str) -> KeyRecord | None:
        """The key of that id, or None."""
        ...

    def bucket(self, name: str) -> BucketRecord | None:
        """The bucket of that S3 name, or None."""
        ...

    def domain(self, name: str) -> DomainRecord | None:
        """The claim on that host name, or None."""
        ...

    def region(self) -> RegionRecord | None:
        """The settings of the region that this replica serves, or None while there are none."""
        ...

    @property
    def revision(self) -> int:
        """Another number after each change of records: the same number means the same records."""
        ...

    def verified_at(self) -> float:
        """Unix seconds of the last complete, successful read of the records' source."""
        ...
