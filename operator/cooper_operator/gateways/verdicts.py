"""What an answer to a probe proves. Pure: a verdict is empty when the answer is as it should be, else what was said."""

import re
from collections.abc import Callable
from typing import Final

from cooper_crds.records import (
    ACCESS_GENERATION,
    RECORD_DIGEST,
    REGION_DIGEST,
    BucketRecord,
    KeyRecord,
    RegionRecord,
    record_digest,
)
from cooper_operator.gateways.connection import Response

Verdict = Callable[[Response], str]

#: A worker that says one of these honours the key no more. `InvalidAccessKeyId`: it does not know the key at all.
DENIALS: Final = frozenset({"KeyAccessRevoked", "InvalidAccessKeyId"})

_ERROR_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9]+)</Code>")
_BUCKET_NAME: Final = re.compile(rb"<Bucket>.*?<Name>([a-z0-9.-]+)</Name>", re.DOTALL)


def error_code(response: Response) -> str:
    """The S3 error code of an answer; its status where it has none."""
    found = _ERROR_CODE.search(response.body)
    return found[1].decode() if found else str(response.status)


def lists(buckets: list[str]) -> Verdict:
    """The key works, and lists these buckets."""
    expected = {name.encode() for name in buckets}

    def verdict(response: Response) -> str:
        if response.status != 200:
            return f"answers {error_code(response)}"
        missing = expected - set(_BUCKET_NAME.findall(response.body))
        return f"does not know bucket {min(missing).decode()} yet" if missing else ""

    return verdict


def accepts(key: KeyRecord, buckets: list[str]) -> Verdict:
    """The same by this record of the key and no other: whatever it allows, and whatever it does not.

    A key that may be used from some networks only shows its record to who asks from elsewhere, and no buckets: theirs
    were written before it, and gateways read records in that order.
    """
    listed, digest = lists(buckets), record_digest(key)

    def verdict(response: Response) -> str:
        elsewhere = bool(key.networks) and error_code(response) == "NetworkNotAllowed"
        if not elsewhere and (problem := listed(response)):
            return problem
        return "" if response.headers.get(RECORD_DIGEST) == digest else "goes by an earlier record of the key"

    return verdict


def follows(region: RegionRecord) -> Verdict:
    """The worker goes by this record of its Region and no other."""
    digest = record_digest(region)

    def verdict(response: Response) -> str:
        if response.status != 200:
            return f"answers {error_code(response)}"
        return "" if response.headers.get(REGION_DIGEST) == digest else "goes by earlier settings of the Region"

    return verdict


def refuses(response: Response) -> str:
    """The key is honoured no more."""
    code = error_code(response)
    return "" if response.status == 403 and code in DENIALS else f"answers {code}"


def refuses_bucket(bucket: BucketRecord) -> Verdict:
    """The bucket is refused to every key, by this record or a later one.

    A worker that lags may still go by an earlier refusal, and come to an access that was allowed in between.
    """

    def verdict(response: Response) -> str:
        code, since = error_code(response), response.headers.get(ACCESS_GENERATION, "")
        if response.status != 403 or code != "KeyAccessRevoked" or not since.isascii() or not since.isdigit():
            return f"answers {code}"
        return "" if int(since) >= bucket.access_generation else "refuses by an earlier record"

    return verdict


def lets(response: Response) -> str:
    """The key is let to the bucket: it may do other things there than listing, or from elsewhere."""
    code = error_code(response)
    return "" if response.status == 200 or code in ("AccessDenied", "NetworkNotAllowed") else f"answers {code}"
