"""Plans as tables: from a snapshot to steps, reason and message. Nothing is read, nothing is written."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cooper_crds.access_key import MAX_GRANTS, AccessKey
from cooper_crds.actions import DEFAULT_ACTIONS
from cooper_crds.bucket import Bucket
from cooper_crds.fields import MAX_PREFIXES, timestamp
from cooper_crds.manifest import parse
from cooper_crds.names import access_key_id
from cooper_crds.records import BucketRecord, Grant, KeyRecord, Owner, RegionRecord, encode
from cooper_crds.region import Region
from cooper_crds.rotation import ROTATE_AT, WorkloadName
from cooper_crds.sealing import recipient_of
from cooper_crds.stored import Credentials, StoredRecord, Workload
from cooper_operator.plan import steps as do
from cooper_operator.plan.access_key import plan_access_key
from cooper_operator.plan.bucket import plan_bucket, wanted_record
from cooper_operator.plan.bucket_grant import in_short, plan_bucket_grant
from cooper_operator.plan.delivery import content_mark
from cooper_operator.plan.grants import MAX_BUCKETS, MAX_LETTING, common_prefixes
from cooper_operator.plan.intents import IntentSnapshot, decide
from cooper_operator.plan.keys import NEAR_SERIALS, SERIALS, as_wanted, next_serial
from cooper_operator.plan.plan import Plan
from cooper_operator.plan.region import plan_region, region_record
from cooper_operator.plan.secrets import secret_content
from cooper_operator.plan.snapshot import (
    AccessKeySnapshot,
    Blocked,
    BucketGrantSnapshot,
    BucketSnapshot,
    GatewaysSeen,
    GrantedBucket,
    Left,
    RegionSnapshot,
    SharedBucket,
    Surroundings,
)
from cooper_operator.plan.sweep import Sweep, plan_sweep, suspects
from cooper_operator.plan.wishes import WishSnapshot
from cooper_operator.plan.wishes import decide as decide_wish
from cooper_operator.plan.wishes import manifest as wished_manifest

NOW = 1_800_000_000.0
#: Of S3, which a gateway knows.
S3_CODES = (
    "AccessDenied",
    "KeyAccessRevoked",
    "NotImplemented",
    "InvalidBucketName",
    "BucketAlreadyExists",
    "BucketAlreadyOwnedByYou",
    "TooManyBuckets",
)
BUCKET_UID = "00000000-0000-4000-8000-00000000000b"
KEY_UID = "00000000-0000-4000-8000-00000000000a"
ENDPOINT = "http://127.0.0.1:9000"


def resource(kind: str, name: str, uid: str, spec: dict[str, Any], **more: Any) -> Any:
    metadata: dict[str, Any] = {"name": name, "uid": uid, "generation": 1, "finalizers": ["cooper.dev/finalizer"]}
    if kind != "Region":
        metadata["namespace"] = "default"
    metadata |= more.pop("metadata", {})
    return parse({"apiVersion": "cooper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, **more})


def region(name: str = "local", **spec: Any) -> Region:
    return resource("Region", name, f"uid-{name}", {"tag": "us-east-1", "default": True, **spec})


def bucket(
    deleting: bool = False, status: dict[str, Any] | None = None, annotation: str | None = None, **spec: Any
) -> Bucket:
    metadata: dict[str, Any] = {"deletionTimestamp": timestamp(NOW)} if deleting else {}
    metadata |= {"annotations": {"cooper.dev/deletion": annotation}} if annotation else {}
    return resource("Bucket", "photos", BUCKET_UID, spec, metadata=metadata, **({"status": status} if status else {}))


def own_key(status: dict[str, Any] | None = None, **metadata: Any) -> AccessKey:
    owner = {"apiVersion": "v1", "kind": "Bucket", "name": "photos", "uid": BUCKET_UID, "controller": True}
    spec = {"region": "local", "grants": [{"bucket": "photos"}]}
    more = {"status": status} if status else {}
    return resource("AccessKey", "photos", KEY_UID, spec, metadata={"ownerReferences": [owner], **metadata}, **more)


RECORD = wanted_record(bucket(), "photos", "local")
CLAIM = StoredRecord("bucket-photos", RECORD, "1")
PURGED = StoredRecord("bucket-photos", msgspec.structs.replace(RECORD, deletion_policy="Purge"), "1")


HERE = "uid-of-this-namespace"


def claimed(name: str, namespace: str = "default", *, uid: str = HERE, **fields: Any) -> StoredRecord:
    """The record of the S3 name, of somebody else; `uid` is the namespace's."""
    owner = Owner(namespace, name, "another-uid")
    record = BucketRecord("photos", "d", owner, region="local", namespace_uid=uid, **fields)
    return StoredRecord("bucket-photos", record, "1")


LEFT = claimed("photos", retained=True, access_generation=7)
ELSEWHERE = claimed("photos", "elsewhere", uid="uid-of-another", retained=True)
FREE = Left(absent=True, granted=False)


FOREIGN = StoredRecord("bucket-photos", BucketRecord("photos", "d", Owner("elsewhere", "x", "other")), "1")
REGION = region()
REGION_RECORD = region_record(REGION)
AROUND = Surroundings((REGION,), None, ENDPOINT)


def bucket_snapshot(**fields: Any) -> BucketSnapshot:
    snapshot = BucketSnapshot(bucket(), AROUND, CLAIM, CLAIM, None, NOW)
    if "bucket" in fields and fields["bucket"].spec.deletion_policy == "Purge":
        snapshot = replace(snapshot, owned=PURGED, claim=PURGED)  # as it was noted before the deletion
    return replace(snapshot, **fields)


def names(plan: Plan[Any]) -> list[str]:
    return [type(step).__name__ for step in plan.steps]


def said(plan: Plan[Any], type_: str = "Ready") -> tuple[str, str, str]:
    assert plan.status is not None
    found = next(each for each in plan.status.conditions if each.type == type_)
    return found.status, found.reason, found.message


def condition(type_: str, status: str, generation: int = 1) -> dict[str, Any]:
    return {
        "type": type_,
        "status": status,
        "reason": "X",
        "message": "",
        "lastTransitionTime": timestamp(NOW - 100),
        "observedGeneration": generation,
    }


FRESH = {"claim": None, "owned": None}


def letting(namespace: str) -> Surroundings:
    """A Region that names this namespace for what is retained under the S3 name `photos`."""
    lets = [{"bucketName": "photos", "namespace": namespace}]
    return Surroundings((region(adoptions=lets),), None, ENDPOINT)


NO_REGION = Surroundings((), None, ENDPOINT)

