"""Forms: however the network cuts them up, the same fields and the same file."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.post_form import FormFile, FormReader
from support.forms import Multipart

#: What a file may have in it: much of it is like the boundary's beginning.
BYTES = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--", b"\r\n--b", b"b", b"x"]), max_size=40).map(
    b"".join
)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.sampled_from(["key", "acl", "Content-Type", "x-amz-meta-a", "x-amz-meta-b", "policy"])
BOUNDARIES = st.sampled_from(["b", "bb", "b-", "--", "----b"])
CUTS = st.lists(st.integers(0, 5000), max_size=30)

Outcome = tuple[dict[str, str], bytes] | str


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def outcome(boundary: str, parts: list[bytes]) -> Outcome:
    """What is understood of a body in these pieces: fields and file, or an error's code."""
    reader, file = FormReader(boundary), FormFile(boundary)
    fields: dict[str, str] | None = None
    found = b""
    try:
        for part in parts:
            if fields is None:
                form = reader.feed(part)
                if form is None:
                    continue
                fields, part = dict(form.fields), reader.rest
            found += b"".join(file.feed(part))
        if fields is None:
            return "IncompleteBody"
        file.finish()
    except S3Error as error:
        return error.code
    return fields, found


@given(st.dictionaries(NAMES, VALUES, max_size=5), BYTES, BOUNDARIES, st.booleans(), CUTS)
def test_any_cutting_gives_the_same_form(
    fields: dict[str, str], file: bytes, boundary: str, more: bool, cuts: list[int]
) -> None:
    body = bytes(Multipart(fields, file, boundary=boundary, after=[("submit", "x")] if more else []))
    whole = outcome(boundary, [body])
    assert outcome(boundary, pieces(body, cuts)) == whole
    contents = [file, *(value.encode() for value in fields.values())]
    if not any(f"\r\n--{boundary}".encode() in b"\r\n" + each + b"\r\n--" for each in contents):
        expected = {name.lower(): value.replace("${filename}", "cat.png") for name, value in fields.items()}
        assert whole == (expected, file)


@given(BYTES, BYTES, BOUNDARIES, CUTS)
def test_any_cutting_of_any_bytes_gives_the_same_outcome(
    before: bytes, after: bytes, boundary: str, cuts: list[int]
) -> None:
    body = before + bytes(Multipart({"key": "a"}, before, boundary=boundary)) + after
    for data in (body, body[: len(body) // 2], bytes(Multipart({"key": "a"}, before, boundary=boundary))[:-1] + after):
        assert outcome(boundary, pieces(data, cuts)) == outcome(boundary, [data])
