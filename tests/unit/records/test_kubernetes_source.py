"""The source's states, against an API that answers by a script."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from cooper_gateway.records.kubernetes import KubernetesSource, Telling
from cooper_gateway.records.kubernetes_api import Api, Unusable
from cooper_gateway.records.kubernetes_requests import RecordsApi
from cooper_gateway.records.kubernetes_secrets import SecretRecords
from cooper_gateway.records.source import Reading
from cooper_gateway.records.table import record_name
from support.records_fixtures import bucket, key, region
from support.scripted_api import EXPIRED, FORBIDDEN, ScriptedApi, bookmark, event, page, secret

LOG = logging.getLogger("cooper_gateway.test")


class Taken:
    """An intake that remembers what it was given."""

    def __init__(self) -> None:
        self.records: dict[str, object] = {}
        self.readings: list[Reading] = []
        self.verified: list[float] = []
        self.failures: list[str] = []
        self.room = True

    def take(self, reading: Reading) -> bool:
        if not self.room:
            return False
        self.readings.append(reading)
        if reading.complete:
            self.records.clear()
        for name, record in reading.changes.items():
            if record is None:
                self.records.pop(name, None)
            else:
                self.records[name] = record
        if reading.verified_at is not None:
            self.verified.append(reading.verified_at)
        return True

    def failed(self, reason: str) -> None:
        self.failures.append(reason)

    @property
    def relists(self) -> int:
        return sum(reading.complete for reading in self.readings)


class Bench:
    def __init__(self, api: ScriptedApi) -> None:
        self.api = api
        self.taken = Taken()
        self.gauges: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.records = SecretRecords("local")

    @asynccontextmanager
    async def following(self) -> AsyncIterator["Bench"]:
        client = Api(str(self.api.kubeconfig), str(self.api.kubeconfig.parent / "certificates"))
        telling = Telling(self.gauges, self.counts)
        source = KubernetesSource(RecordsApi(client, "cooper"), self.records, self.taken, telling, LOG)
        task = asyncio.create_task(source.follow())
        try:
            yield self
        finally:
            assert not task.done(), task.exception()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.close()

    async def until(self, what: Callable[[], object], seconds: float = 6) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while not what():
            assert asyncio.get_running_loop().time() < deadline, (self.api.asked, self.taken.failures)
            await asyncio.sleep(0.005)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    for name, seconds in {"REVISION_SECONDS": 0.2, "LAG_SECONDS": 0.4, "_SHORTEST_WATCH_SECONDS": 0.1}.items():
        monkeypatch.setattr(f"cooper_gateway.records.kubernetes.{name}", seconds)
    async with ScriptedApi(tmp_path).serving() as api:
        api.put(region())
        api.put(key(1))
        yield Bench(api)


async def test_lists_then_follows_what_happens(bench: Bench) -> None:
    async with bench.following():
        await bench.until(lambda: bench.api.count("watch"))
        assert bench.api.asked[:2] == ["list ", "watch 102"] or bench.api.asked[:3] == [
            "list ",
            "revision",
            "watch 102",
        ]
        bench.api.events.put_nowait(bench.api.put(key(1, state="Revoked")))
        bench.api.events.put_nowait(bench.api.put(bucket()))
        await bench.until(lambda: record_name(bucket()) in bench.taken.records)
        assert bench.taken.records[record_name(key(1))] == key(1, state="Revoked")
        bench.api.events.put_nowait(bench.api.delete(key(1)))
        await bench.until(lambda: record_name(key(1)) not in bench.taken.records)
        assert (bench.records.usable, bench.records.has("region-local"), bench.taken.relists) == (2, True, 1)


async def test_pages_are_one_reading(bench: Bench) -> None:
    one, two = secret(key(1), 5), secret(key(2), 6)

    async def pages(request: web.Request) -> web.Response:
        return page(100, two) if request.query.get("continue") == "t" else page(100, one, token="t")

    bench.api.on_list = pages
    async with bench.following():
        await bench.until(lambda: bench.taken.relists)
        assert set(bench.taken.records) == {record_name(key(1)), record_name(key(2))}
        assert (bench.api.count("list"), bench.taken.relists) == (2, 1)


async def test_pages_that_expire_take_nothing_and_are_begun_anew(bench: Bench) -> None:
    async def expires_once(request: web.Request) -> web.Response:
        if bench.api.count("list") == 2:
            return web.json_response(EXPIRED, status=410)
        return page(100, secret(key(2), 6)) if "continue" in request.query else page(100, secret(key(1), 5), token="t")

    bench.api.on_list = expires_once
    async with bench.following():
        await bench.until(lambda: bench.taken.relists)
        assert bench.api.asked[:4] == ["list ", "list t", "list ", "list t"]
        assert len(bench.taken.records) == 2


async def test_a_watch_that_ends_by_itself_goes_on_where_it_was(bench: Bench) -> None:
    async with bench.following():
        await bench.until(lambda: bench.api.count("watch"))
        bench.api.events.put_nowait(bookmark(250))
        await asyncio.sleep(0.15)  # a watch that ends at once would not be one that ended by itself
        bench.api.events.put_nowait(None)
        await bench.until(lambda: "watch 250" in bench.api.asked)
        assert (bench.taken.relists, bench.counts["records_watch_restarts"]) == (1, 1)


@pytest.mark.parametrize("how", ["event", "status", "cut", "at once", "nonsense", "no version"])
async def test_after_any_other_end_all_are_listed_anew(bench: Bench, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Only that one may be known by how short it was, and that on a machine of any load.
    shortest = 30 if how == "at once" else 0
    monkeypatch.setattr("cooper_gateway.records.kubernetes._SHORTEST_WATCH_SECONDS", shortest)

    async def ends(request: web.Request) -> web.StreamResponse:
        if bench.api.count("watch") > 1:
            return await bench.api._watch(request)
        bench.api.records.clear()
        bench.api.put(key(2))
        if how == "status":
            return web.json_response(EXPIRED, status=410)
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        if how == "event":
            await response.write(event("ERROR", EXPIRED))
        if how == "no version":
            await response.write(event("ADDED", {"metadata": {"name": "key-x", "resourceVersion": "one"}}))
        if how == "nonsense":
            await response.write(b"<html>\n")
        if how == "cut":
            assert request.transport is not None
            request.transport.abort()
        return response

    bench.api.on_watch = ends
    async with bench.following():
        await bench.until(lambda: bench.taken.relists == 2)
        assert set(bench.taken.records) == {record_name(key(2))}
        assert bench.counts["records_relists"] == 2


async def test_a_silent_watch_is_found_out_by_the_revision(bench: Bench) -> None:
    async with bench.following():
        await bench.until(lambda: bench.api.count("revision"))
        bench.api.put(key(1, state="Revoked"))  # and no event comes
        bench.api.last_write = str(bench.api.version)
        await bench.until(lambda: bench.taken.records[record_name(key(1))] == key(1, state="Revoked"))
        assert bench.taken.relists == 2


async def test_an_event_that_is_only_late_proves_the_reading_that_awaited_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cooper_gateway.records.kubernetes.LAG_SECONDS", 30)
    async with bench.following():
        await bench.until(lambda: len(bench.taken.verified) >= 2)
        line = bench.api.put(key(2))
        bench.api.last_write = str(bench.api.version)
        asked = bench.api.count("revision")
        await bench.until(lambda: bench.api.count("revision") > asked)
        await asyncio.sleep(0.1)
        known = len(bench.taken.verified)
        bench.api.events.put_nowait(line)
        await bench.until(lambda: len(bench.taken.verified) > known)
        after_the_list = [reading.changes for reading in bench.taken.readings[1:] if reading.changes]
        assert after_the_list == [{record_name(key(2)): key(2)}]
        assert bench.taken.relists == 1


async def test_an_api_that_never_answers_is_told_and_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cooper_gateway.records.kubernetes_requests._READ_SECONDS", 0.2)

    asked = asyncio.Event()

    async def silent(request: web.Request) -> web.Response:
        asked.set()
        await asyncio.sleep(60)
        raise AssertionError

    async with bench.following():
        await bench.until(lambda: bench.gauges.get("records_api_reachable") == 1)
        bench.api.on_revision = silent
        await asyncio.wait_for(asked.wait(), 6)  # what was answered before has been taken by then
        known = len(bench.taken.verified)
        await bench.until(lambda: bench.taken.failures)
        assert "does not answer" in bench.taken.failures[0]
        assert (len(bench.taken.verified), bench.gauges["records_api_reachable"]) == (known, 0)
        bench.api.on_revision = bench.api._revision
        await bench.until(lambda: bench.gauges["records_api_reachable"] == 1)
        assert len(bench.taken.verified) > known


async def test_missing_rights_are_named(bench: Bench) -> None:
    async def forbidden(request: web.Request) -> web.Response:
        return web.json_response(FORBIDDEN, status=403)

    bench.api.on_list = forbidden
    async with bench.following():
        await bench.until(lambda: bench.taken.failures)
        assert "list secrets in namespace cooper" in bench.taken.failures[0]
        assert 'cannot list resource "secrets"' in bench.taken.failures[0]
        assert bench.taken.readings == []


async def test_a_missing_right_to_watch_is_named(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    async def forbidden(request: web.Request) -> web.Response:
        return web.json_response(FORBIDDEN, status=403)

    bench.api.on_watch = forbidden
    async with bench.following():
        await bench.until(lambda: "watch secrets in namespace cooper" in caplog.text)
        assert bench.taken.relists >= 1


async def test_an_empty_list_of_a_missing_namespace_proves_nothing(bench: Bench) -> None:
    bench.api.records.clear()
    bench.api.namespace_status = 404
    async with bench.following():
        await bench.until(lambda: bench.taken.failures)
        assert "there is no namespace cooper" in bench.taken.failures[0]
        assert bench.taken.readings == []
        bench.api.namespace_status = 200
        await bench.until(lambda: bench.taken.relists)


async def test_clocks_that_differ_are_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    bench.api.clock_ahead = 90.0
    async with bench.following():
        await bench.until(lambda: bench.api.count("revision") >= 2)
        await bench.until(lambda: abs(bench.gauges["records_clock_skew_seconds"] - 90) < 1.5)
        assert caplog.text.count("clock is +90 s") + caplog.text.count("clock is +89 s") == 1
        bench.api.clock_ahead = 0.0
        await bench.until(lambda: "agree again" in caplog.text)


async def test_broken_secrets_are_left_out(bench: Bench) -> None:
    broken = {
        "renamed": ("key-renamed", secret(key(3), 7)["data"]),
        "no data": ("key-empty", None),
        "not base64": ("key-text", {"record.json": "?"}),
        "unknown version": (
            "region-old",
            {"record.json": "eyJraW5kIjoicmVnaW9uIiwibmFtZSI6Im9sZCIsInRhZyI6InQiLCJ2ZXJzaW9uIjo5fQ=="},
        ),
    }
    for name, data in broken.values():
        bench.api.records[name] = {
            **secret(key(3), 7),
            "metadata": {"name": name, "resourceVersion": "7"},
            "data": data,
        }
    async with bench.following():
        await bench.until(lambda: bench.taken.relists)
        reasons = bench.taken.readings[0].broken
        assert set(reasons) == {name for name, _ in broken.values()}
        assert "renamed or copied" in reasons["key-renamed"]
        assert "version 9" in reasons["region-old"]
        assert set(bench.taken.records) == {"region-local", record_name(key(1))}
        assert bench.records.broken == 4
        # A record that was good and is broken now grants nothing any more.
        bad = secret(key(1), bench.api.version + 1, data={"record.json": "e30="})
        bench.api.events.put_nowait(event("MODIFIED", bad))
        await bench.until(lambda: record_name(key(1)) not in bench.taken.records)
        bench.api.events.put_nowait(bench.api.put(key(1)))
        await bench.until(lambda: record_name(key(1)) in bench.taken.records)
        assert [name for reading in bench.taken.readings for name in reading.mended] == [record_name(key(1))]


async def test_names_that_kubernetes_does_not_allow_are_found_too(bench: Bench) -> None:
    odd = bucket("a.-b")
    bench.api.put(odd)
    assert any(name.startswith("bucket.") for name in bench.api.records)
    async with bench.following():
        await bench.until(lambda: bench.taken.records.get("bucket-a.-b") == odd)
        await bench.until(lambda: bench.api.count("watch"))
        bench.api.events.put_nowait(bench.api.delete(odd))
        await bench.until(lambda: "bucket-a.-b" not in bench.taken.records)


async def test_a_revision_of_another_cluster_is_ignored(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.api.last_write = "999999"
    async with bench.following():
        await bench.until(lambda: bench.taken.relists == 2)
        known = len(bench.taken.verified)
        await bench.until(lambda: len(bench.taken.verified) > known)
        assert "has not reached" in caplog.text
        assert bench.taken.relists == 2


async def test_a_table_without_room_is_offered_everything_again(bench: Bench) -> None:
    async with bench.following():
        await bench.until(lambda: bench.api.count("watch"))
        bench.taken.room = False
        bench.api.events.put_nowait(bench.api.put(key(2)))
        await bench.until(lambda: bench.api.count("list") >= 2)
        bench.taken.room = True
        await bench.until(lambda: bench.taken.relists == 2)
        assert record_name(key(2)) in bench.taken.records


@pytest.mark.parametrize("content", [None, "", "{", json.dumps({"current-context": "x"})])
async def test_settings_that_cannot_be_used_are_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Unusable, match=str(path)):
        await Api(str(path), str(tmp_path)).connect()
