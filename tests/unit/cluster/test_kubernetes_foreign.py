"""Single foreign Secrets are followed by their names, each in a stream of its own, and not for ever."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cooper_operator.cluster import kubernetes_foreign
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, from_kubeconfig
from cooper_operator.cluster.kubernetes_foreign import ForeignSecrets
from cooper_operator.cluster.port import Ref
from unit.cluster.faulty_api import Script

KEY = Ref("AccessKey", "cooper", "photos")
OTHER = Ref("AccessKey", "cooper", "other")


class Streams:
    """Has a Secret of every name, and an open stream for each that is watched."""

    def __init__(self) -> None:
        self.open: dict[str, web.StreamResponse] = {}
        self.begun: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        name = request.query["fieldSelector"].removeprefix("metadata.name=")
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "7"}, "items": [secret(name)]})
        response = web.StreamResponse()
        await response.prepare(request)
        self.open[name] = response
        self.begun.append(name)
        try:
            await asyncio.Event().wait()
        finally:
            del self.open[name]
        return response

    async def tell(self, kind: str, name: str) -> None:
        await until(lambda: name in self.open)
        await self.open[name].write(json.dumps({"type": kind, "object": secret(name, 8)}).encode() + b"\n")


def secret(name: str, version: int = 5) -> dict[str, Any]:
    return {"metadata": {"namespace": "cooper", "name": name, "resourceVersion": str(version)}}


async def until(check: Any) -> None:
    async with asyncio.timeout(5):
        while not check():
            await asyncio.sleep(0.002)


class World:
    def __init__(self, api: KubernetesApi, streams: Streams) -> None:
        self.streams = streams
        self.told: list[Ref] = []
        self.secrets = ForeignSecrets(api, self.told.append)

    async def watched(self, *names: str) -> None:
        """Wait until exactly these are watched."""
        await until(lambda: sorted(self.streams.open) == sorted(names))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    streams = Streams()
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/cooper/secrets", streams.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    script = Script(tmp_path)
    script.server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    script.write_kubeconfig("token")
    api = KubernetesApi(Connection(from_kubeconfig(script.kubeconfig)))
    world = World(api, streams)
    try:
        yield world
    finally:
        await world.secrets.close()
        await api.close()
        await runner.cleanup()


async def test_the_end_of_a_secret_is_told_and_no_change_of_it(world: World) -> None:
    await world.secrets.follow(KEY, "photos")
    await world.streams.tell("MODIFIED", "photos")
    await world.streams.tell("DELETED", "photos")
    await until(lambda: world.told)
    await world.streams.tell("ADDED", "photos")
    await world.streams.tell("DELETED", "photos")
    await until(lambda: len(world.told) > 1)
    assert world.told == [KEY, KEY]


async def test_who_asks_again_has_one_stream_and_who_asks_for_another_name_has_that(world: World) -> None:
    for name in ("photos", "photos", "pictures"):
        await world.secrets.follow(KEY, name)
        await world.watched(name)
    assert world.streams.begun == ["photos", "pictures"]


async def test_each_who_waits_is_told(world: World) -> None:
    await world.secrets.follow(KEY, "photos")
    await world.secrets.follow(OTHER, "pictures")
    await world.streams.tell("DELETED", "pictures")
    await until(lambda: world.told)
    assert world.told == [OTHER]


async def test_it_lasts_as_long_as_was_said_when_it_was_last_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.secrets.follow(KEY, "photos")
    await world.watched("photos")
    monkeypatch.setattr(kubernetes_foreign, "LASTS", 0.05)
    await world.secrets.follow(KEY, "photos")
    await world.watched()
    assert world.streams.begun == ["photos"]


async def test_there_are_so_many_at_most(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_foreign, "AT_MOST", 1)
    await world.secrets.follow(KEY, "photos")
    await world.secrets.follow(OTHER, "pictures")
    await world.secrets.follow(KEY, "elsewhere")
    await world.watched("elsewhere")
    assert "pictures" not in world.streams.begun


async def test_close_ends_all(world: World) -> None:
    await world.secrets.follow(KEY, "photos")
    await world.secrets.follow(OTHER, "pictures")
    await world.watched("photos", "pictures")
    await world.secrets.close()
    await world.watched()
