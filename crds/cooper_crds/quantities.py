"""Kubernetes quantities (`2Gi`) as bytes, and durations (`24h`) as seconds. Pure text and numbers."""

import math
import re
from decimal import Decimal
from typing import Final

# "<suffix> ::= <binarySI> | <decimalExponent> | <decimalSI>" (apimachinery, resource.Quantity). Sizes here are bytes,
# so the fractional suffixes (n, u, m) and exponents are left out.
_UNITS: Final = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
    "Pi": 1 << 50,
}
_BINARY: Final = ("Pi", "Ti", "Gi", "Mi", "Ki")
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}

#: A size, as a JSON schema can say it.
QUANTITY_PATTERN: Final = r"^[0-9]{1,19}(\.[0-9]{1,9})?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
#: What is said of what is none.
NO_QUANTITY: Final = "must be a size such as 500, 10M or 2Gi"
#: Longest text of a size.
MAX_QUANTITY_TEXT: Final = 31
#: A duration of hours, minutes and seconds, as a JSON schema can say it. What has more hours, CEL cannot read.
DURATION_PATTERN: Final = r"^([0-9]{1,6}h)?([0-9]{1,7}m)?([0-9]{1,7}s)?$"
#: What is said of what is none.
NO_DURATION: Final = "must be a duration such as 24h, 1h30m or 45s"
#: Longest text of a duration.
MAX_DURATION_TEXT: Final = 23

_QUANTITY = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,9})?)(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,7})s)?")


def parse_quantity(text: str) -> int:
    """Bytes of a Kubernetes quantity such as `2Gi`, `1.5Mi` or `500`. Raises ValueError with the reason.

    A part of a byte counts as a whole one, as in Kubernetes ("Value returns the unscaled value of q rounded up to the
    nearest integer away from 0").
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(NO_QUANTITY)
    number, unit = match.groups(default="")
    return math.ceil(Decimal(number) * _UNITS[unit])


def format_quantity(size: int) -> str:
    """Bytes as a quantity, exactly: `2147483648` is `2Gi`, what no binary unit divides stays a plain number."""
    for unit in _BINARY:
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


def format_rounded(size: int) -> str:
    """Bytes as a quantity of three digits, for people: 73505177 is `70.1Mi`. What was rounded once stays as it is."""
    for unit in _BINARY:
        number = size / _UNITS[unit]
        if number >= 0.9995:  # what rounds to 1024 of the next smaller unit is one of this
            digits = 2 if number < 9.995 else 1 if number < 99.95 else 0
            text = f"{number:.{digits}f}"
            return f"{text.rstrip('0').rstrip('.') if digits else text}{unit}"
    return str(size)


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `24h`, `1h30m` or `45s`. Raises ValueError with the reason."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(NO_DURATION)
    return float(sum(int(part or 0) * seconds for part, seconds in zip(match.groups(), _SECONDS.values(), strict=True)))


def format_duration(seconds: float) -> str:
    """Seconds as a duration, with no unit that is zero: 86400 is `24h`. Parts of a second are dropped."""
    left, parts = int(seconds), ""
    for unit, length in _SECONDS.items():
        count, left = divmod(left, length)
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"
