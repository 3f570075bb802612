"""Keys that may be used from some networks only: with a real client, on this machine."""

import json
from collections.abc import Iterator
from contextlib import suppress
from http.client import BadStatusLine, HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from support.rig import Rig, access_key, bucket, error_code, eventually

HERE, ELSEWHERE = "127.0.0.0/8", "198.51.100.0/24"
META = {"name": "local"}
GRANTS = [{"bucket": "photos"}]


def region(*trusted: str) -> str:
    spec = {"tag": "local", "default": True, **({"trustedProxies": trusted} if trusted else {})}
    return json.dumps({"apiVersion": "cooper.dev/v1alpha1", "kind": "Region", "metadata": META, "spec": spec})


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("networks"))
    rig.apply("region.yaml", region())
    rig.apply("photos.yaml", bucket("photos", credentials={"allowedNetworks": [HERE, "2001:db8::/32"]}))
    with rig:
        rig.wait_condition("Bucket", "photos")
        yield rig


def said(call: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call()
    return str(refused.value)


def forwarded(s3: Any, value: str) -> None:
    """What a proxy would add to each request of this client, after it was signed."""

    def add(request: Any, **_: object) -> None:
        request.headers["X-Forwarded-For"] = value

    s3.meta.events.register("before-send.s3", add)


def test_a_key_works_from_its_networks_and_from_nowhere_else(rig: Rig) -> None:
    rig.client("photos").put_object(Bucket="photos", Key="a", Body=b"a")
    rig.apply("far.yaml", access_key("far", grants=GRANTS, allowedNetworks=[ELSEWHERE]))
    rig.wait_condition("AccessKey", "far")  # it is proven and delivered, although nobody here may use it
    far = rig.client("far")
    assert "not be used from 127.0.0.1: see allowedNetworks" in said(lambda: far.get_object(Bucket="photos", Key="a"))
    for call in (
        far.list_buckets,
        lambda: far.list_objects_v2(Bucket="photos"),
        lambda: far.put_object(Bucket="photos", Key="b", Body=b"b"),
        lambda: far.delete_object(Bucket="photos", Key="a"),
    ):
        assert error_code(call) == "NetworkNotAllowed"
    rig.apply("far.yaml", access_key("far", grants=GRANTS, allowedNetworks=[ELSEWHERE, HERE]))
    eventually("the edit", lambda: error_code(far.list_buckets, "ok") == "ok", 1.0)
    rig.apply("far.yaml", access_key("far", grants=GRANTS, allowedNetworks=[ELSEWHERE]))
    eventually("the edit", lambda: error_code(far.list_buckets, "ok") == "NetworkNotAllowed", 1.0)


def test_a_bucket_whose_key_is_for_elsewhere_is_edited(rig: Rig) -> None:
    elsewhere = {"allowedNetworks": [ELSEWHERE]}
    rig.apply("films.yaml", bucket("films", credentials=elsewhere))
    rig.wait_condition("Bucket", "films")
    for access in ("Revoked", "Allowed"):
        rig.apply("films.yaml", bucket("films", credentials=elsewhere, apiAccess=access))
        rig.wait_condition("Bucket", "films", "Revoked", status=str(access == "Revoked"), reason=f"ApiAccess{access}")
    rig.wait_condition("Bucket", "films")


def test_a_proxy_is_believed_when_the_region_trusts_it(rig: Rig) -> None:
    rig.apply("far.yaml", access_key("far", grants=GRANTS, allowedNetworks=[ELSEWHERE]))
    rig.wait_condition("AccessKey", "far")
    behind, near = rig.client("far"), rig.client("photos")
    forwarded(behind, "203.0.113.9, 198.51.100.7")
    assert error_code(behind.list_buckets) == "NetworkNotAllowed"
    rig.apply("region.yaml", region(HERE))
    eventually("trust", lambda: error_code(behind.list_buckets, "ok") == "ok", 2.0)
    near.list_buckets()  # who comes straight is where it comes from
    forwarded(near, "198.51.100.7")
    assert error_code(near.list_buckets) == "NetworkNotAllowed"


def test_a_write_ends_when_the_network_is_taken_away(rig: Rig) -> None:
    rig.apply("brief.yaml", access_key("brief", grants=GRANTS, allowedNetworks=[HERE]))
    rig.wait_condition("AccessKey", "brief")
    brief = rig.client("brief")

    url = urlsplit(brief.generate_presigned_url("put_object", {"Bucket": "photos", "Key": "half"}))
    connection = HTTPConnection(url.netloc)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.putheader("Content-Length", str(2 << 20))
    connection.endheaders(b"x" * (1 << 20))
    rig.apply("brief.yaml", access_key("brief", grants=GRANTS, allowedNetworks=[ELSEWHERE]))
    eventually("the edit", lambda: error_code(brief.list_buckets, "ok") == "NetworkNotAllowed", 1.0)
    with suppress(ConnectionError):  # it may be cut already
        connection.send(b"x" * (1 << 20))
    with suppress(ConnectionError, BadStatusLine):
        answer = connection.getresponse()
        assert (answer.status, b"NetworkNotAllowed" in answer.read()) == (403, True)
    connection.close()
    assert error_code(lambda: rig.client("photos").head_object(Bucket="photos", Key="half")) == "404"
