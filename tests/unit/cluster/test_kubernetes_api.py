"""Requests, lists and watches when the API server is busy, away, restarted, or talks nonsense."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cooper_operator.cluster import kubernetes_api
from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, access, default_loader, from_kubeconfig
from cooper_operator.cluster.kubernetes_errors import Expired
from cooper_operator.cluster.port import ClusterError, Unavailable
from unit.cluster.faulty_api import SECRETS, Script, status

RECORDS = Collection(SECRETS, "all records")
FOUND = (200, {"metadata": {"name": "a"}})


def page(version: int, *names: str, go_on: str = "") -> tuple[int, Any]:
    items = [{"metadata": {"name": name}} for name in names]
    return 200, {"metadata": {"resourceVersion": str(version), "continue": go_on}, "items": items}


@pytest.fixture
async def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.fixture
async def api(script: Script) -> AsyncIterator[KubernetesApi]:
    async with script.serving() as api:
        yield api


async def test_busy_server_is_asked_again(script: Script, api: KubernetesApi) -> None:
    script.headers = {"Retry-After": "0"}
    script.answers.extend([(429, status(429, "TooManyRequests"))] * 3 + [FOUND])
    assert (await api.get(f"{SECRETS}/a", "record a")) == FOUND[1]
    assert script.asked == ["GET a"] * 4
    assert api.calls["GET", "secrets"] == 4


async def test_server_that_stays_busy_is_unavailable(script: Script, api: KubernetesApi) -> None:
    script.headers = {"Retry-After": "0"}
    script.answers.append((429, status(429, "TooManyRequests")))
    with pytest.raises(Unavailable, match="too much to do"):
        await api.create(SECRETS, "record a", {"data": {}})
    assert len(script.asked) == 4


@pytest.mark.parametrize("code", [500, 502, 503, 504])
async def test_failed_write_is_not_sent_twice(script: Script, api: KubernetesApi, code: int) -> None:
    script.answers.append((code, status(code, "InternalError", "etcd has no leader")))
    with pytest.raises(Unavailable, match="no leader"):
        await api.create(SECRETS, "record a", {"data": {}})
    assert script.asked == ["POST secrets"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"<html>welcome to the captive portal</html>"])
async def test_answer_that_is_no_object_is_unavailable(script: Script, api: KubernetesApi, body: bytes) -> None:
    script.answers.append((200, body))
    with pytest.raises(Unavailable, match="not a JSON object"):
        await api.get(f"{SECRETS}/a", "record a")


async def test_server_that_does_not_answer_is_unavailable_in_time(
    script: Script, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_api, "REQUEST_TIMEOUT", 0.1)
    script.answers.append(FOUND)
    script.hold = asyncio.Event()
    with pytest.raises(Unavailable, match="record a: the API server did not answer in time"):
        await api.get(f"{SECRETS}/a", "record a")
    script.hold.set()


async def test_no_more_requests_at_a_time_than_allowed(script: Script) -> None:
    async with script.serving():
        api = KubernetesApi(Connection(from_kubeconfig(script.kubeconfig)), concurrency=3)
        script.answers.append(FOUND)
        script.hold = asyncio.Event()
        asked = [asyncio.create_task(api.get(f"{SECRETS}/a", "record a")) for _ in range(10)]
        while len(script.asked) < 3:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(script.asked) == 3
        script.hold.set()
        await asyncio.gather(*asked)
        assert len(script.asked) == 10
        await api.close()


async def test_credentials_that_were_replaced_are_read_anew(script: Script, api: KubernetesApi) -> None:
    script.answers.extend([(401, status(401, "Unauthorized")), FOUND])
    with pytest.raises(Unavailable, match="credentials"):
        await api.get(f"{SECRETS}/a", "record a")
    script.write_kubeconfig("second")
    await api.get(f"{SECRETS}/a", "record a")
    assert script.tokens == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", "a: b", '{"current-context": "c"}', "clusters: 7\ncurrent-context: c\n", "\0"]
)
async def test_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    api = KubernetesApi(Connection(from_kubeconfig(path)))
    with pytest.raises(Unavailable, match=str(path)):
        await api.get(f"{SECRETS}/a", "record a")


async def test_certificate_that_is_none_is_named(script: Script) -> None:
    async with script.serving() as api:
        content = json.loads(script.kubeconfig.read_text())
        authority = base64.b64encode(b"no certificate").decode()
        content["clusters"][0]["cluster"] = {"server": "https://127.0.0.1:1", "certificate-authority-data": authority}
        script.kubeconfig.write_text(json.dumps(content))
        with pytest.raises(Unavailable, match="certificate for the API server cannot be used"):
            await api.get(f"{SECRETS}/a", "record a")


async def test_token_that_vanished_is_unavailable(script: Script, tmp_path: Path) -> None:
    token = tmp_path / "token"

    async def load(configuration: Any) -> None:
        await from_kubeconfig(script.kubeconfig)(configuration)
        configuration.refresh_api_key_hook = lambda _: token.read_text()  # as a service account's, at each request

    async with script.serving():
        api = KubernetesApi(Connection(load))
        script.answers.append(FOUND)
        token.write_text("t")
        await api.get(f"{SECRETS}/a", "record a")
        token.unlink()
        with pytest.raises(Unavailable, match="token for the API server cannot be read"):
            await api.get(f"{SECRETS}/a", "record a")
        await api.close()


async def test_nobody_listens(tmp_path: Path, script: Script) -> None:
    async with script.serving() as api:
        pass
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        script.kubeconfig.write_text(
            script.kubeconfig.read_text().replace(script.server, f"http://127.0.0.1:{closed.getsockname()[1]}")
        )
        with pytest.raises(Unavailable, match="cannot be reached"):
            await api.get(f"{SECRETS}/a", "record a")
        await api.close()


async def test_outside_of_a_pod_its_service_account_is_told_missing() -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1"}
    with pytest.raises(Unavailable, match="service account"):
        await KubernetesApi(Connection(default_loader(environ))).get(SECRETS, "records")


# Lists


async def test_list_is_all_pages(script: Script, api: KubernetesApi) -> None:
    script.answers.extend([page(7, "a", "b", go_on="x"), page(7, "c")])
    listing = await api.list(RECORDS)
    assert [each["metadata"]["name"] for each in listing.items] == ["a", "b", "c"]
    assert listing.version == "7"
    assert script.asked == ["GET secrets", "GET secrets from x"]


async def test_list_that_expired_half_way_is_begun_anew_and_is_complete(script: Script, api: KubernetesApi) -> None:
    expired = (410, status(410, "Expired", "The provided continue parameter is too old"))
    script.answers.extend([page(7, "a", "b", go_on="x"), expired, page(9, "b", go_on="y"), page(9, "c")])
    assert [each["metadata"]["name"] for each in (await api.list(RECORDS)).items] == ["b", "c"]


@pytest.mark.parametrize("fault", [(410, status(410, "Expired")), (500, b"oops"), (200, b"{")])
async def test_list_is_whole_or_nothing(script: Script, api: KubernetesApi, fault: Any) -> None:
    script.answers.extend([page(7, "a", go_on="x"), fault] * 3)
    with pytest.raises(Unavailable):
        await api.list(RECORDS)


# Watches


async def seen(api: KubernetesApi) -> list[str]:
    return [event["type"] async for event in api.watch(RECORDS, "7")]


async def test_watch_has_every_event_until_the_server_ends_it(script: Script, api: KubernetesApi) -> None:
    script.answers.append([b'{"type":"ADDED","object":{}}\n{"type":"MODI', b'FIED","object":{}}\n'])
    assert await seen(api) == ["ADDED", "MODIFIED"]
    assert script.asked == ["GET secrets watch 7"]


EXPIRED = b'{"type":"ERROR","object":{"kind":"Status","reason":"Expired","message":"too old","code":410}}\n'


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        ([EXPIRED], Expired),
        ((410, status(410, "Expired")), Expired),
        ([b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"oops"}}\n'], Unavailable),
        ([b'{"type":"ERROR"}\n'], Unavailable),
        ([b'{"type":"ADDED","obj'], Unavailable),
        ([b"x" * (5 << 20)], Unavailable),
        ((403, status(403, "Forbidden", "cannot watch resource")), Unavailable),
        ((404, b"404 page not found"), Unavailable),
    ],
)
async def test_watch_that_cannot_go_on(
    script: Script, api: KubernetesApi, answer: Any, raised: type[ClusterError]
) -> None:
    script.answers.append(answer)
    with pytest.raises(Unavailable) as broke:
        await seen(api)
    assert type(broke.value) is raised


async def test_silent_watch_is_a_dead_one(script: Script, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_api, "WATCH_SILENCE", 0.1)
    script.answers.append([])
    script.hold = asyncio.Event()
    with pytest.raises(Unavailable, match="in time"):
        await seen(api)
    script.hold.set()


async def test_a_pods_token_is_known_to_be_one() -> None:
    """The client writes `bearer` there, and `Bearer` for a kubeconfig's."""

    async def load(configuration: Any) -> None:
        configuration.host = "https://10.0.0.1"
        configuration.api_key["BearerToken"] = "bearer the-token"

    assert (await access(load)).token == "the-token"
