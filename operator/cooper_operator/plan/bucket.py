"""A Bucket: claim its S3 name, keep its record, bring along its AccessKey, and say how it stands."""

from cooper_crds.bucket import Bucket, BucketStatus
from cooper_crds.conditions import drop_conditions
from cooper_crds.cors import CorsRule
from cooper_crds.fields import unix_seconds
from cooper_crds.meta import Binding
from cooper_crds.names import bucket_name_problem, bucket_record_name
from cooper_crds.records import BucketRecord, Owner
from cooper_crds.records import CorsRule as RecordedRule
from cooper_crds.stored import StoredRecord
from cooper_operator.plan import adoption, bucket_access_key, bucket_api_access, bucket_deletion, domains
from cooper_operator.plan.bucket_access_key import Credentials
from cooper_operator.plan.bucket_api_access import ApiAccess
from cooper_operator.plan.domains import Domains
from cooper_operator.plan.plan import Plan, Say, until_blocked
from cooper_operator.plan.reasons import (
    API_ACCESS_REVOKED,
    BUCKET_NAME_CHANGED,
    BUCKET_SERVED,
    GATEWAY_UNAVAILABLE,
    INVALID_BUCKET_NAME,
    NAME_TAKEN,
    NOT_PROVISIONED,
    PROVISIONED,
    RECORD_MISSING,
    REGION_CHANGED,
    WAITING_TO_ADOPT,
    Reason,
)
from cooper_operator.plan.region import Home, find_home
from cooper_operator.plan.rotation import OF_ROTATION
from cooper_operator.plan.snapshot import FINALIZER, BucketSnapshot, BucketUsage, Surroundings, was_recalled
from cooper_operator.plan.steps import AddFinalizer, CreateRecord, EndRecall, ReopenBucket, Step, UpdateRecord

_Problem = tuple[Reason, str]


def wanted_region(bucket: Bucket, owned: StoredRecord | None) -> str | None:
    """Name of the Region to look for: where the data lies once there is some, else what the spec says."""
    if owned is None or not isinstance(owned.record, BucketRecord):
        return bucket.spec.region
    told = bucket.status.region if bucket.status is not None else None
    return owned.record.region or told or bucket.spec.region


def wanted_name(bucket: Bucket, around: Surroundings, owned: StoredRecord | None) -> str | None:
    """S3 name that the bucket asks for; None when its Region, whose template makes it, is not known."""
    if bucket.spec.bucket_name is not None:
        return bucket.spec.bucket_name
    region = find_home(wanted_region(bucket, owned), around).region
    return None if region is None else region.spec.bucket_name(bucket.metadata.namespace, bucket.metadata.name)


def wanted_record(
    bucket: Bucket, name: str, region: str, before: BucketRecord | None = None, namespace_uid: str = ""
) -> BucketRecord:
    """What the bucket's record is to say; `before`: what it says, or what that says which is taken over."""
    meta, spec = bucket.metadata, bucket.spec
    known = before.namespace_uid if before is not None and before.owner.uid == meta.uid else ""
    return BucketRecord(
        name=name,
        data_id=meta.uid if before is None else before.data_id,
        owner=Owner(meta.namespace, meta.name, meta.uid),
        region=region,
        visibility=spec.visibility,
        api_access=spec.api_access,
        access_generation=_access_generation(bucket, before),
        max_object_size=spec.max_object_size,
        max_objects=None if spec.quota is None else spec.quota.max_objects,
        max_size=None if spec.quota is None else spec.quota.max_size,
        content_types=tuple(spec.allowed_content_types or ()),
        cors=tuple(map(_cors_rule, spec.cors or ())),
        created=0 if meta.creation_timestamp is None else int(unix_seconds(meta.creation_timestamp)),
        namespace_uid=known or namespace_uid,
        deletion_policy=spec.deletion_policy,
    )


def _access_generation(bucket: Bucket, before: BucketRecord | None) -> int:
    """Grows at each change, also where another Bucket has taken the data over, whose generations begin anew."""
    if before is None:
        return bucket.metadata.generation or 0
    if before.api_access == bucket.spec.api_access:
        return before.access_generation
    return max(bucket.metadata.generation or 0, before.access_generation + 1)


def _cors_rule(rule: CorsRule) -> RecordedRule:
    return RecordedRule(
        origins=tuple(rule.allowed_origins),
        methods=tuple(rule.allowed_methods),
        headers=tuple(rule.allowed_headers or ()),
        exposed=tuple(rule.expose_headers or ()),
        max_age=None if rule.max_age is None else int(rule.max_age),
    )


