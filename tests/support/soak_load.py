"""A mixed load by many clients that know what they wrote, while their keys are revoked and replaced.

Every client has names of its own below a prefix and checks each answer against what it knows. What the gateway may
answer otherwise is what the client itself caused, or whoever withdrew its key: all else is a fault.
"""

import asyncio
import base64
import hashlib
import json
import random
import zlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from support.raw_s3 import RawS3
from support.rig import KEY_REFUSED, Rig, access_key, eventually
from support.s3_link import Cut, Link, Reply, read_head

BUCKET = "soak"
GRANTS = [{"bucket": BUCKET}]
KIB, MIB = 1 << 10, 1 << 20
SIZES = (0, 1, 900, 4 * KIB, 4 * KIB, 4 * KIB, 31 * KIB, 33 * KIB, 70 * KIB, 300 * KIB, MIB)
PART = 5 * MIB
#: Names that a client uses at a time, and operations until it looks at all that it has.
NAMES = 10
#: Seconds until what a client broke off is surely over.
SETTLED = 5.0
#: Seconds in which a client waits for a new key.
PATIENCE = 60.0
#: Bytes of a body that are sent, or taken, before a connection is killed.
PIECE = 20 * KIB


class Withdrawn(Exception):
    """The key was refused, as it was to be."""


class Fault(Exception):
    """What no client caused."""


@dataclass(frozen=True)
class Content:
    """Bytes that can be made again, so that nobody has to keep them; of a part each where there are several."""

    parts: tuple[tuple[int, int], ...]  # seed and size

    @classmethod
    def new(cls, dice: random.Random, *sizes: int) -> "Content":
        return cls(tuple((dice.getrandbits(32), size) for size in sizes))

    def pieces(self) -> list[bytes]:
        return [random.Random(seed).randbytes(size) for seed, size in self.parts]

    @property
    def size(self) -> int:
        return sum(size for _, size in self.parts)


@dataclass(frozen=True)
class Stored:
    """What lies under a name."""

    content: Content
    etag: str


def stored(content: Content) -> Stored:
    """An object of one piece."""
    return Stored(content, hashlib.md5(b"".join(content.pieces())).hexdigest())


@dataclass
class Tally:
    """What was counted."""

    operations: Counter[str] = field(default_factory=Counter[str])
    caused: Counter[str] = field(default_factory=Counter[str])  # errors that were to come, by cause and code
    faults: list[str] = field(default_factory=list[str])
    withdrawals: Counter[str] = field(default_factory=Counter[str])
    #: Seconds from a revocation until the last request began that was still allowed.
    still_allowed: list[float] = field(default_factory=list[float])
    sent: int = 0
    received: int = 0


