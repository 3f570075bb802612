"""Uploads by form, attacked: CVE-2021-21362, CVE-2023-28434, CVE-2026-55874 and what else a form could be made to do.

A form is worth what whoever holds a key signed in its policy: not another place, size, type or time.
"""

import re
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from support.attack_field import Field
from support.forms import BOUNDARY, FILE, Multipart, Signer
from support.process_tree import children_of
from support.raw_s3 import Answer, RawS3, render

pytestmark = pytest.mark.usefixtures("lives_and_holds_what_it_held")


def signer(key: RawS3, **changes: str) -> Signer:
    return Signer(**{"key_id": key.key_id, "secret": key.secret, "region": key.region} | changes)


def request(field: Field, form: Multipart | bytes, target: str = "/mine", **headers: str) -> bytes:
    body = bytes(form)
    content_type = form.content_type if isinstance(form, Multipart) else Multipart({}).content_type
    sent = {
        "host": field.stranger.host,
        "content-type": content_type,
        "content-length": str(len(body)),
        "connection": "close",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return render("POST", target, sent) + body


def post(field: Field, form: Multipart | bytes, target: str = "/mine", **headers: str) -> Answer:
    return field.stranger.send(request(field, form, target, **headers))


def changed(fields: dict[str, str], **changes: str | None) -> dict[str, str]:
    """Fields of a form that was signed, changed since. None takes one away, an underscore stands for a hyphen."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in (fields | named).items() if value is not None}


@pytest.fixture
def uploaded(field: Field) -> Iterator[Callable[..., Answer]]:
    """Posts a form that is right, and takes away what it stored."""
    names: list[str] = []

    def upload(form: Multipart, name: str, target: str = "/mine", **headers: str) -> Answer:
        names.append(name)
        return post(field, form, target, **headers)

    yield upload
    for name in names:
        assert field.mine.ask("DELETE", f"/mine/{name}").status == 204


def test_a_form_that_is_right(field: Field, uploaded: Callable[..., Answer]) -> None:
    """So that those below are refused for what they say, and not for how they are sent."""
    more = {"Content-Type": "image/png", "success_action_status": "201", "x-amz-meta-a": "b", "x-ignore-this": "x"}
    fields = signer(field.mine).fields("mine", "by/${filename}", [["content-length-range", 1, 99]], more=more)
    answer = uploaded(Multipart(fields, after=[("submit", "Upload")]), "by/cat.png")
    assert answer.status == 201, answer.raw
    assert answer.element("Key") == "by/cat.png"
    found = field.mine.ask("GET", "/mine/by/cat.png")
    assert found.body == FILE
    assert b"\r\nContent-Type: image/png\r\n" in found.raw
    assert b"\r\nx-amz-meta-a: b\r\n" in found.raw


#: What is wrong -> code, and the form's fields.
Case = tuple[str, Callable[[Field], dict[str, str]]]
CONDITIONS: dict[str, Case] = {
    "another key": ("AccessDenied", lambda f: changed(signer(f.mine).fields("mine"), key="evil")),
    "a key that goes on": ("AccessDenied", lambda f: changed(signer(f.mine).fields("mine"), key="by-form/evil")),
    "a key outside the beginning": (
        "AccessDenied",
        lambda f: changed(signer(f.mine).fields("mine", "user/${filename}"), key="users/evil"),
    ),
    "a key that another field names": (
        "AccessDenied",
        lambda f: changed(signer(f.mine).fields("mine"), key="${key}"),
    ),
    "another bucket": ("AccessDenied", lambda f: signer(f.mine).fields("theirs")),
    "no bucket": ("AccessDenied", lambda f: signer(f.mine).fields("mine", conditions=[{"key": "by-form"}], own=False)),
    "no conditions at all": ("AccessDenied", lambda f: signer(f.mine).fields("mine", own=False)),
    "another bucket in a field, as it was signed": (
        "InvalidArgument",
        lambda f: changed(signer(f.mine).fields("theirs"), bucket="theirs"),
    ),
    "another bucket in a field": (
        "InvalidArgument",
        lambda f: changed(signer(f.mine).fields("mine"), bucket="theirs"),
    ),
    "another type": (
        "AccessDenied",
        lambda f: changed(signer(f.mine).fields("mine", more={"Content-Type": "image/png"}), Content_Type="text/html"),
    ),
    "a second type": (
        "AccessDenied",
        lambda f: changed(
            signer(f.mine).fields("mine", conditions=[["starts-with", "$Content-Type", "image/"]]),
            Content_Type="image/png,text/html",
        ),
    ),
    "a type that is not named": (
        "AccessDenied",
        lambda f: changed(signer(f.mine).fields("mine"), Content_Type="text/html"),
    ),
    "metadata that is not named": (
        "AccessDenied",
        lambda f: changed(signer(f.mine).fields("mine"), x_amz_meta_a="b"),
    ),
    "a redirection that is not named": (
        "AccessDenied",
        lambda f: changed(signer(f.mine).fields("mine"), success_action_redirect="https://evil.example/"),
    ),
    "another redirection": (
        "AccessDenied",
        lambda f: changed(
            signer(f.mine).fields("mine", more={"success_action_redirect": "https://app.example/"}),
            success_action_redirect="https://app.example.evil.example/",
        ),
    ),
    "an acl that is not named": ("AccessDenied", lambda f: changed(signer(f.mine).fields("mine"), acl="public-read")),
    "a field is left out": (
        "AccessDenied",
        lambda f: changed(signer(f.mine).fields("mine", more={"acl": "private"}), acl=None),
    ),
    "too large": (
        "EntityTooLarge",
        lambda f: signer(f.mine).fields("mine", conditions=[["content-length-range", 0, len(FILE) - 1]]),
    ),
    "too small": (
        "EntityTooSmall",
        lambda f: signer(f.mine).fields("mine", conditions=[["content-length-range", len(FILE) + 1, 99]]),
    ),
    "no size that could be": (
        "EntityTooLarge",
        lambda f: signer(f.mine).fields("mine", conditions=[["content-length-range", 20, 10]]),
    ),
    "a size that a field names": (
        "AccessDenied",
        lambda f: changed(
            signer(f.mine).fields("mine", conditions=[["content-length-range", 0, 1]]), content_length_range="99"
        ),
    ),
    "expired": ("AccessDenied", lambda f: signer(f.mine).fields("mine", expires=0)),
    "no policy that can be read": ("InvalidPolicyDocument", lambda f: signer(f.mine).fields("mine", document=b"{")),
    "a deep policy": (
        "InvalidPolicyDocument",
        lambda f: signer(f.mine).fields("mine", document=b'{"conditions":' + b"[" * 7000),
    ),
}
SIGNATURES: dict[str, Case] = {
    "nobody": ("AccessDenied", lambda f: {"key": "evil"}),
    "nobody, and a policy that allows it": (
        "InvalidArgument",
        lambda f: changed(signer(f.mine).fields("mine"), x_amz_signature=None),
    ),
    "wrong secret": ("SignatureDoesNotMatch", lambda f: signer(f.mine, secret="wrong").fields("mine")),
    "empty secret": ("SignatureDoesNotMatch", lambda f: signer(f.mine, secret="").fields("mine")),
    "unknown key": ("InvalidAccessKeyId", lambda f: signer(f.mine, key_id="AKIANOBODY", secret="").fields("mine")),
    "a bucket's record": ("InvalidAccessKeyId", lambda f: signer(f.mine, key_id="bucket-mine", secret="").fields("m")),
    "another key's name": (
        "SignatureDoesNotMatch",
        lambda f: signer(f.theirs, key_id=f.mine.key_id).fields("mine"),
    ),
    "another policy": (
        "SignatureDoesNotMatch",
        lambda f: changed(
            signer(f.mine).fields("mine"), policy=signer(f.mine).fields("mine", "evil")["policy"], key="evil"
        ),
    ),
    "the policy with a line end": (
        "SignatureDoesNotMatch",
        lambda f: changed(signer(f.mine).fields("mine"), policy=signer(f.mine).fields("mine")["policy"] + "\r\n"),
    ),
    "another day": (
        "SignatureDoesNotMatch",
        lambda f: changed(
            signer(f.mine).fields("mine"),
            x_amz_date=signer(f.mine).fields("mine", shift=-86400)["x-amz-date"],
            x_amz_credential=signer(f.mine).fields("mine", shift=-86400)["x-amz-credential"],
        ),
    ),
    "another service": (
        "InvalidArgument",
        lambda f: signer(f.mine).fields(
            "mine", scope=time.strftime("%Y%m%d", time.gmtime()) + "/local/ec2/aws4_request"
        ),
    ),
    "over seven days old": ("AccessDenied", lambda f: signer(f.mine).fields("mine", shift=-604_900, expires=700_000)),
    "in the future": ("RequestTimeTooSkewed", lambda f: signer(f.mine).fields("mine", shift=960)),
    "SigV2": (
        "InvalidRequest",
        lambda f: {
            "key": "evil",
            "AWSAccessKeyId": f.mine.key_id,
            "policy": signer(f.mine).fields("mine")["policy"],
            "signature": "AAAA",
        },
    ),
    "a session": ("InvalidToken", lambda f: changed(signer(f.mine).fields("mine"), x_amz_security_token="x")),
    "no algorithm": ("InvalidArgument", lambda f: changed(signer(f.mine).fields("mine"), x_amz_algorithm="none")),
    "no key": ("InvalidArgument", lambda f: changed(signer(f.mine).fields("mine"), key=None)),
}
GRANTS: dict[str, Case] = {
    "another tenant's key": ("AccessDenied", lambda f: signer(f.theirs).fields("mine")),
    "outside the key's prefix": ("AccessDenied", lambda f: signer(f.narrow).fields("mine", "evil")),
    "outside by its file's name": (
        "AccessDenied",
        lambda f: signer(f.narrow).fields("mine", "${filename}", more={"x-amz-meta-a": "docs/"}),
    ),
    "near the key's prefix": ("AccessDenied", lambda f: signer(f.narrow).fields("mine", "docs")),
}


@pytest.mark.parametrize("case", [*CONDITIONS, *SIGNATURES, *GRANTS])
def test_a_form_beyond_what_was_signed(field: Field, case: str) -> None:
    code, fields = (CONDITIONS | SIGNATURES | GRANTS)[case]
    answer = post(field, Multipart(fields(field), filename="docs\\evil"))
    assert answer.code == code, answer.raw
    for key in (field.mine, field.theirs, field.narrow):
        assert key.secret.encode() not in answer.raw
    head = answer.raw.partition(b"\r\n\r\n")[0]
    assert b"\r\nLocation:" not in head


def test_the_grant_is_still_what_a_form_can_use(field: Field, uploaded: Callable[..., Answer]) -> None:
    answer = uploaded(Multipart(signer(field.narrow).fields("mine", "docs/${filename}")), "docs/cat.png")
    assert answer.status == 204, answer.raw
    answer = uploaded(Multipart(signer(field.writer).fields("mine", "by-writer")), "by-writer")
    assert answer.status == 204, answer.raw


#: A key in a form -> the code, or the path under which it is stored, as it is.
KEYS = {
    "../theirs/evil": "..%2Ftheirs%2Fevil",
    "/../../theirs/evil": "%2F..%2F..%2Ftheirs%2Fevil",
    "..\\theirs\\evil": "..%5Ctheirs%5Cevil",
    "%2e%2e/theirs/evil": "%252e%252e/theirs/evil",
    "//evil": "//evil",
    "a?acl": "a%3Facl",
    "k" * 1024: "k" * 1024,
    "k" * 1025: "KeyTooLongError",
    "\u00fc" * 513: "KeyTooLongError",
    "a\0b": "InvalidURI",
    "": "InvalidURI",
}


@pytest.mark.parametrize("name", KEYS, ids=lambda name: name[:20])
def test_keys_that_lead_elsewhere(field: Field, uploaded: Callable[..., Answer], name: str) -> None:
    fields = signer(field.mine).fields("mine", name)
    expected = KEYS[name]
    if expected[:1].isupper():
        assert post(field, Multipart(fields)).code == expected
        return
    answer = uploaded(Multipart(fields), expected)
    assert answer.status == 204, answer.raw
    assert field.mine.ask("GET", f"/mine/{expected}").body == FILE
    assert field.theirs.ask("GET", "/theirs/evil").code == "NoSuchKey"


@pytest.mark.parametrize(
    ("filename", "stored"),
    [("../../theirs/evil", "in/evil"), ("..\\..\\theirs\\evil", "in/evil"), ("..", "in/.."), ("a%2fb", "in/a%252fb")],
)
def test_file_names_that_lead_elsewhere(
    field: Field, uploaded: Callable[..., Answer], filename: str, stored: str
) -> None:
    answer = uploaded(Multipart(signer(field.mine).fields("mine", "in/${filename}"), filename=filename), stored)
    assert answer.status == 204, answer.raw
    assert field.mine.ask("GET", f"/mine/{stored}").body == FILE


def test_a_key_that_is_not_utf8(field: Field) -> None:
    fields = signer(field.mine).fields("mine", "${filename}")
    pairs = [(name, b"\xff" if name == "key" else value) for name, value in fields.items()]
    assert post(field, Multipart(pairs)).code == "InvalidArgument"


@pytest.mark.parametrize("name", ["x-amz-meta-a: b\r\nX-Evil", "x-amz-meta-a b", "x-amz-meta-a:b"])
def test_metadata_names_that_are_no_headers_name(field: Field, name: str) -> None:
    answer = post(field, Multipart(signer(field.mine).fields("mine", more={name: "v"})))
    assert answer.code in ("InvalidArgument", "MalformedPOSTRequest"), answer.raw


@pytest.mark.parametrize("name", ["x-amz-meta-a", "Content-Type", "Content-Disposition", "Cache-Control", "Expires"])
def test_values_with_a_line_end(field: Field, name: str) -> None:
    answer = post(field, Multipart(signer(field.mine).fields("mine", more={name: "a\r\nX-Evil: y"})))
    assert answer.code == "InvalidArgument", answer.raw


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://a.example/\r\nX-Evil: y", "data:text/html,x", "//evil.example/"]
)
def test_redirections_that_are_none(field: Field, uploaded: Callable[..., Answer], url: str) -> None:
    fields = signer(field.mine).fields("mine", more={"success_action_redirect": url})
    answer = uploaded(Multipart(fields), "by-form")
    assert answer.status == 204, answer.raw
    assert b"evil" not in answer.raw.lower()
    assert b"\r\nLocation: http://127.0.0.1:" in answer.raw


def right(field: Field, **how: object) -> Multipart:
    return Multipart(signer(field.mine).fields("mine"), **how)  # type: ignore[arg-type]


#: A body that is not one form -> its code, and how it is made.
BODIES: dict[str, tuple[str, Callable[[Field], Multipart | bytes]]] = {
    "a field twice": (
        "InvalidArgument",
        lambda f: Multipart([*signer(f.mine).fields("mine").items(), ("key", "evil")]),
    ),
    "a policy twice": (
        "InvalidArgument",
        lambda f: Multipart(
            [
                *signer(f.mine).fields("mine").items(),
                ("Policy", signer(f.mine).fields("mine", "evil")["policy"]),
            ]
        ),
    ),
    "a file twice": ("", lambda f: right(f, after=[("file", "another")])),
    "the key after the file": (
        "InvalidArgument",
        lambda f: Multipart(
            [(n, v) for n, v in signer(f.mine).fields("mine").items() if n != "key"], after=[("key", "by-form")]
        ),
    ),
    "the signature after the file": (
        "InvalidArgument",
        lambda f: Multipart(
            [(n, v) for n, v in signer(f.mine).fields("mine").items() if n != "x-amz-signature"],
            after=[("x-amz-signature", signer(f.mine).fields("mine")["x-amz-signature"])],
        ),
    ),
    "another key after the file": ("", lambda f: right(f, after=[("key", "evil"), ("x-amz-meta-evil", "x")])),
    "a huge field": (
        "MaxPostPreDataLengthExceededError",
        lambda f: Multipart(signer(f.mine).fields("mine", more={"x-amz-meta-a": "a" * 20_000})),
    ),
    "a huge field that nobody names": (
        "MaxPostPreDataLengthExceededError",
        lambda f: Multipart({"x-ignore-a": "a" * 60_000, **signer(f.mine).fields("mine")}),
    ),
    "huge headers of a field": (
        "MaxPostPreDataLengthExceededError",
        lambda f: f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=key\r\nA: ".encode() + b"a" * 100_000,
    ),
    "too many fields": (
        "InvalidArgument",
        lambda f: Multipart({**{f"x-ignore-{n}": "" for n in range(101)}, **signer(f.mine).fields("mine")}),
    ),
    "no file": ("InvalidArgument", lambda f: right(f, file=None)),
    "another boundary than announced": ("IncompleteBody", lambda f: bytes(right(f, boundary="another"))),
    "no boundary at its end": ("MalformedPOSTRequest", lambda f: right(f, end=b"\r\n")),
    "nothing after the file": ("IncompleteBody", lambda f: bytes(right(f))[: -len(BOUNDARY) - 8]),
    "it ends within the fields": ("IncompleteBody", lambda f: bytes(right(f))[:500]),
    "something after its end": (
        "MalformedPOSTRequest",
        lambda f: right(f, end=b"--\r\nGET /theirs/x HTTP/1.1\r\n\r\n"),
    ),
    "another form after its end": ("MalformedPOSTRequest", lambda f: bytes(right(f)) * 2),
    "much after its file": ("MalformedPOSTRequest", lambda f: right(f, after=[("a", "a" * 30_000)])),
    "something before it": ("MalformedPOSTRequest", lambda f: b"preamble\r\n" + bytes(right(f))),
    "the boundary in the file": (
        "MalformedPOSTRequest",
        lambda f: right(f, file=f"a\r\n--{BOUNDARY}x\r\n".encode()),
    ),
    "no bytes at all": ("IncompleteBody", lambda f: b""),
}


@pytest.mark.parametrize("case", BODIES)
def test_bodies_that_are_not_one_form(field: Field, uploaded: Callable[..., Answer], case: str) -> None:
    code, make = BODIES[case]
    form = make(field)
    if code:
        answer = post(field, form)
        assert answer.code == code, answer.raw
        return
    answer = uploaded(form, "by-form")  # type: ignore[arg-type]
    assert answer.status == 204, answer.raw
    found = field.mine.ask("GET", "/mine/by-form")
    assert found.body == FILE
    assert b"evil" not in found.raw


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=" + "a" * 71,
    ],
)
def test_boundaries_that_are_none(field: Field, content_type: str) -> None:
    assert post(field, right(field), content_type=content_type).code == "MalformedPOSTRequest"


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/mixed; boundary=a"]
)
def test_what_is_no_form_is_nobodys(field: Field, content_type: str) -> None:
    assert post(field, right(field), content_type=content_type).code == "AccessDenied"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/theirs", "AccessDenied"),
        ("/site", "AccessDenied"),
        ("/nobodys", "AccessDenied"),
        ("/public/mine", "AccessDenied"),
        ("/public/site", "AccessDenied"),
        ("/mine/", "204"),
        ("/mine/evil", "MethodNotAllowed"),
        ("/mine/../theirs", "MethodNotAllowed"),
        ("/", "MethodNotAllowed"),
        ("/mine?acl", "NotImplemented"),
        ("/mine?uploads", "NotImplemented"),
        ("/mine?delete", "AccessDenied"),
        ("/mine?x-cooper-purge", "AccessDenied"),
    ],
)
def test_forms_for_other_places(field: Field, uploaded: Callable[..., Answer], target: str, code: str) -> None:
    if code == "204":
        assert uploaded(right(field), "by-form", target).status == 204
        return
    answer = post(field, right(field), target)
    assert answer.code == code, answer.raw


def test_a_form_beside_another_signature(field: Field) -> None:
    """One way to sign is enough: a form within a signed request is refused, with a wrong signature for that."""
    body = bytes(right(field))
    headers = {"content-type": right(field).content_type}
    assert field.mine.ask("POST", "/mine", headers, body).code == "InvalidRequest"
    assert field.theirs.ask("POST", "/mine", headers, body).code == "AccessDenied"
    wrong = RawS3(field.rig.port, field.mine.key_id, "wrong")
    assert wrong.ask("POST", "/mine", headers, body).code == "SignatureDoesNotMatch"
    assert field.stranger.ask("POST", wrong.presign("POST", "/mine"), headers, body).code == "SignatureDoesNotMatch"
    assert post(field, right(field), authorization="Bearer x").code == "InvalidRequest"
    assert post(field, right(field), "/mine?AWSAccessKeyId=a&Signature=b").code == "NotImplemented"


def test_headers_of_a_forms_request_say_nothing_of_the_object(field: Field, uploaded: Callable[..., Answer]) -> None:
    """They are not signed, and the policy does not know them."""
    answer = uploaded(
        right(field),
        "by-form",
        cache_control="evil",
        content_disposition="evil",
        x_amz_meta_a="evil",
        x_amz_copy_source="theirs/x",
        x_amz_decoded_content_length="1",
        x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    )
    assert answer.status == 204, answer.raw
    found = field.mine.ask("GET", "/mine/by-form")
    assert found.body == FILE
    assert b"evil" not in found.raw


def test_a_form_without_a_length(field: Field) -> None:
    data = request(field, b"", content_length="").replace(b"content-length: \r\n", b"transfer-encoding: chunked\r\n")
    assert field.stranger.send(data + b"0\r\n\r\n").code == "MissingContentLength"


def test_what_follows_a_refused_form_is_not_a_request(field: Field) -> None:
    smuggled = render("GET", "/site/pub", {"host": "x"})
    for form in (right(field, end=b"--\r\n" + smuggled), Multipart({"key": "evil"}, smuggled), b"--x" + smuggled):
        with field.stranger.connect() as connection:
            connection.sendall(request(field, form, connection="keep-alive"))
            connection.shutdown(socket.SHUT_WR)  # or it would wait for the next request
            answer = Answer(b"".join(iter(lambda: connection.recv(1 << 16), b"")))
        assert answer.answers == 1, answer.raw
        assert answer.status >= 400


def test_a_form_is_cut_anywhere(field: Field) -> None:
    """The client leaves: nothing is stored."""
    data = request(field, right(field))
    for cut in range(0, len(data), 97):
        with field.stranger.connect() as connection:
            connection.sendall(data[:cut])


def test_a_file_is_not_held_in_memory(field: Field, uploaded: Callable[..., Answer]) -> None:
    """40 MiB, sent as fast as they are taken, and much of it like a boundary."""
    before = resident(field)
    file = (b"\r\n--" + BOUNDARY[:-1].encode()) * (1 << 20)
    answer = uploaded(right(field, file=file), "by-form")
    assert answer.status == 204, answer.raw
    assert len(field.mine.ask("GET", "/mine/by-form").body) == len(file)
    assert resident(field) - before < 24 << 20


def resident(field: Field) -> int:
    """Bytes of memory that the gateway's processes have had at most."""
    assert field.rig.process is not None
    pids = children_of(field.rig.process.pid)
    found = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as status:
            match = re.search(r"VmHWM:\s+(\d+) kB", status.read())
        found = max(found, int(match[1]) << 10 if match else 0)
    return found
