"""When certificates are made anew. Pure.

An authority that is renewed is trusted together with the former one until that one's end, and what the former one
signed stays in use until its own time: clients that read the authorities once, as environment variables, have months to
read them again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

#: Seconds. How long each is good for, and which part of that has passed when it is made anew.
AUTHORITY_LIFE: Final = 10 * 365 * 86400.0
CERTIFICATE_LIFE: Final = 365 * 86400.0
_RENEWED_AFTER: Final = 2 / 3
#: A certificate is good from this long before it was made: the clocks of its clients may be behind.
BACKDATED: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a certificate says, whose key is there. Times are Unix seconds."""

    not_before: float
    not_after: float
    names: frozenset[str] = frozenset()
    trusted: bool = True  # signed by one of the authorities that clients are told of

    def renewed_from(self) -> float:
        """When it is to be made anew."""
        return self.not_before + _RENEWED_AFTER * (self.not_after - self.not_before)


def why_new_authority(found: Found | None, now: float) -> str:
    """Why an authority is to be made, in words; empty: the one that is there is good. None: there is none to read."""
    if found is None:
        return "there is none that can be read"
    return _age(found, now)


def why_new_certificate(found: Found | None, names: Collection[str], now: float) -> str:
    """The same of a certificate for these names."""
    if found is None:
        return "there is none that can be read"
    if not found.trusted:
        return "its authority is another one by now"
    if found.names != frozenset(names):
        return f"it is to be for {', '.join(names)}"
    return _age(found, now)


def _age(found: Found, now: float) -> str:
    if now < found.not_before:
        return "it is of the future, by this clock"
    return "two thirds of its life are over" if now >= found.renewed_from() else ""
