"""The Lease of an API server, in memory: every write create-only or at a version. Requests fare as a test wants."""

import asyncio
import copy
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cooper_operator.cluster.port import AlreadyExists, ClusterError, Conflict, NotFound, Unavailable

Object = dict[str, Any]


@dataclass(frozen=True)
class Fate:
    """How a request fares: seconds until it is carried out (inf: never), and from then until it is answered.

    `refused` is not carried out, `unknown` is carried out and answered as a failure.
    """

    there: float = 0.01
    back: float = 0.01
    outcome: Literal["answered", "refused", "unknown"] = "answered"


HANGS = Fate(math.inf)
REFUSED = Fate(outcome="refused")


class LeaseServer:
    """`asked` has the time, the candidate and the verb of what was carried out or refused."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.asked: list[tuple[float, str, str]] = []
        self._version = 100
        self._uid = 0

    def put(self, spec: Any, **metadata: Any) -> Object:
        """Somebody writes it, whatever is there."""
        if self.lease is None:
            self._uid += 1
        self._version += 1
        kept = {} if self.lease is None else self.lease["metadata"]
        identity = {"name": "cooper-operator", "uid": f"uid-{self._uid}", "resourceVersion": str(self._version)}
        self.lease = {"kind": "Lease", "metadata": {**kept, **metadata, **identity}, "spec": copy.deepcopy(spec)}
        return copy.deepcopy(self.lease)

    def delete(self) -> None:
        self.lease = None

    def backup(self) -> tuple[Object | None, int]:
        return copy.deepcopy(self.lease), self._version

    def restore(self, backup: tuple[Object | None, int]) -> None:
        self.lease, self._version = copy.deepcopy(backup)

    @property
    def holder(self) -> Any:
        return None if self.lease is None else self.lease["spec"]["holderIdentity"]

    def get(self, body: None = None) -> Object:
        if self.lease is None:
            raise NotFound("Lease is not there")
        return copy.deepcopy(self.lease)

    def create(self, body: Object) -> Object:
        if self.lease is not None:
            raise AlreadyExists("Lease is there")
        return self.put(body["spec"], **body["metadata"])

    def replace(self, body: Object) -> Object:
        there = {} if self.lease is None else self.lease["metadata"]
        if any(body["metadata"][each] != there.get(each) for each in ("uid", "resourceVersion")):
            raise Conflict("Lease changed")
        return self.put(body["spec"], **body["metadata"])


class Line:
    """One candidate's way to the server: what `KubernetesApi` is to it. `fates` come in order, then `fate` for ever."""

    def __init__(self, server: LeaseServer, name: str) -> None:
        self.server = server
        self.name = name
        self.fates: deque[Fate] = deque()
        self.fate = Fate()
        self.error: ClusterError = Unavailable("the API server is away (HTTP 500)")

    async def get(self, path: str, about: str) -> Object:
        return await self._ask("get", None)

    async def create(self, path: str, about: str, body: Mapping[str, Any]) -> Object:
        return await self._ask("create", body)

    async def replace(self, path: str, about: str, body: Mapping[str, Any]) -> Object:
        return await self._ask("replace", body)

    async def _ask(self, verb: str, body: Mapping[str, Any] | None) -> Object:
        """What was sent is carried out, also when nobody waits for the answer any longer."""
        fate = self.fates.popleft() if self.fates else self.fate
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Callable[[], Object]] = loop.create_future()

        def arrive() -> None:
            self.server.asked.append((loop.time(), self.name, verb))
            result = self._carried_out(verb, copy.deepcopy(body), fate)
            if fate.back < math.inf:
                loop.call_later(fate.back, lambda: answer.done() or answer.set_result(result))

        if fate.there < math.inf:
            loop.call_later(fate.there, arrive)
        return (await answer)()

    def _carried_out(self, verb: str, body: Any, fate: Fate) -> Callable[[], Object]:
        if fate.outcome == "refused":
            return _raising(self.error)
        try:
            found = getattr(self.server, verb)(body)
        except ClusterError as error:
            return _raising(error)
        return (lambda: found) if fate.outcome == "answered" else _raising(self.error)


def _raising(error: ClusterError) -> Callable[[], Object]:
    def answer() -> Object:
        raise error

    return answer
