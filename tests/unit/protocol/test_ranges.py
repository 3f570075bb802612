"""Ranges and conditions of reads."""

import pytest

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.ranges import evaluate_conditions, parse_range, range_still_holds

UNSATISFIABLE = "416"


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        (None, 10, None),
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=0-9", 10, (0, 10)),
        ("bytes=2-5", 10, (2, 6)),
        ("bytes=2-", 10, (2, 10)),
        ("bytes=2-99999999999999999", 10, (2, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-30", 10, (0, 10)),
        ("Bytes = 2 - 5 ", 10, (2, 6)),
        ("bytes=9-", 10, (9, 10)),
        ("bytes=10-", 10, UNSATISFIABLE),
        ("bytes=10-20", 10, UNSATISFIABLE),
        ("bytes=-0", 10, UNSATISFIABLE),
        ("bytes=0-", 0, UNSATISFIABLE),
        ("bytes=0-0", 0, UNSATISFIABLE),
        ("bytes=-1", 0, UNSATISFIABLE),
        ("bytes=5-2", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("bytes=-", 10, None),
        ("bytes=", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=1", 10, None),
        ("bytes=--1", 10, None),
        ("bytes=1--1", 10, None),
        ("bytes=+1-2", 10, None),
        ("bytes=\u0661-2", 10, None),
        ("bytes=99999999999999999999999999-", 10, UNSATISFIABLE),
        ("bytes=0-99999999999999999999999999", 10, (0, 10)),
        ("bytes=-99999999999999999999999999", 10, (0, 10)),
        ("bytes=00000000000000000000000001-2", 10, (1, 3)),
        ("items=0-1", 10, None),
        ("", 10, None),
    ],
)
def test_ranges(header, size, expected):
    if expected == UNSATISFIABLE:
        with pytest.raises(S3Error) as caught:
            parse_range(header, size)
        assert caught.value.code == "InvalidRange"
        assert caught.value.headers == {"Content-Range": f"bytes */{size}"}
    else:
        assert parse_range(header, size) == expected


ETAG = "9b2cf535f27731c974343645a3985328"
MODIFIED = 1_800_000_000_900  # Fri, 15 Jan 2027 08:00:00.900 GMT
THEN = "Fri, 15 Jan 2027 08:00:00 GMT"
BEFORE = "Fri, 15 Jan 2027 07:59:59 GMT"
AFTER = "Fri, 15 Jan 2027 08:00:01 GMT"
MATCH, NONE, SINCE, UNTIL = "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"

CONDITIONS = [
    ({}, None),
    ({MATCH: f'"{ETAG}"'}, None),
    ({MATCH: ETAG}, None),
    ({MATCH: f'"other", "{ETAG}"'}, None),
    ({MATCH: "*"}, None),
    ({MATCH: '"other"'}, 412),
    ({MATCH: f'W/"{ETAG}"'}, 412),
    ({MATCH: ""}, 412),
    ({NONE: f'"{ETAG}"'}, 304),
    ({NONE: f'W/"{ETAG}"'}, 304),
    ({NONE: "*"}, 304),
    ({NONE: '"other"'}, None),
    ({SINCE: THEN}, 304),
    ({SINCE: AFTER}, 304),
    ({SINCE: BEFORE}, None),
    ({SINCE: "yesterday"}, None),
    ({UNTIL: THEN}, None),
    ({UNTIL: AFTER}, None),
    ({UNTIL: BEFORE}, 412),
    ({UNTIL: "yesterday"}, None),
    # RFC 9110, 13.2.2: the tags are judged, and the dates beside them are not.
    ({MATCH: f'"{ETAG}"', UNTIL: BEFORE}, None),
    ({NONE: '"other"', SINCE: AFTER}, None),
    ({MATCH: '"other"', NONE: f'"{ETAG}"'}, 412),
    ({MATCH: f'"{ETAG}"', NONE: f'"{ETAG}"'}, 304),
    ({UNTIL: THEN, SINCE: THEN}, 304),
]


@pytest.mark.parametrize(("headers", "expected"), CONDITIONS)
def test_conditions(headers, expected):
    assert evaluate_conditions(headers, ETAG, MODIFIED) == expected


@pytest.mark.parametrize(("headers", "expected"), CONDITIONS)
def test_conditions_on_a_copys_source(headers, expected):
    prefixed = {f"x-amz-copy-source-{name}": value for name, value in headers.items()}
    assert evaluate_conditions(prefixed, ETAG, MODIFIED, "x-amz-copy-source-") == (expected and 412)
    assert evaluate_conditions(prefixed, ETAG, MODIFIED) is None


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (None, True),
        (f'"{ETAG}"', True),
        (f'W/"{ETAG}"', False),
        ('"other"', False),
        (THEN, True),
        (BEFORE, False),
        (AFTER, False),
        ("nonsense", False),
    ],
)
def test_if_range(condition, holds):
    headers = {} if condition is None else {"if-range": condition}
    assert range_still_holds(headers, ETAG, MODIFIED) is holds
