"""The table of operations over the wire: each row in each way to sign; and what S3 has besides is refused.

docs/operations.md is compared with both.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cooper_crds.actions import GRANTABLE_ACTIONS, OPERATE
from cooper_gateway.protocol.routes import ROUTES, Route
from support import s3_signing
from support.attack_field import Field, make_rig
from support.pages import ROOT
from support.raw_s3 import Answer, RawS3, render
from support.rig import access_key

PAGE = (ROOT / "docs" / "operations.md").read_text()
#: The operator's own are nobody else's: tests/hostile/test_gateway_attacks.py.
SERVED = {route.operation: route for route in ROUTES if route.action != OPERATE}
STREAMING = (
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
)
FORMS = ("header", "header, unsigned payload", "presigned", *STREAMING)
WITH_BODY = {"PUT", "POST"}
TRAILER = ("x-amz-checksum-crc32", "n1l/VQ==")
DATA = b"some bytes"


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with make_rig(tmp_path_factory.mktemp("operations")) as rig:
        rig.apply("all-of-it.yaml", access_key("all", grants=[{"bucket": "mine", "actions": list(GRANTABLE_ACTIONS)}]))
        yield Field(rig)


@pytest.fixture(scope="module")
def key(field: Field) -> RawS3:
    """One that may do everything in `mine`."""
    env = field.rig.env("all")
    return RawS3(field.rig.port, env["ACCESS_KEY"], env["SECRET_KEY"])


class Asked:
    """One request to be made: its target, headers, body, and the status that it is to be answered with."""

    def __init__(self, target: str, status: int = 200, body: bytes | None = None, **headers: str) -> None:
        self.target = target
        self.status = status
        self.body = body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def _upload(field: Field) -> str:
    return field.mine.ask("POST", "/mine/big?uploads", body=b"").element("UploadId")


def _part(field: Field) -> tuple[str, str]:
    """An upload with one part: its id, and the part's ETag."""
    upload = _upload(field)
    answer = field.mine.ask("PUT", f"/mine/big?partNumber=1&uploadId={upload}", body=DATA)
    return upload, hashlib.md5(DATA).hexdigest() if answer.status == 200 else ""


def _complete(field: Field) -> Asked:
    upload, etag = _part(field)
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    return Asked(f"/mine/big?uploadId={upload}", body=body)


#: Operation -> what is asked. A bucket that holds something is not deleted, but who may not is told something else.
RECIPES: dict[str, Callable[[Field], Asked]] = {
    "ListBuckets": lambda f: Asked("/"),
    "HeadBucket": lambda f: Asked("/mine"),
    "CreateBucket": lambda f: Asked("/mine", 409),
    "DeleteBucket": lambda f: Asked("/mine", 409),
    "GetBucketLocation": lambda f: Asked("/mine?location"),
    "ListObjectsV2": lambda f: Asked("/mine?list-type=2"),
    "ListObjects": lambda f: Asked("/mine"),
    "ListMultipartUploads": lambda f: Asked("/mine?uploads"),
    "DeleteObjects": lambda f: Asked("/mine?delete", body=b"<Delete><Object><Key>nothing</Key></Object></Delete>"),
    "GetObject": lambda f: Asked("/mine/a"),
    "HeadObject": lambda f: Asked("/mine/a"),
    "GetObjectAttributes": lambda f: Asked("/mine/a?attributes", x_amz_object_attributes="ETag,ObjectSize"),
    "PutObject": lambda f: Asked("/mine/put", body=DATA),
    "CopyObject": lambda f: Asked("/mine/copy", body=b"", x_amz_copy_source="mine/a"),
    "DeleteObject": lambda f: Asked("/mine/nothing", 204),
    "CreateMultipartUpload": lambda f: Asked("/mine/big?uploads", body=b""),
    "UploadPart": lambda f: Asked(f"/mine/big?partNumber=1&uploadId={_upload(f)}", body=DATA),
    "UploadPartCopy": lambda f: Asked(
        f"/mine/big?partNumber=1&uploadId={_upload(f)}", body=b"", x_amz_copy_source="mine/a"
    ),
    "CompleteMultipartUpload": _complete,
    "AbortMultipartUpload": lambda f: Asked(f"/mine/big?uploadId={_upload(f)}", 204),
    "ListParts": lambda f: Asked(f"/mine/big?uploadId={_part(f)[0]}"),
}
#: Rows with tests of their own: they are not signed like others, or a Region has to allow them.
ELSEWHERE: dict[str, str] = {"PostObject": "tests/hostile/test_post_forms.py"}


def forms(route: Route) -> tuple[str, ...]:
    return FORMS if route.method in WITH_BODY else FORMS[:3]


