"""What only a real API server has: labels, owners, terminating namespaces, versions, pages, rights."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cooper_crds.kubernetes import (
    CREDENTIALS_LABEL,
    CREDENTIALS_OWNER_LABEL,
    DAMAGED_RECORD_TYPE,
    RECORD_KEY,
    REVISION_OBJECT,
)
from cooper_crds.records import BucketRecord, KeyRecord, Owner, RecordError, decode
from cooper_operator.cluster.kubernetes import KubernetesCluster
from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, from_kubeconfig
from cooper_operator.cluster.kubernetes_errors import Expired
from cooper_operator.cluster.kubernetes_objects import core_path
from cooper_operator.cluster.port import AlreadyExists, Conflict, Invalid, NotFound, Ref, Unavailable
from e2e.gateway.gate import Gate
from e2e.kubectl import Kubectl
from e2e.operator.harness import KubernetesHarness
from unit.cluster.cluster_harness import CREDENTIALS, KEY_ID, access_key, bucket, eventually, region

KEY = Ref("AccessKey", "default", "photos")


def key_record(number: int = 1) -> KeyRecord:
    owner = Owner("default", "photos", "uid-1")
    return KeyRecord(f"AKIA{number:016d}", "secret-of-the-key", owner, number)


class Told:
    """What a watch tells, from when it began."""

    def __init__(self, refs: AsyncIterator[Ref]) -> None:
        self._count = 0
        self._refs = refs
        self._task = asyncio.create_task(self._collect())

    async def quiet(self) -> None:
        """Wait until nothing more is told, something having been told before."""
        before = 0
        async with asyncio.timeout(10):
            while before != self._count or before == 0:
                before = self._count
                await asyncio.sleep(0.5)

    async def again(self) -> None:
        """Wait until the key is told once more."""
        before = self._count
        async with asyncio.timeout(5):
            while self._count == before:
                await asyncio.sleep(0.01)

    async def _collect(self) -> None:
        async for ref in self._refs:
            self._count += ref == KEY


async def read(harness: KubernetesHarness, what: str, name: str, namespace: str = "default") -> Any:
    return json.loads(await harness.kubectl("-n", namespace, "get", what, name, "-o", "json"))


async def events(harness: KubernetesHarness) -> list[dict[str, Any]]:
    return json.loads(await harness.kubectl("-n", "default", "get", "events", "-o", "json"))["items"]


# Credentials


async def test_secret_is_controlled_by_the_key_and_found_by_its_labels(harness: KubernetesHarness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "app", CREDENTIALS, key, KEY_ID)
    metadata = (await read(harness, "secret", "app"))["metadata"]
    uid = key["metadata"]["uid"]
    assert metadata["labels"] == {CREDENTIALS_LABEL: "photos", CREDENTIALS_OWNER_LABEL: uid}
    (reference,) = metadata["ownerReferences"]
    assert (reference["kind"], reference["uid"], reference["controller"]) == ("AccessKey", uid, True)
    assert {each["manager"] for each in (await managed(harness, "app"))} == {"cooper-operator"}


async def managed(harness: KubernetesHarness, name: str) -> Any:
    shown = await harness.kubectl("-n", "default", "get", "secret", name, "-o", "json", "--show-managed-fields")
    return json.loads(shown)["metadata"]["managedFields"]


@pytest.mark.parametrize("label", [CREDENTIALS_LABEL, CREDENTIALS_OWNER_LABEL])
async def test_label_taken_off_is_told_and_put_back(harness: KubernetesHarness, label: str) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "app", CREDENTIALS, key, KEY_ID)
    told = Told(harness.cluster.watch())
    await told.quiet()
    await asyncio.gather(
        told.again(), harness.kubectl("-n", "default", "label", "secret", "app", f"{label}-", "example.com/mine=1")
    )
    found = await harness.cluster.get_credentials("default", "app")
    assert found
    assert not found.intact
    await harness.cluster.update_credentials(found, CREDENTIALS, key, KEY_ID)
    mended = await harness.cluster.get_credentials("default", "app")
    assert mended
    assert mended.intact
    assert (await read(harness, "secret", "app"))["metadata"]["labels"]["example.com/mine"] == "1"


async def test_secret_without_its_owner_is_no_longer_ours_and_that_is_told(harness: KubernetesHarness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "app", CREDENTIALS, key, KEY_ID)
    told = Told(harness.cluster.watch())
    await told.quiet()
    patch = '{"metadata":{"ownerReferences":null}}'
    await asyncio.gather(
        told.again(), harness.kubectl("-n", "default", "patch", "secret", "app", "--type=merge", "-p", patch)
    )
    found = await harness.cluster.get_credentials("default", "app")
    assert found
    assert found.owner_uid is None


async def test_secret_that_its_tenant_made_immutable_is_refused_in_words(harness: KubernetesHarness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "app", CREDENTIALS, key, KEY_ID)
    await harness.kubectl("-n", "default", "patch", "secret", "app", "-p", '{"immutable":true}')
    found = await harness.cluster.get_credentials("default", "app")
    assert found
    with pytest.raises(Invalid, match="immutable") as refused:
        await harness.cluster.update_credentials(found, {**CREDENTIALS, "SECRET_KEY": "another-secret"}, key, KEY_ID)
    assert "another-secret" not in str(refused.value)
    assert base64.b64encode(b"another-secret").decode() not in str(refused.value)


PLACE = {"BUCKET_HOST": "s3.example.com", "BUCKET_NAME": "photos"}
PARTS = {**CREDENTIALS, **PLACE}


async def test_config_map_beside_a_secret_is_the_keys_and_has_no_secret(harness: KubernetesHarness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "app", PARTS, key, KEY_ID, PLACE.keys())
    secret, config_map = await read(harness, "secret", "app"), await read(harness, "configmap", "app")
    assert secret["data"].keys() == CREDENTIALS.keys()
    assert config_map["data"] == PLACE
    assert config_map["metadata"]["labels"] == secret["metadata"]["labels"]
    assert config_map["metadata"]["ownerReferences"] == secret["metadata"]["ownerReferences"]
    await harness.cluster.delete(KEY, key["metadata"]["uid"])
    await harness.kubectl("-n", "default", "wait", "--for=delete", "configmap/app", "--timeout=30s")


@pytest.mark.parametrize(
    "change",
    [
        ("patch", "configmap", "app", "-p", '{"data":{"BUCKET_HOST":"elsewhere","MORE":"1"}}'),
        ("label", "configmap", "app", f"{CREDENTIALS_LABEL}-"),
        ("delete", "configmap", "app"),
    ],
)
async def test_config_map_that_is_changed_is_told_and_put_back(
    harness: KubernetesHarness, change: tuple[str, ...]
) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "app", PARTS, key, KEY_ID, PLACE.keys())
    told = Told(harness.cluster.watch())
    await told.quiet()
    await asyncio.gather(told.again(), harness.kubectl("-n", "default", *change))
    found = await harness.cluster.get_credentials("default", "app")
    assert found
    assert not (found.intact and dict(found.data) == PARTS)
    await harness.cluster.update_credentials(found, PARTS, key, KEY_ID, PLACE.keys())
    mended = await harness.cluster.get_credentials("default", "app")
    assert mended
    assert (mended.intact, dict(mended.data)) == (True, PARTS)
    assert (await read(harness, "configmap", "app"))["data"] == PLACE


async def test_foreign_config_map_is_left_alone_and_then_nothing_is_written(harness: KubernetesHarness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.kubectl("-n", "default", "create", "configmap", "app", "--from-literal=a=b")
    try:
        with pytest.raises(Invalid, match="ConfigMap default/app is there"):
            await harness.cluster.create_credentials("default", "app", PARTS, key, KEY_ID, PLACE.keys())
        assert await harness.cluster.get_credentials("default", "app") is None
        await harness.cluster.create_credentials("default", "app", CREDENTIALS, key, KEY_ID)
        found = await harness.cluster.get_credentials("default", "app")
        assert found
        with pytest.raises(Invalid, match="ConfigMap default/app is there"):
            await harness.cluster.update_credentials(found, PARTS, key, KEY_ID, PLACE.keys())
        await harness.cluster.delete_credentials(found)
        assert (await read(harness, "configmap", "app"))["data"] == {"a": "b"}
    finally:
        await harness.kubectl("-n", "default", "delete", "configmap", "app")


async def test_update_of_a_secret_that_is_gone_conflicts(harness: KubernetesHarness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "app", CREDENTIALS, key, KEY_ID)
    found = await harness.cluster.get_credentials("default", "app")
    assert found
    await harness.remove_credentials("default", "app")
    with pytest.raises(Conflict):
        await harness.cluster.update_credentials(found, CREDENTIALS, key, KEY_ID)
    await harness.cluster.delete_credentials(found)


# Records


async def test_bucket_name_that_kubernetes_does_not_allow_is_claimed_all_the_same(harness: KubernetesHarness) -> None:
    record = BucketRecord("a.-b", "data", Owner("default", "photos", "uid-2"))
    await harness.cluster.create_record("bucket-a.-b", record)
    with pytest.raises(AlreadyExists):
        await harness.cluster.create_record("bucket-a.-b", record)
    stored = await harness.cluster.get_record("bucket-a.-b")
    assert stored
    assert stored.record == record
    assert [each.name for each in await harness.cluster.list_records()] == ["bucket-a.-b"]
    await harness.cluster.delete_record(await harness.cluster.update_record(stored, record))
    assert await harness.cluster.get_record("bucket-a.-b") is None


async def test_damaged_record_is_kept_beside_and_is_no_record_there(harness: KubernetesHarness) -> None:
    await harness.cluster.create_record("key-a", key_record())
    await harness.damage_record("key-a")
    kept = await harness.cluster.replace_damaged_record("key-a", key_record(2))
    copy = await read(harness, "secret", kept, harness.records)
    assert copy["type"] == DAMAGED_RECORD_TYPE
    assert "labels" not in copy["metadata"]
    assert base64.b64decode(copy["data"][RECORD_KEY]) == b"{"


async def test_replacement_that_was_cut_off_after_the_copy_goes_on(harness: KubernetesHarness) -> None:
    await harness.cluster.create_record("key-a", key_record())
    await harness.damage_record("key-a")
    version = (await read(harness, "secret", "key-a", harness.records))["metadata"]["resourceVersion"]
    kept = f"key-a.damaged-{version}"
    await harness.kubectl("-n", harness.records, "create", "secret", "generic", kept)
    assert await harness.cluster.replace_damaged_record("key-a", key_record(2)) == kept
    assert await harness.cluster.get_record("key-a") is not None


async def test_foreign_secret_of_a_records_name_is_told_and_left_alone(harness: KubernetesHarness) -> None:
    await harness.kubectl("-n", harness.records, "create", "secret", "generic", "bucket-photos")
    with pytest.raises(RecordError, match="another type"):
        await harness.cluster.get_record("bucket-photos")
    with pytest.raises(AlreadyExists):
        await harness.cluster.create_record("bucket-photos", key_record())
    with pytest.raises(Conflict):
        await harness.cluster.replace_damaged_record("bucket-photos", key_record())
    assert await harness.cluster.list_records() == []


async def test_record_without_its_label_is_still_a_record(harness: KubernetesHarness) -> None:
    await harness.cluster.create_record("key-a", key_record())
    await harness.kubectl("-n", harness.records, "label", "secret", "key-a", "cooper.dev/record-")
    assert [each.name for each in await harness.cluster.list_records()] == ["key-a"]


async def test_long_lists_come_whole(harness: KubernetesHarness) -> None:
    names = [f"key-{number:04d}" for number in range(620)]
    await asyncio.gather(*(harness.cluster.create_record(name, key_record()) for name in names))
    calls = harness.api.calls["GET", "secrets"]
    assert [each.name for each in await harness.cluster.list_records()] == names
    assert harness.api.calls["GET", "secrets"] - calls == 2


# What gateways are told


async def last_write(harness: KubernetesHarness) -> int:
    found = await harness.kubectl(
        "-n", harness.records, "get", "configmap", REVISION_OBJECT, "-o", "json", "--ignore-not-found"
    )
    return int(json.loads(found)["data"]["lastWrite"]) if found else -1


async def told_gateways(harness: KubernetesHarness, version: int) -> None:
    async def reached() -> bool:
        return await last_write(harness) >= version

    await eventually(reached)


async def test_gateways_are_told_of_the_latest_write_and_bursts_are_one(harness: KubernetesHarness) -> None:
    made = await asyncio.gather(*(harness.cluster.create_record(f"key-{n}", key_record(n)) for n in range(100)))
    highest = max(int(each.version) for each in made)
    await told_gateways(harness, highest)
    assert await last_write(harness) == highest
    calls = harness.api.calls
    assert calls["PATCH", "configmaps"] + calls["POST", "configmaps"] <= 10
    updated = await harness.cluster.update_record(made[0], key_record(7))
    await told_gateways(harness, int(updated.version))


async def test_what_gateways_were_told_never_goes_back(harness: KubernetesHarness) -> None:
    first = await harness.cluster.create_record("key-a", key_record())
    await told_gateways(harness, int(first.version))
    far = int(first.version) + 1_000_000
    patch = json.dumps({"data": {"lastWrite": str(far)}})
    await harness.kubectl("-n", harness.records, "patch", "configmap", REVISION_OBJECT, "-p", patch)
    await harness.cluster.update_record(first, key_record(2))
    await harness.cluster.close()
    assert await last_write(harness) == far


async def test_listing_tells_gateways_again_when_somebody_removed_it(harness: KubernetesHarness) -> None:
    made = await harness.cluster.create_record("key-a", key_record())
    await told_gateways(harness, int(made.version))
    await harness.kubectl("-n", harness.records, "delete", "configmap", REVISION_OBJECT)
    await harness.cluster.list_records()
    await told_gateways(harness, int(made.version))
    writes = dict(harness.api.calls)
    await harness.cluster.list_records()
    await harness.cluster.close()
    wrote = {call for call, count in harness.api.calls.items() if count != writes.get(call) and call[0] != "GET"}
    assert wrote == set()


# Events


async def test_repeated_event_is_one_with_a_count(harness: KubernetesHarness) -> None:
    made = await harness.cluster.create(bucket())
    for _ in range(3):
        await harness.cluster.emit(made, "Warning", "NameTaken", "the name photos is taken")
    other = KubernetesCluster(harness.api, namespace=harness.records)  # as after a restart
    await other.emit(made, "Warning", "NameTaken", "the name photos is taken")
    (event,) = await events(harness)
    assert (event["reason"], event["count"], event["type"]) == ("NameTaken", 4, "Warning")
    assert event["involvedObject"]["uid"] == made["metadata"]["uid"]
    await harness.kubectl("-n", "default", "delete", "events", "--all")
    await harness.cluster.emit(made, "Warning", "NameTaken", "the name photos is taken")
    (event,) = await events(harness)
    assert event["count"] == 1


async def test_event_about_a_region_is_shown_with_it(harness: KubernetesHarness) -> None:
    made = await harness.cluster.create(region())
    await harness.cluster.emit(made, "Normal", "Ready", "x" * 3000)
    assert "Ready" in await harness.kubectl("describe", "region", "local")


@pytest.fixture
async def terminating(harness: KubernetesHarness) -> AsyncIterator[str]:
    """A namespace that is being deleted, and does not end as long as the test runs."""
    name = f"{harness.records}-t"
    await harness.kubectl("create", "namespace", name)
    await harness.kubectl("-n", name, "create", "configmap", "holds-it")
    hold = ("-n", name, "patch", "configmap", "holds-it", "-p")
    await harness.kubectl(*hold, '{"metadata":{"finalizers":["example.com/test"]}}')
    await harness.cluster.create(bucket(namespace=name))
    await harness.kubectl("delete", "namespace", name, "--wait=false")
    yield name
    await harness.kubectl(*hold, '{"metadata":{"finalizers":null}}')
    await harness.kubectl("wait", "--for=delete", f"namespace/{name}", "--timeout=60s")


async def test_nothing_new_in_a_namespace_that_is_being_deleted(harness: KubernetesHarness, terminating: str) -> None:
    with pytest.raises(Invalid, match="namespace is being deleted"):
        await harness.cluster.create(bucket(name="late", namespace=terminating))
    about = bucket(name="late", namespace=terminating)
    about["metadata"]["uid"] = "uid"
    await harness.cluster.emit(about, "Normal", "Ready", "left out")


async def test_create_in_a_namespace_that_is_not_there_is_not_found(harness: KubernetesHarness) -> None:
    with pytest.raises(NotFound, match="namespaces"):
        await harness.cluster.create(bucket(namespace="not-there"))
    assert await harness.cluster.get(Ref("Bucket", "not-there", "photos")) is None


# Rights, lists and watches


async def test_missing_right_proves_nothing_and_is_named(
    harness: KubernetesHarness, kubectl: Kubectl, kubeconfig: Path, tmp_path: Path
) -> None:
    await harness.cluster.create(bucket())
    token = (await kubectl("-n", "default", "create", "token", "default")).strip()
    content = yaml.safe_load(kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token}
    poor = tmp_path / "kubeconfig"
    poor.write_text(yaml.safe_dump(content))
    cluster = KubernetesCluster(KubernetesApi(Connection(from_kubeconfig(poor))), namespace=harness.records)
    try:
        with pytest.raises(Unavailable, match='cannot get resource "buckets"'):
            await cluster.get(Ref("Bucket", "default", "photos"))
        with pytest.raises(Unavailable, match='cannot list resource "secrets"'):
            await cluster.list_records()
        with pytest.raises(Unavailable, match='cannot create resource "secrets"') as refused:
            await cluster.create_record("key-a", key_record())
        assert "secret-of-the-key" not in str(refused.value)
        await cluster.emit(bucket(), "Normal", "Ready", "left out")
    finally:
        await cluster.close()


async def test_token_that_is_not_accepted_is_named(kubeconfig: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(kubeconfig.read_text())
    content["users"][0]["user"] = {"token": "not-a-token"}
    wrong = tmp_path / "kubeconfig"
    wrong.write_text(yaml.safe_dump(content))
    cluster = KubernetesCluster(KubernetesApi(Connection(from_kubeconfig(wrong))))
    try:
        with pytest.raises(Unavailable, match="does not accept Cooper's own credentials"):
            await cluster.get(KEY)
    finally:
        await cluster.close()


async def test_only_the_named_namespaces_are_listed_and_watched(harness: KubernetesHarness) -> None:
    other = f"{harness.records}-other"
    await harness.kubectl("create", "namespace", other)
    try:
        await harness.cluster.create(bucket())
        await harness.cluster.create(bucket(namespace=other))
        await harness.cluster.create(region())
        cluster = KubernetesCluster(harness.api, namespace=harness.records, namespaces=["default"])
        assert [each["metadata"]["namespace"] for each in await cluster.list_kind("Bucket")] == ["default"]
        assert len(await cluster.list_kind("Region")) == 1
    finally:
        await harness.kubectl("delete", "namespace", other)


async def test_secrets_are_watched_once_however_often_a_watch_is_begun(harness: KubernetesHarness) -> None:
    await harness.cluster.create(access_key())
    for _ in range(3):
        assert await anext(harness.cluster.watch()) == KEY
    assert harness.api.calls["WATCH", "secrets"] == 2  # records, credentials


async def test_watch_goes_on_after_the_api_server_was_cut_off(
    harness: KubernetesHarness, kubeconfig: Path, tmp_path: Path
) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "app", CREDENTIALS, key, KEY_ID)
    with Gate(kubeconfig, tmp_path) as gate:
        cluster = KubernetesCluster(KubernetesApi(Connection(from_kubeconfig(gate.kubeconfig))), namespace="default")
        told = Told(cluster.watch())
        await told.quiet()
        gate.shut()
        with pytest.raises(Unavailable, match="cannot be reached"):
            await cluster.get(KEY)
        await harness.set_credentials("default", "app", {"ACCESS_KEY": "edited"})
        gate.open()
        await told.again()
        assert await cluster.get(KEY) is not None
        await cluster.close()


async def test_old_version_is_expired_and_metadata_has_no_content(harness: KubernetesHarness) -> None:
    stored = await harness.cluster.create_record("key-a", key_record())
    of = Collection(core_path("secrets", harness.records), "records", metadata_only=True)
    (listed,) = (await harness.api.list(of)).items
    assert listed["metadata"]["resourceVersion"] == stored.version
    assert "data" not in listed
    with pytest.raises(Expired):
        async for _ in harness.api.watch(of, "1"):
            pass
    whole = (await harness.api.list(replace(of, metadata_only=False))).items
    assert decode(base64.b64decode(whole[0]["data"][RECORD_KEY])) == key_record()


async def test_what_went_with_our_own_write_is_not_remembered(harness: KubernetesHarness) -> None:
    made = await harness.cluster.create({**bucket(), "metadata": {**bucket()["metadata"], "finalizers": ["a.b/c"]}})
    ref = Ref("Bucket", "default", "photos")
    assert harness.cluster.seen.resource(ref) == made
    await harness.remove(ref)
    going = await harness.cluster.get(ref)
    assert going is not None
    await harness.cluster.update({**going, "metadata": {**going["metadata"], "finalizers": []}})
    assert harness.cluster.seen.resource(ref) is None
