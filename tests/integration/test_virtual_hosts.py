"""Buckets at host names below the Region's domain: real processes, and clients that are told nothing but the style."""

import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import urllib3
from boto3.s3.transfer import TransferConfig

from clients.aws import clean_env
from clients.machine import of_the_machine
from support.rig import Rig, bucket, error_code, eventually, s3_client

DOMAIN = "s3.localhost"
CORS = [{"allowedOrigins": ["https://app.example.com"], "allowedMethods": ["GET", "PUT"]}]
ASKS = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PUT"}


def region(domain: str | None = DOMAIN, **spec: Any) -> str:
    features = {} if domain is None else {"features": {"virtualHosts": domain}}
    wanted = {"tag": "local", "default": True, **features, **spec}
    meta = {"name": "local"}
    return json.dumps({"apiVersion": "cooper.dev/v1alpha1", "kind": "Region", "metadata": meta, "spec": wanted})


def apply(rig: Rig, *, domain: str | None = DOMAIN, **spec: Any) -> None:
    buckets = bucket("photos", cors=CORS), bucket("my.films"), bucket("shown", visibility="Public")
    rig.apply("all.yaml", region(domain, **spec), *buckets)


@contextmanager
def resolved(names: list[str]) -> Iterator[None]:
    """All names below the domain lead here, as its DNS would have it. `names` is told each."""
    ask = socket.getaddrinfo

    def answer(host: Any, *more: Any, **named: Any) -> Any:
        if isinstance(host, str) and (host == DOMAIN or host.endswith(f".{DOMAIN}")):
            names.append(host)
            host = "127.0.0.1"
        return ask(host, *more, **named)

    with patch.object(socket, "getaddrinfo", answer):
        yield


def virtual(rig: Rig, name: str, **config: Any) -> Any:
    """boto3 with the delivered credentials, at the domain instead of the address, virtual-hosted style."""
    env = {**rig.env(name), "ENDPOINT": f"http://{DOMAIN}:{rig.port}"}
    return s3_client(env, s3={"addressing_style": "virtual"}, **config)


