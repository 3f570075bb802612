"""Gateways over signed S3 requests: probes to every worker of every replica, and the operator's own questions.

Nothing here decides: an answer becomes a `Proof`, a `Usage` or one of the port's exceptions.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from cooper_crds.records import BucketRecord, KeyRecord, RegionRecord
from cooper_operator.gateways.connection import Connection, Response
from cooper_operator.gateways.port import BucketNotEmpty, GatewayUnavailable, Intent, Proof, Usage
from cooper_operator.gateways.replica import Ask, Replica
from cooper_operator.gateways.sign import query_string, sign

Address = tuple[str, int]

#: Seconds for a probe: a worker that takes longer is waited for at the next attempt.
PROBE_TIMEOUT: Final = 2.0
#: Seconds for a question: destroying a bucket with many uploads takes its time.
OPERATE_TIMEOUT: Final = 30.0

#: A worker that says one of these honours the key no more. `InvalidAccessKeyId`: it does not know the key at all.
DENIALS: Final = frozenset({"KeyAccessRevoked", "InvalidAccessKeyId"})

_ERROR_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9]+)</Code>")
_BUCKET_NAME: Final = re.compile(rb"<Bucket>.*?<Name>([a-z0-9.-]+)</Name>", re.DOTALL)

_T = TypeVar("_T")
Verdict = Callable[[Response], str]  # "" when the worker answered as it should, else what it said


class _UsageAnswer(msgspec.Struct):
    objects: int
    size: int
    closed: bool


class _IntentAnswer(msgspec.Struct, rename="camel"):
    bucket: str
    data_id: str
    access_key_id: str


class HttpGateways:
    """The port over HTTP/1.1. `replicas` tells where a Region's gateways listen, each time it is asked."""

    def __init__(
        self,
        replicas: Callable[[RegionRecord], Sequence[Address]],
        system_key: Callable[[], KeyRecord | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._addresses = replicas
        self._system_key = system_key
        self._clock = clock
        self._replicas: dict[str, dict[Address, Replica]] = {}  # by Region

    async def close(self) -> None:
        """Drop all connections."""
        for replicas in self._replicas.values():
            for replica in replicas.values():
                replica.close()
        self._replicas.clear()

    async def prove_works(self, region: RegionRecord, key: KeyRecord, buckets: list[str]) -> Proof:
        """Every worker must accept the key and list the buckets, and none that is not granted (any more)."""
        expected, granted = {name.encode() for name in buckets}, {grant.bucket.encode() for grant in key.grants}

        def verdict(response: Response) -> str:
            if response.status != 200:
                return f"answers {_code(response)}"
            listed = set(_BUCKET_NAME.findall(response.body))
            if missing := expected - listed:
                return f"does not know bucket {min(missing).decode()} yet"
            return f"still lists bucket {min(listed - granted).decode()}" if listed - granted else ""

        return await self._prove(region, key, verdict)

    async def prove_denied(self, region: RegionRecord, key: KeyRecord) -> Proof:
        """Every worker must refuse the key."""

        def verdict(response: Response) -> str:
            code = _code(response)
            return "" if response.status == 403 and code in DENIALS else f"answers {code}"

        return await self._prove(region, key, verdict)

    async def prove_bucket_denied(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        """Every worker must refuse the bucket to the key, whatever the key may do there."""

        def verdict(response: Response) -> str:
            code = _code(response)
            return "" if response.status == 403 and code == "KeyAccessRevoked" else f"answers {code}"

        denied = await self._prove(region, key, verdict, bucket)
        if not denied.complete:
            return denied
        # A key that is revoked itself is told the same. It never comes back to life: if it works now, it did then.
        return await self.prove_works(region, key, [bucket.name])

    async def prove_bucket_allowed(self, region: RegionRecord, bucket: BucketRecord, key: KeyRecord) -> Proof:
        """Every worker must let the key to the bucket; `AccessDenied` says that the key may do other things there."""

        def verdict(response: Response) -> str:
            code = _code(response)
            return "" if response.status == 200 or code == "AccessDenied" else f"answers {code}"

        # A worker that does not know of the grant denies access too: it must list the bucket first.
        works = await self.prove_works(region, key, [bucket.name])
        return await self._prove(region, key, verdict, bucket) if works.complete else works

    async def usage(self, region: RegionRecord, bucket: BucketRecord) -> Usage:
        """Objects and bytes. Raises GatewayUnavailable."""
        answer = await self._operate(region, "GET", "x-cooper-usage", bucket)
        found = _decode(answer, _UsageAnswer)
        return Usage(found.objects, found.size, found.closed)

    async def close_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Close if empty. Raises BucketNotEmpty, GatewayUnavailable."""
        await self._operate(region, "POST", "x-cooper-close", bucket)

    async def reopen_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Undo a close. Raises GatewayUnavailable."""
        await self._operate(region, "POST", "x-cooper-reopen", bucket)

    async def destroy_bucket(self, region: RegionRecord, bucket: BucketRecord) -> None:
        """Drop a closed bucket's key and uploads. Raises GatewayUnavailable."""
        await self._operate(region, "POST", "x-cooper-destroy", bucket)

    async def intents(self, region: RegionRecord) -> list[Intent]:
        """DeleteBucket requests that wait. Raises GatewayUnavailable."""
        answer = await self._operate(region, "GET", "x-cooper-intents", None)
        found = _decode(answer, list[_IntentAnswer])
        return [Intent(intent.bucket, intent.data_id, intent.access_key_id) for intent in found]

    # Probes

    async def _prove(
        self, region: RegionRecord, key: KeyRecord, verdict: Verdict, bucket: BucketRecord | None = None
    ) -> Proof:
        """Have the key list its buckets, or with `bucket` that one's objects (none of them)."""
        path, query = _path(bucket), {} if bucket is None else {"list-type": "2", "max-keys": "0"}
        ask = self._question("GET", path, query, {}, region, key, PROBE_TIMEOUT)
        replicas = self._known(region)
        results = await asyncio.gather(*(_probe(replica, ask, verdict) for replica in replicas))
        waiting = [problem for result in results for problem in result.waiting_for.split("; ") if problem]
        if len(waiting) > 3:
            waiting = [*waiting[:3], f"{len(waiting) - 3} more"]
        return Proof(
            proven=sum(result.proven for result in results),
            expected=sum(result.expected for result in results),
            waiting_for="; ".join(waiting) or ("" if replicas else f"no gateway of Region {region.name} is known"),
        )

    # Questions

    async def _operate(self, region: RegionRecord, method: str, question: str, bucket: BucketRecord | None) -> Response:
        key = self._system_key()
        if key is None:
            raise GatewayUnavailable("the operator has no key yet")
        headers = {} if bucket is None else {"x-cooper-data-id": bucket.data_id}
        ask = self._question(method, _path(bucket), {question: ""}, headers, region, key, OPERATE_TIMEOUT)
        response = None
        for replica in self._known(region):
            await replica.meet(_hello)
            response = await replica.ask_any(ask, OPERATE_TIMEOUT)
            if response is not None:
                break
        if response is None:
            raise GatewayUnavailable(f"no gateway of Region {region.name} answers")
        if 200 <= response.status < 300:
            return response
        code = _code(response)
        if code == "BucketNotEmpty":
            raise BucketNotEmpty
        raise GatewayUnavailable(f"the gateway of Region {region.name} answers {code} to {question[2:]}")

    def _question(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        region: RegionRecord,
        key: KeyRecord,
        timeout: float,
    ) -> Ask:
        target = path + ("?" + query_string(query) if query else "")

        async def ask(connection: Connection) -> Response:
            signed = sign(
                method,
                path,
                query,
                {"host": connection.host, **headers},
                access_key_id=key.access_key_id,
                secret_key=key.secret_key,
                region=region.tag,
                now=self._clock(),
            )
            return await connection.request(method, target, signed, timeout)

        return ask

    def _known(self, region: RegionRecord) -> list[Replica]:
        """The Region's replicas now. One that is no longer listed is gone, and its connections with it."""
        before = self._replicas.get(region.name, {})
        now = {address: before.get(address) or Replica(*address) for address in self._addresses(region)}
        for address, replica in before.items():
            if address not in now:
                replica.close()
        self._replicas[region.name] = now
        return list(now.values())


def _path(bucket: BucketRecord | None) -> str:
    return "/" if bucket is None else "/" + quote(bucket.name, safe="")


async def _hello(connection: Connection) -> Response:
    """An anonymous request: refused, but the answer says which worker it comes from."""
    return await connection.request("GET", "/", {"host": connection.host}, PROBE_TIMEOUT)


async def _probe(replica: Replica, ask: Ask, verdict: Verdict) -> Proof:
    """Ask every worker of one replica. One that cannot be reached counts as one worker that has not answered."""
    await replica.meet(_hello)
    answers = await replica.ask_all(ask, PROBE_TIMEOUT)
    problems = {
        index: verdict(response) if response is not None else "does not answer" for index, response in answers.items()
    }
    waiting = [f"worker {index} of {replica.address} {problem}" for index, problem in problems.items() if problem]
    expected = max(replica.count, len(answers), 1)
    if missing := expected - len(answers):
        waiting.append(f"{missing} of {expected} workers of {replica.address} cannot be reached")
    return Proof(sum(not problem for problem in problems.values()), expected, "; ".join(waiting))


def _code(response: Response) -> str:
    found = _ERROR_CODE.search(response.body)
    return found[1].decode() if found else str(response.status)


def _decode(response: Response, type_: type[_T]) -> _T:
    try:
        return msgspec.json.decode(response.body, type=type_)
    except msgspec.MsgspecError as error:
        raise GatewayUnavailable(f"the gateway's answer cannot be read: {error}") from None
