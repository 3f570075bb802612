"""Clients of S3 that put, get and list without end, and note what they are told."""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import aiohttp

from e2e.system.s3 import AWAY, S3, Answer, PatientS3

_CLIENTS = 3  # at each gateway
#: Seconds: the machine has others to serve, and him who comes back above all.
_PAUSE = 0.02
_PAUSE_AWAY = 0.2


@dataclass(frozen=True)
class Failure:
    """A request that was not answered as it should be, and when (monotonic seconds)."""

    at: float
    endpoint: str
    what: str
    status: int


class Load:
    """Runs from entering to leaving it, or until `rest`."""

    def __init__(self, credentials: Mapping[str, str], endpoints: list[str]) -> None:
        self.served: Counter[str] = Counter()  # by endpoint
        self.last_served: dict[str, float] = {}
        self.failures: list[Failure] = []
        self.written: list[float] = []  # when objects were acknowledged (monotonic seconds)
        self._stored: dict[tuple[str, int], dict[str, tuple[bytes, ...]]] = {}
        self._resting = False
        self._credentials = credentials
        self._endpoints = endpoints

    async def __aenter__(self) -> "Load":
        self._session = aiohttp.ClientSession()
        clients = [(endpoint, number) for endpoint in self._endpoints for number in range(_CLIENTS)]
        self._tasks = [asyncio.create_task(self._client(*each)) for each in clients]
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.rest()
            await asyncio.gather(*(self._empty(endpoint) for endpoint in self._endpoints))
        finally:
            await self._session.close()

    async def rest(self) -> None:
        """Ask for nothing more; what is in progress ends."""
        self._resting = True
        await asyncio.gather(*self._tasks)

    async def audit(self) -> list[str]:
        """What is not there as it was acknowledged, now that the clients rest."""
        found: list[str] = []
        for (endpoint, number), stored in self._stored.items():
            s3 = S3(self._session, endpoint, self._credentials)
            for name, bodies in stored.items():
                got = await s3.ask("GET", f"/{self._credentials['BUCKET']}/{name}")
                if got.status != 200 or got.body not in bodies:
                    found.append(f"{name} of client {number} at {endpoint}: {got.status} {got.code}, {len(got.body)} B")
        return found

    @property
    def acknowledged(self) -> int:
        """Objects that are to be there."""
        return sum(map(len, self._stored.values()))

    @property
    def wrong(self) -> list[Failure]:
        """Failures but for those that say that nobody serves, or that it is not known whether something was stored."""
        unknown = "put: 500 InternalError"
        return [each for each in self.failures if each.status not in AWAY and each.what != unknown]

    def longest_pause(self, since: float) -> float:
        """Seconds between two acknowledged writes, or since then (monotonic seconds), or until now, at most."""
        times = [since, *(each for each in self.written if each > since), time.monotonic()]
        return max(after - before for before, after in pairwise(times))

    @property
    def total(self) -> int:
        """Requests that were answered as they should be."""
        return sum(self.served.values())

    def first_failure(self, endpoint: str) -> float | None:
        """When it was (monotonic seconds)."""
        return next((each.at for each in self.failures if each.endpoint == endpoint), None)

    async def _client(self, endpoint: str, number: int) -> None:
        s3 = S3(self._session, endpoint, self._credentials)
        bucket, dice = f"/{self._credentials['BUCKET']}", random.Random(number)
        stored = self._stored.setdefault((endpoint, number), {})
        while not self._resting:
            name = f"{number}-{dice.randrange(20)}"
            body = dice.randbytes(dice.choice((100, 4_000, 100_000)))
            put = await s3.ask("PUT", f"{bucket}/{name}", body)
            if put.status in AWAY:
                await asyncio.sleep(_PAUSE_AWAY)
            if self._note(endpoint, "put", put, put.status == 200):
                stored[name] = (body,)
                self.written.append(time.monotonic())
            elif name in stored:
                stored[name] = (*stored[name], body)  # it may have been stored
            if stored:
                name = dice.choice(sorted(stored))
                got = await s3.ask("GET", f"{bucket}/{name}")
                self._note(endpoint, "get", got, got.status == 200 and got.body in stored[name])
            listed = await s3.ask("GET", f"{bucket}?list-type=2&prefix={number}-")
            complete = all(f"<Key>{name}</Key>".encode() in listed.body for name in stored)
            self._note(endpoint, "list", listed, listed.status == 200 and complete)
            await asyncio.sleep(_PAUSE)

    async def _empty(self, endpoint: str) -> None:
        """So that the bucket can be deleted."""
        s3, bucket = PatientS3(self._session, endpoint, self._credentials), f"/{self._credentials['BUCKET']}"
        listed = await s3.ask("GET", f"{bucket}?list-type=2")
        for name in re.findall(rb"<Key>(.*?)</Key>", listed.body):
            await s3.ask("DELETE", f"{bucket}/{name.decode()}")

    def _note(self, endpoint: str, operation: str, answer: Answer, right: bool) -> bool:
        if right:
            self.served[endpoint] += 1
            self.last_served[endpoint] = time.monotonic()
        else:
            what = f"{operation}: {answer.status} {answer.code}"
            self.failures.append(Failure(time.monotonic(), endpoint, what, answer.status))
        return right
