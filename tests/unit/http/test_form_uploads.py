"""An upload by form through the one way to every handler: what is decided, in which order, what a browser is told."""

import base64
import hashlib
from typing import Any

import msgspec
import pytest

from cooper_crds.actions import GET_OBJECT, PUT_OBJECT
from cooper_crds.probes import PROBE
from cooper_crds.records import BucketRecord, CorsRule, DomainRecord, Grant, KeyRecord, Owner, Rates, RegionRecord
from cooper_gateway.http.body import RawBody
from cooper_gateway.http.pipeline import Pipeline
from cooper_gateway.http.spending import Tolls
from cooper_gateway.operations.call import bucket_ref
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request, Response
from cooper_gateway.storage.memory import MemoryStore
from support.calls import FakeDirectory, content
from support.forms import BOUNDARY, FILE, Multipart, Signer
from support.s3_signing import KEY_ID, NOW, REGION, SECRET, presigned, signed

OWNER = Owner("team", "photos", "uid-1")
PHOTOS = BucketRecord("photos", "00000000-0000-4000-8000-000000000001", OWNER, max_object_size=1_000_000)
OTHER = BucketRecord("other", "00000000-0000-4000-8000-000000000002", OWNER)
PUBLIC = BucketRecord("shared", "00000000-0000-4000-8000-000000000003", OWNER, visibility="Public")
KEY = KeyRecord(
    KEY_ID,
    SECRET,
    OWNER,
    1,
    (
        Grant("photos", PHOTOS.data_id, (PUT_OBJECT, GET_OBJECT)),
        Grant("shared", PUBLIC.data_id, (PUT_OBJECT, GET_OBJECT)),
    ),
)
SIGNER = Signer(KEY_ID, SECRET, REGION, NOW)
MD5 = base64.b64encode(hashlib.md5(FILE).digest()).decode()
replace = msgspec.structs.replace


class Records(FakeDirectory):
    def verified_at(self) -> float:
        return NOW


class Gateway:
    """A pipeline whose records tests change."""

    def __init__(self, **records: Any) -> None:
        self.records = Records(
            {KEY_ID: records.get("key", KEY)},
            {bucket.name: bucket for bucket in (records.get("bucket", PHOTOS), OTHER, PUBLIC)},
            records.get("region", RegionRecord("eu", REGION)),
            {"shared.example.com": DomainRecord("shared.example.com", "shared", PUBLIC.data_id, OWNER, "eu")},
        )
        self.store = MemoryStore()
        self.pipeline = Pipeline(self._directory, self.store, clock=lambda: NOW, tolls=records.get("tolls"))
        self.reads = 0
        self.between: Any = lambda: None  # what happens once the form's fields are there

    def _directory(self) -> FakeDirectory:
        self.reads += 1
        if self.reads == 2:
            self.between()
        return self.records

    async def post(self, form: Multipart, bucket: str = "photos", /, step: int = 100, **headers: str) -> Any:
        body = bytes(form)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"host": "s3.example", "content-type": form.content_type, "content-length": str(len(body))} | named
        return await self.send(Request("POST", f"/{bucket}".encode(), b"", given), body, step)

    async def send(self, request: Request, body: bytes, step: int = 100) -> Any:
        raw = RawBody(None)
        for at in range(0, len(body), step):
            raw.push(body[at : at + step])
        raw.end()
        self.request, self.call = request, None
        try:
            self.call = self.pipeline.admit(request, raw, "0" * 16)
            if self.call is None:
                self.call = await self.pipeline.admit_form(request, raw, "0" * 16)
            answer = await self.pipeline.handle(self.call)
            answer.headers |= self.pipeline.shared(request, self.call)
            return answer
        except Exception as error:
            return self.pipeline.explain(error, self.call, "0" * 16)

    async def held(self) -> int:
        """How many objects there are."""
        return (await self.store.usage(bucket_ref(PHOTOS.data_id, "photos"))).objects

    async def stored(self, name: str = "by-form", bucket: str = "photos") -> Response | None:
        """What a GET answers."""
        request = Request("GET", f"/{bucket}/{name}".encode(), b"", dict(signed("GET", f"/{bucket}/{name}").headers))
        self.reads = 9
        try:
            call = self.pipeline.admit(request, None, "0")
            assert call is not None
            return await self.pipeline.handle(call)
        except Exception:
            return None


