"""What reads bytes of strangers, each as a function of bytes; and how bytes are made that are nearly right."""

import base64
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cooper_crds.records import CorsRule
from cooper_gateway.access import cors
from cooper_gateway.access.networks import origin
from cooper_gateway.http.chunked import ChunkedDecoder
from cooper_gateway.http.head import find_head_end, parse_head
from cooper_gateway.http.limits import DEFAULT_LIMITS
from cooper_gateway.http.pipeline import Pipeline
from cooper_gateway.http.rendering import common_block, render_head
from cooper_gateway.operations.attributes import attribute_headers, read_attributes
from cooper_gateway.operations.paging import read_limit, read_token, wants_url_encoding
from cooper_gateway.protocol import checksums, dates, paths, ranges, xml
from cooper_gateway.protocol.chunked import ChunkedReader, ChunkSigner
from cooper_gateway.protocol.messages import Request, Response
from cooper_gateway.protocol.post_form import FormFile, FormReader, as_headers, form_boundary
from cooper_gateway.protocol.post_policy import check_policy, read_policy
from cooper_gateway.protocol.routes import match
from cooper_gateway.protocol.sigv4 import parse_claim, verify
from cooper_gateway.storage.memory import MemoryStore
from support import s3_signing as signing
from support.calls import NOW_SECONDS, OTHER, PHOTOS, FakeDirectory, key_for

CORPUS: Final = Path(__file__).parents[1] / "property" / "corpus"
SIZE: Final = 300
_COMMON: Final = common_block(NOW_SECONDS, "worker")
_RULE: Final = CorsRule(("https://*.example", "*"), ("GET", "PUT"), headers=("x-*-a", "*"))
_PIPELINE: Final = Pipeline(
    lambda: FakeDirectory({"AKIAEXAMPLE": key_for(PHOTOS, OTHER)}, {"photos": PHOTOS, "other": OTHER}),
    MemoryStore(),
    clock=lambda: NOW_SECONDS,
)


def _text(data: bytes) -> str:
    """Of a header, as framing hands it over."""
    return data.decode("latin-1")


def _lines(data: bytes) -> dict[str, str]:
    """Headers, one a line; of names that framing lets pass."""
    pairs = (line.partition(":") for line in _text(data).split("\n"))
    return {name.lower(): value.strip(" \t") for name, _, value in pairs if re.fullmatch("[!-9;-~]+", name)}


def _authorization(data: bytes) -> None:
    request = signing.request("GET", "/photos/a", {**_SIGNED, "authorization": _text(data)})
    claim = parse_claim(request, signing.NOW)
    if claim is not None:
        verify(claim, signing.key())


def _presigned(data: bytes) -> None:
    request = Request("PUT", b"/photos/a", data, {"host": signing.HOST})
    paths.parse_target(request)
    claim = parse_claim(request, signing.NOW)
    if claim is not None:
        verify(claim, signing.key())


def _head(data: bytes) -> None:
    """The whole way of a head: framing, host, target, route, signature, rights, limits."""
    end = find_head_end(data, 0, DEFAULT_LIMITS)
    if not end:
        return
    head = parse_head(data[:end], DEFAULT_LIMITS)
    path, _, query = head.target.partition(b"?")
    request = Request(head.method, path, query, head.headers, peer="127.0.0.1")
    if head.method == "OPTIONS":
        _PIPELINE.preflight(request)
    else:
        _PIPELINE.admit(request, None, "1")


def _target(data: bytes) -> None:
    """A method and a target."""
    method, _, target = data.partition(b" ")
    path, _, query = target.partition(b"?")
    request = Request(_text(method), b"/" + path, query, {"host": "x"})
    paths.parse_target(request)
    match(request)


