"""ListBuckets: only the buckets that the key may use."""

from cooper_crds.records import RECORD_DIGEST, BucketRecord, record_digest
from cooper_gateway.access.principals import KeyHolder
from cooper_gateway.operations.call import Call
from cooper_gateway.operations.markup import OWNER, document, iso_time, text
from cooper_gateway.operations.paging import read_limit
from cooper_gateway.protocol.messages import Response

#: "MaxBuckets: Valid Range: Minimum value of 1. Maximum value of 10000."
_MAX_BUCKETS = 10_000


def _usable(call: Call) -> list[BucketRecord]:
    """The buckets of the key's grants that are there, in order of their names."""
    if not isinstance(call.principal, KeyHolder):
        return []
    found: dict[str, BucketRecord] = {}
    for grant in call.principal.key.grants:
        record = call.directory.bucket(grant.bucket)
        if record is not None and not record.retained and record.data_id == grant.data_id:
            found[record.name] = record
    return [found[name] for name in sorted(found)]


#: Grants of a key that are looked through without letting other requests of the worker come in between.
_AT_ONCE = 64


def now_list_buckets(call: Call) -> Response | None:
    """The same at once; None for a key of so many grants that other requests are not to wait for it."""
    if isinstance(call.principal, KeyHolder) and len(call.principal.key.grants) > _AT_ONCE:
        return None
    return _listed(call)


async def list_buckets(call: Call) -> Response:
    """The buckets of the key's grants; in pages when max-buckets asks for it."""
    return _listed(call)


def _listed(call: Call) -> Response:
    query = call.request.query
    prefix, after = query.get("prefix", ""), query.get("continuation-token", "")
    limit = read_limit(query, "max-buckets", _MAX_BUCKETS, least=1)
    region = query.get("bucket-region")
    found = [each for each in _usable(call) if each.name.startswith(prefix) and each.name > after]
    if region is not None and region != call.region.tag:
        found = []
    page = found[:limit]
    buckets = "".join(
        f"<Bucket><Name>{each.name}</Name><CreationDate>{iso_time(each.created * 1000)}</CreationDate>"
        f"<BucketRegion>{text(call.region.tag)}</BucketRegion></Bucket>"
        for each in page
    )
    token = f"<ContinuationToken>{page[-1].name}</ContinuationToken>" if len(found) > limit else ""
    shown = f"<Prefix>{text(prefix)}</Prefix>" if prefix else ""
    response = document("ListAllMyBucketsResult", f"{OWNER}<Buckets>{buckets}</Buckets>{token}{shown}")
    if isinstance(call.principal, KeyHolder):  # the operator asks with the key itself, to see whether it works
        response.headers[RECORD_DIGEST] = record_digest(call.principal.key)
    return response
