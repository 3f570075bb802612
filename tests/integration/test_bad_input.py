"""Bad input of every kind against a real gateway: a clear error, nothing half-stored, the process lives."""

import datetime
import hashlib
import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from clients.aws import clean_env
from support.rig import COOPER, REGION, Rig, bucket, error_code, eventually, s3_client


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("bad"))
    rig.apply("all.yaml", REGION, bucket("bad", maxObjectSize="1Mi"), bucket("other"))
    with rig:
        yield rig


@pytest.fixture
def env(rig: Rig) -> dict[str, str]:
    return rig.env("bad")


@pytest.fixture
def s3(env: dict[str, str]) -> Any:
    return s3_client(env)


@pytest.fixture(autouse=True)
def _lives_and_holds_nothing_new(rig: Rig) -> Iterator[None]:
    """After each test the same processes still serve, and the bucket is as empty as before."""
    env, before = rig.env("bad"), rig.processes()
    yield
    assert rig.processes() == before
    assert s3_client(env).list_objects_v2(Bucket="bad")["KeyCount"] == 0


def test_a_wrong_signature(env: dict[str, str]) -> None:
    s3 = s3_client(env | {"SECRET_KEY": "x" * 40})
    assert error_code(lambda: s3.put_object(Bucket="bad", Key="k", Body=b"v")) == "SignatureDoesNotMatch"


def test_an_unknown_key(env: dict[str, str]) -> None:
    s3 = s3_client(env | {"ACCESS_KEY": "AKIAAAAAAAAAAAAAAAAA"})
    assert error_code(lambda: s3.put_object(Bucket="bad", Key="k", Body=b"v")) == "InvalidAccessKeyId"


def test_another_bucket(s3: Any) -> None:
    for name in ("other", "missing-bucket"):
        assert error_code(lambda name=name: s3.put_object(Bucket=name, Key="k", Body=b"v")) == "AccessDenied"


def test_a_key_of_1025_bytes(s3: Any) -> None:
    assert error_code(lambda: s3.put_object(Bucket="bad", Key="k" * 1025, Body=b"v")) == "KeyTooLongError"
    s3.put_object(Bucket="bad", Key="k" * 1024, Body=b"v")
    s3.delete_object(Bucket="bad", Key="k" * 1024)


def test_metadata_over_2_kib(s3: Any) -> None:
    put = lambda: s3.put_object(Bucket="bad", Key="k", Body=b"v", Metadata={"a": "x" * 2048})  # noqa: E731
    assert error_code(put) == "MetadataTooLarge"


@pytest.mark.parametrize("call", ["get_bucket_acl", "get_bucket_versioning", "get_bucket_cors", "get_bucket_tagging"])
def test_sub_resources(s3: Any, call: str) -> None:
    assert error_code(lambda: getattr(s3, call)(Bucket="bad")) == "NotImplemented"


def test_create_bucket(s3: Any) -> None:
    assert error_code(lambda: s3.create_bucket(Bucket="new-bucket")) == "NotImplemented"


def _signed(env: dict[str, str], method: str, path: str, body: bytes, **changes: str) -> tuple[str, dict[str, str]]:
    request = AWSRequest(method, env["ENDPOINT"] + path, data=body)
    request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    for name, value in changes.items():
        request.headers[name.replace("_", "-")] = value
    S3SigV4Auth(Credentials(env["ACCESS_KEY"], env["SECRET_KEY"]), "s3", "local").add_auth(request)
    return path, dict(request.headers.items())


def _ask(rig: Rig, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=10)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_skewed_clock(rig: Rig, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.auth
    import botocore.compat

    late = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=16)
    for module in (botocore.auth, botocore.compat):
        if hasattr(module, "get_current_datetime"):
            monkeypatch.setattr(module, "get_current_datetime", lambda remove_tzinfo=True: late.replace(tzinfo=None))
    path, headers = _signed(env, "GET", "/bad?list-type=2", b"")
    status, body = _ask(rig, "GET", path, headers)
    assert status == 403
    assert b"<Code>RequestTimeTooSkewed</Code>" in body


