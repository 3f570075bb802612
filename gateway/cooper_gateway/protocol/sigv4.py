"""AWS Signature Version 4: what a request claims, and whether it holds. In the header, the query (presigned), a form.

Specification: "Signature Version 4 signing process" in the Amazon S3 API Reference ("Authenticating Requests").
`parse_claim`, of a form `form_claim`, reads and judges everything but the signature; `verify` compares the signature,
in constant time.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

import msgspec

from cooper_gateway.native import in_c
from cooper_gateway.protocol.dates import parse_amz_date, parse_http_date, to_amz_date
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.post_form import missing

UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
STREAMING_SIGNED: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_SIGNED_TRAILER: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
#: SHA-256 of no bytes: what a request without a body signs.
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
STREAMING: Final = frozenset({STREAMING_SIGNED, STREAMING_SIGNED_TRAILER, STREAMING_UNSIGNED_TRAILER})

#: Headers that change what a request does: Amazon's, and those of the operator's own requests.
_MUST_BE_SIGNED: Final = ("x-amz-", "x-cooper-")
_NAMED_PAYLOADS: Final = STREAMING | {UNSIGNED_PAYLOAD}

#: Most that a client's clock and ours may differ, in seconds.
MAX_SKEW: Final = 900
#: "The maximum that you can set [X-Amz-Expires] is 604800 (seven days)"
MAX_EXPIRES: Final = 604_800

_BLOCK: Final = 64  # bytes of a SHA-256 block
_MAX_HEAD: Final = 2048  # longest Authorization header without its signature, and list of signed headers
_HEADER_CODE: Final = "AuthorizationHeaderMalformed"
_USE_SIGV4: Final = "is not supported here. Sign requests with AWS Signature Version 4 (AWS4-HMAC-SHA256)."
_PRESIGN_WITH_SIGV4: Final = (
    "This link is signed with Signature Version 2, which is not supported here. Presign with AWS Signature Version 4 "
    "(AWS4-HMAC-SHA256), as `aws s3 presign`, `rclone link` and the AWS SDKs do; `s3cmd signurl` cannot."
)
_CREDENTIAL: Final = r"([^/,=\s]{1,128})/([0-9]{8})/([A-Za-z0-9_-]{0,64})/([A-Za-z0-9_-]{1,64})/aws4_request"
#: Tokens of RFC 9110, in lower case, joined by semicolons.
_NAMES: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+(?:;[!#$%&'*+\-.^_`|~0-9a-z]+)*")
_HEAD: Final = re.compile(rf"AWS4-HMAC-SHA256 +Credential={_CREDENTIAL}, *SignedHeaders=([^,\s]+), *")
_FIELDS_IN_ANY_ORDER: Final = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")
_SCOPE: Final = re.compile(_CREDENTIAL)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
#: A path that is its own canonical form.
PLAIN_PATH: Final = re.compile(rb"[A-Za-z0-9\-._~/]*")
_PLAIN: Final = re.compile(rb"[A-Za-z0-9\-._~]*")
_OF_PAYLOAD: Final = "x-amz-content-sha256"
_OF_SESSION: Final = "x-amz-security-token"
_QUERY_SIGNATURE: Final = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature")
_QUERY_REQUIRED: Final = (*_QUERY_SIGNATURE, "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders")
#: Fields by which a form is signed.
_FORM_REQUIRED: Final = ("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")


class Claim(msgspec.Struct, frozen=True):
    """What a request says of its signature. Everything in it was judged, except that the signature holds."""

    access_key_id: str
    date: str  # YYYYMMDD of the credential scope
    region: str  # of the credential scope
    signature: str  # 64 lower-case hex digits
    amz_date: str  # YYYYMMDDTHHMMSSZ
    presigned: bool
    payload: str  # x-amz-content-sha256: 64 hex digits, UNSIGNED-PAYLOAD or a STREAMING-… form
    string_to_sign: bytes = b""  # none where the signature is known to hold

    def __repr__(self) -> str:  # signatures are as good as credentials while their request is fresh
        return f"Claim({self.access_key_id}, {self.amz_date}, {self.region}, {self.payload})"

    @property
    def scope(self) -> str:
        """The credential scope, as strings to sign have it."""
        return f"{self.date}/{self.region}/s3/aws4_request"


class _Signer(msgspec.Struct, frozen=True):
    """Who signs, for which scope, and which headers: all of a signature that is the same in many requests."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: str
    names: tuple[str, ...]  # of the signed headers