def form(file: bytes = FILE, bucket: str = "photos", **how: Any) -> Multipart:
    return Multipart(SIGNER.fields(bucket, **how), file)


def code(answer: Response | S3Error) -> str:
    return answer.code if isinstance(answer, S3Error) else str(answer.status)


async def test_a_form_is_stored() -> None:
    gateway = Gateway()
    answer = await gateway.post(form(key="ü/${filename}"), step=7)
    assert answer.status == 204
    assert answer.headers["Location"] == "http://s3.example/photos/%C3%BC/cat.png"
    assert answer.headers["x-amz-server-side-encryption"] == "AES256"
    found = await gateway.stored("%C3%BC/cat.png")
    assert found is not None
    assert await content(found) == FILE
    assert found.headers["ETag"] == answer.headers["ETag"]
    assert found.headers["Content-Type"] == "binary/octet-stream"
    request = gateway.request
    assert (request.operation, request.signer, request.claimed_signer) == ("PostObject", KEY_ID, KEY_ID)
    assert request.name == "ü/cat.png".encode()


async def test_what_the_fields_say_of_the_object_and_not_the_headers() -> None:
    gateway = Gateway()
    said = {
        "Content-Type": "image/png",
        "Cache-Control": "no-store",
        "Content-Disposition": "attachment",
        "Content-Encoding": "identity",
        "Expires": "tomorrow",
        "x-amz-meta-name": "ü",
        "acl": "public-read",
        "x-amz-storage-class": "GLACIER",
        "x-amz-server-side-encryption": "AES256",
    }
    sent = {"cache_control": "max-age=0", "x_amz_meta_evil": "x", "if_none_match": "*", "x_amz_trailer": "x"}
    for _ in range(2):  # a condition in the head would refuse the second one
        assert code(await gateway.post(form(more=said), **sent)) == "204"
    found = await gateway.stored()
    assert found is not None
    shown = {name: found.headers.get(name) for name in said if name[:1] in "CE" or "meta" in name}
    assert shown == {name: said[name] for name in shown} | {"x-amz-meta-name": "=?UTF-8?B?w7w=?="}
    assert "x-amz-meta-evil" not in found.headers


@pytest.mark.parametrize(
    ("wanted", "status"), [("200", 200), ("201", 201), ("204", 204), ("404", 204), ("", 204), (" 200", 204)]
)
async def test_the_status_that_is_wanted(wanted: str, status: int) -> None:
    answer = await Gateway().post(form(key="a<b>&c", more={"success_action_status": wanted}))
    assert answer.status == status
    if status != 201:
        assert answer.body == b""
        return
    assert answer.headers["Content-Type"] == "application/xml"
    etag = answer.headers["ETag"].replace('"', "&quot;")
    assert answer.body.decode().endswith(
        "<Location>http://s3.example/photos/a%3Cb%3E%26c</Location><Bucket>photos</Bucket>"
        f"<Key>a&lt;b&gt;&amp;c</Key><ETag>{etag}</ETag></PostResponse>"
    )


#: A redirection -> where it leads; empty for nowhere.
REDIRECTIONS = {
    "https://app.example/done": "https://app.example/done?bucket=photos&key=a%26b%2Fc&etag=",
    "http://app.example:8080/done?x=1#there": "http://app.example:8080/done?x=1&bucket=photos&key=a%26b%2Fc&etag=",
    "HTTPS://app.example": "https://app.example?bucket=photos&key=a%26b%2Fc&etag=",
    "javascript:alert(1)": "",
    "data:text/html,x": "",
    "//app.example/done": "",
    "/done": "",
    "https://": "",
    "https:///done": "",
    "https://[": "",
    "https://app.example/a b": "",
    "https://app.example/\r\nSet-Cookie: a=b": "",
    "https://app.example/ü": "",
    "": "",
}


