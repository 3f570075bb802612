"""A manifest that the API server takes, `cooper up` takes as well, and the other way round."""

from typing import Any

import pytest

from cooper_crds.manifest import ManifestError, parse
from e2e.crds.corpus import CORPUS
from e2e.crds.schemas import fields
from e2e.crds.server import Server

#: Where the two may differ, and why.
MAY_DIFFER = {
    "status": "an API server passes over the status of a new object; without one, what is kept is read the same way",
    "metadata.ownerReferences": "controllers write them, people do not: only what Cooper needs of them is checked",
    "metadata.deletionGracePeriodSeconds": "it belongs to Kubernetes: nobody reads it here",
}


def parsed(manifest: Any) -> bool:
    try:
        parse(manifest)
    except ManifestError:
        return False
    return True


def disagreements(server: Server, kind: str, at: str) -> list[str]:
    found: list[str] = []
    for manifest in CORPUS[kind, at]:
        verdict = server.create(kind, manifest)
        assert verdict.code in (201, 400, 422), verdict
        if verdict.accepted != parsed(manifest):
            found.append(f"{verdict.code} {verdict.message}: {manifest}")
    return found


@pytest.mark.parametrize(("kind", "at"), [key for key in CORPUS if key[1] not in MAY_DIFFER])
def test_the_api_server_and_the_models_agree(server: Server, kind: str, at: str) -> None:
    assert disagreements(server, kind, at) == []


@pytest.mark.parametrize("at", MAY_DIFFER)
def test_where_they_may_differ_they_do(server: Server, at: str) -> None:
    for kind in ("Region", "Bucket", "BucketGrant", "AccessKey"):
        assert disagreements(server, kind, at) != []


def paths_of_values(kind: str) -> set[str]:
    """Fields of a spec that hold one value."""
    return {each.path for each in fields(kind) if each.path.startswith("spec.") and "properties" not in each.node}


def test_the_corpus_has_both_kinds_of_manifests_for_every_field() -> None:
    for (kind, at), manifests in CORPUS.items():
        if at in paths_of_values(kind):
            assert {parsed(each) for each in manifests} == {True, False}, (kind, at)