def record_of(found: StoredRecord | None, uid: str) -> BucketRecord | None:
    """The bucket record in `found` when it was made for the resource with this UID."""
    if found is not None and isinstance(found.record, BucketRecord) and found.record.owner.uid == uid:
        return found.record
    return None


def proof_due(bucket: Bucket, owned: StoredRecord | None) -> bool:
    """Whether a key will be needed to prove how the bucket's API access stands."""
    record = record_of(owned, bucket.metadata.uid)
    if record is None or bucket.metadata.deletion_timestamp is not None:
        return False
    return not bucket_api_access.noted(bucket) or record != wanted_record(bucket, record.name, record.region, record)


def plan_bucket(snapshot: BucketSnapshot) -> Plan[BucketStatus]:
    """What to do for a Bucket, and what to say about it."""
    bucket = snapshot.bucket
    home = find_home(wanted_region(bucket, snapshot.owned), snapshot.around)
    if bucket.metadata.deletion_timestamp is not None:
        return bucket_deletion.plan_deletion(snapshot, home, _kept_record(snapshot, home))
    first: list[Step] = [] if FINALIZER in bucket.metadata.finalizers else [AddFinalizer()]
    problem = _problem(snapshot, home)
    if snapshot.owned is None and problem is not None:
        return _not_provisioned(snapshot, first, home, problem)
    record_steps, record = _record_steps(snapshot, home)
    own_names = domains.plan(snapshot, home, record)
    # Records that are there before all else: a resource that somebody has filled to the brim cannot be written to.
    bucket_steps = [*first, *record_steps] if snapshot.owned is None else [*record_steps, *first]
    steps = [*own_names.released, *bucket_steps, *own_names.claims]
    steps += _reopening(snapshot, home, record)
    problem = problem or _not_reopened(snapshot)
    key = bucket_access_key.plan(snapshot, home.name, problem is not None)
    api_access = bucket_api_access.plan(snapshot, home, record, bool(record_steps))
    steps += [*key.steps, *api_access.steps]
    status = _status(snapshot, home, record, problem, key, api_access, own_names)
    return Plan(until_blocked(steps, snapshot.blocked), status, retry=snapshot.blocked is not None or own_names.again)


def _reopening(snapshot: BucketSnapshot, home: Home, record: BucketRecord) -> list[Step]:
    """After a deletion that was called off. Where no gateway can be asked the bucket stays closed until one can."""
    if not was_recalled(snapshot.bucket.metadata) or home.record is None:
        return []
    return [ReopenBucket(home.record, record), EndRecall()]


def _not_reopened(snapshot: BucketSnapshot) -> _Problem | None:
    blocked = snapshot.blocked
    if blocked is None or blocked.step is not ReopenBucket:
        return None
    return GATEWAY_UNAVAILABLE, f"the deletion was called off; the bucket may still be closed: {blocked.detail}"


def _problem(snapshot: BucketSnapshot, home: Home) -> _Problem | None:
    """The first thing that keeps the bucket from being as its spec says."""
    bucket, owned, claim = snapshot.bucket, snapshot.owned, snapshot.claim
    if home.problem is not None:
        return home.problem
    if owned is not None:
        return _changed(bucket, home, owned)
    name = wanted_name(bucket, snapshot.around, owned) or ""
    if text := bucket_name_problem(name):
        return INVALID_BUCKET_NAME, f"the S3 name {name!r}: {text}"
    if claim is not None and record_of(claim, bucket.metadata.uid) is None:
        return adoption.taken_problem(snapshot, home, name)
    if bucket.status is not None and bucket.status.adopted is not None:
        return RECORD_MISSING, f"the record of the bucket {name}, whose data was taken over, is gone"
    return None


def _changed(bucket: Bucket, home: Home, owned: StoredRecord) -> _Problem | None:
    if bucket.spec.region is not None and bucket.spec.region != home.name:
        return REGION_CHANGED, f"the bucket's data lies in Region {home.name}"
    name = owned.record.name if isinstance(owned.record, BucketRecord) else ""
    if bucket.spec.bucket_name is not None and bucket.spec.bucket_name != name:
        return BUCKET_NAME_CHANGED, f"the bucket was provisioned as {name}"
    return None


