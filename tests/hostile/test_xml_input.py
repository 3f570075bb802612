"""XML made to break its reader: each row the right error, quickly."""

import time

import pytest

from cooper_gateway.protocol import xml
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.xml import MAX_DOCUMENT, read_complete, read_delete

OBJECT = "<Object><Key>a</Key></Object>"
PART = "<Part><PartNumber>%s</PartNumber><ETag>aa</ETag></Part>"
BILLION = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))


def delete(inner: str) -> str:
    return f"<Delete>{inner}</Delete>"


def complete(inner: str) -> str:
    return f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>"


DELETES = {
    "empty": "",
    "not XML": "a=b",
    "no end": "<Delete><Object>",
    "two roots": delete(OBJECT) * 2,
    "another root": f"<Remove>{OBJECT}</Remove>",
    "root in a prefix": f'<s3:Delete xmlns:s3="x">{OBJECT}</s3:Delete>',
    "DOCTYPE": "<!DOCTYPE Delete>" + delete(OBJECT),
    "external DOCTYPE": '<!DOCTYPE Delete SYSTEM "http://127.0.0.1/x.dtd">' + delete(OBJECT),
    "external entity": '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    + delete("<Object><Key>&x;</Key></Object>"),
    "billion laughs": f'<!DOCTYPE d [<!ENTITY a0 "lol">{BILLION}]>' + delete("<Object><Key>&a9;</Key></Object>"),
    "parameter entity": '<!DOCTYPE d [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]>' + delete(OBJECT),
    "undefined entity": delete("<Object><Key>&x;</Key></Object>"),
    "processing instruction": delete("<?php x ?>" + OBJECT),
    "stylesheet": '<?xml-stylesheet href="x"?>' + delete(OBJECT),
    "text between": delete("text" + OBJECT),
    "text in an object": delete("<Object>text<Key>a</Key></Object>"),
    "text at the end": delete(OBJECT + "text"),
    "depth": "<Delete>" + "<Object>" * 200_000,
    "an element in a key": delete("<Object><Key><b>a</b></Key></Object>"),
    "an unknown element": delete(OBJECT + "<Force>true</Force>"),
    "an unknown element in an object": delete("<Object><Key>a</Key><Force>true</Force></Object>"),
    "a key outside of an object": delete("<Key>a</Key>"),
    "two keys": delete("<Object><Key>a</Key><Key>b</Key></Object>"),
    "no key": delete("<Object></Object>"),
    "an empty key": delete("<Object><Key></Key></Object>"),
    "quiet twice": delete("<Quiet>true</Quiet><Quiet>false</Quiet>" + OBJECT),
    "no objects": delete(""),
    "1,001 objects": delete(OBJECT * 1001),
    "a NUL": delete("<Object><Key>a&#0;</Key></Object>"),
    "a raw control character": delete("<Object><Key>a\x01</Key></Object>"),
    "over 2 MiB": delete(OBJECT + " " * MAX_DOCUMENT),
    "over 2 MiB of comments": delete("<!-- -->" * (MAX_DOCUMENT // 8) + OBJECT),
}


@pytest.mark.parametrize("case", DELETES)
def test_deletes(case):
    began = time.perf_counter()
    with pytest.raises(S3Error) as caught:
        read_delete(DELETES[case].encode())
    assert caught.value.code == "MalformedXML"
    assert "root:" not in caught.value.message
    assert time.perf_counter() - began < 2


#: name -> a document of about 2 MiB, and how many elements of it may be looked at.
FLOODS = {
    "rows": ("<Object><Key>a</Key></Object>" * 70_000, 2 * xml.MAX_DELETES + 10),
    "empty rows": ("<Object/>" * 220_000, xml.MAX_DELETES + 10),
    "other elements": ("".join(f"<a{number}/>" for number in range(200_000)), 5),
    "other elements in an object": (
        "<Object>" + "".join(f"<a{number}/>" for number in range(200_000)) + "</Object>",
        5,
    ),
}


@pytest.mark.parametrize("case", FLOODS)
def test_a_flood_of_elements_is_refused_where_it_begins(case, monkeypatch):
    # Counted, not timed: parsing all of it would hold up every other client of the worker.
    inner, most = FLOODS[case]
    begun = []
    start = xml._Reader._start

    def counted(reader, name, attributes):
        begun.append(name)
        start(reader, name, attributes)

    monkeypatch.setattr(xml._Reader, "_start", counted)
    with pytest.raises(S3Error) as caught:
        read_delete(delete(inner).encode())
    assert caught.value.code == "MalformedXML"
    assert len(begun) <= most


#: Documents of about 2 MiB that consist of attributes, which S3's XML has none of.
ATTRIBUTES = {
    "of the root": "<Delete" + "".join(f' a{number}=""' for number in range(170_000)) + ">" + OBJECT + "</Delete>",
    "of an object": delete(
        "<Object" + "".join(f' a{number}=""' for number in range(170_000)) + "><Key>a</Key></Object>"
    ),
    "of the declaration": "<?xml version='1.0'" + " a=''" * 300_000 + "?>" + delete(OBJECT),
    "namespaces": "<Delete" + "".join(f' xmlns:a{number}=""' for number in range(120_000)) + ">" + OBJECT + "</Delete>",
    "with ends of tags in them": "<Delete"
    + "".join(f' a{number}=">"' for number in range(150_000))
    + ">"
    + OBJECT
    + "</Delete>",
    "in many tags": delete(("<Object" + "".join(f' a{number}=""' for number in range(1500)) + "/>") * 130),
    "in an endless tag": "<Delete" + " a=''" * 300_000,
    "of the last object": delete(OBJECT * 999 + "<Object" + " a=''" * 300_000 + "><Key>a</Key></Object>"),
}


@pytest.mark.parametrize("case", ATTRIBUTES)
def test_a_flood_of_attributes_is_refused_where_it_begins(case):
    document = ATTRIBUTES[case].encode()
    assert len(document) < MAX_DOCUMENT
    began = time.process_time()
    with pytest.raises(S3Error) as caught:
        read_delete(document)
    assert caught.value.code == "MalformedXML"
    assert time.process_time() - began < 0.03


@pytest.mark.parametrize(
    "attributes", ['xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', "xmlns='x' xmlns:xsi='y' xsi:a='b'"]
)
def test_a_few_attributes_do_no_harm(attributes):
    assert read_delete(f"<Delete {attributes}>{OBJECT}</Delete>".encode()).names == [b"a"]


@pytest.mark.parametrize(
    "body",
    [
        delete("<Object><Key>\xff</Key></Object>").encode("latin-1"),
        delete("<Object><Key>\u00fc</Key></Object>").encode("utf-16"),
        b'<?xml version="1.0" encoding="ISO-8859-1"?>' + delete("<Object><Key>\xfc</Key></Object>").encode("latin-1"),
        delete("<Object><Key>").encode() + b"\xed\xa0\x80" + b"</Key></Object></Delete>",
        delete("<Object><Key>").encode() + b"\xc0\xaf" + b"</Key></Object></Delete>",
    ],
)
def test_what_is_not_utf_8(body):
    with pytest.raises(S3Error) as caught:
        read_delete(body)
    assert caught.value.code == "MalformedXML"


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        (f"<Object><Key>{'k' * 1025}</Key></Object>", "KeyTooLongError"),
        (f"<Object><Key>{'ü' * 513}</Key></Object>", "KeyTooLongError"),
        ("<Object><Key>a</Key><VersionId>3</VersionId></Object>", "NotImplemented"),
        ("<Object><Key>a</Key><LastModifiedTime>x</LastModifiedTime></Object>", "NotImplemented"),
        ("<Object><Key>a</Key><ETag> </ETag></Object>", "MalformedXML"),
        ("<Object><Key>a</Key><ETag>x</ETag></Object><Object><Key>a</Key><ETag>y</ETag></Object>", "MalformedXML"),
        ("<Object><Key>a</Key><Size>3</Size></Object>", "NotImplemented"),
    ],
)
def test_deletes_of_what_does_not_exist_here(inner, code):
    with pytest.raises(S3Error) as caught:
        read_delete(delete(inner).encode())
    assert caught.value.code == code


