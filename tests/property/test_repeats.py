"""The short way (http/repeats.py) admits nothing that the whole way would not, and both answer alike.

A connection that knows a kind of head and a fresh one, which knows none, are asked the same; also with records that
have changed, clocks that have moved, and any byte of the head altered.
"""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooper_crds.actions import GET_OBJECT, LIST_BUCKET, PUT_OBJECT
from cooper_crds.records import BucketRecord, CorsRule, DomainRecord, Grant, KeyRecord, Owner, Rates, RegionRecord
from cooper_gateway.http.connection import S3Connection
from cooper_gateway.http.context import Context
from cooper_gateway.http.finished import Finished
from cooper_gateway.http.pipeline import Pipeline
from cooper_gateway.storage.memory import MemoryStore
from cooper_gateway.storage.port import NO_CONDITIONS, Attributes, BucketRef, Guard
from support import s3_signing as signing
from support.calls import FakeDirectory

DATA, OTHER_DATA = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
OWNER = Owner("team", "photos", "uid-1")
BUCKET, OTHER = BucketRecord("photos", DATA, OWNER), BucketRecord("other", OTHER_DATA, OWNER)
SMALL = BucketRecord("small", "00000000-0000-4000-8000-000000000003", OWNER, max_object_size=4)
#: No Bucket may be called so; if there were a record all the same, its path would be another one.
PUBLIC = BucketRecord("public", DATA, OWNER)
#: Its answers say that they differ for pages of other origins.
WEB = BucketRecord("web", DATA, OWNER, cors=(CorsRule(("https://example.org",), ("GET",)),))
KEY = KeyRecord(
    signing.KEY_ID,
    signing.SECRET,
    OWNER,
    1,
    (
        Grant("photos", DATA, (GET_OBJECT, PUT_OBJECT, LIST_BUCKET)),
        Grant("other", OTHER_DATA, (GET_OBJECT,), ("in/",)),
        Grant("small", SMALL.data_id, (PUT_OBJECT,)),
        Grant("public", DATA, (GET_OBJECT,)),
        Grant("web", DATA, (GET_OBJECT,)),
    ),
)
REGION = RegionRecord("eu", signing.REGION)
replace = msgspec.structs.replace


class Records(FakeDirectory):
    """A directory with a clock for its freshness."""

    seen = signing.NOW

    def verified_at(self) -> float:
        return self.seen

    def change(self, edit: Callable[["Records"], object]) -> None:
        """As the table does it: with another revision, if it is one."""
        edit(self)
        self.revision += edit is not CHANGES["nothing"]


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.answers.append(data)

    def get_extra_info(self, name: str) -> Any:
        return ("192.0.2.7", 1234) if name == "peername" else None

    def set_write_buffer_limits(self, **_: int) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    resume_reading = pause_reading

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True

    abort = close


@dataclass
class Head:
    """A request without a body, to be signed."""

    method: str = "GET"
    path: str = "/photos/a"
    headers: tuple[tuple[str, str], ...] = (("User-Agent", "tests"), ("amz-sdk-invocation-id", "11111111-aaaa"))
    at: float = signing.NOW
    unsigned: tuple[str, ...] = ("user-agent",)
    secret: str = signing.SECRET
    host: str = signing.HOST
    body: bytes = b""
    payload: str = ""  # empty: the digest of the body

    def wire(self) -> bytes:
        """As it goes over the wire."""
        date, empty = signing.amz_date(self.at), self.payload or hashlib.sha256(self.body).hexdigest()
        own = (("Host", self.host), ("X-Amz-Date", date), ("x-amz-content-sha256", empty))
        length = (("Content-Length", str(len(self.body))),) if self.body else ()
        lines = [*own, *length, *self.headers]
        signed = sorted((name.lower(), value.strip()) for name, value in lines if name.lower() not in self.unsigned)
        names = ";".join(name for name, _ in signed)
        canonical = "".join(f"{name}:{value}\n" for name, value in signed)
        asked = f"{self.method}\n{self.path}\n\n{canonical}\n{names}\n{empty}"
        scope = f"{date[:8]}/{signing.REGION}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(asked.encode('latin-1')).hexdigest()}"
        key = signing.key(self.at, self.secret)
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        credential = f"Credential={signing.KEY_ID}/{scope}"
        sent = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"
        written = "".join(f"{name}: {value}\r\n" for name, value in (*lines, ("Authorization", sent)))
        return f"{self.method} {self.path} HTTP/1.1\r\n{written}\r\n".encode("latin-1") + self.body


