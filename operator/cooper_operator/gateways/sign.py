"""A small SigV4 signer for the operator's own requests. Independent of the gateway's verifier: one checks the other."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote

#: "x-amz-content-sha256 … the hash of an empty payload" (the operator's requests have no body).
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()


@lru_cache(maxsize=4096)
def _signing_key(secret: str, date: str, region: str) -> bytes:
    """`HMAC(HMAC(HMAC(HMAC("AWS4" + secret, date), region), service), "aws4_request")`, as SigV4 says."""
    key = ("AWS4" + secret).encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical_query(query: Mapping[str, str]) -> str:
    """Names and values percent-encoded, sorted by name; a parameter without a value is written `name=`."""
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def amz_date(now: float) -> str:
    """A time in Unix seconds as a signed request says it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def sign(
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    *,
    access_key_id: str,
    secret_key: str,
    region: str,
    now: float,
    payload: str = EMPTY_SHA256,
) -> dict[str, str]:
    """Headers of a request, signed: those given (lower case, `host` among them) and SigV4's own.

    `path` is already percent-encoded. `now` is Unix seconds. `payload` is the body's SHA-256 in hex.
    """
    stamp = amz_date(now)
    date = stamp[:8]
    signed = dict(headers) | {"x-amz-content-sha256": payload, "x-amz-date": stamp}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{' '.join(signed[name].split())}\n" for name in sorted(signed))
    canonical = "\n".join((method, path, _canonical_query(query), lines, names, payload))
    scope = f"{date}/{region}/s3/aws4_request"
    to_sign = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.new(_signing_key(secret_key, date, region), to_sign.encode(), "sha256").hexdigest()
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signed


def query_string(query: Mapping[str, str]) -> str:
    """The query as it is sent: the canonical form, so that what is signed is what is sent."""
    return _canonical_query(query)
