"""kopf follows resources and tells of each change, against an API server over HTTP; it writes nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kopf._core.reactor import processing, queueing

from cooper_operator import handlers
from cooper_operator.cluster.kubernetes_connection import Access
from cooper_operator.cluster.port import Object, Ref, Unavailable
from cooper_operator.handlers import Handlers, HandlersEnded

PLURALS = {"Region": "regions", "Bucket": "buckets"}
GROUP = "/apis/cooper.dev/v1alpha1"


def _group(name: str, version: str) -> dict[str, Any]:
    known = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [known], "preferredVersion": known}


def _resources(*kinds: tuple[str, str, bool]) -> dict[str, Any]:
    verbs = ["list", "watch", "patch"]
    found = [{"name": n, "singularName": "", "kind": k, "namespaced": o, "verbs": verbs} for n, k, o in kinds]
    return {"kind": "APIResourceList", "resources": found}


#: What kopf asks for at first: which kinds there are. It knows of namespaces and CRDs whether it follows them or not.
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": _resources(("namespaces", "Namespace", False)),
    "/apis": {
        "kind": "APIGroupList",
        "groups": [_group("cooper.dev", "v1alpha1"), _group("apiextensions.k8s.io", "v1")],
    },
    "/apis/apiextensions.k8s.io/v1": _resources(("customresourcedefinitions", "CustomResourceDefinition", False)),
    GROUP: _resources(("regions", "Region", False), ("buckets", "Bucket", True)),
}


def bucket(name: str, version: int) -> dict[str, Any]:
    metadata = {"namespace": "default", "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": "cooper.dev/v1alpha1", "kind": "Bucket", "metadata": metadata, "spec": {}}


class Server:
    """Has one bucket; a watch tells what is put into `events`, and `None` ends it with an error."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, dict[str, Any]] | None] = asyncio.Queue()
        self.requests: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.list_status = 200
        self.discovery = dict(DISCOVERY)
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Server"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        self.tokens.add(request.headers.get("Authorization", ""))
        if request.path in self.discovery:
            return web.json_response(self.discovery[request.path])
        if request.path in (f"{GROUP}/regions", f"{GROUP}/buckets", f"{GROUP}/namespaces/mine/buckets"):
            return await (self._watch(request) if "watch" in request.query else self._list(request))
        return web.json_response({"kind": "Status", "code": 404}, status=404)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        items = [bucket("photos", 5)] if request.path.endswith("buckets") else []
        kind = "BucketList" if items else "RegionList"
        body = {"apiVersion": "cooper.dev/v1alpha1", "kind": kind, "metadata": {"resourceVersion": "7"}, "items": items}
        return web.json_response(body, status=self.list_status)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while request.path.endswith("buckets"):
            event = await self.events.get()
            told = {"type": "ERROR", "object": {"code": 500, "kind": "Status", "message": "no"}}
            line = told if event is None else {"type": event[0], "object": event[1]}
            await response.write(json.dumps(line).encode() + b"\n")
        await asyncio.sleep(60)
        return response


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server().serving() as server:
        yield server


class Following:
    def __init__(self, server: Server, namespaces: list[str] | None = None) -> None:
        self.told: list[tuple[str, str | None]] = []

        async def access() -> Access:
            return Access(server.url, None, False, None, None, "the-token")

        self.handlers = Handlers(PLURALS, namespaces, access, self._changed)  # pyright: ignore[reportArgumentType]
        self.task = asyncio.create_task(self.handlers.run())

    def _changed(self, ref: Ref, obj: Object, gone: bool) -> None:
        self.told.append((str(ref), None if gone else obj["metadata"]["resourceVersion"]))

    async def until(self, *told: tuple[str, str | None]) -> None:
        async with asyncio.timeout(10):
            while self.told != list(told):
                assert not self.task.done(), self.task.exception()
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self.task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(self.task, return_exceptions=True)


PHOTOS = "Bucket default/photos"


