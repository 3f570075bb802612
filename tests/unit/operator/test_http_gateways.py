"""The operator's HTTP side against a small server that answers as workers do."""

import asyncio
import json
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from cooper_crds.fields import timestamp
from cooper_crds.records import (
    ACCESS_GENERATION,
    RECORD_DIGEST,
    REGION_DIGEST,
    BucketRecord,
    Grant,
    KeyRecord,
    Owner,
    RegionRecord,
    record_digest,
)
from cooper_operator.gateways.http import HttpGateways
from cooper_operator.gateways.port import BucketNotEmpty, GatewayUnavailable, Intent, Proof, Purged, Usage, Wish
from cooper_operator.gateways.roster import Endpoint, Roster
from cooper_operator.gateways.sign import sign

REGION = RegionRecord("local", "us-east-1")
OWNER = Owner("default", "photos", "uid")
GRANTS = tuple(Grant(name, f"data-of-{name}", ()) for name in ("photos", "logs", "logs-2"))
KEY = KeyRecord("AKIAIOSFODNN7EXAMPLE", "s" * 40, OWNER, 0, GRANTS)
BOUND = msgspec.structs.replace(KEY, networks=("192.0.2.0/24",))
SYSTEM = KeyRecord("AKIASYSTEM2222222222", "t" * 40, OWNER, 0, system=True)
BUCKET = BucketRecord("photos", "11111111-1111-4111-8111-111111111111", OWNER, access_generation=4)

LIST = "<ListAllMyBucketsResult><Owner><ID>x</ID></Owner><Buckets>{}</Buckets></ListAllMyBucketsResult>"
ROW = "<Bucket><CreationDate>2026-01-01T00:00:00Z</CreationDate><Name>{}</Name></Bucket>"
#: Headers that an answer has, by the elements of its text that they are taken from.
_HEADERS = {ACCESS_GENERATION: "Since", RECORD_DIGEST: "Digest", REGION_DIGEST: "Settings"}
Answer = Callable[[int, str, str, dict[str, str]], tuple[int, str]]