BUCKETS = {
    "new": (FRESH, ["CreateRecord", "CreateAccessKey"], "WaitingForAccessKey", "is being made"),
    "without finalizer": (
        {**FRESH, "bucket": resource("Bucket", "photos", BUCKET_UID, {}, metadata={"finalizers": []})},
        ["AddFinalizer", "CreateRecord", "CreateAccessKey"],
        "WaitingForAccessKey",
        "is being made",
    ),
    "no region": (
        {**FRESH, "around": NO_REGION},
        [],
        "RegionNotFound",
        "there is none: make one, such as {apiVersion: ",
    ),
    "no default region": (
        {**FRESH, "around": Surroundings((region(default=False),), None, ENDPOINT)},
        [],
        "RegionNotFound",
        "no Region is marked as the default. Create the Region",
    ),
    "named region missing": (
        {**FRESH, "around": NO_REGION, "bucket": bucket(region="east")},
        [],
        "RegionNotFound",
        "there is no Region east",
    ),
    "two defaults": (
        {**FRESH, "around": Surroundings((REGION, region("west")), None, ENDPOINT)},
        [],
        "DefaultRegionAmbiguous",
        "local, west",
    ),
    "invalid name": (
        {**FRESH, "around": Surroundings((region(bucketNameTemplate="-{name}"),), None, ENDPOINT)},
        [],
        "InvalidBucketName",
        "'-photos'",
    ),
    "taken by a Bucket of this namespace": (
        {"claim": claimed("other"), "owned": None, "namespace_uid": HERE},
        [],
        "NameTaken",
        "the S3 name photos belongs to Bucket other of this namespace. Choose another",
    ),
    "taken by retained data": (
        {"claim": LEFT, "owned": None, "namespace_uid": HERE},
        [],
        "NameTaken",
        "holds the retained data of the former Bucket photos of this namespace, which spec.adopt true takes over",
    ),
    "taken by a Bucket of the same name that was before": (
        {"claim": claimed("photos"), "owned": None, "namespace_uid": HERE},
        [],
        "NameTaken",
        "the S3 name photos belongs to the former Bucket photos of this namespace. Choose another",
    ),
    "taken by retained data elsewhere": (
        {"claim": ELSEWHERE, "owned": None, "namespace_uid": HERE},
        [],
        "NameTaken",
        "the S3 name photos belongs to another namespace. Choose another",
    ),
    "adopts what is left": (
        {"claim": LEFT, "owned": None, "namespace_uid": HERE, "left": FREE, "bucket": bucket(adopt=True)},
        ["ReopenBucket", "AdoptBucket", "CreateAccessKey"],
        "WaitingForAccessKey",
        "is being made",
    ),
    "adopts, gateway away": (
        {
            "claim": LEFT,
            "owned": None,
            "namespace_uid": HERE,
            "left": FREE,
            "bucket": bucket(adopt=True),
            "blocked": Blocked(do.ReopenBucket, "unavailable", "nobody answers"),
        },
        [],
        "GatewayUnavailable",
        "the data that was retained may be closed: nobody answers",
    ),
    "adopts, and nothing is there": (
        {**FRESH, "namespace_uid": HERE, "bucket": bucket(adopt=True)},
        ["CreateRecord", "CreateAccessKey"],
        "WaitingForAccessKey",
        "is being made",
    ),
    "adopts, and the former Bucket is still there": (
        {"claim": LEFT, "owned": None, "namespace_uid": HERE, "left": Left(False, False), "bucket": bucket(adopt=True)},
        [],
        "WaitingToAdopt",
        "is not free yet",
    ),
    "adopts, and a key is still granted something": (
        {"claim": LEFT, "owned": None, "namespace_uid": HERE, "left": Left(True, True), "bucket": bucket(adopt=True)},
        [],
        "WaitingToAdopt",
        "is not free yet",
    ),
    "adopts what lies in another Region": (
        {
            "owned": None,
            "namespace_uid": HERE,
            "left": FREE,
            "bucket": bucket(adopt=True),
            "claim": StoredRecord("bucket-photos", msgspec.structs.replace(LEFT.record, region="west"), "1"),
        },
        [],
        "RegionChanged",
        "lies in Region west",
    ),
    "adopts what a sweep may still remove": (
        {
            "owned": None,
            "namespace_uid": HERE,
            "left": FREE,
            "bucket": bucket(adopt=True),
            "claim": claimed("photos", retained=True, deletion_policy="Delete"),
        },
        [],
        "NameTaken",
        "belongs to the former Bucket photos of this namespace",
    ),
    "adopts what is in use": (
        {
            "owned": None,
            "namespace_uid": HERE,
            "left": FREE,
            "bucket": bucket(adopt=True),
            "claim": claimed("other"),
        },
        [],
        "NameTaken",
        "belongs to Bucket other of this namespace",
    ),
    "adopts what is of another namespace": (
        {"claim": ELSEWHERE, "owned": None, "namespace_uid": HERE, "left": FREE, "bucket": bucket(adopt=True)},
        [],
        "NameTaken",
        "the S3 name photos belongs to another namespace. Choose another",
    ),
    "adopts what is of a former namespace of this name": (
        {"claim": LEFT, "owned": None, "namespace_uid": "uid-anew", "left": FREE, "bucket": bucket(adopt=True)},
        [],
        "NameTaken",
        "the S3 name photos belongs to another namespace. Choose another",
    ),
    "adopts what no namespace is noted for": (
        {
            "owned": None,
            "namespace_uid": "",
            "left": FREE,
            "bucket": bucket(adopt=True),
            "claim": claimed("photos", uid="", retained=True),
        },
        [],
        "NameTaken",
        "the S3 name photos belongs to another namespace. Choose another",
    ),
    "adopts what the Region names": (
        {
            "claim": ELSEWHERE,
            "owned": None,
            "namespace_uid": HERE,
            "left": FREE,
            "bucket": bucket(adopt=True),
            "around": letting("default"),
        },
        ["ReopenBucket", "AdoptBucket", "CreateAccessKey"],
        "WaitingForAccessKey",
        "is being made",
    ),
    "adopts what the Region names for others": (
        {
            "claim": ELSEWHERE,
            "owned": None,
            "namespace_uid": HERE,
            "left": FREE,
            "bucket": bucket(adopt=True),
            "around": letting("third"),
        },
        [],
        "NameTaken",
        "the S3 name photos belongs to another namespace. Choose another",
    ),
    "adopted, and its record is gone": (
        {**FRESH, "bucket": bucket(status={"adopted": {"at": timestamp(NOW), "dataId": "d"}})},
        [],
        "RecordMissing",
        "the record of the bucket photos, whose data was taken over, is gone",
    ),
    "recalled": (
        {"bucket": bucket(annotation="recalled")},
        ["ReopenBucket", "EndRecall", "CreateAccessKey"],
        "WaitingForAccessKey",
        "is being made",
    ),
    "recalled, gateway away": (
        {"bucket": bucket(annotation="recalled"), "blocked": Blocked(do.ReopenBucket, "unavailable", "nobody answers")},
        [],
        "GatewayUnavailable",
        "the deletion was called off; the bucket may still be closed: nobody answers",
    ),
    "recalled, retained already": (
        {
            "bucket": bucket(annotation="recalled"),
            "owned": StoredRecord("bucket-photos", msgspec.structs.replace(RECORD, retained=True), "1"),
        },
        ["UpdateRecord", "ReopenBucket", "EndRecall", "CreateAccessKey"],
        "WaitingForAccessKey",
        "is being made",
    ),
    "recalled, its key still going": (
        {"bucket": bucket(annotation="recalled"), "access_key": own_key(deletionTimestamp=timestamp(NOW))},
        ["ReopenBucket", "EndRecall"],
        "WaitingForAccessKey",
        "is being deleted; a new one follows",
    ),
    "recalled, no region": (
        {"bucket": bucket(annotation="recalled"), "around": NO_REGION},
        [],
        "RegionNotFound",
        "no Region",
    ),
    "recalled and deleted again": (
        {"bucket": bucket(deleting=True, annotation="recalled")},
        ["CloseBucket", "MakeDeletionFinal", "DestroyBucket", "DeleteRecord", "RemoveFinalizer"],
        None,
        "",
    ),
    "deleted, final": (
        {"bucket": bucket(deleting=True, annotation="final")},
        ["CloseBucket", "DestroyBucket", "DeleteRecord", "RemoveFinalizer"],
        None,
        "",
    ),
    "taken": (
        {"claim": FOREIGN, "owned": None},
        [],
        "NameTaken",
        "the S3 name photos belongs to another namespace. Choose another spec.bucketName.",
    ),
    "record drifted": (
        {"owned": StoredRecord("bucket-photos", msgspec.structs.replace(RECORD, visibility="Public"), "1")},
        ["UpdateRecord", "CreateAccessKey"],
        "WaitingForAccessKey",
        "is being made",
    ),
    "no credentials wanted": ({"bucket": bucket(credentials={"enabled": False})}, [], "BucketServed", "is there"),
    "credentials no longer wanted": (
        {"bucket": bucket(credentials={"enabled": False}), "access_key": own_key()},
        ["DeleteAccessKey"],
        "BucketServed",
        "is there",
    ),
    "foreign access key": (
        {"access_key": resource("AccessKey", "photos", KEY_UID, {"grants": [{"bucket": "x"}]})},
        [],
        "AccessKeyConflict",
        "is not this Bucket's",
    ),
    "access key refused": (
        {"blocked": Blocked(do.CreateAccessKey, "refused", "forbidden here")},
        [],
        "AccessKeyRefused",
        "forbidden here",
    ),
    "actions changed": (
        {"bucket": bucket(credentials={"actions": ["s3:GetObject"]}), "access_key": own_key()},
        ["UpdateAccessKey"],
        "WaitingForAccessKey",
        "is being changed",
    ),
    "credentials for some networks": (
        {"bucket": bucket(credentials={"allowedNetworks": ["10.0.0.0/8"]}), "access_key": own_key()},
        ["UpdateAccessKey"],
        "WaitingForAccessKey",
        "is being changed",
    ),
    "credentials in other profiles": (
        {"bucket": bucket(credentials={"secretProfiles": ["AWS"]}), "access_key": own_key()},
        ["UpdateAccessKey"],
        "WaitingForAccessKey",
        "is being changed",
    ),
    "credentials under own keys": (
        {"bucket": bucket(credentials={"secretKeys": {"region": "MY_REGION"}}), "access_key": own_key()},
        ["UpdateAccessKey"],
        "WaitingForAccessKey",
        "is being changed",
    ),
    "credentials that ask for what there is anyway": (
        {
            "bucket": bucket(credentials={"secretProfiles": ["Cooper"], "secretKeys": {}}),
            "access_key": own_key(),
        },
        [],
        "WaitingForAccessKey",
        "AccessKey photos is being made",
    ),
    "access key just made": ({"access_key": own_key()}, [], "WaitingForAccessKey", "AccessKey photos is being made"),
    "access key just changed": (
        {"access_key": own_key(status={"conditions": [condition("Ready", "True", generation=0)]})},
        [],
        "WaitingForAccessKey",
        "AccessKey photos is being changed",
    ),
    "name changed": ({"bucket": bucket(bucketName="other")}, [], "BucketNameChanged", "as photos"),
    "region changed": (
        {"bucket": bucket(region="west", status={"region": "local"})},
        [],
        "RegionChanged",
        "lies in Region local",
    ),
    "deleted, never provisioned": ({**FRESH, "bucket": bucket(deleting=True)}, ["RemoveFinalizer"], None, ""),
    "deleted": (
        {"bucket": bucket(deleting=True)},
        ["CloseBucket", "MakeDeletionFinal", "DestroyBucket", "DeleteRecord", "RemoveFinalizer"],
        None,
        "",
    ),
    "deleted with a key": (
        {"bucket": bucket(deleting=True), "access_key": own_key()},
        ["CloseBucket", "DeleteAccessKey"],
        "Deleting",
        "waiting until AccessKey photos is revoked",
    ),
    "deleted, key going": (
        {"bucket": bucket(deleting=True), "access_key": own_key(deletionTimestamp=timestamp(NOW))},
        ["CloseBucket"],
        "Deleting",
        "waiting until AccessKey photos is revoked",
    ),
    "deleted, not empty": (
        {
            "bucket": bucket(deleting=True),
            "access_key": own_key(),
            "blocked": Blocked(do.CloseBucket, "not-empty", objects=1),
        },
        [],
        "BucketNotEmpty",
        "holds 1 object. Delete the bucket's objects",
    ),
    "deleted, gateway away": (
        {"bucket": bucket(deleting=True), "blocked": Blocked(do.CloseBucket, "unavailable", "nobody answers")},
        [],
        "GatewayUnavailable",
        "nobody answers",
    ),
    "purged": (
        {"bucket": bucket(deleting=True, deletionPolicy="Purge")},
        ["CloseBucket", "MakeDeletionFinal", "PurgeBucket", "DestroyBucket", "DeleteRecord", "RemoveFinalizer"],
        None,
        "",
    ),
    "purged with a key": (
        {"bucket": bucket(deleting=True, deletionPolicy="Purge"), "access_key": own_key()},
        ["CloseBucket", "DeleteAccessKey"],
        "Deleting",
        "waiting until AccessKey photos is revoked",
    ),
    "purged, and it goes on": (
        {
            "bucket": bucket(deleting=True, annotation="final", deletionPolicy="Purge"),
            "blocked": Blocked(do.PurgeBucket, "purging", objects=3, objects_before=10),
        },
        [],
        "Purging",
        "3 of 10 objects are left to be removed",
    ),
    "purged, and uploads are left": (
        {
            "bucket": bucket(deleting=True, annotation="final", deletionPolicy="Purge"),
            "blocked": Blocked(do.PurgeBucket, "purging", objects=0, objects_before=0),
        },
        [],
        "Purging",
        "uploads that were never completed",
    ),
    "purged, gateway away": (
        {
            "bucket": bucket(
                deleting=True,
                annotation="final",
                deletionPolicy="Purge",
                status={"purge": {"objectsDone": 3, "objectsTotal": 10}},
            ),
            "blocked": Blocked(do.PurgeBucket, "unavailable", "nobody answers"),
        },
        [],
        "GatewayUnavailable",
        "nobody answers",
    ),
    "purged, its record not there": (
        {"bucket": bucket(deleting=True, deletionPolicy="Purge"), "owned": None},
        ["RemoveFinalizer"],
        None,
        "",
    ),
    "deleted, retain": (
        {"bucket": bucket(deleting=True, deletionPolicy="Retain")},
        ["UpdateRecord", "RemoveFinalizer"],
        None,
        "",
    ),
    "deleted, region gone, its record there": (
        {"bucket": bucket(deleting=True), "around": Surroundings((), REGION_RECORD, ENDPOINT)},
        ["CloseBucket", "MakeDeletionFinal", "DestroyBucket", "DeleteRecord", "RemoveFinalizer"],
        None,
        "",
    ),
    "deleted, region and record gone": (
        {"bucket": bucket(deleting=True), "around": NO_REGION},
        [],
        "RegionNotFound",
        "the bucket's data cannot be deleted: there is no Region local; with spec.deletionPolicy Retain the Bucket "
        "goes and its data stays",
    ),
    "deleted, region gone, its record there, and no gateway answers": (
        {
            "bucket": bucket(deleting=True),
            "around": Surroundings((), REGION_RECORD, ENDPOINT),
            "blocked": Blocked(do.CloseBucket, "unavailable", "no gateway answers"),
        },
        [],
        "GatewayUnavailable",
        "deletion waits: no gateway answers; Region local is not there any more; with spec.deletionPolicy Retain the "
        "Bucket goes and its data stays",
    ),
}


def test_a_deletion_that_waits_for_gateways_of_a_region_that_is_there_names_no_way_out() -> None:
    blocked = Blocked(do.CloseBucket, "unavailable", "no gateway answers")
    plan = plan_bucket(bucket_snapshot(bucket=bucket(deleting=True), blocked=blocked))
    _, reason, message = said(plan)
    assert reason == "GatewayUnavailable"
    assert message.startswith("deletion waits: no gateway answers. ")
    assert "Retain" not in message


@pytest.mark.parametrize("case", BUCKETS)
def test_bucket(case: str) -> None:
    fields, steps, reason, message = BUCKETS[case]
    plan = plan_bucket(bucket_snapshot(**fields))
    assert names(plan) == steps
    if reason is None:
        assert plan.status is None
    else:
        status, found, text = said(plan)
        assert (found, status) == (reason, "True" if reason == "BucketServed" else "False")
        assert message in text


KEY_READY = {"secretName": "photos", "conditions": [condition("Ready", "True")]}
#: The AccessKey of a Bucket whose deletion waits for its objects; how it is said to stand, and what is said of the key.
WHILE_IT_WAITS = {
    "works": ({"access_key": own_key(status=KEY_READY)}, ("True", "CredentialsWork"), "holds 2 objects. ", "photos"),
    "going": (
        {"access_key": own_key(status=KEY_READY, deletionTimestamp=timestamp(NOW))},
        ("False", "Deleting"),
        "holds 2 objects, and its own key is revoked. ",
        None,
    ),
    "gone": ({}, ("False", "Deleting"), "holds 2 objects, and its own key is revoked. ", None),
    "another's": (
        {"access_key": resource("AccessKey", "photos", KEY_UID, {"grants": [{"bucket": "x"}]})},
        ("False", "AccessKeyConflict"),
        "holds 2 objects. ",
        None,
    ),
    "never wanted": (
        {"bucket": bucket(deleting=True, credentials={"enabled": False})},
        ("False", "CredentialsDisabled"),
        "holds 2 objects. ",
        None,
    ),
}


