"""Records, credentials and events as Kubernetes objects, and back."""

import base64
import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from cooper_crds.kubernetes import (
    CREDENTIALS_DIGEST_ANNOTATION,
    CREDENTIALS_KEY_ANNOTATION,
    CREDENTIALS_LABEL,
    CREDENTIALS_OWNER_LABEL,
    DAMAGED_RECORD_TYPE,
    RECORD_KEY,
    RECORD_LABEL,
    RECORD_TYPE,
    record_name,
    revision_of,
    secret_name,
)
from cooper_crds.names import DNS_SUBDOMAIN, bucket_name_problem, bucket_record_name
from cooper_crds.records import BucketRecord, DomainRecord, KeyRecord, Owner, Record, RegionRecord
from cooper_crds.stored import StoredRecord, content_digest
from cooper_operator.cluster.kubernetes_credentials import (
    credentials_of,
    credentials_owner,
    new_secret,
    secret_patch,
)
from cooper_operator.cluster.kubernetes_events import event_name, new_event, repeat_patch
from cooper_operator.cluster.kubernetes_objects import controller_of, core_path, kind_path, resource_path
from cooper_operator.cluster.kubernetes_records import (
    damaged_copy,
    new_record_secret,
    record_patch,
    record_secret_owner,
    stored_record,
)
from cooper_operator.cluster.port import NotFound, Ref
from cooper_operator.cluster.record_listing import DamagedRecord
from unit.cluster.cluster_harness import API, CREDENTIALS, KEY_ID

OWNER: dict[str, Any] = {
    "apiVersion": API,
    "kind": "AccessKey",
    "metadata": {"name": "photos", "namespace": "default", "uid": "uid-1"},
}
BUCKET: dict[str, Any] = {**OWNER, "kind": "Bucket"}
KEY = KeyRecord("AKIAAAAAAAAAAAAAAAAA", "secret-of-the-key", Owner("default", "photos", "uid-1"), 1)
SYSTEM_KEY = KeyRecord("AKIAAAAAAAAAAAAAAAAB", "secret", Owner("", "cooper-operator", "uid-2"), 0, system=True)
PHOTOS = BucketRecord("photos", "data", Owner("default", "photos", "uid-3"))
SITE = DomainRecord("a.b", "photos", "data", PHOTOS.owner, "local")
LOCAL = RegionRecord("local", "us-east-1")


