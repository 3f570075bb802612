"""The loads: the same requests for each server, signed for it beforehand, each with what its answer has to be."""

import hashlib
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.peers.generator import Measured, Plan, Request, WrongAnswers, run
from bench.peers.servers import Server

TINY: Final = 64
SMALL: Final = 4096
LARGE: Final = 64 * 2**20
NAMES: Final = 500  # small objects that are read and written over
DELETED: Final = 2_000  # objects that one run of the load deletes
_EMPTY: Final = hashlib.sha256(b"").hexdigest()
_PATIENCE: Final = 300.0  # seconds for what is not over when a time is, but when everything is done


class Bodies:
    """What is stored: random bytes in files, with their digests."""

    def __init__(self, folder: Path, large: int = LARGE) -> None:
        self.paths: dict[str, Path] = {}
        self.sha256: dict[str, str] = {"": _EMPTY}
        self.md5: dict[str, str] = {}
        self.sizes: dict[str, int] = {"": 0}
        for name, size in (("tiny", TINY), ("small", SMALL), ("large", large)):
            body = os.urandom(size)
            self.paths[name] = folder / f"body-{name}"
            self.paths[name].write_bytes(body)
            self.sha256[name] = hashlib.sha256(body).hexdigest()
            self.md5[name] = hashlib.md5(body, usedforsecurity=False).hexdigest()
            self.sizes[name] = size


class _Auth(S3SigV4Auth):
    """Signs for a body whose digest is known, as bodies of 64 MiB are signed again and again."""

    def __init__(self, keys: Credentials, region: str, digest: str) -> None:
        super().__init__(keys, "s3", region)
        self._digest = digest

    def payload(self, request: AWSRequest) -> str:
        """The digest."""
        return self._digest


