"""Every key that a Secret ever holds is tried at every gateway, as soon as it is seen there."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import aiohttp

from cooper_operator.cluster.kubernetes_objects import controller_of
from cooper_operator.cluster.port import ClusterError
from e2e.system.s3 import S3
from e2e.system.server import Object, Server, values
from e2e.system.workload import Workload

_TRIED = ("ACCESS_KEY", "SECRET_KEY", "ENDPOINT", "REGION", "BUCKET")


class Deliveries:
    """Watches a tenant's Secrets. Use as an asynchronous context manager; its end waits for what is being tried."""

    def __init__(
        self, server: Server, workload: Workload, endpoints: Callable[[], list[str]], client: type[S3] = S3
    ) -> None:
        self.keys: dict[str, dict[str, str]] = {}  # all that were ever delivered, by id
        self.tried = 0
        self.withdrawn = 0  # refused, since it was revoked meanwhile
        self.problems: list[str] = []
        self._server = server
        self._workload = workload
        self._endpoints = endpoints
        self._client = client
        self._tries: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Deliveries":
        self._session = aiohttp.ClientSession()
        self._watch = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watch.cancel()
        await asyncio.gather(self._watch, return_exceptions=True)
        await asyncio.gather(*self._tries)
        await self._session.close()

    def clients(self, key: dict[str, str]) -> list[S3]:
        """A key at each gateway."""
        return [self._client(self._session, endpoint, key) for endpoint in self._endpoints()]

    async def _follow(self) -> None:
        seen: set[tuple[str | None, ...]] = set()
        while True:
            with suppress(ClusterError):
                async for secret in self._server.secrets(self._workload.namespace):
                    key, owner = values(secret), _owner(secret)
                    content = tuple(key.get(name) for name in _TRIED)  # what else is in it, others put there
                    if owner is not None and content not in seen:
                        seen.add(content)
                        self._begin(owner, key)
            await asyncio.sleep(0.2)

    def _begin(self, owner: str, key: dict[str, str]) -> None:
        self.keys[key["ACCESS_KEY"]] = key
        self._tries.append(asyncio.create_task(self._try(owner, key)))

    async def _try(self, owner: str, key: dict[str, str]) -> None:
        buckets = [key["BUCKET"]] if "BUCKET" in key else []
        for client in self.clients(key):
            problem = await client.problem(buckets)
            self.tried += 1
            wanted = self._workload.wanted().get(owner)
            if problem and wanted is not None and set(buckets) <= set(wanted.buckets):
                self.problems.append(f"the Secret of {owner} held a key that did not work: {problem}")
            elif problem:
                self.withdrawn += 1


def _owner(secret: Object) -> str | None:
    found = controller_of(secret["metadata"], "AccessKey")
    return found and found[0]
