"""Forms as bytes: what is read of them, what is refused, and how little of it is kept."""

import pytest

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.post_form import (
    MAX_FIELDS,
    MAX_FORM,
    Form,
    FormFile,
    FormReader,
    as_headers,
    form_boundary,
    is_form,
    least_size,
)
from support.forms import BOUNDARY, FILE, Multipart

FIELDS = {"key": "photos/${filename}", "Content-Type": "image/png", "x-amz-meta-ü": "x"}


def read(body: bytes, step: int = 1 << 20, boundary: str = BOUNDARY) -> tuple[Form, bytes]:
    """The form and its file, fed in pieces. Raises S3Error."""
    reader = FormReader(boundary)
    for at in range(0, len(body), step):
        form = reader.feed(body[at : at + step])
        if form is not None:
            file = FormFile(boundary)
            rest = reader.rest + body[at + step :]
            assert form.before + len(rest) == len(body)
            found = [each for start in range(0, len(rest), step) for each in file.feed(rest[start : start + step])]
            file.finish()
            return form, b"".join(found)
    raise S3Error("IncompleteBody")


def refusal(body: bytes, boundary: str = BOUNDARY) -> str:
    """The code that a body is refused with, in whatever pieces it comes."""
    codes = set()
    for step in (1, 7, 1 << 20):
        with pytest.raises(S3Error) as caught:
            read(body, step, boundary)
        codes.add(caught.value.code)
    assert len(codes) == 1
    return codes.pop()


@pytest.mark.parametrize("step", [1, 2, 3, 17, 100, 1 << 20])
@pytest.mark.parametrize("file", [b"", FILE, b"\r\n", b"\r\n--", f"\r\n--{BOUNDARY}"[:-1].encode(), b"\r" * 500])
def test_a_form_comes_in_any_pieces(step: int, file: bytes) -> None:
    body = Multipart({"key": "a/${filename}", "Content-Type": "image/png"}, file, after=[("submit", "Upload")])
    form, found = read(bytes(body), step)
    assert form.fields == {"key": "a/cat.png", "content-type": "image/png"}
    assert found == file


@pytest.mark.parametrize("boundary", ["x", "a b", "'()+_,-./:=?", "0" * 70])
def test_boundaries(boundary: str) -> None:
    assert read(bytes(Multipart({"key": "a"}, boundary=boundary)), 3, boundary)[1] == FILE
    assert form_boundary(f'multipart/form-data; charset=UTF-8; boundary="{boundary}"') == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=a; boundary=a",
        "multipart/form-data; boundary=a; Boundary=b",
        "multipart/form-data; boundary=" + "a" * 71,
        'multipart/form-data; boundary="a "',
        'multipart/form-data; boundary="a\r\nb"',
        'multipart/form-data; boundary="a',
        'multipart/form-data; boundary="a"b',
        "multipart/form-data; boundary=ü",
        "multipart/form-data; boundary a",
    ],
)
def test_no_boundary(content_type: str) -> None:
    assert is_form(content_type)
    with pytest.raises(S3Error) as caught:
        form_boundary(content_type)
    assert caught.value.code == "MalformedPOSTRequest"


def test_what_is_a_form() -> None:
    assert is_form("Multipart/Form-Data;boundary=x")
    assert not any(map(is_form, ("", "multipart/form-data-x", "multipart/mixed; boundary=x", "text/plain")))


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('form-data; name="file"; filename="cat.png"', "cat.png"),
        ('form-data; filename="cat.png"; name="file"', "cat.png"),
        ('FORM-DATA; NAME="FILE"; FileName=cat.png', "cat.png"),
        ('form-data; name="file"; filename="C:\\Program Files\\directory1\\cat.png"', "cat.png"),
        ('form-data; name="file"; filename="/tmp/../etc/cat.png"', "cat.png"),
        ('form-data; name="file"; filename="a \\"b\\".png"', 'a "b".png'),
        ('form-data; name="file"; filename="a\\\\b.png"', "b.png"),
        ('form-data; name="file"; filename="kätzchen;=.png"', "kätzchen;=.png"),
        ('form-data; name="file"; filename=".."', ".."),
        ('form-data; name="file"; filename="a/"', ""),
        ('form-data; name="file"; filename=""', ""),
        ('form-data; name="file"', ""),
        ("form-data; name=\"file\"; filename*=utf-8''a.png", ""),
    ],
)
def test_the_files_name(disposition: str, filename: str) -> None:
    body = Multipart({"key": "x/${filename}", "x-amz-meta-name": "${filename}${filename}"}, None, end=b"\r\n")
    whole = bytes(body) + f"Content-Disposition: {disposition}\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode()
    form, _ = read(whole, 5)
    assert form.fields == {"key": f"x/{filename}", "x-amz-meta-name": filename * 2}