class FakeGateway:
    """Workers behind one port: connections go to one after the other, unless `down`."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.answer: Answer = lambda *_: (403, "<Error><Code>AccessDenied</Code></Error>")
        self.requests: list[tuple[int, str, str, dict[str, str]]] = []
        self.connections = 0
        self.down: set[int] = set()
        self.held: dict[str, asyncio.Event] = {}  # by query: answered once it is set
        self.live: dict[int, list[asyncio.StreamWriter]] = {}
        self.host = "127.0.0.1"
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for worker in list(self.live):
                self.kill(worker)

    def kill(self, worker: int) -> None:
        for writer in self.live.pop(worker, []):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker = self.connections % self.workers
        self.connections += 1
        if worker in self.down:
            writer.close()
            return
        self.live.setdefault(worker, []).append(writer)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n"):
                method, target, _ = head[0].split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                if (gate := self.held.get(target.partition("?")[2])) is not None:
                    await gate.wait()
                status, body = self.answer(worker, method, target, headers)
                self.requests.append((worker, method, target, headers))
                data = body.encode()
                id_2 = f"worker-{worker}-of-{self.workers}"
                lines = f"HTTP/1.1 {status} X\r\nx-amz-id-2: {id_2}\r\ncontent-length: {len(data)}\r\n"
                for header, element in _HEADERS.items():
                    found = re.search(f"<{element}>(.*)</{element}>", body)
                    lines += f"{header}: {found[1]}\r\n" if found else ""
                writer.write((lines + "\r\n").encode() + data)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()


def roster(*ready: FakeGateway, unready: FakeGateway | None = None, unknown: str = "") -> Roster:
    endpoints = [Endpoint("127.0.0.1", each.port) for each in ready]
    if unready is not None:
        endpoints.insert(0, Endpoint("127.0.0.1", unready.port, ready=False))
    return Roster(tuple(endpoints), unknown)


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    gateway = FakeGateway(3)
    await gateway.start()
    yield gateway
    await gateway.stop()


@pytest.fixture
async def unready() -> AsyncIterator[FakeGateway]:
    gateway = FakeGateway(1)
    await gateway.start()
    yield gateway
    await gateway.stop()


@pytest.fixture
async def gateways(gateway: FakeGateway) -> AsyncIterator[HttpGateways]:
    gateways = HttpGateways(lambda _: roster(gateway), lambda: SYSTEM)
    yield gateways
    await gateways.close()


def by_key(headers: dict[str, str]) -> str:
    return headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]


def knows(workers: set[int], *buckets: str, record: KeyRecord = KEY) -> Answer:
    """These workers accept the key by that record, and list the buckets; others do not know it."""

    def answer(worker: int, method: str, target: str, headers: dict[str, str]) -> tuple[int, str]:
        if by_key(headers) != KEY.access_key_id:
            return 403, "<Error><Code>AccessDenied</Code></Error>"
        if worker in workers:
            rows = "".join(ROW.format(name) for name in buckets)
            return 200, LIST.format(rows) + f"<Digest>{record_digest(record)}</Digest>"
        return 403, "<Error><Code>InvalidAccessKeyId</Code></Error>"

    return answer


async def test_a_key_works_when_every_worker_says_so(gateway: FakeGateway, gateways: HttpGateways) -> None:
    gateway.answer = knows({0, 1}, "photos")
    proof = await gateways.prove_works(REGION, KEY, ["photos"])
    assert (proof.proven, proof.expected, proof.complete) == (2, 3, False)
    assert "worker 2" in proof.waiting_for
    assert "InvalidAccessKeyId" in proof.waiting_for
    gateway.answer = knows({0, 1, 2}, "photos")
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete


async def test_where_one_worker_goes_by_earlier_records_the_others_are_not_asked(
    gateway: FakeGateway, gateways: HttpGateways
) -> None:
    assert not (await gateways.prove_works(REGION, KEY, ["photos"])).complete  # all are met
    gateway.requests.clear()
    gateway.answer = knows(set(), "photos")
    proof = await gateways.prove_works(REGION, KEY, ["photos"])
    assert (proof.proven, proof.expected, len(gateway.requests)) == (0, 3, 1)
    gateway.answer = knows({0, 1, 2}, "photos")
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    assert {worker for worker, *_ in gateway.requests} == {0, 1, 2}


async def test_settings_are_followed_when_every_worker_says_so(gateway: FakeGateway, gateways: HttpGateways) -> None:
    former = msgspec.structs.replace(REGION, max_object_size=1)

    def answer(worker: int, method: str, target: str, headers: dict[str, str]) -> tuple[int, str]:
        if by_key(headers) != SYSTEM.access_key_id:
            return 403, "<Error><Code>AccessDenied</Code></Error>"
        assert (method, target) == ("GET", "/?x-cooper-intents=")
        return 200, f"[]<Settings>{record_digest(former if worker == 1 else REGION)}</Settings>"

    gateway.answer = answer
    proof = await gateways.prove_settings(REGION)
    assert (proof.proven, proof.expected) == (2, 3)
    assert proof.waiting_for == f"worker 1 of 127.0.0.1:{gateway.port} goes by earlier settings of the Region"
    former = REGION
    assert (await gateways.prove_settings(REGION)).complete
    gateway.answer = lambda *_: (503, "<Error><Code>ServiceUnavailable</Code></Error>")
    assert "answers ServiceUnavailable" in (await gateways.prove_settings(REGION)).waiting_for


async def test_without_a_key_of_its_own_the_operator_asks_nothing(gateway: FakeGateway) -> None:
    gateways = HttpGateways(lambda _: roster(gateway), lambda: None)
    assert (await gateways.prove_settings(REGION)).waiting_for == "the operator has no key yet"
    assert gateway.requests == []


async def test_a_bucket_that_a_worker_does_not_list_is_waited_for(gateway: FakeGateway, gateways: HttpGateways) -> None:
    gateway.answer = knows({0, 1, 2}, "photos", "logs-2")
    assert (await gateways.prove_works(REGION, KEY, ["logs-2", "photos"])).complete
    proof = await gateways.prove_works(REGION, KEY, ["photos", "logs"])
    assert proof.proven == 0
    assert "does not know bucket logs" in proof.waiting_for


async def test_a_worker_that_goes_by_an_earlier_record_of_the_key_is_waited_for(
    gateway: FakeGateway, gateways: HttpGateways
) -> None:
    wider = msgspec.structs.replace(KEY, grants=(Grant("withdrawn", "", ("s3:GetObject",)),))
    gateway.answer = knows({0, 1, 2}, "photos", record=wider)
    proof = await gateways.prove_works(REGION, KEY, ["photos"])
    assert proof.proven == 0
    assert "goes by an earlier record of the key" in proof.waiting_for


@pytest.mark.parametrize(
    ("key", "record", "proven"),
    [(BOUND, BOUND, 3), (BOUND, KEY, 0), (KEY, KEY, 0), (KEY, BOUND, 0)],
    ids=["its record", "an earlier record", "a key of all networks", "a key that was one of some networks"],
)
async def test_a_key_of_other_networks_shows_its_record(
    gateway: FakeGateway, gateways: HttpGateways, key: KeyRecord, record: KeyRecord, proven: int
) -> None:
    said = f"<Error><Code>NetworkNotAllowed</Code></Error><Digest>{record_digest(record)}</Digest>"
    gateway.answer = lambda *_: (403, said)
    assert (await gateways.prove_works(REGION, key, ["photos"])).proven == proven


async def test_connections_are_kept(gateway: FakeGateway, gateways: HttpGateways) -> None:
    gateway.answer = knows({0, 1, 2}, "photos")
    await gateways.prove_works(REGION, KEY, ["photos"])
    before = gateway.connections
    for _ in range(10):
        assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    assert gateway.connections == before


@pytest.mark.parametrize(
    ("status", "code", "denied"),
    [
        (403, "KeyAccessRevoked", True),
        (403, "InvalidAccessKeyId", True),
        (403, "SignatureDoesNotMatch", False),
        (403, "AccessDenied", False),
        (503, "ServiceUnavailable", False),
        (500, "KeyAccessRevoked", False),
        (200, "", False),
    ],
)
async def test_only_two_answers_prove_denial(
    gateway: FakeGateway, gateways: HttpGateways, status: int, code: str, denied: bool
) -> None:
    gateway.answer = lambda *_: (status, f"<Error><Code>{code}</Code></Error>")
    assert (await gateways.prove_denied(REGION, KEY)).complete == denied


def lets(answers: dict[int, str], *, knows_key: bool = True, listed: bool = True) -> Answer:
    """By worker, what the key is told of the bucket's objects; and whether it works and lists the bucket at all."""

    def answer(worker: int, method: str, target: str, headers: dict[str, str]) -> tuple[int, str]:
        if by_key(headers) != KEY.access_key_id:
            return 403, "<Error><Code>AccessDenied</Code></Error>"
        if target == "/photos?list-type=2&max-keys=0":
            code, _, since = answers.get(worker, answers[0]).partition(" since ")
            told = f"<Since>{since}</Since>" if since else ""
            return (200, "") if code == "" else (403, f"<Error><Code>{code}</Code>{told}</Error>")
        assert target == "/"
        if not knows_key:
            return 403, "<Error><Code>KeyAccessRevoked</Code></Error>"
        return 200, LIST.format(ROW.format("photos") if listed else "")

    return answer


