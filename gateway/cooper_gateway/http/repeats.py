"""The short way for a client that asks again: what its head has in common with an earlier one is not read anew.

From one small request to the next a client changes the object's name, the date, the signature, what it says of the body
and perhaps the number that it gives the request. All else of its head is the same, byte for byte, and what followed
from that is remembered with the connection: how it is framed, who signs which headers, and what they say. Asked anew,
each time: whether the records are the same and recent, the date, the signature, the bucket, and `authorize`.

It only ever admits. What it does not admit, for whichever reason, goes the whole way from its first byte: no refusal is
made here, and a rule that is too strict here costs time and nothing else. tests/property/test_repeats.py compares the
two ways.
"""

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from cooper_crds.names import MAX_OBJECT_NAME_BYTES
from cooper_gateway.access.principals import KeyHolder
from cooper_gateway.http.head import Head
from cooper_gateway.operations.get_object import is_plain
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.routes import Route
from cooper_gateway.protocol.sigv4 import PLAIN_PATH, Claim, pattern
from cooper_gateway.storage.port import Attributes

#: Operations that are known by their method and by a path that names an object.
_SERVED: Final = frozenset({"GetObject", "HeadObject", "PutObject"})
_DATE: Final = "x-amz-date"
_AUTHORIZATION: Final = "authorization"
_LENGTH: Final = "content-length"
_PAYLOAD: Final = "x-amz-content-sha256"
_CHECKSUM: Final = "x-amz-checksum-"
#: Headers that differ from request to request of one client, and what they must be to be taken as they come. Those that
#: mean something are kept; who made a request, and which one it is, is told of nobody here.
_KEPT: Final = {
    _LENGTH: re.compile(rb"[0-9]{1,18}"),
    "x-amz-decoded-content-length": re.compile(rb"[0-9]{1,18}"),
    _PAYLOAD: re.compile(rb"[0-9a-f]{64}"),
    "content-md5": re.compile(rb"[A-Za-z0-9+/=]+"),
    _CHECKSUM: re.compile(rb"[A-Za-z0-9+/=]+"),
}
_NUMBERS: Final = {"amz-sdk-invocation-id": re.compile(rb"[0-9A-Za-z-]+")}
#: Those of the operator's own requests.
_OPERATORS: Final = "x-cooper-"
_SIGNATURE: Final = 64  # hex digits
_PUBLIC: Final = b"public"
_LEAST: Final = len(b"PUT /")
#: Kinds of heads that a connection remembers, and bytes that such a head may have but for its path: usual clients send
#: less than half of it.
_KINDS: Final = 4
_LONGEST: Final = 2048
#: How often in a row a head may be of no known kind before no more are remembered: they are all different.
_TRIES: Final = 8


class Known(msgspec.Struct, frozen=True):
    """What was decided of a request, and holds for those that are like it for as long as the records are the same."""

    revision: int  # of the records
    holder: KeyHolder
    signing_key: bytes
    claim: Claim
    route: Route
    attributes: Attributes | None  # that a write's headers give the object


class Repeat(NamedTuple):
    """What is new in a head that is known else."""

    head: Head
    bucket: str
    name: bytes
    path: bytes
    amz_date: bytes
    signature: bytes
    signed: tuple[bytes, ...]  # values of the pattern's varying headers
    payload: str | None  # None: as before


class Kind:
    """Heads of one kind: the same bytes, but for a path and some values of fixed length."""

    __slots__ = (
        "_checks",
        "_covered",
        "_cut",
        "_date",
        "_fixed",
        "_head",
        "_kept",
        "_length",
        "_method",
        "_payload",
        "_signature",
        "known",
        "pattern",
        "peer",
        "plain",
        "secure",
    )

    def __init__(
        self, head: Head, request: Request, known: Known, section: bytes, spans: Mapping[str, tuple[int, int]]
    ) -> None:
        """`spans` are the places in `section` of what differs, from start to end, by header."""
        self.known = known
        self.pattern = like = pattern(request, known.claim, spans.keys() - {_AUTHORIZATION})
        self.peer, self.secure = request.peer, request.secure
        #: Reads without a body that are answered from the object alone (plain.py). HTTP/1.0 is told that its connection
        #: stays, so not those.
        self.plain = head.minor == 1 and not (head.length or head.chunked) and is_plain(request, known.route.operation)
        #: Without what differs and is not kept: nobody asks for that once a request is admitted.
        self._head = msgspec.structs.replace(
            head, target=b"", headers={name: value for name, value in head.headers.items() if name not in spans}
        )
        self._method = section[: section.index(b"/")]
        names = sorted(spans, key=lambda name: spans[name])
        layout, fixed, at = "", list[bytes](), section.index(b" ", len(self._method))
        for start, end in (spans[name] for name in names):
            layout += f"{start - at}s{end - start}s"
            fixed.append(section[at:start])
            at = end
        self._fixed = (*fixed, section[at:])
        self._cut = struct.Struct(f"{layout}{len(section) - at}s")
        self._date, self._signature = names.index(_DATE), names.index(_AUTHORIZATION)
        self._covered = tuple(names.index(name) for name in like.varying)
        self._checks = tuple((index, check) for index, name in enumerate(names) if (check := _check(name)) is not None)
        self._kept = tuple((index, name) for index, name in enumerate(names) if name in _KEPT or _is_checksum(name))
        self._length = names.index(_LENGTH) if _LENGTH in spans else -1
        self._payload = names.index(_PAYLOAD) if _PAYLOAD in spans else -1

    @property
    def size(self) -> int:
        """Bytes of such a head from the end of its path on."""
        return self._cut.size

    def read(self, section: bytes, end: int) -> Repeat | None:
        """What is new in a head whose path ends at `end`, `size` bytes before its end; None when it is of another
        kind."""
        parts: tuple[bytes, ...] = self._cut.unpack_from(section, end)
        path = section[len(self._method) : end]
        if parts[::2] != self._fixed or not section.startswith(self._method) or not PLAIN_PATH.fullmatch(path):
            return None
        bucket, _, name = path[1:].partition(b"/")
        if not name or len(name) > MAX_OBJECT_NAME_BYTES or bucket == _PUBLIC:
            return None
        new = parts[1::2]
        for index, fits in self._checks:
            if not fits(new[index]):
                return None
        payload = new[self._payload].decode() if self._payload >= 0 else None
        signed = tuple([new[index] for index in self._covered])
        head = self._head_of(new) if self._kept else self._head
        return Repeat(head, bucket.decode(), name, path, new[self._date], new[self._signature], signed, payload)

    def _head_of(self, new: tuple[bytes, ...]) -> Head:
        """With the values that are kept."""
        like = self._head
        headers = like.headers.copy()
        for index, name in self._kept:
            headers[name] = new[index].decode()
        length = int(new[self._length]) if self._length >= 0 else like.length
        return Head(like.method, b"", like.minor, headers, length, like.chunked, like.keep_alive, like.expect_continue)