def parse_claim(request: Request, now: float, region: str | None = None) -> Claim | None:
    """Read a request's signature; None means that it carries none, and is anonymous.

    `now` is in Unix seconds. With `region`, the scope must name it; without, any region is taken. Call it after
    `parse_target`. Raises S3Error for everything that is wrong apart from the signature's value.
    """
    if request.public_path:
        return None
    authorization = request.headers.get("authorization")
    query = request.query
    in_query = bool(query) and any(name in query for name in _QUERY_SIGNATURE)
    if authorization is None:
        if in_query:
            return _query_claim(request, now, region)
        if "AWSAccessKeyId" in query:
            raise S3Error("InvalidRequest", _PRESIGN_WITH_SIGV4)
        return None
    if _OF_SESSION in request.headers:
        raise S3Error("InvalidToken")
    if in_query or "AWSAccessKeyId" in query:
        raise S3Error(
            "InvalidArgument", "Only one way of signing is allowed: the Authorization header or the query, not both."
        )
    return _header_claim(request, authorization, now, region)


def form_claim(fields: Mapping[str, str], now: float, region: str | None = None) -> Claim | None:
    """Read the signature of an upload by form, which is over its policy; None means that it carries none.

    `fields` have names in lower case. Raises S3Error for everything that is wrong apart from the signature's value.
    """
    code = "InvalidArgument"
    if "awsaccesskeyid" in fields or "signature" in fields:
        raise S3Error("InvalidRequest", f"Signature Version 2 {_USE_SIGV4}")
    if _OF_SESSION in fields:
        raise S3Error("InvalidToken")
    absent = [name for name in _FORM_REQUIRED if name not in fields]
    if len(absent) == len(_FORM_REQUIRED):
        return None
    if absent:
        raise missing(absent[0])
    if fields["x-amz-algorithm"] != "AWS4-HMAC-SHA256":
        raise S3Error(code, "The form's field x-amz-algorithm must be AWS4-HMAC-SHA256.")
    scope = _SCOPE.fullmatch(fields["x-amz-credential"])
    if scope is None:
        raise S3Error(code, "The form's field x-amz-credential must be KEYID/YYYYMMDD/REGION/s3/aws4_request.")
    signer = _Signer(scope[1], scope[2], scope[3], scope[4], "", ())
    _judge_scope(signer, region, code)
    signature, amz_date = fields["x-amz-signature"], fields["x-amz-date"]
    if not _SHA256.fullmatch(signature):
        raise S3Error(code, "The form's field x-amz-signature must be 64 lower-case hex digits.")
    signed_at = parse_amz_date(amz_date)
    if signed_at is None or amz_date[:8] != signer.date:
        raise S3Error(code, "The form's x-amz-date must be YYYYMMDD'T'HHMMSS'Z', on the day of the credential scope.")
    if signed_at - now > MAX_SKEW:
        raise S3Error("RequestTimeTooSkewed", "The form is dated more than 15 minutes in the future.")
    if now >= signed_at + MAX_EXPIRES:
        raise S3Error("AccessDenied", "The form was signed over seven days ago, which is the most.")
    text = fields["policy"].encode()
    return Claim(signer.access_key_id, signer.date, signer.region, signature, amz_date, False, UNSIGNED_PAYLOAD, text)


def signing_key(secret: str, date: str, region: str) -> bytes:
    """Derive the key that signs all requests of one day in one region. Callers cache it: it costs four HMACs."""
    key = b"AWS4" + secret.encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class Pattern(msgspec.Struct, frozen=True):
    """What is signed by requests that are alike but for their path and the values of some headers."""

    claim: Claim  # of the one that they are like
    canonical: bytes  # to be filled in (`%`): the path, then the values of `varying`
    varying: tuple[str, ...]  # names of headers, in the order in which they are to be filled in
    scope: str  # of the claim

    def holds(
        self, path: bytes, values: Sequence[bytes], amz_date: bytes, signature: bytes, key: bytes, now: float
    ) -> bool:
        """Whether the date and the signature of another one are right, whose head is the same else.

        The path is PLAIN_PATH, and no value has blanks. `key` is the signing key; `now` is in Unix seconds.
        """
        date = amz_date.decode("latin-1")
        signed_at = parse_amz_date(date)
        if signed_at is None or date[:8] != self.claim.date or not _in_time(signed_at, now):
            return False
        before = f"AWS4-HMAC-SHA256\n{date}\n{self.scope}\n".encode()
        return _verifier(key).holds_digest(before, self.canonical % (path, *values), signature)

    def claim_of(self, amz_date: bytes, signature: bytes, payload: str | None) -> Claim:
        """The claim of another one, whose signature holds. `payload` is None where it is the same."""
        like, date, signed_with = self.claim, amz_date.decode(), signature.decode()
        signed_payload = like.payload if payload is None else payload
        return Claim(like.access_key_id, like.date, like.region, signed_with, date, False, signed_payload)


