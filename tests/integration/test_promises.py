"""The promises in figures: how fast a key works and stops working, what lies on the disk, how much memory it takes."""

import os
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from cooper_cli.status import condition
from cooper_operator.cluster.folder_status import read_status
from support.process_tree import own_memory
from support.rig import REGION, Rig, access_key, bucket, error_code, eventually, s3_client

MIB = 1 << 20


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("promises"))
    rig.apply("region.yaml", REGION)
    with rig:
        yield rig


def test_apply_to_ready_and_revoke_to_refused(rig: Rig, record_property: Any) -> None:
    """The median and the worst of 50; a revoked key is refused on 20 new connections, so in every worker."""
    rig.apply("fast.yaml", bucket("fast"))
    rig.env("fast")
    grants = [{"bucket": "fast", "actions": ["s3:ListBucket"]}]
    ready, refused = list[float](), list[float]()
    for number in range(50):
        name = f"fast-{number}"
        path = rig.credentials_file(name)
        started = time.monotonic()
        rig.apply(f"{name}.yaml", access_key(name, grants=grants))
        eventually("the credentials", path.exists, pause=0.001)
        eventually("Ready", lambda name=name: _is_ready(rig, name), pause=0.001)
        ready.append(time.monotonic() - started)
        s3 = s3_client(rig.env(name))
        s3.list_objects_v2(Bucket="fast")
        started = time.monotonic()
        rig.apply(f"{name}.yaml", access_key(name, grants=grants, state="Revoked"))
        eventually("the refusal", lambda s3=s3: _refused(s3), pause=0.001)
        refused.append(time.monotonic() - started)
        env = {"ENDPOINT": rig.endpoint, "REGION": "local", **_keys(s3)}
        for _ in range(20):
            assert error_code(lambda env=env: s3_client(env).list_objects_v2(Bucket="fast")) == "KeyAccessRevoked"
    for what, figures in (("apply to Ready", ready), ("revoke to refused", refused)):
        line = f"{what}: median {statistics.median(figures) * 1000:.0f} ms, worst {max(figures) * 1000:.0f} ms of 50"
        record_property(what, line)
        print(line)
        assert max(figures) < 5, line


def _is_ready(rig: Rig, name: str) -> bool:
    """As `cooper status` has it, without the time that a process takes to start."""
    objects = read_status(rig.data / "state").objects
    (found,) = [obj for obj in objects if (obj["kind"], obj["metadata"]["name"]) == ("AccessKey", name)]
    return condition(found, "Ready").get("status") == "True"


def _keys(s3: Any) -> dict[str, str]:
    credentials = s3._request_signer._credentials
    return {"ACCESS_KEY": credentials.access_key, "SECRET_KEY": credentials.secret_key}


def _refused(s3: Any) -> bool:
    try:
        s3.list_objects_v2(Bucket="fast")
    except Exception as error:
        assert error.response["Error"]["Code"] == "KeyAccessRevoked"  # type: ignore[attr-defined]
        return True
    return False


def test_the_disk_holds_no_plaintext(rig: Rig) -> None:
    """Markers from bodies (inline, file, part), user metadata and secret keys are in no file of the store."""
    rig.apply("secret.yaml", bucket("secret"))
    env = rig.env("secret")
    s3 = s3_client(env)
    marker = b"MARKER-" + os.urandom(8).hex().encode()
    bodies = {"inline": marker * 20, "file": marker * 50_000}
    for key, body in bodies.items():
        s3.put_object(Bucket="secret", Key=key, Body=body, Metadata={"note": marker.decode()})
    upload = s3.create_multipart_upload(Bucket="secret", Key="multi", Metadata={"note": marker.decode()})["UploadId"]
    s3.upload_part(Bucket="secret", Key="multi", UploadId=upload, PartNumber=1, Body=marker * 300_000)
    for key, body in bodies.items():
        got = s3.get_object(Bucket="secret", Key=key)
        assert (got["Body"].read(), got["Metadata"]) == (body, {"note": marker.decode()})
    needles = [marker, env["SECRET_KEY"].encode()]
    found = 0
    for path in rig.data.rglob("*"):
        if path.is_file() and "credentials" not in path.relative_to(rig.data).parts[:1]:
            content = path.read_bytes()
            found += 1
            for needle in needles:
                assert needle not in content, f"plaintext in {path}"
    assert found > 5
    log = rig.log.read_bytes()
    assert env["SECRET_KEY"].encode() not in log
    assert env["SECRET_KEY"].encode() in rig.credentials_file("secret").read_bytes()


def _memory(rig: Rig) -> int:
    """Bytes of all the processes of `cooper up`, shared pages counted once (PSS)."""
    return sum(own_memory(pid) for pids in rig.processes().values() for pid in pids)


class _Stream:
    """A body of `size` bytes that nobody holds in memory."""

    def __init__(self, size: int) -> None:
        self.size, self.position, self.block = size, 0, os.urandom(MIB)

    def read(self, amount: int = -1) -> bytes:
        amount = min(MIB if amount < 0 else amount, self.size - self.position)
        self.position += amount
        return self.block[:amount] if amount <= MIB else (self.block * (amount // MIB + 1))[:amount]


def test_memory_does_not_grow_with_the_object(rig: Rig, pytestconfig: pytest.Config) -> None:
    """4 clients move an object up and down at once: 128 MiB here, 1 GiB and then 4 GiB in the long runs."""
    rig.apply("large.yaml", bucket("large", maxObjectSize="8Gi"))
    s3 = rig.client("large", max_pool_connections=16)
    sizes = [1024 * MIB, 4096 * MIB] if pytestconfig.getoption("--soak") else [128 * MIB]
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.2):
            peak = max(peak, _memory(rig))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for size in sizes:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda number, size=size: _move(s3, number, size), range(4)))
            print(f"memory of the whole of cooper up at 4 x {size // MIB} MiB: {peak / MIB:.0f} MiB")
            assert peak < 250 * MIB
    finally:
        done.set()
        watcher.join()


def _move(s3: Any, number: int, size: int) -> None:
    config = TransferConfig(use_threads=False)
    s3.upload_fileobj(_Stream(size), "large", f"o{number}", Config=config)
    received = 0
    for chunk in s3.get_object(Bucket="large", Key=f"o{number}")["Body"].iter_chunks(MIB):
        received += len(chunk)
    assert received == size
    s3.delete_object(Bucket="large", Key=f"o{number}")