#: What is wrong -> the body, and its code.
B = f"--{BOUNDARY}".encode()
HEAD = B + b'\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
REFUSED: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", "IncompleteBody"),
    "something before it": (b"preamble\r\n" + bytes(Multipart({"key": "a"})), "MalformedPOSTRequest"),
    "another boundary": (bytes(Multipart({"key": "a"}, boundary="other")), "IncompleteBody"),
    "line feeds alone": (bytes(Multipart({"key": "a"})).replace(b"\r\n", b"\n"), "MalformedPOSTRequest"),
    "no file": (bytes(Multipart({"key": "a"}, None)), "InvalidArgument"),
    "nothing in it": (B + b"--\r\n", "InvalidArgument"),
    "a field twice": (bytes(Multipart([("key", "a"), ("key", "b")])), "InvalidArgument"),
    "a field twice in another case": (bytes(Multipart([("key", "a"), ("Key", "b")])), "InvalidArgument"),
    "too many fields": (bytes(Multipart([(f"f{n}", "") for n in range(MAX_FIELDS + 1)])), "InvalidArgument"),
    "a field too large": (bytes(Multipart({"key": "k" * MAX_FORM})), "MaxPostPreDataLengthExceededError"),
    "headers too large": (
        B + b'\r\nContent-Disposition: form-data; name="key"\r\nA: ' + b"a" * MAX_FORM,
        "MaxPostPreDataLengthExceededError",
    ),
    "a long way to the boundary": (b"x" * (MAX_FORM + 1), "MaxPostPreDataLengthExceededError"),
    "a file's name that grows": (
        bytes(Multipart({"key": "${filename}" * 1000}, filename="f" * 1000)),
        "InvalidArgument",
    ),
    "not UTF-8": (bytes(Multipart([("key", b"a\xff")])), "InvalidArgument"),
    "a name that is not ASCII": (bytes(Multipart({"schlüssel": "a"})), "MalformedPOSTRequest"),
    "a name in another alphabet's letters": (bytes(Multipart({"\u212aey": "a"})), "MalformedPOSTRequest"),
    "no name": (bytes(Multipart({"": "a"})), "MalformedPOSTRequest"),
    "a name twice": (HEAD.replace(b'"\r', b'"; name="key"\r') + b"x\r\n" + B + b"--", "MalformedPOSTRequest"),
    "no disposition": (B + b"\r\nContent-Type: a\r\n\r\nx\r\n" + B + b"--\r\n", "MalformedPOSTRequest"),
    "no headers": (B + b"\r\n\r\nx\r\n\r\n" + B + b"--\r\n", "MalformedPOSTRequest"),
    "an attachment": (HEAD.replace(b"form-data", b"attachment") + b"x\r\n" + B + b"--", "MalformedPOSTRequest"),
    "a disposition twice": (
        B + b'\r\nContent-Disposition: form-data; name="file"' * 2 + b"\r\n\r\nx\r\n" + B + b"--",
        "MalformedPOSTRequest",
    ),
    "a folded header": (
        HEAD.replace(b"form-data; ", b"form-data;\r\n ") + b"x\r\n" + B + b"--",
        "MalformedPOSTRequest",
    ),
    "a header with a bare line feed": (
        HEAD.replace(b"form-data", b"form-data\nX: y") + b"x\r\n" + B + b"--",
        "MalformedPOSTRequest",
    ),
    "a quote that does not end": (HEAD.replace(b'"file"', b'"file') + b"x\r\n" + B + b"--", "MalformedPOSTRequest"),
    "base64": (
        HEAD.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n") + b"eA==\r\n" + B + b"--",
        "MalformedPOSTRequest",
    ),
    "the boundary in a field": (bytes(Multipart({"key": f"a\r\n--{BOUNDARY}b"})), "MalformedPOSTRequest"),
    "the boundary in the file": (bytes(Multipart({}, b"a\r\n" + B + b"b")), "MalformedPOSTRequest"),
    "a space behind the boundary": (B + b" " + HEAD[len(B) :] + b"x\r\n" + B + b"--", "MalformedPOSTRequest"),
    "it ends within the file": (HEAD + b"x", "IncompleteBody"),
    "it ends within the boundary": (HEAD + b"x\r\n" + B[:-1], "IncompleteBody"),
    "no final boundary": (HEAD + b"x\r\n" + B, "MalformedPOSTRequest"),
    "half a final boundary": (HEAD + b"x\r\n" + B + b"-", "MalformedPOSTRequest"),
    "no final boundary after a field": (
        bytes(Multipart({}, after=[("a", "b")], end=b"\r\n")),
        "MalformedPOSTRequest",
    ),
    "something after the end": (bytes(Multipart({})) + b"GET / HTTP/1.1\r\n\r\n", "MalformedPOSTRequest"),
    "another form after the end": (bytes(Multipart({})) * 2, "MalformedPOSTRequest"),
    "much after the file": (bytes(Multipart({}, after=[("a", "a" * MAX_FORM)])), "MalformedPOSTRequest"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_form(case: str) -> None:
    body, code = REFUSED[case]
    assert refusal(body) == code


def test_what_comes_before_the_file_may_be_just_so_large() -> None:
    other = len(bytes(Multipart({"key": ""}, None, end=b"\r\n")))
    file = len(b'Content-Disposition: form-data; name="file"\r\n\r\n')
    head = b'Content-Disposition: form-data; name="file"\r\n\r\n' + b"x\r\n" + B + b"--"
    exact = MAX_FORM - other - file
    for size, fits in ((exact, True), (exact + 1, False)):
        body = bytes(Multipart({"key": "k" * size}, None, end=b"\r\n")) + head
        if fits:
            assert read(body, 1000)[0].before == MAX_FORM
        else:
            assert refusal(body) == "MaxPostPreDataLengthExceededError"


def test_of_a_file_nothing_is_kept() -> None:
    file = FormFile(BOUNDARY)
    for piece in (b"x" * 100_000, b"\r\n--" * 10_000, b"\r" * 1000):
        taken = sum(map(len, file.feed(piece)))
        assert taken >= len(piece) - len(BOUNDARY) - 4
        assert len(file._held) <= len(BOUNDARY) + 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("least", "most", "code"),
    [(len(FILE), len(FILE), ""), (0, None, ""), (len(FILE) + 1, None, "EntityTooSmall"), (0, 5, "EntityTooLarge")],
)
def test_a_files_size(least: int, most: int | None, code: str) -> None:
    def run() -> bytes:
        file = FormFile(BOUNDARY, least, most)
        found = [piece for byte in FILE + b"\r\n" + B + b"--" for piece in file.feed(bytes((byte,)))]
        assert most is None or sum(map(len, found)) <= most
        file.finish()
        return b"".join(found)

    if not code:
        assert run() == FILE
        return
    with pytest.raises(S3Error) as caught:
        run()
    assert caught.value.code == code


