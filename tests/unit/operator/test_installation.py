"""What an installation brings along is made once, and changed when its settings are."""

from typing import Any

import pytest

from cooper_crds.kubernetes import INSTALLED
from cooper_operator.cluster.memory import MemoryCluster
from cooper_operator.cluster.port import Ref
from cooper_operator.installation import Installation, wanted_region

LOCAL = Ref("Region", "", "local")


def region(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "cooper.dev/v1alpha1",
        "kind": "Region",
        "metadata": {"name": "local"},
        "spec": {"tag": "eu-1", "default": True, **spec},
    }


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster(lambda: 1000.0)


async def bring(cluster: MemoryCluster, manifest: dict[str, Any]) -> dict[str, Any]:
    await Installation(manifest).bring(cluster, None, "cooper")  # type: ignore[arg-type]
    found = await cluster.get(LOCAL)
    assert found is not None
    return found


async def test_it_is_made_and_then_left_as_it_is(cluster: MemoryCluster) -> None:
    made = await bring(cluster, region())
    assert made["spec"]["tag"] == "eu-1"
    await cluster.update({**made, "spec": {**made["spec"], "maxRecordAge": "1h"}})
    changed = await bring(cluster, region())
    assert changed["spec"]["maxRecordAge"] == "1h"  # somebody's own change


async def test_it_changes_with_the_settings(cluster: MemoryCluster) -> None:
    made = await bring(cluster, region())
    changed = await bring(cluster, region(endpoints={"internal": "http://s3.cooper"}))
    assert changed["spec"]["endpoints"] == {"internal": "http://s3.cooper"}
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    assert changed["metadata"]["annotations"][INSTALLED] != made["metadata"]["annotations"][INSTALLED]
    assert await bring(cluster, region(endpoints={"internal": "http://s3.cooper"})) == changed


async def test_that_of_somebody_else_is_left_alone(cluster: MemoryCluster) -> None:
    await cluster.apply(region(tag="theirs"))
    assert (await bring(cluster, region()))["spec"]["tag"] == "theirs"


def test_one_that_is_being_deleted_is_left_alone() -> None:
    found = {"metadata": {"annotations": {INSTALLED: "another"}, "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert wanted_region(region(), found) is None
