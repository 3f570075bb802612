"""Signing for tests: botocore's signers as the oracle, and an aws-chunked encoder written from the specification."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import urlsplit

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.paths import parse_target

KEY_ID = "AKIAEXAMPLEEXAMPLE22"
SECRET = "a secret/that+has=signs"
REGION = "eu-test-1"
NOW = 1_800_000_000.0
HOST = "s3.example.org:9000"


def amz_date(at: float = NOW) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


def key(at: float = NOW, secret: str = SECRET, region: str = REGION) -> bytes:
    """The signing key, derived step by step as the specification says."""
    result = ("AWS4" + secret).encode()
    for part in (amz_date(at)[:8], region, "s3", "aws4_request"):
        result = hmac.new(result, part.encode(), hashlib.sha256).digest()
    return result


def request(method: str, target: str, headers: dict[str, str] | None = None) -> Request:
    """A request as framing hands it over, its target parsed."""
    path, _, query = target.encode().partition(b"?")
    made = Request(method, path, query, {"host": HOST} | (headers or {}))
    parse_target(made)
    return made


def signed(
    method: str,
    target: str,
    headers: dict[str, str] | None = None,
    *,
    payload: str = "UNSIGNED-PAYLOAD",
    at: float = NOW,
    secret: str = SECRET,
    key_id: str = KEY_ID,
    region: str = REGION,
    host: str = HOST,
) -> Request:
    """A request signed in the header by botocore's S3SigV4Auth."""
    sent = {"Host": host, "X-Amz-Content-SHA256": payload} | (headers or {})
    made = AWSRequest(method, f"http://{host}{target}", headers=sent)

    class Signer(auth.S3SigV4Auth):
        def payload(self, request: AWSRequest) -> str:
            return payload

    _sign(Signer(Credentials(key_id, secret), "s3", region), made, at)
    return request(method, target, _lower(made.headers))


def presigned(
    method: str,
    target: str,
    headers: dict[str, str] | None = None,
    *,
    expires: int = 3600,
    at: float = NOW,
    secret: str = SECRET,
    region: str = REGION,
    host: str = HOST,
) -> Request:
    """A request signed in the query by botocore's S3SigV4QueryAuth."""
    made = AWSRequest(method, f"http://{host}{target}", headers={"Host": host} | (headers or {}))
    _sign(auth.S3SigV4QueryAuth(Credentials(KEY_ID, secret), "s3", region, expires=expires), made, at)
    parts = urlsplit(made.url)
    return request(method, f"{parts.path}?{parts.query}", _lower(made.headers))


def _sign(signer: auth.SigV4Auth, made: AWSRequest, at: float) -> None:
    moment = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
    with patch.object(auth, "get_current_datetime", lambda *_: moment):
        signer.add_auth(made)


def _lower(headers: HTTPHeaders) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def chunked(
    chunks: Sequence[bytes],
    *,
    seed: str | None = None,
    trailers: Sequence[tuple[str, str]] = (),
    sign_trailer: bool = False,
    at: float = NOW,
    signing_key: bytes | None = None,
) -> list[bytes]:
    """An aws-chunked body, one element for each chunk and a last one for the final chunk with its trailers.

    With `seed` (the signature of the request) chunks are signed.
    """
    chain = ChunkChain(seed, at, signing_key or key(at)) if seed is not None else None
    encoded = [
        b"%x%s\r\n%s\r\n" % (len(chunk), chain.chunk(chunk) if chain else b"", chunk) for chunk in chunks if chunk
    ]
    last = b"0%s\r\n" % (chain.chunk(b"") if chain else b"")
    last += b"".join(f"{name}:{value}\r\n".encode() for name, value in trailers)
    if chain and sign_trailer:
        last += b"x-amz-trailer-signature:%s\r\n" % chain.trailer(trailers)
    return [*encoded, last + b"\r\n"]


class ChunkChain:
    """The chain of chunk signatures."""

    def __init__(self, seed: str, at: float, signing_key: bytes) -> None:
        self.previous = seed
        self._key = signing_key
        self._date = amz_date(at)

    def chunk(self, data: bytes) -> bytes:
        hashed = hashlib.sha256(b"").hexdigest() + "\n" + hashlib.sha256(data).hexdigest()
        return b";chunk-signature=" + self._sign("AWS4-HMAC-SHA256-PAYLOAD", hashed)

    def trailer(self, trailers: Sequence[tuple[str, str]]) -> bytes:
        canonical = "".join(f"{name}:{value}\n" for name, value in trailers)
        return self._sign("AWS4-HMAC-SHA256-TRAILER", hashlib.sha256(canonical.encode()).hexdigest())

    def _sign(self, algorithm: str, hashed: str) -> bytes:
        scope = f"{self._date[:8]}/{REGION}/s3/aws4_request"
        text = "\n".join((algorithm, self._date, scope, self.previous, hashed))
        self.previous = hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
        return self.previous.encode()
