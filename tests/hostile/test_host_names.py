"""A Host that names a bucket: no name in it leads anywhere else, and no signature holds at another one."""

from dataclasses import replace

import pytest

from support.attack_field import DOMAIN, PUBLIC, Field
from support.raw_s3 import RawS3

pytestmark = pytest.mark.usefixtures("lives_and_holds_what_it_held")


def at(key: RawS3, host: str) -> RawS3:
    """The same key, at that Host."""
    found = replace(key)
    found.host = host
    return found


@pytest.mark.parametrize(
    "host",
    [
        f"mine.{DOMAIN}",
        f"MINE.{DOMAIN.upper()}",
        f"mine.{DOMAIN}.",
        f"mine.{DOMAIN}:9000",
        f"mine.{DOMAIN}.:",
    ],
)
def test_every_spelling_of_a_buckets_host_name_is_that_bucket(field: Field, host: str) -> None:
    mine = at(field.mine, host)
    assert mine.ask("GET", "/a").body == b"mine"
    assert at(field.stranger, host).follow("GET", mine.presign("GET", "/a"), {"host": host}).body == b"mine"
    for path in ("/mine/a", "/theirs/x", "/public/site/pub", "/../theirs/x", "//theirs/x", "/%2e%2e/theirs/x"):
        assert (mine.ask("GET", path).status, mine.ask("GET", path).code) == (404, "NoSuchKey"), path
    assert at(field.theirs, host).ask("GET", "/a").code == "AccessDenied"
    assert at(field.stranger, host).ask("GET", "/a").code == "AccessDenied"


def test_strangers_read_what_is_public_there_and_nothing_else(field: Field) -> None:
    stranger = at(field.stranger, f"site.{DOMAIN}")
    assert stranger.ask("GET", "/pub").body == PUBLIC
    for path in ("/", "/?list-type=2", "/site/pub", "/public/site/pub", "/theirs/x", "/%2e%2e/theirs/x"):
        assert stranger.ask("GET", path).code == "AccessDenied", path
    for method in ("PUT", "DELETE"):
        assert stranger.ask(method, "/pub", body=b"evil").code == "AccessDenied"
    nowhere = at(field.stranger, f"nowhere.{DOMAIN}").ask("GET", "/pub")
    private = at(field.stranger, f"theirs.{DOMAIN}").ask("GET", "/x")
    assert (nowhere.status, nowhere.code) == (private.status, private.code) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("signed_for", "sent_to"),
    [
        (f"mine.{DOMAIN}", f"theirs.{DOMAIN}"),
        (f"mine.{DOMAIN}", f"MINE.{DOMAIN}"),
        (f"mine.{DOMAIN}", f"mine.{DOMAIN}:80"),
        (f"mine.{DOMAIN}", f"mine.{DOMAIN}."),
        (f"mine.{DOMAIN}", DOMAIN),
        (DOMAIN, f"mine.{DOMAIN}"),
        (DOMAIN, f"theirs.{DOMAIN}"),
        ("127.0.0.1", f"mine.{DOMAIN}"),
    ],
)
def test_what_is_signed_for_one_host_is_refused_at_another(field: Field, signed_for: str, sent_to: str) -> None:
    key = at(field.mine, signed_for)
    for method, path, body in (("GET", "/mine/a", None), ("PUT", "/mine/a", b"evil"), ("DELETE", "/mine/a", None)):
        signed = key.request(method, path, body=body)
        elsewhere = signed.replace(f"host: {signed_for}\r\n".encode(), f"host: {sent_to}\r\n".encode(), 1)
        assert elsewhere != signed
        assert field.mine.send(elsewhere).code == "SignatureDoesNotMatch"
        link = key.presign(method, path)
        assert field.stranger.ask(method, link, {"host": sent_to}, body).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 64, "public", "mine.", ".mine", "a..b", "m_ne", "m%69ne", "10.0.0.1", "-mine"]
)
def test_names_that_no_bucket_can_have(field: Field, name: str) -> None:
    for key in (field.mine, field.stranger):
        answer = at(key, f"{name}.{DOMAIN}").ask("GET", "/mine/a")
        assert (answer.status, answer.code) == (400, "InvalidBucketName"), answer.raw


