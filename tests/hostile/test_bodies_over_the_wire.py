"""Bodies that lie, sent to a real gateway: chunks, lengths, XML. The right error, and nothing is stored."""

from collections.abc import Callable, Sequence
from datetime import datetime

import pytest

from support import s3_signing
from support.attack_field import SECRET, Field
from support.raw_s3 import Answer, RawS3, render

pytestmark = pytest.mark.usefixtures("lives_and_holds_what_it_held")

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
PIECES = [b"a" * 9000, b"b" * 9000, b"c" * 100]
SIZE = sum(map(len, PIECES))


def chunked(key: RawS3, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], list[bytes]]:
    """The headers of an upload in signed chunks, and the chunks with the final one."""
    monkeypatch.setattr(s3_signing, "REGION", key.region)
    headers = {"x-amz-decoded-content-length": str(SIZE), "content-encoding": "aws-chunked"}
    fields = key.sign("PUT", "/mine/evil", headers, SIGNED)
    seed = fields["authorization"].rpartition("Signature=")[2]
    at = datetime.strptime(fields["x-amz-date"], "%Y%m%dT%H%M%S%z").timestamp()
    return fields, s3_signing.chunked(PIECES, seed=seed, at=at, signing_key=s3_signing.key(at, key.secret, key.region))


def sent(key: RawS3, fields: dict[str, str], chunks: Sequence[bytes]) -> Answer:
    body = b"".join(chunks)
    framing = {"content-length": str(len(body)), "connection": "close"}
    return key.send(render("PUT", "/mine/evil", {**fields, **framing}) + body)


def _flipped(chunk: bytes) -> bytes:
    """With another digit at the begin of its signature."""
    at = chunk.index(b"signature=") + len(b"signature=")
    return chunk[:at] + (b"1" if chunk[at : at + 1] == b"0" else b"0") + chunk[at + 1 :]