COMPLETIONS = {
    "no parts": ("", "MalformedXML"),
    "10,001 parts": ("".join(PART % min(i, 10_000) for i in range(1, 10_002)), "MalformedXML"),
    "descending": (PART % 2 + PART % 1, "InvalidPartOrder"),
    "twice": (PART % 1 + PART % 1, "InvalidPartOrder"),
    "part 0": (PART % 0, "MalformedXML"),
    "part 10,001": (PART % 10_001, "MalformedXML"),
    "a negative part": (PART % -1, "MalformedXML"),
    "a part that is no number": (PART % "1.0", "MalformedXML"),
    "digits of another script": (PART % "\u0661", "MalformedXML"),
    "a huge number": (PART % ("9" * 5000), "MalformedXML"),
    "no number": ("<Part><ETag>aa</ETag></Part>", "MalformedXML"),
    "no ETag": ("<Part><PartNumber>1</PartNumber></Part>", "MalformedXML"),
    "an empty ETag": ('<Part><PartNumber>1</PartNumber><ETag>""</ETag></Part>', "MalformedXML"),
    "an unknown element": (PART % 1 + "<Quiet>true</Quiet>", "MalformedXML"),
    "an unknown checksum": (
        "<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumMD4>x</ChecksumMD4></Part>",
        "MalformedXML",
    ),
}


@pytest.mark.parametrize("case", COMPLETIONS)
def test_completions(case):
    inner, code = COMPLETIONS[case]
    with pytest.raises(S3Error) as caught:
        read_complete(complete(inner).encode())
    assert caught.value.code == code