def test_boto3_in_the_virtual_hosted_style(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    apply(rig)
    names: list[str] = []
    with rig, resolved(names):
        assert rig.env("photos")["ENDPOINT"] == rig.endpoint  # the path style stays what is delivered
        for name in ("photos", "my.films"):
            s3, here = virtual(rig, name), {"Bucket": name}
            eventually("the domain", lambda s3=s3, here=here: error_code(lambda: s3.head_bucket(**here), "") == "")
            names.clear()
            s3.put_object(**here, Key="a/b c", Body=b"hello", ContentType="text/plain")
            assert s3.get_object(**here, Key="a/b c")["Body"].read() == b"hello"
            assert [each["Key"] for each in s3.list_objects_v2(**here)["Contents"]] == ["a/b c"]
            assert s3.get_bucket_location(**here)["LocationConstraint"] == "local"
            s3.copy_object(**here, Key="public/copy", CopySource={**here, "Key": "a/b c"})
            assert s3.head_object(**here, Key="public/copy")["ContentLength"] == 5
            big = tmp_path / "big"
            big.write_bytes(bytes(range(256)) * (11 << 12))
            s3.upload_file(str(big), name, "big", Config=TransferConfig(multipart_threshold=5 << 20))
            s3.download_file(name, "big", str(tmp_path / "back"))
            assert (tmp_path / "back").read_bytes() == big.read_bytes()
            upload = s3.create_multipart_upload(**here, Key="parts")["UploadId"]
            part = s3.upload_part(**here, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
            done = s3.complete_multipart_upload(
                **here,
                Key="parts",
                UploadId=upload,
                MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
            )
            assert done["Location"] == f"http://{name}.{DOMAIN}:{rig.port}/parts"
            for method, ask in (("get_object", None), ("put_object", b"by link")):
                link = s3.generate_presigned_url(method, {**here, "Key": "linked" if ask else "a/b c"})
                assert link.startswith(f"http://{name}.{DOMAIN}:{rig.port}/")
                with urllib.request.urlopen(
                    urllib.request.Request(link, ask, method="PUT" if ask else "GET")
                ) as answer:
                    assert answer.read() == (b"" if ask else b"hello")
            form = s3.generate_presigned_post(name, "by form")
            assert form["url"] == f"http://{name}.{DOMAIN}:{rig.port}/"
            sent = urllib3.request("POST", form["url"], fields={**form["fields"], "file": ("f", b"by form")})
            assert sent.status == 204
            assert s3.get_object(**here, Key="by form")["Body"].read() == b"by form"
            # By path as ever, and both are about the same objects.
            assert rig.client(name).get_object(**here, Key="linked")["Body"].read() == b"by link"
            listed = [each["Key"] for each in s3.list_objects_v2(**here)["Contents"]]
            s3.delete_objects(**here, Delete={"Objects": [{"Key": each} for each in listed]})
            assert s3.list_objects_v2(**here)["KeyCount"] == 0
            # GetBucketLocation boto3 asks by path, whatever the style.
            assert set(names) == {f"{name}.{DOMAIN}", DOMAIN}
            assert names.count(DOMAIN) == 1
        films = virtual(rig, "photos")
        assert error_code(lambda: films.head_bucket(Bucket="my.films")) == "403"
        assert error_code(lambda: films.get_object(Bucket="nowhere", Key="a")) == "AccessDenied"


def curl(rig: Rig, host: str, path: str, *options: str) -> tuple[int, str]:
    """Status and body, for a client that looks the name up as the options say."""
    command = [of_the_machine("curl", "curl"), "-sS", "--path-as-is", "--max-time", "10", "-w", "\n%{http_code}"]
    there = ["--connect-to", f"::127.0.0.1:{rig.port}"]
    done = subprocess.run(
        [*command, *there, *options, f"http://{host}{path}"], capture_output=True, text=True, env=clean_env()
    )
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_curl_signs_reads_and_asks_as_a_browser_does(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    apply(rig, domainSuffixes=[{"suffix": "localhost"}])
    with rig:
        rig.client("shown").put_object(Bucket="shown", Key="a", Body=b"shown")
        env = rig.env("photos")
        signs = ("--aws-sigv4", "aws:amz:local:s3", "--user", f"{env['ACCESS_KEY']}:{env['SECRET_KEY']}")
        put = (*signs, "-X", "PUT", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--data-binary", "by curl")
        eventually("the domain", lambda: curl(rig, f"photos.{DOMAIN}", "/in/a", *put)[0] == 200)
        assert rig.client("photos").get_object(Bucket="photos", Key="in/a")["Body"].read() == b"by curl"
        unsigned = ("-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD")
        assert curl(rig, f"photos.{DOMAIN}", "/in/a", *signs, *unsigned) == (200, "by curl")
        assert curl(rig, f"PHOTOS.{DOMAIN}.:80", "/in/a", *signs, *unsigned) == (200, "by curl")
        assert curl(rig, DOMAIN, "/photos/in/a", *signs, *unsigned) == (200, "by curl")
        assert curl(rig, f"my.films.{DOMAIN}", "/in/a", *signs, *unsigned)[0] == 403

        # Anybody, what is public; and a browser's question first.
        assert curl(rig, f"shown.{DOMAIN}", "/a") == (200, "shown")
        assert curl(rig, f"shown.{DOMAIN}", "/a", "-I")[0] == 200
        assert curl(rig, f"photos.{DOMAIN}", "/in/a")[0] == 403
        asks = [part for name, value in ASKS.items() for part in ("-H", f"{name}: {value}")]
        assert curl(rig, f"photos.{DOMAIN}", "/in/a", "-X", "OPTIONS", *asks)[0] == 200
        assert curl(rig, f"shown.{DOMAIN}", "/in/a", "-X", "OPTIONS", *asks)[0] == 403
        status, told = curl(rig, f"no.{DOMAIN}", "/in/a")
        assert (status, "InvalidBucketName" in told) == (400, True)


def test_the_domain_comes_and_goes_with_the_regions_settings(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    own = f"films.{DOMAIN}"
    open_to_all = {"domainSuffixes": [{"suffix": "localhost"}]}
    rig.apply("b.yaml", bucket("films", visibility="Public", domains=[own]))
    apply(rig, domain=None, **open_to_all)
    with rig:
        rig.client("films").put_object(Bucket="films", Key="a", Body=b"films")
        rig.client("shown").put_object(Bucket="shown", Key="a", Body=b"shown")

        def says(host: str, path: str = "/a") -> Callable[[], bytes]:
            request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            return lambda: rig.raw(request).rpartition(b"\r\n\r\n")[2]

        def claims() -> list[str]:
            return [each.name for each in (rig.data / "state" / "records").glob("domain-*")]

        rig.wait_condition("Bucket", "films", "DomainsReady")
        eventually("its own domain", lambda: says(own)() == b"films")
        assert claims() == [f"domain-{own}.json"]
        assert b"InvalidBucketName" in says(f"shown.{DOMAIN}")()

        # All names below the domain are buckets' now: that of `films` too, and none is a Bucket's own any more.
        apply(rig, **open_to_all)
        began = time.monotonic()
        eventually("the domain", lambda: says(f"shown.{DOMAIN}")() == b"shown")
        print(f"\na Region's domain holds after {(time.monotonic() - began) * 1000:.0f} ms")
        refused = rig.wait_condition("Bucket", "films", "DomainsReady", status="False", reason="DomainNotAllowed")
        assert "of the gateways themselves" in refused["message"]
        assert says(own)() == b"films"
        assert claims() == []

        # Hosts mean nothing again, and the name is the Bucket's own once more.
        apply(rig, domain=None, **open_to_all)
        eventually("no domain", lambda: b"InvalidBucketName" in says(f"shown.{DOMAIN}")())
        rig.wait_condition("Bucket", "films", "DomainsReady")
        eventually("its own domain again", lambda: says(own)() == b"films")

        # Nobody gets a Region whose names would clash.
        apply(rig, endpoints={"internal": f"http://gateway.{DOMAIN}:{rig.port}"})
        eventually("a refusal", lambda: "endpoints must not lie below features.virtualHosts" in rig.log.read_text())
        apply(rig, domainSuffixes=[{"suffix": f"shown.{DOMAIN}"}])
        eventually(
            "another", lambda: "domainSuffixes must not lie at or below features.virtualHosts" in rig.log.read_text()
        )
        assert b"InvalidBucketName" in says(f"shown.{DOMAIN}")()
