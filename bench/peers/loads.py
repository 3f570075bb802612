"""The loads: the same requests for each server, signed for it beforehand, each with what its answer has to be."""

import hashlib
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.peers.generator import Request
from bench.peers.servers import Server

SMALL: Final = 4096
LARGE: Final = 64 * 2**20
NAMES: Final = 500  # small objects that are read and written over
_EMPTY: Final = hashlib.sha256(b"").hexdigest()


class Bodies:
    """What is stored: random bytes in files, with their digests."""

    def __init__(self, folder: Path, large: int = LARGE) -> None:
        self.paths: dict[str, Path] = {}
        self.sha256: dict[str, str] = {"": _EMPTY}
        self.md5: dict[str, str] = {}
        self.sizes: dict[str, int] = {"": 0}
        for name, size in (("small", SMALL), ("large", large)):
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
        head = self._head("PUT", name, body)
        return Request(head, size=0, send=body, etag=self.bodies.md5[body])

    def delete(self, name: str) -> Request:
        return Request(self._head("DELETE", name), status=204)

    def list(self, query: Mapping[str, str], counts: Mapping[str, int]) -> Request:
        return Request(self._head("GET", "", query={"list-type": "2", **query}), counts=counts)

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
class Load:
    """One load. `plain`: a server of files serves it as well."""

    name: str
    connections: int
    requests: Callable[[Maker], list[Request]]
    plain: bool = False


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
    """70 % GET, 25 % PUT, 5 % HEAD of small objects, in one order for each server."""
    order = random.Random(2)
    acts = [maker.get] * 70 + [maker.put] * 25 + [maker.head] * 5
    return [order.choice(acts)(name, "small") for name in small_names() * 2]


def lists(maker: Maker) -> list[Request]:
    """A page of what is there below a prefix, which is all of the small objects."""
    return [maker.list({"prefix": "small"}, {"<Key>": NAMES})]


def delimiter_lists(maker: Maker) -> list[Request]:
    """What is there, by its first folders."""
    return [maker.list({"delimiter": "%2F"}, {"<CommonPrefixes>": 2})]


QUICK: Final = (
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
    Load("list-500", 8, lists),
    Load("delimiter-list", 8, delimiter_lists),
    Load("mixed", 32, mixed),
)
