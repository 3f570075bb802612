"""How far the purge of a Bucket has come, as its status tells it. Nothing is decided by it: gateways know what is left.

A purge goes on in shares of a tenth of a second. Told after each, that of a large bucket would be thousands of writes:
it is told again when it has come a hundredth of its way further.
"""

from typing import Final

from cooper_crds.bucket import PurgeProgress
from cooper_operator.plan.snapshot import BucketSnapshot

_TOLD_TIMES: Final = 100


def progress(snapshot: BucketSnapshot) -> PurgeProgress | None:
    """What `status.purge` is to say; None: there is no purge."""
    bucket, blocked = snapshot.bucket, snapshot.blocked
    if bucket.spec.deletion_policy != "Purge":
        return None
    told = None if bucket.status is None else bucket.status.purge
    if blocked is None or blocked.why != "purging" or blocked.objects is None:
        return told
    total = max(blocked.objects_before, 0 if told is None else told.objects_total)
    done = total - blocked.objects
    if told is not None and told.objects_total == total and 0 <= done - told.objects_done < total / _TOLD_TIMES:
        return told
    return PurgeProgress(objects_done=done, objects_total=total)


def objects_left(snapshot: BucketSnapshot) -> int | None:
    """What `status.objects` is to say of a bucket that is being deleted; None: what it said."""
    blocked, so_far = snapshot.blocked, progress(snapshot)
    if blocked is not None and blocked.why == "purging" and so_far is not None:
        return so_far.objects_total - so_far.objects_done
    return None if blocked is None else blocked.objects


def purge_text(snapshot: BucketSnapshot) -> str:
    """The same for people."""
    so_far = progress(snapshot)
    if so_far is None or not so_far.objects_total:
        return "uploads that were never completed are being removed"
    total = so_far.objects_total
    return f"{so_far.objects_total - so_far.objects_done} of {total} object{'s' * (total != 1)} are left to be removed"
