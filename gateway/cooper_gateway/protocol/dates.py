"""Dates of the S3 protocol, as text and as Unix seconds."""

import re
from calendar import timegm
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

_AMZ_DATE: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_ISO_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z")
_AMZ_DATE_LENGTH: Final = len("YYYYMMDDTHHMMSSZ")


def parse_amz_date(text: str | None) -> int | None:
    """Unix seconds of `YYYYMMDDTHHMMSSZ`, or None when it is not such a date."""
    return None if text is None or len(text) != _AMZ_DATE_LENGTH else _parse_amz_date(text)


@lru_cache(1024)  # many requests are signed in the same second
def _parse_amz_date(text: str) -> int | None:
    match = _AMZ_DATE.fullmatch(text)
    if match is None:
        return None
    try:
        return timegm(datetime(*map(int, match.groups()), tzinfo=UTC).utctimetuple())  # type: ignore[arg-type]
    except ValueError:
        return None


def parse_iso_date(text: str) -> float | None:
    """Unix seconds of `YYYY-MM-DDTHH:MM:SS[.fraction]Z`, or None when it is not such a date."""
    match = _ISO_DATE.fullmatch(text)
    if match is None:
        return None
    *parts, fraction = match.groups()
    try:
        whole = timegm(datetime(*map(int, parts), tzinfo=UTC).utctimetuple())  # type: ignore[arg-type]
    except ValueError:
        return None
    return whole + float(f"0.{fraction or 0}")


def to_amz_date(seconds: int | None) -> str | None:
    """`YYYYMMDDTHHMMSSZ` of Unix seconds; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def parse_http_date(text: str) -> int | None:
    """Unix seconds of an HTTP date (RFC 9110, 5.6.7), or None when it is not one."""
    try:
        moment = parsedate_to_datetime(text)
        return timegm(moment.utctimetuple())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def to_http_date(seconds: float) -> str:
    """The IMF-fixdate (RFC 9110, 5.6.7) of Unix seconds, for Last-Modified and Date."""
    return _http_date(int(seconds))


def to_timestamp(milliseconds: int) -> str:
    """`2006-02-03T16:45:09.000Z` of Unix milliseconds, as S3's XML has it."""
    return f"{_iso_seconds(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(4096)
def _http_date(seconds: int) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[moment.month - 1]
    return f"{day}, {moment.day:02d} {month} {moment.year:04d} {moment:%H:%M:%S} GMT"


@lru_cache(4096)
def _iso_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