@pytest.mark.parametrize("url", REDIRECTIONS)
@pytest.mark.parametrize("field", ["success_action_redirect", "redirect"])
async def test_redirections(url: str, field: str) -> None:
    answer = await Gateway().post(form(key="a&b/c", more={field: url, "success_action_status": "200"}))
    leads = REDIRECTIONS[url]
    if not leads:
        assert (answer.status, answer.headers["Location"]) == (200, "http://s3.example/photos/a%26b/c")
        return
    etag = answer.headers["ETag"].replace('"', "%22")
    end = "#there" if "#" in url else ""
    assert (answer.status, answer.headers["Location"]) == (303, f"{leads}{etag}{end}")


REVOKED = replace(KEY, state="Revoked")
WRONG = Signer(KEY_ID, "wrong", REGION, NOW)
#: name -> (form, what is different about the records, code)
DECISIONS: dict[str, tuple[Multipart, dict[str, Any], str]] = {
    "right": (form(), {}, "204"),
    "not signed": (Multipart({"key": "a"}), {}, "AccessDenied"),
    "a wrong secret": (Multipart(WRONG.fields("photos")), {}, "SignatureDoesNotMatch"),
    "a wrong secret of a revoked key": (Multipart(WRONG.fields("photos")), {"key": REVOKED}, "SignatureDoesNotMatch"),
    "a wrong secret, a policy that is none": (
        Multipart(WRONG.fields("photos", document=5)),
        {},
        "SignatureDoesNotMatch",
    ),
    "an unknown key": (Multipart(Signer("AKIANOBODY", "", REGION, NOW).fields("photos")), {}, "InvalidAccessKeyId"),
    "a key without a secret": (
        Multipart(Signer(KEY_ID, "", REGION, NOW).fields("photos")),
        {"key": replace(KEY, secret_key="")},
        "InvalidAccessKeyId",
    ),
    "a revoked key": (form(), {"key": REVOKED}, "KeyAccessRevoked"),
    "a revoked key's state is not told beyond the policy": (
        Multipart({**SIGNER.fields("photos"), "acl": "x"}),
        {"key": REVOKED},
        "AccessDenied",
    ),
    "a key past its time": (form(), {"key": replace(KEY, not_after=NOW)}, "KeyAccessRevoked"),
    "a system key": (form(), {"key": replace(KEY, system=True)}, "AccessDenied"),
    "a key that only reads": (
        form(),
        {"key": replace(KEY, grants=(Grant("photos", PHOTOS.data_id, (GET_OBJECT,)),))},
        "AccessDenied",
    ),
    "beyond a grant's prefix": (
        form(),
        {"key": replace(KEY, grants=(Grant("photos", PHOTOS.data_id, (PUT_OBJECT,), ("docs/",)),))},
        "AccessDenied",
    ),
    "within a grant's prefix": (
        form(key="docs/${filename}"),
        {"key": replace(KEY, grants=(Grant("photos", PHOTOS.data_id, (PUT_OBJECT,), ("docs/",)),))},
        "204",
    ),
    "from elsewhere": (form(), {"key": replace(KEY, networks=("192.0.2.0/24",))}, "NetworkNotAllowed"),
    "API access revoked": (form(), {"bucket": replace(PHOTOS, api_access="Revoked")}, "KeyAccessRevoked"),
    "another bucket of that name": (form(), {"bucket": replace(PHOTOS, data_id=OTHER.data_id)}, "AccessDenied"),
    "too large": (form(b"x" * 1_100_000), {}, "EntityTooLarge"),
    "a little too large": (form(b"x" * 1_000_001), {}, "EntityTooLarge"),
    "just so large": (form(b"x" * 1_000_000), {}, "204"),
    "a type that is not taken": (
        form(more={"Content-Type": "text/html"}),
        {"bucket": replace(PHOTOS, content_types=("image/*",))},
        "ContentTypeNotAllowed",
    ),
    "a type in the head alone": (form(), {"bucket": replace(PHOTOS, content_types=("multipart/*",))}, "ContentTypeN"),
    "too many objects": (form(), {"bucket": replace(PHOTOS, max_objects=0)}, "QuotaExceeded"),
    "too many bytes": (form(), {"bucket": replace(PHOTOS, max_size=3)}, "QuotaExceeded"),
    "too much metadata": (form(more={"x-amz-meta-a": "a" * 2048}), {}, "MetadataTooLarge"),
    "a line end in metadata": (form(more={"x-amz-meta-a": "a\r\nX: y"}), {}, "InvalidArgument"),
    "a line end in a type": (form(more={"Content-Type": "a/b\nX: y"}), {}, "InvalidArgument"),
    "no key": (Multipart({n: v for n, v in SIGNER.fields("photos").items() if n != "key"}), {}, "InvalidArgument"),
    "an empty key": (form(key=""), {}, "InvalidURI"),
    "a key with a NUL": (form(key="a\0b"), {}, "InvalidURI"),
    "a key of 1,024 bytes": (form(key="k" * 1024), {}, "204"),
    "a key of 1,025 bytes": (form(key="k" * 1025), {}, "KeyTooLongError"),
    "a key made longer by the file's name": (form(key="k" * 1020 + "${filename}"), {}, "KeyTooLongError"),
    "tagging": (form(more={"tagging": "<Tagging/>"}), {}, "NotImplemented"),
    "tagging as a header is called": (form(more={"x-amz-tagging": "a=b"}), {}, "NotImplemented"),
    "keys of the customer": (
        form(more={"x-amz-server-side-encryption-customer-key": "x"}),
        {},
        "NotImplemented",
    ),
    "KMS": (form(more={"x-amz-server-side-encryption": "aws:kms"}), {}, "NotImplemented"),
    "a digest that fits": (form(more={"Content-MD5": MD5}), {}, "204"),
    "a digest that does not fit": (form(b"other", more={"Content-MD5": MD5}), {}, "BadDigest"),
    "a checksum that does not fit": (form(more={"x-amz-checksum-crc32": "AAAAAA=="}), {}, "XAmzContentChecksumMism"),
    "a checksum that is none": (form(more={"x-amz-checksum-crc32": "x"}), {}, "InvalidRequest"),
    "a size in the policy": (form(conditions=[["content-length-range", 1, 16]]), {}, "204"),
    "over the policy's size": (form(conditions=[["content-length-range", 1, 15]]), {}, "EntityTooLarge"),
    "under the policy's size": (form(conditions=[["content-length-range", 17, 99]]), {}, "EntityTooSmall"),
    "signed in another region": (
        Multipart(Signer(KEY_ID, SECRET, "mars", NOW).fields("photos")),
        {"region": RegionRecord("eu", REGION, match_region=True)},
        "InvalidArgument",
    ),
    "signed in any region": (
        Multipart(Signer(KEY_ID, SECRET, "mars", NOW).fields("photos")),
        {"region": RegionRecord("eu", REGION, match_region=False)},
        "204",
    ),
}


