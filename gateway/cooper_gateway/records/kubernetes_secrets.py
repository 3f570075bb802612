"""What the Kubernetes API says about record Secrets, as values; and the records that are in them. No I/O."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from cooper_crds import kubernetes
from cooper_crds.records import Record, RecordError
from cooper_gateway.records.source import Ledger, Reading
from cooper_gateway.records.table import record_name


class Meta(msgspec.Struct, frozen=True, rename="camel"):
    """The part of an object's metadata that matters here. Versions are integers, written as text."""

    name: str = ""
    resource_version: int = 0


class Secret(msgspec.Struct, frozen=True):
    """A record's Secret. What it holds is in no representation."""

    metadata: Meta
    data: dict[str, str] | None = None  # base64

    def __repr__(self) -> str:
        return f"Secret({self.metadata.name})"

    @property
    def record_name(self) -> str:
        """The name of the record that must be in it."""
        return kubernetes.record_name(self.metadata.name)


class ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    """A list's version, and where its next page begins."""

    resource_version: int = 0
    continue_: str = msgspec.field(name="continue", default="")


class Page(msgspec.Struct, frozen=True):
    """One page of a list."""

    metadata: ListMeta
    items: list[Secret] | None = None


class Event(msgspec.Struct, frozen=True):
    """What a watch tells about one Secret; of a bookmark the version is all that matters."""

    type: str
    object: Secret


#: A record, or why there is none in what was found.
Found = Record | RecordError

_REMOVED: Final = "DELETED"
_BOOKMARK: Final = "BOOKMARK"


class SecretRecords:
    """Which records a namespace's Secrets hold for a Region, by lists and events. Implements the port's `Holdings`."""

    def __init__(self, region: str) -> None:
        self._ledger = Ledger(region, kubernetes.secret_name)

    @property
    def usable(self) -> int:
        """How many records are there."""
        return self._ledger.usable

    @property
    def broken(self) -> int:
        """How many Secrets are there and cannot be used."""
        return self._ledger.broken

    def has(self, name: str) -> bool:
        """Whether the record of that name is there and can be used."""
        return self._ledger.has(name)

    def listed(self, found: Mapping[str, Found], began: float) -> Reading:
        """A complete list, asked for at `began` (Unix seconds)."""
        reading = Reading(complete=True, verified_at=began)
        self._ledger.forget()
        for name in self._ledger.others(found):
            self._ledger.gone(name, reading)
        for name, content in found.items():
            self._put(name, content, reading)
        return reading

    def happened(self, events: Iterable[Event]) -> tuple[Reading, int]:
        """Events of a watch; with the version that the last one brings."""
        reading, version = Reading(), 0
        for event in events:
            secret, version = event.object, event.object.metadata.resource_version
            if event.type == _REMOVED:
                self._ledger.gone(secret.record_name, reading)
            elif event.type != _BOOKMARK:
                self._put(secret.record_name, content_of(secret), reading)
        return reading, version

    def _put(self, name: str, content: Found, reading: Reading) -> None:
        if isinstance(content, RecordError):
            self._ledger.unusable(name, str(content), reading)
        else:
            self._ledger.found(name, content, reading)


def records_on(page: Page) -> dict[str, Found]:
    """The records of a page by their names."""
    return {secret.record_name: content_of(secret) for secret in page.items or ()}


def content_of(secret: Secret) -> Found:
    """The record that a Secret holds, or why it holds none."""
    try:
        record = kubernetes.record_of({"data": secret.data})
    except RecordError as error:
        return error
    if record_name(record) != secret.record_name:
        return RecordError(f"its content is the record {record_name(record)}: it was renamed or copied")
    return record
