"""What a cluster keeps besides resources, as it was read: records, credentials that were delivered, workloads.

All bear the version they were read at. A write that was decided on it fails when there is another one by then.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from cooper_crds.records import Record
from cooper_crds.rotation import WorkloadName


def content_digest(data: Mapping[str, str]) -> str:
    """What tells one content from another. Secret keys have too many bits to be found by it."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]


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
    ours and no longer labelled as it was when it was delivered, so that it is to be delivered anew. `delivered`: the
    digest of what was put into it last, where that was noted; `data` is what is in it now. `whose`: whose else it
    is, in words, as far as it says.
    """

    namespace: str
    name: str
    data: Mapping[str, str]
    owner_uid: str | None
    version: str
    access_key_id: str | None = None
    intact: bool = True
    delivered: str | None = None
    whose: str = ""

    def __repr__(self) -> str:  # values are secret
        return f"Credentials({self.namespace}/{self.name}, keys={sorted(self.data)})"


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload that uses a Secret, as it was read. It is there where it has a `version`."""

    name: WorkloadName
    version: str = ""
    marks: Mapping[str, str] = field(default_factory=dict[str, str])  # its annotations by which restarts are known
    waiting: str = ""  # what its roll-out waits for; empty: every Pod is as its template says
    problem: str = ""  # why it could not be read