class Repeats:
    """The kinds of heads that a connection has had."""

    __slots__ = ("_kinds", "_misses")

    def __init__(self) -> None:
        self._kinds: dict[tuple[int, int], Kind] = {}
        self._misses = 0

    def read(self, section: bytes) -> tuple[Kind, Repeat] | None:
        """What is new in a head of a known kind; None when it is of none."""
        end = section.find(b" ", _LEAST)
        kind = self._kinds.get((len(section) - end, section[0]))
        if kind is None or end < 0:
            return None
        repeat = kind.read(section, end)
        if repeat is None:
            return None
        self._misses = 0
        return kind, repeat

    def forget(self) -> None:
        """The client pauses: it costs no memory meanwhile."""
        self._kinds.clear()

    def remember(self, section: bytes, head: Head, request: Request, known: Known) -> None:
        """Remember a head that was admitted, where there can be more of its kind and it is worth the while."""
        self._misses += 1
        if self._misses > _TRIES:
            return
        kind = _kind_of(section, head, request, known)
        if kind is None or kind.size > _LONGEST:
            return
        place = (kind.size, section[0])
        if len(self._kinds) >= _KINDS and place not in self._kinds:
            self._kinds.clear()
        self._kinds[place] = kind


def may_repeat(request: Request, route: Route, claim: Claim) -> bool:
    """Whether requests like this one can be known by their heads: of one object, by path, signed in the header."""
    return (
        route.operation in _SERVED
        and not (claim.presigned or request.query_string or request.public_path or request.bucket_in_host)
        and not any(name.startswith(_OPERATORS) for name in request.headers)
    )


def _kind_of(section: bytes, head: Head, request: Request, known: Known) -> Kind | None:
    spans: dict[str, tuple[int, int]] = {}
    for name in _varying(head):
        span = _span(section, name, head.headers.get(name, ""))
        if span is None:
            return None
        spans[name] = span
    start, end = spans[_AUTHORIZATION]
    if section[end - _SIGNATURE : end] != known.claim.signature.encode() or end - start <= _SIGNATURE:
        return None  # its parts are in another order
    spans[_AUTHORIZATION] = (end - _SIGNATURE, end)
    return Kind(head, request, known, section, spans)


def _varying(head: Head) -> Iterator[str]:
    """Names of the headers whose values may be others in the next head."""
    yield from (_DATE, _AUTHORIZATION)
    for name, value in head.headers.items():
        check = _check(name)
        # A read's body is none, which is said in one way; and what is not of the form stays what it is.
        if check is not None and (name in _NUMBERS or head.length) and check(value.encode("latin-1")):
            yield name


def _is_checksum(name: str) -> bool:
    return name.startswith(_CHECKSUM)


def _check(name: str) -> Callable[[bytes], object] | None:
    """What a value must be; None where it may not differ, or is judged elsewhere."""
    form = _NUMBERS.get(name) or _KEPT.get(_CHECKSUM if _is_checksum(name) else name)
    return None if form is None else form.fullmatch


def _span(section: bytes, name: str, value: str) -> tuple[int, int] | None:
    """Where in a header section the value of a header is; None when it cannot be told."""
    line = section.lower().find(f"\r\n{name}:".encode())
    end = section.find(b"\r\n", line + 2)
    start = section.find(value.encode("latin-1"), line + len(name) + 3, end)
    return None if line < 0 or start < 0 or not value else (start, start + len(value))
