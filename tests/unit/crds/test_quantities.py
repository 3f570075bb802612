import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooper_crds.quantities import (
    DURATION_PATTERN,
    QUANTITY_PATTERN,
    format_duration,
    format_quantity,
    format_rounded,
    parse_duration,
    parse_quantity,
)
from support.structural import value_problems


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("500", 500), ("1k", 1000), ("10M", 10_000_000), ("2Gi", 2 << 30), ("1.5Mi", 3 << 19),
        ("0.5Ki", 512), ("0.5", 1), ("1.0001k", 1001),
        ("5Ti", 5 << 40), ("1P", 10**15), ("1Pi", 1 << 50), ("00012", 12),
    ],
)  # fmt: skip
def test_sizes(text, size):
    assert parse_quantity(text) == size
    assert list(value_problems({"type": "string", "pattern": QUANTITY_PATTERN}, text, "")) == []


BAD_SIZES = [
    "",
    "Gi",
    "-1",
    "+1",
    "1 Gi",
    "2GiB",
    "1e3",
    "100m",
    "1.",
    ".5",
    "１",
    "1\n",
    "0x10",
    "9" * 20,
    "nan",
    "1K",
]


@pytest.mark.parametrize("text", BAD_SIZES)
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="must be a size such as 500, 10M or 2Gi"):
        parse_quantity(text)
    assert list(value_problems({"type": "string", "pattern": QUANTITY_PATTERN}, text, ""))


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (1, "1"),
        (1000, "1000"),
        (1024, "1Ki"),
        (1536, "1536"),
        (2 << 30, "2Gi"),
        (5 << 40, "5Ti"),
        (3 << 50, "3Pi"),
    ],
)
def test_sizes_are_written_in_the_largest_unit_that_divides(size, text):
    assert format_quantity(size) == text


@given(st.integers(min_value=0, max_value=10**18))
def test_a_size_comes_back(size):
    assert parse_quantity(format_quantity(size)) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"), (7, "7"), (1000, "1000"), (1023, "1023"), (1024, "1Ki"), (1100, "1.07Ki"), (10_300, "10.1Ki"),
        (1023 << 10, "1023Ki"), ((1 << 20) - 1, "1Mi"), (73_505_177, "70.1Mi"), (100 << 20, "100Mi"),
        (3 << 29, "1.5Gi"), (999 << 30, "999Gi"), (5 << 40, "5Ti"), (1 << 63, "8192Pi"),
    ],
)  # fmt: skip
def test_a_size_for_people_has_three_digits(size, text):
    assert format_rounded(size) == text


@given(st.integers(min_value=0, max_value=1 << 63))
def test_a_rounded_size_is_near_and_stays_as_it_is(size):
    text = format_rounded(size)
    assert list(value_problems({"type": "string", "pattern": QUANTITY_PATTERN}, text, "")) == []
    assert abs(parse_quantity(text) - size) <= size * 0.005 + 1
    assert format_rounded(parse_quantity(text)) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86400), ("1h30m", 5400), ("45s", 45), ("0s", 0), ("90m", 5400), ("1h0m1s", 3601)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds
    assert list(value_problems({"type": "string", "pattern": DURATION_PATTERN}, text, "")) == []


@pytest.mark.parametrize(
    "text", ["", "5", "1d", "-1h", "1m1h", "1h1h", "1.5h", "1h ", "h", "1h\n", "12345678s", "1234567h"]
)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="must be a duration such as 24h, 1h30m or 45s"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_a_duration_comes_back(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


def test_durations_are_written_without_empty_units():
    assert [format_duration(seconds) for seconds in (0, 45, 86400, 5400, 3601.9)] == [
        "0s",
        "45s",
        "24h",
        "1h30m",
        "1h1s",
    ]
