"""What a cluster keeps besides resources, as it was read: records, and credentials that were delivered.

Both bear the version they were read at. A write that was decided on it fails when there is another one by then.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cooper_crds.records import Record


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record and the version it was read at."""

    name: str
    record: Record
    version: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """A delivered Secret (or .env file). `owner_uid` is None when it is not ours: somebody else made it.

    `access_key_id`: the key that it is marked to hold; None when it is not ours, or lost that mark. Not `intact`: it is
    ours and no longer labelled as it was when it was delivered, so that it is to be delivered anew.
    """

    namespace: str
    name: str
    data: Mapping[str, str]
    owner_uid: str | None
    version: str
    access_key_id: str | None = None
    intact: bool = True

    def __repr__(self) -> str:  # values are secret
        return f"Credentials({self.namespace}/{self.name}, keys={sorted(self.data)})"
