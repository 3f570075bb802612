"""ListObjectsV2 and ListObjects (V1): one page of names and common prefixes, written as XML with little ado."""

from cooper_gateway.operations.call import Call
from cooper_gateway.operations.markup import OWNER, document, iso_time, text
from cooper_gateway.operations.paging import (
    MAX_KEYS,
    make_token,
    read_limit,
    read_token,
    shown,
    shown_each,
    wants_url_encoding,
)
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Response
from cooper_gateway.storage.port import Checksum, ListEntry, Listing


def _contents(entries: list[ListEntry], url: bool, owner: str) -> str:
    """The Contents elements. A listing of 1,000 names spends its time here: one f-string per entry."""
    tail = f"</Size>{owner}<StorageClass>STANDARD</StorageClass></Contents>"
    names = [entry.name for entry in entries]
    return "".join(
        [
            f"<Contents><Key>{name}</Key><LastModified>{iso_time(entry.modified)}</LastModified>"
            f"<ETag>&quot;{entry.etag}&quot;</ETag>"
            f"{_algorithm(entry.checksum) if entry.checksum is not None else ''}<Size>{entry.size}{tail}"
            for name, entry in zip(shown_each(names, url), entries, strict=True)
        ]
    )


def _algorithm(checksum: Checksum) -> str:
    return f"<ChecksumAlgorithm>{checksum.algorithm}</ChecksumAlgorithm><ChecksumType>{checksum.kind}</ChecksumType>"


def _prefixes(prefixes: list[bytes], url: bool) -> str:
    return "".join([f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in shown_each(prefixes, url)])


def _common(call: Call, listing: Listing, limit: int, url: bool, owner: str) -> str:
    """What both versions of the listing have."""
    query = call.request.query
    delimiter = query.get("delimiter", "")
    return "".join(
        (
            f"<Name>{text(call.record.name)}</Name><Prefix>{shown(query.get('prefix', '').encode(), url)}</Prefix>",
            f"<MaxKeys>{limit}</MaxKeys>",
            f"<Delimiter>{shown(delimiter.encode(), url)}</Delimiter>" if delimiter else "",
            "<EncodingType>url</EncodingType>" if url else "",
            f"<IsTruncated>{'true' if listing.resume is not None else 'false'}</IsTruncated>",
            _contents(listing.entries, url, owner),
            _prefixes(listing.prefixes, url),
        )
    )


async def _page(call: Call, after: bytes, limit: int) -> Listing:
    query = call.request.query
    prefix, delimiter = query.get("prefix", "").encode(), query.get("delimiter", "").encode()
    return await call.store.list_objects(call.ref, prefix, delimiter, after, limit)


async def list_objects_v2(call: Call) -> Response:
    """A page, continued by an opaque token."""
    query = call.request.query
    limit = read_limit(query, "max-keys", MAX_KEYS)
    url = wants_url_encoding(query)
    token, start_after = query.get("continuation-token"), query.get("start-after", "")
    after = start_after.encode() if token is None else read_token(token)
    listing = await _page(call, after, limit)
    content = [
        _common(call, listing, limit, url, OWNER if query.get("fetch-owner") == "true" else ""),
        f"<KeyCount>{len(listing.entries) + len(listing.prefixes)}</KeyCount>",
    ]
    if token is not None:
        content.append(f"<ContinuationToken>{text(token)}</ContinuationToken>")
    if listing.resume is not None:
        content.append(f"<NextContinuationToken>{make_token(listing.resume)}</NextContinuationToken>")
    if start_after:
        content.append(f"<StartAfter>{shown(start_after.encode(), url)}</StartAfter>")
    return document("ListBucketResult", "".join(content))


async def list_objects(call: Call) -> Response:
    """A page, continued by the name that the client saw last."""
    if not call.region.list_objects_v1:
        raise S3Error("NotImplemented", "ListObjects (version 1) is turned off here: use ListObjectsV2.")
    query = call.request.query
    limit = read_limit(query, "max-keys", MAX_KEYS)
    url = wants_url_encoding(query)
    marker = query.get("marker", "").encode()
    listing = await _page(call, marker, limit)
    content = [_common(call, listing, limit, url, OWNER), f"<Marker>{shown(marker, url)}</Marker>"]
    # "This element is returned only if you have the delimiter request parameter specified."
    if listing.resume is not None and query.get("delimiter"):
        content.append(f"<NextMarker>{shown(listing.resume, url)}</NextMarker>")
    return document("ListBucketResult", "".join(content))