def _not_provisioned(snapshot: BucketSnapshot, steps: list[Step], home: Home, problem: _Problem) -> Plan[BucketStatus]:
    bucket = snapshot.bucket
    before = bucket.status or BucketStatus()
    generation = bucket.metadata.generation
    own_names = domains.not_provisioned(snapshot)
    said = (
        Say("Ready", "False", *problem),
        Say("Provisioned", "False", *problem),
        Say("CredentialsReady", "False", NOT_PROVISIONED, "the bucket is not provisioned"),
    )
    status = BucketStatus(
        observed_generation=generation,
        conditions=domains.told(own_names, before, said, snapshot.now, generation),
        region=home.name if home.region is not None else None,
        adopted=before.adopted,  # the bucket is not to begin anew with other data
    )
    # Another's claim is no resource that could wake this one when it is given up: look again.
    retry = problem[0] in (NAME_TAKEN, WAITING_TO_ADOPT) or snapshot.blocked is not None
    return Plan((*own_names.released, *steps), status, retry=retry)


def _kept_record(snapshot: BucketSnapshot, home: Home) -> BucketRecord | None:
    """What the bucket's own record is to say, under the name it has; None when it has none."""
    bucket = snapshot.bucket
    owned = record_of(snapshot.owned, bucket.metadata.uid)
    if owned is None:
        return None
    return wanted_record(bucket, owned.name, owned.region or home.name, owned, snapshot.namespace_uid)


def _record_steps(snapshot: BucketSnapshot, home: Home) -> tuple[list[Step], BucketRecord]:
    kept = _kept_record(snapshot, home)
    if kept is None or snapshot.owned is None:
        name = wanted_name(snapshot.bucket, snapshot.around, None) or ""
        former = adoption.inherited(snapshot, home)
        record = wanted_record(snapshot.bucket, name, home.name, former, snapshot.namespace_uid)
        if former is not None:
            return adoption.adoption_steps(snapshot, home, former, record), record
        return [CreateRecord(bucket_record_name(name), record)], record
    if snapshot.owned.record != kept:
        return [UpdateRecord(snapshot.owned, kept)], kept
    return [], kept


def _status(
    snapshot: BucketSnapshot,
    home: Home,
    record: BucketRecord,
    problem: _Problem | None,
    key: Credentials,
    api_access: ApiAccess,
    own_names: Domains,
) -> BucketStatus:
    bucket = snapshot.bucket
    before = bucket.status or BucketStatus()
    generation = bucket.metadata.generation
    taken_over = adoption.adopted(bucket, record, snapshot.now)
    with_data = "" if taken_over is None else ", with data that was taken over"
    provisioned = Say("Provisioned", "True", PROVISIONED, f"the bucket {record.name} is there{with_data}")
    said = (_ready(bucket, problem, key, api_access.problem), provisioned, key.said, api_access.said, *key.troubles)
    kept = drop_conditions(before.conditions, *(OF_ROTATION - {each.type for each in key.troubles}))
    before = before.model_copy(update={"conditions": kept})
    usage = snapshot.usage
    if snapshot.owned is None and taken_over is None:
        usage = BucketUsage(0, 0)  # what is claimed just now holds nothing: to say so later would be another write
    return BucketStatus(
        observed_generation=generation,
        conditions=domains.told(own_names, before, said, snapshot.now, generation),
        bucket_name=record.name,
        region=home.name or before.region,
        endpoint=home.endpoint or before.endpoint,
        domains=own_names.held,
        objects=before.objects if usage is None else usage.objects,
        size=before.size if usage is None else usage.size,
        binding=None if key.secret_name is None else Binding(name=key.secret_name),
        adopted=taken_over,
    )


def _ready(bucket: Bucket, problem: _Problem | None, key: Credentials, no_access: _Problem | None) -> Say:
    if problem is not None:
        return Say("Ready", "False", *problem)
    if bucket.spec.api_access == "Revoked":
        return Say("Ready", "False", API_ACCESS_REVOKED, "spec.apiAccess is Revoked: every key is refused")
    if no_access is not None:
        return Say("Ready", "False", *no_access)
    if key.said.status == "True" or not bucket.spec.credentials.enabled:
        key_works = ", and every gateway accepted its key" if key.said.status == "True" else ""
        return Say("Ready", "True", BUCKET_SERVED, f"the bucket is there{key_works}")
    return Say("Ready", "False", key.said.reason, key.said.message)
