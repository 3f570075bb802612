"""Listings where much is stored: servers of their own, each filled with the same names.

What is in a server of files is put there as files, in the form that the server itself gave the first of them, since all
of them would take it an hour. Others are asked to store each.
"""

import hashlib
import hmac
import os
import random
import sys
import time
from pathlib import Path
from typing import Final

from bench.peers.generator import Request
from bench.peers.loads import Load, Maker, Under
from bench.peers.servers import Keys

FOLDERS: Final = 1_000
PAGE: Final = 1_000
_AT_ONCE: Final = 20_000  # requests of one run of the generator
_PLACES: Final = 100


def name_of(number: int, objects: int) -> str:
    """Names in order, as many in each folder."""
    each = max(objects // FOLDERS, 1)
    return f"{number // each:03}/{number % each:06}"


def loads(objects: int) -> tuple[Load, ...]:
    """A page of names from anywhere, and all folders."""

    def pages(maker: Maker) -> list[Request]:
        places = random.Random(3)
        return [_page(maker, places.randrange(objects - PAGE - 1), objects) for _ in range(_PLACES)]

    def folders(maker: Maker) -> list[Request]:
        return [maker.list({"delimiter": "%2F"}, {"<CommonPrefixes>": FOLDERS, "<Key>": 0})]

    return (
        Load("list-1000", 4, pages),
        Load("list-1000-1", 1, pages),
        Load("delimiter-list", 4, folders),
        Load("delimiter-list-1", 1, folders),
    )


def _page(maker: Maker, after: int, objects: int) -> Request:
    name = name_of(after, objects).replace("/", "%2F")
    first, last = name_of(after + 1, objects), name_of(after + PAGE, objects)
    wanted = {"<Key>": PAGE, f"<Key>{first}</Key>": 1, f"<Key>{last}</Key>": 1}
    return maker.list({"start-after": name, "max-keys": str(PAGE)}, wanted)


def fill(under: Under, objects: int) -> None:
    """Store all names, unless this was done to the server's folder before."""
    server = under.server
    done = server.folder / f"filled-{objects}"
    if done.exists():
        return
    began = time.monotonic()
    if server.copied:
        under.send([under.maker.put(name_of(0, objects), "tiny")], 1, once=True)
        multiply(server.folder / "data" / server.bucket, objects)
    else:
        for first in range(0, objects, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, objects))
            under.send([_put(under, name_of(each, objects)) for each in numbers], 64, once=True)
    done.touch()
    print(f"{server.name}: {objects:,} names in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def multiply(bucket: Path, objects: int) -> None:
    """Put what the server made of the first object beside it again and again."""
    model = bucket / name_of(0, objects)
    for number in range(0, objects, max(objects // FOLDERS, 1)):
        (bucket / name_of(number, objects)).parent.mkdir(exist_ok=True)
    copy = _Folders(model) if model.is_dir() else _Files(model)
    for number in range(1, objects):
        copy(bucket / name_of(number, objects))


class _Folders:
    """An object that is a folder of small files."""

    def __init__(self, model: Path) -> None:
        self._files = {path.name: path.read_bytes() for path in model.iterdir()}

    def __call__(self, path: Path) -> None:
        path.mkdir()
        for name, content in self._files.items():
            (path / name).write_bytes(content)


class _Files:
    """An object that is a file with attributes."""

    def __init__(self, model: Path) -> None:
        self._content = model.read_bytes()
        self._attributes = {name: os.getxattr(model, name) for name in os.listxattr(model)}

    def __call__(self, path: Path) -> None:
        path.write_bytes(self._content)
        for name, value in self._attributes.items():
            os.setxattr(path, name, value)


def _put(under: Under, name: str) -> Request:
    """A PUT, signed with as little ado as can be: there are a million."""
    server, digest = under.server, under.bodies.sha256["tiny"]
    assert server.keys is not None
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    host, path = f"127.0.0.1:{server.port}", f"/{server.bucket}/{name}"
    signed = "host;x-amz-content-sha256;x-amz-date"
    canonical = f"PUT\n{path}\n\nhost:{host}\nx-amz-content-sha256:{digest}\nx-amz-date:{date}\n\n{signed}\n{digest}"
    scope = f"{date[:8]}/{server.keys.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(_key(server.keys, date[:8]), text.encode(), hashlib.sha256).hexdigest()
    credential = f"AWS4-HMAC-SHA256 Credential={server.keys.access}/{scope}"
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {under.bodies.sizes['tiny']}\r\n"
        f"X-Amz-Date: {date}\r\nX-Amz-Content-SHA256: {digest}\r\n"
        f"Authorization: {credential}, SignedHeaders={signed}, Signature={signature}\r\n\r\n"
    )
    return Request(head, size=0, send="tiny", etag=under.bodies.md5["tiny"] if server.md5_etags else "")


_keys: Final[dict[tuple[Keys, str], bytes]] = {}


def _key(keys: Keys, day: str) -> bytes:
    """The signing key of a day."""
    found = _keys.get((keys, day))
    if found is None:
        found = ("AWS4" + keys.secret).encode()
        for part in (day, keys.region, "s3", "aws4_request"):
            found = hmac.new(found, part.encode(), hashlib.sha256).digest()
        _keys[keys, day] = found
    return found
