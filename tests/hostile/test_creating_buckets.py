"""GHSA-jjjj-jwhf-8rgr, where a Region serves CreateBucket: a key that makes buckets gets no right that it did not have,
and nobody makes any who may not. `maker` may make buckets, and read in all of its namespace."""

from collections.abc import Iterator

import pytest

from support.raw_s3 import Answer, RawS3
from support.rig import REGION_THAT_CREATES, Rig, access_key, bucket, eventually

MAKES = ["s3:CreateBucket", "s3:GetObject", "s3:ListBucket"]


class Makers:
    """A gateway that serves CreateBucket."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.maker, self.mine, self.other = self.key("maker"), self.key("mine"), self.key("other", "elsewhere")
        self.named = self.key("named")
        self.stranger = RawS3(rig.port)

    def key(self, name: str, namespace: str = "default") -> RawS3:
        path = self.rig.data / "credentials" / namespace / f"{name}.env"
        text = eventually("the key", lambda: path.exists() and path.read_text(), seconds=60)
        env = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
        return RawS3(self.rig.port, env["ACCESS_KEY"].strip("'\""), env["SECRET_KEY"].strip("'\""), timeout=30)

    def made(self) -> set[str]:
        """The Buckets that are there."""
        return {each["metadata"]["name"] for each in self.rig.items() if each["kind"] == "Bucket"}


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Makers]:
    rig = Rig(tmp_path_factory.mktemp("makers"))
    every = {"actions": MAKES}
    rig.apply(
        "all.yaml",
        REGION_THAT_CREATES,
        bucket("mine"),
        access_key("maker", allBuckets=every),
        # In a grant on a bucket the action means nothing, whatever the bucket.
        access_key("named", grants=[{"bucket": "mine", "actions": [*MAKES, "s3:PutObject", "s3:DeleteBucket"]}]),
        bucket("theirs").replace('"default"', '"elsewhere"'),
        access_key("other", allBuckets=every).replace('"default"', '"elsewhere"'),
        access_key("going", allBuckets=every),
    )
    with rig:
        yield Makers(rig)


@pytest.fixture(autouse=True)
def _lives(makers: Makers) -> Iterator[None]:
    before = makers.rig.processes()
    yield
    assert makers.rig.processes() == before
    assert "Traceback" not in makers.rig.log.read_text()


def create(key: RawS3, name: str, **headers: str) -> Answer:
    return key.ask("PUT", f"/{name}", {each.replace("_", "-"): value for each, value in headers.items()}, b"")


def test_a_bucket_that_is_made_gives_its_maker_no_more_than_it_had(makers: Makers) -> None:
    wide = {
        "x_amz_acl": "public-read-write",
        "x_amz_grant_full_control": "uri=http://acs.amazonaws.com/groups/global/AllUsers",
        "x_amz_object_ownership": "BucketOwnerPreferred",
    }
    assert create(makers.maker, "made-here", **wide).status == 200
    assert makers.maker.ask("GET", "/made-here?list-type=2").status == 200
    for method, target in (
        ("PUT", "/made-here/a"),
        ("DELETE", "/made-here/a"),
        ("DELETE", "/made-here"),
        ("POST", "/made-here/a?uploads"),
        ("PUT", "/made-here/a?acl"),
        ("PUT", "/made-here?policy"),
    ):
        answer = makers.maker.ask(method, target, body=None if method == "DELETE" else b"")
        assert answer.code in ("AccessDenied", "NotImplemented"), answer.raw
    # Nobody else, and nobody in particular, has anything of it; there is no new key.
    for key in (makers.mine, makers.named, makers.other, makers.stranger):
        assert key.ask("GET", "/made-here?list-type=2").code == "AccessDenied"
    assert makers.stranger.ask("GET", "/public/made-here/a").code == "AccessDenied"
    assert not list((makers.rig.data / "credentials").rglob("made-here*"))


def test_each_way_to_sign_makes_a_bucket_and_a_presigned_link_dies_with_its_time(makers: Makers) -> None:
    maker = makers.maker
    assert maker.follow("PUT", maker.presign("PUT", "/made-by-a-link"), None, b"").status == 200
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert maker.send(maker.request("PUT", "/made-with-a-hash", body=b"", payload=empty)).status == 200
    old = maker.presign("PUT", "/made-too-late", "60", shift=-3600)
    assert maker.follow("PUT", old, None, b"").code == "AccessDenied"
    other = maker.presign("PUT", "/made-by-a-link").replace("made-by-a-link", "made-by-another")
    assert maker.follow("PUT", other, None, b"").code == "SignatureDoesNotMatch"
    assert {"made-too-late", "made-by-another"}.isdisjoint(makers.made())


def test_who_may_not_makes_nothing(makers: Makers) -> None:
    before = makers.made()
    for who in (makers.mine, makers.named, makers.stranger):
        answer = create(who, "made-by-nobody")
        assert (answer.status, answer.code) == (403, "AccessDenied"), answer.raw
    forged = RawS3(makers.rig.port, makers.maker.key_id, "x" * 40)
    assert create(forged, "made-by-nobody").code == "SignatureDoesNotMatch"
    assert create(RawS3(makers.rig.port, "AKIAAAAAAAAAAAAAAAAA", ""), "made-by-nobody").status == 403
    assert makers.made() == before


def test_a_key_makes_buckets_in_its_own_namespace_whatever_it_says(makers: Makers) -> None:
    for number, headers in enumerate(
        (
            {"x-cooper-namespace": "default"},
            {"x-cooper-owner": "default", "x-amz-meta-namespace": "default"},
            {"x-amz-expected-bucket-owner": "cooper"},
        )
    ):
        assert makers.other.ask("PUT", f"/from-elsewhere-{number}", headers, b"").status == 200
    where = {
        each["metadata"]["name"]: each["metadata"]["namespace"]
        for each in makers.rig.items()
        if each["kind"] == "Bucket" and each["metadata"]["name"].startswith("from-elsewhere")
    }
    assert where == {f"from-elsewhere-{number}": "elsewhere" for number in range(3)}
    assert makers.maker.ask("GET", "/from-elsewhere-0?list-type=2").code == "AccessDenied"
    assert create(makers.other, "mine").code == "BucketAlreadyExists"
    assert create(makers.maker, "theirs").code == "BucketAlreadyExists"


@pytest.mark.parametrize(
    "target",
    [
        "/..",
        "/%2e%2e",
        "/..%2fdefault",
        "/default%2fphotos",
        "/a%00b",
        "/A-Bucket",
        "/public",
        "/a",
        "/" + "a" * 64,
        "/a..b",
        "/a.-b",
        "/127.0.0.1",
        "/bucket-%ff",
        "/a%0aspec:%20x",
    ],
)
def test_names_that_lead_elsewhere(makers: Makers, target: str) -> None:
    before, files = makers.made(), sorted(makers.rig.home.rglob("*.yaml"))
    answer = makers.maker.ask("PUT", target, body=b"")
    assert answer.status in (400, 403), answer.raw
    assert (makers.made(), sorted(makers.rig.home.rglob("*.yaml"))) == (before, files)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><CreateBucketConfiguration/>", "MalformedXML"),
        (b"<CreateBucketConfiguration>" * 50, "MalformedXML"),
        (b"<CreateBucketConfiguration><LocationConstraint>x", "MalformedXML"),
        (b"not xml", "MalformedXML"),
        (b"<a>" + b" " * (2 << 20) + b"</a>", "MalformedXML"),
    ],
)
def test_bodies_that_are_none(makers: Makers, body: bytes, code: str) -> None:
    before = makers.made()
    answer = makers.maker.ask("PUT", "/made-of-nothing", body=body)
    assert answer.status in (400, 413), answer.raw
    assert makers.made() == before


def test_a_key_that_was_revoked_makes_nothing_more(makers: Makers) -> None:
    going = makers.key("going")
    assert create(going, "made-before").status == 200
    makers.rig.apply("going.yaml", access_key("late", allBuckets={"actions": MAKES}))
    late = makers.key("late")
    (makers.rig.resources / "going.yaml").unlink()
    eventually("the end of the key", lambda: create(late, "made-too-late").status == 403 or None, pause=0.5)
    assert create(late, "made-after").status == 403
    assert "made-after" not in makers.made()