@dataclass
class Gateway:
    """A pipeline with its records, and connections to it."""

    records: Records = field(default_factory=Records)
    now: float = signing.NOW
    observed: list[Finished] = field(default_factory=list)
    repeats: int = 0
    plain: int = 0  # of these, reads of the shortest way

    async def start(self) -> "Gateway":
        self.records.keys[KEY.access_key_id] = KEY
        self.records.buckets.update({each.name: each for each in (BUCKET, OTHER, SMALL, PUBLIC, WEB)})
        self.records.settings = REGION
        store = MemoryStore(clock=lambda: 1_700_000_000_123)
        for data in (DATA, OTHER_DATA):
            ref = BucketRef(UUID(data).bytes, "")
            for name in (b"a", b"b/c", b"in/x"):
                writer = store.writer(ref, None)
                await writer.write(b"content of " + name)
                etag = hashlib.md5(name).hexdigest()
                guard = Guard(KEY.access_key_id, PUT_OBJECT)
                await store.put(ref, name, await writer.finish(), etag, Attributes(), None, NO_CONDITIONS, guard)
        self.pipeline = Pipeline(lambda: self.records, store, clock=lambda: self.now, observers=[self.observed.append])
        whole = self.pipeline.admit_repeat

        def counted(*args: Any) -> Any:
            call = whole(*args)
            self.repeats += call is not None
            return call

        read = self.pipeline.read_again

        def counted_read(*args: Any) -> Any:
            found = read(*args)
            self.repeats += found is not None
            self.plain += found is not None
            return found

        self.pipeline.admit_repeat = counted  # type: ignore[method-assign]
        self.pipeline.read_again = counted_read  # type: ignore[method-assign]
        self.context = Context(self.pipeline, 1, 1)
        return self

    def connect(self) -> tuple[S3Connection, Wire]:
        connection, wire = S3Connection(self.context), Wire()
        connection.connection_made(wire)  # type: ignore[arg-type]
        return connection, wire

    async def ask(self, connection: S3Connection, wire: Wire, section: bytes) -> tuple[Any, ...]:
        """The answer, without what differs from one to the next, and what was observed."""
        before, seen = len(wire.answers), len(self.observed)
        connection.data_received(section)
        for _ in range(8):
            await asyncio.sleep(0)
        answer = b"".join(wire.answers[before:])
        lines = [
            line for line in answer.split(b"\r\n") if not line.lower().startswith((b"date:", b"x-amz-request-id:"))
        ]
        text = b"\n".join(lines)
        begin = text.find(b"<RequestId>")
        if begin >= 0:
            text = text[:begin] + text[text.find(b"</RequestId>") :]
        told = [
            (each.status, each.error, each.operation, each.sent, each.peer, *_asked(each))
            for each in self.observed[seen:]
        ]
        return text, wire.closed, told


def _asked(finished: Finished) -> tuple[Any, ...]:
    request = finished.request
    if request is None:
        return ()
    return request.method, request.bucket, request.name, request.path, request.signer, request.headers.get("user-agent")


def _revoke(records: Records) -> None:
    records.keys[KEY.access_key_id] = replace(KEY, state="Revoked")


def _key(**fields: Any) -> Callable[[Records], object]:
    return lambda records: records.keys.update({KEY.access_key_id: replace(KEY, **fields)})


def _bucket(**fields: Any) -> Callable[[Records], object]:
    return lambda records: records.buckets.update({"photos": replace(BUCKET, **fields)})


def _region(**fields: Any) -> Callable[[Records], object]:
    return lambda records: setattr(records, "settings", replace(REGION, **fields))


