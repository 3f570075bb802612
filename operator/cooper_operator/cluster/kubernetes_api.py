"""An API server's verbs over JSON: single objects, lists in pages, watches."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import aiohttp
import msgspec
from aiohttp.http_exceptions import LineTooLong

from cooper_crds.kubernetes import FIELD_MANAGER
from cooper_operator.cluster.kubernetes_connection import CONNECT_TIMEOUT, Connection, Request, Verb
from cooper_operator.cluster.kubernetes_errors import Answer, Expired, answer_of, answer_of_status, error_of
from cooper_operator.cluster.port import Unavailable

MERGE_PATCH: Final = "application/merge-patch+json"

#: Seconds. A request that takes longer may or may not have been carried out.
REQUEST_TIMEOUT: Final = 15.0
_LIST_TIMEOUT: Final = 60.0
#: The server ends a watch after this long; it sends a bookmark each minute, so that a longer silence is a dead peer.
_WATCH_TIMEOUT: Final = 1800
WATCH_SILENCE: Final = 130.0

_PAGE: Final = 500
_LISTINGS: Final = 3
#: A request that was rejected with 429 was not begun, and may be sent again, this often and after this long at most.
_ATTEMPTS: Final = 4
_LONGEST_RETRY_AFTER: Final = 5.0

#: "fieldValidation=Strict: the API server refuses fields that it does not know" instead of leaving them out.
_WRITE: Final = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}


@dataclass(frozen=True, slots=True)
class Collection:
    """What a list or watch is of. `metadata_only`: no content of a Secret is transferred."""

    path: str
    about: str  # what errors are said to be about
    selector: Mapping[str, str] | None = None
    metadata_only: bool = False

    def accept(self, kind: str) -> str:
        """The media type to ask for; `kind` is that of partial objects."""
        return f"application/json;as={kind};g=meta.k8s.io;v=v1" if self.metadata_only else "application/json"


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a collection, at one version of it: a watch goes on from there."""

    items: list[dict[str, Any]]
    version: str


class KubernetesApi:
    """All raise what the port raises. At most `concurrency` requests at a time, watches not counted.

    `calls` counts requests by verb and plural, for metrics.
    """

    def __init__(
        self, connection: Connection, concurrency: int = 32, calls: Counter[tuple[str, str]] | None = None
    ) -> None:
        self._connection = connection
        self._slots = asyncio.Semaphore(concurrency)
        self.calls: Counter[tuple[str, str]] = Counter() if calls is None else calls

    async def close(self) -> None:
        """End the connection."""
        await self._connection.close()

    async def get(self, path: str, about: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """GET, quorum: what is answered is the latest. Raises NotFound."""
        return await self._request(Request("GET", path, query=query), about)

    async def create(self, path: str, about: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST, create-only."""
        return await self._request(Request("POST", path, body, _WRITE), about)

    async def replace(self, path: str, about: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """PUT at the resourceVersion that is in the body."""
        return await self._request(Request("PUT", path, body, _WRITE), about)

    async def patch(self, path: str, about: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Merge patch (RFC 7396) at the resourceVersion that is in the body."""
        return await self._request(Request("PATCH", path, body, _WRITE, MERGE_PATCH), about)

    async def delete(self, path: str, about: str, preconditions: Mapping[str, str]) -> None:
        """DELETE what still has this uid, or resourceVersion. What it owned goes after it."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        await self._request(Request("DELETE", path, {**options, "preconditions": preconditions}), about)

    async def list(self, of: Collection) -> Listing:
        """All of a collection, in pages; begun anew when the server forgot where it was. Raises Unavailable."""
        for _ in range(_LISTINGS):
            try:
                return await self._pages(of)
            except Expired:
                continue
        raise Unavailable(f"{of.about}: they change faster than they can be listed")

    async def watch(self, of: Collection, version: str) -> AsyncGenerator[dict[str, Any]]:
        """Events after a version, until the server ends the watch. Raises Expired when the version is too old."""
        query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        query |= {"timeoutSeconds": str(_WATCH_TIMEOUT), **(of.selector or {})}
        request = Request("GET", of.path, query=query, accept=of.accept("PartialObjectMetadata"))
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=WATCH_SILENCE)
        self.calls["WATCH", _plural(of.path)] += 1
        try:
            async with await self._connection.send(request, timeout) as response:
                if response.status != 200:
                    raise self._refused(answer_of(response.status, await response.read()), of.about, "GET")
                async for line in response.content:
                    yield _event(line, of.about)
        except LineTooLong:
            raise Unavailable(f"{of.about}: the API server sent an event that is longer than any can be") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(of.about, error) from None

    async def _pages(self, of: Collection) -> Listing:
        request = Request("GET", of.path, accept=of.accept("PartialObjectMetadataList"))
        query = {"limit": str(_PAGE), **(of.selector or {})}
        items: list[dict[str, Any]] = []
        while True:
            page = await self._request(replace(request, query=query), of.about, _LIST_TIMEOUT)
            items += page.get("items") or ()
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return Listing(items, metadata["resourceVersion"])
            query["continue"] = metadata["continue"]

    async def _request(self, request: Request, about: str, timeout: float | None = None) -> dict[str, Any]:
        for attempt in range(1, _ATTEMPTS + 1):
            async with self._slots:
                answer, pause = await self._attempt(request, about, timeout or REQUEST_TIMEOUT)
            if not isinstance(answer, Answer):
                return answer
            if answer.code != 429 or attempt == _ATTEMPTS:
                raise self._refused(answer, about, request.verb)
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, request: Request, about: str, timeout: float) -> tuple[dict[str, Any] | Answer, float]:
        """What was answered, and after how many seconds to try again where that may help."""
        self.calls[request.verb, _plural(request.path)] += 1
        times = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT)
        try:
            async with await self._connection.send(request, times) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(about, error) from None
        if response.status < 300:
            return _decoded(body, about), 0.0
        return answer_of(response.status, body, request.body), _retry_after(response.headers.get("Retry-After"))

    def _refused(self, answer: Answer, about: str, verb: Verb) -> Exception:
        if answer.code == 401:
            self._connection.renew()
        return error_of(answer, about, read=verb == "GET")


def _decoded(body: bytes, about: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise Unavailable(f"{about}: the API server's answer is not a JSON object") from None


def _event(line: bytes, about: str) -> dict[str, Any]:
    event = _decoded(line, about)
    if event.get("type") == "ERROR":
        raise error_of(answer_of_status(cast(dict[str, Any], event.get("object") or {})), about, read=True)
    return event


def _retry_after(header: str | None) -> float:
    seconds = float(header) if header is not None and header.isascii() and header.isdigit() else 1.0
    return min(seconds, _LONGEST_RETRY_AFTER)


def _unreachable(about: str, error: Exception) -> Unavailable:
    what = "did not answer in time" if isinstance(error, TimeoutError) else f"cannot be reached: {error}"
    return Unavailable(f"{about}: the API server {what}")


def _plural(path: str) -> str:
    """The plural in a path, as `secrets` in /api/v1/namespaces/a/secrets/b."""
    parts = path.split("/")
    within = parts[3:] if parts[1] == "api" else parts[4:]
    return within[2] if len(within) > 2 and within[0] == "namespaces" else within[0]
