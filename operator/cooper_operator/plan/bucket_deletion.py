"""Deletion of a Bucket. While objects remain nothing is taken away, so that the user can empty it with its key.

deletionPolicy Delete:  close (only when empty) -> AccessKey revoked and gone -> final: data destroyed -> record -> gone
deletionPolicy Purge:   close                   -> AccessKey revoked and gone -> final: objects removed, and as Delete
deletionPolicy Retain:  record says retained    -> AccessKey revoked and gone -> gone; data and name stay

Nothing of what a bucket holds is removed before the deletion is final, and nothing by a record that is not the Bucket's
own, which tells what data is its; its domains are given up then, too. One that it may have no longer goes at once: for
a deletion its owner can have it wait as long as he likes. Until it is final, or the resource is gone, a deletion can be
called off: plan.bucket undoes what was begun.
"""

from typing import Final

from cooper_crds.bucket import BucketStatus
from cooper_crds.meta import Binding
from cooper_crds.records import BucketRecord
from cooper_crds.stored import StoredRecord
from cooper_operator.plan import domains
from cooper_operator.plan.bucket_access_key import owned_access_key, standing
from cooper_operator.plan.bucket_purge import objects_left, progress, purge_text
from cooper_operator.plan.domains import Domains
from cooper_operator.plan.plan import Plan, Say, until_blocked
from cooper_operator.plan.reasons import BUCKET_NOT_EMPTY, DELETING, GATEWAY_UNAVAILABLE, PURGING
from cooper_operator.plan.region import Home
from cooper_operator.plan.snapshot import FINALIZER, BucketSnapshot, is_final
from cooper_operator.plan.steps import (
    CloseBucket,
    DeleteAccessKey,
    DeleteRecord,
    DestroyBucket,
    MakeDeletionFinal,
    PurgeBucket,
    RemoveFinalizer,
    Step,
    UpdateRecord,
)
from cooper_operator.plan.sweep import retained

#: The way out where nobody may ever come who could delete the data.
_WAY_OUT: Final = "; with spec.deletionPolicy Retain the Bucket goes and its data stays"
#: Longest wait between looks whether a bucket that waits for its deletion is empty, in seconds.
_EMPTY_POLL: Final = 5.0


def plan_deletion(snapshot: BucketSnapshot, home: Home, kept: BucketRecord | None) -> Plan[BucketStatus]:
    """What to do for a Bucket that is to go. `kept` is what its record would say if it stayed; None: it has none."""
    own_names = domains.not_provisioned(snapshot) if kept is None else domains.plan(snapshot, home, kept)
    if FINALIZER not in snapshot.bucket.metadata.finalizers:
        return Plan(own_names.released, None)
    if kept is None or snapshot.owned is None:
        return _finish(snapshot, home, own_names, [], [])
    others = [step for step in domains.given_up(snapshot) if step not in own_names.released]
    # Who makes a namespace of that name again is to have nothing of it. A sweep removes what is empty.
    if snapshot.bucket.spec.deletion_policy == "Retain" or snapshot.left_behind:
        return _finish(snapshot, home, own_names, _update(snapshot.owned, retained(kept)), others)
    if home.record is None:
        reason, text = home.problem or (GATEWAY_UNAVAILABLE, "the bucket's Region is not known")
        said = Say("Ready", "False", reason, f"the bucket's data cannot be deleted: {text}{_WAY_OUT}")
        return Plan(own_names.released, _status(snapshot, own_names, said), retry=True)
    final = is_final(snapshot.bucket.metadata)
    purge = snapshot.bucket.spec.deletion_policy == "Purge"
    # A purge closes the bucket itself: no need to do so each time that it goes on.
    close = [] if purge and final else [CloseBucket(home.record, kept, with_content=purge)]
    last: list[Step] = [
        *([] if final else [MakeDeletionFinal()]),
        *others,
        *([PurgeBucket(home.record, kept)] if purge else []),
        DestroyBucket(home.record, kept),
        DeleteRecord(snapshot.owned),
    ]
    return _finish(snapshot, home, own_names, [*_update(snapshot.owned, kept), *close], last)


def _update(owned: StoredRecord, record: BucketRecord) -> list[Step]:
    return [] if owned.record == record else [UpdateRecord(owned, record)]


def _finish(
    snapshot: BucketSnapshot, home: Home, own_names: Domains, first: list[Step], last: list[Step]
) -> Plan[BucketStatus]:
    """`first`, then the AccessKey; once that is gone `last`, and the resource goes."""
    first = [*own_names.released, *first]
    access_key = owned_access_key(snapshot.bucket, snapshot.access_key)
    blocked = snapshot.blocked
    if access_key is None:
        steps = until_blocked([*first, *last, RemoveFinalizer()], blocked)
        status = _blocked_status(snapshot, home, own_names)
        if blocked is not None and blocked.why == "purging" and blocked.objects != blocked.objects_before:
            return Plan(steps, status, requeue_at=snapshot.now)  # after others that wait
        return Plan(steps, status, retry=blocked is not None, retry_cap=_EMPTY_POLL)
    meta = access_key.metadata
    steps = [*first, *([DeleteAccessKey(meta.name, meta.uid)] if meta.deletion_timestamp is None else [])]
    said = _say_blocked(snapshot, home) or Say(
        "Ready", "False", DELETING, f"waiting until AccessKey {meta.name} is revoked"
    )
    status = _status(snapshot, own_names, said)
    return Plan(until_blocked(steps, blocked), status, retry=blocked is not None, retry_cap=_EMPTY_POLL)


def _blocked_status(snapshot: BucketSnapshot, home: Home, own_names: Domains) -> BucketStatus | None:
    said = _say_blocked(snapshot, home)
    return None if said is None else _status(snapshot, own_names, said)


def _say_blocked(snapshot: BucketSnapshot, home: Home) -> Say | None:
    blocked = snapshot.blocked
    if blocked is None:
        return None
    if blocked.why == "not-empty":
        count = "objects" if blocked.objects is None else f"{blocked.objects} object{'s' * (blocked.objects != 1)}"
        key = ", and its own key is revoked" if standing(snapshot).said.reason is DELETING else ""
        return Say("Ready", "False", BUCKET_NOT_EMPTY, f"deletion waits: the bucket holds {count}{key}")
    if blocked.why == "purging":
        return Say("Ready", "False", PURGING, purge_text(snapshot))
    gone = f"; Region {home.name} is not there any more{_WAY_OUT}" if home.region is None else ""
    return Say("Ready", "False", GATEWAY_UNAVAILABLE, f"deletion waits: {blocked.detail}{gone}")


def _status(snapshot: BucketSnapshot, own_names: Domains, said: Say) -> BucketStatus:
    bucket = snapshot.bucket
    before = bucket.status or BucketStatus()
    generation = bucket.metadata.generation
    objects = objects_left(snapshot)
    key = standing(snapshot)
    return before.model_copy(
        update={
            "observed_generation": generation,
            "conditions": domains.told(own_names, before, (said, key.said), snapshot.now, generation),
            "domains": own_names.held,
            "binding": None if key.secret_name is None else Binding(name=key.secret_name),
            "objects": before.objects if objects is None else objects,
            "purge": progress(snapshot),
        }
    )
