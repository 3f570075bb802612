"""S3 over TLS with real processes and real clients: whom they trust, and certificates that are renewed meanwhile."""

import os
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import SSLError
from cryptography import x509

from clients import cache
from clients.aws import clean_env
from cooper_crds.actions import DEFAULT_ACTIONS
from cooper_crds.records import Grant
from cooper_operator.certificates.x509 import Pair, new_certificate
from support.gateway_rig import Gateway, answer, on_folder
from support.records_fixtures import bucket, key, region
from support.rig import COOPER, Rig, access_key, eventually, s3_client
from support.rig import bucket as bucket_manifest
from support.tls import Files, authority

KEY = key(grants=(Grant("photos", bucket().data_id, DEFAULT_ACTIONS),))


def make_files(home: Path, pair: Pair | None = None) -> Files:
    folder = home / "tls"
    folder.mkdir()
    return Files(folder, pair)


def records(home: Path) -> tuple[str, ...]:
    """Options of a gateway that knows the bucket `photos` and its key."""
    return on_folder(home, region(), bucket(), KEY)


def serial(gateway: Gateway) -> int:
    """Of the certificate that one of the workers serves a new connection with."""
    pem = ssl.get_server_certificate((gateway.host, gateway.port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def _renewals(gateway: Gateway) -> int:
    return gateway.log.read_text().count("was renewed")


def number_of(pair: Pair) -> int:
    return x509.load_pem_x509_certificate(pair.certificate.encode()).serial_number


def expires_at(pair: Pair) -> float:
    return x509.load_pem_x509_certificate(pair.certificate.encode()).not_valid_after_utc.timestamp()


def test_a_client_that_trusts_the_authority_works_and_no_other(tmp_path: Path) -> None:
    files = make_files(tmp_path)
    with Gateway(tmp_path, *records(tmp_path), *files.options) as gateway:
        eventually("readiness", lambda: gateway.ready)  # over plain HTTP, as before
        assert "serving S3 over TLS" in gateway.log.read_text()
        client = gateway.client(KEY, CA_BUNDLE=str(files.authority))
        client.put_object(Bucket="photos", Key="large", Body=b"x" * (9 << 20))
        assert client.get_object(Bucket="photos", Key="large")["Body"].read() == b"x" * (9 << 20)
        for wrong in ({}, {"CA_BUNDLE": str(tmp_path / "other.crt")}):
            (tmp_path / "other.crt").write_text(authority("another").certificate)
            with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
                answer(gateway.client(KEY, **wrong))
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{gateway.port}/", timeout=5)
        upload = client.create_multipart_upload(Bucket="photos", Key="parts")["UploadId"]
        part = client.upload_part(Bucket="photos", Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        done = client.complete_multipart_upload(Bucket="photos", Key="parts", UploadId=upload, MultipartUpload=parts)
        assert done["Location"] == f"{gateway.endpoint}/photos/parts"
        assert gateway.stop() == 0


def test_a_certificate_is_renewed_under_load_and_no_request_fails(tmp_path: Path) -> None:
    names, now = ("localhost", "127.0.0.1"), time.time()
    pairs = [new_certificate(authority(), names, now - 86400 * days) for days in range(4)]
    files = make_files(tmp_path, pairs[0])
    done, failures, stop = [0, 0], list[Exception](), threading.Event()

    def work(number: int, client: Any) -> None:
        while not stop.is_set():
            try:
                fresh = gateway.client(KEY, CA_BUNDLE=str(files.authority)) if done[number] % 10 == 0 else client
                fresh.put_object(Bucket="photos", Key=f"of-{number}", Body=b"x" * 100_000)
                assert fresh.get_object(Bucket="photos", Key=f"of-{number}")["Body"].read() == b"x" * 100_000
                done[number] += 1
            except Exception as error:
                failures.append(error)

    with Gateway(tmp_path, *records(tmp_path), *files.options) as gateway:
        eventually("readiness", lambda: gateway.ready)
        clients = [gateway.client(KEY, CA_BUNDLE=str(files.authority)) for _ in done]
        threads = [threading.Thread(target=work, args=each) for each in enumerate(clients)]
        for thread in threads:
            thread.start()
        try:
            for count, pair in enumerate(pairs[1:], 1):
                files.put(pair)
                eventually("the renewal in both workers", lambda n=count: _renewals(gateway) == 2 * n)
                assert serial(gateway) == number_of(pair)
            name = "cooper_certificate_expiration_timestamp_seconds"
            eventually("the metric", lambda: gateway.metric(name) == expires_at(pairs[-1]))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert failures == []
    assert min(done) > 5
    print(f"\n{sum(done)} pairs of requests, 3 renewals, no failure")


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--tls-cert", "tls/tls.crt"], 2, "--tls-cert and --tls-key go together: give both, or neither"),
        (["--tls-key", "tls/tls.key"], 2, "--tls-cert and --tls-key go together: give both, or neither"),
        (["--tls-cert", "no.crt", "--tls-key", "tls/tls.key"], 1, "no.crt cannot be read: No such file or directory"),
        (["--tls-cert", "tls/tls.crt", "--tls-key", "tls/ca.crt"], 1, "tls/ca.crt holds no private key in PEM form"),
        (["--tls-cert", "tls/ca.crt", "--tls-key", "tls/tls.key"], 1, "does not belong to the certificate"),
    ],
)
@pytest.mark.parametrize("command", [["up", "."], ["gateway", "--region", "local", "--records", "."]])
def test_what_cannot_be_served_with_is_said_at_the_start(
    tmp_path: Path, command: list[str], options: list[str], status: int, said: str
) -> None:
    make_files(tmp_path)
    ports = ["--port", "0", "--metrics-port", "0"]
    words = [*COOPER, *command, *ports, *options]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=clean_env())
    assert (done.returncode, "Traceback" in done.stderr) == (status, False)
    assert said in done.stderr
    if status == 1:
        assert done.stderr.endswith("Mend that, or name others with --tls-cert and --tls-key\n")


