"""`cooper store backup` beside a `cooper up` that is written to, and what `cooper store restore` makes of it."""

import hashlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from clients.aws import clean_env
from support.rig import COOPER, KEY_REFUSED, REGION, Rig, access_key, bucket, error_code, eventually

SIZES = (0, 100, 32_769, 300_000)
WRITERS = 3


def store(*arguments: object, ok: bool = True) -> str:
    """Run a command of `cooper store`; returns what it says."""
    command = [*COOPER, "store", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_env(), timeout=120)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def content(name: str, version: int) -> bytes:
    seed = hashlib.sha256(f"{name} {version}".encode()).digest()
    size = SIZES[seed[0] % len(SIZES)]
    return (seed * (size // 32 + 1))[:size]


class Writer(threading.Thread):
    """Puts, overwrites and deletes names of its own, each in turn; knows when each was asked for and acknowledged."""

    def __init__(self, s3: Any, prefix: str) -> None:
        super().__init__(daemon=True)  # a test that fails leaves it
        self.s3 = s3
        self.names = [f"{prefix}/{number}" for number in range(4)]
        self.history: dict[str, list[tuple[float, float, int | None]]] = {name: [] for name in self.names}
        self.ended = threading.Event()

    def run(self) -> None:
        version = 0
        while not self.ended.is_set():
            version += 1
            for name in self.names:
                wanted = None if version % 5 == 0 else version
                asked = time.monotonic()
                if wanted is None:
                    self.s3.delete_object(Bucket="photos", Key=name)
                else:
                    body = content(name, version)
                    self.s3.put_object(Bucket="photos", Key=name, Body=body, Metadata={"version": str(version)})
                self.history[name].append((asked, time.monotonic(), wanted))

    def possible(self, name: str, began: float, ended: float) -> set[int | None]:
        """What may be there in a copy that was made in between: nothing that was overwritten before it began."""
        sure: int | None = None
        found: set[int | None] = set()
        for asked, acknowledged, version in self.history[name]:
            if acknowledged < began:
                sure = version
            elif asked < ended:
                found.add(version)
        return {sure, *found}


def found_in(s3: Any, name: str) -> int | None:
    """The version that is there, whole."""
    try:
        answer = s3.get_object(Bucket="photos", Key=name)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchKey"
        return None
    version = int(answer["Metadata"]["version"])
    assert answer["Body"].read() == content(name, version), f"{name} is not what was written"
    return version


def contents(s3: Any) -> dict[str, tuple[int, str, str, bytes, dict[str, str], str]]:
    """Everything that is to be had of each object: as listed, and as fetched."""
    found = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="photos"):
        for each in page.get("Contents", []):
            got = s3.get_object(Bucket="photos", Key=each["Key"])
            shown = each["Size"], each["ETag"], str(each["LastModified"])
            found[each["Key"]] = (*shown, got["Body"].read(), got["Metadata"], got["ContentType"])
    return found


def counted(data: Path) -> tuple[int, int]:
    """How many objects, and bytes of them, the store counts: quotas go by that. It is compared with what is there."""
    found = json.loads(_json(store("verify", "--data", data, "--rate", "0", "--output", "json")))
    assert (found["sound"], found["notes"]) == (True, [])
    return found["entries"], found["bytes"]


def _json(said: str) -> str:
    return said[said.index("{") : said.rindex("}") + 1]


def segment_files(data: Path) -> list[Path]:
    return [path for path in (data / "segments").rglob("*") if path.is_file()]


def put_lasting(s3: Any) -> None:
    """Objects of every kind that stay as they are."""
    for number in range(40):
        s3.put_object(
            Bucket="photos",
            Key=f"lasting/{number:02}",
            Body=content("lasting", number),
            Metadata={"number": str(number)},
            ContentType="image/png",
        )
    upload_id = s3.create_multipart_upload(Bucket="photos", Key="lasting/parts")["UploadId"]
    parts = []
    for number, body in enumerate((b"p" * (5 << 20), b"the end"), 1):
        etag = s3.upload_part(Bucket="photos", Key="lasting/parts", UploadId=upload_id, PartNumber=number, Body=body)
        parts.append({"ETag": etag["ETag"], "PartNumber": number})
    named = {"Parts": parts}
    s3.complete_multipart_upload(Bucket="photos", Key="lasting/parts", UploadId=upload_id, MultipartUpload=named)


class Load:
    """Writers at work."""

    def __init__(self, rig: Rig) -> None:
        self.writers = [Writer(rig.client("photos"), str(number)) for number in range(WRITERS)]

    def __enter__(self) -> "Load":
        for writer in self.writers:
            writer.start()
        eventually("some writes", self._has_begun, seconds=60)
        return self

    def _has_begun(self) -> bool:
        return all(len(each.history[each.names[-1]]) > 3 for each in self.writers)

    def __exit__(self, *_: object) -> None:
        for writer in self.writers:
            writer.ended.set()
        for writer in self.writers:
            writer.join()

    def check(self, s3: Any, began: float, ended: float) -> None:
        """What is there was there at one time in between, for each name."""
        listed = set(contents(s3))
        for writer in self.writers:
            for name in writer.names:
                found = found_in(s3, name)
                assert found in writer.possible(name, began, ended), name
                assert (name in listed) == (found is not None)


def test_a_backup_under_load_holds_what_was_acknowledged_before_it_began(tmp_path: Path) -> None:
    rig, copied = Rig(tmp_path), tmp_path / "copied"
    rig.apply("region.yaml", REGION)
    rig.apply("photos.yaml", bucket("photos"))
    rig.apply("reader.yaml", access_key("reader", grants=[{"bucket": "photos"}]))
    with rig:
        reader = rig.client("reader")
        put_lasting(rig.client("photos"))
        lasting = contents(rig.client("photos"))
        with Load(rig) as load:
            said = store("backup", copied, "--data", rig.data)  # the first one; the second has less to copy
            assert "THE KEY IS NOT" in said
            began = time.monotonic()
            store("backup", copied, "--data", rig.data, "--rate", "20MiB")
            ended = time.monotonic()
            time.sleep(0.5)
        left = contents(rig.client("photos"))
        large = sum(each[0] > 32_768 for name, each in left.items() if name != "lasting/parts") + 1
        eventually("the removal of what was held back", lambda: len(segment_files(rig.data)) == large)
        (rig.resources / "reader.yaml").unlink()
        eventually("the revocation", lambda: _code(reader) in KEY_REFUSED)
    original, rig.data = rig.data, tmp_path / "restored"
    assert "is not empty" in store("restore", copied, "--data", original, ok=False)
    store("restore", copied, "--data", rig.data, "--kek", original / "kek.json")
    assert "kek.json" in _refusal(rig)
    (rig.data / "kek.json").write_bytes((original / "kek.json").read_bytes())
    assert "all is as it was written" in store("verify", "--data", rig.data, "--rate", "0")
    with rig:
        eventually("the revocation of a key that was copied and is gone since", lambda: _code(reader) in KEY_REFUSED)
        s3 = rig.client("photos")
        restored = contents(s3)
        assert {name: each for name, each in restored.items() if name in lasting} == lasting
        load.check(s3, began, ended)
        assert counted(rig.data) == (len(restored), sum(each[0] for each in restored.values()))


def test_who_is_killed_in_the_middle_spoils_no_backup(tmp_path: Path) -> None:
    """The one that copies, and then the committer that holds back what it copies."""
    rig, copied = Rig(tmp_path), tmp_path / "copied"
    rig.apply("all.yaml", REGION, bucket("photos"))
    with rig:
        s3 = rig.client("photos")
        put_lasting(s3)
        lasting = contents(s3)
        store("backup", copied, "--data", rig.data)
        for number in range(60):
            s3.put_object(Bucket="photos", Key=f"more/{number:02}", Body=b"m" * 200_000)
        for number, victim in enumerate(("backup", "committer")):
            before = (copied / "manifest").read_bytes()
            process = _begun(rig, copied)
            for name in (f"lasting/{number:02}", f"more/{number:02}"):  # of which the last is held back
                s3.delete_object(Bucket="photos", Key=name)
                lasting.pop(name, None)
            if victim == "backup":
                process.kill()
            else:
                (committer,) = rig.processes()["committer"]
                os.kill(committer, signal.SIGKILL)
            _, said = process.communicate(timeout=60)
            assert process.returncode != 0
            assert victim == "backup" or b"the committer ended" in said, said
            assert (copied / "manifest").read_bytes() == before
        store("restore", copied, "--data", tmp_path / "former")
        eventually("the gateway", lambda: contents_or_nothing(s3), seconds=60)
        left = contents(s3)
        assert {name: each for name, each in left.items() if name.startswith("lasting/")} == lasting
        store("backup", copied, "--data", rig.data)
        assert len(list((copied / "snapshots").iterdir())) == 1
        large = sum(each[0] > 32_768 for name, each in left.items() if name != "lasting/parts") + 1
        eventually("the removal of what was held back", lambda: len(segment_files(rig.data)) == large, seconds=60)
    kek = (rig.data / "kek.json").read_bytes()
    store("restore", copied, "--data", tmp_path / "restored")
    for rig.data in (tmp_path / "former", tmp_path / "restored"):
        (rig.data / "kek.json").write_bytes(kek)
        assert "all is as it was written" in store("verify", "--data", rig.data, "--rate", "0")
    with rig:
        assert contents(rig.client("photos")) == left


def _begun(rig: Rig, copied: Path) -> "subprocess.Popen[bytes]":
    """A backup that copies segments, for long."""
    snapshots = copied / "snapshots"
    command = [*COOPER, "store", "backup", str(copied), "--data", str(rig.data), "--rate", "400k"]
    known = {path.name for path in snapshots.iterdir()}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=clean_env())

    def keys_are_copied() -> bool:
        assert process.poll() is None, process.communicate()
        return any(list(each.glob("bucket-keys/*")) for each in snapshots.iterdir() if each.name not in known)

    eventually("the copying", keys_are_copied, seconds=60)
    return process


def contents_or_nothing(s3: Any) -> Any:
    try:
        return contents(s3)
    except ClientError:
        return None


def _code(s3: Any) -> str:
    return error_code(lambda: s3.get_object(Bucket="photos", Key="none"))


def _refusal(rig: Rig) -> str:
    command = [*COOPER, "up", str(rig.resources), "--data", str(rig.data), "--port", "0", "--metrics-port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_env(), timeout=60)
    assert done.returncode
    return done.stdout + done.stderr