CHANGES: dict[str, Callable[[Records], object]] = {
    "nothing": lambda records: None,
    "revoked": _revoke,
    "the key is gone": lambda records: records.keys.clear(),
    "another secret": _key(secret_key="another"),
    "no grants": _key(grants=()),
    "a prefix": _key(grants=(Grant("photos", DATA, (GET_OBJECT,), ("b/",)),)),
    "other data": _key(grants=(Grant("photos", OTHER_DATA, (GET_OBJECT,)),)),
    "expires": _key(not_after=signing.NOW + 30),
    "networks": _key(networks=("198.51.100.0/24",)),
    "the bucket is gone": lambda records: records.buckets.pop("photos"),
    "retained": _bucket(retained=True),
    "api access": _bucket(api_access="Revoked"),
    "another bucket": _bucket(data_id=OTHER_DATA),
    "public": _bucket(visibility="Public"),
    "no region": lambda records: setattr(records, "settings", None),
    "another tag": _region(match_region=True, tag="elsewhere"),
    "young records": _region(max_record_age=10.0),
    "virtual hosts": _region(virtual_hosts="example.org"),
    "host is a domain": lambda records: records.domains.update(
        {"s3.example.org": DomainRecord("s3.example.org", "photos", DATA, OWNER, "eu")}
    ),
    "rates": _region(rates=Rates(requests=1)),
}
SEGMENTS = st.text(st.sampled_from("ab/c.~_-in%? \x80+"), max_size=6)
PATHS = st.one_of(
    st.sampled_from(
        ["/photos/a", "/photos/b/c", "/other/in/x", "/other/a", "/photos/none", "/photos/", "/photos", "/", "/web/a"]
    ),
    st.sampled_from(["/public/photos/a", "/public/a", "//a", "/photos//", "/photos/../a", "/nobody/a", "/Photos/a"]),
    SEGMENTS.map(lambda text: "/photos/" + text),
)
HEADS = st.builds(
    Head,
    st.sampled_from(["GET", "HEAD", "GET", "PUT", "DELETE", "get"]),
    PATHS,
    st.sampled_from(
        [
            Head.headers,
            (("User-Agent", "tests"), ("amz-sdk-invocation-id", "22222222-bbbb")),
            (("User-Agent", "tests"), ("amz-sdk-invocation-id", "2222 222-bbbb")),
            (("User-Agent", "other"), ("amz-sdk-invocation-id", "11111111-aaaa")),
            (*Head.headers, ("Range", "bytes=2-5")),
            (*Head.headers, ("x-amz-meta-a", "b")),
            (*Head.headers, ("Content-Length", "0")),
            (*Head.headers, ("If-None-Match", "*")),
            (*Head.headers, ("Origin", "https://example.org")),
            (*Head.headers, ("x-amz-checksum-mode", "ENABLED")),
            (*Head.headers, ("Connection", "close")),
        ]
    ),
    st.sampled_from([signing.NOW, signing.NOW + 1, signing.NOW - 899, signing.NOW - 901, signing.NOW + 90_000]),
    st.sampled_from([("user-agent",), ("user-agent", "x-amz-meta-a"), ("user-agent", "amz-sdk-invocation-id")]),
    st.sampled_from([signing.SECRET, signing.SECRET, signing.SECRET, "wrong"]),
)
DIGESTS: dict[str, Callable[[bytes], bytes]] = {
    "Content-MD5": lambda body: hashlib.md5(body).digest(),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
}
PAYLOADS = ["", "", "UNSIGNED-PAYLOAD", hashlib.sha256(b"else").hexdigest(), "STREAMING-UNSIGNED-PAYLOAD-TRAILER"]
TARGETS = ["/photos/new", "/photos/a", "/photos/b/new", "/other/in/x", "/other/a", "/nobody/a"]
OF_OBJECTS = [(), (("Content-Type", "text/plain"),), (("x-amz-meta-a", "b"),)]


@st.composite
def puts(draw: st.DrawFn) -> Head:
    """An upload, as clients send them: with digests of several kinds, which may be wrong."""
    body = draw(st.sampled_from([b"12345678", b"abcdefgh", b"xyz", b"", b"123456789012"]))
    headers = [("User-Agent", "tests"), *draw(st.sampled_from(OF_OBJECTS))]
    for name in draw(st.sets(st.sampled_from(sorted(DIGESTS)))):
        of = draw(st.sampled_from([body, body, body, b"else"]))
        headers.append((name, base64.b64encode(DIGESTS[name](of)).decode()))
    payload = draw(st.sampled_from(PAYLOADS))
    return Head("PUT", draw(st.sampled_from(TARGETS)), tuple(headers), body=body, payload=payload)


