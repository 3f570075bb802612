"""What the silence of a gateway proves, which is also that of one that answers no more than 503. Pure.

A gateway answers 503 to everything once its records are older than its Region's `max_record_age`. So whatever it last
read, from that long after a revocation was written it either knows of the revocation or is too old to serve.

The time runs from the revocation, not from when the operator last heard of the gateway: that one may have gone on
reading records from the API, and serving by them, long after the operator could reach it for the last time. What it
cannot do is read records that are younger than the revocation, and not see it.
"""

from dataclasses import dataclass
from typing import Final

from cooper_crds.fields import timestamp
from cooper_crds.records import KeyRecord, RegionRecord

#: Seconds. The time in a tombstone is that of a decision: the write came somewhat later, and operators that follow one
#: another have clocks of their own.
MARGIN: Final = 60.0


@dataclass(frozen=True, slots=True)
class Silence:
    """`refuses`: who is silent refuses whatever is asked about. Else `until` may tell when that will be, in words."""

    refuses: bool = False
    until: str = ""


#: Of most questions: who does not answer has not answered.
NO_ANSWER: Final = Silence()


def silence_about(key: KeyRecord, region: RegionRecord, now: float) -> Silence:
    """What silence about a key proves. `now` is Unix seconds.

    `region` is as its gateways were told; one that has not read the latest record goes by the former.
    """
    if key.state != "Revoked" or key.revoked_at is None:
        return NO_ANSWER
    refused_from = max(key.revoked_at + region.max_record_age, region.longer_age_until) + MARGIN
    if now >= refused_from:
        return Silence(refuses=True)
    return Silence(until=f" (waited for until {timestamp(refused_from)})")
