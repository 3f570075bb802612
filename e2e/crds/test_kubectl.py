"""What people see of the kinds through kubectl: names, columns and explanations."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cooper_crds.manifest import KINDS
from e2e.crds.samples import full, least
from e2e.crds.schemas import DEFINITIONS, Field, fields
from e2e.crds.server import Server
from e2e.kubectl import Kubectl

AGE = r"\d+[smhd]\d*[smhd]?"
TIME = r"2030-01-31T12:00:00Z"
#: Headers, and a row of what has every field of its spec and status. Those after AGE come with `-o wide`.
TABLES = {
    "Region": (
        ["NAME", "READY", "GATEWAYS", "TAG", "DEFAULT", "ENDPOINT", "AGE"],
        ["REASON"],
        rf"shown False 2/3 us-east-1 false http://s3\.cooper:9000 {AGE} GatewayUnavailable",
    ),
    "Bucket": (
        ["NAME", "READY", "REGION", "VISIBILITY", "OBJECTS", "SIZE", "SECRET", "AGE"],
        ["S3 NAME", "REASON"],
        rf"shown False local Public 1234 1\.5Gi my-secret {AGE} my-photos GatewayUnavailable",
    ),
    "BucketGrant": (
        ["NAME", "READY", "FROM", "BUCKETS", "AGE"],
        ["REASON"],
        rf"shown False films and 2 more photos, logs {AGE} GatewayUnavailable",
    ),
    "AccessKey": (
        ["NAME", "READY", "STATE", "KEY ID", "SECRET", "EXPIRES", "AGE"],
        ["REASON"],
        rf"shown False Active AKIA234567ABCDEFGHIJ my-secret {TIME} {AGE} GatewayUnavailable",
    ),
}
#: Of what nobody has looked at yet.
FRESH = {
    "Region": rf"fresh us-east-1 false {AGE}",
    "Bucket": rf"fresh Private {AGE}",
    "BucketGrant": rf"fresh {AGE}",
    "AccessKey": rf"fresh {AGE}",
}
SHORT = {"Bucket": "bkt", "BucketGrant": "bg", "AccessKey": "ak"}


@pytest.fixture(scope="module")
def shown(server: Server) -> Iterator[dict[str, list[str]]]:
    """Of each kind an object with a status, and one without; their names."""
    prefixes = {kind: f"{server.namespace}-" if kind == "Region" else "" for kind in KINDS}
    for kind, prefix in prefixes.items():
        for name, make in (("shown", full), ("fresh", least)):
            manifest = make(kind)
            manifest["metadata"]["name"] = prefix + name
            made = server.create(kind, manifest, keep=True)
            assert made.accepted, made
            if "status" in manifest:
                assert server.update_status({**made.obj, "status": manifest["status"]}, keep=True).accepted
    names = {kind: [f"{prefix}fresh", f"{prefix}shown"] for kind, prefix in prefixes.items()}
    yield names
    for kind in names:
        for name in names[kind]:
            server.delete(kind, name)


def cells(line: str) -> list[str]:
    """The cells of a line; columns have at least two blanks between them, and names of columns one."""
    return re.split(r"\s{2,}", line.strip())


@pytest.mark.parametrize("wide", [False, True], ids=["", "wide"])
@pytest.mark.parametrize("kind", KINDS)
async def test_columns(kubectl: Kubectl, server: Server, shown: dict[str, list[str]], kind: str, wide: bool) -> None:
    headers, more, row = TABLES[kind]
    output = ["-o", "wide"] if wide else []
    said = await kubectl("get", SHORT.get(kind, kind.lower()), *shown[kind], "-n", server.namespace, *output)
    title, fresh, filled = said.replace(f"{server.namespace}-", "").splitlines()
    assert cells(title) == headers + (more if wide else [])
    assert re.fullmatch(FRESH[kind], " ".join(cells(fresh)))
    assert re.fullmatch(row if wide else row[: row.index(AGE)] + AGE, " ".join(cells(filled)))


async def test_one_name_lists_all_kinds(kubectl: Kubectl, server: Server, shown: dict[str, list[str]]) -> None:
    lines = (await kubectl("get", "cooper", "-A")).splitlines()
    for kind, names in shown.items():
        within = [] if kind == "Region" else [server.namespace]
        for name in names:
            wanted = [*within, f"{kind.lower()}.cooper.dev/{name}"]
            assert any(line.split()[: len(wanted)] == wanted for line in lines), (wanted, lines)


async def test_names(kubectl: Kubectl, installed: None) -> None:
    lines = (await kubectl("api-resources", "--api-group=cooper.dev", "-o", "wide", "--no-headers")).splitlines()
    assert [line.split()[:-2] for line in sorted(lines)] == [
        ["accesskeys", "ak", "cooper.dev/v1alpha1", "true", "AccessKey"],
        ["bucketgrants", "bg", "cooper.dev/v1alpha1", "true", "BucketGrant"],
        ["buckets", "bkt", "cooper.dev/v1alpha1", "true", "Bucket"],
        ["regions", "cooper.dev/v1alpha1", "false", "Region"],
    ]
    verbs = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    for line in lines:
        *_, allowed, category = line.split()
        assert (set(allowed.split(",")), category) == (verbs, "cooper")


def below(field: Field) -> list[str]:
    """Names of the fields of an object, or of the objects in a list."""
    return list(field.node.get("items", field.node).get("properties", ()))


def explained() -> list[Field]:
    """Everything that has fields, but what is in a list and metadata, which is Kubernetes' own."""
    every = [each for kind in DEFINITIONS for each in fields(kind)]
    return [each for each in every if below(each) and each.steps[:1] != ("metadata",) and each.steps[-1:] != (0,)]


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("field", explained(), ids=str)
async def test_every_field_is_explained(kubectl: Kubectl, installed: None, field: Field) -> None:
    path = ".".join([field.kind.lower(), *(str(step) for step in field.steps if step != 0)])
    said = await kubectl("explain", path)
    assert plain(field.node["description"]) in plain(said)
    properties = field.node.get("items", field.node)["properties"]
    for name in below(field):
        if name in ("apiVersion", "kind", "metadata") and not field.steps:
            continue  # described by Kubernetes
        found = re.search(rf"^  {name}\t<.*?>(.*?)(?=^  \S+\t<|\Z)", said, re.MULTILINE | re.DOTALL)
        assert found, (name, said)
        assert properties[name]["description"]
        assert plain(properties[name]["description"]) in plain(found[1])


@pytest.mark.parametrize("kind", KINDS)
async def test_all_fields_at_a_glance(kubectl: Kubectl, installed: None, kind: str) -> None:
    said = await kubectl("explain", kind.lower(), "--recursive")
    for each in fields(kind):
        if each.steps and each.steps[-1] != 0:
            assert re.search(rf"^ +{each.steps[-1]}\t<", said, re.MULTILINE), each


async def test_the_openapi_document_has_every_description(kubectl: Kubectl, installed: None) -> None:
    """It is what editors read."""
    document: dict[str, Any] = json.loads(await kubectl("get", "--raw", "/openapi/v3/apis/cooper.dev/v1alpha1"))
    for kind in DEFINITIONS:
        schema = document["components"]["schemas"][f"dev.cooper.v1alpha1.{kind}"]
        for each in fields(kind):
            if each.node.get("description") and each.steps[:1] in (("spec",), ("status",)):
                node = schema
                for step in each.steps:
                    node = node["items"] if step == 0 else node["properties"][step]
                assert node["description"] == each.node["description"], each
