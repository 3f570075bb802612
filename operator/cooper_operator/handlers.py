"""kopf: follows our resources and tells of every change. It decides and writes nothing.

kopf takes the signals of the main thread, and at its end it cancels every task of its event loop that was begun after
it. So it has a thread and a loop of its own; what it sees is handed over.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

import kopf
import uvloop
from kopf._cogs.clients import watching
from kopf._cogs.structs.references import Insights
from kopf._core.reactor import queueing

from cooper_crds.kubernetes import GROUP, LEASE, VERSION
from cooper_operator.cluster.kubernetes_connection import Access
from cooper_operator.cluster.kubernetes_objects import trimmed
from cooper_operator.cluster.port import Kind, Object, Ref

# kopf is typed in parts only.
_kopf: Final[Any] = kopf
_queueing: Final[Any] = queueing

#: Told of a resource that changed, as it is now; and whether it is gone, then at the version at which it went.
Changed = Callable[[Ref, Object, bool], None]
#: Told of each event: of which plural, and what.
_Tells = Callable[[str, Mapping[str, Any]], None]
#: Who is told by the kopf that was begun in this context.
_told: Final[ContextVar[_Tells]] = ContextVar("told")

#: Seconds. The API server sends a bookmark each minute: a stream that is silent for longer is dead.
_SILENCE: Final = 130.0
#: Seconds between attempts of a request; after the last one all is begun anew.
_BACK_OFF: Final = (0.2, 0.5, 1.0, 2.0, 4.0)
#: Seconds that kopf is given to end its tasks.
_END: Final = 15.0


class HandlersEnded(Exception):
    """kopf ended; nothing is told any more."""


class KindsNotListed(Exception):
    """The API server's discovery does not list kinds, which takes it seconds after they were installed."""


class Handlers:
    """Follows the kinds of `plurals`, in `namespaces` or (None) in all, as `access` says how, and tells `changed`."""

    def __init__(
        self,
        plurals: Mapping[Kind, str],
        namespaces: Sequence[str] | None,
        access: Callable[[], Awaitable[Access]],
        changed: Changed,
    ) -> None:
        self._plurals = plurals
        self._where: dict[str, Any] = {"clusterwide": True} if namespaces is None else {"namespaces": [*namespaces]}
        self._access = access
        self._changed = changed

    async def run(self) -> None:
        """Follow until cancelled: first all there is, then every change. Raises HandlersEnded."""
        # What is wrong is told where it ends the watching: kopf logs each attempt of each request as an error.
        logging.getLogger("kopf").setLevel(logging.CRITICAL)
        loop = asyncio.get_running_loop()
        stop, ended = threading.Event(), asyncio.Event()
        problems: list[Exception] = []

        def follow() -> None:
            try:
                uvloop.run(self._operator(loop, problems, stop))
            except Exception as problem:
                problems.append(problem)
            finally:
                loop.call_soon_threadsafe(ended.set)

        thread = threading.Thread(target=follow, name="kopf", daemon=True)
        thread.start()
        try:
            await ended.wait()
        finally:
            stop.set()
            await asyncio.shield(asyncio.to_thread(thread.join, _END))
        why = f"{type(problems[0]).__name__}: {problems[0]}" if problems else "no reason was given"
        raise HandlersEnded(f"the watch of resources ended: {why}")

    async def _operator(
        self, loop: asyncio.AbstractEventLoop, problems: list[Exception], stop: threading.Event
    ) -> None:
        _told.set(self._tells(loop))
        settings, insights = _settings(), Insights()
        looking = asyncio.create_task(self._see_whether_all_are_followed(insights, problems, stop))
        try:
            # An identity, which nobody reads, since kopf would look for the user's name: in a container there is none.
            await _kopf.operator(
                registry=self._registry(self._login_or(problems, stop)),
                settings=settings,
                standalone=True,
                identity=LEASE,
                insights=insights,
                stop_flag=stop,
                **self._where,
            )
        finally:
            looking.cancel()
            stop.set()  # a thread of kopf's waits for it, and the loop's end waits for that thread

    async def _see_whether_all_are_followed(
        self, insights: Insights, problems: list[Exception], stop: threading.Event
    ) -> None:
        """End it where they are not: kopf asks once which kinds there are, and never follows one that came later."""
        await insights.ready_resources.wait()
        missing = sorted(set(self._plurals.values()) - {resource.plural for resource in insights.watched_resources})
        if missing:
            problems.append(KindsNotListed(f"the API server does not list {', '.join(missing)} of {GROUP} yet"))
            stop.set()

    def _registry(self, login: Callable[..., Awaitable[Any]]) -> Any:
        registry = _kopf.OperatorRegistry()
        _kopf.on.login(registry=registry)(login)
        for plural in self._plurals.values():
            _kopf.on.event(GROUP, VERSION, plural, registry=registry, id=plural)(_is_followed)
        return registry

    def _login_or(self, problems: list[Exception], stop: threading.Event) -> Callable[..., Awaitable[Any]]:
        """A login that ends the watching where it fails: kopf would wait a minute, and say nothing."""

        async def login(**_: Any) -> Any:
            try:
                return await self._login()
            except Exception as problem:
                problems.append(problem)
                stop.set()
                raise

        return login

    async def _login(self) -> Any:
        found = await self._access()
        return _kopf.ConnectionInfo(
            server=found.server,
            ca_path=found.ca_path,
            insecure=found.insecure,
            certificate_path=found.certificate_path,
            private_key_path=found.private_key_path,
            scheme="Bearer" if found.token else None,
            token=found.token,
        )

    def _tells(self, loop: asyncio.AbstractEventLoop) -> _Tells:
        kinds: dict[str, Kind] = {plural: kind for kind, plural in self._plurals.items()}

        def tell(plural: str, event: Mapping[str, Any]) -> None:
            obj: dict[str, Any] = event["object"]
            metadata: Mapping[str, Any] = obj["metadata"]
            ref = Ref(kinds[plural], metadata.get("namespace", ""), metadata["name"])
            loop.call_soon_threadsafe(self._changed, ref, trimmed(obj), event["type"] == "DELETED")

        return tell


def _is_followed(**_: Any) -> None:
    """The handler of a kind: that there is one has kopf follow it. It is never called, see `_watch`."""


async def _watch(*, settings: Any, resource: Any, namespace: Any, operator_paused: Any = None, **_: Any) -> None:
    """Follow a kind, and tell of each event, in the order in which they come.

    It stands in for kopf's own watcher, which has a task, a queue and a memory for each object, and works out at each
    event what handlers of changes, indices and daemons would need. There are none of them here, and that was nearly
    half of what a new key costs the operator. To list, to watch and to begin anew is kopf's.
    """
    tell = _told.get()
    of = {"settings": settings, "resource": resource, "namespace": namespace, "operator_paused": operator_paused}
    async for event in watching.infinite_watch(**of):
        if not isinstance(event, watching.Bookmark) and event["type"] != "BOOKMARK":
            tell(resource.plural, event)


_queueing.watcher = _watch


def _settings() -> Any:
    settings = _kopf.OperatorSettings()
    settings.scanning.disabled = True  # kinds and namespaces are known: no right to list them is asked for
    settings.posting.enabled = False
    settings.watching.inactivity_timeout = _SILENCE
    settings.networking.error_backoffs = _BACK_OFF
    return settings
