"""Random requests signed by botocore verify; with any part of them changed they do not."""

import hashlib
import hmac
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.sigv4 import Claim, canonical_path, canonical_query, parse_claim, signing_key, verify
from support import s3_signing as signing

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
QUERIES = st.dictionaries(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8).map(lambda name: "q" + name),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    max_size=4,
)
META = st.dictionaries(st.sampled_from(["x-amz-meta-a", "x-amz-acl", "content-type", "range"]), VALUES, max_size=3)
METHODS = st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"])
SIGNERS = st.sampled_from([signing.signed, signing.presigned])


def target(name: str, query: dict[str, str]) -> str:
    encoded = "&".join(f"{quote(key, safe='-._~')}={quote(value, safe='-._~')}" for key, value in query.items())
    return f"/photos/{quote(name, safe='/-._~')}" + (f"?{encoded}" if encoded else "")


def claim_of(request: Request, now: float = signing.NOW) -> Claim:
    claim = parse_claim(request, now)
    assert claim is not None
    return claim


def holds(request: Request) -> bool:
    try:
        verify(claim_of(request), signing.key())
    except S3Error as error:
        assert error.code in {"SignatureDoesNotMatch", "AccessDenied"}
        return False
    return True


@given(SIGNERS, METHODS, NAMES, QUERIES, META)
def test_what_botocore_signs_verifies(sign, method, name, query, meta):
    request = sign(method, target(name, query), meta)
    assert request.name == name.encode()
    assert {key: request.query[key] for key in query} == query
    claim = claim_of(request)
    assert (claim.access_key_id, claim.region, claim.presigned) == (
        signing.KEY_ID,
        signing.REGION,
        sign is signing.presigned,
    )
    verify(claim, signing.key())


def test_the_signing_key_is_the_specifications():
    assert signing_key(signing.SECRET, "20270115", signing.REGION) == signing.key()


CHANGES = {
    "method": lambda r: setattr(r, "method", "PATCH"),
    "path": lambda r: setattr(r, "path", r.path + b"x"),
    "query added": lambda r: setattr(r, "query_string", r.query_string + b"&z=1"),
    "host": lambda r: r.headers.update(host="elsewhere"),
    "x-amz header": lambda r: r.headers.update({"x-amz-meta-a": r.headers.get("x-amz-meta-a", "") + "x"}),
    "header gone": lambda r: r.headers.pop("host"),
}


@given(SIGNERS, METHODS, NAMES, QUERIES, META, st.sampled_from(sorted(CHANGES)))
def test_a_changed_request_does_not_verify(sign, method, name, query, meta, change):
    request = sign(method, target(name, query), meta)
    CHANGES[change](request)
    assert not holds(request)


@given(SIGNERS, st.integers(0, 63), st.integers(1, 15))
def test_a_changed_signature_does_not_verify(sign, position, step):
    request = sign("GET", "/photos/a")
    claim = claim_of(request)
    digit = "0123456789abcdef"[(int(claim.signature[position], 16) + step) % 16]
    forged = claim.signature[:position] + digit + claim.signature[position + 1 :]
    if sign is signing.presigned:
        request.query["X-Amz-Signature"] = forged
    else:
        request.headers["authorization"] = request.headers["authorization"].replace(claim.signature, forged)
    assert not holds(request)


@given(st.binary(max_size=200), st.binary(min_size=32, max_size=32))
def test_verification_is_hmac_sha256(text, key):
    """The states kept for a key give what the standard library's HMAC gives."""
    signature = hmac.new(key, text, hashlib.sha256).hexdigest()
    made = Claim("k", "20270115", "r", signature, "20270115T080000Z", False, "UNSIGNED-PAYLOAD", text)
    verify(made, key)
    with pytest.raises(S3Error):
        verify(made, bytes(byte ^ 1 for byte in key))


@given(st.lists(st.tuples(VALUES, VALUES), max_size=6))
def test_canonical_queries_are_sorted_and_encoded_once(pairs):
    expected = "&".join(
        f"{name}={value}" for name, value in sorted((quote(n, safe="-._~"), quote(v, safe="-._~")) for n, v in pairs)
    )
    # However a client escapes: with + or %20, upper or lower case, or more than it must.
    plus = urlencode(pairs).encode()
    everything = "&".join("=".join("".join(f"%{ord(c):02x}" for c in part) for part in pair) for pair in pairs).encode()
    assert canonical_query(everything) == expected
    assert canonical_query(plus) == expected


@given(NAMES)
def test_canonical_paths_do_not_depend_on_how_a_client_escapes(name):
    raw = name.encode()
    everything = b"/b/" + b"".join(b"/" if byte == 0x2F else b"%%%02x" % byte for byte in raw)
    expected = "/b/" + quote(raw, safe="/-._~")
    assert canonical_path(everything) == expected
    assert canonical_path(expected.encode()) == expected