async def both(
    first: Head, second: bytes, change: Callable[[Records], object], now: float, seen: float
) -> tuple[Any, Any]:
    """The answers and what is stored then, of a connection that knows `first`, and of one that knows nothing."""
    gateway = await Gateway().start()
    knows, knowing = gateway.connect()
    told, *_ = await gateway.ask(knows, knowing, first.wire())
    gateway.records.change(change)
    gateway.now, gateway.records.seen = now, seen
    if knowing.closed or b"Connection: close" in told:
        return ((), []), ((), [])
    # With limits the second request of a key is refused, whoever asks: nothing is to be spent by the comparison.
    answer = await gateway.ask(knows, knowing, second)
    other = await Gateway().start()
    await other.ask(*other.connect(), first.wire())
    other.records.change(change)
    other.now, other.records.seen = now, seen
    fresh = await other.ask(*other.connect(), second)
    return (answer, await _held(gateway)), (fresh, await _held(other))


async def _held(gateway: Gateway) -> list[tuple[Any, ...]]:
    """All objects, as they are."""
    found: list[tuple[Any, ...]] = []
    for data in (DATA, OTHER_DATA):
        ref = BucketRef(UUID(data).bytes, "")
        for entry in (await gateway.pipeline._store.list_objects(ref, b"", b"", b"", 100)).entries:
            stored = await gateway.pipeline._store.open(ref, entry.name)
            content = b"".join([piece async for piece in stored.read(0, stored.info.size)])
            found.append((data, entry.name, content, stored.info.etag, stored.info.attributes, stored.info.checksum))
    return found


@given(
    HEADS,
    HEADS,
    st.sampled_from(sorted(CHANGES)),
    st.sampled_from([signing.NOW, signing.NOW + 31, signing.NOW + 901]),
    st.sampled_from([signing.NOW, signing.NOW - 20, signing.NOW - 90_000]),
)
def test_who_knows_the_head_is_answered_as_who_does_not(first, second, change, now, seen):
    knowing, fresh = asyncio.run(both(first, second.wire(), CHANGES[change], now, seen))
    assert knowing == fresh


@given(puts(), puts(), st.sampled_from(sorted(CHANGES)), st.sampled_from([signing.NOW, signing.NOW + 901]))
def test_uploads_are_stored_alike(first, second, change, now):
    knowing, fresh = asyncio.run(both(first, second.wire(), CHANGES[change], now, signing.NOW))
    assert knowing == fresh


@given(st.data())
def test_no_altered_byte_is_overlooked(data):
    section = bytearray(Head(path="/photos/b/c").wire())
    place = data.draw(st.integers(0, len(section) - 1))
    section[place] = data.draw(st.integers(0, 255))
    knowing, fresh = asyncio.run(both(Head(), bytes(section), CHANGES["nothing"], signing.NOW, signing.NOW))
    assert knowing == fresh


def test_a_head_without_a_blank_that_would_be_as_long_is_refused_as_ever():
    known = Head().wire()
    size = len(known) - known.index(b" ", 5)
    section = b"GET".ljust(size - 5, b"/") + b"\r\n\r\n"
    knowing, fresh = asyncio.run(both(Head(), section, CHANGES["nothing"], signing.NOW, signing.NOW))
    assert knowing == fresh
    assert knowing[0][0].startswith(b"HTTP/1.1 400"), knowing[0][0]


@pytest.mark.parametrize("head", [Head(), Head("HEAD"), Head("PUT", "/photos/new", body=b"12345678")])
@pytest.mark.parametrize("broken", ["bucket", "verified_at"])
def test_records_that_cannot_be_read_are_told_of_as_ever(head, broken, monkeypatch):
    async def ask():
        gateway = await Gateway().start()
        knows, knowing = gateway.connect()
        await gateway.ask(knows, knowing, head.wire())

        def fails(*_):
            raise OSError("the table is gone")

        monkeypatch.setattr(gateway.records, broken, fails)
        return await gateway.ask(knows, knowing, head.wire()), await gateway.ask(*gateway.connect(), head.wire())

    knowing, fresh = asyncio.run(ask())
    assert knowing == fresh
    assert knowing[0].startswith(b"HTTP/1.1 500")