class Maker:
    """Makes requests for one server."""

    def __init__(self, server: Server, bodies: Bodies) -> None:
        self._server = server
        self.bodies = bodies

    def get(self, name: str, body: str) -> Request:
        return Request(self._head("GET", name), size=self.bodies.sizes[body], body=body)

    def range(self, name: str, body: str, first: int, size: int) -> Request:
        head = self._head("GET", name, headers={"Range": f"bytes={first}-{first + size - 1}"})
        return Request(head, status=206, size=size, body=body, from_=first)

    def head(self, name: str, body: str) -> Request:
        return Request(self._head("HEAD", name), size=self.bodies.sizes[body])

    def put(self, name: str, body: str) -> Request:
        return Request(self._head("PUT", name, body), size=0, send=body, etag=self._etag(body))

    def part(self, name: str, upload_id: str, number: int, body: str) -> Request:
        query = {"partNumber": str(number), "uploadId": quote(upload_id, safe="")}
        return Request(self._head("PUT", name, body, query=query), size=0, send=body, etag=self._etag(body))

    def delete(self, name: str) -> Request:
        return Request(self._head("DELETE", name), status=204)

    def list(self, query: Mapping[str, str], counts: Mapping[str, int]) -> Request:
        return Request(self._head("GET", "", query={"list-type": "2", **query}), counts=counts)

    def _etag(self, body: str) -> str:
        return self.bodies.md5[body] if self._server.md5_etags else ""

    def _head(
        self,
        method: str,
        name: str,
        send: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Request line and headers, signed with the body's digest in the headers."""
        host = f"127.0.0.1:{self._server.port}"
        path = f"/{self._server.bucket}/{name}" if name else f"/{self._server.bucket}"
        asked = "&".join(f"{key}={value}" for key, value in sorted((query or {}).items()))
        target = f"{path}?{asked}" if asked else path
        sent = {"Host": host, **(headers or {})}
        if method == "PUT":
            sent["Content-Length"] = str(self.bodies.sizes[send])
        if keys := self._server.keys:
            request = AWSRequest(method, f"http://{host}{target}", headers=sent)
            _Auth(Credentials(keys.access, keys.secret), keys.region, self.bodies.sha256[send]).add_auth(request)
            sent = dict(request.headers.items())
        lines = [f"{method} {target} HTTP/1.1", *(f"{key}: {value}" for key, value in sent.items())]
        return "\r\n".join(lines) + "\r\n\r\n"


def small_names() -> list[str]:
    """Names of the small objects."""
    return [f"small/{number:04}" for number in range(NAMES)]


LARGE_NAMES: Final = [f"large/{number}" for number in range(4)]


@dataclass(frozen=True)
class Under:
    """What a load is run on, and by what."""

    server: Server
    bodies: Bodies
    program: Path
    folder: Path
    seconds: float

    @property
    def maker(self) -> Maker:
        """Makes requests for the server."""
        return Maker(self.server, self.bodies)

    def send(self, requests: list[Request], connections: int, *, once: bool = False) -> Measured:
        """Send the requests in turn until the time is over, or each once. Raises WrongAnswers."""
        seconds = _PATIENCE if once else self.seconds
        plan = Plan(self.server.port, connections, seconds, requests, self.bodies.paths, once=once)
        measured = run(self.program, plan, self.folder)
        if once and measured.requests != len(requests):
            raise WrongAnswers(f"{measured.requests} of {len(requests)} were answered within {seconds:.0f} s")
        return measured


@dataclass(frozen=True)
class Load:
    """One load. `plain`: a server of files serves it as well. `before` is sent once and not measured; where there is
    such, each of the requests is sent once as well, and the load is over with the last."""

    name: str
    connections: int
    requests: Callable[[Maker], list[Request]]
    plain: bool = False
    before: Callable[[Maker], list[Request]] | None = None

    def prepare(self, under: Under) -> None:
        """Do what is not measured."""
        if self.before:
            under.send(self.before(under.maker), 16, once=True)

    def measure(self, under: Under) -> Measured:
        """Do what is measured. Raises WrongAnswers."""
        return under.send(self.requests(under.maker), self.connections, once=self.before is not None)


def gets(maker: Maker) -> list[Request]:
    """Small objects."""
    return [maker.get(name, "small") for name in small_names()]


def puts(maker: Maker) -> list[Request]:
    """Small objects, over those that are there."""
    return [maker.put(name, "small") for name in small_names()]


def large_gets(maker: Maker) -> list[Request]:
    """Large objects."""
    return [maker.get(name, "large") for name in LARGE_NAMES]


def large_puts(maker: Maker) -> list[Request]:
    """Large objects, over those that are there."""
    return [maker.put(name, "large") for name in LARGE_NAMES]


def ranges(maker: Maker) -> list[Request]:
    """4 KiB from anywhere in a large object; the places are the same for each server."""
    places = random.Random(1)
    return [maker.range(LARGE_NAMES[0], "large", places.randrange(LARGE - SMALL), SMALL) for _ in range(NAMES)]


def heads(maker: Maker) -> list[Request]:
    """HEAD of small objects."""
    return [maker.head(name, "small") for name in small_names()]


def mixed(maker: Maker) -> list[Request]:
    """70 % GET and 25 % PUT of small objects, 5 % DELETE of others that were put before, in one order for each server.

    So many PUTs as there are DELETEs are of what is deleted. None is deleted by two at a time: a server that looks
    first and removes then (versitygw) tells one of both that it was not there, which S3 does not.
    """
    order, written, gone = random.Random(2), count(), count()
    found: list[Request] = []
    for name in small_names() * 2:
        act = order.randrange(100)
        if act < 70:
            found.append(maker.get(name, "small"))
        elif act < 90:
            found.append(maker.put(name, "small"))
        elif act < 95:
            found.append(maker.put(f"passing/{next(written)}", "small"))
        else:
            found.append(maker.delete(f"passing/{next(gone)}"))
    return found


def _passing() -> list[str]:
    return [f"gone/{number:05}" for number in range(DELETED)]


def to_delete(maker: Maker) -> list[Request]:
    """Small objects that are there only to be deleted."""
    return [maker.put(name, "small") for name in _passing()]


def deletes(maker: Maker) -> list[Request]:
    """Delete these."""
    return [maker.delete(name) for name in _passing()]


def lists(maker: Maker) -> list[Request]:
    """A page of what is there below a prefix, which is all of the small objects."""
    return [maker.list({"prefix": "small"}, {"<Key>": NAMES})]


def delimiter_lists(maker: Maker) -> list[Request]:
    """What is there of the large objects, by folder."""
    return [maker.list({"delimiter": "%2F", "prefix": "l"}, {"<CommonPrefixes>": 1})]


_BASIC: Final = (
    Load("get-4k", 32, gets, plain=True),
    Load("put-4k", 32, puts),
    Load("get-4k-1", 1, gets, plain=True),
    Load("put-4k-1", 1, puts),
    Load("get-4k-256", 256, gets, plain=True),
    Load("put-4k-256", 256, puts),
    Load("get-64m", 4, large_gets, plain=True),
    Load("put-64m", 4, large_puts),
    Load("range-4k", 32, ranges, plain=True),
    Load("head", 32, heads, plain=True),
    Load("mixed", 32, mixed),
)
QUICK: Final = (*_BASIC, Load("list-500", 8, lists), Load("delimiter-few", 8, delimiter_lists))
FULL: Final = (*_BASIC, Load("delete", 32, deletes, before=to_delete))
