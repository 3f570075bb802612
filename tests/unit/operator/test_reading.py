"""Resources are read from what an API server holds, which may be more than a manifest can have."""

from typing import Any

import pytest

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.manifest import ManifestError
from cooper_operator.plan.bucket_access_key import owned_access_key
from cooper_operator.plan.snapshot import FINALIZER, is_final, was_recalled
from cooper_operator.reconcile.reading import RelatedUnreadable, read_any, read_related

UID = "0d6bd1f5-9bc6-4d1b-a0a0-8a3c1d7ed2c0"
MANY = range(1100)


def access_key(**metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "cooper.dev/v1alpha1",
        "kind": "AccessKey",
        "metadata": {"name": "photos", "namespace": "team", "uid": "k", "generation": 2, **metadata},
        "spec": {"grants": [{"bucket": "photos"}], "state": "Revoked"},
    }


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {f"note-{number}": "" for number in MANY}},
        {"annotations": {"note": "a" * (256 << 10)}},
        {"labels": {f"label-{number}": "" for number in MANY}},
        {"finalizers": [FINALIZER, *(f"example.com/hold-{number}" for number in MANY)]},
        {"finalizers": [FINALIZER, "a name that some version of Kubernetes takes"]},
        {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": f"u{each}"} for each in MANY]},
        {"ownerReferences": [{"apiVersion": "v1", "kind": "K" * 64, "name": "n" * 254, "uid": "u" * 129}]},
        {
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "K" * 64, "name": "n", "uid": "u" * 129, "controller": True}
            ]
        },
    ],
    ids=str,
)
def test_no_metadata_that_an_api_server_takes_keeps_a_key_from_being_read(metadata: dict[str, Any]) -> None:
    found = read_any(access_key(**metadata))
    assert (found.metadata.name, found.metadata.uid, found.metadata.generation) == ("photos", "k", 2)
    assert (FINALIZER in found.metadata.finalizers) == ("finalizers" in metadata)


def test_what_is_ours_of_the_metadata_is_read() -> None:
    owner = {"apiVersion": "cooper.dev/v1alpha1", "kind": "Bucket", "name": "photos", "uid": UID, "controller": True}
    found = read_any(access_key(ownerReferences=[{**owner, "uid": "other", "controller": False}, owner]))
    bucket = read_any({**access_key(uid=UID), "kind": "Bucket", "spec": {}})
    assert bucket.kind == "Bucket"
    assert found.kind == "AccessKey"
    assert owned_access_key(bucket, found) == found
    final = access_key(deletionTimestamp="2026-01-01T00:00:00Z", annotations={"cooper.dev/deletion": "final"})
    assert is_final(read_any(final).metadata)
    assert was_recalled(read_any(access_key(annotations={"cooper.dev/deletion": "recalled"})).metadata)


def test_a_spec_that_cannot_be_read_is_still_told() -> None:
    with pytest.raises(ManifestError, match=r"spec: must have grants or allBuckets"):
        read_any({**access_key(), "spec": {}})


def test_what_was_read_for_others_is_kept_for_as_long_as_it_is_what_was_seen() -> None:
    seen = access_key()
    found = read_related(seen, AccessKey)
    assert read_related(seen, AccessKey) is found
    assert found is not None
    assert found.spec.state == "Revoked"
    edited = {**seen, "spec": {**seen["spec"], "state": "Active"}}
    assert (read_related(edited, AccessKey) or found).spec.state == "Active"
    with pytest.raises(RelatedUnreadable):
        read_related({**seen, "spec": {}}, AccessKey)
    with pytest.raises(TypeError):
        read_related(edited, Bucket)
    assert read_related(None, AccessKey) is None