UPLOAD = Head("PUT", "/photos/new", (("User-Agent", "tests"),), body=b"12345678")
LATE = signing.NOW + 901
#: What a client that is known asked before, what it asks now, what time it is then, and when records were seen.
REFUSED: dict[str, tuple[Head, bytes, float, float]] = {
    "another secret": (Head(), Head(secret="wrong").wire(), signing.NOW, signing.NOW),
    "another signature": (Head(), Head().wire()[:-6] + b"zz\r\n\r\n", signing.NOW, signing.NOW),
    "a signature of other letters": (Head(), Head().wire()[:-6] + b"\xe4a\r\n\r\n", signing.NOW, signing.NOW),
    "a signature of another name": (Head(), Head().wire().replace(b"s/a H", b"s/b H"), signing.NOW, signing.NOW),
    "late": (Head(), Head().wire(), LATE, LATE),
    "early": (Head(), Head(at=signing.NOW + 901).wire(), signing.NOW, signing.NOW),
    "records that are old": (Head(), Head().wire(), signing.NOW, signing.NOW - 90_000),
    "no right": (Head(), Head(path="/other/a").wire(), signing.NOW, signing.NOW),
    "no such bucket": (Head(), Head(path="/nobody/a").wire(), signing.NOW, signing.NOW),
    "no such method": (Head(), Head().wire().replace(b"GET", b"GOT"), signing.NOW, signing.NOW),
    "the public path": (Head(), Head(path="/public/a").wire(), signing.NOW, signing.NOW),
    "two blanks": (
        Head(),
        Head(headers=(("User-Agent", "tests"), ("amz-sdk-invocation-id", "111111  -aaaa"))).wire(),
        signing.NOW,
        signing.NOW,
    ),
    "another header": (Head(), Head().wire().replace(b"User-Agent", b"x-amz-aclx"), signing.NOW, signing.NOW),
    "a bucket of small objects": (UPLOAD, replaced(UPLOAD, path="/small/new").wire(), signing.NOW, signing.NOW),
    "another body": (UPLOAD, UPLOAD.wire()[:-1] + b"9", signing.NOW, signing.NOW),
    "an escape": (Head(), Head(path="/photos/%zz").wire(), signing.NOW, signing.NOW),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_is_not_right_is_refused_as_ever(case):
    first, second, now, seen = REFUSED[case]
    knowing, fresh = asyncio.run(both(first, second, CHANGES["nothing"], now, seen))
    assert knowing == fresh
    text: bytes = knowing[0][0]
    assert text.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), text


ETAG = hashlib.md5(b"a").hexdigest()
#: What is more in the heads of reads whose answer does not follow from the object alone.
LOOKED_AT: dict[str, tuple[str, str]] = {
    "if-match": ("If-Match", '"none"'),
    "if-none-match": ("If-None-Match", f'"{ETAG}"'),
    "if-modified-since": ("If-Modified-Since", "Fri, 27 Nov 2037 20:00:00 GMT"),
    "if-unmodified-since": ("If-Unmodified-Since", "Sat, 27 Nov 1999 20:00:00 GMT"),
    "range": ("Range", "bytes=2-5"),
    "checksum": ("x-amz-checksum-mode", "ENABLED"),
    "origin": ("Origin", "https://example.org"),
}


def again(first: Head, second: bytes) -> tuple[bytes, int]:
    """What who asked `first` before is answered, the same as one who is not known; and how many reads went plainly."""

    async def ask() -> tuple[bytes, int]:
        gateway = await Gateway().start()
        knows, knowing = gateway.connect()
        await gateway.ask(knows, knowing, first.wire())
        fresh = await gateway.ask(*gateway.connect(), second)
        assert not gateway.plain
        answer = await gateway.ask(knows, knowing, second)
        assert answer == fresh
        return answer[0], gateway.plain

    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/photos/a", "/web/a"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("header", sorted(LOOKED_AT))
def test_who_asks_for_more_than_the_object_is_answered_by_it_each_time(header, method, path):
    head = Head(method, path, (*Head.headers, LOOKED_AT[header]))
    _, plain = again(head, head.wire())
    assert not plain


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer_that_differs_between_origins_says_so_each_time(method):
    text, plain = again(Head(method, "/web/a"), Head(method, "/web/a").wire())
    assert b"Vary: " in text
    assert not plain


