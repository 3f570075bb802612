"""Listing sorted names with a prefix and a delimiter, for the store in memory."""

import bisect
from collections.abc import Iterator, Sequence


def after_prefix(prefix: bytes) -> bytes | None:
    """The least name greater than every name that begins with `prefix`; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None


def common_prefix(name: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    """`name` up to and with the first delimiter after `prefix`, or None when it is listed by itself."""
    at = name.find(delimiter, len(prefix)) if delimiter else -1
    return name[: at + len(delimiter)] if at >= 0 else None


def _first_after(names: Sequence[bytes], prefix: bytes, delimiter: bytes, after: bytes) -> int:
    """Index of the first name of a page: greater than `after`, and past it when it is a common prefix."""
    if after.startswith(prefix) and common_prefix(after, prefix, delimiter) == after:
        past = after_prefix(after)
        return len(names) if past is None else bisect.bisect_left(names, past)
    return max(bisect.bisect_right(names, after), bisect.bisect_left(names, prefix))


def page_of(names: Sequence[bytes], prefix: bytes, delimiter: bytes, after: bytes) -> Iterator[tuple[bytes, bool]]:
    """Names and common prefixes in byte order after `after`; True marks a common prefix."""
    at = _first_after(names, prefix, delimiter, after)
    while at < len(names) and names[at].startswith(prefix):
        rolled = common_prefix(names[at], prefix, delimiter)
        yield (names[at], False) if rolled is None else (rolled, True)
        if rolled is None:
            at += 1
        else:
            past = after_prefix(rolled)
            at = len(names) if past is None else bisect.bisect_left(names, past, at)