@pytest.mark.parametrize(
    "host",
    [
        f"mine@{DOMAIN}",
        f"x:y@mine.{DOMAIN}",
        f"mine.{DOMAIN}/",
        f"mine.{DOMAIN}\\",
        f"mine.{DOMAIN}:80:80",
        f"mine.{DOMAIN}:8o",
        f"mine.{DOMAIN}, theirs.{DOMAIN}",
        f"mine .{DOMAIN}",
        f"[mine.{DOMAIN}]",
        f"http://mine.{DOMAIN}",
        f"mine.{DOMAIN}\0",
        "[::1",
        "a" * 256,
    ],
)
def test_a_host_that_is_none_is_no_request(field: Field, host: str) -> None:
    answer = field.stranger.send(f"GET /pub HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert (answer.status, answer.code) == (400, "InvalidRequest")


@pytest.mark.parametrize(
    "host",
    [
        f"mine.{DOMAIN}..",
        f"mine.{DOMAIN}.evil.org",
        f"mine.x{DOMAIN}",
        "mine.s3.test2",
        f"mine.{DOMAIN.replace('.', '%2e')}",
        DOMAIN,
        "mine",
        "[::1]",
        "[::1]:9000",
        "[::ffff:127.0.0.1]",
    ],
)
def test_a_host_beside_the_domain_names_no_bucket(field: Field, host: str) -> None:
    assert at(field.theirs, host).ask("GET", "/theirs/x").status == 200
    assert at(field.theirs, host).ask("GET", "/mine/a").code == "AccessDenied"
    assert at(field.stranger, host).ask("GET", "/public/site/pub").body == PUBLIC


def test_two_hosts_and_other_places_for_a_host(field: Field) -> None:
    start, end = b"GET /pub HTTP/1.1\r\n", b"Connection: close\r\n\r\n"
    site, theirs = (f"Host: {name}.{DOMAIN}\r\n".encode() for name in ("site", "theirs"))
    send = field.stranger.send
    assert send(start + site + theirs + end).status == 400
    assert send(start + site + b"X-Forwarded-" + theirs + b"Forwarded: host=theirs\r\n" + end).body == PUBLIC
    absolute = f"GET http://site.{DOMAIN}/pub HTTP/1.1\r\n".encode()
    assert send(absolute + site + end).status == 400
    assert send(b"GET /pub HTTP/1.0\r\n" + site + end).body == PUBLIC
    assert send(b"GET /pub HTTP/1.0\r\n\r\n").code == "AccessDenied"  # the path is a bucket's


def test_a_copy_names_its_source_in_full_wherever_it_is_asked_for(field: Field) -> None:
    mine = at(field.mine, f"mine.{DOMAIN}")
    for source in ("theirs/x", "/theirs/x", "mine/../theirs/x"):
        answer = mine.ask("PUT", "/stolen", {"x-amz-copy-source": source})
        assert answer.code in ("AccessDenied", "NoSuchKey"), (source, answer.raw)
    assert mine.ask("PUT", "/copied", {"x-amz-copy-source": "mine/a"}).status == 200
    assert field.mine.ask("GET", "/mine/copied").body == b"mine"
    assert mine.ask("DELETE", "/copied").status == 204


def test_the_operators_operations_stay_nobody_elses(field: Field) -> None:
    mine = at(field.mine, f"mine.{DOMAIN}")
    for method, query in (("GET", "x-cooper-usage"), ("POST", "x-cooper-close"), ("POST", "x-cooper-destroy")):
        assert mine.ask(method, f"/?{query}", body=b"" if method == "POST" else None).code == "AccessDenied"
