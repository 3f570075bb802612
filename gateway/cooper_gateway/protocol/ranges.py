"""Ranges and conditions of reads (RFC 9110, sections 13 and 14): pure functions of headers and an object's facts."""

from collections.abc import Mapping
from typing import Final

from cooper_gateway.protocol.dates import parse_http_date
from cooper_gateway.protocol.errors import S3Error

_BLANKS: Final = " \t"
#: No object has so many bytes, however many digits a number has.
_BEYOND: Final = 10**19


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Start (inclusive) and end (exclusive) that a Range header asks of an object; None: send all of it.

    What is malformed, of another unit, or several ranges at once is ignored ("A server MAY ignore the Range header
    field", RFC 9110, 14.2), as Amazon S3 does. Raises S3Error InvalidRange when no byte can be sent.
    """
    # By hand, in one pass: in a pattern with optional blanks, a header of blanks can be matched in too many ways.
    unit, equals, spec = (header or "").partition("=")
    first, dash, last = (each.strip(_BLANKS) for each in spec.partition("-"))
    if unit.strip(_BLANKS).lower() != "bytes" or not (equals and dash and _is_number(first) and _is_number(last)):
        return None
    if first:
        start = _number(first)
        end = _number(last) + 1 if last else size
        if end <= start and last:  # "An int-range is invalid if the last-pos value is present and less than first-pos"
            return None
    elif last:
        start = max(0, size - _number(last))
        end = size if _number(last) else start
    else:
        return None
    end = min(end, size)
    if start >= end:
        raise S3Error(
            "InvalidRange",
            f"The range {header:.64} lies outside of the object's {size} bytes.",
            {"RangeRequested": (header or "")[:64], "ActualObjectSize": str(size)},
            Content_Range=f"bytes */{size}",
        )
    return start, end


def _is_number(text: str) -> bool:
    """Digits, or nothing."""
    return not text or (text.isascii() and text.isdigit())


def _number(digits: str) -> int:
    significant = digits.lstrip("0")
    return _BEYOND if len(significant) > 19 else int(significant or "0")


def range_still_holds(headers: Mapping[str, str], etag: str, modified: int) -> bool:
    """Whether If-Range lets the Range apply (RFC 9110, 13.1.5). `etag` without quotes, `modified` in Unix ms."""
    condition = headers.get("if-range")
    if condition is None:
        return True
    condition = condition.strip()
    if condition.startswith(('"', "W/")):  # only strong tags may match; ours are
        return condition == f'"{etag}"'
    return parse_http_date(condition) == modified // 1000


def evaluate_conditions(headers: Mapping[str, str], etag: str, modified: int, prefix: str = "") -> int | None:
    """Judge a read's conditions in the order of RFC 9110, 13.2.2: None (go on), 304 or 412.

    `etag` without quotes, `modified` in Unix milliseconds. With a `prefix` (`x-amz-copy-source-`) the conditions are on
    a copy's source, where a 304 makes no sense: every failure is a 412.
    """
    not_modified = 412 if prefix else 304
    if_match = headers.get(f"{prefix}if-match")
    unmodified_since = headers.get(f"{prefix}if-unmodified-since")
    none_match = headers.get(f"{prefix}if-none-match")
    modified_since = headers.get(f"{prefix}if-modified-since")
    if if_match is not None:
        if not etag_in(if_match, etag, weak=False):
            return 412
    elif unmodified_since is not None:
        limit = parse_http_date(unmodified_since)
        if limit is not None and modified // 1000 > limit:
            return 412
    if none_match is not None:
        if etag_in(none_match, etag, weak=True):
            return not_modified
    elif modified_since is not None:
        limit = parse_http_date(modified_since)
        if limit is not None and modified // 1000 <= limit:
            return not_modified
    return None


def entity_tag(value: str) -> str:
    """An ETag without its quotes, or `*`. In quotes a star is an ETag like any other (RFC 9110, 13.1.1): nobody's."""
    unquoted = value.strip('"')
    return value if unquoted == "*" else unquoted


def etag_in(header: str, etag: str, *, weak: bool) -> bool:
    """Whether a list of entity tags, or `*`, names this ETag. Amazon S3 takes tags without quotes, too."""
    if header.strip() == "*":
        return True
    for item in header.split(","):
        tag = item.strip()
        if tag.startswith("W/"):
            if not weak:
                continue
            tag = tag[2:]
        if tag.strip('"') == etag:
            return True
    return False