@pytest.mark.parametrize(
    ("answers", "works", "denied", "allowed"),
    [
        ({0: "KeyAccessRevoked since 4"}, {}, True, False),
        ({0: "KeyAccessRevoked since 5"}, {}, True, False),  # by a record that came after
        ({0: "KeyAccessRevoked since 4", 2: ""}, {}, False, False),
        ({0: "KeyAccessRevoked since 4", 2: "KeyAccessRevoked since 3"}, {}, False, False),  # by one of before
        ({0: "KeyAccessRevoked"}, {}, False, False),  # so is a key told that is revoked itself
        ({0: "KeyAccessRevoked since "}, {}, False, False),
        ({0: "KeyAccessRevoked since -4"}, {}, False, False),
        ({0: "InvalidAccessKeyId"}, {}, False, False),
        ({0: ""}, {}, False, True),
        ({0: "AccessDenied"}, {}, False, True),  # other actions than listing
        ({0: "AccessDenied"}, {"listed": False}, False, False),  # no grant that the worker knows of
        ({0: "NoSuchBucket"}, {}, False, False),
    ],
)
async def test_what_a_bucket_answers_proves_its_api_access(
    gateway: FakeGateway,
    gateways: HttpGateways,
    answers: dict[int, str],
    works: dict[str, bool],
    denied: bool,
    allowed: bool,
) -> None:
    gateway.answer = lets(answers, **works)
    assert (await gateways.prove_bucket_denied(REGION, BUCKET, KEY)).complete == denied
    assert (await gateways.prove_bucket_allowed(REGION, BUCKET, KEY)).complete == allowed