@pytest.mark.parametrize("case", WHILE_IT_WAITS)
def test_a_deletion_that_waits_says_how_the_key_stands(case: str) -> None:
    fields, credentials, message, secret = WHILE_IT_WAITS[case]
    before = {"bucketName": "photos", "binding": {"name": "photos"}}
    blocked = Blocked(do.CloseBucket, "not-empty", objects=2)
    fields = {"bucket": bucket(deleting=True, status=before), "blocked": blocked, **fields}
    plan = plan_bucket(bucket_snapshot(**fields))
    assert plan.steps == ()
    assert plan.status is not None
    assert said(plan)[:2] == ("False", "BucketNotEmpty")
    assert message in said(plan)[2]
    assert said(plan, "CredentialsReady")[:2] == credentials
    assert (plan.status.binding.name if plan.status.binding else None) == secret


# API access. A key that reaches the bucket is there; status may say that its present state was proven.

SERVED = condition("Revoked", "False") | {"reason": "ApiAccessAllowed"}
CLOSED = condition("Revoked", "True") | {"reason": "ApiAccessRevoked"}
SHUT = StoredRecord("bucket-photos", msgspec.structs.replace(RECORD, api_access="Revoked"), "1")
REACHES = StoredRecord("key-0", KeyRecord("AKIA2", "s" * 40, Owner("default", "x", "u"), 0), "1")
NO_CREDENTIALS = {"credentials": {"enabled": False}}
DETAIL = "worker 1 of 10.0.0.1:9000"
API_ACCESS = {
    "allowed, nobody to ask with": ("Allowed", {"key": None}, [], ("False", "ApiAccessAllowed"), "BucketServed"),
    "allowed, not proven": ("Allowed", {}, ["ProveApiAccess"], ("False", "ApiAccessAllowed"), "BucketServed"),
    "allowed, proven": ("Allowed", {"said": SERVED}, [], ("False", "ApiAccessAllowed"), "BucketServed"),
    "allowed, proven for an earlier generation": (
        "Allowed",
        {"said": SERVED | {"observedGeneration": 0}},
        ["ProveApiAccess"],
        ("False", "ApiAccessAllowed"),
        "BucketServed",
    ),
    "allowed again": ("Allowed", {"said": CLOSED}, ["ProveApiAccess"], ("False", "ApiAccessAllowed"), "BucketServed"),
    "allowed again, a worker refuses still": (
        "Allowed",
        {"said": CLOSED, "blocked": Blocked(do.ProveApiAccess, "incomplete", DETAIL)},
        [],
        ("False", "WaitingForGateways"),
        "WaitingForGateways",
    ),
    "revoked, nobody to ask with": (
        "Revoked",
        {"key": None, "said": SERVED},
        [],
        ("Unknown", "NoKeyToAskWith"),
        "ApiAccessRevoked",
    ),
    "revoked, proven, and then nobody to ask with": (
        "Revoked",
        {"key": None, "said": CLOSED},
        [],
        ("True", "ApiAccessRevoked"),
        "ApiAccessRevoked",
    ),
    "revoked": ("Revoked", {"said": SERVED}, ["ProveApiAccess"], ("True", "ApiAccessRevoked"), "ApiAccessRevoked"),
    "revoked, proven": ("Revoked", {"said": CLOSED}, [], ("True", "ApiAccessRevoked"), "ApiAccessRevoked"),
    "revoked, proven, but the record drifted": (
        "Revoked",
        {"said": CLOSED, "owned": CLAIM},
        ["UpdateRecord", "ProveApiAccess"],
        ("True", "ApiAccessRevoked"),
        "ApiAccessRevoked",
    ),
    "revoked, a worker serves still": (
        "Revoked",
        {"said": SERVED, "blocked": Blocked(do.ProveApiAccess, "incomplete", DETAIL)},
        [],
        ("False", "WaitingForGateways"),
        "ApiAccessRevoked",
    ),
    "revoked, gateway away": (
        "Revoked",
        {"said": SERVED, "blocked": Blocked(do.ProveApiAccess, "unavailable", DETAIL)},
        [],
        ("False", "GatewayUnavailable"),
        "ApiAccessRevoked",
    ),
    "revoked, no region": (
        "Revoked",
        {"said": SERVED, "around": NO_REGION},
        [],
        ("False", "RegionNotFound"),
        "RegionNotFound",
    ),
}


@pytest.mark.parametrize("case", API_ACCESS)
def test_api_access(case: str) -> None:
    api_access, given, steps, revoked, ready = API_ACCESS[case]
    fields: dict[str, Any] = dict(given)
    found = fields.pop("said", None)
    status = {"bucketName": "photos", "region": "local", "conditions": [found]} if found else None
    snapshot = bucket_snapshot(
        bucket=bucket(status=status, apiAccess=api_access, **NO_CREDENTIALS),
        **({"owned": SHUT if api_access == "Revoked" else CLAIM, "key": REACHES} | fields),
    )
    plan = plan_bucket(snapshot)
    assert names(plan) == steps
    assert said(plan, "Revoked")[:2] == revoked
    assert said(plan)[1] == ready
    if snapshot.blocked:
        assert DETAIL in said(plan, "Revoked")[2]


def test_while_the_access_key_is_refused_nothing_is_said_of_api_access() -> None:
    blocked = Blocked(do.CreateAccessKey, "refused", "forbidden here")
    for api_access in ("Allowed", "Revoked"):
        fields: dict[str, Any] = {"bucket": bucket(apiAccess=api_access), "key": REACHES, "blocked": blocked}
        plan = plan_bucket(bucket_snapshot(**fields))
        assert "ProveApiAccess" not in names(plan)
        assert said(plan, "Revoked")[:2] == ("False", "WaitingForGateways")


def test_a_bucket_holds_nothing_when_it_is_claimed_and_what_was_counted_afterwards() -> None:
    claimed_now = plan_bucket(bucket_snapshot(**FRESH)).status
    found_later = plan_bucket(bucket_snapshot(bucket=bucket(status={"objects": 7, "size": "2Ki"}))).status
    never_counted = plan_bucket(bucket_snapshot()).status
    assert claimed_now is not None
    assert found_later is not None
    assert never_counted is not None
    assert [(each.objects, each.size) for each in (claimed_now, found_later, never_counted)] == [
        (0, 0),
        (7, 2048),
        (None, None),
    ]


def _purge_told(left: int, before: int, told: tuple[int, int] | None) -> Any:
    status = {} if told is None else {"status": {"purge": {"objectsDone": told[0], "objectsTotal": told[1]}}}
    found = bucket(deleting=True, annotation="final", deletionPolicy="Purge", **status)
    blocked = Blocked(do.PurgeBucket, "purging", objects=left, objects_before=before)
    return plan_bucket(bucket_snapshot(bucket=found, blocked=blocked))


@pytest.mark.parametrize(
    ("left", "before", "told", "says"),
    [
        (900, 1000, None, (100, 1000)),
        (895, 900, (100, 1000), (100, 1000)),  # half a hundredth further: no write
        (890, 895, (100, 1000), (110, 1000)),
        (3, 5, (0, 5), (2, 5)),
        (2000, 2000, (100, 1000), (0, 2000)),  # more than was told: somebody opened it in between
    ],
)
def test_a_purge_is_told_in_steps_of_a_hundredth(
    left: int, before: int, told: tuple[int, int] | None, says: tuple[int, int]
) -> None:
    plan = _purge_told(left, before, told)
    assert plan.status is not None
    assert (plan.status.purge.objects_done, plan.status.purge.objects_total) == says
    assert plan.status.objects == says[1] - says[0]


def test_a_purge_goes_on_at_once_unless_it_comes_no_further() -> None:
    moving, standing = _purge_told(900, 1000, None), _purge_told(900, 900, None)
    assert (moving.requeue_at, moving.retry) == (NOW, False)
    assert (standing.requeue_at, standing.retry) == (None, True)


def adopting(**fields: Any) -> BucketRecord:
    """The record of a Bucket with this spec that takes over what is left."""
    wants = bucket(adopt=True, **fields)
    found = plan_bucket(bucket_snapshot(bucket=wants, claim=LEFT, owned=None, namespace_uid=HERE, left=FREE))
    (step,) = [each for each in found.steps if isinstance(each, do.AdoptBucket)]
    assert step.current == LEFT
    return step.record


def test_data_that_is_taken_over_goes_by_the_spec_of_its_new_bucket() -> None:
    record = adopting(visibility="Public", maxObjectSize="1Ki")
    assert (record.data_id, record.owner.uid, record.namespace_uid) == ("d", BUCKET_UID, HERE)
    assert (record.retained, record.visibility, record.max_object_size) == (False, "Public", 1024)
    assert record.deletion_policy == "Delete"


@pytest.mark.parametrize(("access", "generation"), [("Allowed", 7), ("Revoked", 8)])
def test_the_access_generation_of_data_goes_on_under_its_new_bucket(access: str, generation: int) -> None:
    assert adopting(apiAccess=access).access_generation == generation


def test_the_former_namespace_is_not_noted_for_who_takes_over_and_is_unknown() -> None:
    wants = bucket_snapshot(
        bucket=bucket(adopt=True), claim=ELSEWHERE, owned=None, left=FREE, around=letting("default")
    )
    (step,) = [each for each in plan_bucket(wants).steps if isinstance(each, do.AdoptBucket)]
    assert step.record.namespace_uid == ""


def test_an_adoption_is_told_once_and_what_follows_is_no_other() -> None:
    record = adopting()
    owned = StoredRecord("bucket-photos", record, "2")
    told = {"adopted": {"at": timestamp(NOW - 100), "dataId": "d"}, "objects": 3, "size": "10"}
    for adopt in (True, False):
        plan = plan_bucket(bucket_snapshot(bucket=bucket(adopt=adopt, status=told), owned=owned, claim=owned))
        assert names(plan) == ["CreateAccessKey"]
        assert plan.status is not None and plan.status.adopted is not None
        assert plan.status.adopted.at == timestamp(NOW - 100)
        assert (plan.status.objects, plan.status.size) == (3, 10)
        assert "with data that was taken over" in said(plan, "Provisioned")[2]


def test_a_retained_record_says_so() -> None:
    plan = plan_bucket(bucket_snapshot(bucket=bucket(deleting=True, deletionPolicy="Retain")))
    step = plan.steps[0]
    assert isinstance(step, do.UpdateRecord)
    assert isinstance(step.record, BucketRecord)
    assert step.record.retained


# AccessKeys

KEY_ID = access_key_id(KEY_UID, 0)
GRANT = Grant("photos", BUCKET_UID, ("s3:GetObject",))
KEY = KeyRecord(KEY_ID, "s" * 40, Owner("default", "ci", KEY_UID), 0, (GRANT,), region="local")
KNOWN = StoredRecord("key-0", KEY, "1")
DATA = {"ACCESS_KEY": KEY_ID, "SECRET_KEY": "s" * 40, "ENDPOINT": ENDPOINT, "REGION": "us-east-1", "BUCKET": "photos"}
OURS = Credentials("default", "ci", DATA, KEY_UID, "1", KEY_ID)
#: As an earlier version left it, or somebody who took its annotations off.
UNMARKED = replace(OURS, access_key_id=None)
THEIRS = Credentials("default", "ci", {"a": "b"}, None, "1")
GRANTED = {"photos": GrantedBucket(bucket(), CLAIM)}


