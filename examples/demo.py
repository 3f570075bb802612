"""Cooper's main job from end to end, as a user does it: `make demo`.

Starts `cooper up` on an empty folder, applies manifests by putting files there, uses the credentials with boto3 and
aws-cli, is refused where it should be, revokes, is refused with KeyAccessRevoked, and stops everything again.
"""

import filecmp
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

EXAMPLES = Path(__file__).parent
sys.path.insert(0, str(EXAMPLES.parent / "tests"))

from clients import cache  # noqa: E402
from clients.aws import aws_env, clean_env, read_env  # noqa: E402

COOPER = [sys.executable, "-m", "cooper_cli.main"]
MIB = 1 << 20


def say(text: str) -> None:
    """One line of the story."""
    print(f"demo: {text}", flush=True)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what: str, ready: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until `ready`, or fail saying what did not come."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise SystemExit(f"demo: failed: {what} did not come within {seconds:.0f} s")
        time.sleep(0.02)


def client(env: dict[str, str]) -> Any:
    """boto3 with nothing but the delivered values."""
    return boto3.client(
        "s3",
        endpoint_url=env["ENDPOINT"],
        region_name=env["REGION"],
        aws_access_key_id=env["ACCESS_KEY"],
        aws_secret_access_key=env["SECRET_KEY"],
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def refusal(call: Callable[[], object]) -> str:
    """The error code that a call ends with; the demo fails if it is allowed."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    raise SystemExit("demo: failed: a request that must be refused was allowed")


@contextmanager
def cooper_up(home: Path) -> Iterator[Path]:
    """`cooper up` on a folder of its own; yields the folder of manifests."""
    folder = home / "resources"
    folder.mkdir()
    shutil.copy(EXAMPLES / "quickstart.yaml", folder)
    shutil.copy(EXAMPLES / "keys.yaml", folder)
    ports = ["--port", str(free_port()), "--metrics-port", str(free_port())]
    process = subprocess.Popen([*COOPER, "up", str(folder), "--data", str(home / "data"), *ports])
    try:
        yield folder
    finally:
        process.send_signal(signal.SIGINT)
        if process.wait(20) != 0:
            raise SystemExit(f"demo: failed: cooper up ended with {process.returncode}")


def ready(home: Path, kind: str, name: str) -> bool:
    """Whether `cooper status` calls a resource Ready."""
    command = [*COOPER, "status", "--data", str(home / "data"), "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        return False
    for item in json.loads(done.stdout)["items"]:
        if item["kind"] == kind and item["metadata"]["name"] == name:
            conditions = item.get("status", {}).get("conditions", [])
            return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return False


def send_and_fetch(home: Path, env: dict[str, str]) -> None:
    """A small file and one of 100 MiB, with boto3 and with aws-cli."""
    s3, bucket = client(env), env["BUCKET"]
    small, big = home / "small.txt", home / "big.bin"
    small.write_text("hello from cooper\n")
    big.write_bytes(secrets.token_bytes(MIB) * 100)
    aws = str(cache.programs() / "aws")
    for path in (small, big):
        started = time.monotonic()
        s3.upload_file(str(path), bucket, f"boto3/{path.name}")
        s3.download_file(bucket, f"boto3/{path.name}", str(home / "back"))
        identical(path, home / "back", "boto3", started)
        started = time.monotonic()
        key = f"s3://{bucket}/aws-cli/{path.name}"
        subprocess.run([aws, "s3", "cp", "--only-show-errors", path, key], env=aws_env(env, home), check=True)
        subprocess.run([aws, "s3", "cp", "--only-show-errors", key, home / "back"], env=aws_env(env, home), check=True)
        identical(path, home / "back", "aws-cli", started)
    listed = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    say(f"listed {len(listed)} objects: {', '.join(listed)}")


def identical(sent: Path, back: Path, by: str, started: float) -> None:
    """Fail unless both files are the same, to the byte."""
    if not filecmp.cmp(sent, back, shallow=False):
        raise SystemExit(f"demo: failed: {sent.name} came back different through {by}")
    seconds = time.monotonic() - started
    say(f"{by}: {sent.name} ({sent.stat().st_size:,} bytes) sent, fetched, identical ({seconds:.1f} s)")


def share(env: dict[str, str], site: dict[str, str]) -> None:
    """A presigned link to a private object, and the public path of a public bucket."""
    s3 = client(env)
    link = s3.generate_presigned_url("get_object", Params={"Bucket": env["BUCKET"], "Key": "boto3/small.txt"})
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"hello from cooper\n"
    say("presigned link: fetched without credentials")
    client(site).put_object(Bucket=site["BUCKET"], Key="index.html", Body=b"<h1>hi</h1>", ContentType="text/html")
    with urllib.request.urlopen(f"{site['ENDPOINT']}/public/{site['BUCKET']}/index.html") as answer:
        assert answer.read() == b"<h1>hi</h1>"
    say("public path: fetched without signing")


def be_refused(env: dict[str, str], reader: dict[str, str], site: dict[str, str]) -> None:
    """Another team's bucket, and an action outside the key's set."""
    code = refusal(lambda: client(env).list_objects_v2(Bucket=site["BUCKET"]))
    say(f"another bucket: refused with {code}")
    code = refusal(lambda: client(reader).put_object(Bucket=env["BUCKET"], Key="x", Body=b"x"))
    say(f"an action outside the key's set: refused with {code}")


def revoke(folder: Path, env: dict[str, str]) -> None:
    """Revoke API access to the bucket by editing its manifest, and be refused."""
    manifest = folder / "quickstart.yaml"
    text = manifest.read_text()
    assert "  visibility: Private\n" in text
    changed = text.replace("  visibility: Private\n", "  visibility: Private\n  apiAccess: Revoked\n", 1)
    started = time.monotonic()
    manifest.write_text(changed)
    s3, bucket, codes = client(env), env["BUCKET"], list[str]()

    def refused() -> bool:
        try:
            s3.get_object(Bucket=bucket, Key="boto3/small.txt")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
        return bool(codes)

    wait_for("the refusal after revoking", refused)
    if codes != ["KeyAccessRevoked"]:
        raise SystemExit(f"demo: failed: refused with {codes[0]} instead of KeyAccessRevoked")
    say(
        f"revoked: refused with KeyAccessRevoked {(time.monotonic() - started) * 1000:.0f} ms after saving the manifest"
    )


def main() -> None:
    """Run the story."""
    clean = clean_env()
    for name in set(os.environ) - set(clean):
        del os.environ[name]  # the clients get nothing but the delivered credentials
    cache.programs()
    with tempfile.TemporaryDirectory(prefix="cooper-demo-") as folder:
        home = Path(folder)
        with cooper_up(home) as resources:
            for kind, name in (("Bucket", "photos"), ("Bucket", "site"), ("AccessKey", "photos-reader")):
                wait_for(f"{kind} {name} Ready", lambda kind=kind, name=name: ready(home, kind, name))
            credentials = home / "data/credentials/default"
            say(f"applied examples/quickstart.yaml; credentials are in {credentials}")
            photos, site, reader = (read_env(credentials / f"{n}.env") for n in ("photos", "site", "photos-reader"))
            send_and_fetch(home, photos)
            share(photos, site)
            be_refused(photos, reader, site)
            revoke(resources, photos)
    say("stopped everything and removed its folder")
    say("ok")


if __name__ == "__main__":
    main()