#: What is done to the chunks, and the code that is answered.
CHANGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "two exchanged": (lambda c: [c[1], c[0], *c[2:]], "SignatureDoesNotMatch"),
    "one twice in place of another": (lambda c: [c[0], c[0], *c[2:]], "SignatureDoesNotMatch"),
    "a byte of data": (lambda c: [c[0][:-3] + b"x\r\n", *c[1:]], "SignatureDoesNotMatch"),
    "a signature": (lambda c: [_flipped(c[0]), *c[1:]], "SignatureDoesNotMatch"),
    "the final one's signature": (lambda c: [*c[:-1], _flipped(c[-1])], "SignatureDoesNotMatch"),
    "the final one left out": (lambda c: c[:-1], "IncompleteBody"),
    "the final one's end left out": (lambda c: [*c[:-1], c[-1][:-2]], "IncompleteBody"),
    "one left out": (lambda c: [c[0], *c[2:]], "SignatureDoesNotMatch"),
    "one more": (lambda c: [*c[:-1], *c[-2:]], "InvalidRequest"),
    "something after the final one": (lambda c: [*c, c[2]], "InvalidRequest"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_signed_chunks_that_were_changed_on_the_way(field: Field, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """seaweedfs 2180"""
    fields, chunks = chunked(field.mine, monkeypatch)
    alter, code = CHANGES[change]
    answer = sent(field.mine, fields, alter(chunks))
    assert answer.code == code, answer.raw


def test_signed_chunks_as_they_were_sent(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the changes above are what is refused."""
    assert sent(field.mine, *chunked(field.mine, monkeypatch)).status == 200
    assert field.mine.ask("GET", "/mine/evil").body == b"".join(PIECES)
    assert field.mine.ask("DELETE", "/mine/evil").status == 204


def unsigned(field: Field, decoded: Sequence[str], body: bytes = b"4\r\nevil\r\n0\r\n\r\n", **more: str) -> Answer:
    """An upload with an unsigned trailer, with so many lines that say how long it is."""
    first = {"x-amz-decoded-content-length": decoded[0]} if decoded else {}
    fields = field.mine.sign("PUT", "/mine/evil", first, UNSIGNED)
    framing = more or {"content-length": str(len(body))}
    head = render("PUT", "/mine/evil", {**fields, **framing, "connection": "close"})
    for each in decoded[1:]:
        head = head[:-2] + f"x-amz-decoded-content-length: {each}\r\n\r\n".encode()
    return field.mine.send(head + body)


@pytest.mark.parametrize(
    ("decoded", "codes"),
    [
        ([], {"MissingContentLength"}),
        (["-4"], {"InvalidArgument"}),
        (["0x4"], {"InvalidArgument"}),
        (["9" * 40], {"InvalidArgument"}),
        (["9" * 19], {"EntityTooLarge"}),
        (["3"], {"InvalidRequest"}),
        (["5"], {"IncompleteBody"}),
        (["4", "4"], {"InvalidRequest"}),
        (["4", "5"], {"InvalidRequest"}),
    ],
)
def test_a_decoded_length_that_is_not_the_bodys(field: Field, decoded: list[str], codes: set[str]) -> None:
    """versitygw 1684, GHSA-v2ch-c8v8-fgr7"""
    answer = unsigned(field, decoded)
    assert answer.code in codes, answer.raw


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (b"4\r\nevil\r\n0\r\n", {"IncompleteBody"}),
        (b"5\r\nevil!\r\n0\r\n\r\n", {"InvalidRequest"}),
        (b"3\r\nevi\r\n0\r\n\r\n", {"IncompleteBody"}),
        (b"evil", {"InvalidRequest", "IncompleteBody"}),
    ],
)
def test_chunks_in_chunks_without_a_content_length(field: Field, body: bytes, codes: set[str]) -> None:
    framed = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    answer = unsigned(field, ["4"], framed, **{"transfer-encoding": "chunked"})
    assert answer.code in codes, answer.raw


@pytest.mark.parametrize("name", ["a&#0;b", "&#xFFFE;", "a" * 1025, "", "\x01"])
def test_a_batch_delete_of_names_that_cannot_be(field: Field, name: str) -> None:
    """CVE-2026-55874, GHSA-ccjc-4qc3-jxqc"""
    answer = field.mine.ask(
        "POST", "/mine?delete", body=f"<Delete><Object><Key>{name}</Key></Object></Delete>".encode()
    )
    assert answer.status == 400, answer.raw
    assert answer.code in {"MalformedXML", "KeyTooLongError", "InvalidURI"}, answer.raw


def test_a_batch_delete_in_bytes_that_are_not_utf_8(field: Field) -> None:
    answer = field.mine.ask("POST", "/mine?delete", body=b"<Delete><Object><Key>\xff\xfe</Key></Object></Delete>")
    assert (answer.status, answer.code) == (400, "MalformedXML")


def test_a_batch_delete_that_climbs(field: Field) -> None:
    names = ("../theirs/x", "/theirs/x", "..\\theirs\\x", "%2e%2e/theirs/x", "theirs/x")
    body = "".join(f"<Object><Key>{name}</Key></Object>" for name in names)
    assert field.mine.ask("POST", "/mine?delete", body=f"<Delete>{body}</Delete>".encode()).status == 200
    assert field.theirs.ask("GET", "/theirs/x").body == SECRET


def parts(numbers: Sequence[int], etag: str = "0" * 32) -> bytes:
    each = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number in numbers)
    return f"<CompleteMultipartUpload>{each}</CompleteMultipartUpload>".encode()


XML: dict[str, tuple[str, bytes, set[str]]] = {
    "an entity of a file": (
        "delete",
        b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>',
        {"MalformedXML"},
    ),
    "entities that grow": (
        "delete",
        b'<!DOCTYPE d [<!ENTITY a "aaaaaa"><!ENTITY b "&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>',
        {"MalformedXML"},
    ),
    "nested": ("delete", b"<Delete>" * 5000, {"MalformedXML"}),
    "over 2 MiB": (
        "delete",
        b"<Delete><Object><Key>" + b"a" * (2 << 20) + b"</Key></Object></Delete>",
        {"MalformedXML", "EntityTooLarge"},
    ),
    "1,001 names": ("delete", b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>", {"MalformedXML"}),
    "no names": ("delete", b"<Delete></Delete>", {"MalformedXML"}),
    "cut off": ("delete", b"<Delete><Object><Key>a</Key>", {"MalformedXML"}),
    "not XML": ("delete", b"{}", {"MalformedXML"}),
    "10,001 parts": ("upload", parts(range(1, 10_002)), {"MalformedXML", "InvalidArgument"}),
    "parts in the wrong order": ("upload", parts([2, 1]), {"InvalidPartOrder"}),
    "a part twice": ("upload", parts([1, 1]), {"InvalidPartOrder"}),
    "a wrong ETag": ("upload", parts([1]), {"InvalidPart"}),
    "part 0": ("upload", parts([0]), {"MalformedXML", "InvalidArgument", "InvalidPart"}),
    "no parts": ("upload", parts([]), {"MalformedXML"}),
}


@pytest.mark.parametrize("case", XML)
def test_xml_that_asks_for_too_much(field: Field, case: str) -> None:
    where, body, codes = XML[case]
    target = "/mine?delete" if where == "delete" else f"/mine/parts?uploadId={field.upload_id}"
    answer = field.mine.ask("POST", target, body=body)
    assert answer.code in codes, answer.raw[:500]
    assert b"root:" not in answer.raw