def test_a_file_that_is_too_large_is_told_before_it_ends() -> None:
    file = FormFile(BOUNDARY, 0, 1000)
    with pytest.raises(S3Error) as caught:
        file.feed(b"x" * 1001)
    assert caught.value.code == "EntityTooLarge"


def test_the_least_that_a_file_can_have() -> None:
    form, _ = read(bytes(Multipart({"key": "a"})))
    assert least_size(form, form.before + 10) == 0
    assert least_size(form, form.before + MAX_FORM + 10) == 10


def test_a_form_that_is_logged_tells_no_signature() -> None:
    assert "signed" not in repr(read(bytes(Multipart({"x-amz-signature": "signed"})))[0])


def test_fields_that_stand_for_headers() -> None:
    fields = {
        "key": "a",
        "content-type": "image/png",
        "content-md5": "AAAA",
        "x-amz-meta-name": "ü",
        "x-amz-checksum-crc32": "AAAAAA==",
        "acl": "public-read",
        "x-amz-storage-class": "GLACIER",
        "x-amz-copy-source": "theirs/x",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "if-match": "*",
        "host": "evil",
        "x-cooper-content": "closed",
    }
    assert as_headers(fields) == {
        "content-type": "image/png",
        "content-md5": "AAAA",
        "x-amz-meta-name": "Ã¼",
        "x-amz-checksum-crc32": "AAAAAA==",
    }


@pytest.mark.parametrize("name", ["x-amz-meta-a b", "x-amz-meta-a:b", "x-amz-meta-(a)", 'x-amz-meta-"'])
def test_a_field_whose_name_is_no_headers_name(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        as_headers({name: "x"})
    assert caught.value.code == "InvalidArgument"