READY = {
    "observedGeneration": 1,
    "accessKeyId": KEY_ID,
    "secretName": "ci",
    "state": "Active",
    "provenRecord": "1",
    "conditions": [condition("Ready", "True")],
}
DENIED = {
    "accessKeyId": KEY_ID,
    "state": "Revoked",
    "provenRecord": "1",
    "conditions": [condition("Revoked", "True")],
}


def access_key(deleting: bool = False, status: dict[str, Any] | None = None, **spec: Any) -> AccessKey:
    metadata = {"deletionTimestamp": timestamp(NOW)} if deleting else {}
    spec = {"grants": [{"bucket": "photos", "actions": ["s3:GetObject"]}], **spec}
    return resource("AccessKey", "ci", KEY_UID, spec, metadata=metadata, **({"status": status} if status else {}))


def key_snapshot(**fields: Any) -> AccessKeySnapshot:
    snapshot = AccessKeySnapshot(access_key(), AROUND, GRANTED, (), None, (), NOW)
    return replace(snapshot, **fields)


def sealed_to(recipient: str) -> dict[str, Any]:
    return {"delivery": "Once", "once": {"recipient": recipient}}


MINE, OTHER = (recipient_of(X25519PrivateKey.from_private_bytes(bytes([each] * 32))) for each in (1, 2))
ONCE = sealed_to(MINE)
INSIDE = secret_content(access_key().spec, KEY_ID, ENDPOINT, "us-east-1", ["photos"])
SEALED = {
    **{name: value for name, value in READY.items() if name != "secretName"},
    "once": {"accessKeyId": KEY_ID, "recipient": MINE, "content": content_mark(INSIDE), "sealed": "c2VhbGVk"},
}
REVOKED = StoredRecord("key-0", msgspec.structs.replace(KEY, state="Revoked"), "1")
EARLIER = StoredRecord("key-x", msgspec.structs.replace(KEY, serial=-1), "1")
EXPIRED_AT = StoredRecord("key-0", msgspec.structs.replace(KEY, not_after=NOW - 1), "1")
HELD = {"records": (KNOWN,), "credentials": OURS}
LATER = timestamp(NOW + 60)

NOT_READY = {"region": "local", "conditions": [condition("Ready", "False")]}

ACCESS_KEYS = {
    "new": ({}, ["IssueKey", "ProveWorks", "DeliverCredentials"], "KeyWorks", "Active"),
    "resumed after the record": ({"records": (KNOWN,)}, ["ProveWorks", "DeliverCredentials"], "KeyWorks", "Active"),
    "resumed after the Secret": (HELD, ["ProveWorks"], "KeyWorks", "Active"),
    "settled": ({**HELD, "access_key": access_key(status=READY)}, [], "KeyWorks", "Active"),
    "settled of an earlier generation": (
        {**HELD, "access_key": access_key(status={**READY, "conditions": [condition("Ready", "True", 0)]})},
        ["ProveWorks"],
        "KeyWorks",
        "Active",
    ),
    "settled at an earlier record": (
        {**HELD, "access_key": access_key(status={**READY, "provenRecord": "0"})},
        ["ProveWorks"],
        "KeyWorks",
        "Active",
    ),
    "Secret deleted": (
        {"records": (KNOWN,), "access_key": access_key(status=READY)},
        ["ProveWorks", "DeliverCredentials"],
        "KeyWorks",
        "Active",
    ),
    "Secret edited": (
        {**HELD, "credentials": replace(OURS, data={}), "access_key": access_key(status=READY)},
        ["ProveWorks", "DeliverCredentials"],
        "KeyWorks",
        "Active",
    ),
    "Secret without its annotation": (
        {**HELD, "credentials": UNMARKED, "access_key": access_key(status=READY)},
        ["ProveWorks", "DeliverCredentials"],
        "KeyWorks",
        "Active",
    ),
    "Secret that is marked with another key": (
        {**HELD, "credentials": replace(OURS, access_key_id="AKIAFORMER"), "access_key": access_key(status=READY)},
        ["ProveWorks", "DeliverCredentials"],
        "KeyWorks",
        "Active",
    ),
    "networks": (
        {**HELD, "access_key": access_key(status=READY, allowedNetworks=["10.0.0.0/8"])},
        ["UpdateRecord", "ProveWorks"],
        "KeyWorks",
        "Active",
    ),
    "once": (
        {"access_key": access_key(**ONCE)},
        ["IssueKey", "ProveWorks", "SealCredentials"],
        "KeyWorks",
        "Active",
    ),
    "once, whatever Secret has its name": (
        {"access_key": access_key(**ONCE), "credentials": THEIRS},
        ["IssueKey", "ProveWorks", "SealCredentials"],
        "KeyWorks",
        "Active",
    ),
    "once, sealed": (
        {"access_key": access_key(status=SEALED, **ONCE), "records": (KNOWN,)},
        [],
        "KeyWorks",
        "Active",
    ),
    "once, sealed to somebody else": (
        {"access_key": access_key(status=SEALED, **sealed_to(OTHER)), "records": (KNOWN,)},
        ["ProveWorks", "SealCredentials"],
        "KeyWorks",
        "Active",
    ),
    "once, and something else is to be inside": (
        {"access_key": access_key(status=SEALED, **ONCE, secretProfiles=["AWS"]), "records": (KNOWN,)},
        ["ProveWorks", "SealCredentials"],
        "KeyWorks",
        "Active",
    ),
    "once, and no longer in a Secret": (
        {**HELD, "access_key": access_key(status=READY, **ONCE)},
        ["ProveWorks", "SealCredentials", "DeleteCredentials"],
        "KeyWorks",
        "Active",
    ),
    "in a Secret, and no longer once": (
        {"access_key": access_key(status=SEALED), "records": (KNOWN,)},
        ["ProveWorks", "DeliverCredentials"],
        "KeyWorks",
        "Active",
    ),
    "another profile": (
        {**HELD, "access_key": access_key(status=READY, secretProfiles=["AWS"])},
        ["ProveWorks", "DeliverCredentials"],
        "KeyWorks",
        "Active",
    ),
    "own keys": (
        {**HELD, "access_key": access_key(status=READY, secretKeys={"accessKeyId": "MY_ID"})},
        ["ProveWorks", "DeliverCredentials"],
        "KeyWorks",
        "Active",
    ),
    "own keys, settled": (
        {
            **HELD,
            "access_key": access_key(status=READY, secretKeys={"accessKeyId": "MY_ID", "bucket": "ACCESS_KEY"}),
            "credentials": replace(
                OURS,
                data={
                    "MY_ID": KEY_ID,
                    "SECRET_KEY": "s" * 40,
                    "ENDPOINT": ENDPOINT,
                    "REGION": "us-east-1",
                    "ACCESS_KEY": "photos",
                },
            ),
        },
        [],
        "KeyWorks",
        "Active",
    ),
    "foreign Secret": ({"credentials": THEIRS}, [], "SecretConflict", "Pending"),
    "renamed onto a foreign Secret": (
        {
            "records": (KNOWN,),
            "access_key": access_key(status=READY, secretName="app"),
            "credentials": replace(THEIRS, name="app"),
            "other_credentials": (OURS,),
        },
        [],
        "SecretConflict",
        "Active",
    ),
    "renamed": (
        {
            "records": (KNOWN,),
            "access_key": access_key(status=READY, secretName="app"),
            "other_credentials": (OURS,),
        },
        ["ProveWorks", "DeliverCredentials", "DeleteCredentials"],
        "KeyWorks",
        "Active",
    ),
    "grants changed": (
        {**HELD, "access_key": access_key(status=READY, grants=[{"bucket": "photos"}])},
        ["UpdateRecord", "ProveWorks"],
        "KeyWorks",
        "Active",
    ),
    "bucket missing, no key yet": ({"buckets": {}}, [], "BucketNotFound", "Pending"),
    "bucket missing, key there": (
        {**HELD, "buckets": {}, "access_key": access_key(status=READY)},
        ["UpdateRecord", "ProveWorks", "DeliverCredentials"],  # BUCKET goes from the Secret with the grant
        "BucketNotFound",
        "Active",
    ),
    "bucket just made": (
        {"buckets": {"photos": GrantedBucket(bucket(), None)}},
        [],
        "WaitingForBucket",
        "Pending",
    ),
    "bucket not provisioned": (
        {"buckets": {"photos": GrantedBucket(bucket(status=NOT_READY), None)}},
        [],
        "BucketNotReady",
        "Pending",
    ),
    "bucket's name is another's": (
        {"buckets": {"photos": GrantedBucket(bucket(status=NOT_READY), FOREIGN)}},
        [],
        "BucketNotReady",
        "Pending",
    ),
    "bucket elsewhere": (
        {
            "buckets": {
                "photos": GrantedBucket(
                    bucket(), StoredRecord("bucket-photos", wanted_record(bucket(), "photos", "west"), "1")
                )
            }
        },
        [],
        "RegionMismatch",
        "Pending",
    ),
    "no endpoint": ({"around": Surroundings((REGION,))}, [], "EndpointUnknown", "Pending"),
    "no region, no key yet": ({"around": NO_REGION}, [], "RegionNotFound", "Pending"),
    "no region, key there": (
        {**HELD, "around": NO_REGION, "access_key": access_key(status=READY)},
        [],
        "RegionNotFound",
        "Active",
    ),
    "probe incomplete": (
        {"records": (KNOWN,), "blocked": Blocked(do.ProveWorks, "incomplete", "worker 1")},
        [],
        "WaitingForGateways",
        "Pending",
    ),
    "gateway away": (
        {"records": (KNOWN,), "blocked": Blocked(do.ProveWorks, "unavailable", "nobody")},
        [],
        "GatewayUnavailable",
        "Pending",
    ),
    "Secret refused": (
        {"records": (KNOWN,), "blocked": Blocked(do.DeliverCredentials, "refused", "quota")},
        ["ProveWorks"],
        "SecretRefused",
        "Pending",
    ),
    "revoked": (
        {**HELD, "access_key": access_key(status=READY, state="Revoked")},
        ["UpdateRecord", "ProveDenied", "DeleteCredentials"],
        "Revoked",
        "Revoked",
    ),
    "revoked, not refused yet": (
        {
            "records": (REVOKED,),
            "credentials": OURS,
            "access_key": access_key(status=READY, state="Revoked"),
            "blocked": Blocked(do.ProveDenied, "incomplete", "worker 1"),
        },
        [],
        "Revoked",
        "Revoked",
    ),
    "revoked and refused": (
        {"records": (REVOKED,), "access_key": access_key(status=DENIED, state="Revoked")},
        [],
        "Revoked",
        "Revoked",
    ),
    "refused at an earlier record": (
        {"records": (REVOKED,), "access_key": access_key(status={**DENIED, "provenRecord": "0"}, state="Revoked")},
        ["ProveDenied"],
        "Revoked",
        "Revoked",
    ),
    "an earlier key came back": (
        {"records": (REVOKED, EARLIER), "access_key": access_key(status=DENIED, state="Revoked")},
        ["UpdateRecord", "ProveDenied", "ProveDenied", "DeleteRecord"],
        "Revoked",
        "Revoked",
    ),
    "revoked before it was issued": ({"access_key": access_key(state="Revoked")}, [], "Revoked", "Revoked"),
    "expired": (
        {**HELD, "access_key": access_key(status=READY, expiresAt=timestamp(NOW))},
        ["UpdateRecord", "ProveDenied", "DeleteCredentials"],
        "Expired",
        "Expired",
    ),
    "active again": (
        {"records": (REVOKED,), "access_key": access_key(status=DENIED)},
        ["IssueKey", "ProveWorks", "DeliverCredentials"],
        "KeyWorks",
        "Active",
    ),
    "active again, but a bucket is missing": (
        {"records": (REVOKED,), "buckets": {}},
        [],
        "BucketNotFound",
        "Pending",
    ),
    "renamed onto a foreign Secret, and the former one holds a former key": (
        {
            "records": (KNOWN,),
            "access_key": access_key(status=READY, secretName="app"),
            "credentials": replace(THEIRS, name="app"),
            "other_credentials": (replace(OURS, access_key_id="AKIAFORMER"),),
        },
        ["ProveWorks", "DeleteCredentials"],
        "SecretConflict",
        "Pending",
    ),
    "the same of an earlier version": (
        {
            "records": (KNOWN,),
            "access_key": access_key(status=READY, secretName="app"),
            "credentials": replace(THEIRS, name="app"),
            "other_credentials": (replace(UNMARKED, data={**DATA, "ACCESS_KEY": "AKIAFORMER"}),),
        },
        ["ProveWorks", "DeleteCredentials"],
        "SecretConflict",
        "Pending",
    ),
    "renamed onto a foreign Secret, and the former one of an earlier version holds the key": (
        {
            "records": (KNOWN,),
            "access_key": access_key(status=READY, secretName="app"),
            "credentials": replace(THEIRS, name="app"),
            "other_credentials": (UNMARKED,),
        },
        [],
        "SecretConflict",
        "Active",
    ),
    "more Buckets than a key can have": (
        {
            "access_key": access_key(grants=None, allBuckets={}),
            "buckets": {f"b{number:05}": GRANTED["photos"] for number in range(MAX_BUCKETS + 1)},
        },
        [],
        "TooManyBuckets",
        "Pending",
    ),
    "nothing usable, and a bucket is missing": (
        {"records": (REVOKED,), "credentials": OURS, "buckets": {}},
        ["DeleteCredentials"],
        "BucketNotFound",
        "Pending",
    ),
    "later time after expiry that nobody saw": (
        {"records": (EXPIRED_AT,), "credentials": OURS, "access_key": access_key(expiresAt=LATER)},
        ["UpdateRecord", "IssueKey", "ProveWorks", "DeliverCredentials"],
        "KeyWorks",
        "Active",
    ),
}


