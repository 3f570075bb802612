"""ListBuckets: only the buckets that the key may use."""

from cooper_gateway.access.principals import KeyHolder
from cooper_gateway.operations.call import Call
from cooper_gateway.operations.markup import OWNER, document, iso_time, text
from cooper_gateway.operations.paging import read_limit
from cooper_gateway.protocol.messages import Response

#: "MaxBuckets: Valid Range: Minimum value of 1. Maximum value of 10000."
_MAX_BUCKETS = 10_000
#: The store keeps no creation time; clients need a date to be there.
_CREATED = iso_time(0)


def _usable(call: Call) -> list[str]:
    """Names of the buckets of the key's grants that are there, in order."""
    if not isinstance(call.principal, KeyHolder):
        return []
    names: set[str] = set()
    for grant in call.principal.key.grants:
        record = call.directory.bucket(grant.bucket)
        if record is not None and not record.retained and record.data_id == grant.data_id:
            names.add(record.name)
    return sorted(names)


async def list_buckets(call: Call) -> Response:
    """The buckets of the key's grants; in pages when max-buckets asks for it."""
    query = call.request.query
    prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
    limit = read_limit(query, "max-buckets", _MAX_BUCKETS, least=1)
    region = query.get("bucket-region")
    found = [name for name in _usable(call) if name.startswith(prefix) and name > after]
    if region is not None and region != call.region.tag:
        found = []
    page = found[:limit]
    buckets = "".join(
        f"<Bucket><Name>{name}</Name><CreationDate>{_CREATED}</CreationDate>"
        f"<BucketRegion>{text(call.region.tag)}</BucketRegion></Bucket>"
        for name in page
    )
    token = f"<ContinuationToken>{page[-1]}</ContinuationToken>" if len(found) > limit else ""
    shown = f"<Prefix>{text(prefix)}</Prefix>" if prefix else ""
    return document("ListAllMyBucketsResult", f"{OWNER}<Buckets>{buckets}</Buckets>{token}{shown}")
