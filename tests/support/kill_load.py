"""Clients over S3 whose gateway is killed under them: each does one thing after another and knows what may be there."""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final
from urllib.parse import quote

from support.acknowledged import Lane
from support.raw_s3 import RawS3
from support.s3_link import Cut, Link, Reply

BUCKET: Final = "killed"
SIZES: Final = (0, 10, 4_000, 32_769, 40_000, 300_000)
_NAMES: Final = ("a", "b", "ü ä+%", "long" * 150)
#: Seconds that a client leaves a name alone after a request that was never answered: until then it may still be done.
_OVER: Final = 0.5

Value = list[str] | None


def body(tag: str, size: int) -> bytes:
    seed = hashlib.sha256(tag.encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


def _value(data: bytes, tag: str) -> Value:
    return [hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest(), tag]


class Killed:
    """One client."""

    def __init__(self, number: int, key: RawS3, seed: int) -> None:
        self.prefix = f"c{number}/"
        self.lane = Lane()
        self.acknowledged = 0
        self.unknown = 0
        self._dice = random.Random(f"{seed}/{number}")
        self._link = Link(key)
        self._serial = 0
        self._sizes: dict[str, tuple[str, int]] = {}  # name -> tag of the bytes, size; of those that are surely there

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            act = self._dice.choices(
                (self._put, self._delete, self._delete_all, self._copy, self._describe, self._multipart, self._refused),
                (10, 2, 1, 2, 2, 3, 1),
            )[0]
            await act()

    async def _try(self, delta: dict[str, Value], requests: Callable[[], Awaitable[bool]]) -> bool:
        """True when it was acknowledged."""
        self.lane.take("begin", delta)
        try:
            done = await requests()
        except (Cut, OSError):
            done = False
        self.lane.take("ack" if done else "unknown", None)
        if done:
            self.acknowledged += 1
        else:
            self.unknown += 1
            self._link.close()
            for name in delta:
                self._sizes.pop(name, None)
            await asyncio.sleep(_OVER)
        return done

    async def _ask(self, method: str, name: str, query: str = "", body: bytes | None = None, **headers: str) -> Reply:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        target = f"/{BUCKET}/{quote(self.prefix + name)}" if name else f"/{BUCKET}"
        async with asyncio.timeout(20):
            return await self._link.ask(method, target + query, sent, body)

    def _tag(self) -> str:
        self._serial += 1
        return f"{self.prefix}{self._serial}"

    async def _put(self) -> None:
        name, tag, size = self._dice.choice(_NAMES), self._tag(), self._dice.choice(SIZES)
        data = body(tag, size)

        async def put() -> bool:
            return (await self._ask("PUT", name, body=data, x_amz_meta_tag=tag)).status == 200

        if await self._try({name: _value(data, tag)}, put):
            self._sizes[name] = (tag, size)

    async def _delete(self) -> None:
        name = self._dice.choice(_NAMES)

        async def delete() -> bool:
            return (await self._ask("DELETE", name)).status == 204

        if await self._try({name: None}, delete):
            self._sizes.pop(name, None)

    async def _delete_all(self) -> None:
        """In one commit: all of them are gone, or none."""
        listed = "".join(f"<Object><Key>{self.prefix}{name}</Key></Object>" for name in _NAMES)

        async def delete() -> bool:
            document = f"<Delete><Quiet>true</Quiet>{listed}</Delete>".encode()
            reply = await self._ask("POST", "", "?delete", document)
            return reply.status == 200 and not reply.elements("Code")

        if await self._try(dict.fromkeys(_NAMES), delete):
            self._sizes.clear()

    async def _copy(self) -> None:
        await self._from_another(self._dice.choice(_NAMES))

    async def _describe(self) -> None:
        if self._sizes:
            await self._from_another(self._dice.choice(sorted(self._sizes)), itself=True)

    async def _from_another(self, name: str, itself: bool = False) -> None:
        if not self._sizes:
            return
        source = name if itself else self._dice.choice(sorted(self._sizes))
        (made, size), tag = self._sizes[source], self._tag()

        async def copy() -> bool:
            place = f"{BUCKET}/{quote(self.prefix + source)}"
            headers = {"x_amz_copy_source": place, "x_amz_metadata_directive": "REPLACE", "x_amz_meta_tag": tag}
            reply = await self._ask("PUT", name, body=b"", **headers)
            return reply.status == 200 and not reply.elements("Code")

        if await self._try({name: _value(body(made, size), tag)}, copy):
            self._sizes[name] = (made, size)

    async def _multipart(self) -> None:
        """Of one part; what is not completed for want of an answer is dropped in the end."""
        name, tag, size = self._dice.choice(_NAMES), self._tag(), self._dice.choice(SIZES[1:])
        data = body(tag, size)

        async def upload() -> bool:
            upload = (await self._ask("POST", name, "?uploads", b"", x_amz_meta_tag=tag)).element("UploadId")
            part = await self._ask("PUT", name, f"?partNumber=1&uploadId={upload}", data)
            if not upload or part.status != 200:
                return False
            listed = f"<Part><PartNumber>1</PartNumber><ETag>{part.etag}</ETag></Part>"
            document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
            reply = await self._ask("POST", name, f"?uploadId={upload}", document)
            return reply.status == 200 and not reply.elements("Code")

        md5 = hashlib.md5(hashlib.md5(data).digest()).hexdigest()
        value = [f"{md5}-1", hashlib.sha256(data).hexdigest(), tag]
        if await self._try({name: value}, upload):
            self._sizes.pop(name, None)  # its ETag is no MD5: not copied

    async def _refused(self) -> None:
        """Bytes that arrive and may not be stored."""

        async def put() -> bool:
            reply = await self._ask(
                "PUT", "refused", body=body("refused", 50_000), content_md5="AAAAAAAAAAAAAAAAAAAAAA=="
            )
            return reply.status == 400

        await self._try({}, put)

    async def check(self, listed: dict[str, str]) -> None:
        """What is there may be there, whole, and is listed. Raises AssertionError, or Cut."""
        seen: dict[str, Any] = {}
        for name in _NAMES:
            reply = await self._ask("GET", name)
            etag = listed.get(self.prefix + name)
            if reply.code == "NoSuchKey":
                assert etag is None, f"{self.prefix}{name} is listed and not there"
                continue
            assert reply.status == 200, f"{self.prefix}{name}: {reply.status} {reply.body[:300]!r}"
            assert etag == reply.etag, f"{self.prefix}{name} is {reply.etag} and listed as {etag}"
            seen[name] = [reply.etag, hashlib.sha256(reply.body).hexdigest(), reply.headers.get("x-amz-meta-tag", "")]
        assert self.lane.may_be(seen), f"{self.prefix}: {seen} is not one of {self.lane.states}"

    def close(self) -> None:
        self._link.close()


async def listing(key: RawS3, prefix: str = "") -> dict[str, str]:
    """Names and ETags in the bucket."""
    link, found, token = Link(key), dict[str, str](), ""
    try:
        while True:
            reply = await link.ask("GET", f"/{BUCKET}?list-type=2&prefix={quote(prefix, safe='')}{token}")
            assert reply.status == 200, reply.body[:300]
            etags = [etag.replace("&quot;", "") for etag in reply.elements("ETag")]
            found |= zip(reply.elements("Key"), etags, strict=True)
            if reply.element("IsTruncated") == "false":
                return found
            token = f"&continuation-token={quote(reply.element('NextContinuationToken'), safe='')}"
    finally:
        link.close()


async def drop_uploads(key: RawS3) -> None:
    """Abort those that kills left."""
    link = Link(key)
    try:
        reply = await link.ask("GET", f"/{BUCKET}?uploads")
        for name, upload in zip(reply.elements("Key"), reply.elements("UploadId"), strict=True):
            await link.ask("DELETE", f"/{BUCKET}/{quote(name)}?uploadId={upload}")
    finally:
        link.close()


async def all_checked(clients: Iterable[Killed], key: RawS3) -> None:
    """All clients find what they may, and nothing else is in the bucket."""
    clients, listed = list(clients), await listing(key)
    await asyncio.gather(*(client.check(listed) for client in clients))
    known = {client.prefix + name for client in clients for name in _NAMES} | {"probe"}
    assert set(listed) <= known, f"nobody put {set(listed) - known}"
