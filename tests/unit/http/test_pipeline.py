"""The one way to every handler: what is checked, in which order, and what a client may learn from the answer."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from cooper_crds.actions import GET_OBJECT, LIST_BUCKET, PUT_OBJECT
from cooper_crds.probes import probe_mark
from cooper_crds.records import BucketRecord, DomainRecord, Grant, KeyRecord, Owner, Rates, RegionRecord
from cooper_gateway.http.body import RawBody
from cooper_gateway.http.finished import Finished
from cooper_gateway.http.pipeline import Pipeline
from cooper_gateway.http.signing_keys import SigningKeys
from cooper_gateway.http.spending import Tolls
from cooper_gateway.operations.registry import NOW as NOW_HANDLERS
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request, Response
from cooper_gateway.protocol.sigv4 import parse_claim
from cooper_gateway.storage.memory import MemoryStore
from support.s3_signing import KEY_ID, NOW, REGION, SECRET, amz_date, presigned, signed

OWNER = Owner("team", "photos", "uid-1")
PHOTOS = BucketRecord("photos", "00000000-0000-4000-8000-000000000001", OWNER, max_object_size=1000)
PUBLIC = BucketRecord("shared", "00000000-0000-4000-8000-000000000002", OWNER, visibility="Public")
SECRETS = BucketRecord("secrets", "00000000-0000-4000-8000-000000000003", OWNER)
ALL = (GET_OBJECT, PUT_OBJECT, LIST_BUCKET)
#: Of a bucket that is public, of one that is not, and of one that is another by now.
DOMAINS = (
    DomainRecord("shared.example.com", "shared", PUBLIC.data_id, OWNER, "eu"),
    DomainRecord("photos.example.com", "photos", PHOTOS.data_id, OWNER, "eu"),
    DomainRecord("former.example.com", "shared", PHOTOS.data_id, OWNER, "eu"),
)
KEY = KeyRecord(KEY_ID, SECRET, OWNER, 1, tuple(Grant(bucket.name, bucket.data_id, ALL) for bucket in (PHOTOS, PUBLIC)))
replace = msgspec.structs.replace


@dataclass
class Records:
    """A directory that tests change while it is in use."""

    the_key: KeyRecord | None = KEY
    settings: RegionRecord | None = field(default_factory=lambda: RegionRecord("eu", REGION))
    buckets: dict[str, BucketRecord] = field(
        default_factory=lambda: {bucket.name: bucket for bucket in (PHOTOS, PUBLIC, SECRETS)}
    )
    verified: float = NOW
    revision: int = 0
    domains: dict[str, DomainRecord] = field(default_factory=lambda: {each.name: each for each in DOMAINS})

    def key(self, access_key_id: str) -> KeyRecord | None:
        return self.the_key if self.the_key is not None and access_key_id == self.the_key.access_key_id else None

    def bucket(self, name: str) -> BucketRecord | None:
        return self.buckets.get(name)

    def domain(self, name: str) -> DomainRecord | None:
        return self.domains.get(name)

    def region(self) -> RegionRecord | None:
        return self.settings

    def verified_at(self) -> float:
        return self.verified


class Gateway:
    def __init__(self, **options: Any) -> None:
        self.records = Records()
        self.pipeline = Pipeline(lambda: self.records, MemoryStore(), clock=lambda: NOW, **options)

    async def answer(self, request: Request, body: bytes = b"") -> Response | S3Error:
        """What the connection would be given."""
        raw = None
        if request.method not in ("GET", "HEAD"):
            raw = RawBody(None)
            if body:
                raw.push(body)
            raw.end()
        call = None
        try:
            call = self.pipeline.admit(fresh(request), raw, "0" * 16)
            answer = self.pipeline.now(call) if raw is None else None
            return answer if answer is not None else await self.pipeline.handle(call)
        except Exception as error:
            return self.pipeline.explain(error, call, "0" * 16)


def fresh(request: Request) -> Request:
    """The request as framing hands it over, before its target was parsed."""
    return Request(request.method, request.path, request.query_string, dict(request.headers))


def unsigned(method: str, target: str, **headers: str) -> Request:
    path, _, query = target.partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path.encode(), query.encode(), {"host": "x"} | named)


def code(answer: Response | S3Error) -> str:
    return answer.code if isinstance(answer, S3Error) else str(answer.status)


def sent_to(host: str, request: Request) -> Request:
    """The same, to another host."""
    return Request(request.method, request.path, request.query_string, {**request.headers, "host": host})


REVOKED = replace(KEY, state="Revoked")
READ_ONLY = replace(KEY, grants=tuple(replace(grant, actions=(GET_OBJECT,)) for grant in KEY.grants))
GET = signed("GET", "/photos/cat")
WRONG = signed("GET", "/photos/cat", secret="wrong")
CREATOR = replace(KEY, create_buckets=True)
SERVING = RegionRecord("eu", REGION, create_buckets=True)

#: name -> (request, what is different about the records, code)
DECISIONS: dict[str, tuple[Request, dict[str, Any], str]] = {
    "a stored object": (GET, {}, "200"),
    "presigned": (presigned("GET", "/photos/cat"), {}, "200"),
    "an ignored header": (signed("GET", "/photos/cat", {"x-amz-storage-class": "GLACIER"}), {}, "200"),
    "the owner that is expected": (signed("GET", "/photos/cat", {"x-amz-expected-bucket-owner": "cooper"}), {}, "200"),
    "another owner is expected": (
        signed("GET", "/photos/cat", {"x-amz-expected-bucket-owner": "111122223333"}),
        {},
        "AccessDenied",
    ),
    "another owner of a copy's source is expected": (
        signed("GET", "/photos/cat", {"x-amz-source-expected-bucket-owner": "111122223333"}),
        {},
        "AccessDenied",
    ),
    "a missing object": (signed("GET", "/photos/dog"), {}, "NoSuchKey"),
    "a missing object without ListBucket": (signed("GET", "/photos/dog"), {"the_key": READ_ONLY}, "AccessDenied"),
    "a wrong signature": (WRONG, {}, "SignatureDoesNotMatch"),
    "an unknown key": (signed("GET", "/photos/cat", key_id="AKIANOBODY"), {}, "InvalidAccessKeyId"),
    "a key without a secret": (
        signed("GET", "/photos/cat", secret=""),
        {"the_key": replace(KEY, secret_key="")},
        "InvalidAccessKeyId",
    ),
    "a revoked key": (GET, {"the_key": REVOKED}, "KeyAccessRevoked"),
    "a revoked key, presigned": (presigned("GET", "/photos/cat"), {"the_key": REVOKED}, "KeyAccessRevoked"),
    "a revoked key's state is told to its holder only": (WRONG, {"the_key": REVOKED}, "SignatureDoesNotMatch"),
    "a key past its time": (GET, {"the_key": replace(KEY, not_after=NOW)}, "KeyAccessRevoked"),
    "an action not granted": (signed("DELETE", "/photos/cat"), {}, "AccessDenied"),
    "another's bucket": (signed("GET", "/secrets/cat"), {}, "AccessDenied"),
    "a bucket that is nowhere": (signed("GET", "/nowhere/cat"), {}, "AccessDenied"),
    "an earlier bucket's grant": (
        GET,
        {"buckets": {"photos": replace(PHOTOS, data_id="00000000-0000-4000-8000-000000000009")}},
        "AccessDenied",
    ),
    "a bucket that is gone": (GET, {"buckets": {}}, "NoSuchBucket"),
    "records too old": (GET, {"verified": NOW - 86401}, "ServiceUnavailable"),
    "records just fresh enough": (GET, {"verified": NOW - 86399}, "200"),
    "no region yet": (GET, {"settings": None}, "ServiceUnavailable"),
    "another region is fine": (signed("GET", "/photos/cat", region="us-east-1"), {}, "200"),
    "another region where it must match": (
        signed("GET", "/photos/cat", region="us-east-1"),
        {"settings": RegionRecord("eu", REGION, match_region=True)},
        "AuthorizationHeaderMalformed",
    ),
    "ListObjects": (signed("GET", "/photos"), {}, "200"),
    "ListObjects turned off": (
        signed("GET", "/photos"),
        {"settings": RegionRecord("eu", REGION, list_objects_v1=False)},
        "NotImplemented",
    ),
    "ListObjectsV2 where V1 is turned off": (
        signed("GET", "/photos?list-type=2"),
        {"settings": RegionRecord("eu", REGION, list_objects_v1=False)},
        "200",
    ),
    "a stranger, public bucket": (unsigned("GET", "/shared/cat"), {}, "200"),
    "a stranger, public path": (unsigned("GET", "/public/shared/cat"), {}, "200"),
    "the public path ignores credentials": (
        unsigned("GET", "/public/shared/cat", authorization="Bearer x"),
        {},
        "200",
    ),
    "the public path of a private bucket, signed": (signed("GET", "/public/photos/cat"), {}, "AccessDenied"),
    "a stranger, missing object": (unsigned("GET", "/shared/dog"), {}, "AccessDenied"),
    "a stranger, private bucket": (unsigned("GET", "/photos/cat"), {}, "AccessDenied"),
    "a stranger, no such bucket": (unsigned("GET", "/nowhere/cat"), {}, "AccessDenied"),
    "a stranger lists": (unsigned("GET", "/shared"), {}, "AccessDenied"),
    "a stranger writes": (unsigned("PUT", "/shared/cat", content_length="0"), {}, "AccessDenied"),
    "a stranger writes on the public path": (
        unsigned("PUT", "/public/shared/cat", content_length="0"),
        {},
        "AccessDenied",
    ),
    **{
        f"by its host name: {what}": (request, {"settings": RegionRecord("eu", REGION, virtual_hosts="s3.test")}, code)
        for what, request, code in (
            ("signed", signed("GET", "/cat", host="photos.s3.test"), "200"),
            ("capitals, a port and a period", signed("GET", "/cat", host="Photos.S3.test.:9000"), "200"),
            ("presigned", presigned("GET", "/cat", host="photos.s3.test"), "200"),
            ("a listing", signed("GET", "/?list-type=2", host="photos.s3.test"), "200"),
            ("a bucket's head", signed("HEAD", "/", host="photos.s3.test"), "200"),
            ("what is public", unsigned("GET", "/cat", host="shared.s3.test"), "200"),
            ("a stranger, private bucket", unsigned("GET", "/cat", host="photos.s3.test"), "AccessDenied"),
            ("a stranger, no such bucket", unsigned("GET", "/cat", host="nowhere.s3.test"), "AccessDenied"),
            ("a stranger lists", unsigned("GET", "/", host="shared.s3.test"), "AccessDenied"),
            ("another's", signed("GET", "/cat", host="secrets.s3.test"), "AccessDenied"),
            ("no such bucket", signed("GET", "/cat", host="nowhere.s3.test"), "AccessDenied"),
            ("no such object", signed("GET", "/dog", host="photos.s3.test"), "NoSuchKey"),
            ("the path begins with the bucket too", signed("GET", "/photos/cat", host="photos.s3.test"), "NoSuchKey"),
            ("the public path is a name", signed("GET", "/public/shared/cat", host="photos.s3.test"), "NoSuchKey"),
            ("no name of a bucket", signed("GET", "/cat", host="p.s3.test"), "InvalidBucketName"),
            ("signed for another", sent_to("secrets.s3.test", signed("GET", "/cat", host="photos.s3.test")), "SIG"),
            (
                "presigned for another",
                sent_to("shared.s3.test", presigned("GET", "/cat", host="photos.s3.test")),
                "SIG",
            ),
            ("signed for the path", sent_to("photos.s3.test", signed("GET", "/cat", host="s3.test")), "SIG"),
            ("the domain itself is for paths", signed("GET", "/photos/cat", host="s3.test"), "200"),
            ("one below another domain", signed("GET", "/photos/cat", host="secrets.s3.test.org"), "200"),
        )
        for code in ("SignatureDoesNotMatch" if code == "SIG" else code,)
    },
    "a host name where the Region has none": (signed("GET", "/photos/cat", host="secrets.s3.test"), {}, "200"),
    "a bucket's own domain": (unsigned("GET", "/cat", host="shared.example.com"), {}, "200"),
    "a bucket's own domain, HEAD, port and capitals": (
        unsigned("HEAD", "/cat", host="Shared.Example.com:9000"),
        {},
        "200",
    ),
    "a domain, missing object": (unsigned("GET", "/dog", host="shared.example.com"), {}, "AccessDenied"),
    "a domain, another's object": (unsigned("GET", "/secrets/cat", host="shared.example.com"), {}, "AccessDenied"),
    "a domain, path style": (unsigned("GET", "/shared/cat", host="shared.example.com"), {}, "AccessDenied"),
    "a domain lists": (unsigned("GET", "/", host="shared.example.com"), {}, "AccessDenied"),
    "a domain lists, version 2": (unsigned("GET", "/?list-type=2", host="shared.example.com"), {}, "AccessDenied"),
    "a write to a domain": (
        unsigned("PUT", "/cat", host="shared.example.com", content_length="0"),
        {},
        "AccessDenied",
    ),
    "a deletion at a domain": (unsigned("DELETE", "/cat", host="shared.example.com"), {}, "AccessDenied"),
    "DeleteObjects at a domain": (
        unsigned("POST", "/?delete", host="shared.example.com", content_length="0"),
        {},
        "AccessDenied",
    ),
    "a domain ignores what browsers send along": (
        unsigned("GET", "/cat", host="shared.example.com", authorization="Basic eDp5"),
        {},
        "200",
    ),
    "a signature at a domain": (
        unsigned("GET", "/cat", host="shared.example.com", authorization="AWS4-HMAC-SHA256 Credential=x"),
        {},
        "InvalidRequest",
    ),
    "a presigned link to a domain": (
        presigned("PUT", "/cat", headers={"Host": "photos.example.com"}),
        {},
        "InvalidRequest",
    ),
    "the domain of a private bucket": (unsigned("GET", "/cat", host="photos.example.com"), {}, "AccessDenied"),
    "the domain of a retained bucket": (
        unsigned("GET", "/cat", host="shared.example.com"),
        {"buckets": {"shared": replace(PUBLIC, retained=True)}},
        "AccessDenied",
    ),
    "the domain of a bucket that is another by now": (
        unsigned("GET", "/cat", host="former.example.com"),
        {},
        "AccessDenied",
    ),
    "a domain with records too old": (
        unsigned("GET", "/cat", host="shared.example.com"),
        {"verified": NOW - 86401},
        "ServiceUnavailable",
    ),
    "a bearer token": (unsigned("GET", "/photos/cat", authorization="Bearer x"), {}, "InvalidRequest"),
    "not implemented": (signed("GET", "/photos?acl"), {}, "NotImplemented"),
    "CreateBucket of a bucket that the key has": (signed("PUT", "/photos"), {}, "BucketAlreadyOwnedByYou"),
    "CreateBucket of a bucket that the key may only write to": (
        signed("PUT", "/photos"),
        {"the_key": replace(KEY, grants=tuple(replace(grant, actions=(PUT_OBJECT,)) for grant in KEY.grants))},
        "BucketAlreadyOwnedByYou",
    ),
    "CreateBucket of another's": (signed("PUT", "/secrets"), {}, "NotImplemented"),
    "CreateBucket of one that is nowhere": (signed("PUT", "/nowhere"), {}, "NotImplemented"),
    "CreateBucket of a retained one": (
        signed("PUT", "/shared"),
        {"buckets": {"shared": replace(PUBLIC, retained=True)}},
        "NotImplemented",
    ),
    "CreateBucket of one that is another by now": (
        signed("PUT", "/shared"),
        {"buckets": {"shared": replace(PUBLIC, data_id="another")}},
        "NotImplemented",
    ),
    "CreateBucket by a stranger": (unsigned("PUT", "/photos"), {}, "AccessDenied"),
    "CreateBucket by who may, where it is not served": (signed("PUT", "/new"), {"the_key": CREATOR}, "NotImplemented"),
    "CreateBucket, where it is served": (signed("PUT", "/new"), {"settings": SERVING}, "AccessDenied"),
    "CreateBucket of a bucket that the key has and may not create": (
        signed("PUT", "/photos"),
        {"settings": SERVING},
        "BucketAlreadyOwnedByYou",
    ),
    "CreateBucket of what is there": (
        signed("PUT", "/photos"),
        {"settings": SERVING, "the_key": CREATOR},
        "BucketAlreadyOwnedByYou",
    ),
    "CreateBucket of another's, where it is served": (
        signed("PUT", "/secrets"),
        {"settings": SERVING, "the_key": CREATOR},
        "BucketAlreadyExists",
    ),
    "CreateBucket with a wrong signature": (
        signed("PUT", "/new", secret="wrong"),
        {"settings": SERVING, "the_key": CREATOR},
        "SignatureDoesNotMatch",
    ),
    "CreateBucket by a stranger, where it is served": (unsigned("PUT", "/new"), {"settings": SERVING}, "AccessDenied"),
    "CreateBucket on the public path": (
        unsigned("PUT", "/public/new"),
        {"settings": SERVING},
        "AccessDenied",
    ),
    "CreateBucket at a domain": (
        unsigned("PUT", "/", host="shared.example.com"),
        {"settings": SERVING, "the_key": CREATOR},
        "AccessDenied",
    ),
    "a name that is free, to who may create": (
        signed("HEAD", "/new"),
        {"settings": SERVING, "the_key": CREATOR},
        "NoSuchBucket",
    ),
    "an object in a bucket that is not there, to who may create": (
        signed("GET", "/new/cat"),
        {"settings": SERVING, "the_key": CREATOR},
        "NoSuchBucket",
    ),
    "another's bucket, to who may create": (
        signed("HEAD", "/secrets"),
        {"settings": SERVING, "the_key": CREATOR},
        "AccessDenied",
    ),
    "a name that is free, where creation is not served": (
        signed("HEAD", "/new"),
        {"the_key": CREATOR},
        "AccessDenied",
    ),
    "a name that is free, to who may not create": (signed("HEAD", "/new"), {"settings": SERVING}, "AccessDenied"),
    "a name that is free, to a stranger": (unsigned("GET", "/new/cat"), {"settings": SERVING}, "AccessDenied"),
    "a name that is free, to who may create and is elsewhere": (
        signed("HEAD", "/new"),
        {"settings": SERVING, "the_key": replace(CREATOR, networks=("10.0.0.0/8",))},
        "AccessDenied",
    ),
    "CreateBucket by a revoked key": (
        signed("PUT", "/new"),
        {"settings": SERVING, "the_key": replace(CREATOR, state="Revoked")},
        "KeyAccessRevoked",
    ),
    "CreateBucket from elsewhere": (
        signed("PUT", "/new"),
        {"settings": SERVING, "the_key": replace(CREATOR, networks=("10.0.0.0/8",))},
        "NetworkNotAllowed",
    ),
    "a wish of the operator's, asked for by who may create": (
        signed("GET", "/?x-cooper-wishes"),
        {"settings": SERVING, "the_key": CREATOR},
        "AccessDenied",
    ),
    "a wish settled by who may create": (
        signed("POST", "/?x-cooper-settle"),
        {"settings": SERVING, "the_key": CREATOR},
        "AccessDenied",
    ),
    "no such method": (signed("PATCH", "/photos/cat"), {}, "MethodNotAllowed"),
}


async def with_cats() -> Gateway:
    """A gateway with an object `cat` in each of the granted buckets."""
    gateway = Gateway()
    for bucket in ("photos", "shared"):
        stored = await gateway.answer(signed("PUT", f"/{bucket}/cat", {"Content-Length": "4"}), b"meow")
        assert code(stored) == "200"
    return gateway


@pytest.mark.parametrize("case", DECISIONS)
async def test_decisions(case: str) -> None:
    request, records, expected = DECISIONS[case]
    gateway = await with_cats()
    for name, value in records.items():
        setattr(gateway.records, name, value)
    assert code(await gateway.answer(request)) == expected


OPERATOR = replace(KEY, grants=(), system=True)
WRITE_ONLY = replace(KEY, grants=tuple(replace(grant, actions=(PUT_OBJECT,)) for grant in KEY.grants))
COPY = signed("PUT", "/photos/dog", {"x-amz-copy-source": "/shared/cat", "Content-Length": "0"})
COPY_ELSEWHERE = signed("PUT", "/photos/dog", {"x-amz-copy-source": "/secrets/cat", "Content-Length": "0"})
COPY_NOWHERE = signed("PUT", "/photos/dog", {"x-amz-copy-source": "/nowhere/cat", "Content-Length": "0"})
COPY_MISSING = signed("PUT", "/photos/dog", {"x-amz-copy-source": "/shared/fox", "Content-Length": "0"})
COPYING = replace(KEY, grants=tuple(replace(grant, actions=(GET_OBJECT, PUT_OBJECT)) for grant in KEY.grants))

#: name -> (request, what is different about the records, the action that is named; "" none)
DENIALS: dict[str, tuple[Request, dict[str, Any], str]] = {
    "an action not granted": (signed("DELETE", "/photos/cat"), {}, "s3:DeleteObject"),
    "another's bucket": (signed("GET", "/secrets/cat"), {}, "s3:GetObject"),
    "a bucket that is nowhere": (signed("GET", "/nowhere/cat"), {}, "s3:GetObject"),
    "a listing": (signed("GET", "/photos?list-type=2"), {"the_key": READ_ONLY}, "s3:ListBucket"),
    "presigned": (presigned("PUT", "/photos/cat"), {"the_key": READ_ONLY}, "s3:PutObject"),
    "a missing object without ListBucket": (signed("GET", "/photos/dog"), {"the_key": READ_ONLY}, "s3:ListBucket"),
    "a copy of what may not be read": (COPY, {"the_key": WRITE_ONLY}, "s3:GetObject"),
    "a copy of another's": (COPY_ELSEWHERE, {}, "s3:GetObject"),
    "CreateBucket": (signed("PUT", "/new"), {"settings": SERVING}, "s3:CreateBucket"),
    "a copy from nowhere": (COPY_NOWHERE, {}, "s3:GetObject"),
    "a copy of what is missing": (COPY_MISSING, {"the_key": COPYING}, "s3:ListBucket"),
    "the operator's key": (signed("GET", "/photos/cat"), {"the_key": OPERATOR}, ""),
    "the operator's business": (signed("GET", "/photos?x-cooper-usage"), {}, ""),
    "a stranger": (unsigned("GET", "/photos/cat"), {}, ""),
    "a stranger, no such bucket": (unsigned("GET", "/nowhere/cat"), {}, ""),
    "a stranger, missing object": (unsigned("GET", "/shared/dog"), {}, ""),
    "a stranger at a domain": (unsigned("PUT", "/cat", host="shared.example.com", content_length="0"), {}, ""),
    "the public path, signed": (signed("GET", "/public/photos/cat"), {}, ""),
}


@pytest.mark.parametrize("case", DENIALS)
async def test_what_a_key_lacks_is_named_to_its_holder_and_to_nobody_else(case: str) -> None:
    request, records, action = DENIALS[case]
    gateway = await with_cats()
    for name, value in records.items():
        setattr(gateway.records, name, value)
    answer = await gateway.answer(request)
    assert isinstance(answer, S3Error)
    assert answer.code == "AccessDenied"
    if action:
        assert f" granted {action} " in answer.message
        assert answer.message.count("s3:") == 1
    else:
        assert answer.message == "Access denied."


async def test_another_s_bucket_and_one_that_is_nowhere_are_answered_alike() -> None:
    """But for the name, which is that of the request."""
    gateway = await with_cats()
    pairs = (("another's bucket", "a bucket that is nowhere"), ("a copy of another's", "a copy from nowhere"))
    for pair in pairs:
        answers = [await gateway.answer(DENIALS[case][0]) for case in pair]
        told = [
            (each.code, each.message.replace("secrets", "nowhere"), each.headers)
            for each in answers
            if isinstance(each, S3Error)
        ]
        assert len(told) == 2
        assert told[0] == told[1]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content-Length": "1001"}, "EntityTooLarge"),
        ({}, "MissingContentLength"),
        ({"Content-Length": "1", "x-amz-meta-a": "b" * 2048}, "MetadataTooLarge"),
        ({"Content-Length": "1", "x-amz-server-side-encryption-customer-algorithm": "AES256"}, "NotImplemented"),
        ({"Content-Length": "1", "x-amz-server-side-encryption": "aws:kms"}, "NotImplemented"),
        ({"Content-Length": "1", "x-amz-server-side-encryption": "AES256", "x-amz-acl": "private"}, None),
    ],
)
async def test_what_the_head_decides_is_decided_before_the_body(headers: dict[str, str], expected: str | None) -> None:
    class NoBody(RawBody):
        async def next(self) -> bytes | None:
            raise AssertionError("the body was read")

    gateway = Gateway()
    request = fresh(signed("PUT", "/photos/cat", headers))
    if expected is None:
        assert gateway.pipeline.admit(request, NoBody(None), "1").body.size == 1
        return
    with pytest.raises(S3Error) as raised:
        gateway.pipeline.admit(request, NoBody(None), "1")
    assert raised.value.code == expected


async def test_only_what_touches_objects_claims_encryption() -> None:
    gateway = await with_cats()
    for method, target, claims in (("GET", "/photos/cat", True), ("HEAD", "/photos/cat", True), ("GET", "/", False)):
        answer = await gateway.answer(signed(method, target))
        assert isinstance(answer, Response)
        assert ("x-amz-server-side-encryption" in answer.headers) is claims


#: name -> what changes in the records, and what is told to a client that is sending.
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "the key is revoked": ({"the_key": REVOKED}, "KeyAccessRevoked"),
    "the key is gone": ({"the_key": None}, "InvalidAccessKeyId"),
    "the key's time is over": ({"the_key": replace(KEY, not_after=NOW - 1)}, "KeyAccessRevoked"),
    "the grant is gone": ({"the_key": replace(KEY, grants=())}, "AccessDenied"),
    "the bucket is gone": ({"buckets": {}}, "NoSuchBucket"),
    "the bucket is another": ({"buckets": {"photos": replace(PHOTOS, data_id=PUBLIC.data_id)}}, "NoSuchBucket"),
    "the bucket's access is revoked": (
        {"buckets": {"photos": replace(PHOTOS, api_access="Revoked")}},
        "KeyAccessRevoked",
    ),
    "the records are too old": ({"verified": NOW - 90000}, "ServiceUnavailable"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_stream_is_allowed_only_as_long_as_its_request_would_be(change: str) -> None:
    gateway = await with_cats()
    call = gateway.pipeline.admit(fresh(GET), None, "1")
    assert gateway.pipeline.withdrawn(call) is None
    changes, code = CHANGES[change]
    for name, value in changes.items():
        setattr(gateway.records, name, value)
    error = gateway.pipeline.withdrawn(call)
    assert error is not None
    assert error.code == code


async def test_an_anonymous_stream_ends_when_the_bucket_turns_private_or_is_another() -> None:
    gateway = await with_cats()
    call = gateway.pipeline.admit(unsigned("GET", "/shared/cat"), None, "1")
    assert gateway.pipeline.withdrawn(call) is None
    for bucket in (replace(PUBLIC, visibility="Private"), replace(PUBLIC, data_id=PHOTOS.data_id)):
        gateway.records.buckets["shared"] = bucket
        assert gateway.pipeline.withdrawn(call) is not None


async def test_records_that_cannot_be_read_end_a_stream(caplog: pytest.LogCaptureFixture) -> None:
    gateway = await with_cats()
    call = gateway.pipeline.admit(fresh(GET), None, "1")
    gateway.pipeline = Pipeline(lambda: 1 / 0, MemoryStore(), clock=lambda: NOW)  # type: ignore[arg-type, return-value]
    assert gateway.pipeline.withdrawn(call) is not None


async def test_a_fault_is_logged_with_its_request_id_and_nothing_of_the_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(call: object) -> Response:
        raise RuntimeError("broken on purpose")

    monkeypatch.setitem(NOW_HANDLERS, "GetObject", broken)
    gateway = Gateway()
    request = presigned("GET", "/photos/cat")
    with caplog.at_level(logging.DEBUG):
        assert code(await gateway.answer(request)) == "InternalError"
    assert "0" * 16 in caplog.text
    assert "broken on purpose" in caplog.text
    for secret in (SECRET, request.query["X-Amz-Signature"], KEY_ID):
        assert secret not in caplog.text


async def test_refusals_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "cooper_gateway"):
        assert code(await Gateway().answer(WRONG)) == "SignatureDoesNotMatch"
    assert not caplog.records


#: What is known of a request when it was refused: operation, who is named, and who it was.
KNOWN: dict[str, tuple[Request, tuple[str, str, str]]] = {
    "allowed": (presigned("GET", "/photos/cat"), ("GetObject", KEY_ID, KEY_ID)),
    "not allowed": (signed("GET", "/secrets/cat"), ("GetObject", KEY_ID, KEY_ID)),
    "a wrong signature": (WRONG, ("GetObject", KEY_ID, "")),
    "an unknown key": (signed("GET", "/photos/cat", key_id="AKIANOBODY"), ("GetObject", "AKIANOBODY", "")),
    "anonymous": (Request("GET", b"/photos/cat", b"", {"host": "x"}), ("GetObject", "", "")),
    "no operation": (signed("GET", "/photos?acl"), ("-", "", "")),
}


@pytest.mark.parametrize(("request_", "known"), KNOWN.values(), ids=KNOWN)
async def test_what_is_known_of_a_request_is_kept_also_when_it_is_refused(
    request_: Request, known: tuple[str, str, str]
) -> None:
    request = fresh(request_)
    with contextlib.suppress(S3Error):
        Gateway().pipeline.admit(request, None, "ABC")
    assert (request.operation, request.claimed_signer, request.signer) == known


def test_all_observers_are_told_of_a_finished_request() -> None:
    one, other = list[Finished](), list[Finished]()
    finished = Finished(None, "DEF", 400, "InvalidRequest", 0.0, 0, 3, "10.0.0.1")
    Gateway(observers=[one.append, other.append]).pipeline.observe(finished)
    assert one == other == [finished]
    assert finished.operation == "-"


def test_signing_keys_are_kept_only_when_they_proved_right_and_are_bounded() -> None:
    keys = SigningKeys(size=2)
    for day in range(5):
        at = NOW + 86400 * day
        claim = parse_claim(signed("GET", "/photos/cat", at=at), at)
        assert claim is not None
        with pytest.raises(S3Error):
            keys.verify(claim, "wrong")
        assert keys.verify(claim, SECRET) == keys.verify(claim, SECRET)
        assert len(keys) == min(day + 1, 2)


def test_the_pipeline_needs_no_event_loop_to_decide() -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    with pytest.raises(S3Error, match="signature"):
        Gateway().pipeline.admit(fresh(WRONG), None, "1")


@pytest.mark.parametrize(
    ("api_access", "key", "said"),
    [("Revoked", KEY, {"x-cooper-access-generation": "7"}), ("Allowed", REVOKED, {})],
)
async def test_a_bucket_that_is_refused_to_every_key_says_by_which_record(
    api_access: str, key: KeyRecord, said: dict[str, str]
) -> None:
    """And a key that is refused everywhere does not: that tells nothing of the bucket."""
    gateway = await with_cats()
    gateway.records.buckets["photos"] = replace(PHOTOS, api_access=api_access, access_generation=7)
    gateway.records.the_key = key
    with pytest.raises(S3Error) as refused:
        gateway.pipeline.admit(fresh(GET), None, "1")
    assert (refused.value.code, refused.value.headers) == ("KeyAccessRevoked", said)


# What keys may spend in a second


class Paced:
    """A gateway with limits, whose seconds pass when they are told to."""

    def __init__(self, rates: Rates | None) -> None:
        self.seconds = 1000.0
        self.gateway = Gateway(tolls=Tolls(clock=lambda: self.seconds))
        self.limit(rates)

    def limit(self, rates: Rates | None) -> None:
        self.gateway.records.settings = RegionRecord("eu", REGION, rates=rates)

    async def codes(self, *requests: Request) -> list[str]:
        """What they are answered with; a body has three bytes."""
        return [code(await self.gateway.answer(each, b"cat")) for each in requests]


LIST = signed("GET", "/photos?list-type=2")


async def test_more_than_a_key_may_ask_is_told_to_slow_down() -> None:
    paced = Paced(Rates(requests=2))
    assert await paced.codes(LIST, LIST, LIST) == ["200", "200", "SlowDown"]
    refused = await paced.gateway.answer(LIST)
    assert isinstance(refused, S3Error)
    assert (refused.status, refused.headers) == (503, {"Retry-After": "1"})
    assert "2 requests a second" in refused.message
    paced.seconds += 0.6
    assert await paced.codes(LIST, LIST) == ["200", "SlowDown"]
    paced.limit(Rates(requests=1))
    assert await paced.codes(LIST, LIST) == ["200", "SlowDown"]
    paced.limit(None)
    assert await paced.codes(*[LIST] * 9) == ["200"] * 9


async def test_only_what_its_holder_asks_and_may_counts_for_a_key() -> None:
    paced = Paced(Rates(requests=1))
    refused = [
        WRONG,
        unsigned("GET", "/photos/cat"),
        unsigned("GET", "/shared/dog"),
        signed("GET", "/secrets/cat"),
        signed("DELETE", "/photos/cat"),
        signed("PUT", "/photos/cat", {"Content-Length": "1001"}),
        signed("GET", "/photos?acl"),
        signed("PUT", "/photos/cat", {"Content-Length": "3", "x-amz-expected-bucket-owner": "1"}),
    ]
    assert "200" not in await paced.codes(*refused)
    assert await paced.codes(LIST, LIST) == ["200", "SlowDown"]
    # And who may not is told so, whatever was spent.
    told = await paced.codes(*refused)
    assert told == ["SignatureDoesNotMatch", *["AccessDenied"] * 4, "EntityTooLarge", "NotImplemented", "AccessDenied"]
    paced.gateway.records.the_key = REVOKED
    assert await paced.codes(LIST) == ["KeyAccessRevoked"]


async def test_strangers_have_no_key_and_no_limit() -> None:
    paced = Paced(Rates(1, 1))
    assert set(await paced.codes(*[unsigned("GET", "/shared/dog")] * 9)) == {"AccessDenied"}
    assert set(await paced.codes(*[unsigned("GET", "/public/shared/dog")] * 9)) == {"AccessDenied"}


class NoBody(RawBody):
    async def next(self) -> bytes | None:
        raise AssertionError("the body was read")


async def test_an_upload_counts_from_its_head_on_and_is_refused_by_it() -> None:
    paced = Paced(Rates(bytes=100))
    put = signed("PUT", "/photos/cat", {"Content-Length": "500"})
    call = paced.gateway.pipeline.admit(fresh(put), NoBody(None), "1")
    with pytest.raises(S3Error) as refused:
        paced.gateway.pipeline.admit(fresh(put), NoBody(None), "2")
    assert (refused.value.code, refused.value.headers) == ("SlowDown", {"Retry-After": "1"})  # of two seconds' worth
    assert "100 bytes a second" in refused.value.message
    assert await paced.codes(LIST) == ["SlowDown"]
    # What never came is given back.
    assert call.spending is not None
    call.spending.settle(50)
    assert await paced.codes(LIST) == ["200"]


async def test_a_length_that_is_only_said_holds_a_key_up_for_a_moment_and_what_moves_for_as_long_as_it_took() -> None:
    paced = Paced(Rates(bytes=100))
    put = signed("PUT", "/photos/cat", {"Content-Length": "1000"})
    call = paced.gateway.pipeline.admit(fresh(put), NoBody(None), "1")
    assert call is not None
    assert call.spending is not None
    assert await paced.codes(LIST) == ["SlowDown"]
    paced.seconds += 1
    call.spending.progress(60)  # less than was said
    assert await paced.codes(LIST) == ["200"]
    call.spending.progress(1000)
    assert await paced.codes(LIST) == ["SlowDown"]
    paced.seconds += 7
    assert await paced.codes(LIST) == ["SlowDown"]
    paced.seconds += 1
    assert await paced.codes(LIST) == ["200"]


async def test_what_is_sent_is_announced_and_settled() -> None:
    paced = Paced(Rates(bytes=100))
    call = paced.gateway.pipeline.admit(fresh(LIST), None, "1")
    assert call.spending is not None
    call.spending.announce(1 << 30)
    assert await paced.codes(LIST) == ["SlowDown"]
    call.spending.settle(150)
    assert await paced.codes(LIST) == ["SlowDown"]
    paced.seconds += 0.5
    assert await paced.codes(LIST) == ["200"]
    paced.limit(Rates(requests=1000))
    assert paced.gateway.pipeline.admit(fresh(LIST), None, "1").spending is None


SYSTEM = replace(KEY, access_key_id="AKIASYSTEM", secret_key="the operator's own", system=True, grants=())


def probing(by: KeyRecord, key_id: str = KEY_ID, at: float = NOW, **more: Any) -> Request:
    mark = probe_mark(by, key_id, amz_date(at))
    return signed("GET", "/", {"x-cooper-probe": mark}, **more)


async def test_the_operator_asks_with_anybodys_key_whatever_that_has_spent() -> None:
    paced = Paced(Rates(1, 1))
    records = paced.gateway.records
    keys = {each.access_key_id: each for each in (KEY, SYSTEM)}
    records.key = keys.get  # type: ignore[method-assign, assignment]
    assert await paced.codes(*[probing(SYSTEM)] * 9) == ["200"] * 9
    assert await paced.codes(LIST, LIST) == ["200", "SlowDown"]
    assert await paced.codes(probing(SYSTEM)) == ["200"]
    operates = signed("GET", "/?x-cooper-intents=", key_id="AKIASYSTEM", secret=SYSTEM.secret_key)
    assert "SlowDown" not in await paced.codes(*[operates] * 9)

    # Nobody else makes such a mark, and none is good for another key or time.
    forged = replace(SYSTEM, secret_key=SECRET)
    theirs = replace(KEY, system=False)
    for wrong in (
        probing(forged),
        probing(theirs),
        probing(SYSTEM, key_id="AKIAOTHER"),
        probing(SYSTEM, at=NOW - 1),
        signed("GET", "/", {"x-cooper-probe": "AKIASYSTEM"}),
        signed("GET", "/", {"x-cooper-probe": "AKIANOBODY 00"}),
        signed("GET", "/", {"x-cooper-probe": ""}),
    ):
        assert await paced.codes(wrong) == ["SlowDown"], wrong.headers
    unsigned_mark = fresh(signed("GET", "/"))
    unsigned_mark.headers["x-cooper-probe"] = probe_mark(SYSTEM, KEY_ID, amz_date())
    assert await paced.codes(unsigned_mark) == ["AccessDenied"]
    keys["AKIASYSTEM"] = replace(SYSTEM, state="Revoked")
    assert await paced.codes(probing(SYSTEM)) == ["SlowDown"]
