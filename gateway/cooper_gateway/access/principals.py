"""Who asks."""

from dataclasses import dataclass
from typing import Final

from cooper_crds.records import KeyRecord


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody in particular: no signature, or the public path."""


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Someone whose signature was verified with this key's secret."""

    key: KeyRecord
    address: str = ""  # from where the request comes; empty: not known


Principal = Anonymous | KeyHolder

ANONYMOUS: Final = Anonymous()