@pytest.mark.parametrize(
    ("record", "answer", "allowed"),
    [
        (BOUND, "NetworkNotAllowed", True),
        (BOUND, "KeyAccessRevoked", False),  # the bucket by an earlier record
        (msgspec.structs.replace(BOUND, grants=()), "NetworkNotAllowed", False),  # a grant that the worker may not know
    ],
)
async def test_a_key_of_other_networks_proves_the_api_access_of_its_bucket(
    gateway: FakeGateway, gateways: HttpGateways, record: KeyRecord, answer: str, allowed: bool
) -> None:
    def said(worker: int, method: str, target: str, headers: dict[str, str]) -> tuple[int, str]:
        code, digest = ("NetworkNotAllowed", record_digest(record)) if target == "/" else (answer, "")
        return 403, f"<Error><Code>{code}</Code></Error><Digest>{digest}</Digest>"

    gateway.answer = said
    assert (await gateways.prove_bucket_allowed(REGION, BUCKET, BOUND)).complete == allowed


async def test_a_worker_that_restarted_is_met_again(gateway: FakeGateway, gateways: HttpGateways) -> None:
    gateway.answer = knows({0, 1, 2}, "photos")
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    gateway.down.add(1)
    gateway.kill(1)
    await asyncio.sleep(0.01)
    proof = await gateways.prove_works(REGION, KEY, ["photos"])
    assert (proof.proven, proof.expected) == (2, 3)
    assert "cannot be reached" in proof.waiting_for
    gateway.down.clear()
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete


async def test_no_probe_waits_behind_what_takes_its_time(gateway: FakeGateway, gateways: HttpGateways) -> None:
    gateway.answer = knows({0, 1, 2}, "photos")
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    gate = gateway.held["x-cooper-destroy="] = asyncio.Event()
    destroying = asyncio.create_task(gateways.destroy_bucket(REGION, BUCKET))
    await asyncio.sleep(0.01)
    began = time.monotonic()
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    assert time.monotonic() - began < 1
    assert not destroying.done()
    gateway.answer = lambda *_: (204, "")
    gate.set()
    await destroying
    before = gateway.connections
    await gateways.destroy_bucket(REGION, BUCKET)
    assert gateway.connections == before


