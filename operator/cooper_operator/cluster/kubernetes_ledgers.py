"""What is noted of a watch of Secrets: for first looks (`recollection`), and to know our own writes again."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from cooper_crds.kubernetes import CREDENTIALS_OWNER_LABEL, record_name
from cooper_operator.cluster.recollection import Seen

Metadata = Mapping[str, Any]

#: Calls the last one unless an object's metadata (and whether it is gone) show nothing but what was written here.
TellUnlessEcho = Callable[[Metadata, bool, Callable[[], None]], None]


class Ledger(Protocol):
    """Notes what a watch shows."""

    def listed(self, found: Sequence[Metadata]) -> None:
        """All there are."""
        ...

    def shown(self, metadata: Metadata, deleted: bool, tell: Callable[[], None]) -> None:
        """One that changed. `tell` is called if it is worth telling: an echo of our own write is not."""
        ...

    def lost(self) -> None:
        """The watch ended: changes are missed until the next list."""
        ...


class NoLedger:
    """Notes nothing; everything is worth telling."""

    def listed(self, found: Sequence[Metadata]) -> None:
        """Nothing to note."""

    def shown(self, metadata: Metadata, deleted: bool, tell: Callable[[], None]) -> None:
        """Worth telling."""
        tell()

    def lost(self) -> None:
        """Nothing to note."""


class EchoLedger(NoLedger):
    """Of what nothing is to be noted but our own writes."""

    def __init__(self, tell_unless_echo: TellUnlessEcho) -> None:
        self._tell = tell_unless_echo

    def shown(self, metadata: Metadata, deleted: bool, tell: Callable[[], None]) -> None:
        """See Ledger."""
        self._tell(metadata, deleted, tell)


class RecordLedger:
    """Of records: one that was written by somebody else is read anew."""

    def __init__(self, seen: Seen, tell_unless_echo: TellUnlessEcho) -> None:
        self._seen = seen
        self._tell = tell_unless_echo

    def listed(self, found: Sequence[Metadata]) -> None:
        """See Ledger."""
        self._seen.records_are({record_name(each["name"]): each["resourceVersion"] for each in found})

    def shown(self, metadata: Metadata, deleted: bool, tell: Callable[[], None]) -> None:
        """See Ledger."""
        self._seen.saw_record(record_name(metadata["name"]), metadata["resourceVersion"])
        self._tell(metadata, deleted, tell)

    def lost(self) -> None:
        """See Ledger."""
        self._seen.records_are({})


class CredentialsLedger:
    """Of credentials in one namespace, or (empty) in all: whose they say they are."""

    def __init__(self, seen: Seen, namespace: str, tell_unless_echo: TellUnlessEcho) -> None:
        self._seen = seen
        self._namespace = namespace
        self._tell = tell_unless_echo

    def listed(self, found: Sequence[Metadata]) -> None:
        """See Ledger."""
        self._seen.forget_credentials(self._namespace)
        for each in found:
            self._seen.saw_credentials(each["namespace"], each["name"], _owner_uid(each))
        self._seen.followed.add(self._namespace)

    def shown(self, metadata: Metadata, deleted: bool, tell: Callable[[], None]) -> None:
        """See Ledger."""
        uid = None if deleted else _owner_uid(metadata)
        self._seen.saw_credentials(metadata["namespace"], metadata["name"], uid)
        self._tell(metadata, deleted, tell)

    def lost(self) -> None:
        """See Ledger."""
        self._seen.followed.discard(self._namespace)


def _owner_uid(metadata: Metadata) -> str | None:
    labels: Mapping[str, str] = metadata.get("labels") or {}
    return labels.get(CREDENTIALS_OWNER_LABEL)