def as_read(secret: dict[str, Any], version: str = "7") -> dict[str, Any]:
    return {**secret, "metadata": {**secret["metadata"], "resourceVersion": version}}


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396, as an API server does it."""
    if not isinstance(patch, dict):
        return patch
    result: dict[str, Any] = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


# Records


@pytest.mark.parametrize(
    ("name", "record", "owner"),
    [
        ("key-akia", KEY, Ref("AccessKey", "default", "photos")),
        ("key-akib", SYSTEM_KEY, None),
        ("bucket-photos", PHOTOS, Ref("Bucket", "default", "photos")),
        ("bucket-a.-b", PHOTOS, Ref("Bucket", "default", "photos")),
        ("domain-a.b", SITE, Ref("Bucket", "default", "photos")),
        ("region-local", LOCAL, Ref("Region", "", "local")),
    ],
)
def test_record_comes_back(name: str, record: Record, owner: Ref | None) -> None:
    secret = new_record_secret("cooper-system", name, record)
    assert secret["type"] == RECORD_TYPE
    assert secret["metadata"]["labels"] == {RECORD_LABEL: name.partition("-")[0]}
    assert "ownerReferences" not in secret["metadata"]
    assert stored_record(as_read(secret)) == StoredRecord(name, record, "7")
    assert record_secret_owner(secret["metadata"]) == owner


@pytest.mark.parametrize("said", ["", "AccessKey", "AccessKey/default", "Pod/default/a", "AccessKey/a/b/c", "//"])
def test_owner_that_somebody_edited_is_none(said: str) -> None:
    assert record_secret_owner({"annotations": {"cooper.dev/owner": said}}) is None


@pytest.mark.parametrize(
    ("change", "said", "replaceable"),
    [
        ({"data": {RECORD_KEY: base64.b64encode(b"{").decode()}}, "not a record", True),
        ({"data": {RECORD_KEY: "%%%"}}, "base64", True),
        ({"data": {}}, RECORD_KEY, True),
        ({"data": None}, RECORD_KEY, True),
        ({"type": "Opaque"}, "another type", False),
        ({"data": {RECORD_KEY: base64.b64encode(b'{"kind":"key","version":2}').decode()}}, "", False),
    ],
)
def test_damaged_record_says_why(change: dict[str, Any], said: str, replaceable: bool) -> None:
    found = stored_record(as_read(new_record_secret("cooper-system", "key-akia", KEY)) | change)
    assert isinstance(found, DamagedRecord)
    assert said in found.reason
    assert (found.name, found.replaceable) == ("key-akia", replaceable)
    assert "secret-of-the-key" not in found.reason


def test_patch_leaves_nothing_of_what_was_there() -> None:
    damaged = as_read(new_record_secret("cooper-system", "key-akia", KEY)) | {
        "data": {"other": "e30=", RECORD_KEY: "x"}
    }
    del damaged["metadata"]["labels"]
    patched = merged(damaged, record_patch("key-akia", KEY, "7", damaged["data"]))
    assert patched["data"].keys() == {RECORD_KEY}
    assert stored_record(patched) == StoredRecord("key-akia", KEY, "7")
    assert patched["metadata"]["labels"] == {RECORD_LABEL: "key"}


def test_copy_of_a_damaged_record_is_no_record() -> None:
    secret = as_read(new_record_secret("cooper-system", "key-akia", KEY))
    copy = damaged_copy(secret)
    assert copy["type"] == DAMAGED_RECORD_TYPE
    assert "labels" not in copy["metadata"]
    assert copy["data"] == secret["data"]
    assert DNS_SUBDOMAIN.fullmatch(copy["metadata"]["name"])
    assert damaged_copy(secret) == copy
    assert damaged_copy(as_read(secret, "8"))["metadata"]["name"] != copy["metadata"]["name"]


@given(st.text("ab.-", min_size=3, max_size=63).filter(lambda name: bucket_name_problem(name) is None))
def test_every_bucket_name_has_a_name_that_kubernetes_allows(bucket: str) -> None:
    name = bucket_record_name(bucket)
    assert DNS_SUBDOMAIN.fullmatch(secret_name(name))
    assert record_name(secret_name(name)) == name


@pytest.mark.parametrize("name", ["bucket.a.b", "bucket.mfrgg1", "bucket.9", "bucket.me", "key.1", "helm.sh", "photos"])
def test_foreign_name_stays_as_it_is(name: str) -> None:
    assert record_name(name) == name


@pytest.mark.parametrize(
    ("config_map", "revision"),
    [
        ({"data": {"lastWrite": "12"}}, 12),
        ({"data": {"lastWrite": "x"}}, None),
        ({"data": {"lastWrite": "-1"}}, None),
        ({"data": {"lastWrite": "١٢"}}, None),
        ({"data": {}}, None),
        ({"data": None}, None),
        ({}, None),
    ],
)
def test_revision_that_cannot_be_read_is_none(config_map: dict[str, Any], revision: int | None) -> None:
    assert revision_of(config_map) == revision


# Credentials


def test_credentials_come_back_as_ours() -> None:
    found = credentials_of(as_read(new_secret("default", "app", CREDENTIALS, OWNER, KEY_ID)))
    assert (found.namespace, found.name, found.version) == ("default", "app", "7")
    assert dict(found.data) == CREDENTIALS
    assert (found.owner_uid, found.access_key_id) == ("uid-1", KEY_ID)
    assert found.intact


@pytest.mark.parametrize("annotations", [None, {}, {CREDENTIALS_KEY_ANNOTATION: "AKIAOTHER"}])
def test_the_annotation_tells_the_key_and_is_put_right(annotations: dict[str, str] | None) -> None:
    secret = as_read(new_secret("default", "app", {"MY_ID": KEY_ID}, OWNER, KEY_ID))
    secret["metadata"]["annotations"] = annotations
    found = credentials_of(secret)
    assert found.access_key_id == (annotations or {}).get(CREDENTIALS_KEY_ANNOTATION)
    assert credentials_of(merged(secret, secret_patch(found, CREDENTIALS, OWNER, KEY_ID))).access_key_id == KEY_ID


def test_long_name_of_an_owner_fits_into_the_label() -> None:
    owner = {**OWNER, "metadata": {**OWNER["metadata"], "name": "a" * 64}}
    labels = new_secret("default", "app", CREDENTIALS, owner, KEY_ID)["metadata"]["labels"]
    assert labels == {CREDENTIALS_LABEL: "true", CREDENTIALS_OWNER_LABEL: "uid-1"}


@pytest.mark.parametrize("label", [CREDENTIALS_LABEL, CREDENTIALS_OWNER_LABEL])
@pytest.mark.parametrize("to", [None, "other"])
def test_labels_that_somebody_changed_are_noticed_and_put_right(label: str, to: str | None) -> None:
    secret = merged(
        as_read(new_secret("default", "app", CREDENTIALS, OWNER, KEY_ID)), {"metadata": {"labels": {label: to}}}
    )
    found = credentials_of(secret)
    assert found.owner_uid == "uid-1"
    assert not found.intact
    assert credentials_of(merged(secret, secret_patch(found, CREDENTIALS, OWNER, KEY_ID))).intact


def test_patch_gives_exactly_the_content_and_leaves_others_metadata() -> None:
    secret = as_read(new_secret("default", "app", {**CREDENTIALS, "ADDED": "1"}, OWNER, KEY_ID))
    theirs = {"reloader.example.com/match": "true"}
    secret["metadata"]["annotations"] = theirs
    patch = secret_patch(credentials_of(secret), CREDENTIALS, OWNER, KEY_ID)
    assert patch["metadata"]["resourceVersion"] == "7"
    patched = merged(secret, patch)
    assert dict(credentials_of(patched).data) == CREDENTIALS
    marks = {CREDENTIALS_KEY_ANNOTATION: KEY_ID, CREDENTIALS_DIGEST_ANNOTATION: content_digest(CREDENTIALS)}
    assert patched["metadata"]["annotations"] == {**theirs, **marks}
    assert credentials_of(patched).delivered == content_digest(CREDENTIALS)
    assert patched["metadata"]["ownerReferences"] == secret["metadata"]["ownerReferences"]


def test_foreign_secret_is_nobodys_whatever_is_in_it() -> None:
    metadata = {"namespace": "default", "name": "a", "resourceVersion": "1"}
    forged = {CREDENTIALS_KEY_ANNOTATION: KEY_ID}
    secret = {"metadata": {**metadata, "annotations": forged}, "data": {"BIN": "/w=="}}
    found = credentials_of(secret)
    assert (found.owner_uid, found.intact, found.access_key_id) == (None, True, None)
    assert credentials_owner(secret["metadata"]) is None


CONTROLLER = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "name": "web", "uid": "uid-3"}
MANAGED = {"app.kubernetes.io/managed-by": "Helm"}
WHOSE: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({"ownerReferences": None, "labels": None}, ""),
    ({"ownerReferences": [CONTROLLER]}, ""),
    ({"ownerReferences": [{**CONTROLLER, "controller": True}]}, "Certificate web controls it"),
    ({"ownerReferences": [{**CONTROLLER, "controller": True}], "labels": MANAGED}, "Certificate web controls it"),
    ({"ownerReferences": [CONTROLLER], "labels": MANAGED}, "Helm manages it"),
    (
        {
            "ownerReferences": [
                {**CONTROLLER, "controller": True, "kind": "A" * 9999, "name": "\x1b[2Jb\n" + "c" * 9999}
            ]
        },
        rf'"{"A" * 60}..." "\u001b[2Jb\n{"c" * 54}..." controls it',
    ),
]


@pytest.mark.parametrize(("metadata", "said"), WHOSE)
def test_whose_a_secret_is_is_said_in_short_printable_words(metadata: dict[str, Any], said: str) -> None:
    named = {"namespace": "default", "name": "a", "resourceVersion": "1", **metadata}
    assert credentials_of({"metadata": named, "data": {"password": "aHVudGVyMg=="}}).whose == said


@pytest.mark.parametrize(
    "change",
    [
        {"controller": False},
        {"controller": None},
        {"kind": "Bucket"},
        {"apiVersion": "example.com/v1"},
        {"apiVersion": "v1"},
    ],
)
def test_only_a_controlling_access_key_of_ours_makes_it_ours(change: dict[str, Any]) -> None:
    secret = as_read(new_secret("default", "app", CREDENTIALS, OWNER, KEY_ID))
    (reference,) = secret["metadata"]["ownerReferences"]
    assert controller_of(secret["metadata"], "AccessKey") == ("photos", "uid-1")
    assert credentials_owner(secret["metadata"]) == Ref("AccessKey", "default", "photos")
    reference.update(change)
    assert credentials_of(secret).owner_uid is None


@pytest.mark.parametrize(
    "name",
    [
        "../../other/accesskeys/photos",
        "..%2f..%2fother%2faccesskeys%2fphotos",
        "photos?watch=true",
        "photos/status",
        "..",
        "Photos",
        "photos\n",
        "",
    ],
)
def test_an_owner_s_name_that_no_resource_can_have_is_nobody_s(name: str) -> None:
    """An API server takes any text for it."""
    secret = as_read(new_secret("default", "app", CREDENTIALS, OWNER, KEY_ID))
    (reference,) = secret["metadata"]["ownerReferences"]
    reference["name"] = name
    assert controller_of(secret["metadata"], "AccessKey") is None
    assert credentials_owner(secret["metadata"]) is None
    assert credentials_of(secret).owner_uid is None


@pytest.mark.parametrize("name", ["../../other/secrets/a", "a?watch=true", "%2e%2e/a", "a#b", "a b", "a/../../b"])
def test_a_name_stays_one_segment_of_a_path(name: str) -> None:
    for path in (resource_path(Ref("AccessKey", "n", name)), core_path("secrets", "n", name)):
        assert URL("https://host" + path).raw_path.count("/") == path.count("/")
        assert unquote(URL("https://host" + path).raw_path.rpartition("/")[2]) == name
    for path in (kind_path("AccessKey", name), core_path("secrets", name)):
        assert unquote(URL("https://host" + path).raw_path.split("/")[-2]) == name


@pytest.mark.parametrize("name", ["..", ".", ""])
def test_what_is_no_segment_of_a_path_names_nothing(name: str) -> None:
    with pytest.raises(NotFound):
        resource_path(Ref("AccessKey", "n", name))


# Events


def test_event_is_about_the_resource_and_lives_beside_it() -> None:
    event = new_event(BUCKET, "Warning", "NameTaken", "the name is taken", 1_700_000_000.5)
    assert event["metadata"]["namespace"] == "default"
    assert event["involvedObject"] == {"apiVersion": API, "kind": "Bucket", **BUCKET["metadata"]}
    assert (event["count"], event["firstTimestamp"]) == (1, "2023-11-14T22:13:20Z")
    assert event["source"]["component"] == "cooper-operator"


def test_event_about_a_region_lives_in_default() -> None:
    about = {"apiVersion": API, "kind": "Region", "metadata": {"name": "local", "uid": "uid-9"}}
    event = new_event(about, "Normal", "Ready", "it is ready", 0)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["involvedObject"]


def test_same_event_has_the_same_name_and_no_other() -> None:
    first = event_name(BUCKET, "Warning", "NameTaken", "a")
    assert event_name(BUCKET, "Warning", "NameTaken", "a") == first
    assert len({first, event_name(BUCKET, "Normal", "NameTaken", "a"), event_name(BUCKET, "Warning", "X", "a")}) == 3
    for name in ("a" * 253, "a" * 199 + "." + "b" * 53):
        long = {**BUCKET, "metadata": {**BUCKET["metadata"], "name": name}}
        assert DNS_SUBDOMAIN.fullmatch(event_name(long, "Normal", "A", "a"))


def test_message_of_an_event_is_cut_to_what_is_allowed() -> None:
    assert len(new_event(BUCKET, "Normal", "A", "x" * 5000, 0)["message"]) == 1024


def test_repeat_is_counted_at_the_version_that_was_read() -> None:
    event = as_read(json.loads(json.dumps(new_event(BUCKET, "Normal", "A", "a", 0))))
    again = merged(event, repeat_patch(event, 60))
    assert (again["count"], again["lastTimestamp"], again["firstTimestamp"]) == (
        2,
        "1970-01-01T00:01:00Z",
        "1970-01-01T00:00:00Z",
    )
    assert again["metadata"]["resourceVersion"] == "7"