@pytest.mark.parametrize("case", ACCESS_KEYS)
def test_access_key(case: str) -> None:
    fields, steps, reason, state = ACCESS_KEYS[case]
    plan = plan_access_key(key_snapshot(**fields))
    assert names(plan) == steps
    status, found, text = said(plan)
    assert (found, status) == (reason, "True" if reason == "KeyWorks" else "False")
    assert plan.status is not None
    assert plan.status.state == state
    assert text


def shared(*grants: dict[str, Any], owner: str = "films", there: bool = True) -> dict[str, Any]:
    """A Bucket of another namespace, and what its BucketGrants say."""
    meta = {"namespace": owner}
    theirs = resource("Bucket", "photos", "uid-theirs", {}, metadata=meta)
    record = StoredRecord("bucket-theirs", wanted_record(theirs, "theirs", "local"), "1")
    found = GrantedBucket(theirs, record) if there else GrantedBucket(None, None)
    lets = tuple(resource("BucketGrant", "a", "uid-grant", spec, metadata=meta) for spec in grants)
    return {"shared": {(owner, "photos"): SharedBucket(found, lets)}, "buckets": {}}


def asks(**right: Any) -> AccessKey:
    return access_key(grants=[{"bucket": "photos", "namespace": "films", **right}])


TO_DEFAULT = {"from": [{"namespace": "other"}, {"namespace": "default"}]}
READ, WRITE = "s3:GetObject", "s3:PutObject"
#: What the AccessKey asks for, what BucketGrants let; the reason, and actions and prefixes of the grants in the record.
SHARED = {
    "all": (asks(), [TO_DEFAULT], "KeyWorks", [(DEFAULT_ACTIONS, ())]),
    "none": (asks(), [], "NotGranted", []),
    "less": (asks(), [{**TO_DEFAULT, "actions": [READ]}], "KeyWorks", [((READ,), ())]),
    "more": (asks(actions=[READ]), [TO_DEFAULT], "KeyWorks", [((READ,), ())]),
    "nothing in common": (asks(actions=[WRITE]), [{**TO_DEFAULT, "actions": [READ]}], "NotGranted", []),
    "never the bucket itself": (asks(actions=["s3:DeleteBucket"]), [TO_DEFAULT], "NotGranted", []),
    "two": (
        asks(),
        [{**TO_DEFAULT, "actions": [READ]}, {**TO_DEFAULT, "actions": [WRITE], "prefixes": ["in/"]}],
        "KeyWorks",
        [((READ,), ()), ((WRITE,), ("in/",))],
    ),
    "prefixes of one": (asks(prefixes=["a/"], actions=[READ]), [TO_DEFAULT], "KeyWorks", [((READ,), ("a/",))]),
    "prefixes of both": (
        asks(prefixes=["a/", "b/c/", "d/"], actions=[READ]),
        [{**TO_DEFAULT, "prefixes": ["b/", "a/1", "a/2"]}],
        "KeyWorks",
        [((READ,), ("b/c/", "a/1", "a/2"))],
    ),
    "no prefix in common": (asks(prefixes=["a/"]), [{**TO_DEFAULT, "prefixes": ["b/"]}], "NotGranted", []),
}


@pytest.mark.parametrize("case", SHARED)
def test_what_another_namespace_lets(case: str) -> None:
    access_key_, grants, reason, granted = SHARED[case]
    plan = plan_access_key(key_snapshot(access_key=access_key_, **shared(*grants)))
    assert said(plan)[1] == reason
    issued = [step.record.grants for step in plan.steps if isinstance(step, do.IssueKey)]
    found = [(grant.actions, grant.prefixes) for grants in issued for grant in grants]
    assert found == [(tuple(actions), prefixes) for actions, prefixes in granted]
    assert {grant.bucket for grants in issued for grant in grants} <= {"theirs"}


def test_whether_a_bucket_is_there_is_told_only_where_it_is_granted() -> None:
    texts = {
        there: said(plan_access_key(key_snapshot(access_key=asks(), **shared(there=there)))) for there in (True, False)
    }
    assert texts[True] == texts[False]
    missing = said(plan_access_key(key_snapshot(access_key=asks(), **shared(TO_DEFAULT, there=False))))
    assert (missing[1], missing[2].partition(".")[0]) == (
        "BucketNotFound",
        "there is no Bucket photos of namespace films",
    )


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (None, None, None),
        (None, ["a"], ("a",)),
        (["a"], None, ("a",)),
        (["a"], ["a"], ("a",)),
        (["a"], ["ab", "b"], ("ab",)),
        (["ab"], ["a", "abc"], ("ab", "abc")),
        (["a"], ["b"], ()),
    ],
)
def test_prefixes_in_common(one: list[str] | None, other: list[str] | None, both: tuple[str, ...] | None) -> None:
    assert common_prefixes(one, other) == both


def test_what_thousands_of_grants_on_a_bucket_give_is_worked_out_for_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan is made without a pause: nobody else's is made meanwhile."""
    compared: list[Any] = []
    both = lambda *prefixes: compared.append(prefixes) or common_prefixes(*prefixes)  # noqa: E731
    monkeypatch.setattr("cooper_operator.plan.grants.common_prefixes", both)
    plan = plan_access_key(key_snapshot(access_key=asks(), **shared(*[TO_DEFAULT] * 3000)))
    assert len(compared) == MAX_LETTING
    assert said(plan)[1] == "GrantsTooLarge"
    assert said(plan)[2].startswith("more than 64 BucketGrants let this namespace use Bucket photos of namespace films")


#: What is missing, and the reason.
BUCKET_GRANTS = {"in force": ((), "Granted"), "one Bucket is not there": (("photos",), "BucketNotFound")}


@pytest.mark.parametrize("case", BUCKET_GRANTS)
def test_bucket_grant(case: str) -> None:
    missing, reason = BUCKET_GRANTS[case]
    grant = resource("BucketGrant", "a", "uid-grant", {**TO_DEFAULT, "buckets": ["photos", "logs"]})
    plan = plan_bucket_grant(BucketGrantSnapshot(grant, missing, NOW))
    assert (plan.steps, plan.retry) == ((), False)
    status, found, text = said(plan)
    assert (status, found) == ("False" if missing else "True", reason)
    assert all(name in text for name in (missing or ("other", "default")))
    assert ("whether such a namespace is there is not looked at" in text) == (not missing)
    assert plan.status is not None
    assert (plan.status.namespaces, plan.status.buckets) == ("other, default", "photos, logs")


def test_a_bucket_grant_on_all_buckets_says_so() -> None:
    plan = plan_bucket_grant(BucketGrantSnapshot(resource("BucketGrant", "a", "uid-grant", TO_DEFAULT), (), NOW))
    assert plan.status is not None
    assert plan.status.buckets == "all"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a"], "a"),
        (["a" * 253], "a" * 253),
        (["a" * 253, "b"], f"{'a' * 253} and 1 more"),
        (["a" * 19, "b" * 19], f"{'a' * 19}, {'b' * 19}"),
        (["a" * 19, "b" * 20, "c"], f"{'a' * 19} and 2 more"),
        ([f"team-{number:02}" for number in range(64)], "team-00, team-01, team-02, team-03 and 60 more"),
    ],
)
def test_names_for_a_column(names: list[str], text: str) -> None:
    assert in_short(names) == text
    assert len(text) <= 300


NEXT_ID = access_key_id(KEY_UID, 1)
NEXT = msgspec.structs.replace(KEY, access_key_id=NEXT_ID, serial=1, replaces=KEY_ID, issued_at=NOW - 10)
NEXT_KNOWN = StoredRecord("key-1", NEXT, "1")
HOLDS_NEXT = replace(OURS, data={**DATA, "ACCESS_KEY": NEXT_ID}, access_key_id=NEXT_ID)
WEB = WorkloadName(kind="Deployment", name="web")
HELD_TEXT = content_mark(secret_content(access_key().spec, NEXT_ID, ENDPOINT, "us-east-1", ["photos"]))
RUNS = Workload(WEB, "1", {"rolled.cooper.dev/ci": HELD_TEXT})


def turned(rotate_at: str | None = None, state: dict[str, Any] | None = None, **fields: Any) -> AccessKey:
    found = access_key(status={**READY, "accessKeyId": NEXT_ID, **(state or {})}, **fields)
    annotations = {} if rotate_at is None else {ROTATE_AT: rotate_at}
    return found.model_copy(update={"metadata": found.metadata.model_copy(update={"annotations": annotations})})


def superseded(seconds: float) -> dict[str, Any]:
    """The Secret has held the next key for so long; the overlap is an hour."""
    since = msgspec.structs.replace(KEY, superseded_at=NOW - seconds, not_after=NOW - seconds + 7200)
    return {"records": (NEXT_KNOWN, StoredRecord("key-0", since, "1")), "credentials": HOLDS_NEXT}


