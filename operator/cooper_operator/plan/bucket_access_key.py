"""The AccessKey that a Bucket brings along: made, kept as the Bucket says, never taken from anybody."""

from dataclasses import dataclass
from typing import Any

from cooper_crds.access_key import AccessKey, AccessKeySpec
from cooper_crds.bucket import Bucket, BucketCredentials
from cooper_crds.conditions import Condition, find_condition
from cooper_crds.meta import API_VERSION
from cooper_crds.rotation import ROTATE_AT
from cooper_operator.plan.plan import Say
from cooper_operator.plan.reasons import (
    ACCESS_KEY_CONFLICT,
    ACCESS_KEY_REFUSED,
    CREDENTIALS_DISABLED,
    CREDENTIALS_WORK,
    DELETING,
    EXPIRED,
    REASONS,
    REVOKED,
    WAITING_FOR_ACCESS_KEY,
    Reason,
)
from cooper_operator.plan.rotation import OF_ROTATION
from cooper_operator.plan.snapshot import FINALIZER, Blocked, BucketSnapshot
from cooper_operator.plan.steps import CreateAccessKey, DeleteAccessKey, Step, UpdateAccessKey


@dataclass(frozen=True, slots=True)
class Credentials:
    """What to do about a Bucket's AccessKey, and how its credentials stand."""

    steps: tuple[Step, ...]
    said: Say
    secret_name: str | None  # of the Secret that holds a key that works
    troubles: tuple[Say, ...] = ()  # what the AccessKey says of its rotation and roll-out that somebody has to mend


def owned_access_key(bucket: Bucket, found: AccessKey | None) -> AccessKey | None:
    """The AccessKey when this Bucket controls it (by UID), else None."""
    if found is None:
        return None
    controllers = [owner.uid for owner in found.metadata.owner_references if owner.controller]
    return found if controllers == [bucket.metadata.uid] else None


def manifest(bucket: Bucket, region: str) -> dict[str, Any]:
    """The Bucket's AccessKey as it is created: controlled by the Bucket, with the finalizer from the start."""
    meta = bucket.metadata
    owner = {
        "apiVersion": API_VERSION,
        "kind": "Bucket",
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    spec = {name: value for name, value in _managed_spec(bucket).items() if value is not None}
    return {
        "apiVersion": API_VERSION,
        "kind": "AccessKey",
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "finalizers": [FINALIZER],
            "ownerReferences": [owner],
        },
        "spec": {"region": region, **spec},
    }


def plan(snapshot: BucketSnapshot, region: str, hold: bool) -> Credentials:
    """Bring the AccessKey to what the Bucket says. `hold`: change nothing of it, only say how it stands."""
    bucket, found = snapshot.bucket, snapshot.access_key
    ours = owned_access_key(bucket, found)
    if not bucket.spec.credentials.enabled:
        steps = (DeleteAccessKey(ours.metadata.name, ours.metadata.uid),) if ours is not None and _lives(ours) else ()
        return Credentials(steps, _disabled(ours), None)
    if found is not None and ours is None:
        text = f"AccessKey {found.metadata.name} is there and is not this Bucket's"
        return Credentials((), Say("CredentialsReady", "False", ACCESS_KEY_CONFLICT, text), None)
    if ours is None:
        steps = () if hold else (CreateAccessKey(manifest(bucket, region)),)
        name = bucket.metadata.name
        said = _refused(name, snapshot.blocked) or _waiting(f"AccessKey {name} is being made")
        return Credentials(steps, said, None)
    return _standing(bucket, ours, hold, snapshot.blocked)


def standing(snapshot: BucketSnapshot) -> Credentials:
    """How the AccessKey of a Bucket that is being deleted stands. Nothing is done about it."""
    bucket, found = snapshot.bucket, snapshot.access_key
    ours = owned_access_key(bucket, found)
    if bucket.spec.credentials.enabled and (found is None or (ours is not None and not _lives(ours))):
        left = "is being revoked" if ours is not None else "is gone"
        said = Say("CredentialsReady", "False", DELETING, f"AccessKey {bucket.metadata.name} {left}")
        return Credentials((), said, None)
    return plan(snapshot, "", hold=True)


def _disabled(ours: AccessKey | None) -> Say:
    """A key that goes is in use until every gateway refuses it: no word that there is none before."""
    if ours is None:
        return Say("CredentialsReady", "False", CREDENTIALS_DISABLED)
    text = f"spec.credentials.enabled is false: AccessKey {ours.metadata.name} is being revoked"
    return Say("CredentialsReady", "False", DELETING, text)


def _lives(access_key: AccessKey) -> bool:
    return access_key.metadata.deletion_timestamp is None


def _waiting(text: str) -> Say:
    return Say("CredentialsReady", "False", WAITING_FOR_ACCESS_KEY, text)


