"""Are the records recent enough to decide by? Rather no answer than one that honours what may have been revoked."""

from cooper_crds.records import RegionRecord
from cooper_gateway.access.directory import Directory


class RecordsNotFresh(Exception):
    """Nothing can be decided now; the message may be told to anybody."""


def fresh_region(directory: Directory, now: float) -> RegionRecord:
    """The Region's settings, if its records were seen recently enough. `now` is in Unix seconds.

    Raises RecordsNotFresh.
    """
    region = directory.region()
    if region is None:
        raise RecordsNotFresh("This gateway has no Region yet: apply one, or wait for its record.")
    if now - directory.verified_at() > region.max_record_age:
        raise RecordsNotFresh("This gateway has not seen its records for too long.")
    return region