RETIRING = {"retiringAccessKeyId": KEY_ID}
NOW_PASSED = timestamp(NOW)
#: What is done; what Rotated and RolledOut say, and the state.
ROTATIONS: dict[str, tuple[dict[str, Any], list[str], str, str, str]] = {
    "due": (
        {**HELD, "access_key": turned(NOW_PASSED, {"accessKeyId": KEY_ID})},
        ["IssueKey", "ProveWorks", "DeliverCredentials", "UpdateRecord"],
        "Overlapping",
        "",
        "Rotating",
    ),
    "once, due": (
        {"records": (KNOWN,), "access_key": turned(NOW_PASSED, {**SEALED, "secretName": None}, **ONCE)},
        ["IssueKey", "ProveWorks", "SealCredentials"],
        "Overlapping",
        "",
        "Rotating",
    ),
    "once, and the status tells the new one": (
        {
            "records": (NEXT_KNOWN, KNOWN),
            "access_key": turned(
                state={
                    **RETIRING,
                    "secretName": None,
                    "once": {**SEALED["once"], "accessKeyId": NEXT_ID, "content": HELD_TEXT},
                },
                **ONCE,
            ),
        },
        ["UpdateRecord"],
        "Overlapping",
        "",
        "Rotating",
    ),
    "due, and not yet proven": (
        {
            **HELD,
            "records": (NEXT_KNOWN, KNOWN),
            "access_key": turned(NOW_PASSED, {"accessKeyId": KEY_ID}),
            "blocked": Blocked(do.ProveWorks, "incomplete", DETAIL),
        },
        [],
        "WaitingForGateways",
        "",
        "Rotating",
    ),
    "as old as the interval": (
        {**HELD, "access_key": turned(state={"accessKeyId": KEY_ID}, rotation={"interval": "2h"})},
        ["IssueKey", "ProveWorks", "DeliverCredentials", "UpdateRecord"],
        "Overlapping",
        "",
        "Rotating",
    ),
    "no time": ({**HELD, "access_key": turned("soon", {"accessKeyId": KEY_ID})}, [], "InvalidRotateAt", "", "Active"),
    "due, and nothing can be delivered": (
        {**HELD, "credentials": None, "other_credentials": (replace(OURS, name="x"),), "access_key": turned(NOW_PASSED)}
        | {"around": Surroundings((region(),), None, "")},
        ["ProveWorks"],
        "RotationWaits",
        "",
        "Active",
    ),
    "delivered": (
        {"records": (NEXT_KNOWN, KNOWN), "credentials": HOLDS_NEXT, "access_key": turned(state=RETIRING)},
        ["UpdateRecord"],
        "Overlapping",
        "",
        "Rotating",
    ),
    "overlap": (superseded(3599) | {"access_key": turned(state=RETIRING)}, [], "Overlapping", "", "Rotating"),
    "overlap over": (
        superseded(3600) | {"access_key": turned(state=RETIRING)},
        ["UpdateRecord", "ProveDenied"],
        "Rotated",
        "",
        "Active",
    ),
    "overlap over, and not yet refused": (
        superseded(3600)
        | {"access_key": turned(state=RETIRING), "blocked": Blocked(do.ProveDenied, "incomplete", DETAIL)},
        ["UpdateRecord"],
        "WaitingForGateways",
        "",
        "Rotating",
    ),
    "overlap over, roll-out is not": (
        superseded(3600) | {"access_key": turned(state=RETIRING), "workloads": (replace(RUNS, waiting="1 of 2"),)},
        [],
        "RollingOut",
        "RollingOut",
        "Rotating",
    ),
    "twice the overlap": (
        superseded(7200) | {"access_key": turned(state=RETIRING), "workloads": (replace(RUNS, waiting="1 of 2"),)},
        ["UpdateRecord", "ProveDenied"],
        "Rotated",
        "RolloutIncomplete",
        "Active",
    ),
    "over, as records tell": (superseded(9000) | {"access_key": turned()}, ["UpdateRecord"], "", "", "Active"),
    "not restarted yet": (
        superseded(10) | {"access_key": turned(state=RETIRING), "workloads": (Workload(WEB, "1", {"a": "b"}),)},
        ["MarkWorkload"],
        "Overlapping",
        "RolledOut",
        "Rotating",
    ),
    "started with another": (
        superseded(10)
        | {"access_key": turned(state=RETIRING), "workloads": (replace(RUNS, marks={"rolled.cooper.dev/ci": "x"}),)},
        ["RollWorkload"],
        "Overlapping",
        "RollingOut",
        "Rotating",
    ),
    "no workload": (
        superseded(10) | {"access_key": turned(state=RETIRING), "workloads": (Workload(WEB),)},
        [],
        "Overlapping",
        "WorkloadNotFound",
        "Rotating",
    ),
    "no right": (
        superseded(10) | {"access_key": turned(state=RETIRING), "workloads": (Workload(WEB, problem="no"),)},
        [],
        "Overlapping",
        "RolloutRefused",
        "Rotating",
    ),
}


@pytest.mark.parametrize("case", ROTATIONS)
def test_rotation(case: str) -> None:
    fields, steps, rotated, rolled_out, state = ROTATIONS[case]
    plan = plan_access_key(key_snapshot(**fields))
    assert plan.status is not None
    reasons = {each.type: each.reason for each in plan.status.conditions}
    assert names(plan) == steps
    assert (reasons.get("Rotated", ""), reasons.get("RolledOut", "")) == (rotated, rolled_out)
    assert plan.status.state == state


#: How the Secret is, and what its being written tells.
REWRITTEN = {
    "first delivery": ({"access_key": access_key()}, ""),
    "resumed after the Secret was renamed": ({"access_key": access_key(status=READY, secretName="app")}, ""),
    "gone": ({}, "Secret ci was gone"),
    "edited": (
        {"credentials": replace(OURS, data={**DATA, "SECRET_KEY": "x", "A": "b"})},
        "Secret ci was not as it is to be, in A, SECRET_KEY",
    ),
    "much edited": (
        {"credentials": replace(OURS, data=DATA | {f"a{index}": "x" for index in range(9)})},
        "Secret ci was not as it is to be, in a0, a1, a2, a3, a4 and 4 more",
    ),
    "labels taken off": (
        {"credentials": replace(OURS, intact=False)},
        "Secret ci had lost labels or the annotation by which it is known",
    ),
    "annotation taken off": (
        {"credentials": UNMARKED},
        "Secret ci had lost labels or the annotation by which it is known",
    ),
    "other keys asked for": (
        {
            "credentials": OURS,
            "access_key": access_key(status={**READY, "observedGeneration": 0}, secretKeys={"region": "MY_REGION"}),
        },
        "",
    ),
    "a new key": ({"records": (REVOKED,), "credentials": OURS}, ""),
}


@pytest.mark.parametrize("case", REWRITTEN)
def test_a_secret_that_is_written_again_says_why(case: str) -> None:
    fields, told = REWRITTEN[case]
    plan = plan_access_key(key_snapshot(**{"records": (KNOWN,), "access_key": access_key(status=READY), **fields}))
    (step,) = [step for step in plan.steps if isinstance(step, do.DeliverCredentials)]
    assert step.rewrites == told
    assert "s" * 40 not in step.rewrites


def test_status_names_no_secret_that_is_not_ours() -> None:
    held = {"records": (KNOWN,), "credentials": THEIRS, "access_key": access_key(status=READY)}
    status = plan_access_key(key_snapshot(**held)).status
    assert status is not None
    assert (status.secret_name, status.binding) == (None, None)
    assert status.access_key_id == KEY_ID


DELETIONS = {
    "never issued": ({}, ["RemoveFinalizer"], None),
    "issued": (HELD, ["UpdateRecord", "ProveDenied", "DeleteCredentials", "DeleteRecord", "RemoveFinalizer"], None),
    "foreign Secret": (
        {"records": (KNOWN,), "credentials": THEIRS},
        ["UpdateRecord", "ProveDenied", "DeleteRecord", "RemoveFinalizer"],
        None,
    ),
    "not refused yet": (
        {"records": (REVOKED,), "credentials": OURS, "blocked": Blocked(do.ProveDenied, "incomplete", "worker 7")},
        [],
        "WaitingForGateways",
    ),
    "region gone": ({**HELD, "around": NO_REGION}, ["UpdateRecord"], "RegionNotFound"),
}


@pytest.mark.parametrize("case", DELETIONS)
def test_access_key_deletion(case: str) -> None:
    fields, steps, reason = DELETIONS[case]
    plan = plan_access_key(key_snapshot(**{**fields, "access_key": access_key(deleting=True, status=READY)}))
    assert names(plan) == steps
    if reason is None:
        assert plan.status is None
    else:
        assert said(plan, "Revoked")[:2] == ("False", reason)
        assert plan.retry


def tombstones(plan: Plan[Any]) -> list[KeyRecord]:
    """What keys' records are to say, and what keys are to be refused."""
    written = [step.record for step in plan.steps if isinstance(step, do.UpdateRecord)]
    asked = [step.key for step in plan.steps if isinstance(step, do.ProveDenied)]
    return [each for each in (*written, *asked) if isinstance(each, KeyRecord)]


EARLY_TOMBSTONE = StoredRecord("key-0", msgspec.structs.replace(KEY, state="Revoked", revoked_at=NOW - 99), "1")
EARLIEST = StoredRecord("key-y", msgspec.structs.replace(EARLY_TOMBSTONE.record, serial=-2), "1")
REVOCATIONS = {
    "now": ({"records": (KNOWN,), "access_key": access_key(state="Revoked")}, [NOW, NOW]),
    "expired now": ({"records": (EXPIRED_AT,), "access_key": access_key(expiresAt=timestamp(NOW))}, [NOW, NOW]),
    "deleted now": ({"records": (KNOWN,), "access_key": access_key(deleting=True)}, [NOW, NOW]),
    "expired, and active again": ({"records": (EXPIRED_AT,), "access_key": access_key(expiresAt=LATER)}, [NOW]),
    "before": ({"records": (EARLY_TOMBSTONE,), "access_key": access_key(state="Revoked")}, [NOW - 99]),
    "before, and deleted now": ({"records": (EARLY_TOMBSTONE,), "access_key": access_key(deleting=True)}, [NOW - 99]),
    "nobody knows when": ({"records": (REVOKED,), "access_key": access_key(deleting=True)}, [None]),
    "former ones go": ({"records": (KNOWN, EARLIER, EARLIEST)}, [NOW, NOW - 99]),
}


@pytest.mark.parametrize("case", REVOCATIONS)
def test_tombstone_keeps_the_time_of_its_revocation(case: str) -> None:
    fields, times = REVOCATIONS[case]
    found = tombstones(plan_access_key(key_snapshot(**fields)))
    assert [each.revoked_at for each in found] == times
    assert {each.state for each in found} == {"Revoked"}


#: Buckets, and prefixes as long in bytes as they can be.
BUCKET_NAMES = [f"b{number:03}" for number in range(MAX_GRANTS)]
PREFIXES = tuple(f"{number}{255 * chr(0x1F511)}" for number in range(MAX_PREFIXES))
THERE = {
    name: GrantedBucket(bucket(), StoredRecord("", msgspec.structs.replace(RECORD, name=name), "1"))
    for name in BUCKET_NAMES
}


def test_record_of_a_key_has_room_for_what_comes_after() -> None:
    spec = [{"bucket": name, "prefixes": list(PREFIXES)} for name in BUCKET_NAMES]
    plan = plan_access_key(key_snapshot(**HELD, access_key=access_key(grants=spec), buckets=THERE))
    (written,) = tombstones(plan)
    (asked,) = (step.buckets for step in plan.steps if isinstance(step, do.ProveWorks))
    assert 600_000 < len(encode(written)) < 700_000
    assert list(asked) == [grant.bucket for grant in written.grants] == BUCKET_NAMES[: len(asked)]
    assert said(plan)[:2] == ("False", "GrantsTooLarge")
    assert f"the first {len(asked)} grants" in said(plan)[2]


def test_record_that_fills_its_secret_can_be_revoked() -> None:
    """One that an earlier version wrote."""
    grants = tuple(Grant(name, RECORD.data_id, ("s3:GetObject",), PREFIXES) for name in BUCKET_NAMES)
    full = StoredRecord("key-0", msgspec.structs.replace(KEY, grants=grants), "1")
    (written, _) = tombstones(plan_access_key(key_snapshot(records=(full,), access_key=access_key(state="Revoked"))))
    assert len(encode(written)) < 1000


def unheld(kind: str, spec: dict[str, Any]) -> Any:
    """A resource without its finalizer, which cannot be put back where there is no room for it."""
    name, uid = ("photos", BUCKET_UID) if kind == "Bucket" else ("ci", KEY_UID)
    return resource(kind, name, uid, spec, metadata={"finalizers": []})