def _refused(name: str, blocked: Blocked | None) -> Say | None:
    if blocked is None or blocked.step not in (CreateAccessKey, UpdateAccessKey):
        return None
    return Say("CredentialsReady", "False", ACCESS_KEY_REFUSED, f"AccessKey {name}: {blocked.detail}")


def _standing(bucket: Bucket, ours: AccessKey, hold: bool, blocked: Blocked | None) -> Credentials:
    """How an AccessKey that is ours stands; its spec is put back where it differs from what the Bucket says."""
    if not _lives(ours):
        text = f"AccessKey {ours.metadata.name} is being deleted; a new one follows"
        return Credentials((), _waiting(text), None)
    wanted, annotations = _managed_spec(bucket), _annotations(bucket)
    if not hold and (_managed_of(ours) != wanted or not annotations.items() <= ours.metadata.annotations.items()):
        meta = ours.metadata
        steps: tuple[Step, ...] = (UpdateAccessKey(meta.name, meta.uid, meta.resource_version, wanted, annotations),)
        if _managed_of(ours) == wanted and not blocked:  # when to rotate changes nothing of what works
            return Credentials(steps, *_stands(ours), _troubles(ours))
        said = _refused(meta.name, blocked) or _waiting(f"AccessKey {meta.name} is being changed")
        return Credentials(steps, said, None, _troubles(ours))
    return Credentials((), *_stands(ours), _troubles(ours))


def _troubles(ours: AccessKey) -> tuple[Say, ...]:
    """People look at the Bucket, where the annotation and `restart` are."""
    found = ours.status.conditions if ours.status is not None else []
    mine = [(each, REASONS[each.reason]) for each in found if each.type in OF_ROTATION and each.reason in REASONS]
    return tuple(
        Say(each.type, each.status, reason, f"AccessKey {ours.metadata.name}: {_without_advice(each.message, reason)}")
        for each, reason in mine
        if reason.severity == "Warning"
    )


def _stands(ours: AccessKey) -> tuple[Say, str | None]:
    """How the AccessKey is, and the name of its Secret where that holds a key that works."""
    ready = find_condition(ours.status.conditions if ours.status is not None else [], "Ready")
    if ready is None or ready.observed_generation != ours.metadata.generation:
        # In the words of the plan that made or changed it: no write of status for another word.
        doing = "made" if ready is None else "changed"
        return _waiting(f"AccessKey {ours.metadata.name} is being {doing}"), None
    secret_name = ours.status.secret_name if ours.status is not None and ready.status == "True" else None
    return _as_the_key_says(ours, ready), secret_name


def _as_the_key_says(ours: AccessKey, ready: Condition) -> Say:
    name = ours.metadata.name
    if ready.status == "True":
        return Say("CredentialsReady", "True", CREDENTIALS_WORK, f"AccessKey {name} is delivered and works")
    reason = REASONS.get(ready.reason, WAITING_FOR_ACCESS_KEY)
    text = f"AccessKey {name}: {_without_advice(ready.message, reason)}"
    if reason in (REVOKED, EXPIRED):  # as its user wanted, and the Bucket has no credentials until he wants otherwise
        text = f"{text}. {reason.advice}"
    return Say("CredentialsReady", "False", reason, text)


def _without_advice(message: str, reason: Reason) -> str:
    return message.removesuffix(reason.advice).rstrip(". ")


def _managed_spec(bucket: Bucket) -> dict[str, Any]:
    """Fields of the AccessKey's spec that the Bucket decides. Others (state, expiresAt) are its user's."""
    credentials = bucket.spec.credentials
    grants = [{"bucket": bucket.metadata.name, "actions": list(credentials.actions)}]
    return {"grants": grants, "allBuckets": None, **_shared(credentials)}


def _annotations(bucket: Bucket) -> dict[str, str]:
    """The Bucket's word on when its key is rotated, where it has one: else the AccessKey's own stands."""
    at = bucket.metadata.annotations.get(ROTATE_AT)
    return {} if at is None else {ROTATE_AT: at}


def _managed_of(access_key: AccessKey) -> dict[str, Any]:
    spec = access_key.spec
    grants = [grant.model_dump(by_alias=True, exclude_none=True) for grant in spec.grants or ()]
    every = spec.all_buckets and spec.all_buckets.model_dump(by_alias=True)
    return {"grants": grants, "allBuckets": every, **_shared(spec)}


def _shared(asked: BucketCredentials | AccessKeySpec) -> dict[str, Any]:
    """What is asked of the key and its Secret: the same fields in both. Those that say nothing are None."""
    keys = None if asked.secret_keys is None else asked.secret_keys.model_dump(by_alias=True, exclude_none=True)
    return {
        "allowedNetworks": asked.allowed_networks,
        "secretName": asked.secret_name,
        "secretProfiles": list(asked.secret_profiles),
        "secretKeys": keys or None,
        "rotation": asked.rotation and asked.rotation.model_dump(by_alias=True, exclude_none=True),
        "restart": [each.model_dump(by_alias=True) for each in asked.restart or ()] or None,
    }
