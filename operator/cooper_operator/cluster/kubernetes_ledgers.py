"""What is noted of a watch of Secrets: for first looks (`recollection`), and to know our own writes again."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from cooper_crds.kubernetes import CREDENTIALS_OWNER_LABEL, record_name
from cooper_operator.cluster.recollection import Seen

Metadata = Mapping[str, Any]

#: Whether an object's metadata (and whether it is gone) show nothing but what was written here.
IsEcho = Callable[[Metadata, bool], bool]


class Ledger(Protocol):
    """Notes what a watch shows."""

    def listed(self, found: Sequence[Metadata]) -> None:
        """All there are."""
        ...

    def shown(self, metadata: Metadata, deleted: bool) -> bool:
        """One that changed. Whether it is worth telling: an echo of our own write is not."""
        ...

    def lost(self) -> None:
        """The watch ended: changes are missed until the next list."""
        ...


class NoLedger:
    """Notes nothing; everything is worth telling."""

    def listed(self, found: Sequence[Metadata]) -> None:
        """Nothing to note."""

    def shown(self, metadata: Metadata, deleted: bool) -> bool:
        """Worth telling."""
        return True

    def lost(self) -> None:
        """Nothing to note."""


class EchoLedger(NoLedger):
    """Of what nothing is to be noted but our own writes."""

    def __init__(self, is_echo: IsEcho) -> None:
        self._is_echo = is_echo

    def shown(self, metadata: Metadata, deleted: bool) -> bool:
        """See Ledger."""
        return not self._is_echo(metadata, deleted)


class RecordLedger:
    """Of records: one that was written by somebody else is read anew."""

    def __init__(self, seen: Seen, is_echo: IsEcho) -> None:
        self._seen = seen
        self._is_echo = is_echo

    def listed(self, found: Sequence[Metadata]) -> None:
        """See Ledger."""
        self._seen.records_are({record_name(each["name"]): each["resourceVersion"] for each in found})

    def shown(self, metadata: Metadata, deleted: bool) -> bool:
        """See Ledger."""
        self._seen.saw_record(record_name(metadata["name"]), metadata["resourceVersion"])
        return not self._is_echo(metadata, deleted)

    def lost(self) -> None:
        """See Ledger."""
        self._seen.records_are({})


class CredentialsLedger:
    """Of credentials in one namespace, or (empty) in all: whose they say they are."""

    def __init__(self, seen: Seen, namespace: str, is_echo: IsEcho) -> None:
        self._seen = seen
        self._namespace = namespace
        self._is_echo = is_echo

    def listed(self, found: Sequence[Metadata]) -> None:
        """See Ledger."""
        self._seen.forget_credentials(self._namespace)
        for each in found:
            self._seen.saw_credentials(each["namespace"], each["name"], _owner_uid(each))
        self._seen.followed.add(self._namespace)

    def shown(self, metadata: Metadata, deleted: bool) -> bool:
        """See Ledger."""
        uid = None if deleted else _owner_uid(metadata)
        self._seen.saw_credentials(metadata["namespace"], metadata["name"], uid)
        return not self._is_echo(metadata, deleted)

    def lost(self) -> None:
        """See Ledger."""
        self._seen.followed.discard(self._namespace)


def _owner_uid(metadata: Metadata) -> str | None:
    labels: Mapping[str, str] = metadata.get("labels") or {}
    return labels.get(CREDENTIALS_OWNER_LABEL)