async def test_connections_that_say_nothing_are_not_left_open_when_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cooper_operator.gateways.replica._MEET_TIMEOUT", 0.1)
    gone: list[bool] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        while await reader.read(1000):
            pass
        gone.append(True)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gateways = HttpGateways(lambda _: Roster((Endpoint("127.0.0.1", port),)), lambda: SYSTEM)
    assert not (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    async with asyncio.timeout(5):
        while len(gone) < 4:
            await asyncio.sleep(0.01)
    server.close()


async def test_a_worker_that_hangs_does_not_hang_the_others(gateway: FakeGateway, gateways: HttpGateways) -> None:
    gateway.answer = knows({0, 1, 2}, "photos")
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    silent = socket.create_server(("127.0.0.1", 0))  # accepts into its backlog and never answers
    hung = HttpGateways(lambda _: Roster((Endpoint("127.0.0.1", silent.getsockname()[1]),)), lambda: SYSTEM)
    began = time.monotonic()
    proof = await hung.prove_works(REGION, KEY, ["photos"])
    assert not proof.complete
    assert proof.expected == 1
    assert time.monotonic() - began < 2
    silent.close()


async def test_gateway_that_is_away_proves_nothing(gateway: FakeGateway, gateways: HttpGateways) -> None:
    await gateway.stop()
    for proof in (await gateways.prove_works(REGION, KEY, []), await gateways.prove_denied(REGION, KEY)):
        assert not proof.complete
        assert f"1 of 1 workers of 127.0.0.1:{gateway.port} cannot be reached" in proof.waiting_for
    with pytest.raises(GatewayUnavailable, match="no gateway of Region local answers"):
        await gateways.usage(REGION, BUCKET)


async def test_replica_that_hung_and_answers_again_is_told_once(gateway: FakeGateway, gateways: HttpGateways) -> None:
    gateway.answer = knows({0, 1, 2}, "photos")
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    assert not await gateways.returned()
    gateway.down.add(1)
    gateway.kill(1)
    await asyncio.sleep(0.01)
    assert not (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    assert not await gateways.returned()
    gateway.down.clear()
    assert await gateways.returned()
    assert not await gateways.returned()


@pytest.mark.parametrize("question", ["probe", "operation"])
async def test_replica_that_was_away_for_any_question_is_told_when_it_is_back(
    gateway: FakeGateway, gateways: HttpGateways, question: str
) -> None:
    await gateway.stop()
    if question == "probe":
        assert not (await gateways.prove_denied(REGION, KEY)).complete
    else:
        with pytest.raises(GatewayUnavailable):
            await gateways.usage(REGION, BUCKET)
    assert not await gateways.returned()
    await gateway.start()
    assert await gateways.returned()


async def test_replica_that_says_503_has_not_returned(gateway: FakeGateway, gateways: HttpGateways) -> None:
    gateway.answer = lambda *_: (503, "<Error><Code>ServiceUnavailable</Code></Error>")
    assert not (await gateways.prove_denied(REGION, KEY)).complete
    assert not await gateways.returned()
    gateway.answer = knows({0, 1, 2})
    assert await gateways.returned()


async def test_replica_that_is_gone_does_not_return(gateway: FakeGateway) -> None:
    found = roster(gateway)
    gateways = HttpGateways(lambda _: found, lambda: SYSTEM)
    await gateway.stop()
    assert not (await gateways.prove_denied(REGION, KEY)).complete
    found = Roster()
    assert (await gateways.prove_denied(REGION, KEY)).complete
    await gateway.start()
    assert not await gateways.returned()
    await gateways.close()


# Silence

NOW = 1_800_000_000.0
AGE = 600.0
AGED = RegionRecord("local", "us-east-1", max_record_age=AGE)
TOMBSTONE = msgspec.structs.replace(KEY, state="Revoked", revoked_at=NOW)
LATE = AGE + 61

TOO_OLD = (503, "<Error><Code>ServiceUnavailable</Code></Error>")
REVOKED = (403, "<Error><Code>KeyAccessRevoked</Code></Error>")
ACCEPTED = (200, "")


@pytest.mark.parametrize(
    ("after", "key", "answers", "denied"),
    [
        (1, TOMBSTONE, (REVOKED, TOO_OLD), False),
        (LATE, TOMBSTONE, (REVOKED, TOO_OLD), True),
        (LATE, TOMBSTONE, (REVOKED, ACCEPTED), False),  # whatever the reason, it honours the key
        (LATE, TOMBSTONE, (TOO_OLD, TOO_OLD), True),
        (LATE, msgspec.structs.replace(TOMBSTONE, revoked_at=None), (REVOKED, TOO_OLD), False),
    ],
)
async def test_gateway_whose_records_are_too_old_refuses_the_key_once_that_is_for_certain(
    gateway: FakeGateway, after: float, key: KeyRecord, answers: tuple[tuple[int, str], ...], denied: bool
) -> None:
    gateway.answer = lambda worker, *_: answers[min(worker, 1)]
    gateways = HttpGateways(lambda _: roster(gateway), lambda: SYSTEM, lambda: NOW + after)
    async with asyncio.timeout(10):
        while (proof := await gateways.prove_denied(AGED, key)).expected < 3:
            pass  # not all workers were met: the machine is busy
    assert proof.complete == denied
    await gateways.close()


async def test_gateway_that_cannot_be_reached_refuses_the_key_once_that_is_for_certain(
    gateway: FakeGateway, unready: FakeGateway
) -> None:
    gateway.answer = lambda *_: REVOKED
    await unready.stop()
    now = NOW + 1
    gateways = HttpGateways(lambda _: roster(gateway, unready=unready), lambda: SYSTEM, lambda: now)
    proof = await gateways.prove_denied(AGED, TOMBSTONE)
    assert (proof.proven, proof.expected) == (3, 4)
    until = timestamp(NOW + AGE + 60)
    name = f"127.0.0.1:{unready.port} (not ready)"
    assert proof.waiting_for == f"1 of 1 workers of {name} cannot be reached (waited for until {until})"
    assert "waited" not in (await gateways.prove_works(AGED, KEY, [])).waiting_for
    now = NOW + LATE
    assert await gateways.prove_denied(AGED, TOMBSTONE) == Proof(4, 4)
    assert not (await gateways.prove_works(AGED, TOMBSTONE, [])).complete
    assert not (await gateways.prove_bucket_denied(AGED, BUCKET, TOMBSTONE)).complete  # only a key's refusal ages
    await gateways.close()


async def test_workers_that_are_not_met_refuse_the_key_once_that_is_for_certain(gateway: FakeGateway) -> None:
    gateway.answer = lambda *_: REVOKED
    now = NOW + 1
    gateways = HttpGateways(lambda _: roster(gateway), lambda: SYSTEM, lambda: now)
    assert (await gateways.prove_denied(AGED, TOMBSTONE)).complete
    gateway.down.add(1)
    gateway.kill(1)
    await asyncio.sleep(0.01)
    assert not (await gateways.prove_denied(AGED, TOMBSTONE)).complete
    now = NOW + LATE
    assert await gateways.prove_denied(AGED, TOMBSTONE) == Proof(3, 3)
    await gateways.close()


# Which replicas are asked

#: By whom there is: what works, is denied, is allowed on a bucket and denied there; and what is said of the first.
ROSTERS = {
    "nobody": (Roster(), (False, True, False, True), "no gateway of Region local is ready"),
    "nobody is known": (Roster(unknown="no Service s"), (False, False, False, False), "no Service s"),
}


@pytest.mark.parametrize("case", ROSTERS)
async def test_without_gateways_it_matters_whether_that_is_known(case: str) -> None:
    found, expected, text = ROSTERS[case]
    nobody = HttpGateways(lambda _: found, lambda: SYSTEM)
    works = await nobody.prove_works(REGION, KEY, [])
    proofs = [
        works,
        await nobody.prove_denied(REGION, KEY),
        await nobody.prove_bucket_allowed(REGION, BUCKET, KEY),
        await nobody.prove_bucket_denied(REGION, BUCKET, KEY),
    ]
    assert tuple(proof.complete for proof in proofs) == expected
    assert [proof.expected for proof in proofs] == [0, 0, 0, 0]  # so it is told as unavailable, and not waited for
    assert works.waiting_for == text
    with pytest.raises(GatewayUnavailable):
        await nobody.intents(REGION)


async def test_key_works_without_replicas_that_are_not_ready(gateway: FakeGateway, unready: FakeGateway) -> None:
    gateway.answer = knows({0, 1, 2}, "photos")
    unready.answer = knows(set())
    gateways = HttpGateways(lambda _: roster(gateway, unready=unready), lambda: SYSTEM)
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    gateway.answer, unready.answer = lets({0: ""}), lets({0: "KeyAccessRevoked"})
    assert (await gateways.prove_bucket_allowed(REGION, BUCKET, KEY)).complete
    assert unready.requests == []
    await gateways.close()


async def test_key_is_refused_only_when_those_refuse_it_that_are_not_ready(
    gateway: FakeGateway, unready: FakeGateway
) -> None:
    gateway.answer = knows(set())
    unready.answer = knows({0})
    gateways = HttpGateways(lambda _: roster(gateway, unready=unready), lambda: SYSTEM)
    proof = await gateways.prove_denied(REGION, KEY)
    assert (proof.proven, proof.expected, proof.complete) == (1, 4, False)  # one of each was asked
    assert proof.waiting_for == f"worker 0 of 127.0.0.1:{unready.port} (not ready) answers 200"
    unready.answer = knows(set())
    assert (await gateways.prove_denied(REGION, KEY)).complete
    await gateways.close()


async def test_bucket_is_refused_only_when_those_refuse_it_that_are_not_ready(
    gateway: FakeGateway, unready: FakeGateway
) -> None:
    gateway.answer = lets({0: "KeyAccessRevoked since 4"})
    gateways = HttpGateways(lambda _: roster(gateway, unready=unready), lambda: SYSTEM)
    for answer in (lets({0: ""}), lets({0: "KeyAccessRevoked"})):
        unready.answer = answer
        assert not (await gateways.prove_bucket_denied(REGION, BUCKET, KEY)).complete
    unready.answer = lets({0: "KeyAccessRevoked since 4"})
    assert (await gateways.prove_bucket_denied(REGION, BUCKET, KEY)).complete
    await gateways.close()


async def test_replica_that_is_gone_is_not_waited_for_and_its_connections_are_closed(
    gateway: FakeGateway, unready: FakeGateway
) -> None:
    gateway.answer = knows(set())
    unready.answer = knows({0})
    now = roster(gateway, unready=unready)
    gateways = HttpGateways(lambda _: now, lambda: SYSTEM)
    assert not (await gateways.prove_denied(REGION, KEY)).complete
    kept = dict(gateways._replicas[REGION.name])  # so that nothing is closed by being forgotten
    now = roster(gateway)
    assert (await gateways.prove_denied(REGION, KEY)).complete
    async with asyncio.timeout(5):
        while any(not writer.is_closing() for writer in unready.live.get(0, [])):
            await asyncio.sleep(0.01)
    assert len(kept) == 2
    await gateways.close()


async def test_list_that_is_not_known_proves_nothing_whoever_is_on_it(gateway: FakeGateway) -> None:
    gateway.answer = knows({0, 1, 2}, "photos")
    gateways = HttpGateways(lambda _: roster(gateway, unknown="the list broke off"), lambda: SYSTEM)
    for proof in (await gateways.prove_works(REGION, KEY, ["photos"]), await gateways.prove_denied(REGION, KEY)):
        assert (proof.expected, proof.complete, proof.waiting_for) == (0, False, "the list broke off")
    gateway.answer = lambda *_: (200, "[]")
    assert await gateways.intents(REGION) == []  # a question needs only one that answers
    await gateways.close()


async def test_refusal_is_believed_of_a_list_of_that_moment_only(gateway: FakeGateway, unready: FakeGateway) -> None:
    gateway.answer = knows(set())
    unready.answer = knows({0})  # it came since the list was made, and has records of before
    now = roster(gateway, unready=unready)

    async def reread(_: RegionRecord) -> Roster:
        return now

    gateways = HttpGateways(lambda _: roster(gateway), lambda: SYSTEM, reread=reread)
    proof = await gateways.prove_denied(REGION, KEY)
    assert not proof.complete
    assert "not ready" in proof.waiting_for
    unready.answer = knows(set())
    assert (await gateways.prove_denied(REGION, KEY)).complete
    now = Roster(unknown="the API server does not answer")
    proof = await gateways.prove_denied(REGION, KEY)
    assert (proof.complete, proof.waiting_for) == (False, "the API server does not answer")
    now = roster(gateway)
    assert (await gateways.prove_denied(REGION, KEY)).complete
    await gateways.close()


async def test_that_there_is_no_gateway_is_believed_of_a_list_of_that_moment_only(gateway: FakeGateway) -> None:
    gateway.answer = knows({0})

    async def reread(_: RegionRecord) -> Roster:
        return roster(gateway)

    gateways = HttpGateways(lambda _: Roster(), lambda: SYSTEM, reread=reread)
    assert not (await gateways.prove_denied(REGION, KEY)).complete
    await gateways.close()


async def test_questions_go_to_a_ready_replica_first_and_to_another_where_none_answers(
    gateway: FakeGateway, unready: FakeGateway
) -> None:
    gateway.answer = unready.answer = lambda *_: (200, "[]")
    gateways = HttpGateways(lambda _: roster(gateway, unready=unready), lambda: SYSTEM)
    await gateways.intents(REGION)
    assert (len(gateway.requests) > 0, unready.requests) == (True, [])
    await gateway.stop()
    await asyncio.sleep(0.01)
    assert await gateways.intents(REGION) == []
    assert [target for _, _, target, _ in unready.requests][-1] == "/?x-cooper-intents="
    await gateways.close()


async def test_replica_at_an_ipv6_address_is_named_as_urls_name_it() -> None:
    server = FakeGateway(1)
    server.host = "::1"
    await server.start()
    server.answer = knows({0}, "photos")
    gateways = HttpGateways(lambda _: Roster((Endpoint("::1", server.port),)), lambda: SYSTEM)
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    assert server.requests[-1][3]["host"] == f"[::1]:{server.port}"
    await server.stop()
    await gateways.close()


async def test_questions_are_signed_by_the_system_key_and_name_the_data(
    gateway: FakeGateway, gateways: HttpGateways
) -> None:
    def answer(worker: int, method: str, target: str, headers: dict[str, str]) -> tuple[int, str]:
        if target == "/?x-cooper-intents=":
            return 200, json.dumps([{"bucket": "photos", "dataId": "d", "accessKeyId": "A"}])
        if "purge" in target:
            return 200, json.dumps({"objectsBefore": 5, "objects": 2, "uploads": 1})
        return 200, json.dumps({"objects": 2, "size": 10, "closed": False})

    gateway.answer = answer
    assert await gateways.usage(REGION, BUCKET) == Usage(2, 10, False)
    assert await gateways.intents(REGION) == [Intent("photos", "d", "A")]
    await gateways.close_bucket(REGION, BUCKET)
    await gateways.reopen_bucket(REGION, BUCKET)
    await gateways.close_bucket(REGION, BUCKET, with_content=True)
    assert gateway.requests[-1][3]["x-cooper-content"] == "closed"
    assert await gateways.purge_bucket(REGION, BUCKET) == Purged(5, 2, 1)
    await gateways.destroy_bucket(REGION, BUCKET)
    asked = [(method, target) for _, method, target, headers in gateway.requests if by_key(headers)]
    assert asked == [
        ("GET", "/photos?x-cooper-usage="),
        ("GET", "/?x-cooper-intents="),
        ("POST", "/photos?x-cooper-close="),
        ("POST", "/photos?x-cooper-reopen="),
        ("POST", "/photos?x-cooper-close="),
        ("POST", "/photos?x-cooper-purge="),
        ("POST", "/photos?x-cooper-destroy="),
    ]
    headers = gateway.requests[-1][3]
    assert by_key(headers) == SYSTEM.access_key_id
    assert headers["x-cooper-data-id"] == BUCKET.data_id
    assert "x-cooper-data-id" in headers["authorization"]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (409, "<Error><Code>BucketNotEmpty</Code></Error>", BucketNotEmpty),
        (403, "<Error><Code>InvalidAccessKeyId</Code></Error>", GatewayUnavailable),
        (503, "", GatewayUnavailable),
    ],
)
async def test_refusals_become_exceptions(
    gateway: FakeGateway, gateways: HttpGateways, status: int, body: str, expected: type[Exception]
) -> None:
    gateway.answer = lambda *_: (status, body)
    with pytest.raises(expected):
        await gateways.close_bucket(REGION, BUCKET)