WITHDRAWN = {
    "key revoked": key_snapshot(
        **HELD, access_key=unheld("AccessKey", {"grants": [{"bucket": "photos"}], "state": "Revoked"})
    ),
    "key expired": key_snapshot(
        **HELD, access_key=unheld("AccessKey", {"grants": [{"bucket": "photos"}], "expiresAt": timestamp(NOW - 1)})
    ),
    "grant narrowed": key_snapshot(
        **HELD, access_key=unheld("AccessKey", {"grants": [{"bucket": "photos", "prefixes": ["a/"]}]})
    ),
    "access to a bucket revoked": bucket_snapshot(bucket=unheld("Bucket", {"apiAccess": "Revoked"})),
}


@pytest.mark.parametrize("case", WITHDRAWN)
def test_what_is_withdrawn_is_recorded_before_the_resource_is_written(case: str) -> None:
    snapshot = WITHDRAWN[case]
    plan = plan_bucket(snapshot) if isinstance(snapshot, BucketSnapshot) else plan_access_key(snapshot)
    assert names(plan)[:2] == ["UpdateRecord", "AddFinalizer"]


def test_silence_is_measured_by_what_gateways_were_told() -> None:
    """The Region says less by now, and its record does not yet."""
    around = Surroundings((region(maxRecordAge="30s"),), msgspec.structs.replace(REGION_RECORD, longer_age_until=7.0))
    fields = {"records": (KNOWN,), "around": around, "access_key": access_key(state="Revoked")}
    (asked,) = (step.region for step in plan_access_key(key_snapshot(**fields)).steps if type(step) is do.ProveDenied)
    assert (asked.max_record_age, asked.longer_age_until) == (86400.0, 7.0)


def test_what_waits_for_whom_is_said() -> None:
    blocked = Blocked(do.ProveDenied, "incomplete", "worker 7 of 10.0.0.1:9000")
    fields: dict[str, Any] = {"records": (REVOKED,), "access_key": access_key(state="Revoked"), "blocked": blocked}
    assert "worker 7 of 10.0.0.1:9000" in said(plan_access_key(key_snapshot(**fields)), "Revoked")[2]


def test_plans_hold_no_secret() -> None:
    for fields, *_ in ACCESS_KEYS.values():
        plan = plan_access_key(key_snapshot(**fields))
        assert "s" * 40 not in repr(plan)
        for step in plan.steps:
            if isinstance(step, do.DeliverCredentials):
                assert "s" * 40 not in repr(step.content)


def test_a_bucket_with_revoked_api_access_is_not_waited_for() -> None:
    closed = StoredRecord("bucket-photos", msgspec.structs.replace(RECORD, api_access="Revoked"), "1")
    plan = plan_access_key(key_snapshot(buckets={"photos": GrantedBucket(bucket(), closed)}))
    prove = next(step for step in plan.steps if isinstance(step, do.ProveWorks))
    assert prove.buckets == ()


# Regions

RECORDED = StoredRecord("region-local", REGION_RECORD, "1")
OLD = StoredRecord("region-local", RegionRecord("local", "old"), "1")

TWO = GatewaysSeen(("gateway-0", "gateway-1"))


def told(ready: str, reason: str, generation: int = 1, reason_of_ready: str = "SettingsRecorded") -> Region:
    """A Region whose status says so of its gateways."""
    said = [condition("Ready", "True", generation) | {"reason": reason_of_ready}]
    said += [condition("GatewaysReady", ready, generation) | {"reason": reason, "message": "as it was"}]
    return resource("Region", "local", "uid-local", REGION.spec.model_dump(by_alias=True), status={"conditions": said})


SEEN = told("True", "GatewaysReady")
SOME = told("False", "GatewaysNotReady")
LAGS = Blocked(do.ProveSettings, "incomplete", "worker 1 of gateway-1", proven=1)
NOBODY = Blocked(do.ProveSettings, "incomplete", "worker 1 of gateway-1")
ALL_WELL = ("True", "SettingsRecorded", "True", "GatewaysReady")

#: Region, record and gateways; the steps; Ready and GatewaysReady; what the latter says.
REGIONS = {
    "new": ((REGION, None), TWO, ["CreateRecord", "ProveSettings"], ALL_WELL, "2 of 2"),
    "changed": ((SEEN, OLD), TWO, ["UpdateRecord", "ProveSettings"], ALL_WELL, "by the Region's settings"),
    "settled": ((SEEN, RECORDED), TWO, [], ALL_WELL, "2 of 2"),
    "not seen to follow": ((REGION, RECORDED), TWO, ["ProveSettings"], ALL_WELL, "2 of 2"),
    "another generation was": ((told("True", "GatewaysReady", 0), RECORDED), TWO, ["ProveSettings"], ALL_WELL, ""),
    "no gateway was there": ((told("False", "NoGatewayReady"), RECORDED), TWO, ["ProveSettings"], ALL_WELL, ""),
    "one lags": (
        (SEEN, RECORDED, LAGS),
        TWO,
        [],
        ("True", "SettingsRecorded", "False", "WaitingForGateways"),
        "still waiting: worker 1 of gateway-1",
    ),
    "all lag": (
        (SEEN, RECORDED, NOBODY),
        TWO,
        [],
        ("False", "WaitingForGateways", "False", "WaitingForGateways"),
        "still waiting: worker 1 of gateway-1",
    ),
    "one is not ready": (
        (SEEN, RECORDED),
        GatewaysSeen(("gateway-0",), ("gateway-1",)),
        [],
        ("True", "SettingsRecorded", "False", "GatewaysNotReady"),
        "gateways ready: 1 of 2; not ready: gateway-1. Clients",
    ),
    "one was not ready": ((SOME, RECORDED), TWO, [], ALL_WELL, "2 of 2"),
    "many are not ready": (
        (SEEN, RECORDED),
        GatewaysSeen(("gateway-0",), tuple(f"gateway-{number}" for number in range(9, 0, -1))),
        [],
        ("True", "SettingsRecorded", "False", "GatewaysNotReady"),
        "1 of 10; not ready: gateway-1, gateway-2, gateway-3, gateway-4, gateway-5, 4 more. ",
    ),
    "none is ready": (
        (SEEN, RECORDED),
        GatewaysSeen((), ("gateway-1", "gateway-0")),
        [],
        ("False", "NoGatewayReady", "False", "NoGatewayReady"),
        "gateways ready: 0 of 2; not ready: gateway-0, gateway-1. Nobody",
    ),
    "none is there": (
        (SEEN, RECORDED),
        GatewaysSeen(),
        [],
        ("False", "NoGatewayFound", "False", "NoGatewayFound"),
        "no gateway is behind Service local. Nobody is served",
    ),
    "no Service": (
        (REGION, None),
        GatewaysSeen(unknown="there is no Service"),
        ["CreateRecord"],
        ("False", "NoGatewayFound", "False", "NoGatewayFound"),
        "there is no Service. Nobody is served",
    ),
    "some cannot be placed": (
        (SEEN, RECORDED),
        GatewaysSeen(("gateway-0",), unknown="no port named s3"),
        [],
        ("Unknown", "GatewaysUnknown", "Unknown", "GatewaysUnknown"),
        "no port named s3. ",
    ),
    "not listed yet, new": (
        (REGION, None),
        GatewaysSeen(unknown="not listed yet", told=False, soon=True),
        ["CreateRecord"],
        ("Unknown", "GatewaysUnknown", "Unknown", "GatewaysUnknown"),
        "not listed yet. ",
    ),
    "not listed yet": (
        (SEEN, RECORDED),
        GatewaysSeen(unknown="not listed yet", told=False, soon=True),
        [],
        ALL_WELL,
        "as it was",
    ),
    "not listed for long": (
        (SEEN, RECORDED),
        GatewaysSeen(unknown="may not list", told=False),
        [],
        ("Unknown", "GatewaysUnknown", "Unknown", "GatewaysUnknown"),
        "may not list. ",
    ),
}


@pytest.mark.parametrize("case", REGIONS)
def test_region(case: str) -> None:
    (found, record, *blocked), gateways, steps, expected, text = REGIONS[case]
    snapshot = RegionSnapshot("local", found, (found,), record, True, ENDPOINT, NOW, gateways, *blocked)
    plan = plan_region(snapshot)
    assert names(plan) == steps
    assert plan.status is not None
    assert (*said(plan)[:2], *said(plan, "GatewaysReady")[:2]) == expected
    assert text in said(plan, "GatewaysReady")[2]
    assert plan.retry == (bool(blocked) or not gateways.told)
    if not (gateways.unknown or gateways.soon):
        assert plan.status.gateways == f"{len(gateways.ready)}/{gateways.count}"


#: Whether its record is there, whether something lives there, and what is done.
GONE = {
    "in use": (RECORDED, True, []),
    "unused": (RECORDED, False, ["DeleteRecord"]),
    "altogether": (None, False, []),
}


@pytest.mark.parametrize("case", GONE)
def test_region_that_is_gone(case: str) -> None:
    record, in_use, steps = GONE[case]
    plan = plan_region(RegionSnapshot("local", None, (), record, in_use, ENDPOINT, NOW))
    assert names(plan) == steps
    assert plan.status is None


def test_two_default_regions_are_told_whatever_gateways_there_are() -> None:
    both = (REGION, region("west"))
    plan = plan_region(RegionSnapshot("local", REGION, both, RECORDED, True, ENDPOINT, NOW))
    assert said(plan)[:2] == ("False", "DefaultRegionAmbiguous")
    assert said(plan, "GatewaysReady")[:2] == ("False", "NoGatewayFound")


#: Of a Region's `maxRecordAge`: before, as the record has it; now; until when gateways may go by a longer one.
AGES = {
    "shorter": ((86400.0, 0.0), "1h", NOW + 86400),
    "shorter for the second time": ((3600.0, NOW + 80000), "30s", NOW + 80000),
    "shorter for the second time after long": ((3600.0, NOW - 80000), "30s", NOW + 3600),
    "longer": ((3600.0, NOW + 80000), "2h", NOW + 80000),
    "the same": ((3600.0, NOW + 80000), "1h", NOW + 80000),
}


@pytest.mark.parametrize("case", AGES)
def test_region_record_tells_until_when_gateways_may_go_by_a_longer_age(case: str) -> None:
    (age, until), now, expected = AGES[case]
    before = msgspec.structs.replace(REGION_RECORD, max_record_age=age, longer_age_until=until)
    found = region(maxRecordAge=now)
    stored = StoredRecord("region-local", before, "1")
    plan = plan_region(RegionSnapshot("local", found, (found,), stored, True, ENDPOINT, NOW))
    after = next((step.record for step in plan.steps if isinstance(step, do.UpdateRecord)), before)
    assert isinstance(after, RegionRecord)
    assert (after.max_record_age, after.longer_age_until) == (found.spec.max_record_age, expected)
    assert names(plan) == ([] if case == "the same" else ["UpdateRecord"])


def test_region_record_tells_where_the_gateways_are() -> None:
    record = region_record(region())
    assert (record.service, record.service_port) == ("local", "s3")
    record = region_record(region(service={"name": "gateway", "port": "http"}))
    assert (record.service, record.service_port) == ("gateway", "http")


# Intents

DELETER = msgspec.structs.replace(KEY, grants=(Grant("photos", BUCKET_UID, ("s3:DeleteBucket",)),))

INTENTS = {
    "allowed": ({}, "delete"),
    "no record": ({"record": None}, "leave"),
    "other data": ({"data_id": "other"}, "leave"),
    "no resource": ({"bucket": None}, "reopen"),
    "going already": ({"bucket": bucket(deleting=True)}, "leave"),
    "key gone": ({"key": None}, "reopen"),
    "key revoked": ({"key": msgspec.structs.replace(DELETER, state="Revoked")}, "reopen"),
    "key expired": ({"key": msgspec.structs.replace(DELETER, not_after=NOW)}, "reopen"),
    "action not granted": ({"key": KEY}, "reopen"),
    "granted on data of an earlier bucket": (
        {"key": msgspec.structs.replace(DELETER, grants=(Grant("photos", "earlier", ("s3:DeleteBucket",)),))},
        "reopen",
    ),
    "bucket's API access revoked": ({"record": msgspec.structs.replace(RECORD, api_access="Revoked")}, "reopen"),
}