def _headers(data: bytes) -> None:
    headers = _lines(data)
    kept = attribute_headers(read_attributes(headers, 2048))
    render_head(Response(headers=kept), _COMMON, "1", None)  # what is kept can be told
    ranges.evaluate_conditions(headers, "0" * 32, 0)
    ranges.evaluate_conditions(headers, "0" * 32, 0, "x-amz-copy-source-")
    ranges.range_still_holds(headers, "0" * 32, 0)
    checksums.object_checksum(headers)
    sums = checksums.Checksummer(headers)
    sums.update(b"abc")
    sums.verify({})


def _range(data: bytes) -> None:
    found = ranges.parse_range(_text(data), SIZE)
    assert found is None or 0 <= found[0] < found[1] <= SIZE


def _listing(data: bytes) -> None:
    query = paths.parse_query(data)
    read_limit(query, "max-keys", 1000)
    wants_url_encoding(query)
    read_token(query.get("continuation-token", ""))


def _signed_chunks(data: bytes) -> None:
    date, scope = signing.amz_date(), f"{signing.amz_date()[:8]}/{signing.REGION}/s3/aws4_request"
    reader = ChunkedReader(SIZE, ChunkSigner(signing.key(), date, scope, "0" * 64), signed_trailer=True)
    size = sum(map(len, reader.feed(data)))
    assert size <= SIZE
    reader.finish()


def _unsigned_chunks(data: bytes) -> None:
    reader = ChunkedReader(SIZE, None)
    assert sum(map(len, reader.feed(data))) <= SIZE
    reader.finish()
    assert all(name.isascii() and "\n" not in value for name, value in reader.trailers.items())


def _form(data: bytes) -> None:
    """A whole body, of a form whose boundary is b."""
    reader = FormReader("b")
    form = reader.feed(data)
    if form is None:
        return
    as_headers(form.fields)
    file = FormFile(form.boundary, 1, SIZE)
    assert sum(map(len, file.feed(reader.rest))) <= SIZE
    file.finish()


def _policy(data: bytes) -> None:
    """Its JSON, and a form that goes by it."""
    fields = {"key": "a/b", "content-type": "text/plain", "x-amz-date": "20270115T080000Z"}
    check_policy(read_policy(base64.b64encode(data).decode()), fields, "photos", signing.NOW)


def _http_chunks(data: bytes) -> None:
    decoder = ChunkedDecoder()
    payload, rest = decoder.feed(data)
    assert len(payload) + len(rest) <= len(data)


def _cors(data: bytes) -> None:
    method, origin_sent, headers = [*_text(data).split("\n", 2), "", ""][:3]
    sent = {"origin": origin_sent, "access-control-request-method": method, "access-control-request-headers": headers}
    asked = cors.asked_for(sent)
    assert asked is not None
    for answer in (cors.preflight([_RULE], asked) or {}, cors.actual([_RULE], origin_sent, method)):
        assert not any("\r" in value or "\n" in value for value in answer.values())


def _forwarded(data: bytes) -> None:
    origin("192.0.2.1", _text(data), ("192.0.2.0/24", "2001:db8::/32"))


_SIGNED: Final = {
    name: value for name, value in signing.signed("GET", "/photos/a").headers.items() if name != "authorization"
}

#: name, also of the folder of its corpus -> what reads. It raises S3Error for what it refuses, and nothing else.
READERS: Final[dict[str, Callable[[bytes], object]]] = {
    "authorization": _authorization,
    "presigned": _presigned,
    "head": _head,
    "target": _target,
    "headers": _headers,
    "copy-source": lambda data: paths.parse_copy_source(_text(data)),
    "range": _range,
    "listing": _listing,
    "date": lambda data: (dates.parse_amz_date(_text(data)), dates.parse_http_date(_text(data))),
    "batch-delete": xml.read_delete,
    "completion": xml.read_complete,
    "signed-chunks": _signed_chunks,
    "unsigned-chunks": _unsigned_chunks,
    "http-chunks": _http_chunks,
    "form": _form,
    "form-boundary": lambda data: form_boundary(_text(data)),
    "policy": _policy,
    "cors": _cors,
    "forwarded": _forwarded,
}