@pytest.mark.parametrize("case", DECISIONS)
async def test_decisions(case: str) -> None:
    sent, records, expected = DECISIONS[case]
    gateway = Gateway(**records)
    answer = await gateway.post(sent, step=60_000)
    assert code(answer).startswith(expected)
    if isinstance(answer, S3Error):
        assert await gateway.held() == 0
        assert SECRET not in answer.message


@pytest.mark.parametrize(
    ("records", "more", "size", "expected"),
    [
        ({}, {}, 1 << 20, None),
        ({}, {}, 1 << 21, "EntityTooLarge"),
        ({"bucket": replace(PHOTOS, content_types=("image/*",))}, {"Content-Type": "text/html"}, 99, "ContentTypeNot"),
        ({}, {"x-amz-meta-a": "a" * 2048}, 99, "MetadataTooLarge"),
        ({"key": REVOKED}, {}, 99, "KeyAccessRevoked"),
    ],
)
async def test_what_the_fields_decide_is_decided_before_the_file(
    records: dict[str, Any], more: dict[str, str], size: int, expected: str | None
) -> None:
    gateway = Gateway(**{"bucket": replace(PHOTOS, max_object_size=1 << 20)} | records)
    sent = form(more=more)
    raw = RawBody(None)
    raw.push(bytes(sent)[: -len(BOUNDARY) - 8])  # more is to come
    headers = {"host": "x", "content-type": sent.content_type, "content-length": str(size + len(bytes(sent)))}
    request = Request("POST", b"/photos", b"", headers)
    assert gateway.pipeline.admit(request, raw, "1") is None
    if expected is None:
        assert (await gateway.pipeline.admit_form(request, raw, "1")).body.size is None
        return
    with pytest.raises(S3Error) as raised:
        await gateway.pipeline.admit_form(request, raw, "1")
    assert raised.value.code.startswith(expected)


