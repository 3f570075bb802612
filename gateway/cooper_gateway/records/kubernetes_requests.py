"""The few requests that a gateway makes to the Kubernetes API, all about the records of one namespace.

Rights that they need there: list and watch secrets; get configmaps; get namespaces is of use for a better message.
"""

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from cooper_crds.kubernetes import RECORD_SELECTOR, REVISION_KEY, REVISION_OBJECT, revision_of
from cooper_gateway.records.kubernetes_api import Api, ApiFailed, Forbidden, Status
from cooper_gateway.records.kubernetes_secrets import Event, Page, Secret

#: Records on a page: half a megabyte of answer or so.
PAGE_SIZE: Final = 500
_PAGE_SECONDS: Final = 60.0
_PAGE_SILENCE_SECONDS: Final = 15.0
#: A watch lives this long, chosen anew each time so that gateways do not come back all at once.
_WATCH_SECONDS: Final = (40, 55)
#: How long after its end a watch may linger before the connection is taken for dead.
_WATCH_SLACK_SECONDS: Final = 5.0
_READ_SECONDS: Final = 5.0

_ERROR: Final = "ERROR"

T = TypeVar("T")


class Revision(NamedTuple):
    """The revision object as it was read."""

    last_write: int | None  # None: there is no such object yet
    date: float | None  # the API server's clock, Unix seconds, cut to the second


class _Told(msgspec.Struct, frozen=True):
    """One line of a watch. The object is a Secret, or a Status when the type is ERROR."""

    type: str
    object: msgspec.Raw


class RecordsApi:
    """Requests about the records of one namespace. All raise ApiFailed."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self.namespace = namespace
        self._path = f"namespaces/{namespace}"

    async def list_page(self, token: str) -> Page:
        """One page of all record Secrets as they are now; `token` is what the page before it gave, or empty."""
        query = {"fieldSelector": RECORD_SELECTOR, "limit": str(PAGE_SIZE)} | ({"continue": token} if token else {})
        async with self._api.get(
            f"list secrets in namespace {self.namespace}",
            f"{self._path}/secrets",
            query,
            _PAGE_SECONDS,
            _PAGE_SILENCE_SECONDS,
        ) as answer:
            return _decoded(await answer.read(), Page)

    async def watch(self, version: int) -> AsyncGenerator[list[Event], None]:
        """Events after `version`, as many at a time as have arrived; ends by itself within a minute."""
        seconds = random.randint(*_WATCH_SECONDS)
        query = {
            "fieldSelector": RECORD_SELECTOR,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(version),
            "timeoutSeconds": str(seconds),
        }
        doing = f"watch secrets in namespace {self.namespace}"
        async with (
            self._api.get(doing, f"{self._path}/secrets", query, seconds + _WATCH_SLACK_SECONDS) as answer,
            aclosing(answer.lines()) as batches,
        ):
            async for lines in batches:
                yield [_event(line, doing) for line in lines]

    async def revision(self) -> Revision:
        """The revision object, as it is now."""
        doing = f"get configmaps in namespace {self.namespace}"
        async with self._api.get(doing, f"{self._path}/configmaps/{REVISION_OBJECT}", {}, _READ_SECONDS) as answer:
            content = await answer.read()
            if not answer.found:
                return Revision(None, answer.date)
            last_write = revision_of(_decoded(content, dict[str, Any]))
        if last_write is None:
            raise ApiFailed(f"{REVISION_KEY} of the ConfigMap {self.namespace}/{REVISION_OBJECT} is not a number")
        return Revision(last_write, answer.date)

    async def namespace_is_missing(self) -> bool:
        """Whether the namespace is known not to be there: a list of what is in a missing one is just empty."""
        try:
            async with self._api.get("get namespaces", self._path, {}, _READ_SECONDS) as answer:
                await answer.read()
                return not answer.found
        except Forbidden:
            return False


def _event(line: bytes, doing: str) -> Event:
    """Read a line of a watch. Raises ApiFailed, also for one that says no."""
    told = _decoded(line, _Told)
    if told.type == _ERROR:
        raise _decoded(told.object, Status).error(doing)
    return Event(told.type, _decoded(told.object, Secret))


def _decoded(content: bytes | msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind, strict=False)  # numbers are written as text
    except msgspec.MsgspecError as error:
        raise ApiFailed(f"the Kubernetes API's answer cannot be read: {error}") from None