class Team:
    """Clients that share an AccessKey; the AccessKey is revoked and made anew, or rotated."""

    def __init__(self, rig: Rig, number: int, tally: Tally) -> None:
        self._rig = rig
        self._number = number
        self._tally = tally
        self._generation = 0
        self.withdrawn: dict[str, float] = {}  # key id -> when it was begun to be withdrawn
        self.revoked: dict[str, float] = {}  # key id -> when the file said so
        self.forgotten: set[str] = set()  # ids of keys whose records may be gone
        self.refused: dict[str, float] = {}  # key id -> when a client was first told so
        self.allowed: dict[str, float] = {}  # key id -> when the last request began that was allowed
        self.waiting = 0
        self.members = 0
        self._renewed = asyncio.Event()
        self.key = RawS3(rig.port)

    @property
    def _name(self) -> str:
        return f"team-{self._number}-{self._generation}"

    async def issue(self) -> None:
        """Another AccessKey. The one before the last is deleted: nobody has its key any more."""
        self._generation += 1
        self._rig.apply(f"{self._name}.yaml", self._manifest())
        env = await asyncio.to_thread(self._rig.env, self._name)
        old, self.key = self.key, RawS3(self._rig.port, env["ACCESS_KEY"], env["SECRET_KEY"])
        self._announce(old)
        (self._rig.resources / f"team-{self._number}-{self._generation - 2}.yaml").unlink(missing_ok=True)

    async def revoke(self) -> None:
        """Revoke the AccessKey, wait until every client was refused, and issue another one."""
        old = self.key.key_id
        self.withdrawn[old] = _now()
        self._rig.apply(f"{self._name}.yaml", self._manifest(state="Revoked"))
        self.revoked[old] = _now()
        await self._all_wait()
        self._tally.still_allowed.append(max(0.0, self.allowed.get(old, 0.0) - self.revoked[old]))
        self._tally.withdrawals["revocations"] += 1
        await self.issue()

    async def rotate(self) -> None:
        """Have the key replaced; the old one works for a second beside it."""
        manifest = json.loads(self._manifest())
        at = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
        manifest["metadata"]["annotations"] = {"cooper.dev/rotate-at": at}
        old = self.key
        self.withdrawn[old.key_id] = _now()
        self.forgotten.add(old.key_id)
        self._rig.apply(f"{self._name}.yaml", json.dumps(manifest))
        env = await asyncio.to_thread(self._rotated, old.key_id)
        self.key = RawS3(self._rig.port, env["ACCESS_KEY"], env["SECRET_KEY"])
        self._announce(old)
        self._tally.withdrawals["rotations"] += 1

    async def renewed(self, old: RawS3) -> RawS3:
        """Another key than this one, once there is one."""
        deadline = _now() + PATIENCE
        self.waiting += 1
        try:
            while self.key is old:
                async with asyncio.timeout_at(deadline):
                    await self._renewed.wait()
        except TimeoutError:
            raise Fault(f"no new key came in {PATIENCE:.0f} s") from None
        finally:
            self.waiting -= 1
        return self.key

    def _manifest(self, **more: object) -> str:
        return access_key(self._name, grants=GRANTS, rotation={"overlap": "1s"}, **more)

    def _rotated(self, old: str) -> dict[str, str]:
        def other() -> dict[str, str] | None:
            env = self._rig.env(self._name)
            return env if env["ACCESS_KEY"] != old else None

        return eventually("the rotated key", other, PATIENCE, pause=0.1)

    def _announce(self, old: RawS3) -> None:
        renewed, self._renewed = self._renewed, asyncio.Event()
        renewed.set()
        if old.key_id:
            self._tally.withdrawals["keys replaced"] += 1

    async def _all_wait(self) -> None:
        deadline = _now() + PATIENCE
        while self.waiting < self.members:
            if _now() > deadline:
                raise Fault(f"{self.members - self.waiting} clients were not refused in {PATIENCE:.0f} s")
            await asyncio.sleep(0.05)


def _now() -> float:
    return asyncio.get_running_loop().time()