async def test_the_records_count_as_they_are_once_the_fields_are_there() -> None:
    """They may take a minute to come."""
    gateway = Gateway()
    gateway.between = lambda: gateway.records.keys.update({KEY_ID: REVOKED})
    assert code(await gateway.post(form())) == "KeyAccessRevoked"


async def test_a_form_that_streams_is_allowed_only_as_long_as_its_request_would_be() -> None:
    gateway = Gateway()
    await gateway.post(form(), x_forwarded_for="192.0.2.1")
    call = gateway.call
    assert call is not None
    assert gateway.pipeline.withdrawn(call) is None
    gateway.records.keys[KEY_ID] = replace(KEY, grants=(Grant("photos", PHOTOS.data_id, (PUT_OBJECT,), ("docs/",)),))
    error = gateway.pipeline.withdrawn(call)
    assert error is not None
    assert error.code == "AccessDenied"


async def test_a_form_behind_a_proxy_comes_from_where_the_proxy_says() -> None:
    region = RegionRecord("eu", REGION, trusted_proxies=("10.0.0.0/8",))
    gateway = Gateway(region=region, key=replace(KEY, networks=("192.0.2.0/24",)))
    for address, expected in (("192.0.2.1", "204"), ("198.51.100.1", "NetworkNotAllowed")):
        body = bytes(form())
        headers = {
            "host": "x",
            "content-type": form().content_type,
            "content-length": str(len(body)),
            "x-forwarded-for": address,
        }
        assert code(await gateway.send(Request("POST", b"/photos", b"", headers, peer="10.0.0.1"), body)) == expected


async def test_nothing_but_a_form_is_posted_to_a_bucket() -> None:
    gateway = Gateway()
    body = bytes(form())
    head = {"content-length": str(len(body))}
    for request, expected in (
        (signed("POST", "/photos", head), "InvalidRequest"),
        (signed("POST", "/photos", head | {"Content-Type": form().content_type}), "InvalidRequest"),
        (presigned("POST", "/photos"), "InvalidRequest"),
        (signed("POST", "/photos", head, secret="wrong"), "SignatureDoesNotMatch"),
        (signed("POST", "/other", head), "AccessDenied"),
        (Request("POST", b"/photos", b"", head | {"host": "x"}), "AccessDenied"),
        (Request("POST", b"/photos", b"", head | {"host": "x", "content-type": "text/plain"}), "AccessDenied"),
        (
            Request("POST", b"/photos", b"", {"host": "x", "content-type": form().content_type}),
            "MissingContentLength",
        ),
        (
            Request("POST", b"/photos", b"", head | {"host": "x", "content-type": "multipart/form-data"}),
            "MalformedPOSTRequest",
        ),
        (
            Request("POST", b"/photos", b"x=1", head | {"host": "x", "content-type": form().content_type}),
            "NotImplemented",
        ),
        (
            Request("POST", b"/photos/a", b"", head | {"host": "x", "content-type": form().content_type}),
            "MethodNotAllowed",
        ),
    ):
        fresh = Request(request.method, request.path, request.query_string, dict(request.headers))
        assert code(await gateway.send(fresh, body)) == expected, request
    assert await gateway.stored() is None


