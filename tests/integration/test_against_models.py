"""A real gateway of two workers against models that could not be simpler.

For one client at a time that is a dictionary, and for many at once a variable for each key (support/linear.py).

Without `--soak` the walks are short and always the same.
"""

import asyncio
import hashlib
import random
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest
import uvloop

from support.linear import Event, linearizable
from support.raw_s3 import RawS3
from support.rig import REGION, Rig, bucket
from support.s3_link import Link, Reply

BUCKET = "model"
LINKS = 4
#: Of names, prefixes and markers: what is cut at, what is escaped, what sorts oddly, and characters of several bytes.
BITS = (
    "a",
    "b",
    "/",
    "/",
    "//",
    "ä",
    "日本",
    "\U0001f511",
    " ",
    "+",
    "%",
    "%2F",
    "&",
    "<",
    '"',
    "\n",
    "\x01",
    "~",
    "!",
    "..",
)
DELIMITERS = ("", "", "/", "/", "//", "a", "ä", "本", "b/", "&", "%2F", "\n", "no such")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("models"))
    rig.apply("all.yaml", REGION, bucket(BUCKET))
    with rig:
        rig.env(BUCKET)
        yield rig


def key_of(rig: Rig) -> RawS3:
    env = rig.env(BUCKET)
    return RawS3(rig.port, env["ACCESS_KEY"], env["SECRET_KEY"])


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


# One client: a dictionary.


@dataclass
class Kept:
    """An object."""

    body: bytes
    etag: str
    colour: str  # of its metadata


@dataclass
class Upload:
    """A multipart upload in progress."""

    name: str
    colour: str
    parts: dict[int, bytes] = field(default_factory=dict[int, bytes])


