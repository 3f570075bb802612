"""versitygw 2367: a key that may list below a prefix, and what it asks to see more. `narrow` may below `docs/`."""

import pytest

from support.attack_field import Field
from support.raw_s3 import RawS3

pytestmark = pytest.mark.usefixtures("lives_and_holds_what_it_held")

BEYOND = (
    "/mine?list-type=2",
    "/mine?list-type=2&prefix=",
    "/mine?list-type=2&prefix=doc",
    "/mine?list-type=2&prefix=docs",
    "/mine?list-type=2&prefix=/docs/",
    "/mine?list-type=2&prefix=DOCS/",
    "/mine?list-type=2&prefix=a",
    "/mine?list-type=2&prefix=..%2fdocs/",
    "/mine?list-type=2&delimiter=/",
    "/mine?list-type=2&start-after=docs/",
    "/mine",
    "/mine?prefix=doc",
    "/mine?marker=docs/",
    "/mine?uploads",
    "/mine?uploads&prefix=doc",
    "/mine?uploads&key-marker=docs/",
    "/mine/parts?uploadId={upload}",
    "/mine/a",
    "/mine/doc",
    "/mine/docs",
    "/mine/docs%2e/x",
    "/mine/./docs/x",
)


@pytest.mark.parametrize("target", BEYOND)
def test_what_lies_beyond_the_prefix(field: Field, target: str) -> None:
    answer = field.narrow.ask("GET", target.replace("{upload}", field.upload_id))
    assert (answer.status, answer.code) == (403, "AccessDenied"), answer.raw


@pytest.mark.parametrize("query", ["list-type=2&", "", "uploads&"])
@pytest.mark.parametrize("more", ["start-after=", "marker=", "key-marker=", "continuation-token="])
def test_a_page_that_begins_before_the_prefix_has_nothing_of_it(field: Field, query: str, more: str) -> None:
    tokens = field.mine.ask("GET", "/mine?list-type=2&max-keys=1")
    token = tokens.element("NextContinuationToken") if b"NextContinuationToken" in tokens.raw else "AAAA"
    for value in ("", "a", "docs", "%00", token):
        answer = field.narrow.ask("GET", f"/mine?{query}prefix=docs/&{more}{value}")
        assert answer.status in (200, 400, 501), answer.raw  # each listing has parameters of its own
        assert b"<Key>a</Key>" not in answer.raw
        assert b"<Key>parts</Key>" not in answer.raw


@pytest.mark.parametrize(
    ("method", "target"),
    [("PUT", "/mine/evil"), ("PUT", "/mine/docs"), ("DELETE", "/mine/a"), ("POST", "/mine/a?uploads")],
)
def test_writes_beyond_the_prefix(field: Field, method: str, target: str) -> None:
    answer = field.narrow.ask(method, target, body=None if method == "DELETE" else b"evil")
    assert answer.code == "AccessDenied", answer.raw


def test_an_upload_of_another_name_is_not_completed_aborted_or_added_to(field: Field) -> None:
    for target, method in (("&partNumber=1", "PUT"), ("", "POST"), ("", "DELETE")):
        answer = field.narrow.ask(
            method, f"/mine/parts?uploadId={field.upload_id}{target}", body=None if method == "DELETE" else b"evil"
        )
        assert answer.code == "AccessDenied", answer.raw


def test_copies_into_the_prefix_and_out_of_it(field: Field) -> None:
    into = field.narrow.ask("PUT", "/mine/docs/x", {"x-amz-copy-source": "mine/a"}, b"")
    out = field.narrow.ask("PUT", "/mine/evil", {"x-amz-copy-source": "mine/docs/x"}, b"")
    assert (into.code, out.code) == ("AccessDenied", "AccessDenied")


def test_a_batch_delete_beyond_the_prefix_is_told_for_each_name(field: Field) -> None:
    body = b"<Delete><Object><Key>a</Key></Object><Object><Key>docs/none</Key></Object></Delete>"
    answer = field.narrow.ask("POST", "/mine?delete", body=body)
    assert answer.status == 200, answer.raw
    assert b"<Deleted><Key>docs/none</Key></Deleted>" in answer.raw
    assert b"<Key>a</Key><Code>AccessDenied</Code>" in answer.raw


@pytest.mark.parametrize(
    ("method", "target", "statuses"),
    [
        ("POST", "/?Action=AssumeRole&Version=2011-06-15", (405, 501)),
        ("POST", "/minio/admin/v3/add-service-account", (400, 403, 405, 501)),
        ("PUT", "/minio/admin/v3/add-user?accessKey=evil", (400, 403, 405, 501)),
        ("PUT", "/mine?policy", (405, 501)),
        ("PUT", "/mine?acl", (405, 501)),
        ("PUT", "/mine/a?acl", (405, 501)),
    ],
)
def test_a_key_makes_no_other_key_and_no_right(
    field: Field, method: str, target: str, statuses: tuple[int, ...]
) -> None:
    """GHSA-jjjj-jwhf-8rgr"""
    for key in (field.narrow, field.mine):
        assert key.ask(method, target, body=b"" if method != "GET" else None).status in statuses


@pytest.mark.parametrize(
    ("key_id", "secret"),
    [
        ("minioadmin", "minioadmin"),
        ("admin", "password"),
        ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("cooper", "cooper"),
        ("cooper-operator", ""),
    ],
)
def test_there_is_no_default_credential(field: Field, key_id: str, secret: str) -> None:
    """CVE-2026-72920"""
    answer = RawS3(field.rig.port, key_id, secret).ask("GET", "/")
    assert answer.code == "InvalidAccessKeyId", answer.raw