@pytest.mark.parametrize("case", INTENTS)
def test_intent(case: str) -> None:
    fields, decision = INTENTS[case]
    snapshot = IntentSnapshot(BUCKET_UID, RECORD, DELETER, bucket(), NOW)
    assert decide(replace(snapshot, **fields))[0] == decision


# Wishes

CREATES = {"allBuckets": {"actions": ["s3:GetObject", "s3:CreateBucket"]}}
CREATOR = msgspec.structs.replace(KEY, grants=(), create_buckets=True, region="local")


def creating(spec: dict[str, Any] | None = None, **more: Any) -> AccessKey:
    return resource("AccessKey", "photos", KEY_UID, CREATES if spec is None else spec, **more)


def wished_bucket(by: str = KEY.access_key_id, name: str = "new", region: str | None = None, **more: Any) -> Bucket:
    metadata = {"annotations": {"cooper.dev/created-by-key": by}, **more}
    spec = {"bucketName": name} | ({} if region is None else {"region": region})
    return resource("Bucket", "new", BUCKET_UID, spec, metadata=metadata)


RECORD_OF_NEW = msgspec.structs.replace(RECORD, name="new")
WISH = WishSnapshot(
    name="new",
    access_key_id=KEY.access_key_id,
    asked_at=NOW,
    settled=False,
    region="local",
    served=True,
    most=100,
    key=CREATOR,
    access_key=creating(),
    bucket=None,
    record=None,
    count=99,
    now=NOW,
)

#: what is different: decision, S3 error code
WISHES: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "allowed": ({}, ("make", "")),
    "too old": ({"now": NOW + 601}, ("forget", "")),
    "nearly too old": ({"now": NOW + 599}, ("make", "")),
    "settled": ({"settled": True}, ("leave", "")),
    "settled, and nobody came": ({"settled": True, "now": NOW + 121}, ("forget", "")),
    "the Region serves it no more": ({"served": False}, ("refuse", "NotImplemented")),
    "a name with a path": ({"name": "../new"}, ("refuse", "InvalidBucketName")),
    "a name that no resource can have": ({"name": "a.-b"}, ("refuse", "InvalidBucketName")),
    "a name in capitals": ({"name": "New"}, ("refuse", "InvalidBucketName")),
    "a reserved name": ({"name": "public"}, ("refuse", "InvalidBucketName")),
    "key gone": ({"key": None}, ("refuse", "KeyAccessRevoked")),
    "key revoked": ({"key": msgspec.structs.replace(CREATOR, state="Revoked")}, ("refuse", "KeyAccessRevoked")),
    "key expired": ({"key": msgspec.structs.replace(CREATOR, not_after=NOW)}, ("refuse", "KeyAccessRevoked")),
    "key of another Region": ({"key": msgspec.structs.replace(CREATOR, region="other")}, ("refuse", "AccessDenied")),
    "key without the right": (
        {"key": msgspec.structs.replace(CREATOR, create_buckets=False)},
        ("refuse", "AccessDenied"),
    ),
    "the operator's key": ({"key": msgspec.structs.replace(CREATOR, system=True)}, ("refuse", "AccessDenied")),
    "AccessKey gone": ({"access_key": None}, ("refuse", "KeyAccessRevoked")),
    "AccessKey made anew": (
        {"access_key": creating(metadata={"uid": BUCKET_UID})},
        ("refuse", "KeyAccessRevoked"),
    ),
    "AccessKey revoked, its record not yet": (
        {"access_key": creating({**CREATES, "state": "Revoked"})},
        ("refuse", "KeyAccessRevoked"),
    ),
    "AccessKey expired, its record not yet": (
        {"access_key": creating({**CREATES, "expiresAt": "2026-01-01T00:00:00Z"})},
        ("refuse", "KeyAccessRevoked"),
    ),
    "AccessKey going": (
        {"access_key": creating(metadata={"deletionTimestamp": "2027-01-15T07:00:00Z"})},
        ("refuse", "KeyAccessRevoked"),
    ),
    "right withdrawn, the record not yet": (
        {"access_key": creating({"allBuckets": {"actions": ["s3:GetObject"]}})},
        ("refuse", "AccessDenied"),
    ),
    "right in a grant on a bucket only": (
        {"access_key": creating({"grants": [{"bucket": "new", "actions": ["s3:CreateBucket"]}]})},
        ("refuse", "AccessDenied"),
    ),
    "made by it before": ({"bucket": wished_bucket(), "record": RECORD_OF_NEW}, ("made", "")),
    "made by it before, and there are many": ({"bucket": wished_bucket(), "count": 100}, ("made", "")),
    "made by another key": ({"bucket": wished_bucket("AKIAOTHER")}, ("refuse", "BucketAlreadyOwnedByYou")),
    "a Bucket in another Region": (
        {"bucket": wished_bucket(region="else", by="AKIAOTHER")},
        ("refuse", "BucketAlreadyExists"),
    ),
    "made by it before, in this Region": ({"bucket": wished_bucket(region="local")}, ("made", "")),
    "made by it before, in another Region": (
        {"bucket": wished_bucket(region="else")},
        ("refuse", "BucketAlreadyExists"),
    ),
    "a Bucket with another S3 name": ({"bucket": wished_bucket(name="else")}, ("refuse", "BucketAlreadyExists")),
    "a Bucket that goes": (
        {"bucket": wished_bucket(deletionTimestamp="2027-01-15T07:00:00Z"), "record": RECORD_OF_NEW},
        ("leave", ""),
    ),
    "the name is another Bucket's here": ({"record": RECORD_OF_NEW}, ("leave", "")),
    "the name is another namespace's": (
        {"record": msgspec.structs.replace(RECORD_OF_NEW, owner=Owner("another", "new", "uid"))},
        ("refuse", "BucketAlreadyExists"),
    ),
    "the name is that of retained data": (
        {"record": msgspec.structs.replace(RECORD_OF_NEW, retained=True)},
        ("refuse", "BucketAlreadyExists"),
    ),
    "too many Buckets": ({"count": 100}, ("refuse", "TooManyBuckets")),
}


@pytest.mark.parametrize("case", WISHES)
def test_wish(case: str) -> None:
    fields, expected = WISHES[case]
    verdict = decide_wish(replace(WISH, **fields))
    assert (verdict.decision, verdict.code) == expected
    assert verdict.why
    assert verdict.code in {"", *S3_CODES}


def test_a_bucket_that_is_wished_for_gives_nobody_anything_more() -> None:
    made = parse(wished_manifest("new", "local", CREATOR))
    assert isinstance(made, Bucket)
    assert made.metadata.namespace == CREATOR.owner.namespace
    assert not made.spec.credentials.enabled
    assert (made.spec.visibility, made.spec.adopt, made.spec.bucket_name) == ("Private", False, "new")
    assert made.spec.model_fields_set == {"bucket_name", "region", "credentials"}


@pytest.mark.parametrize(
    ("spec", "creates"),
    [
        (CREATES, True),
        ({"allBuckets": {}}, False),
        ({"grants": [{"bucket": "photos", "actions": ["s3:CreateBucket"]}]}, False),
        ({**CREATES, "grants": [{"bucket": "photos"}]}, True),
    ],
)
def test_who_may_create_buckets_says_the_record(spec: dict[str, Any], creates: bool) -> None:
    assert as_wanted(creating(spec), KEY, "local", (), newest=True).create_buckets is creates
    assert as_wanted(creating(spec), KEY, "local", (), newest=False).create_buckets is creates


def test_that_a_region_serves_creation_says_its_record() -> None:
    for features, served in (({}, False), ({"createBucket": True}, True)):
        region = resource("Region", "local", "uid", {"tag": "local", "features": features})
        assert region_record(region).create_buckets is served


# Sweep


def key_records(count: int) -> list[StoredRecord]:
    return [
        StoredRecord(f"key-{i}", msgspec.structs.replace(KEY, owner=Owner("default", "x", f"uid-{i}")), "1")
        for i in range(count)
    ]


@pytest.mark.parametrize(("orphans", "total", "halted"), [(5, 5, False), (6, 60, False), (6, 59, True), (0, 0, False)])
def test_a_sweep_halts_over_a_tenth(orphans: int, total: int, halted: bool) -> None:
    plan = plan_sweep(key_records(orphans), total)
    assert plan.halted == halted
    assert len(plan.keys) == (0 if halted else orphans)


def test_a_sweep_counts_no_key_that_is_revoked() -> None:
    revoked = [
        StoredRecord(each.name, msgspec.structs.replace(each.record, state="Revoked"), "1") for each in key_records(50)
    ]
    assert plan_sweep(revoked, 50) == Sweep(tuple(revoked), (), (), False)
    in_use = key_records(6)
    assert plan_sweep([*revoked, *in_use], 56).halted
    assert not plan_sweep([*revoked, *in_use[:5]], 56).halted


def test_a_sweep_suspects_neither_the_system_key_nor_what_is_kept() -> None:
    system = StoredRecord("key-s", msgspec.structs.replace(KEY, system=True), "1")
    kept = StoredRecord("bucket-k", msgspec.structs.replace(RECORD, retained=True, deletion_policy="Retain"), "1")
    stopped = StoredRecord("bucket-s", msgspec.structs.replace(RECORD, retained=True), "1")
    assert suspects([system, kept, RECORDED, KNOWN, stopped, CLAIM], {KEY_UID}) == [stopped, CLAIM]


def test_the_end_of_a_key_that_is_delivered_once_begins_when_its_successor_is_in_the_status() -> None:
    """The status is written after all steps, so with the next plan, which is made at once."""
    due = turned(NOW_PASSED, {**SEALED, "secretName": None}, **ONCE)
    plan = plan_access_key(key_snapshot(records=(KNOWN,), access_key=due))
    assert plan.requeue_at == NOW
    assert plan.status is not None
    assert plan.status.once is None, "the former one is not shown as the new one"


@pytest.mark.parametrize("fields", [{"state": "Revoked"}, {"expiresAt": timestamp(NOW)}])
def test_a_key_that_is_over_is_no_longer_in_the_status(fields: dict[str, Any]) -> None:
    plan = plan_access_key(key_snapshot(records=(KNOWN,), access_key=access_key(status=SEALED, **ONCE, **fields)))
    assert plan.status is not None
    assert plan.status.once is None


@pytest.mark.parametrize("last", [0, 1, NEAR_SERIALS - 1, NEAR_SERIALS, 999, 1000, SERIALS, SERIALS + 5])
def test_of_a_key_without_records_no_id_is_used_again(last: int) -> None:
    told = access_key(status={**READY, "accessKeyId": access_key_id(access_key().metadata.uid, last)})
    following = next_serial(told, [])
    assert following == last + 1 if last < NEAR_SERIALS else following > last
    assert next_serial(access_key(), []) == 0


def test_an_id_that_somebody_made_up_costs_a_look_little(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    monkeypatch.setattr(
        "cooper_operator.plan.keys.access_key_id",
        lambda uid, serial: tried.append(serial) or access_key_id(uid, serial),
    )
    assert next_serial(access_key(status={**READY, "accessKeyId": "AKIA" + "A" * 16}), []) > SERIALS
    assert len(tried) <= 1000


def test_whose_the_secret_in_the_way_is_is_told() -> None:
    theirs = replace(THEIRS, whose="Certificate web controls it")
    _, reason, message = said(plan_access_key(key_snapshot(credentials=theirs)))
    assert reason == "SecretConflict"
    assert message.startswith(
        "Secret ci is there, is not this AccessKey's and is left alone: Certificate web controls it; another name is "
        "set in spec.secretName. "
    )