class Client:
    """One connection, and what it knows of its own names."""

    def __init__(self, number: int, team: Team, tally: Tally, seed: int) -> None:
        self.prefix = f"c{number}/"
        self._team = team
        team.members += 1
        self._tally = tally
        self._dice = random.Random(f"{seed}/{number}")
        self._link = Link(team.key)
        self._act = ""
        self._serial = 0
        self.known: dict[str, Stored | None] = {}  # None: nothing is there
        #: What was broken off: when, under which name, and what may be there. It is not touched until it is settled.
        self.doubtful: deque[tuple[float, str, tuple[Stored | None, ...]]] = deque()
        self._uploads: list[tuple[str, str]] = []  # name and id of those that were broken off
        self._acts: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (20, self._put),
            (22, self._get),
            (10, self._get_range),
            (8, self._head),
            (6, self._list),
            (7, self._delete),
            (2, self._delete_many),
            (6, self._copy),
            (1, self._multipart),
            (3, self._put_what_does_not_verify),
            (3, self._put_where_something_is),
            (3, self._kill_an_upload),
            (3, self._kill_a_download),
            (1, self._leave_before_the_answer),
            (1, self._read_slowly),
        ]

    async def run(self, until: Callable[[], bool]) -> None:
        """Work until told to stop, and tidy up. What goes wrong is in the tally."""
        weights = [weight for weight, _ in self._acts]
        try:
            while not until():
                act = self._dice.choices(self._acts, weights)[0][1]
                await self._do(act)
                await self._do(self._settle)
            await self._do(self._look_at_all, again=True)
            await self._do(self._tidy, again=True)
        except Exception as fault:
            self._tally.faults.append(f"client {self.prefix} {self._act}: {type(fault).__name__}: {fault}")
        finally:
            self._team.members -= 1
            self._link.close()

    async def _do(self, act: Callable[[], Awaitable[None]], again: bool = False) -> None:
        """One act; where the key is refused, get another one (and begin anew)."""
        self._act = getattr(act, "__name__", "").strip("_")
        while True:
            key = self._link.key
            try:
                await act()
            except Withdrawn:
                self._link.close()
                self._link = Link(await self._team.renewed(key))
                if not again:
                    return
            else:
                self._tally.operations[self._act] += act != self._settle
                return

    # Asking.

    async def _ask(
        self,
        method: str,
        name: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        *,
        expect: tuple[int, ...] = (200, 204),
        caused: str = "",
        maybe: str = "",
        payload: str = "UNSIGNED-PAYLOAD",
    ) -> Reply:
        """The answer, which has one of these statuses, or the code that the client causes, or may have caused. Raises
        Withdrawn, Fault."""
        target = self._target(name) + query
        began, key = _now(), self._link.key
        try:
            reply = await self._link.ask(method, target, headers, body, payload)
        except Cut as cut:
            self._withdrawn_or(key, f"{method} {target} was cut: {cut}")
            raise Withdrawn from cut
        self._tally.sent += len(body or b"")
        self._tally.received += len(reply.body)
        code = reply.code or (str(reply.status) if reply.status not in expect else "")
        if code == "403":  # to a HEAD, which is told no more
            self._withdrawn_or(key, f"HEAD {target} was refused")
            raise Withdrawn
        self._judge(key, began, code)
        if code in KEY_REFUSED:
            self._tally.caused[f"withdrawn key: {code}"] += 1
            raise Withdrawn
        if code and code == maybe:
            return reply
        if caused:
            if code != caused:
                raise Fault(f"{method} {target} was answered with {code or reply.status} instead of {caused}")
            self._tally.caused[f"own doing: {code}"] += 1
        elif code:
            raise Fault(f"{method} {target} was answered with {code}: {reply.body[:300]!r}")
        return reply

    def _judge(self, key: RawS3, began: float, code: str) -> None:
        """Whether this key may be answered so now. Raises Fault."""
        team, key_id = self._team, key.key_id
        if code not in KEY_REFUSED:
            team.allowed[key_id] = max(team.allowed.get(key_id, 0.0), began)
            if began > team.refused.get(key_id, began):
                raise Fault("a key was allowed after it had been refused")
            return
        self._withdrawn_or(key, f"the key was answered with {code}")
        if code != "KeyAccessRevoked" and key_id not in team.forgotten:
            raise Fault(f"a revoked key was answered with {code}")
        team.refused.setdefault(key_id, _now())

    def _withdrawn_or(self, key: RawS3, otherwise: str) -> None:
        """Raises Fault unless the key is being withdrawn."""
        if key.key_id not in self._team.withdrawn:
            raise Fault(otherwise)

    def _target(self, name: str) -> str:
        return f"/{BUCKET}/{quote(self.prefix + name)}" if name else f"/{BUCKET}"

    # Names.

    def _free_name(self) -> str:
        """A name to write to: an old one or a new one."""
        if len(self.known) >= NAMES:
            return self._dice.choice(sorted(self.known))
        self._serial += 1
        name = f"{self._dice.choice(['a', 'b/c', 'ü ä+%'])}{self._serial}"
        self.known[name] = None
        return name

    def _some(self) -> tuple[str, Stored | None] | None:
        return self._dice.choice(sorted(self.known.items(), key=lambda item: item[0])) if self.known else None

    def _doubt(self, name: str, *possible: Stored | None) -> None:
        """It is not known what came of the last request: leave the name alone until that is over."""
        before = self.known.pop(name)
        self.doubtful.append((_now(), name, (before, *possible)))

    async def _write(self, name: str, then: Stored | None, request: Awaitable[Reply]) -> Reply:
        """A write that makes this of a name. Where no answer comes it may have been made or not."""
        try:
            reply = await request
        except Withdrawn as withdrawn:
            if isinstance(withdrawn.__cause__, Cut):
                self._doubt(name, then)
            raise
        self.known[name] = then
        return reply

    # What clients do.

    async def _put(self) -> None:
        content = Content.new(self._dice, self._dice.choice(SIZES))
        body, new, name = b"".join(content.pieces()), stored(content), self._free_name()
        headers, payload = self._proof(body)
        reply = await self._write(name, new, self._ask("PUT", name, headers=headers, body=body, payload=payload))
        _same(reply.etag, new.etag, name)

    def _proof(self, body: bytes) -> tuple[dict[str, str], str]:
        """One of the ways to say which bytes are sent."""
        match self._dice.randrange(4):
            case 0:
                return {"content-md5": base64.b64encode(hashlib.md5(body).digest()).decode()}, "UNSIGNED-PAYLOAD"
            case 1:
                crc = zlib.crc32(body).to_bytes(4, "big")
                return {"x-amz-checksum-crc32": base64.b64encode(crc).decode()}, "UNSIGNED-PAYLOAD"
            case 2:
                return {}, hashlib.sha256(body).hexdigest()
            case _:
                return {}, "UNSIGNED-PAYLOAD"

    async def _put_what_does_not_verify(self) -> None:
        body, name = self._dice.randbytes(self._dice.choice(SIZES)), self._free_name()
        match self._dice.randrange(3):
            case 0:
                wrong = {"content-md5": base64.b64encode(bytes(16)).decode()}
                await self._ask("PUT", name, headers=wrong, body=body, caused="BadDigest")
            case 1:
                await self._ask("PUT", name, body=body, payload="0" * 64, caused="XAmzContentSHA256Mismatch")
            case _:
                wrong = {"x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode()}
                await self._ask("PUT", name, headers=wrong, body=body, caused="XAmzContentChecksumMismatch")

    async def _put_where_something_is(self) -> None:
        found = self._some()
        if found is None or found[1] is None:
            return
        name, held = found
        await self._ask("PUT", name, headers={"if-none-match": "*"}, body=b"x", caused="PreconditionFailed")
        await self._ask("PUT", name, headers={"if-match": "none"}, body=b"x", caused="PreconditionFailed")
        content = Content.new(self._dice, 5 * KIB)
        body = b"".join(content.pieces())
        request = self._ask("PUT", name, headers={"if-match": f'"{held.etag}"'}, body=body)
        await self._write(name, stored(content), request)

    async def _get(self) -> None:
        if (found := self._some()) is not None:
            await self._read(*found)

    async def _read(self, name: str, held: Stored | None) -> None:
        if held is None:
            await self._ask("GET", name, caused="NoSuchKey")
            return
        _whole(await self._ask("GET", name), held, name)

    async def _get_range(self) -> None:
        found = self._some()
        if found is None or found[1] is None or not found[1].content.size:
            return
        name, held = found
        first = self._dice.randrange(held.content.size)
        last = self._dice.randrange(first, held.content.size + 10)
        reply = await self._ask("GET", name, headers={"range": f"bytes={first}-{last}"}, expect=(206,))
        _same(reply.etag, held.etag, name)
        if reply.body != b"".join(held.content.pieces())[first : last + 1]:
            raise Fault(f"bytes {first}-{last} of {name} are not those that were written")

    async def _head(self) -> None:
        found = self._some()
        if found is None:
            return
        name, held = found
        reply = await self._ask("HEAD", name, expect=(200,), caused="404" if held is None else "")
        if held is not None:
            _same((reply.etag, reply.headers["content-length"]), (held.etag, str(held.content.size)), name)

    async def _list(self) -> None:
        """All pages: what is known is there, and nothing else but what is in doubt."""
        doubtful = {name for _, name, _ in self.doubtful}
        listed = {name: etag for name, etag in (await self._listed()).items() if name not in doubtful}
        _same(listed, {name: held.etag for name, held in self.known.items() if held is not None}, "the listing")

    async def _listed(self) -> dict[str, str]:
        found: dict[str, str] = {}
        token, limit = "", self._dice.choice([1, 3, 7, 1000])
        while True:
            prefix = quote(self.prefix, safe="")
            reply = await self._ask("GET", "", f"?list-type=2&prefix={prefix}&max-keys={limit}{token}")
            names = [name.removeprefix(self.prefix) for name in reply.elements("Key")]
            found |= zip(names, (etag.replace("&quot;", "") for etag in reply.elements("ETag")), strict=True)
            if reply.element("IsTruncated") == "false":
                return found
            token = f"&continuation-token={quote(reply.element('NextContinuationToken'), safe='')}"

    async def _delete(self) -> None:
        if (found := self._some()) is not None:
            await self._write(found[0], None, self._ask("DELETE", found[0]))
            self.known.pop(found[0], None)

    async def _delete_many(self) -> None:
        names = self._dice.sample(sorted(self.known), min(3, len(self.known)))
        if not names:
            return
        listed = "".join(f"<Object><Key>{self.prefix}{name}</Key></Object>" for name in names)
        try:
            body = f"<Delete><Quiet>true</Quiet>{listed}</Delete>".encode()
            reply = await self._ask("POST", "", "?delete", body=body)
        except Withdrawn as withdrawn:
            if isinstance(withdrawn.__cause__, Cut):
                for name in names:
                    self._doubt(name, None)
            raise
        _same(reply.elements("Code"), [], "the batch")
        for name in names:
            del self.known[name]

    async def _copy(self) -> None:
        found = self._some()
        if found is None or found[1] is None or len(found[1].content.parts) > 1:
            return
        source, held = found
        name = self._free_name()
        if name == source:
            return
        header = {"x-amz-copy-source": f"{BUCKET}/{quote(self.prefix + source)}"}
        reply = await self._write(name, held, self._ask("PUT", name, headers=header, body=b""))
        _same(reply.etag, held.etag, name)

    async def _multipart(self) -> None:
        """An upload of two parts, completed or aborted."""
        name = self._free_name()
        upload = (await self._ask("POST", name, "?uploads", body=b"")).element("UploadId")
        self._uploads.append((name, upload))
        content = Content.new(self._dice, PART, self._dice.choice([1, 100 * KIB]))
        etags: list[str] = []
        for number, piece in enumerate(content.pieces(), 1):
            query = f"?partNumber={number}&uploadId={upload}"
            etags.append((await self._ask("PUT", name, query, body=piece)).etag)
        if self._dice.randrange(3) == 0:
            await self._ask("DELETE", name, f"?uploadId={upload}")
            self._uploads.remove((name, upload))
            return
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
        )
        joined = b"".join(map(bytes.fromhex, etags))
        new = Stored(content, f"{hashlib.md5(joined).hexdigest()}-{len(etags)}")
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        reply = await self._write(name, new, self._ask("POST", name, f"?uploadId={upload}", body=body))
        self._uploads.remove((name, upload))
        _same(reply.etag, new.etag, name)

    # What clients do to the gateway.

    async def _kill_an_upload(self) -> None:
        """Cut the connection in the middle of a body: nothing of it may be there."""
        name = self._free_name()
        body = self._dice.randbytes(self._dice.choice([PIECE + 1, 300 * KIB, MIB]))
        request = self._link.key.request("PUT", self._target(name), body=body, close=False)
        _, writer = await asyncio.open_connection("127.0.0.1", self._link.key.port)
        writer.write(request[: -len(body)] + body[: self._dice.randrange(len(body))])
        await asyncio.sleep(self._dice.choice([0, 0.01, 0.1]))
        self._kill(writer)
        self._tally.caused["own doing: upload killed"] += 1
        await self._read(name, self.known[name])

    async def _kill_a_download(self) -> None:
        found = self._some()
        if found is None or found[1] is None or found[1].content.size < 3 * PIECE:
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self._link.key.port, limit=PIECE)
        writer.write(self._link.key.request("GET", self._target(found[0]), close=False))
        try:
            await reader.read(self._dice.randrange(1, PIECE))
        except ConnectionError:
            self._withdrawn_or(self._link.key, "a download was cut")
        self._kill(writer)
        self._tally.caused["own doing: download killed"] += 1

    async def _leave_before_the_answer(self) -> None:
        """What was asked for may be done or not."""
        name = self._free_name()
        content = Content.new(self._dice, self._dice.choice([4 * KIB, 70 * KIB]))
        _, writer = await asyncio.open_connection("127.0.0.1", self._link.key.port)
        body = b"".join(content.pieces())
        writer.write(self._link.key.request("PUT", self._target(name), body=body, close=False))
        await asyncio.sleep(self._dice.choice([0, 0.001, 0.01]))
        self._kill(writer)
        self._tally.caused["own doing: left before the answer"] += 1
        self._doubt(name, stored(content))

    def _kill(self, writer: asyncio.StreamWriter) -> None:
        """In order or not."""
        if self._dice.randrange(2):
            writer.transport.abort()
        else:
            writer.close()

    async def _read_slowly(self) -> None:
        """For some seconds: the stream is cut when the key is withdrawn, and whole otherwise."""
        large = [(name, held) for name, held in sorted(self.known.items()) if held and held.content.size >= MIB]
        if not large:
            return
        name, held = self._dice.choice(large)
        key, began, received = self._link.key, _now(), bytearray()
        reader, writer = await asyncio.open_connection("127.0.0.1", key.port, limit=64 * KIB)
        writer.write(key.request("GET", self._target(name), close=True))
        try:
            status, headers = await read_head(reader)
            while piece := await reader.read(64 * KIB):
                received += piece
                await asyncio.sleep(0.05)
        except (OSError, asyncio.IncompleteReadError) as error:
            self._withdrawn_or(key, f"a slow download of {name} was cut: {error!r}")
            raise Withdrawn from error
        finally:
            writer.close()
        reply = Reply(status, headers, bytes(received))
        self._judge(key, began, reply.code)
        if reply.code in KEY_REFUSED:
            raise Withdrawn
        if len(received) < held.content.size:
            self._withdrawn_or(key, f"a slow download of {name} ended after {len(received)} bytes")
            self._tally.caused["withdrawn key: stream cut"] += 1
            raise Withdrawn
        _whole(reply, held, name)

    # What is over.

    async def _settle(self, all_of_it: bool = False) -> None:
        """Look at names that were left alone, and take them up again."""
        while self.doubtful and (all_of_it or self.doubtful[0][0] < _now() - SETTLED):
            _, name, possible = self.doubtful[0]
            reply = await self._ask("GET", name, maybe="NoSuchKey")
            if not any(_is(reply, each) for each in possible):
                raise Fault(f"{name} is not what was there nor what was sent")
            await self._ask("DELETE", name)
            self.doubtful.popleft()

    async def _look_at_all(self) -> None:
        """In the end: everything acknowledged is there, whole."""
        if self.doubtful:
            await asyncio.sleep(max(0.0, self.doubtful[-1][0] + SETTLED - _now()))
        await self._settle(all_of_it=True)
        for name, held in sorted(self.known.items()):
            await self._read(name, held)
        await self._list()

    async def _tidy(self) -> None:
        """Leave nothing behind."""
        for name in sorted(await self._listed()):
            await self._ask("DELETE", name)
        for name, upload in list(self._uploads):
            await self._ask("DELETE", name, f"?uploadId={upload}", maybe="NoSuchUpload")  # it may be complete
            self._uploads.remove((name, upload))


def _same(found: object, wanted: object, name: str) -> None:
    if found != wanted:
        raise Fault(f"{name}: {found!r} instead of {wanted!r}")


def _is(reply: Reply, held: Stored | None) -> bool:
    if held is None:
        return reply.code == "NoSuchKey"
    return (reply.status, reply.etag, reply.body) == (200, held.etag, b"".join(held.content.pieces()))


def _whole(reply: Reply, held: Stored, name: str) -> None:
    _same(reply.etag, held.etag, name)
    if reply.body != b"".join(held.content.pieces()):
        raise Fault(f"the bytes of {name} are not those that were written")
