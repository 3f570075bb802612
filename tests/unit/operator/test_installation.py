"""What an installation brings along is made once, and changed when its settings are."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cooper_crds.kubernetes import INSTALLED
from cooper_operator.cluster.memory import MemoryCluster
from cooper_operator.cluster.port import Ref
from cooper_operator.installation import Installation, wanted_region
from support.tls import authority

LOCAL = Ref("Region", "", "local")
ONE, OTHER = authority().certificate, authority("another").certificate


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


async def bring(
    cluster: MemoryCluster, manifest: dict[str, Any], told: Callable[[Ref], None] = lambda _: None
) -> dict[str, Any]:
    await Installation(manifest).bring(cluster, None, "cooper", told)  # type: ignore[arg-type]
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


async def test_what_is_written_is_told_since_no_watch_shows_it(cluster: MemoryCluster) -> None:
    told: list[Ref] = []
    for manifest, times in ((region(), 1), (region(), 1), (region(tag="eu-2"), 2), (region(tag="eu-2"), 2)):
        await bring(cluster, manifest, told.append)
        assert told == [LOCAL] * times


async def test_that_of_somebody_else_is_left_alone(cluster: MemoryCluster) -> None:
    await cluster.apply(region(tag="theirs"))
    assert (await bring(cluster, region()))["spec"]["tag"] == "theirs"


def test_one_that_is_being_deleted_is_left_alone() -> None:
    found = {"metadata": {"annotations": {INSTALLED: "another"}, "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert wanted_region(region(), found) is None


def installed(manifest: dict[str, Any], authorities: str = "", **changes: Any) -> dict[str, Any]:
    """What an installation has made of nothing, with somebody's changes."""
    made = wanted_region(manifest, None, authorities)
    assert made is not None
    return {**made, "spec": {**made["spec"], **changes}}


#: The settings, the Region that is there, who is to be trusted, and the caBundle then; None: nothing is written.
TRUSTED: dict[str, tuple[dict[str, Any], dict[str, Any] | None, str, str | None]] = {
    "made": (region(), None, ONE, ONE),
    "made, and nobody is named": (region(), None, "", ""),
    "made, and the settings say it": (region(caBundle=OTHER), None, ONE, OTHER),
    "the same": (region(), installed(region(), ONE), ONE, None),
    "named later": (region(), installed(region()), ONE, ONE),
    "another one": (region(), installed(region(), ONE), OTHER, OTHER),
    "one more": (region(), installed(region(), ONE), OTHER + ONE, OTHER + ONE),
    "somebody trusts others as well": (region(), installed(region(), caBundle=OTHER + ONE), ONE, None),
    "somebody trusts others only": (region(), installed(region(), caBundle=OTHER), ONE, ONE),
    "nobody is named any more": (region(), installed(region(), ONE), "", None),
    "the settings say it": (region(caBundle=OTHER), installed(region(caBundle=OTHER)), ONE, None),
    "other settings": (region(tag="eu-2"), installed(region(), ONE), ONE, ONE),
    "settings without TLS": (region(tag="eu-2"), installed(region(), ONE), "", ""),
}


@pytest.mark.parametrize("case", TRUSTED)
def test_whom_a_region_trusts(case: str) -> None:
    settings, found, authorities, expected = TRUSTED[case]
    wanted = wanted_region(settings, found, authorities)
    assert (None if wanted is None else wanted["spec"].get("caBundle", "")) == expected
    if wanted is not None:
        assert wanted["spec"].items() >= settings["spec"].items()
        assert wanted_region(settings, wanted, authorities) is None


def test_somebody_elses_region_is_not_told_whom_to_trust() -> None:
    assert wanted_region(region(), region(), ONE) is None


async def test_a_certificate_is_followed(cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [ONE, ONE, OTHER + ONE]
    waited: list[float] = []
    told: list[Ref] = []

    class Serving:
        async def authorities(self, *_: Any) -> str:
            return said[len(waited)]

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == len(said):
            raise asyncio.CancelledError

    monkeypatch.setattr("cooper_operator.installation.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await Installation(region(), serving=Serving()).bring(cluster, None, "cooper", told.append)  # type: ignore[arg-type]
    found = await cluster.get(LOCAL)
    assert found is not None
    assert found["spec"]["caBundle"] == OTHER + ONE
    assert found["metadata"]["generation"] == 2
    assert told == [LOCAL, LOCAL]