async def test_what_is_public_takes_no_form() -> None:
    """Whoever signed it: these are for reading."""
    gateway = Gateway()
    sent = form(bucket="shared")
    assert code(await gateway.post(sent, "shared")) == "204"
    assert code(await gateway.post(sent, "public/shared")) == "AccessDenied"
    assert code(await gateway.post(sent, "", host="shared.example.com")) == "AccessDenied"


async def test_a_form_at_a_buckets_host_name_below_the_regions_domain() -> None:
    gateway = Gateway(region=RegionRecord("eu", REGION, virtual_hosts="s3.example"))
    answer = await gateway.post(form(), "", host="photos.s3.example:9000")
    assert (answer.status, answer.headers["Location"]) == (204, "http://photos.s3.example:9000/by-form")
    assert await gateway.held() == 1
    assert code(await gateway.post(form(), "", host="other.s3.example")) == "AccessDenied"
    assert code(await gateway.post(form(), "photos", host="other.s3.example")) == "MethodNotAllowed"


@pytest.mark.parametrize(
    ("rates", "codes"),
    [
        (Rates(requests=2), ["204", "204", "SlowDown"]),
        # What the body announces is spent before it comes; of what was refused nothing is.
        (Rates(bytes=len(bytes(form())) * 3 // 2), ["204", "204", "SlowDown"]),
    ],
)
async def test_a_form_spends_what_its_key_may(rates: Rates, codes: list[str]) -> None:
    tolls = Tolls(clock=lambda: 1000.0)
    gateway = Gateway(region=RegionRecord("eu", REGION, rates=rates), tolls=tolls)
    wrong = Multipart(WRONG.fields("photos"))
    beyond = Multipart({**SIGNER.fields("photos"), "acl": "x"})
    for each in [wrong] * 3 + [beyond] * 3:
        assert code(await gateway.post(each)) in ("SignatureDoesNotMatch", "AccessDenied")
    assert [code(await gateway.post(form())) for _ in codes] == codes


@pytest.mark.parametrize("mark", ["", "x"])
async def test_a_form_is_no_probe_of_the_operators(mark: str) -> None:
    """What its head says was signed by nobody."""
    gateway = Gateway(region=RegionRecord("eu", REGION, rates=Rates(requests=1)), tolls=Tolls(clock=lambda: 1000.0))
    codes = [code(await gateway.post(form(), **{PROBE: mark})) for _ in range(2)]
    assert codes == ["204", "SlowDown"]
    assert PROBE not in gateway.request.headers


async def test_a_page_may_read_the_answer_where_the_bucket_says_so() -> None:
    rule = CorsRule(("https://app.example",), ("POST",), exposed=("ETag", "Location"))
    gateway = Gateway(bucket=replace(PHOTOS, cors=(rule,)))
    for sent in (form(), Multipart({"key": "a"})):
        answer = await gateway.post(sent, origin="https://app.example")
        shared = gateway.pipeline.shared(gateway.request, gateway.call)
        assert shared["Access-Control-Allow-Origin"] == "https://app.example"
        assert isinstance(answer, S3Error) or answer.headers.items() >= shared.items()