def test_the_old_protocol_is_told_each_time_that_it_may_go_on():
    head = Head(headers=(("User-Agent", "tests"), ("Connection", "keep-alive")))
    old = head.wire().replace(b"HTTP/1.1", b"HTTP/1.0")

    async def ask() -> tuple[list[bytes], int]:
        gateway = await Gateway().start()
        connection, wire = gateway.connect()
        return [(await gateway.ask(connection, wire, old))[0] for _ in range(3)], gateway.plain

    texts, plain = asyncio.run(ask())
    assert all(b"Connection: keep-alive" in text for text in texts)
    assert not plain


@pytest.mark.parametrize("framing", [("Content-Length", "4"), ("Transfer-Encoding", "chunked")])
def test_a_read_with_a_body_has_it_read_each_time(framing):
    """Otherwise it would be taken for the next request."""
    head = Head(headers=(("User-Agent", "tests"), framing), unsigned=("user-agent", "transfer-encoding"))
    body = b"abcd" if framing[1] == "4" else b"4\r\nabcd\r\n0\r\n\r\n"
    head.payload = "UNSIGNED-PAYLOAD"

    async def ask() -> list[int]:
        gateway = await Gateway().start()
        connection, wire = gateway.connect()
        for _ in range(3):
            await gateway.ask(connection, wire, head.wire() + body)
        return [each.received for each in gateway.observed]

    received = asyncio.run(ask())
    assert received == [4, 4, 4]


def test_a_worker_that_stops_says_so_to_who_is_known():
    async def ask() -> bytes:
        gateway = await Gateway().start()
        connection, wire = gateway.connect()
        await gateway.ask(connection, wire, Head().wire())
        gateway.context.stopping = True
        return (await gateway.ask(connection, wire, Head().wire()))[0]

    assert b"Connection: close" in asyncio.run(ask())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_object_that_was_written_over_is_read_anew(method):
    async def ask() -> tuple[bytes, int]:
        gateway = await Gateway().start()
        connection, wire = gateway.connect()
        for _ in range(2):
            await gateway.ask(connection, wire, Head(method).wire())
        store = gateway.pipeline._store
        ref = BucketRef(UUID(DATA).bytes, "")
        writer = store.writer(ref, None)
        await writer.write(b"new")
        guard = Guard(KEY.access_key_id, PUT_OBJECT)
        await store.put(ref, b"a", await writer.finish(), "e" * 32, Attributes(), None, NO_CONDITIONS, guard)
        text, *_ = await gateway.ask(connection, wire, Head(method).wire())
        return text, gateway.plain

    text, plain = asyncio.run(ask())
    assert b"e" * 32 in text and b"Content-Length: 3" in text
    assert text.endswith(b"new") == (method == "GET")
    assert plain == 2


async def _store(gateway: Gateway, name: bytes, attributes: Attributes) -> None:
    """Put an object there, whatever is said of it."""
    store, ref = gateway.pipeline._store, BucketRef(UUID(DATA).bytes, "")
    writer, guard = store.writer(ref, None), Guard(KEY.access_key_id, PUT_OBJECT)
    await writer.write(b"content")
    await store.put(ref, name, await writer.finish(), "e" * 32, attributes, None, NO_CONDITIONS, guard)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_no_answer_is_split_by_what_is_stored(method):
    """No upload could store it; if it is there all the same, the client is told as ever that something is wrong."""

    async def ask() -> None:
        gateway = await Gateway().start()
        await _store(gateway, b"split", Attributes({"content-type": "a\r\nSet-Cookie: b"}))
        knows, knowing = gateway.connect()
        await gateway.ask(knows, knowing, Head(method).wire())
        head = Head(method, "/photos/split").wire()
        answer = await gateway.ask(knows, knowing, head)
        assert answer == await gateway.ask(*gateway.connect(), head)
        assert answer[0].startswith(b"HTTP/1.1 500") and b"Set-Cookie" not in answer[0]

    asyncio.run(ask())