def pattern(request: Request, claim: Claim, varying: Collection[str]) -> Pattern:
    """What requests sign that are like this one, which has no query, but for their path and these headers.

    `claim` is what was read of this one's Authorization header, and found right.
    """
    signer, _ = _read_authorization(request.headers["authorization"])
    lines = _canonical_headers(request, signer.names, presigned=False).replace("%", "%%").split("\n")[:-1]
    written = [f"{name}:%b" if name in varying else line for name, line in zip(signer.names, lines, strict=True)]
    headers = "\n".join(written)
    filled = [name for name in signer.names if name in varying]
    payload = claim.payload
    if _OF_PAYLOAD in filled:  # it stands there twice
        filled.append(_OF_PAYLOAD)
        payload = "%b"
    text = f"{request.method}\n%b\n\n{headers}\n\n{signer.signed_headers}\n{payload}"
    return Pattern(claim, text.encode("latin-1"), tuple(filled), claim.scope)


def verify(claim: Claim, key: bytes) -> None:
    """Check a claim's signature with a signing key, in constant time. Raises S3Error SignatureDoesNotMatch."""
    if not _verifier(key).holds(claim.string_to_sign, claim.signature.encode()):
        raise S3Error("SignatureDoesNotMatch")


@in_c
class Verifier:
    """Compares signatures, which are hex digits, in constant time with those by one signing key of at most 64 bytes."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        """Raises ValueError when the key is longer."""
        if len(key) > _BLOCK:
            raise ValueError("a signing key has at most 64 bytes")
        # HMAC (RFC 2104) with the key taken in already: half of the time of a fresh one.
        block = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in block))
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in block))

    def holds(self, text: bytes, signature: bytes, /) -> bool:
        """Whether it is the signature of a text."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return hmac.compare_digest(outer.hexdigest().encode(), signature)

    def holds_digest(self, before: bytes, canonical: bytes, signature: bytes, /) -> bool:
        """Whether it is the one of a text that ends with the SHA-256 of a canonical request, as hex digits."""
        return self.holds(before + hashlib.sha256(canonical).hexdigest().encode(), signature)


#: Those of the keys that were used last.
_verifier: Final = lru_cache(1024)(Verifier)


def _header_claim(request: Request, authorization: str, now: float, region: str | None) -> Claim:
    signer, signature = _read_authorization(authorization)
    headers = request.headers
    _judge_scope(signer, region, "AuthorizationHeaderMalformed")
    amz_date = headers.get("x-amz-date")
    if amz_date is None:  # "the Date header [is used] when x-amz-date is not specified"
        amz_date = to_amz_date(parse_http_date(headers.get("date", "")))
    signed_at = parse_amz_date(amz_date)
    if signed_at is None or amz_date is None:
        raise S3Error("AccessDenied", "A signed request needs an x-amz-date (YYYYMMDD'T'HHMMSS'Z') or a Date header.")
    if amz_date[:8] != signer.date:
        raise S3Error("AuthorizationHeaderMalformed", "The date of the credential scope and x-amz-date differ.")
    if not _in_time(signed_at, now):
        raise S3Error("RequestTimeTooSkewed")
    payload = headers.get("x-amz-content-sha256")
    if payload is None:
        raise S3Error("MissingSecurityHeader", "A signed request needs the header x-amz-content-sha256.")
    if payload != EMPTY_SHA256 and payload not in _NAMED_PAYLOADS and not _SHA256.fullmatch(payload):
        raise S3Error(
            "InvalidRequest",
            "x-amz-content-sha256 must be 64 lower-case hex digits, UNSIGNED-PAYLOAD or a STREAMING form "
            "(AWS4-HMAC-SHA256-PAYLOAD, AWS4-HMAC-SHA256-PAYLOAD-TRAILER, UNSIGNED-PAYLOAD-TRAILER).",
        )
    query = canonical_query(request.query_string) if request.query_string else ""
    return _claim(request, signer, signature, amz_date, payload, query, presigned=False)


