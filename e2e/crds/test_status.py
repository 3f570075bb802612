"""The status subresource: spec and status are written apart, and every status that the operator writes is taken."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from cooper_crds.conditions import MAX_MESSAGE
from cooper_crds.manifest import parse
from cooper_operator.cluster.kubernetes import KubernetesCluster
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, from_kubeconfig
from cooper_operator.cluster.port import Ref
from cooper_operator.plan.reasons import REASONS
from e2e.crds import statuses
from e2e.crds.samples import full
from e2e.crds.schemas import DEFINITIONS
from e2e.crds.server import Server
from e2e.crds.statuses import Found

#: Reasons that are told in events only; and one for what the models refuse and the server does not: there is nothing.
NOT_IN_STATUS = {
    "Adopted",
    "CreateRefused",
    "CreatedOverS3",
    "DeleteNotAuthorized",
    "DeletedOverS3",
    "DeletionCalledOff",
    "InvalidResource",
    "KeyReissued",
    "KeyRotated",
    "RecordRebuilt",
    "SecretRewritten",
    "SweepHalted",
}
#: A field of each kind's spec, and another value.
EDITS: dict[str, tuple[str, Any]] = {
    "Region": ("tag", "eu-west-1"),
    "Bucket": ("visibility", "Private"),
    "BucketGrant": ("buckets", ["logs"]),
    "AccessKey": ("state", "Active"),
}


@pytest.fixture(scope="module")
def written() -> dict[str, list[Found]]:
    """The statuses, by where they come from."""
    return {
        "tables": statuses.of_tables(),
        "lives": statuses.of_lives(),
        "longest": [*{json.dumps(each): each for each in statuses.longest()}.values()],
    }


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_who_writes_one_leaves_the_other(server: Server, stored: dict[str, str], kind: str) -> None:
    before = server.get(kind, stored[kind])
    field, value = EDITS[kind]
    edited: dict[str, Any] = {**copy.deepcopy(before), "status": full(kind)["status"]}
    edited["spec"][field] = value
    by_people, by_operator = server.update(edited), server.update_status(edited)
    assert by_people.obj["spec"] == edited["spec"]
    assert by_people.obj.get("status") == before.get("status")
    assert by_people.obj["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert by_operator.obj["spec"] == before["spec"]
    assert by_operator.obj["status"] == edited["status"]
    assert by_operator.obj["metadata"]["generation"] == before["metadata"]["generation"]


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_the_status_of_a_new_object_is_left_out(server: Server, kind: str) -> None:
    assert "status" not in server.create(kind, full(kind)).obj


@pytest.mark.parametrize("source", ["tables", "lives", "longest"])
def test_every_status_of_the_operator_is_taken(
    server: Server, stored: dict[str, str], written: dict[str, list[Found]], source: str
) -> None:
    assert written[source]
    objects = {kind: server.get(kind, name) for kind, name in stored.items()}
    for kind, status in written[source]:
        verdict = server.update_status({**objects[kind], "status": status})
        assert verdict.accepted, (verdict, str(status)[:1000])
        assert verdict.obj["status"] == status


def test_they_have_every_reason_and_the_longest_message(written: dict[str, list[Found]]) -> None:
    conditions = [each for found in written.values() for _, status in found for each in status["conditions"]]
    assert {each["reason"] for each in conditions} == REASONS.keys() - NOT_IN_STATUS
    assert max(len(each["message"]) for each in conditions) == MAX_MESSAGE


async def test_the_longest_are_written_and_read_by_the_operators_adapter(
    kubeconfig: Path, server: Server, stored: dict[str, str], written: dict[str, list[Found]]
) -> None:
    cluster = KubernetesCluster(KubernetesApi(Connection(from_kubeconfig(kubeconfig))), namespace=server.namespace)
    try:
        for kind in ("Region", "Bucket", "BucketGrant", "AccessKey"):
            longest = max((json.dumps(status) for of, status in written["longest"] if of == kind), key=len)
            ref = Ref(kind, "" if kind == "Region" else server.namespace, stored[kind])
            obj = await cluster.get(ref)
            assert obj is not None
            await cluster.update_status({**obj, "status": json.loads(longest)})
            found = await cluster.get(ref)
            assert found is not None
            assert found["status"] == json.loads(longest)
            assert parse(dict(found), strict=False).status is not None
            await cluster.update_status({**found, "status": {}})
    finally:
        await cluster.close()
