"""A key that is delivered once: sealed in status, opened by `cooper key open`, and in clear nowhere on disk."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.rig import COOPER, KEY_REFUSED, REGION, Rig, access_key, bucket, error_code, eventually, s3_client

GRANTS = [{"bucket": "photos"}]


def cooper(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COOPER, *arguments], capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("once"))
    rig.apply("region.yaml", REGION, bucket("photos"))
    with rig:
        rig.wait_condition("Bucket", "photos")
        yield rig


@pytest.fixture
def identity(tmp_path: Path) -> tuple[Path, str]:
    """A file with a private key, and its public key."""
    file = tmp_path / "mine.pem"
    made = cooper("key", "new", str(file))
    assert made.returncode == 0, made.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    again = cooper("key", "new", str(file))
    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    return file, made.stdout.strip()


def once(recipient: str, **spec: Any) -> str:
    return access_key("seldom", grants=GRANTS, delivery="Once", once={"recipient": recipient}, **spec)


def opened(rig: Rig, file: Path) -> dict[str, str]:
    found = cooper("key", "open", "seldom", "--identity", str(file), "--data", str(rig.data), "-o", "json")
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def in_clear(folder: Path, text: str) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]


def test_a_key_for_one_pair_of_eyes(rig: Rig, identity: tuple[Path, str], tmp_path: Path) -> None:
    file, recipient = identity
    rig.apply("seldom.yaml", once(recipient))
    rig.wait_condition("AccessKey", "seldom")
    assert "status.once" in rig.wait_condition("AccessKey", "seldom", "Delivered")["message"]
    values = opened(rig, file)
    assert values.keys() == {"ACCESS_KEY", "SECRET_KEY", "ENDPOINT", "REGION", "BUCKET"}
    s3 = s3_client(values)
    s3.put_object(Bucket="photos", Key="a", Body=b"a")
    assert not rig.credentials_file("seldom").exists()
    assert in_clear(rig.home, values["SECRET_KEY"]) == []
    shell = cooper("key", "open", "seldom", "--identity", str(file), "--data", str(rig.data))
    assert f"SECRET_KEY={values['SECRET_KEY']}" in shell.stdout.splitlines() or values["SECRET_KEY"] in shell.stdout
    listed = cooper("status", "--data", str(rig.data))
    assert f"{values['ACCESS_KEY']} in status.once" in listed.stdout

    other = tmp_path / "other.pem"
    theirs = cooper("key", "new", str(other)).stdout.strip()
    refused = cooper("key", "open", "seldom", "--identity", str(other), "--data", str(rig.data))
    assert (refused.returncode, f"was sealed to {recipient}" in refused.stderr) == (1, True)

    rig.apply("seldom.yaml", once(theirs))  # the same key, for somebody else
    eventually("the new recipient", lambda: cooper_opens(rig, other) == values["ACCESS_KEY"])
    assert s3.list_objects_v2(Bucket="photos")["KeyCount"] == 1

    rig.apply("seldom.yaml", once(theirs, state="Revoked"))
    rig.wait_condition("AccessKey", "seldom", "Revoked")
    assert error_code(s3.list_buckets) in KEY_REFUSED
    gone = cooper("key", "open", "seldom", "--identity", str(other), "--data", str(rig.data))
    assert (gone.returncode, "spec.state is Revoked" in gone.stderr) == (1, True)


def cooper_opens(rig: Rig, file: Path) -> str:
    found = cooper("key", "open", "seldom", "--identity", str(file), "--data", str(rig.data), "-o", "json")
    return json.loads(found.stdout)["ACCESS_KEY"] if found.returncode == 0 else found.stderr


def test_it_is_rotated_and_put_into_a_file_like_any_other(rig: Rig, identity: tuple[Path, str]) -> None:
    file, recipient = identity
    rig.apply("seldom.yaml", once(recipient, rotation={"overlap": "1s"}))
    rig.wait_condition("AccessKey", "seldom")
    first = opened(rig, file)
    manifest = json.loads(once(recipient, rotation={"overlap": "1s"}))
    # The next whole second: the one that began before the key was issued asks for nothing.
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
    manifest["metadata"]["annotations"] = {"cooper.dev/rotate-at": soon}
    rig.apply("seldom.yaml", json.dumps(manifest))
    rig.wait_condition("AccessKey", "seldom", "Rotated")
    second = opened(rig, file)
    assert second["ACCESS_KEY"] != first["ACCESS_KEY"]
    s3_client(second).list_buckets()
    assert error_code(s3_client(first).list_buckets) in KEY_REFUSED

    rig.apply("seldom.yaml", access_key("seldom", grants=GRANTS))
    assert rig.env("seldom")["ACCESS_KEY"] == second["ACCESS_KEY"]
    refused = cooper("key", "open", "seldom", "--identity", str(file), "--data", str(rig.data))
    assert "delivered in a Secret" in refused.stderr
    os.unlink(file)
    missing = cooper("key", "open", "seldom", "--identity", str(file), "--data", str(rig.data))
    assert (missing.returncode, "cannot be read" in missing.stderr) == (1, True)