@dataclass
class Walk:
    """Random acts, each compared with what the dictionary says."""

    links: list[Link]
    dice: random.Random
    objects: dict[str, Kept] = field(default_factory=dict[str, Kept])
    uploads: dict[str, Upload] = field(default_factory=dict[str, Upload])
    serial: int = 0

    async def step(self) -> None:
        acts = (
            *((self.put,) * 6),
            *((self.put_on_condition,) * 4),
            *((self.delete,) * 2),
            self.delete_many,
            *((self.copy,) * 4),
            *((self.look,) * 4),
            *((self.list_them,) * 6),
            *((self.begin_upload,) * 2),
            *((self.put_part,) * 4),
            *((self.end_upload,) * 3),
            self.list_uploads,
        )
        await self.dice.choice(acts)()

    async def ask(
        self,
        method: str,
        name: str = "",
        query: str = "",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """By any of the connections."""
        target = f"/{BUCKET}/{quote(name, safe='/')}" if name else f"/{BUCKET}"
        return await self.dice.choice(self.links).ask(method, target + query, headers, body)

    def some_name(self) -> str:
        if self.objects and self.dice.randrange(2):
            return self.dice.choice(sorted(self.objects))
        return "".join(self.dice.choices(BITS, k=self.dice.randint(1, 4)))

    def new_body(self) -> bytes:
        self.serial += 1
        return f"{self.serial} ".encode() * self.dice.choice([1, 1, 10, 20_000])

    def colour(self) -> str:
        return self.dice.choice(["red", "blue", "g r e e n"])

    # Objects.

    async def put(self) -> None:
        name, body, colour = self.some_name(), self.new_body(), self.colour()
        reply = await self.ask("PUT", name, headers={"x-amz-meta-colour": colour}, body=body)
        assert (reply.status, reply.etag) == (200, md5(body))
        self.objects[name] = Kept(body, md5(body), colour)

    async def put_on_condition(self) -> None:
        name, body = self.some_name(), self.new_body()
        held = self.objects.get(name)
        condition, code = self.condition(held)
        reply = await self.ask("PUT", name, headers={**condition, "x-amz-meta-colour": "red"}, body=body)
        assert reply.code == code, (name, condition, held and held.etag)
        if not code:
            self.objects[name] = Kept(body, md5(body), "red")

    def condition(self, held: Kept | None) -> tuple[dict[str, str], str]:
        """One on a write, and the code that it ends in, if any."""
        missing = "NoSuchKey" if held is None else ""
        etag = "0" * 32 if held is None else held.etag
        return self.dice.choice(
            [
                ({"if-none-match": "*"}, "" if held is None else "PreconditionFailed"),
                ({"if-match": f'"{etag}"'}, missing),
                ({"if-match": "*"}, missing),
                ({"if-match": '"' + "f" * 32 + '"'}, missing or "PreconditionFailed"),
            ]
        )

    async def delete(self) -> None:
        name = self.some_name()
        held = self.objects.get(name)
        condition, code = self.condition(held) if self.dice.randrange(2) else ({}, "")
        if "if-none-match" in condition:
            condition, code = {}, ""
        reply = await self.ask("DELETE", name, headers=condition)
        assert (reply.status, reply.code) == (reply.status if code else 204, code), (name, condition)
        if not code:
            self.objects.pop(name, None)

    async def delete_many(self) -> None:
        names = {self.some_name() for _ in range(self.dice.randint(1, 3))}
        # Not even a reference to that character is XML.
        wanted = {name: self.etag_for(name) for name in sorted(names) if "\x01" not in name}
        listed = "".join(
            f"<Object><Key>{_escaped(name)}</Key>{f'<ETag>{etag}</ETag>' if etag else ''}</Object>"
            for name, (etag, _) in wanted.items()
        )
        reply = await self.ask("POST", "", "?delete", body=f"<Delete>{listed}</Delete>".encode())
        assert reply.status == (200 if wanted else 400)
        errors = re.findall(r"<Error><Key>(.*?)</Key><Code>(\w+)</Code>", reply.body.decode(), re.DOTALL)
        told = {_unescaped(name).decode(): code for name, code in errors}
        assert told == {name: code for name, (_, code) in wanted.items() if code}
        deleted = re.findall(r"<Deleted><Key>(.*?)</Key>", reply.body.decode(), re.DOTALL)
        gone = {_unescaped(name).decode() for name in deleted}
        assert gone == wanted.keys() - told.keys()
        for name in gone:
            self.objects.pop(name, None)

    def etag_for(self, name: str) -> tuple[str, str]:
        """What a deletion compares, if anything, and the code that it ends in, if any."""
        held = self.objects.get(name)
        match self.dice.randrange(4):
            case 0:
                return "f" * 32, "NoSuchKey" if held is None else "PreconditionFailed"
            case 1 if held is not None:
                return f'"{held.etag}"', ""
            case _:
                return "", ""

    async def copy(self) -> None:
        source, name = self.some_name(), self.some_name()
        held, there = self.objects.get(source), self.objects.get(name)
        replaces, conditional = self.dice.randrange(2), self.dice.randrange(3) == 0
        headers = {"x-amz-copy-source": f"{BUCKET}/{quote(source)}"}
        if replaces:
            headers |= {"x-amz-metadata-directive": "REPLACE", "x-amz-meta-colour": "violet"}
        condition, code = self.condition(there) if conditional else ({}, "")
        if held is None:
            code = "NoSuchKey"
        elif source == name and not replaces:
            code = "InvalidRequest"
        reply = await self.ask("PUT", name, headers={**headers, **condition}, body=b"")
        assert reply.code == code, (source, name, headers, condition)
        if not code:
            assert held is not None
            # A copy is one piece. One that only gets other metadata stays what it was.
            etag = held.etag if source == name else md5(held.body)
            assert reply.etag == etag
            self.objects[name] = Kept(held.body, etag, "violet" if replaces else held.colour)

    async def look(self) -> None:
        name = self.some_name()
        held = self.objects.get(name)
        if held is None:
            assert (await self.ask("GET", name)).code == "NoSuchKey"
            return
        found = await self.ask("GET", name)
        assert (found.status, found.etag, found.body) == (200, held.etag, held.body)
        assert found.headers["x-amz-meta-colour"] == held.colour
        first, last = sorted(self.dice.choices(range(len(held.body)), k=2))
        part = await self.ask("GET", name, headers={"range": f"bytes={first}-{last}"})
        assert (part.status, part.body) == (206, held.body[first : last + 1])
        same = await self.ask("HEAD", name, headers={"if-none-match": f'"{held.etag}"'})
        assert same.status == 304
        told = await self.ask("GET", name, "?attributes", {"x-amz-object-attributes": "ETag,ObjectSize"})
        assert (told.element("ETag"), told.element("ObjectSize")) == (held.etag, str(len(held.body)))

    # Listings.

    async def list_them(self) -> None:
        """All pages of a listing from somewhere on."""
        prefix, delimiter, after = self.some_place(), self.dice.choice(DELIMITERS), self.some_place()
        limit, url = self.dice.choice([1, 2, 3, 10, 1000]), bool(self.dice.randrange(2))
        if any("\x01" in name for name in self.objects):
            url = True  # what cannot stand in XML 1.0 is asked for so
        query = f"prefix={_value(prefix)}&delimiter={_value(delimiter)}&max-keys={limit}" + "&encoding-type=url" * url
        pages = self.pages_v2 if self.dice.randrange(2) else self.pages_v1
        found = await pages(query, delimiter, after, limit, url)
        assert found == listed(self.objects, prefix, delimiter, after), (prefix, delimiter, after, limit, url)

    def some_place(self) -> str:
        """An odd prefix or marker, or nothing."""
        if self.dice.randrange(3) == 0:
            return ""
        name = self.some_name()
        return name[: self.dice.randint(0, len(name))]

    async def pages_v2(
        self, query: str, _delimiter: str, after: str, limit: int, url: bool
    ) -> list[tuple[bytes, bool]]:
        found: list[tuple[bytes, bool]] = []
        more = f"&start-after={_value(after)}"
        while True:
            reply = await self.ask("GET", "", f"?list-type=2&{query}{more}")
            page = self.page(reply, url)
            assert int(reply.element("KeyCount")) == len(page)
            found += page
            if not self.goes_on(reply, page, limit):
                return found
            more = f"&continuation-token={_value(reply.element('NextContinuationToken'))}"

    async def pages_v1(self, query: str, delimiter: str, after: str, limit: int, url: bool) -> list[tuple[bytes, bool]]:
        found: list[tuple[bytes, bool]] = []
        marker = after.encode()
        while True:
            reply = await self.ask("GET", "", f"?{query}&marker={_value(marker)}")
            page = self.page(reply, url)
            found += page
            if not self.goes_on(reply, page, limit):
                return found
            marker = page[-1][0]
            if delimiter:
                assert _decoded(reply.element("NextMarker"), url) == marker

    def page(self, reply: Reply, url: bool) -> list[tuple[bytes, bool]]:
        """Names and common prefixes of a page, in their order."""
        assert reply.status == 200, reply.body
        entries = list(zip(reply.elements("Key"), reply.elements("ETag"), reply.elements("Size"), strict=True))
        for name, etag, size in entries:
            held = self.objects[_decoded(name, url).decode()]
            assert (etag, int(size)) == (f"&quot;{held.etag}&quot;", len(held.body))
        prefixes = re.findall(r"<CommonPrefixes><Prefix>(.*?)</Prefix>", reply.body.decode(), re.DOTALL)
        found = [(_decoded(name, url), False) for name, _, _ in entries] + [
            (_decoded(each, url), True) for each in prefixes
        ]
        return sorted(found)

    def goes_on(self, reply: Reply, page: list[tuple[bytes, bool]], limit: int) -> bool:
        assert len(page) <= limit
        truncated = reply.element("IsTruncated") == "true"
        assert not truncated or len(page) == limit
        return truncated

    # Uploads.

    async def begin_upload(self) -> None:
        name, colour = self.some_name(), self.colour()
        reply = await self.ask("POST", name, "?uploads", {"x-amz-meta-colour": colour}, b"")
        self.uploads[reply.element("UploadId")] = Upload(name, colour)

    async def put_part(self) -> None:
        if not self.uploads:
            return
        upload_id, upload = self.dice.choice(sorted(self.uploads.items(), key=lambda item: item[0]))
        number, query = self.dice.randint(1, 3), f"uploadId={upload_id}&partNumber="
        source = self.some_name()
        if self.dice.randrange(3) == 0 and source in self.objects:
            held = self.objects[source].body
            first, last = sorted(self.dice.choices(range(len(held)), k=2))
            headers = {
                "x-amz-copy-source": f"{BUCKET}/{quote(source)}",
                "x-amz-copy-source-range": f"bytes={first}-{last}",
            }
            body = held[first : last + 1]
            reply = await self.ask("PUT", upload.name, f"?{query}{number}", headers, b"")
        else:
            body = self.new_body()
            reply = await self.ask("PUT", upload.name, f"?{query}{number}", body=body)
        assert (reply.status, reply.etag) == (200, md5(body))
        upload.parts[number] = body

    async def end_upload(self) -> None:
        """Complete it, rightly or not, or abort it."""
        if not self.uploads:
            return
        upload_id, upload = self.dice.choice(sorted(self.uploads.items(), key=lambda item: item[0]))
        query, kind = f"?uploadId={upload_id}", self.dice.choice(["abort", "right", "right", "right", "wrong"])
        parts = await self.ask("GET", upload.name, query)
        assert list(zip(parts.elements("PartNumber"), parts.elements("ETag"), strict=True)) == [
            (str(number), f"&quot;{md5(body)}&quot;") for number, body in sorted(upload.parts.items())
        ]
        if kind == "abort":
            assert (await self.ask("DELETE", upload.name, query)).status == 204
            del self.uploads[upload_id]
            assert (await self.ask("DELETE", upload.name, query)).code == "NoSuchUpload"
            return
        named = sorted(self.dice.sample(sorted(upload.parts), min(len(upload.parts), self.dice.choice([1, 1, 2]))))
        etags, code = [md5(upload.parts[number]) for number in named], ""
        if kind == "wrong" and named:
            etags[-1], code = "0" * 32, "InvalidPart"
        elif len(named) > 1:
            code = "EntityTooSmall"
        elif not named:
            code = "MalformedXML"
        document = complete(dict(zip(named, etags, strict=True)))
        reply = await self.ask("POST", upload.name, query, body=document)
        assert reply.code == code, document
        if code:
            return
        etag = f"{md5(bytes.fromhex(etags[0]))}-1"
        assert reply.etag == etag
        del self.uploads[upload_id]
        self.objects[upload.name] = Kept(upload.parts[named[0]], etag, upload.colour)
        again = await self.ask("POST", upload.name, query, body=document)
        assert (again.status, again.etag) == (200, etag)

    async def list_uploads(self) -> None:
        found: list[tuple[bytes, str]] = []
        limit, more = self.dice.choice([1, 3, 1000]), ""
        while True:
            reply = await self.ask("GET", "", f"?uploads&encoding-type=url&max-uploads={limit}{more}")
            found += zip(map(unquote_to_bytes, reply.elements("Key")), reply.elements("UploadId"), strict=True)
            if reply.element("IsTruncated") == "false":
                break
            marker, upload_id = reply.element("NextKeyMarker"), reply.element("NextUploadIdMarker")
            more = f"&key-marker={marker}&upload-id-marker={upload_id}"
        assert sorted(found) == sorted((upload.name.encode(), each) for each, upload in self.uploads.items())
        assert [name for name, _ in found] == sorted(name for name, _ in found)


def listed(names: dict[str, Kept], prefix: str, delimiter: str, after: str) -> list[tuple[bytes, bool]]:
    """What a listing gives: names and, marked so, common prefixes. Those that end before `after` are left out."""
    found: set[tuple[bytes, bool]] = set()
    start, cut, last = prefix.encode(), delimiter.encode(), after.encode()
    for name in map(str.encode, names):
        if not name.startswith(start) or name <= last:
            continue
        at = name.find(cut, len(start)) if cut else -1
        entry = (name, False) if at < 0 else (name[: at + len(cut)], True)
        # A common prefix that a page ended with is not told again.
        if not (entry[1] and entry[0] == last):
            found.add(entry)
    return sorted(found)


def complete(parts: dict[int, str]) -> bytes:
    each = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts.items()
    )
    return f"<CompleteMultipartUpload>{each}</CompleteMultipartUpload>".encode()


