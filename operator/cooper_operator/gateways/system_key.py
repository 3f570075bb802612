"""The operator's own key, handed from whoever makes it to whoever signs with it."""

from cooper_crds.records import KeyRecord


class SystemKey:
    """Holds the current system key; empty until the operator has written its record."""

    def __init__(self) -> None:
        self._key: KeyRecord | None = None

    def use(self, key: KeyRecord) -> None:
        """Sign with this key from now on."""
        self._key = key

    def current(self) -> KeyRecord | None:
        """The key to sign with, or None while there is none."""
        return self._key
