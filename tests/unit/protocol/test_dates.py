"""Dates as texts."""

import pytest

from cooper_gateway.protocol.dates import parse_amz_date, parse_http_date, to_amz_date, to_http_date, to_timestamp


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20270115T080000Z", 1_800_000_000),
        ("19700101T000000Z", 0),
        ("20270230T080000Z", None),
        ("20270115T240000Z", None),
        ("20270115T080000", None),
        ("20270115T080000Z\n", None),
        ("2027-01-15T08:00:00Z", None),
        ("\u06620270115T080000Z", None),
        ("", None),
        (None, None),
    ],
)
def test_amz_dates(text, seconds):
    assert parse_amz_date(text) == seconds
    if seconds is not None:
        assert to_amz_date(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", 1_800_000_000),
        ("Fri, 15 Jan 2027 08:00:00 +0000", 1_800_000_000),
        ("Fri, 15 Jan 2027 10:00:00 +0200", 1_800_000_000),
        ("Friday, 15-Jan-27 08:00:00 GMT", 1_800_000_000),
        ("yesterday", None),
        ("", None),
        ("Fri, 99 Jan 2027 08:00:00 GMT", None),
        ("Fri, 15 Jan 99999999 08:00:00 GMT", None),
    ],
)
def test_http_dates(text, seconds):
    assert parse_http_date(text) == seconds


def test_written_dates():
    assert to_http_date(1_800_000_000.9) == "Fri, 15 Jan 2027 08:00:00 GMT"
    assert to_timestamp(1_800_000_000_007) == "2027-01-15T08:00:00.007Z"
    assert to_amz_date(None) is None