async def test_all_there_are_and_every_change_is_told_and_nothing_is_written(server: Server) -> None:
    following = Following(server)
    await following.until((PHOTOS, "5"))
    await server.events.put(("ADDED", bucket("site", 8)))
    await following.until((PHOTOS, "5"), ("Bucket default/site", "8"))
    await server.events.put(("MODIFIED", bucket("site", 9)))
    await server.events.put(("DELETED", bucket("photos", 10)))
    async with asyncio.timeout(10):
        while len(following.told) < 4:
            await asyncio.sleep(0.01)
    assert sorted(following.told[2:], key=str) == [("Bucket default/photos", None), ("Bucket default/site", "9")]
    await following.stop()
    assert {method for method, _ in server.requests} == {"GET"}
    assert server.tokens == {"Bearer the-token"}
    asked = {path for _, path in server.requests}
    assert not {path for path in asked if path.endswith(("namespaces", "customresourcedefinitions"))}


async def test_events_of_one_resource_are_told_in_their_order_and_bookmarks_not_at_all(server: Server) -> None:
    following = Following(server)
    await following.until((PHOTOS, "5"))
    for version in (8, 9, 10):
        await server.events.put(("MODIFIED", bucket("photos", version)))
    await server.events.put(("BOOKMARK", {"metadata": {"resourceVersion": "11"}}))
    await server.events.put(("DELETED", bucket("photos", 12)))
    await server.events.put(("ADDED", bucket("photos", 13)))
    changes = [(PHOTOS, "8"), (PHOTOS, "9"), (PHOTOS, "10"), (PHOTOS, None), (PHOTOS, "13")]
    await following.until((PHOTOS, "5"), *changes)
    await following.stop()


async def test_kopf_has_no_task_and_no_memory_for_a_resource(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is for handlers of other sorts, and took more of the processor's time than all else that is done here."""

    async def unwanted(*_: Any, **__: Any) -> None:
        raise AssertionError("kopf handles the event itself")

    monkeypatch.setattr(queueing, "worker", unwanted)
    monkeypatch.setattr(processing, "process_resource_event", unwanted)
    following = Following(server)
    await following.until((PHOTOS, "5"))
    await server.events.put(("MODIFIED", bucket("photos", 8)))
    await following.until((PHOTOS, "5"), (PHOTOS, "8"))
    await following.stop()


async def test_only_named_namespaces_are_asked_for(server: Server) -> None:
    following = Following(server, ["mine"])
    await following.until((PHOTOS, "5"))
    await following.stop()
    asked = {path for _, path in server.requests}
    assert f"{GROUP}/namespaces/mine/buckets" in asked
    assert f"{GROUP}/regions" in asked
    assert f"{GROUP}/buckets" not in asked


async def test_end_by_an_error_of_the_watch_is_told_to_who_runs_it(server: Server) -> None:
    following = Following(server)
    await following.until((PHOTOS, "5"))
    await server.events.put(None)
    with pytest.raises(HandlersEnded, match="the watch of resources ended"):
        async with asyncio.timeout(20):
            await following.task


async def test_kinds_that_are_not_there_end_it(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "_BACK_OFF", (0.01,))
    server.list_status = 404
    following = Following(server)
    with pytest.raises(HandlersEnded):
        async with asyncio.timeout(20):
            await following.task


@pytest.mark.parametrize(
    ("path", "answer", "missing"),
    [
        ("/apis", {"kind": "APIGroupList", "groups": [_group("apiextensions.k8s.io", "v1")]}, "buckets, regions"),
        (GROUP, _resources(("buckets", "Bucket", True)), "regions"),
    ],
)
async def test_kinds_that_discovery_does_not_list_yet_end_it(
    server: Server, path: str, answer: dict[str, Any], missing: str
) -> None:
    """They are served already. kopf would follow the others, and those never."""
    server.discovery[path] = answer
    following = Following(server)
    with pytest.raises(HandlersEnded, match=f"does not list {missing} of cooper.dev yet"):
        async with asyncio.timeout(20):
            await following.task


async def test_credentials_that_cannot_be_read_are_told_at_once(server: Server) -> None:
    async def access() -> Access:
        raise Unavailable("the token is gone")

    handlers = Handlers(PLURALS, None, access, lambda *_: None)  # pyright: ignore[reportArgumentType]
    async with asyncio.timeout(10):
        with pytest.raises(HandlersEnded, match="the token is gone"):
            await handlers.run()


async def test_a_user_without_a_name_follows_as_well(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: Any) -> str:
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr("getpass.getuser", nobody)
    following = Following(server)
    await following.until((PHOTOS, "5"))
    await following.stop()