async def test_an_answer_that_cannot_be_read_is_said(gateway: FakeGateway, gateways: HttpGateways) -> None:
    gateway.answer = lambda *_: (200, "<html>")
    with pytest.raises(GatewayUnavailable, match="cannot be read"):
        await gateways.usage(REGION, BUCKET)


def test_signing_agrees_with_the_published_example() -> None:
    # "Example: GET Object" of the Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)".
    headers = {"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9"}
    signed = sign(
        "GET",
        "/test.txt",
        {},
        headers,
        access_key_id="AKIAIOSFODNN7EXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        region="us-east-1",
        now=1369353600.0,
    )
    assert signed["authorization"].endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")


def test_signing_agrees_with_botocore() -> None:
    now = int(time.time())
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    request = AWSRequest("POST", "http://127.0.0.1:9000/photos?x-cooper-close=", headers={"x-cooper-data-id": "d"})
    request.context["timestamp"] = stamp
    request.headers["X-Amz-Date"] = stamp
    auth = S3SigV4Auth(BotoCredentials("AKIAIOSFODNN7EXAMPLE", "secret"), "s3", "eu-1")
    auth.add_auth(request)
    theirs = request.headers["Authorization"]
    at = time.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ")
    mine = sign(
        "POST",
        "/photos",
        {"x-cooper-close": ""},
        {"host": "127.0.0.1:9000", "x-cooper-data-id": "d"},
        access_key_id="AKIAIOSFODNN7EXAMPLE",
        secret_key="secret",
        region="eu-1",
        now=__import__("calendar").timegm(at),
    )
    assert mine["authorization"] == theirs