def _value(text: str | bytes) -> str:
    return quote(text, safe="")


_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"'}


def _escaped(text: str) -> str:
    return "".join(f"&#{ord(each)};" if each in '&<>"\n' else each for each in text)


def _unescaped(text: str) -> bytes:
    def character(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else _ENTITIES[found[2]]

    return re.sub(r"&(?:#x([0-9A-F]+)|(\w+));", character, text).encode()


def _decoded(text: str, url: bool) -> bytes:
    return unquote_to_bytes(text) if url else _unescaped(text)


async def walked(key: RawS3, seed: int, steps: int) -> None:
    links = [Link(key) for _ in range(LINKS)]
    walk = Walk(links, random.Random(seed))
    try:
        for _ in range(steps):
            await walk.step()
        for name in sorted(walk.objects):
            assert (await walk.ask("DELETE", name)).status == 204
        for upload_id, upload in walk.uploads.items():
            assert (await walk.ask("DELETE", upload.name, f"?uploadId={upload_id}")).status == 204
    finally:
        for link in links:
            link.close()


def seeds(pytestconfig: pytest.Config, few: int, many: int) -> range:
    """Of the runs; new ones for the long run, and printed there."""
    if not pytestconfig.getoption("--soak"):
        return range(1, few + 1)
    first = time.time_ns()
    print(f"seeds from {first} on")
    return range(first, first + many)


def test_what_one_client_does_is_what_a_dictionary_does(rig: Rig, pytestconfig: pytest.Config) -> None:
    for seed in seeds(pytestconfig, 4, 200):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(walked(key_of(rig), seed, 120))
            except BaseException:
                print(f"seed {seed}")
                raise


# Many clients: a variable for each key.


class Racer:
    """A client that races others on a few names, and notes what it saw of each."""

    def __init__(self, key: RawS3, number: int, seed: int, history: dict[str, list[Event]]) -> None:
        self._links = [Link(key), Link(key)]
        self._number = number
        self._dice = random.Random(f"{seed}/{number}")
        self._history = history
        self._folder = f"race-{seed}"
        self._seen: dict[str, str] = {}  # ETag that was last seen of a name
        self._serial = 0

    async def run(self, steps: int) -> None:
        acts = [
            *[self.put] * 4,
            self.put_if_none,
            *[self.put_if_same] * 2,
            *[self.get] * 5,
            self.delete,
            *[self.copy] * 2,
        ]
        for _ in range(steps):
            # What is uploaded in parts is no copy's source: the copy would have another ETag.
            if self._dice.randrange(5) == 0:
                await self._dice.choice([self.upload, self.upload, self.get, self.delete])("parts")
            else:
                await self._dice.choice(acts)(self._dice.choice(["a", "b", "c"]))
        for link in self._links:
            link.close()

    async def ask(
        self, method: str, name: str, query: str = "", headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[float, float, Reply]:
        """Begin, end, and the answer."""
        began = asyncio.get_running_loop().time()
        reply = await self._dice.choice(self._links).ask(method, self.target(name) + query, headers, body)
        assert reply.code in ("", "PreconditionFailed", "NoSuchKey"), reply.body
        return began, asyncio.get_running_loop().time(), reply

    def target(self, name: str) -> str:
        return f"/{BUCKET}/{self._folder}/{name}"

    def note(self, name: str, event: Event) -> None:
        self._history[name].append(event)
        if event.value is not None and event.answer == "ok":
            self._seen[name] = event.value

    def body(self) -> bytes:
        self._serial += 1
        return f"{self._number}.{self._serial}".encode() * self._dice.choice([1, 1, 20_000])

    async def write(self, name: str, **condition: object) -> None:
        body, headers = self.body(), {}
        if condition.get("if_none_match"):
            headers = {"if-none-match": "*"}
        elif "if_match" in condition:
            headers = {"if-match": f'"{condition["if_match"]}"'}
        began, ended, reply = await self.ask("PUT", name, headers=headers, body=body)
        self.note(name, Event("write", began, ended, md5(body), answer=reply.code or "ok", **condition))  # type: ignore[arg-type]

    async def put(self, name: str) -> None:
        await self.write(name)

    async def put_if_none(self, name: str) -> None:
        await self.write(name, if_none_match=True)

    async def put_if_same(self, name: str) -> None:
        await self.write(name, if_match=self._seen.get(name, "0" * 32))

    async def get(self, name: str) -> None:
        method = self._dice.choice(["GET", "GET", "HEAD"])
        began, ended, reply = await self.ask(method, name)
        value = reply.etag if reply.status == 200 else None
        if method == "GET" and value is not None:
            whole = f"{md5(bytes.fromhex(md5(reply.body)))}-1" if "-" in value else md5(reply.body)
            assert value == whole, "another object's bytes"
        self.note(name, Event("read", began, ended, value))

    async def delete(self, name: str) -> None:
        if self._dice.randrange(2):
            began, ended, reply = await self.ask("DELETE", name)
            assert reply.status == 204
            self.note(name, Event("delete", began, ended))
            return
        etag = self._seen.get(name, "0" * 32)
        began, ended, reply = await self.ask("DELETE", name, headers={"if-match": f'"{etag}"'})
        # It writes nothing, on a condition.
        self.note(name, Event("write", began, ended, None, etag, answer=reply.code or "ok"))  # type: ignore[arg-type]

    async def copy(self, name: str) -> None:
        """A read of one name and a write of another, each at some instant."""
        source = self._dice.choice([each for each in ("a", "b", "c") if each != name])
        headers = {"x-amz-copy-source": self.target(source)}
        began, ended, reply = await self.ask("PUT", name, headers=headers, body=b"")
        value = reply.etag if reply.status == 200 else None
        self.note(source, Event("read", began, ended, value))
        if value is not None:
            self.note(name, Event("write", began, ended, value))

    async def upload(self, name: str) -> None:
        """In one part; what counts is the completion."""
        body = self.body()
        upload_id = (await self.ask("POST", name, "?uploads", body=b""))[2].element("UploadId")
        await self.ask("PUT", name, f"?uploadId={upload_id}&partNumber=1", body=body)
        only_one = self._dice.randrange(3) == 0
        headers = {"if-none-match": "*"} if only_one else {}
        began, ended, reply = await self.ask("POST", name, f"?uploadId={upload_id}", headers, complete({1: md5(body)}))
        value = f"{md5(bytes.fromhex(md5(body)))}-1"
        answer = reply.code or "ok"
        self.note(name, Event("write", began, ended, value, if_none_match=only_one, answer=answer))  # type: ignore[arg-type]
        if answer != "ok":
            await self.ask("DELETE", name, f"?uploadId={upload_id}")


async def raced(key: RawS3, seed: int, clients: int, steps: int) -> dict[str, list[Event]]:
    history: dict[str, list[Event]] = defaultdict(list)
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(Racer(key, number, seed, history).run(steps))
    return history


def test_what_many_clients_see_of_a_key_has_an_order(rig: Rig, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    events = 0
    for seed in seeds(pytestconfig, 6, 300):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            history = runner.run(raced(key_of(rig), seed, clients=8, steps=40))
        events += sum(map(len, history.values()))
        for name, seen in history.items():
            shown = "\n".join(map(str, sorted(seen, key=lambda event: event.began)))
            assert linearizable(seen), f"seed {seed}, name {name}:\n{shown}"
    print(f"{events} events in one order")
