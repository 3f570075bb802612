"""Gateways over signed S3 requests: probes to every worker of every replica, and the operator's own questions.

Nothing here decides: an answer becomes a `Proof`, a `Usage` or one of the port's exceptions.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from cooper_crds.probes import PROBE, probe_mark
from cooper_crds.records import BucketRecord, KeyRecord, RegionRecord
from cooper_operator.gateways.connection import Connection, Response
from cooper_operator.gateways.port import (
    NOBODY_LEFT,
    BucketNotEmpty,
    GatewayUnavailable,
    Intent,
    Proof,
    Purged,
    Usage,
    Wish,
)
from cooper_operator.gateways.probe import Probed, answers_again, probe, proof_of
from cooper_operator.gateways.replica import Ask, Replica
from cooper_operator.gateways.roster import Address, Endpoint, Roster
from cooper_operator.gateways.sign import amz_date, query_string, sign
from cooper_operator.gateways.silence import NO_ANSWER, Silence, silence_about
from cooper_operator.gateways.tls import tls_of
from cooper_operator.gateways.verdicts import (
    Verdict,
    accepts,
    error_code,
    follows,
    lets,
    lists,
    refuses,
    refuses_bucket,
)

#: Seconds for a question: destroying a bucket with many uploads takes its time.
OPERATE_TIMEOUT: Final = 30.0
#: The same for one that every replica is asked: it takes a moment, and one that hangs is not to hold up the others.
EVERYWHERE_TIMEOUT: Final = 3.0

_INTENTS: Final = "x-cooper-intents"
_NO_KEY: Final = "the operator has no key yet"

_T = TypeVar("_T")
_ProbeAll = Callable[[Sequence[tuple[Endpoint, Replica]]], Awaitable[list[Probed]]]


class _UsageAnswer(msgspec.Struct):
    objects: int
    size: int
    closed: bool


class _PurgeAnswer(msgspec.Struct, rename="camel"):
    objects_before: int
    objects: int
    uploads: int


class _IntentAnswer(msgspec.Struct, rename="camel"):
    bucket: str
    data_id: str
    access_key_id: str


class _WishAnswer(msgspec.Struct, rename="camel"):
    id: str
    bucket: str
    access_key_id: str
    asked_at: int  # Unix milliseconds
    outcome: str


class HttpGateways:
    """The port over HTTP/1.1. `roster` tells which gateways a Region has, each time it is asked.

    It may be out of date for a while without knowing it: then `reread` makes sure. That somebody is not there is
    believed of a list of that moment only.
    """

    def __init__(
        self,
        roster: Callable[[RegionRecord], Roster],
        system_key: Callable[[], KeyRecord | None],
        clock: Callable[[], float] = time.time,
        *,
        reread: Callable[[RegionRecord], Awaitable[Roster]] | None = None,
    ) -> None:
        self._roster = roster
        self._reread = reread
        self._system_key = system_key
        self._clock = clock
        self._replicas: dict[str, dict[Address, Replica]] = {}  # by Region
        self._silent: set[Replica] = set()  # when they were asked last

    async def close(self) -> None:
        """Drop all connections."""
        for replicas in self._replicas.values():
            for replica in replicas.values():
                replica.close()
        self._replicas.clear()
        self._silent.clear()

    async def returned(self) -> bool:
        """Ask those that were silent whether they answer again."""
        self._silent &= {each for replicas in self._replicas.values() for each in replicas.values()}
        silent = list(self._silent)
        again = await asyncio.gather(*(answers_again(each) for each in silent))
        self._silent -= {each for each, answers in zip(silent, again, strict=True) if answers}
        return any(again)

    def known(self, region: RegionRecord) -> Roster:
        """Which replicas there are, as was told last."""
        return self._roster(region)

    async def prove_settings(self, region: RegionRecord) -> Proof:
        """Every worker of every ready replica must go by this very record of the Region."""
        key = self._system_key()
        if key is None:
            return Proof(0, 0, _NO_KEY)
        return await self._prove(region, key, follows(region), query={_INTENTS: ""})

    async def prove_works(self, region: RegionRecord, key: KeyRecord, buckets: list[str]) -> Proof:
        """Every worker of every ready replica must accept the key, by this record of it, and list the buckets."""
        return await self._prove(region, key, accepts(key, buckets))

    async def prove_denied(self, region: RegionRecord, key: KeyRecord) -> Proof:
        """Every worker of every replica must refuse the key, or be silent for so long that it refuses everything."""
        silence = silence_about(key, region, self._clock())
        return await self._prove(region, key, refuses, everyone=True, silence=silence)

    async def prove_bucket_denied(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        """Every worker of every replica must refuse the bucket to the key, whatever the key may do there."""
        return await self._prove(region, key, refuses_bucket(bucket), bucket, everyone=True)

    async def prove_bucket_allowed(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        """Every worker of every ready replica must let the key to the bucket."""
        # A worker that does not know of the grant denies access too: it must list the bucket first. To who asks from
        # elsewhere a key of some networks lists nothing, and shows its record.
        known = accepts(key, [bucket.name]) if key.networks else lists([bucket.name])
        works = await self._prove(region, key, known)
        return await self._prove(region, key, lets, bucket) if works.complete else works

    async def usage(self, region: RegionRecord, bucket: BucketRecord) -> Usage:
        """Objects and bytes. Raises GatewayUnavailable."""
        answer = await self._operate(region, "GET", "x-cooper-usage", bucket)
        found = _decode(answer, _UsageAnswer)
        return Usage(found.objects, found.size, found.closed)

    async def close_bucket(self, region: RegionRecord, bucket: BucketRecord, *, with_content: bool = False) -> None:
        """Close if empty, or with its content. Raises BucketNotEmpty, GatewayUnavailable."""
        headers = {"x-cooper-content": "closed"} if with_content else {}
        await self._operate(region, "POST", "x-cooper-close", bucket, headers)

    async def reopen_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Undo a close. Raises GatewayUnavailable."""
        await self._operate(region, "POST", "x-cooper-reopen", bucket)

    async def destroy_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Drop a closed bucket's key and uploads. Raises GatewayUnavailable."""
        await self._operate(region, "POST", "x-cooper-destroy", bucket)

    async def purge_bucket(self, region: RegionRecord, bucket: BucketRecord) -> Purged:
        """Drop some of what a bucket holds. Raises GatewayUnavailable."""
        answer = await self._operate(region, "POST", "x-cooper-purge", bucket)
        found = _decode(answer, _PurgeAnswer)
        return Purged(found.objects_before, found.objects, found.uploads)

    async def intents(self, region: RegionRecord) -> list[Intent]:
        """DeleteBucket requests that wait. Raises GatewayUnavailable."""
        answer = await self._operate(region, "GET", _INTENTS, None)
        found = _decode(answer, list[_IntentAnswer])
        return [Intent(intent.bucket, intent.data_id, intent.access_key_id) for intent in found]

    async def wishes(self, region: RegionRecord) -> list[Wish]:
        """CreateBucket requests that are kept: each replica has its own. Raises GatewayUnavailable."""
        answers = await self._everywhere(region, "GET", "x-cooper-wishes")
        found = [wish for answer in answers for wish in _decode(answer, list[_WishAnswer])]
        return [Wish(w.id, w.bucket, w.access_key_id, w.asked_at / 1000, bool(w.outcome)) for w in found]

    async def settle_wish(self, region: RegionRecord, wish: Wish, outcome: str) -> None:
        """Say what became of a wish. Raises GatewayUnavailable."""
        said = {"x-cooper-bucket": wish.bucket, "x-cooper-wish": wish.id, "x-cooper-outcome": outcome}
        await self._everywhere(region, "POST", "x-cooper-settle", said)

    # Probes

    async def _prove(
        self,
        region: RegionRecord,
        key: KeyRecord,
        verdict: Verdict,
        bucket: BucketRecord | None = None,
        *,
        query: Mapping[str, str] | None = None,
        everyone: bool = False,
        silence: Silence = NO_ANSWER,
    ) -> Proof:
        """Have the key ask what `query` says: else to list its buckets, or with `bucket` that one's objects (none)."""
        asked = query or ({} if bucket is None else {"list-type": "2", "max-keys": "0"})
        ask = self._question("GET", _path(bucket), asked, {}, region, key)

        async def probed(asked: Sequence[tuple[Endpoint, Replica]]) -> list[Probed]:
            return await probe(asked, ask, verdict, silence)

        roster = self._roster(region)
        proof = await self._probe(region, roster, probed, everyone)
        if not everyone or not proof.complete or self._reread is None:
            return proof
        now = await self._reread(region)
        if not now.unknown and now.addresses <= roster.addresses:
            return proof
        return await self._probe(region, now, probed, everyone)

    async def _probe(self, region: RegionRecord, roster: Roster, probed: _ProbeAll, everyone: bool) -> Proof:
        """Have those of the roster probed who have to answer."""
        if roster.unknown:
            return Proof(0, 0, roster.unknown)
        replicas = self._replicas_of(region, roster)
        asked = [(each, replicas[each.address]) for each in (roster.endpoints if everyone else roster.ready)]
        if not asked:
            return NOBODY_LEFT if everyone else Proof(0, 0, f"no gateway of Region {region.name} is ready")
        found = await probed(asked)
        self._silent |= {replica for (_, replica), each in zip(asked, found, strict=True) if each.silent}
        return proof_of(found)

    # Questions

    async def _operate(
        self,
        region: RegionRecord,
        method: str,
        question: str,
        bucket: BucketRecord | None,
        said: Mapping[str, str] | None = None,
    ) -> Response:
        headers = {} if bucket is None else {"x-cooper-data-id": bucket.data_id, **(said or {})}
        (answer,) = await self._ask(region, method, question, bucket, headers, most=1)
        return answer

    async def _everywhere(
        self, region: RegionRecord, method: str, question: str, said: Mapping[str, str] | None = None
    ) -> list[Response]:
        """The same of every replica that answers, one at least."""
        return await self._ask(region, method, question, None, said or {}, timeout=EVERYWHERE_TIMEOUT)

    async def _ask(
        self,
        region: RegionRecord,
        method: str,
        question: str,
        bucket: BucketRecord | None,
        headers: Mapping[str, str],
        most: int | None = None,
        timeout: float = OPERATE_TIMEOUT,
    ) -> list[Response]:
        """What so many replicas answer, the ready ones first. Raises GatewayUnavailable where none does so, or
        all refuse."""
        key = self._system_key()
        if key is None:
            raise GatewayUnavailable(_NO_KEY)
        ask = self._question(method, _path(bucket), {question: ""}, headers, region, key)
        roster = self._roster(region)
        replicas = self._replicas_of(region, roster)
        order = [replicas[endpoint.address] for endpoint in roster.ready_first]
        answers: list[Response] = []
        # One after the other until there are enough; all at a time where all are asked.
        for some in [order] if most is None else [[each] for each in order]:
            found = await asyncio.gather(*(each.ask_any(ask, timeout) for each in some))
            self._silent |= {each for each, response in zip(some, found, strict=True) if response is None}
            answers += [response for response in found if response is not None]
            if len(answers) == most:
                break
        if not answers:
            nobody = "" if roster.endpoints else roster.unknown
            trouble = "".join(f" ({each.address}: {each.trouble})" for each in replicas.values() if each.trouble)
            raise GatewayUnavailable(nobody or f"no gateway of Region {region.name} answers{trouble}")
        good = [each for each in answers if 200 <= each.status < 300]
        if not good:
            raise _refusal(region, error_code(answers[0]), question)
        return good

    def _question(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        region: RegionRecord,
        key: KeyRecord,
    ) -> Ask:
        target = path + ("?" + query_string(query) if query else "")

        signed: dict[str, dict[str, str]] = {}  # by host: once for all workers of a replica

        async def ask(connection: Connection, timeout: float) -> Response:
            if connection.host not in signed:
                now = self._clock()
                signed[connection.host] = sign(
                    method,
                    path,
                    query,
                    {"host": connection.host, **headers, **self._mark(key, now)},
                    access_key_id=key.access_key_id,
                    secret_key=key.secret_key,
                    region=region.tag,
                    now=now,
                )
            return await connection.request(method, target, signed[connection.host], timeout)

        return ask

    def _mark(self, key: KeyRecord, now: float) -> dict[str, str]:
        """What has gateways answer a question with somebody's key whatever that is used for."""
        system_key = self._system_key()
        if key.system or system_key is None:
            return {}
        return {PROBE: probe_mark(system_key, key.access_key_id, amz_date(now))}

    def _replicas_of(self, region: RegionRecord, roster: Roster) -> dict[Address, Replica]:
        """Connections to all replicas. One that is no longer listed, or is to be spoken to otherwise, is gone, and its
        connections with it."""
        tls = tls_of(region)
        before = self._replicas.get(region.name, {})
        kept = {address: replica for address, replica in before.items() if replica.tls == tls}
        now = {each.address: kept.get(each.address) or Replica(*each.address, tls) for each in roster.endpoints}
        for address, replica in before.items():
            if now.get(address) is not replica:
                replica.close()
        self._replicas[region.name] = now
        return now


def _refusal(region: RegionRecord, code: str, question: str) -> Exception:
    if code == "BucketNotEmpty":
        return BucketNotEmpty()
    return GatewayUnavailable(f"the gateway of Region {region.name} answers {code} to {question[2:]}")


def _path(bucket: BucketRecord | None) -> str:
    return "/" if bucket is None else "/" + quote(bucket.name, safe="")


def _decode(response: Response, type_: type[_T]) -> _T:
    try:
        return msgspec.json.decode(response.body, type=type_)
    except msgspec.MsgspecError as error:
        raise GatewayUnavailable(f"the gateway's answer cannot be read: {error}") from None