def test_an_oversize_object_is_refused_before_its_body_is_read(rig: Rig, env: dict[str, str]) -> None:
    body = b"x" * ((1 << 20) + 1)
    path, headers = _signed(env, "PUT", "/bad/k", body)
    with socket.create_connection(("127.0.0.1", rig.port), 5) as wire:
        lines = [f"PUT {path} HTTP/1.1", f"Host: 127.0.0.1:{rig.port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        wire.sendall("\r\n".join([*lines, "Expect: 100-continue", "", ""]).encode())
        answer = wire.recv(65536)  # not one byte of the body was sent
    assert b"413" in answer.split(b"\r\n")[0]
    assert b"<Code>EntityTooLarge</Code>" in answer


def test_an_oversize_object_in_parts(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket="bad", Key="k")["UploadId"]
    part = {"Bucket": "bad", "Key": "k", "UploadId": upload}
    code = ""
    try:
        tag = s3.upload_part(**part, PartNumber=1, Body=b"x" * ((1 << 20) + 1))["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
        code = error_code(lambda: s3.complete_multipart_upload(**part, MultipartUpload=parts))
    except s3.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
    assert code == "EntityTooLarge"
    s3.abort_multipart_upload(**part)


def test_a_truncated_body(rig: Rig, env: dict[str, str]) -> None:
    body = os.urandom(100_000)
    path, headers = _signed(env, "PUT", "/bad/k", body)
    with socket.create_connection(("127.0.0.1", rig.port), 5) as wire:
        lines = [f"PUT {path} HTTP/1.1", f"Host: 127.0.0.1:{rig.port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        wire.sendall("\r\n".join([*lines, "", ""]).encode() + body[:-1])
        wire.shutdown(socket.SHUT_WR)
        answer = wire.recv(65536)
    assert answer == b"" or b"<Code>IncompleteBody</Code>" in answer


def test_a_changed_body(rig: Rig, env: dict[str, str]) -> None:
    path, headers = _signed(env, "PUT", "/bad/k", b"what was signed")
    status, body = _ask(rig, "PUT", path, headers, b"what was chaged")
    assert status == 400
    assert b"<Code>XAmzContentSHA256Mismatch</Code>" in body


def test_framing_that_makes_no_sense(rig: Rig) -> None:
    for raw in (
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 70_000,
        b"PUT /bad/k HTTP/1.1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", rig.port), 5) as wire:
            wire.sendall(raw)
            wire.shutdown(socket.SHUT_WR)
            answer = wire.recv(65536)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer


def test_a_broken_record_denies_its_key_and_nothing_else(rig: Rig) -> None:
    rig.apply("record.yaml", bucket("record-bucket"))
    env = rig.env("record-bucket")
    s3 = s3_client(env)
    record = rig.data / "state" / "records" / f"key-{env['ACCESS_KEY'].lower()}.json"
    good = record.read_bytes()
    record.write_bytes(good[:-20])
    eventually("the report", lambda: record.name in rig.log.read_text())
    record.write_bytes(good)
    eventually("access again", lambda: _works(s3))


def _works(s3: Any) -> bool:
    try:
        s3.list_objects_v2(Bucket="record-bucket")
    except s3.exceptions.ClientError:
        return False
    return True


def test_a_wrong_key_encryption_key(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket("kek"))
    with rig:
        rig.client("kek").put_object(Bucket="kek", Key="k", Body=b"v")
    kek = rig.data / "kek.json"
    right = kek.read_bytes()
    kek.unlink()
    _refuses_to_start(rig, "key-encryption key")
    assert not kek.exists(), "a key-encryption key was made over a store that has data"
    other = Rig(tmp_path / "other") if (tmp_path / "other").mkdir() is None else None
    assert other is not None
    other.apply("all.yaml", REGION, bucket("kek"))
    with other:
        other.env("kek")
    kek.write_bytes((other.data / "kek.json").read_bytes())
    _refuses_to_start(rig, "key-encryption key")
    kek.write_bytes(right)
    with rig:
        assert rig.client("kek").get_object(Bucket="kek", Key="k")["Body"].read() == b"v"


def _refuses_to_start(rig: Rig, reason: str) -> None:
    command = [*COOPER, "up", str(rig.resources), "--data", str(rig.data), "--port", "0", "--metrics-port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_env(), timeout=30)
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk(tmp_path: Path) -> None:
    """A real file system of 24 MiB: writes end in StorageFull, what was acknowledged stays, deleting heals."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "cooper-test", str(tmp_path)], check=True)
    try:
        rig = Rig(tmp_path)
        rig.apply("all.yaml", REGION, bucket("full"))
        with rig:
            s3 = rig.client("full")
            stored, codes = list[str](), list[str]()
            for number in range(60):
                key, size = f"k{number}", 1 << 20 if number % 2 else 30_000
                try:
                    s3.put_object(Bucket="full", Key=key, Body=bytes([number]) * size)
                    stored.append(key)
                except s3.exceptions.ClientError as error:
                    codes.append(error.response["Error"]["Code"])
            assert codes
            assert set(codes) == {"StorageFull"}
            assert [item["Key"] for item in s3.list_objects_v2(Bucket="full")["Contents"]] == sorted(stored)
            for key in stored:
                assert s3.get_object(Bucket="full", Key=key)["Body"].read()[:1] == bytes([int(key[1:])])
                s3.delete_object(Bucket="full", Key=key)
            eventually("room again", lambda: _stores(s3), pause=0.2)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def _stores(s3: Any) -> bool:
    try:
        s3.put_object(Bucket="full", Key="again", Body=b"x" * (1 << 20))
    except s3.exceptions.ClientError:
        return False
    return True


def test_an_invalid_manifest_names_the_field(rig: Rig) -> None:
    rig.apply("invalid.yaml", json.dumps({**json.loads(bucket("invalid")), "spec": {"maxObjectSize": "many"}}))
    status = [*COOPER, "status", "--data", str(rig.data)]
    show = lambda: subprocess.run(status, capture_output=True, text=True, env=clean_env()).stdout  # noqa: E731
    eventually("the report", lambda: "spec.maxObjectSize" in show(), pause=0.2)
    (rig.resources / "invalid.yaml").unlink()
