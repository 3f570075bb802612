"""XML: what is read, what is refused, and what is written."""

import xml.etree.ElementTree as ElementTree

import pytest

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.xml import (
    NAMESPACE,
    CompletedPart,
    DeleteRequest,
    document,
    escape,
    read_complete,
    read_delete,
    url_encoded,
)


def delete(*objects: str, quiet: str = "") -> bytes:
    return f'<Delete xmlns="{NAMESPACE}">{quiet}{"".join(objects)}</Delete>'.encode()


def named(key: str, more: str = "") -> str:
    return f"<Object><Key>{key}</Key>{more}</Object>"


def complete(*parts: str) -> bytes:
    return f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()


def part(number: object, etag: str = "&quot;aa&quot;", more: str = "") -> str:
    return f"<Part><ETag>{etag}</ETag><PartNumber>{number}</PartNumber>{more}</Part>"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (delete(named("a")), DeleteRequest([b"a"])),
        (delete(named("a"), named("a"), quiet="<Quiet>true</Quiet>"), DeleteRequest([b"a", b"a"], True)),
        (delete(named("a"), quiet="<Quiet>false</Quiet>"), DeleteRequest([b"a"])),
        (delete(named(" a&amp;b&lt;&#13;&#x61; ")), DeleteRequest([b" a&b<\ra "])),
        (delete(named("<![CDATA[<&]]>")), DeleteRequest([b"<&"])),
        (delete(named("gr\u00fcn/\U0001f98a")), DeleteRequest(["gr\u00fcn/\U0001f98a".encode()])),
        (delete(named("a", "<VersionId>null</VersionId>")), DeleteRequest([b"a"])),
        (delete("\n  <!-- a comment -->", named("a"), "\n"), DeleteRequest([b"a"])),
        (b'<?xml version="1.0" encoding="UTF-8"?>\n' + delete(named("../../a")), DeleteRequest([b"../../a"])),
        (delete(*[named(str(i)) for i in range(1000)]), DeleteRequest([str(i).encode() for i in range(1000)])),
        (delete(named("k" * 1024)), DeleteRequest([b"k" * 1024])),
    ],
)
def test_deletes(body, expected):
    assert read_delete(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (complete(part(1)), [CompletedPart(1, "aa")]),
        (complete(part(1, "aa"), part(10000, '"bb"')), [CompletedPart(1, "aa"), CompletedPart(10000, "bb")]),
        (complete(part(" 7 ", " aa ")), [CompletedPart(7, "aa")]),
        (
            complete(part(1, more="<ChecksumCRC32>AAAAAA==</ChecksumCRC32>")),
            [CompletedPart(1, "aa", {"CRC32": "AAAAAA=="})],
        ),
        (complete(*[part(i) for i in range(1, 10001)]), [CompletedPart(i, "aa") for i in range(1, 10001)]),
    ],
)
def test_completions(body, expected):
    assert read_complete(body) == expected


ELEMENTS = [
    ("Name", "photos"),
    ("Count", 3),
    ("Truncated", False),
    ("Quiet", True),
    ("Key", "grün".encode()),
    ("Contents", [("Key", "a&b<c>\"d'\r\n\t"), ("Owner", (("ID", ""),))]),
    ("Contents", ()),
]


def test_documents_are_read_back_as_they_were_written():
    body = document("ListBucketResult", ELEMENTS)
    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3')
    root = ElementTree.fromstring(body)
    assert root.tag == f"{{{NAMESPACE}}}ListBucketResult"
    assert [(child.tag.partition("}")[2], child.text) for child in root] == [
        ("Name", "photos"),
        ("Count", "3"),
        ("Truncated", "false"),
        ("Quiet", "true"),
        ("Key", "grün"),
        ("Contents", None),
        ("Contents", None),
    ]
    assert root[5][0].text == "a&b<c>\"d'\r\n\t"


def test_without_a_namespace():
    assert document("Error", [("Code", "X")], None).endswith(b"\n<Error><Code>X</Code></Error>")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain grün", "plain grün"),
        ("<a>&\"'", "&lt;a&gt;&amp;&quot;'"),
        ("\r\n\x00\x1f\x7f\uffff", "&#xD;&#xA;&#x0;&#x1F;&#x7F;&#xFFFF;"),
        ("]]>", "]]&gt;"),
    ],
)
def test_escapes(text, escaped):
    assert escape(text) == escaped
    assert document("A", [("B", text)]).decode().endswith(f"<B>{escaped}</B></A>")


@pytest.mark.parametrize(
    ("name", "encoded"),
    [(b"a/b c+d", "a/b%20c%2Bd"), ("ü\x01".encode(), "%C3%BC%01"), (b"-._~&<", "-._~%26%3C"), (b"\xff", "%FF")],
)
def test_url_encoding(name, encoded):
    assert url_encoded(name) == encoded


def test_an_unknown_element_is_named():
    with pytest.raises(S3Error, match="Delete/Object/Colour"):
        read_delete(delete(named("a", "<Colour>red</Colour>")))
