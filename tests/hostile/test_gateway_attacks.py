"""Attacks on a real gateway over raw sockets: the right error, nothing stored, nothing leaked, the process lives."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from support.attack_field import PUBLIC, SECRET, Field
from support.raw_s3 import Answer, RawS3, amz_date, render

pytestmark = pytest.mark.usefixtures("lives_and_holds_what_it_held")

UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNKED = {"x-amz-decoded-content-length": "4", "content-encoding": "aws-chunked"}
CHUNKED_BODY = b"4\r\nevil\r\n0\r\n\r\n"
NOBODY = "00000000-0000-0000-0000-000000000000"
OPERATIONS = (
    "x-cooper-usage",
    "x-cooper-close",
    "x-cooper-reopen",
    "x-cooper-destroy",
    "x-cooper-purge",
    "x-cooper-intents",
    "x-cooper-wishes",
    "x-cooper-settle",
)


def signed(field: Field, method: str, target: str, body: bytes | None = None, **how: object) -> Answer:
    """A request of `mine`, signed unusually."""
    headers = field.mine.sign(method, target, **how)  # type: ignore[arg-type]
    if body is not None:
        headers["content-length"] = str(len(body))
    return field.mine.send(render(method, target, {**headers, "connection": "close"}) + (body or b""))


def as_key(field: Field, key_id: str, secret: str) -> RawS3:
    return RawS3(field.rig.port, key_id, secret)


def altered(field: Field, method: str, target: str, change: Callable[[dict[str, str]], object]) -> Answer:
    """A request of `mine` whose headers were changed after it was signed."""
    headers = field.mine.sign(method, target)
    change(headers)
    return field.mine.send(render(method, target, {**headers, "connection": "close"}))


def presigned(field: Field, change: Callable[[str], str], **how: object) -> Answer:
    """A presigned GET of `mine`, changed after it was signed."""
    return field.stranger.ask("GET", change(field.mine.presign("GET", "/mine/a", **how)))  # type: ignore[arg-type]


def chunked(field: Field, key: RawS3, target: str = "/mine/evil", **headers: str) -> Answer:
    """An upload with an unsigned trailer, as current SDKs send it."""
    return key.send(key.request("PUT", target, {**CHUNKED, **headers}, CHUNKED_BODY, payload=UNSIGNED_TRAILER))


SIGNATURES: dict[str, tuple[str, Callable[[Field], Answer]]] = {
    "wrong secret": (
        "SignatureDoesNotMatch",
        lambda f: as_key(f, f.mine.key_id, "wrong").ask("GET", "/mine/a"),
    ),
    "empty secret": ("SignatureDoesNotMatch", lambda f: as_key(f, f.mine.key_id, "").ask("GET", "/mine/a")),
    "unknown key, empty secret": ("InvalidAccessKeyId", lambda f: as_key(f, "AKIANOBODY", "").ask("GET", "/mine/a")),
    "key id in lower case": (
        "InvalidAccessKeyId",
        lambda f: as_key(f, f.mine.key_id.lower(), f.mine.secret).ask("GET", "/mine/a"),
    ),
    "key id of a bucket's record": ("InvalidAccessKeyId", lambda f: as_key(f, "bucket-mine", "").ask("GET", "/mine/a")),
    "key id of 512 bytes": (
        "InvalidAccessKeyId",
        lambda f: f.stranger.ask("GET", as_key(f, "\U0001f511" * 128, "").presign("GET", "/mine/a")),
    ),
    "16 minutes late": ("RequestTimeTooSkewed", lambda f: signed(f, "GET", "/mine/a", shift=-960)),
    "16 minutes early": ("RequestTimeTooSkewed", lambda f: signed(f, "GET", "/mine/a", shift=960)),
    "another service": ("AuthorizationHeaderMalformed", lambda f: signed(f, "GET", "/mine/a", service="ec2")),
    "host not signed": ("AccessDenied", lambda f: signed(f, "GET", "/mine/a", unsigned=("host",))),
    "a header of the operator's not signed": (
        "AccessDenied",
        lambda f: altered(f, "GET", "/mine/a", lambda headers: headers.update({"x-cooper-content": "closed"})),
    ),
    "date not signed": ("AccessDenied", lambda f: signed(f, "GET", "/mine/a", unsigned=("x-amz-date",))),
    "x-amz header added": (
        "AccessDenied",
        lambda f: altered(f, "PUT", "/mine/evil", lambda h: h.update({"x-amz-copy-source": "mine/a"})),
    ),
    "host changed": ("SignatureDoesNotMatch", lambda f: altered(f, "GET", "/mine/a", lambda h: h.update(host="evil"))),
    "content hash left out": (
        "MissingSecurityHeader",
        lambda f: altered(f, "GET", "/mine/a", lambda h: h.pop("x-amz-content-sha256")),
    ),
    "SigV2": ("InvalidRequest", lambda f: f.stranger.ask("GET", "/mine/a", {"authorization": "AWS a:b="})),
    "SigV2 in the query": ("InvalidRequest", lambda f: f.stranger.ask("GET", "/mine/a?AWSAccessKeyId=a&Signature=b")),
    "bearer": ("InvalidRequest", lambda f: f.stranger.ask("GET", "/mine/a", {"authorization": "Bearer x"})),
    "another's credentials on a public object": (
        "InvalidAccessKeyId",
        lambda f: as_key(f, "AKIANOBODY", "").ask("GET", "/site/pub"),
    ),
    "presigned, another name": ("SignatureDoesNotMatch", lambda f: presigned(f, lambda t: t.replace("/a?", "/b?"))),
    "presigned, more asked": (
        "SignatureDoesNotMatch",
        lambda f: presigned(f, lambda t: t + "&response-content-type=text/html"),
    ),
    "presigned, a parameter twice": ("InvalidArgument", lambda f: presigned(f, lambda t: t + "&X-Amz-Expires=99")),
    "presigned, a parameter twice in another case": (
        "SignatureDoesNotMatch",
        lambda f: presigned(f, lambda t: t + "&x-amz-expires=99"),
    ),
    "presigned, for no time": ("AuthorizationQueryParametersError", lambda f: presigned(f, str, expires="0")),
    "presigned, negative": ("AuthorizationQueryParametersError", lambda f: presigned(f, str, expires="-1")),
    "presigned, eight days": ("AuthorizationQueryParametersError", lambda f: presigned(f, str, expires="691200")),
    "presigned, expired": ("AccessDenied", lambda f: presigned(f, str, expires="5", shift=-10)),
    "presigned, in the future": ("RequestTimeTooSkewed", lambda f: presigned(f, str, shift=960)),
    "presigned and header": (
        "InvalidArgument",
        lambda f: f.mine.ask("GET", f.mine.presign("GET", "/mine/a")),
    ),
    "presigned and an empty header": (
        "InvalidArgument",
        lambda f: f.stranger.ask("GET", f.mine.presign("GET", "/mine/a"), {"authorization": ""}),
    ),
    # CVE-2025-31489
    "unsigned trailer, wrong secret": (
        "SignatureDoesNotMatch",
        lambda f: chunked(f, as_key(f, f.mine.key_id, "wrong")),
    ),
    "unsigned trailer, unknown key": ("InvalidAccessKeyId", lambda f: chunked(f, as_key(f, "AKIANOBODY", ""))),
    "unsigned trailer, no key": (
        "AccessDenied",
        lambda f: chunked(f, f.stranger, "/site/evil", **{"x-amz-content-sha256": UNSIGNED_TRAILER}),
    ),
    # CVE-2026-41145
    "unsigned trailer, credentials in the query": (
        "AuthorizationQueryParametersError",
        lambda f: f.stranger.ask(
            "PUT",
            f"/mine/evil?X-Amz-Credential={quote(f'{f.mine.key_id}/{amz_date()[:8]}/local/s3/aws4_request', safe='')}",
            {**CHUNKED, "x-amz-date": amz_date(), "x-amz-content-sha256": UNSIGNED_TRAILER},
            CHUNKED_BODY,
        ),
    ),
    "unsigned trailer, presigned": (
        "InvalidRequest",
        lambda f: f.stranger.ask(
            "PUT",
            f.mine.presign("PUT", "/mine/evil"),
            {**CHUNKED, "x-amz-content-sha256": UNSIGNED_TRAILER},
            CHUNKED_BODY,
        ),
    ),
    "presigned PUT that copies": (
        "AccessDenied",
        lambda f: f.stranger.ask(
            "PUT", f.mine.presign("PUT", "/mine/evil"), {"x-amz-copy-source": "mine/a"}, b""
        ),
    ),
    "presigned PUT that copies another's": (
        "AccessDenied",
        lambda f: f.stranger.ask("PUT", f.mine.presign("PUT", "/mine/evil?x-amz-copy-source=theirs/x"), body=b""),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SIGNATURES)
def test_a_signature_that_is_not_one(field: Field, case: str) -> None:
    code, attack = SIGNATURES[case]
    answer = attack(field)
    assert answer.code == code, answer.raw
    assert field.mine.secret.encode() not in answer.raw


#: (method, target) -> the code that the owner of `mine` and a stranger get.
PATHS: dict[tuple[str, str], tuple[str, str]] = {
    ("GET", "/mine/../theirs/x"): ("NoSuchKey", "AccessDenied"),
    ("GET", "/mine/%2e%2e/theirs/x"): ("NoSuchKey", "AccessDenied"),
    ("GET", "/mine/..%5ctheirs%5cx"): ("NoSuchKey", "AccessDenied"),
    ("GET", "/..%2ftheirs/x"): ("InvalidBucketName", "InvalidBucketName"),
    ("GET", "/./theirs/x"): ("InvalidBucketName", "InvalidBucketName"),
    ("GET", "//theirs/x"): ("InvalidBucketName", "InvalidBucketName"),
    ("GET", "/theirs%2Fx"): ("InvalidBucketName", "InvalidBucketName"),
    ("GET", "/THEIRS/x"): ("InvalidBucketName", "InvalidBucketName"),
    ("GET", "/theirs/x"): ("AccessDenied", "AccessDenied"),
    ("GET", "/theirs"): ("AccessDenied", "AccessDenied"),
    ("GET", "/nobodys/x"): ("AccessDenied", "AccessDenied"),
    ("GET", "/mine/%zz"): ("InvalidURI", "InvalidURI"),
    ("GET", "/mine/a%"): ("InvalidURI", "InvalidURI"),
    ("GET", "/mine?prefix=%z"): ("InvalidURI", "InvalidURI"),
    ("GET", "/mine/%00"): ("InvalidURI", "InvalidURI"),
    ("GET", "/mine/%ff"): ("InvalidURI", "InvalidURI"),
    ("GET", "/mine/%c0%ae"): ("InvalidURI", "InvalidURI"),
    ("GET", "/mine/" + "k" * 1025): ("KeyTooLongError", "KeyTooLongError"),
    ("PUT", "/mine/" + "%41" * 1025): ("KeyTooLongError", "KeyTooLongError"),
    ("GET", "/public/mine/a"): ("AccessDenied", "AccessDenied"),
    ("GET", "/public/site"): ("AccessDenied", "AccessDenied"),
    ("GET", "/public/site/"): ("AccessDenied", "AccessDenied"),
    ("GET", "/public/site?list-type=2"): ("AccessDenied", "AccessDenied"),
    ("GET", "/public/site/../../mine/a"): ("AccessDenied", "AccessDenied"),
    ("GET", "/public//site/pub"): ("InvalidBucketName", "InvalidBucketName"),
    ("GET", "/%70ublic/site/pub"): ("InvalidBucketName", "InvalidBucketName"),
    ("PUT", "/public/mine/evil"): ("AccessDenied", "AccessDenied"),
    ("DELETE", "/public/site/pub"): ("AccessDenied", "AccessDenied"),
    ("POST", "/public/site/pub?uploads"): ("AccessDenied", "AccessDenied"),
    ("GET", "/site"): ("AccessDenied", "AccessDenied"),
    ("GET", "/site?uploads"): ("AccessDenied", "AccessDenied"),
    ("GET", "/site?location"): ("AccessDenied", "AccessDenied"),
    ("PUT", "/site/evil"): ("AccessDenied", "AccessDenied"),
    ("DELETE", "/site/pub"): ("AccessDenied", "AccessDenied"),
    ("DELETE", "/mine"): ("AccessDenied", "AccessDenied"),
    ("PUT", "/brand-new"): ("AccessDenied", "AccessDenied"),  # NotImplemented, unless the Region serves CreateBucket
    ("POST", "/site"): ("AccessDenied", "AccessDenied"),
    ("POST", "/mine"): ("InvalidRequest", "AccessDenied"),  # it is no form
    ("POST", "/public/site"): ("AccessDenied", "AccessDenied"),
    ("POST", "/mine?unknown"): ("NotImplemented", "NotImplemented"),
    ("PUT", "/mine/a?acl"): ("NotImplemented", "NotImplemented"),
    ("PUT", "/mine/a?uploadId=x"): ("NotImplemented", "NotImplemented"),
    ("PUT", "/mine/a?unknown"): ("NotImplemented", "NotImplemented"),
}


@pytest.mark.parametrize(("method", "target"), PATHS)
def test_a_path_that_leads_elsewhere(field: Field, method: str, target: str) -> None:
    body = None if method == "GET" else b""
    for who, code in zip((field.mine, field.stranger), PATHS[method, target], strict=True):
        answer = who.ask(method, target, body=body)
        assert answer.code == code, answer.raw
        assert SECRET not in answer.raw


@pytest.mark.parametrize("query", OPERATIONS)
def test_the_operators_operations_are_nobody_elses(field: Field, query: str) -> None:
    data_id = {"x-cooper-data-id": NOBODY}
    for who in (field.mine, field.stranger):
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
            for path in ("/", "/mine", "/site", "/site/pub", "/public/site", "/public/site/pub"):
                answer = who.ask(method, f"{path}?{query}", data_id, None if method in ("GET", "HEAD") else b"")
                assert answer.status in (403, 405, 501), (method, path, answer.raw)


SOURCES = {
    "theirs/x": "AccessDenied",
    "/theirs/x": "AccessDenied",
    "theirs%2fx": "AccessDenied",
    "%2Ftheirs%2Fx": "AccessDenied",
    "mine/../theirs/x": "NoSuchKey",
    "mine/%2e%2e/theirs/x": "NoSuchKey",
    "//theirs/x": "InvalidArgument",
    "theirs/not-there": "AccessDenied",
    "nobodys/x": "AccessDenied",
    "site/pub": "AccessDenied",  # the right to read it is a stranger's, not this key's
    "public/site/pub": "InvalidBucketName",
    "mine/%00": "InvalidURI",
    "mine/%ff": "InvalidURI",
    "mine/%zz": "InvalidArgument",
    "mine/" + "k" * 1025: "KeyTooLongError",
    "arn:aws:s3:::theirs/x": "NotImplemented",
    "mine/a?versionId=1": "NotImplemented",
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_copy_from_where_the_key_may_not_read(field: Field, source: str) -> None:
    header = {"x-amz-copy-source": source}
    assert field.mine.ask("PUT", "/mine/copy", header, b"").code == SOURCES[source]
    part = field.mine.ask("PUT", f"/mine/parts?partNumber=1&uploadId={field.upload_id}", header, b"")
    assert part.code == SOURCES[source]


def test_a_key_that_only_writes_copies_nothing(field: Field) -> None:
    header = {"x-amz-copy-source": "mine/a"}
    assert field.writer.ask("PUT", "/mine/copy", header, b"").code == "AccessDenied"
    part = field.writer.ask("PUT", f"/mine/parts?partNumber=1&uploadId={field.upload_id}", header, b"")
    assert part.code == "AccessDenied"  # GHSA-mx42-j6wv-px98


def test_upload_ids_of_another_bucket_or_name(field: Field) -> None:
    complete = (
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%b</ETag></Part></CompleteMultipartUpload>"
        % (b"0" * 32)
    )
    for key, path in ((field.site, "/site/parts"), (field.theirs, "/theirs/parts"), (field.mine, "/mine/other")):
        target = f"{path}?uploadId={field.upload_id}"
        for answer in (
            key.ask("PUT", f"{target}&partNumber=1", body=b"evil"),
            key.ask("POST", target, body=complete),
            key.ask("GET", target),
            key.ask("DELETE", target),
        ):
            assert answer.code == "NoSuchUpload", answer.raw
    for odd in (
        "",
        "x",
        "..%2f..",
        "a" * 8000,
        field.upload_id.upper(),
        field.upload_id + "00",
        "%20" + field.upload_id,
    ):
        assert field.mine.ask("PUT", f"/mine/parts?partNumber=1&uploadId={odd}", body=b"e").code == "NoSuchUpload"


def test_batch_deletes_reach_no_further_than_their_key(field: Field) -> None:
    def delete(key: RawS3, bucket_name: str, name: str) -> Answer:
        body = f"<Delete><Object><Key>{name}</Key></Object></Delete>".encode()
        return key.ask("POST", f"/{bucket_name}?delete", body=body)

    assert delete(field.writer, "mine", "a").code == "AccessDenied"
    assert delete(field.mine, "theirs", "x").code == "AccessDenied"
    assert delete(field.stranger, "site", "pub").code == "AccessDenied"
    assert delete(field.mine, "mine", "../theirs/x").status == 200  # a name like any other: it was not there
    assert field.theirs.ask("GET", "/theirs/x").body == SECRET


@pytest.mark.parametrize("name", ["a%0d%0aX-Evil:%20y", "a:%20b", "a%20b", "%C3%BC", "a%00"])
def test_a_presigned_metadata_name_that_is_no_headers_name(field: Field, name: str) -> None:
    """Presigning moves headers to the query, past the framing that checks names."""
    answer = field.stranger.ask("PUT", field.mine.presign("PUT", f"/mine/evil?x-amz-meta-{name}=v"), body=b"x")
    assert answer.code == "InvalidArgument", answer.raw


@pytest.mark.parametrize("name", ["content-type", "content-disposition", "expires", "cache-control"])
@pytest.mark.parametrize("value", ["a%0d%0aX-Evil:%20y", "a%0aX-Evil:%20y", "a%0dX", "a%08"])
def test_a_response_override_with_a_line_end(field: Field, name: str, value: str) -> None:
    answer = field.stranger.ask("GET", field.mine.presign("GET", f"/mine/a?response-{name}={value}"))
    assert answer.code == "InvalidArgument", answer.raw
    assert b"X-Evil" not in answer.raw.partition(b"\r\n\r\n")[0]


def test_what_follows_a_refused_body_is_not_a_request(field: Field) -> None:
    smuggled = render("GET", "/site/pub", {"host": "x"})
    wrong = as_key(field, field.mine.key_id, "wrong")
    for data in (
        wrong.request("PUT", "/mine/evil", body=smuggled, close=False) + smuggled,
        wrong.request("PUT", "/mine/evil", {"content-length": "99", "expect": "100-continue"}, close=False) + smuggled,
        wrong.request("PUT", "/mine/evil", {"transfer-encoding": "chunked"}, close=False) + b"0\r\n\r\n" + smuggled,
        field.mine.request("PUT", "/mine/evil", {"content-length": "18446744073709551616"}, close=False) + smuggled,
    ):
        answer = field.mine.send(data)
        assert answer.answers == 1, answer.raw
        assert answer.status >= 400
        assert PUBLIC not in answer.raw
        assert b"100 Continue" not in answer.raw


def test_nothing_secret_leaves_the_store(field: Field) -> None:
    """Not into logs, metrics, status, arguments or environments of processes, memory files, records on disk."""
    secrets = [key.secret.encode() for key in (field.mine, field.theirs, field.writer, field.site)]
    rig = field.rig
    field.stranger.ask("GET", field.mine.presign("GET", "/mine/a"))
    with urllib.request.urlopen(f"http://127.0.0.1:{rig.metrics_port}/metrics", timeout=5) as page:
        places = {"metrics": page.read()}
    places["log"] = rig.log.read_bytes()
    places["status"] = json.dumps(rig.items()).encode()
    run = [path for path in Path("/dev/shm").glob("cooper-*/**/*") if path.is_file()]
    for path in [*rig.data.rglob("*"), *run]:
        if path.is_file() and not path.is_relative_to(rig.data / "credentials"):
            places[str(path)] = path.read_bytes()
    for pid in [pid for pids in rig.processes().values() for pid in pids]:
        for name in ("cmdline", "environ"):
            places[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes()
    for place, content in places.items():
        for secret in secrets:
            assert secret not in content, f"a secret key is in {place}"
        assert SECRET not in content, f"an object's bytes are in {place}"


def test_everything_kept_is_its_owners_alone(field: Field) -> None:
    paths = [path for path in field.rig.data.rglob("*") if not path.is_symlink()]
    assert len(paths) > 20
    for path in paths:
        assert not path.stat().st_mode & 0o077, f"{path} is open to others: {path.stat().st_mode:o}"


def test_connections_that_say_nothing_or_too_little_hold_nobody_up(field: Field) -> None:
    idle = [field.stranger.connect() for _ in range(300)]
    for connection in idle[:150]:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 8000)
    assert field.mine.ask("GET", "/mine/a").body == b"mine"
    for connection in idle:
        connection.close()
