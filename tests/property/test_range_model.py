"""Ranges against a model that counts bytes one by one."""

from hypothesis import given
from hypothesis import strategies as st

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.ranges import parse_range

NUMBERS = st.none() | st.integers(0, 30)


def model(first: int | None, last: int | None, size: int) -> list[int] | None:
    """The positions asked for; None when the header means nothing."""
    if first is None and last is None:
        return None
    if first is None:
        return [position for position in range(size) if position >= size - (last or 0)]
    if last is not None and last < first:
        return None
    return [position for position in range(size) if position >= first and (last is None or position <= last)]


@given(NUMBERS, NUMBERS, st.integers(0, 25))
def test_ranges_are_those_of_the_model(first, last, size):
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    expected = model(first, last, size)
    try:
        found = parse_range(header, size)
    except S3Error as error:
        assert (error.code, error.headers) == ("InvalidRange", {"Content-Range": f"bytes */{size}"})
        assert expected == []
        return
    assert (None if found is None else list(range(*found))) == expected


@given(st.text(max_size=30), st.integers(0, 25))
def test_any_text_is_a_range_or_ignored_or_out_of_range(header, size):
    for text in (header, "bytes=" + header):
        try:
            found = parse_range(text, size)
        except S3Error as error:
            assert error.code == "InvalidRange"
        else:
            assert found is None or 0 <= found[0] < found[1] <= size
