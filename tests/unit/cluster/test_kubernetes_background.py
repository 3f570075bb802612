"""What the Kubernetes adapter does by itself: watches, the revision object, events; when the API server fails it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cooper_operator.cluster import kubernetes_following, kubernetes_revision
from cooper_operator.cluster.kubernetes import KubernetesCluster
from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_event_recorder import EventRecorder
from cooper_operator.cluster.kubernetes_records import record_secret_owner
from cooper_operator.cluster.kubernetes_revision import RevisionWriter
from cooper_operator.cluster.kubernetes_watch import OwnerWatch
from cooper_operator.cluster.port import Ref
from unit.cluster.cluster_harness import bucket
from unit.cluster.faulty_api import SECRETS, Script, status

FORBIDDEN = (403, status(403, "Forbidden", "cannot list resource secrets"))
FAILED = (500, status(500, "InternalError", "etcd has no leader"))
EXPIRED = b'{"type":"ERROR","object":{"kind":"Status","reason":"Expired","message":"too old","code":410}}\n'


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    for module in (kubernetes_following, kubernetes_revision):
        monkeypatch.setattr(module, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(kubernetes_revision, "_LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(kubernetes_revision, "_INTERVAL", 0.01)
    return Script(tmp_path)


@pytest.fixture
async def api(script: Script) -> AsyncIterator[KubernetesApi]:
    async with script.serving() as api:
        yield api


# Watches


def secret(name: str, version: int, owner: str | None = None) -> dict[str, Any]:
    annotations = {"cooper.dev/owner": f"AccessKey/default/{owner or name}"} if owner != "" else {}
    return {
        "metadata": {"namespace": "cooper", "name": name, "resourceVersion": str(version), "annotations": annotations}
    }


def listing(version: int, *items: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


def event(kind: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


class Watching:
    """A watch that runs until the script has come to its last answer, which is an empty list for ever."""

    def __init__(self, script: Script, api: KubernetesApi) -> None:
        self.script = script
        self.told: list[str] = []
        of = Collection(SECRETS, "records", metadata_only=True)
        self.watch = OwnerWatch(api, of, record_secret_owner, lambda ref: self.told.append(ref.name))

    async def through(self, *answers: Any) -> list[str]:
        """Run through these answers and begin to wait for another; what was asked."""
        self.script.answers.extend([*answers, (503, b"the script is at its end")])
        task = asyncio.create_task(self.watch.run())
        async with asyncio.timeout(5):
            while len(self.script.asked) <= len(answers):
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [each.removeprefix("GET secrets").strip() or "list" for each in self.script.asked[: len(answers)]]


@pytest.fixture
def watching(script: Script, api: KubernetesApi) -> Watching:
    return Watching(script, api)


async def test_owners_of_what_changes_are_told_and_not_of_what_was_there(watching: Watching) -> None:
    changes = [event("ADDED", secret("b", 8)), event("MODIFIED", secret("a", 9)), event("DELETED", secret("b", 10))]
    asked = await watching.through(listing(7, secret("a", 5)), [*changes, event("BOOKMARK", secret("", 90, "no"))])
    assert watching.told == ["b", "a", "b"]
    assert asked == ["list", "watch 7"]


async def test_both_owners_are_told_when_one_takes_over_and_the_last_when_none_is_left(watching: Watching) -> None:
    changes = [event("MODIFIED", secret("a", 8, "other")), event("MODIFIED", secret("a", 9, ""))]
    await watching.through(listing(7, secret("a", 5)), changes)
    assert watching.told == ["a", "other", "other"]


BROKEN = [event("ADDED", secret("new", 8)), b'{"type":"ADD']


@pytest.mark.parametrize("end", [[event("ADDED", secret("new", 8))], BROKEN, [EXPIRED], FAILED, FORBIDDEN, [b"{}\n"]])
async def test_watch_however_it_ended_lists_anew_and_tells_what_it_missed(watching: Watching, end: Any) -> None:
    before = listing(7, secret("same", 1), secret("changed", 2), secret("gone", 3), secret("given", 4, "giver"))
    after = listing(3, secret("same", 1), secret("changed", 15), secret("new", 8), secret("given", 5, "taker"))
    asked = await watching.through(before, end, after, [])
    assert sorted(set(watching.told)) == ["changed", "giver", "gone", "new", "taker"]
    assert asked == ["list", "watch 7", "list", "watch 3"]


@pytest.mark.parametrize("failure", [FORBIDDEN, FAILED, (200, {"items": [{}]}), (200, b"{")])
async def test_first_list_that_failed_keeps_nobody_waiting_and_the_next_tells_all(
    watching: Watching, failure: Any
) -> None:
    asked = await watching.through(failure, listing(7, secret("a", 5)), [])
    assert watching.told == ["a"]
    assert watching.watch.attempted.is_set()
    assert asked == ["list", "list", "watch 7"]


# The revision object


def config_map(last_write: str, version: int = 1) -> tuple[int, Any]:
    return 200, {"metadata": {"resourceVersion": str(version)}, "data": {"lastWrite": last_write}}


ABSENT = (404, status(404, "NotFound"))
CONFLICT = (409, status(409, "Conflict"))


async def written(script: Script, api: KubernetesApi, *versions: int) -> list[str]:
    """What is asked when records of these versions were written."""
    writer = RevisionWriter(api, "cooper")
    for version in versions:
        writer.wrote(str(version))
    await writer.close()
    return [each.partition(" ")[0] for each in script.asked]


async def test_burst_is_one_write_of_the_highest(script: Script, api: KubernetesApi) -> None:
    script.answers.extend([config_map("3"), config_map("9", 2)])
    assert await written(script, api, 7, 9, 8) == ["GET", "PATCH"]
    assert script.bodies[-1] == {"metadata": {"resourceVersion": "1"}, "data": {"lastWrite": "9"}}


async def test_nothing_is_written_where_more_is_said_already(script: Script, api: KubernetesApi) -> None:
    script.answers.append(config_map("12"))
    assert await written(script, api, 9) == ["GET"]


async def test_absent_one_is_made_and_one_that_cannot_be_read_is_overwritten(
    script: Script, api: KubernetesApi
) -> None:
    script.answers.extend([ABSENT, config_map("9")])
    assert await written(script, api, 9) == ["GET", "POST"]
    script.asked.clear()
    script.answers.clear()
    script.answers.extend([config_map("nonsense"), config_map("9")])
    assert await written(script, api, 9) == ["GET", "PATCH"]


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([config_map("3"), CONFLICT, config_map("20")], ["GET", "PATCH", "GET"]),
        ([config_map("3"), CONFLICT, config_map("4", 2), config_map("9", 3)], ["GET", "PATCH", "GET", "PATCH"]),
        ([config_map("3"), ABSENT, ABSENT, config_map("9")], ["GET", "PATCH", "GET", "POST"]),
        ([ABSENT, (409, status(409, "AlreadyExists")), config_map("9")], ["GET", "POST", "GET"]),
        ([FAILED, config_map("3"), FAILED, config_map("9", 2)], ["GET", "GET", "PATCH", "GET"]),
    ],
)
async def test_other_writers_and_failures_are_overcome(
    script: Script, api: KubernetesApi, answers: list[Any], asked: list[str]
) -> None:
    script.answers.extend(answers)
    assert await written(script, api, 9) == asked


async def test_server_without_the_namespace_is_not_asked_without_end(
    script: Script, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_revision, "_FIRST_PAUSE", 60)
    script.answers.append(ABSENT)
    writer = RevisionWriter(api, "cooper")
    writer.wrote("9")
    async with asyncio.timeout(5):
        while len(script.asked) < 2:
            await asyncio.sleep(0.01)
    await writer.close(0.1)
    assert [each.partition(" ")[0] for each in script.asked] == ["GET", "POST"]


async def test_end_does_not_wait_for_a_server_that_is_away(script: Script, api: KubernetesApi) -> None:
    script.answers.append(FAILED)
    writer = RevisionWriter(api, "cooper")
    writer.wrote("9")
    async with asyncio.timeout(1):
        await writer.close(0.1)


# Events


@pytest.mark.parametrize("answer", [FAILED, FORBIDDEN, (200, b"{"), (409, status(409, "Conflict"))])
async def test_event_that_cannot_be_reported_is_left_out(script: Script, api: KubernetesApi, answer: Any) -> None:
    script.answers.append(answer)
    await EventRecorder(api, lambda: 0.0).emit(bucket(), "Normal", "Ready", "it is ready")
    assert len(script.asked) <= 3


async def test_repeat_costs_one_request(script: Script, api: KubernetesApi) -> None:
    script.answers.extend([(201, {"metadata": {"resourceVersion": "1"}, "count": 1})])
    recorder = EventRecorder(api, lambda: 0.0)
    for _ in range(2):
        await recorder.emit(bucket(), "Normal", "Ready", "it is ready")
    assert [each.partition(" ")[0] for each in script.asked] == ["POST", "PATCH"]
    assert script.bodies[-1]["count"] == 2


async def test_where_thousands_come_at_a_time_what_is_well_is_left_out_and_what_is_wrong_is_not(
    script: Script, api: KubernetesApi, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    recorder = EventRecorder(api, lambda: 0.0, lambda: now)

    async def reported(count: int, type_: str) -> int:
        before = len(script.asked)
        for number in range(count):
            await recorder.emit(bucket(f"b{before}-{number}"), type_, "Ready", "it is as it is")
        return len(script.asked) - before

    script.answers.append((201, {"metadata": {"resourceVersion": "1"}}))
    assert await reported(250, "Normal") == 200
    assert await reported(20, "Warning") == 20
    now += 10
    assert await reported(60, "Normal") == 50
    now += 1000
    with caplog.at_level("INFO"):
        assert await reported(1, "Normal") == 1
    assert "60 events of what is well were left out" in caplog.text


def test_owner_of_a_record_is_read_from_its_metadata() -> None:
    assert record_secret_owner(secret("a", 1)["metadata"]) == Ref("AccessKey", "default", "a")


async def test_what_went_unseen_is_told_by_the_next_list(script: Script, api: KubernetesApi) -> None:
    cluster = KubernetesCluster(api, namespace="cooper")
    told: list[Ref] = []
    cluster.notify = told.append  # pyright: ignore[reportAttributeAccessIssue]
    region = {"kind": "Region", "metadata": {"name": "west", "resourceVersion": "3"}, "spec": {"tag": "w"}}
    script.answers.extend([listing(5, region), listing(9)])
    await cluster.list_kind("Region")
    assert told == []
    assert await cluster.list_kind("Region") == []
    assert told == [Ref("Region", "", "west")]


async def test_a_deletion_that_a_watch_shows_is_remembered_by_uid(api: KubernetesApi) -> None:
    cluster = KubernetesCluster(api)
    obj = bucket("photos")
    metadata = {**obj["metadata"], "uid": "u1", "resourceVersion": "7"}
    ref = Ref("Bucket", "default", "photos")
    cluster.changed(ref, {**obj, "metadata": metadata}, gone=False)
    assert cluster.seen.take_deleted() == []
    cluster.changed(ref, {**obj, "metadata": metadata}, gone=True)
    assert cluster.seen.take_deleted() == ["u1"]


def shown(name: str, controller: str | None, **more: Any) -> dict[str, Any]:
    """Metadata of a Secret, as a list has it that transfers no content."""
    owner = {"apiVersion": "cooper.dev/v1alpha1", "kind": "AccessKey", "name": "app", "uid": controller}
    owners = [{**owner, "controller": True}] if controller else []
    metadata = {"namespace": "default", "name": name, "resourceVersion": "1", "ownerReferences": owners, **more}
    return {"metadata": metadata}


async def test_secrets_that_only_bear_a_label_are_not_read(script: Script, api: KubernetesApi) -> None:
    """Anybody may make as many of a megabyte as there is room for."""
    listed = [shown(f"large-{number}", None) for number in range(300)]
    listed += [shown("held", "uid-1", deletionTimestamp="2026-01-01T00:00:00Z"), shown("others", "uid-2")]
    listed += [shown(f"ours-{number}", "uid-1") for number in range(20)]
    script.answers.append((200, {"metadata": {"resourceVersion": "1"}, "items": listed}))
    script.answers.append((200, shown("ours-0", "uid-1")))
    found = await KubernetesCluster(api).list_credentials("default", "uid-1")
    assert len(found) == 8
    assert script.asked == ["GET secrets", *(f"GET ours-{number}" for number in range(8))]
    assert "PartialObjectMetadataList" in script.accepted[0]