#: Pieces that mean something to one of the readers or to a parser below it.
TOKENS: Final = (
    *(
        b"\r\n--b",
        b"--b--",
        b"\r\n\r\n",
        b"Content-Disposition: form-data; name=",
        b"filename=",
        b"${filename}",
        b"$key",
        b"[",
        b"]",
        b"{",
        b"}",
    ),
    *(b"=?utf-8?q?", b"=?utf-8?b?", b"?=", b"=?idna?q?", b"=?unicode_escape?q?", b"=?utf-7?q?", b"=0A", b"=?hex?b?"),
    *(
        b"\0",
        b"\r",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b"%",
        b"%00",
        b"%2f",
        b"%zz",
        b"+",
        b"&",
        b"=",
        b"/",
        b"//",
        b"..",
        b"?",
        b"#",
    ),
    *(
        b",",
        b";",
        b":",
        b'"',
        b"<",
        b">",
        b"</",
        b"/>",
        b"&#0;",
        b"&#xFFFE;",
        b"&lt;",
        b"<!DOCTYPE x>",
        b"<![CDATA[",
        b"]]>",
        b"<?x?>",
    ),
    *(
        b"0",
        b"-1",
        b"1e9",
        b"9" * 20,
        b"9" * 400,
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        "\u0661".encode(),
    ),
    *(
        b"bytes=",
        b"W/",
        b"*",
        b"Credential=",
        b"Signature=",
        b"SignedHeaders=",
        b"host;",
        b"aws4_request",
        b"chunk-signature=",
    ),
    *(
        b"X-Amz-Signature=",
        b"X-Amz-Expires=",
        b"x-amz-",
        b"x-amz-meta-\xe4",
        b"x-amz-checksum-crc32:",
        b"\r\n0\r\n\r\n",
        b"1:2",
    ),
)


def corpus(name: str) -> list[bytes]:
    """The bytes that are kept for a reader."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


class Fuzzer:
    """Makes bytes that are nearly right: of what is kept, and of what led somewhere new since."""

    def __init__(self, kept: list[bytes], dice: random.Random) -> None:
        self._pool = list(kept)
        self._dice = dice
        self._outcomes: set[str] = set()

    def next(self) -> bytes:
        """Something of the pool, with a few edits; or something of tokens only."""
        dice = self._dice
        if dice.randrange(12) == 0:
            return b"".join(dice.choices(TOKENS, k=dice.randrange(12)))
        data = dice.choice(self._pool)
        for _ in range(dice.choice((1, 1, 2, 3, 6))):
            data = self._edited(data)
        return data

    def learn(self, data: bytes, outcome: str) -> None:
        """An outcome that was not seen yet is a place to go on from."""
        outcome = re.sub(r"[0-9]+|'[^']*'|\"[^\"]*\"", "#", outcome)[:80]
        if outcome not in self._outcomes and len(data) < 4000:
            self._outcomes.add(outcome)
            self._pool.append(data)

    def _edited(self, data: bytes) -> bytes:
        dice = self._dice
        start = dice.randint(0, len(data))
        end = min(len(data), start + dice.choice((0, 0, 1, 1, 4, 16, 400)))
        match dice.randrange(6):
            case 0 | 1:
                new = dice.choice(TOKENS)
            case 2:
                new = dice.randbytes(dice.randint(1, 4))
            case 3:
                new = b""
            case 4:
                new = data[start:end] * dice.choice((2, 2, 50))
            case _:
                other = dice.choice(self._pool)
                at = dice.randint(0, len(other))
                new = other[at : at + dice.choice((4, 40, 400))]
        return data[:start] + new + data[end:]


def shrunk(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Fewer of these bytes, which fail as well."""
    size = len(data) // 2
    while size:
        for start in range(0, len(data), size):
            if fails(less := data[:start] + data[start + size :]):
                data = less
                break
        else:
            size //= 2
    return data