def test_what_is_kept_of_objects_is_small():
    """A client decides how long an object's header lines are: up to what a head may have."""

    async def ask() -> tuple[bytes, int, int]:
        gateway = await Gateway().start()
        await _store(gateway, b"long", Attributes({"cache-control": "x" * 8000}))
        knows, knowing = gateway.connect()
        await gateway.ask(knows, knowing, Head().wire())
        text, *_ = await gateway.ask(knows, knowing, Head(path="/photos/long").wire())
        await gateway.ask(knows, knowing, Head().wire())
        return text, gateway.plain, len(gateway.context.plain_reads._lines)

    text, plain, kept = asyncio.run(ask())
    assert b"x" * 8000 in text
    assert (plain, kept) == (2, 1)


def test_long_heads_are_not_remembered():
    """A connection that does next to nothing would hold several of 16 KiB, each a few times over."""

    async def ask(length: int) -> int:
        gateway = await Gateway().start()
        head = Head(headers=(("User-Agent", "t" * length),)).wire()
        knows, knowing = gateway.connect()
        for _ in range(3):
            text, *_ = await gateway.ask(knows, knowing, head)
            assert b"content of" in text
        return gateway.repeats

    assert [asyncio.run(ask(length)) for length in (1024, 8192)] == [2, 0]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_one_who_asks_again_goes_the_short_way(method):
    async def ask() -> None:
        gateway = await Gateway().start()
        connection, wire = gateway.connect()
        for number, path in enumerate(["/photos/a", "/photos/b/c", "/other/in/x", "/photos/a"]):
            headers = (("User-Agent", "tests"), ("amz-sdk-invocation-id", f"{number}1111111-aaaa"))
            text, _, told = await gateway.ask(
                connection, wire, Head(method, path, headers, signing.NOW + number).wire()
            )
            assert (told[0][0], told[0][4:8]) == (
                200,
                ("192.0.2.7", method, path.split("/")[1], path[1:].encode().partition(b"/")[2]),
            )
            assert (b"content of" in text) == (method == "GET")
        assert gateway.repeats == gateway.plain == 3

    asyncio.run(ask())


def test_one_who_uploads_again_goes_the_short_way():
    async def ask() -> None:
        gateway = await Gateway().start()
        connection, wire = gateway.connect()
        for number in range(4):
            body = b"%d" % number * 8
            headers = (("User-Agent", "tests"), ("Content-MD5", base64.b64encode(hashlib.md5(body).digest()).decode()))
            head = Head("PUT", f"/photos/{number}", headers, signing.NOW + number, body=body)
            _, _, told = await gateway.ask(connection, wire, head.wire())
            assert (told[0][0], told[0][5:8]) == (200, ("PUT", "photos", b"%d" % number))
        assert gateway.repeats == 3
        contents = [each[2] for each in await _held(gateway)]
        assert [b"%d" % number * 8 for number in range(4)] == contents[:4]

    asyncio.run(ask())


@pytest.mark.parametrize("change", sorted(set(CHANGES) - {"nothing"}))
def test_other_records_are_read_whole(change):
    """Whatever has changed: what was decided by records of before is decided anew."""

    async def ask() -> int:
        gateway = await Gateway().start()
        connection, wire = gateway.connect()
        await gateway.ask(connection, wire, Head().wire())
        gateway.records.change(CHANGES[change])
        await gateway.ask(connection, wire, Head(path="/photos/b/c").wire())
        return gateway.repeats

    assert asyncio.run(ask()) == 0


def test_where_requests_are_limited_each_is_counted():
    async def ask() -> list[int]:
        gateway = await Gateway().start()
        gateway.records.change(CHANGES["rates"])
        connection, wire = gateway.connect()
        told = [await gateway.ask(connection, wire, Head().wire()) for _ in range(3)]
        return [each[2][0][0] for each in told]

    assert asyncio.run(ask()) == [200, 503, 503]


def test_a_client_whose_heads_all_differ_is_not_learnt_for_ever():
    async def ask() -> int:
        gateway = await Gateway().start()
        connection, wire = gateway.connect()
        for number in range(12):
            headers = (("User-Agent", "tests"), ("traceparent", f"00-{number:032}-{number:016}-01"))
            await gateway.ask(connection, wire, Head(headers=headers, unsigned=("user-agent", "traceparent")).wire())
        await gateway.ask(connection, wire, Head().wire())
        await gateway.ask(connection, wire, Head().wire())
        return gateway.repeats

    assert asyncio.run(ask()) == 0