CASES = [(name, form) for name, route in SERVED.items() if name not in ELSEWHERE for form in forms(route)]


@pytest.mark.parametrize(("operation", "form"), CASES)
def test_each_row_in_each_way_to_sign(
    field: Field, key: RawS3, operation: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_signing, "REGION", field.mine.region)
    asked = RECIPES[operation](field)
    answer = sent(key, SERVED[operation].method, asked, form)
    assert answer.status == asked.status, answer.raw


def sent(key: RawS3, method: str, asked: Asked, form: str) -> Answer:
    if form in STREAMING:
        return _streamed(key, method, asked, form)
    if form == "presigned":
        query = "&".join(f"{name}={value}" for name, value in asked.headers.items())
        target = asked.target + (("&" if "?" in asked.target else "?") + query if query else "")
        return key.follow(method, key.presign(method, target), None, asked.body)
    payload = hashlib.sha256(asked.body or b"").hexdigest() if form == "header" else "UNSIGNED-PAYLOAD"
    return key.send(key.request(method, asked.target, asked.headers, asked.body, payload=payload))


def _streamed(key: RawS3, method: str, asked: Asked, form: str) -> Answer:
    body = asked.body or b""
    trailers = [TRAILER] if "TRAILER" in form and body == DATA else []
    more = {"x-amz-decoded-content-length": str(len(body))}
    if trailers:
        more["x-amz-trailer"] = TRAILER[0]
    fields = key.sign(method, asked.target, {**asked.headers, **more}, form)
    seed = None if "UNSIGNED" in form else fields["authorization"].rpartition("Signature=")[2]
    at = datetime.strptime(fields["x-amz-date"], "%Y%m%dT%H%M%S%z").timestamp()
    chunks = s3_signing.chunked(
        [body],
        seed=seed,
        trailers=trailers,
        sign_trailer="SHA256-PAYLOAD-TRAILER" in form,
        at=at,
        signing_key=s3_signing.key(at, key.secret, key.region),
    )
    data = b"".join(chunks)
    framing = {"content-length": str(len(data)), "connection": "close"}
    return key.send(render(method, asked.target, {**fields, **framing}) + data)


def test_every_row_is_asked_and_on_the_page() -> None:
    """A new row needs a recipe, and a line of the page."""
    assert RECIPES.keys() | ELSEWHERE.keys() == SERVED.keys()
    told = re.findall(r"^\| `(\w+)` \| `(\w+)", PAGE, re.MULTILINE)
    assert {operation for operation, _ in told} == SERVED.keys()
    assert all(SERVED[operation].method == method for operation, method in told)


def given(shape: Any, name: str = "") -> Any:
    """A value of a shape of botocore's model: the least that it lets pass."""
    match shape.type_name:
        case "structure":
            names = list(shape.members)[:1] if getattr(shape, "is_tagged_union", False) else shape.required_members
            return {each: given(shape.members[each], each) for each in names}
        case "list":
            return [given(shape.member)]
        case "map":
            return {"a": "b"}
        case "integer" | "long" | "double" | "float":
            return 1
        case "boolean":
            return True
        case "timestamp":
            return datetime(2030, 1, 1, tzinfo=UTC)
        case "blob":
            return b"x"
        case _:
            if shape.enum:
                return shape.enum[0]
            least = "a" * shape.metadata.get("min", 1)
            return {"Bucket": "mine", "Key": "a", "CopySource": "mine/a"}.get(name, least)


def answered(client: Any, operation: str) -> tuple[int, str]:
    """Status and code that a client of S3 gets: of a call with what botocore requires and nothing else."""
    model = client.meta.service_model.operation_model(operation)
    members = given(model.input_shape) if model.input_shape is not None else {}
    try:
        result = client._make_api_call(operation, members)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    return result["ResponseMetadata"]["HTTPStatusCode"], ""


#: What asks in the very same way as an operation that is served.
ALIKE = {"ListDirectoryBuckets"}
#: Rows of the page's second table: the operations, and the answer's status and code.
REFUSED = re.findall(r"^\|[^|]*\|((?: `\w+`,?)+) \| (\d{3}) `(\w+)`", PAGE, re.MULTILINE)


def test_what_s3_has_besides_is_refused_as_the_page_tells(field: Field) -> None:
    """Every operation that botocore knows is served, or on the page with the answer that it gets."""
    client = field.rig.client("mine", inject_host_prefix=False)
    known = set(client.meta.service_model.operation_names)
    told = {name: (int(status), code) for names, status, code in REFUSED for name in re.findall(r"\w+", names)}
    assert told.keys() == known - SERVED.keys() - ALIKE
    assert {name: answered(client, name) for name in told} == told
    assert field.mine.ask("GET", "/mine/a").body == b"mine"