async def test_wishes_are_asked_for_and_settled_by_the_system_key(gateway: FakeGateway, gateways: HttpGateways) -> None:
    kept = {"id": "1", "bucket": "new", "accessKeyId": "A", "askedAt": 1_800_000_000_500, "outcome": ""}
    gateway.answer = lambda *_: (200, json.dumps([kept, {**kept, "id": "2", "outcome": "made"}]))
    wish = Wish("1", "new", "A", 1_800_000_000.5)
    assert await gateways.wishes(REGION) == [wish, Wish("2", "new", "A", 1_800_000_000.5, settled=True)]
    await gateways.settle_wish(REGION, wish, "TooManyBuckets")
    _, method, target, headers = gateway.requests[-1]
    assert (method, target) == ("POST", "/?x-cooper-settle=")
    assert by_key(headers) == SYSTEM.access_key_id
    said = {"x-cooper-bucket": "new", "x-cooper-wish": "1", "x-cooper-outcome": "TooManyBuckets"}
    assert {name: headers[name] for name in said} == said
    assert all(name in headers["authorization"] for name in said)
    gateway.answer = lambda *_: (501, "<Error><Code>NotImplemented</Code></Error>")  # an earlier version
    with pytest.raises(GatewayUnavailable):
        await gateways.wishes(REGION)


async def test_each_replica_has_wishes_of_its_own(gateway: FakeGateway, unready: FakeGateway) -> None:
    def kept(wish: str) -> str:
        one = {"id": wish, "bucket": f"new-{wish}", "accessKeyId": "A", "askedAt": 0, "outcome": ""}
        return json.dumps([one])

    gateway.answer = lambda *_: (200, kept("1"))
    unready.answer = lambda *_: (200, kept("2"))
    gateways = HttpGateways(lambda _: roster(gateway, unready=unready), lambda: SYSTEM)
    wishes = await gateways.wishes(REGION)
    assert [each.id for each in wishes] == ["1", "2"]
    await gateways.settle_wish(REGION, wishes[1], "made")
    assert [each.requests[-1][2] for each in (gateway, unready)] == ["/?x-cooper-settle="] * 2
    await gateway.stop()
    await asyncio.sleep(0.01)
    assert [each.id for each in await gateways.wishes(REGION)] == ["2"]
    await gateways.close()