def _query_claim(request: Request, now: float, region: str | None) -> Claim:
    code = "AuthorizationQueryParametersError"
    query = request.query
    if "X-Amz-Security-Token" in query or _OF_SESSION in request.headers:
        raise S3Error("InvalidToken")
    missing = [name for name in _QUERY_REQUIRED if name not in query]
    if missing:
        raise S3Error(code, f"A presigned request also needs the query parameters {', '.join(missing)}.")
    if query["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256":
        raise S3Error(code, "X-Amz-Algorithm must be AWS4-HMAC-SHA256.")
    scope = _SCOPE.fullmatch(query["X-Amz-Credential"])
    if scope is None:
        raise S3Error(code, "X-Amz-Credential must be KEYID/YYYYMMDD/REGION/s3/aws4_request.")
    signed_headers, signature = query["X-Amz-SignedHeaders"], query["X-Amz-Signature"]
    if not _SHA256.fullmatch(signature):
        raise S3Error(code, "X-Amz-Signature must be 64 lower-case hex digits.")
    signer = _signer(scope, signed_headers, code)
    _judge_scope(signer, region, code)
    amz_date = query["X-Amz-Date"]
    _judge_lifetime(amz_date, query["X-Amz-Expires"], signer.date, now)
    payload = _presigned_payload(request)
    canonical = canonical_query(request.query_string, without=b"X-Amz-Signature")
    return _claim(request, signer, signature, amz_date, payload, canonical, presigned=True)


def _read_authorization(authorization: str) -> tuple[_Signer, str]:
    """The signer and the signature of an Authorization header."""
    head, separator, signature = authorization.rpartition("Signature=")
    if not separator or len(head) > _MAX_HEAD or not _SHA256.fullmatch(signature):
        return _read_unusual(authorization)
    signer = _usual_signer(head)
    return (signer, signature) if signer is not None else _read_unusual(authorization)


@lru_cache(1024)  # the same for all requests that a client signs in one day
def _usual_signer(head: str) -> _Signer | None:
    match = _HEAD.fullmatch(head)
    return None if match is None else _signer(match, match[5], _HEADER_CODE)


def _read_unusual(authorization: str) -> tuple[_Signer, str]:
    """The same three parts in another order; or the reason why this is no signature."""
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        known = {"aws": "Signature Version 2", "bearer": "A bearer token", "aws4-ecdsa-p256-sha256": "SigV4A"}
        raise S3Error("InvalidRequest", f"{known.get(scheme.lower(), 'This kind of Authorization')} {_USE_SIGV4}")
    pairs = _FIELDS_IN_ANY_ORDER.findall(rest)
    parts = dict(pairs)
    scope = _SCOPE.fullmatch(parts.get("Credential", ""))
    signature = parts.get("Signature", "")
    strange = len(pairs) != len(parts) or _FIELDS_IN_ANY_ORDER.sub("", rest).strip(", ")
    if scope is None or strange or len(rest) > _MAX_HEAD or not _SHA256.fullmatch(signature):
        raise S3Error(
            _HEADER_CODE,
            "The Authorization header must be: AWS4-HMAC-SHA256 Credential=KEYID/YYYYMMDD/REGION/s3/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=64 lower-case hex digits.",
        )
    return _signer(scope, parts.get("SignedHeaders", ""), _HEADER_CODE), signature


def _signer(scope: re.Match[str], signed_headers: str, code: str) -> _Signer:
    if len(signed_headers) > _MAX_HEAD or not _NAMES.fullmatch(signed_headers):
        raise S3Error(code, "SignedHeaders must be lower-case names of headers, joined by semicolons.")
    names = tuple(signed_headers.split(";"))
    if "host" not in names:
        raise S3Error("AccessDenied", "The host header must be among the signed headers.")
    return _Signer(scope[1], scope[2], scope[3], scope[4], signed_headers, names)


def _judge_scope(signer: _Signer, region: str | None, code: str) -> None:
    if signer.service != "s3":
        raise S3Error(code, "The service in the credential scope must be s3.")
    if region is not None and signer.region != region:
        raise S3Error(code, f"The region {signer.region!r} is wrong; expecting {region!r}.")


def _in_time(signed_at: int, now: float) -> bool:
    return -MAX_SKEW <= now - signed_at <= MAX_SKEW


def _judge_lifetime(amz_date: str, expires: str, scope_date: str, now: float) -> None:
    code = "AuthorizationQueryParametersError"
    signed_at = parse_amz_date(amz_date)
    if signed_at is None or amz_date[:8] != scope_date:
        raise S3Error(code, "X-Amz-Date must be YYYYMMDD'T'HHMMSS'Z', on the day of the credential scope.")
    lifetime = int(expires) if re.fullmatch(r"[0-9]{1,6}", expires) else 0
    if not 1 <= lifetime <= MAX_EXPIRES:
        raise S3Error(code, f"X-Amz-Expires must be a number of seconds from 1 to {MAX_EXPIRES} (seven days).")
    if signed_at - now > MAX_SKEW:
        raise S3Error("RequestTimeTooSkewed", "The presigned request is dated more than 15 minutes in the future.")
    if now >= signed_at + lifetime:
        raise S3Error("AccessDenied", "Request has expired.")


def _presigned_payload(request: Request) -> str:
    """The payload hash a presigned request signs: UNSIGNED-PAYLOAD unless it says otherwise, and never a chunked form.

    A chunked body behind a presigned URL has no signature of its own to begin its chain with.
    """
    values = {request.query.get("X-Amz-Content-Sha256"), request.headers.get("x-amz-content-sha256")} - {None}
    payload = values.pop() if values else UNSIGNED_PAYLOAD
    if values or payload is None or (payload != UNSIGNED_PAYLOAD and not _SHA256.fullmatch(payload)):
        raise S3Error(
            "InvalidRequest",
            "In a presigned request X-Amz-Content-Sha256 must be UNSIGNED-PAYLOAD or one digest in lower-case hex.",
        )
    return payload


def _claim(
    request: Request, signer: _Signer, signature: str, amz_date: str, payload: str, query: str, *, presigned: bool
) -> Claim:
    lines = _canonical_headers(request, signer.names, presigned=presigned)
    path = canonical_path(request.path)
    canonical = f"{request.method}\n{path}\n{query}\n{lines}\n{signer.signed_headers}\n{payload}"
    digest = hashlib.sha256(canonical.encode("latin-1", "replace")).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{amz_date}\n{signer.date}/{signer.region}/s3/aws4_request\n{digest}"
    return Claim(
        signer.access_key_id, signer.date, signer.region, signature, amz_date, presigned, payload, text.encode()
    )


def canonical_path(path: bytes) -> str:
    """The canonical URI: decoded, then encoded once by S3's rules. Nothing is normalised, `/` stays as it is."""
    if PLAIN_PATH.fullmatch(path):
        return path.decode()
    return quote_from_bytes(unquote_to_bytes(path), safe="/-._~")


def canonical_query(query_string: bytes, without: bytes | None = None) -> str:
    """The canonical query: names and values encoded, sorted by name, then value; a missing value is an empty one."""
    pairs: list[tuple[str, str]] = []
    for pair in query_string.split(b"&"):
        name, _, value = pair.partition(b"=")
        if pair and name != without:
            pairs.append((_encoded(name), _encoded(value)))
    pairs.sort()
    return "&".join([f"{name}={value}" for name, value in pairs])


def _encoded(raw: bytes) -> str:
    if _PLAIN.fullmatch(raw):
        return raw.decode()
    return quote(unquote_to_bytes(raw.replace(b"+", b" ")), safe="-._~")


def _canonical_headers(request: Request, names: tuple[str, ...], *, presigned: bool) -> str:
    """Signed headers as lines, each ended; and the judgement that nothing that matters was left unsigned.

    "The CanonicalHeaders list must include the following: HTTP host header […], any x-amz-* headers that you plan to
    include in your request." (Signature calculations, Amazon S3 API Reference)
    """
    headers = request.headers
    # Those that came out of the query (`parse_target` put them back) the signature covers there.
    in_query = {parameter.lower() for parameter in request.query} if presigned else ()
    for name in headers:
        if name.startswith(_MUST_BE_SIGNED) and name not in names and name not in in_query:
            raise S3Error("AccessDenied", f"The header {name} is there but was not signed. Sign every x-amz-* header.")
    lines: list[str] = []
    for name in names:
        value = headers.get(name)
        if value is None:
            raise S3Error("SignatureDoesNotMatch", f"The signed header {name} is not in the request that arrived.")
        # "trim any leading or trailing spaces, convert sequential spaces to a single space"
        if " " in value or "\t" in value:
            value = re.sub(" +", " ", value.strip(" \t"))
        lines.append(f"{name}:{value}\n")
    return "".join(lines)