# `cooper up`

REGION = """
apiVersion: cooper.dev/v1alpha1
kind: Region
metadata: {name: local}
spec:
  tag: local
  default: true
  caBundle: |
    %s
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    home = tmp_path_factory.mktemp("tls")
    rig = Rig(home, *make_files(home).options)
    rig.apply("region.yaml", REGION % authority().certificate.replace("\n", "\n    "))
    rig.apply("photos.yaml", bucket_manifest("photos", credentials={"secretProfiles": ["AWS", "CredentialsFile"]}))
    with rig:
        rig.wait_condition("Bucket", "photos")
        yield rig


def test_up_delivers_whom_to_trust(rig: Rig) -> None:
    env = rig.env("photos")
    assert env["ENDPOINT"] == f"https://127.0.0.1:{rig.port}"
    client = s3_client(env)
    client.put_object(Bucket="photos", Key="k", Body=b"v")
    assert client.get_object(Bucket="photos", Key="k")["Body"].read() == b"v"
    with pytest.raises(SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        s3_client({name: value for name, value in env.items() if name != "CA_BUNDLE"}).list_objects_v2(Bucket="photos")
    text = eventually("the lines to paste", lambda: "AWS_CA_BUNDLE" in rig.log.read_text() and rig.log.read_text())
    assert f"S3 endpoint  {env['ENDPOINT']}" in text


def run(*command: object, home: Path, status: int = 0, **env: str) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(
        words, env={"PATH": "/usr/bin:/bin", "HOME": str(home), **env}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == status, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_aws_cli_takes_the_bundle_as_option_and_as_variable(rig: Rig, tmp_path: Path) -> None:
    env, aws = rig.env("photos"), cache.programs() / "aws"
    (tmp_path / "small.txt").write_text("small\n")
    bundle = env["CA_BUNDLE"]
    run(aws, "--ca-bundle", bundle, "s3", "cp", tmp_path / "small.txt", "s3://photos/cli", home=tmp_path, **env)
    assert "cli" in run(aws, "s3", "ls", "s3://photos/", home=tmp_path, AWS_CA_BUNDLE=bundle, **env)
    assert "CERTIFICATE_VERIFY_FAILED" in run(aws, "s3", "ls", "s3://photos/", home=tmp_path, status=255, **env)


def test_files_of_profile_credentials_file_are_enough(rig: Rig, tmp_path: Path) -> None:
    rig.env("photos")
    beside = {key: str(rig.credentials_file("photos").with_suffix(f".{key}")) for key in ("credentials", "rclone.conf")}
    bundle = str(rig.credentials_file("photos").with_suffix(".ca.crt"))
    s3_client(rig.env("photos")).put_object(Bucket="photos", Key="dir/file", Body=b"v")
    files = {"AWS_SHARED_CREDENTIALS_FILE": beside["credentials"], "AWS_CA_BUNDLE": bundle}
    assert "file" in run(cache.programs() / "aws", "s3", "ls", "s3://photos/dir/", home=tmp_path, **files)
    files = {"RCLONE_CONFIG": beside["rclone.conf"], "RCLONE_CA_CERT": bundle}
    assert run(cache.programs() / "rclone", "lsf", "cooper:photos/dir", home=tmp_path, **files) == "file\n"


def test_cooper_check_takes_a_bundle_and_a_file_of_one(rig: Rig, tmp_path: Path) -> None:
    env = rig.env("photos")
    content = Path(env["CA_BUNDLE"]).read_text().partition("\n")[2]
    for bundle in (env["CA_BUNDLE"], content):
        assert "deleted it" in run(*COOPER, "check", home=tmp_path, **{**env, "CA_BUNDLE": bundle})
    for bundle, said in (("", "CERTIFICATE_VERIFY_FAILED"), ("nowhere", "CA_BUNDLE cannot be used")):
        assert said in run(*COOPER, "check", home=tmp_path, status=1, **{**env, "CA_BUNDLE": bundle})


def test_another_bundle_reaches_those_who_were_delivered(rig: Rig) -> None:
    key = rig.env("photos")
    both = authority().certificate + authority("another").certificate
    rig.apply("region.yaml", REGION % both.replace("\n", "\n    "))
    eventually("both in the file", lambda: Path(key["CA_BUNDLE"]).read_text().partition("\n")[2] == both)
    assert rig.env("photos") == key
    s3_client(key).list_objects_v2(Bucket="photos")
    rig.apply("key.yaml", access_key("late", grants=[{"bucket": "photos"}]))
    rig.wait_condition("AccessKey", "late")


def test_up_without_a_bundle_says_what_is_wrong(tmp_path: Path) -> None:
    rig = Rig(tmp_path, *make_files(tmp_path).options)
    rig.apply("all.yaml", bucket_manifest("photos"), REGION.split("  caBundle")[0])
    with rig:
        told = rig.wait_condition("AccessKey", "photos", reason="WaitingForGateways")
        said = "its certificate is refused by the system's certificates, as the Region has no caBundle"
        eventually("the reason", lambda: said in rig.condition("AccessKey", "photos")["message"])
        assert not os.path.exists(rig.credentials_file("photos")), told
