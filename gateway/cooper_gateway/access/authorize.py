"""The one choke point: may this principal do this action here? Pure; the record and the clock are arguments.

The signature was verified before anything here runs, so that only the holder of a secret learns its key's state.
"""

from collections.abc import Sequence

from cooper_crds.actions import CREATE_BUCKET, GET_OBJECT, GRANTABLE_ACTIONS, LIST_BUCKET, OPERATE
from cooper_crds.records import BucketRecord, Grant, KeyRecord, RegionRecord, spent
from cooper_gateway.access.directory import Directory
from cooper_gateway.access.freshness import RecordsNotFresh, fresh_region
from cooper_gateway.access.networks import within
from cooper_gateway.access.principals import Anonymous, KeyHolder, Principal

DENIED = "AccessDenied"
REVOKED = "KeyAccessRevoked"
GONE = "NoSuchBucket"
ELSEWHERE = "NetworkNotAllowed"
TOO_OLD = "ServiceUnavailable"


def authorize(
    principal: Principal,
    action: str | None,
    bucket_name: str | None,
    bucket: BucketRecord | None,
    now: float,
    place: bytes | None = None,
) -> str | None:
    """Decide one request: None when it is allowed, else the S3 error code.

    `action` None (listing one's buckets, asking for one) is open to any valid key. `bucket` is the record of
    `bucket_name`, None when there is none. `now` is in Unix seconds. `place` is the object's name, or the prefix of a
    listing: empty is all of the bucket, and None asks whether there is any place where the action is allowed.
    """
    if isinstance(principal, Anonymous):
        return _anonymous(action, bucket)
    key = principal.key
    if spent(key, now):
        return REVOKED
    if key.system or action == OPERATE:
        return _operate(key, action, bucket_name, bucket)
    if action == CREATE_BUCKET:  # about no bucket that is there, so no grant on one gives it
        code = None if key.create_buckets else DENIED
    else:
        code = None if action is None else _granted(key, action, bucket_name, bucket, place)
    # Last, so that a key shows from everywhere what is refused to it anyway: the operator looks from where it is.
    if code is None and key.networks and not within(principal.address, key.networks):
        return ELSEWHERE
    return code


def may_know_vacancy(
    principal: Principal, region: RegionRecord, bucket_name: str | None, bucket: BucketRecord | None, now: float
) -> bool:
    """Whether there is no bucket of that name and this principal may be told so; if not, the answer is AccessDenied.

    Who may create it would find out by that, and clients look before they do.
    """
    if not region.create_buckets or bucket_name is None or bucket is not None:
        return False
    return authorize(principal, CREATE_BUCKET, bucket_name, None, now) is None


def may_know_absence(principal: Principal, bucket: BucketRecord, name: bytes | None) -> bool:
    """Whether this principal may be told that an object is missing; if not, the answer is AccessDenied.

    "If you have the s3:ListBucket permission on the bucket, Amazon S3 returns an HTTP status code 404 (Not Found)
    error. If you don't have the s3:ListBucket permission, Amazon S3 returns an HTTP status code 403" (S3 API Reference,
    GetObject)
    """
    if not isinstance(principal, KeyHolder):
        return False
    return any(
        grant.is_on(bucket) and LIST_BUCKET in grant.actions and _covers(grant, name) for grant in principal.key.grants
    )


def denial(principal: Principal, action: str | None, bucket: str | None) -> str | None:
    """What to say of DENIED: which action the key lacks, and where. None where there is nothing more to say.

    It follows from the request and from nothing else, so that a bucket of somebody else and one that is not there look
    alike. Strangers are told nothing, and nobody of what cannot be granted.
    """
    if not isinstance(principal, KeyHolder) or principal.key.system or action not in GRANTABLE_ACTIONS:
        return None
    if action == CREATE_BUCKET:
        return f"Access denied: the access key is not granted {action} on all buckets of its namespace."
    where = "" if bucket is None else f" on bucket {bucket}, or on this part of it"
    return f"Access denied: the access key is not granted {action}{where}."


def unknown_absence(principal: Principal) -> str | None:
    """What to say to a key that may read and is not told what is missing."""
    if not isinstance(principal, KeyHolder) or principal.key.system:
        return None
    return f"Access denied: whether an object is missing is told only to a key that is granted {LIST_BUCKET} there."


def recheck(
    directory: Directory,
    access_key_id: str,
    address: str,
    action: str,
    data_id: bytes,
    places: Sequence[bytes],
    now: float,
) -> str | None:
    """Decide again inside a commit, from the records as they are now: None, or the S3 error code.

    `address` is from where the request came; `data_id` is the 16 bytes that name the bucket's data, `places` are the
    objects that are written to. An empty `access_key_id` is the anonymous principal, which may never write.
    """
    if not access_key_id:
        return DENIED
    try:
        region = fresh_region(directory, now)
    except RecordsNotFresh:
        return TOO_OLD
    key = directory.key(access_key_id)
    if key is None:  # the tombstone is gone too: it was a key when the request began
        return REVOKED
    if key.system or action == OPERATE:
        return REVOKED if spent(key, now) else _operate(key, action, None, None)
    if action == CREATE_BUCKET:
        return authorize(KeyHolder(key, address), action, None, None, now) if region.create_buckets else DENIED
    name = next((grant.bucket for grant in key.grants if _data_bytes(grant.data_id) == data_id), None)
    if name is None:
        return REVOKED if spent(key, now) else DENIED
    bucket = directory.bucket(name)
    if bucket is not None and _data_bytes(bucket.data_id) != data_id:
        return GONE
    holder = KeyHolder(key, address)
    return next((code for place in places if (code := authorize(holder, action, name, bucket, now, place))), None)


def _anonymous(action: str | None, bucket: BucketRecord | None) -> str | None:
    """Strangers read objects of public buckets; a missing and a private bucket look alike to them."""
    if action == GET_OBJECT and bucket is not None and bucket.visibility == "Public" and not bucket.retained:
        return None
    return DENIED


def _operate(key: KeyRecord, action: str | None, bucket_name: str | None, bucket: BucketRecord | None) -> str | None:
    """The operator's key operates and does nothing else; nobody else operates. Retained buckets can be operated on."""
    if not key.system or action != OPERATE:
        return DENIED
    return GONE if bucket_name is not None and bucket is None else None


def _granted(
    key: KeyRecord, action: str, bucket_name: str | None, bucket: BucketRecord | None, place: bytes | None
) -> str | None:
    """Grants are on a bucket's name and data: one made for an earlier bucket of the same name is worth nothing."""
    found = covered = False
    for grant in key.grants:
        if grant.bucket == bucket_name and (bucket is None or grant.data_id == bucket.data_id):
            found = True
            covered = covered or (action in grant.actions and _covers(grant, place))
    if not found:
        return DENIED
    if bucket is None or bucket.retained:
        return GONE
    if bucket.api_access == "Revoked":
        return REVOKED
    return None if covered else DENIED


def _covers(grant: Grant, place: bytes | None) -> bool:
    """Whether a place lies within the prefixes of a grant; one without prefixes is on the whole bucket."""
    return place is None or not grant.prefixes or place.startswith(tuple(map(str.encode, grant.prefixes)))


def _data_bytes(data_id: str) -> bytes:
    """The 16 bytes of a UUID's text; empty, which matches nothing, when it is not one."""
    try:
        return bytes.fromhex(data_id.replace("-", ""))
    except ValueError:
        return b""
