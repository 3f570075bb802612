"""A real `cooper up` in a folder of its own, for tests that act as a user does."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from clients.aws import clean_env, read_env

_PORTS = random.SystemRandom()
KEY_REFUSED = frozenset({"KeyAccessRevoked", "InvalidAccessKeyId"})
"""What one is told whose key is over: that it is revoked while its record is there, and soon that there is no such key.

The record is destroyed after the refusal is proven; that a gateway has heard of that too is not waited for.
"""

COOPER = [sys.executable, "-m", "cooper_cli.main"]

REGION = """
apiVersion: cooper.dev/v1alpha1
kind: Region
metadata: {name: local}
spec: {tag: local, default: true}
"""

REGION_THAT_CREATES = """
apiVersion: cooper.dev/v1alpha1
kind: Region
metadata: {name: local}
spec: {tag: local, default: true, features: {createBucket: true}}
"""

REGION_WITH_DOMAINS = """
apiVersion: cooper.dev/v1alpha1
kind: Region
metadata: {name: local}
spec: {tag: local, default: true, domainSuffixes: [{suffix: example.com}]}
"""


def bucket(name: str, **spec: object) -> str:
    """A Bucket manifest."""
    meta = {"name": name, "namespace": "default"}
    return json.dumps({"apiVersion": "cooper.dev/v1alpha1", "kind": "Bucket", "metadata": meta, "spec": spec})


def access_key(name: str, **spec: object) -> str:
    """An AccessKey manifest."""
    meta = {"name": name, "namespace": "default"}
    return json.dumps({"apiVersion": "cooper.dev/v1alpha1", "kind": "AccessKey", "metadata": meta, "spec": spec})


def free_port() -> int:
    """A port that nobody listens on right now.

    Drawn from below those that the system gives to connections on their way out: one of those may be taken at any time,
    and tests that run beside each other are given the same ones.
    """
    while True:
        port = _PORTS.randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def eventually(what: str, check: Callable[[], Any], seconds: float = 20, pause: float = 0.01) -> Any:
    """The first truthy value of `check`; fails naming `what` when it does not come in time."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s"
        time.sleep(pause)
    return value


def error_code(call: Callable[[], object], otherwise: str | None = None) -> str:
    """The S3 error code that a call ends with; `otherwise` where it is allowed, if that may be."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    assert otherwise is not None, "the call was allowed"
    return otherwise


class Rig:
    """One `cooper up`. Use as a context manager."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.resources = home / "resources"
        self.data = home / "data"
        self.resources.mkdir(exist_ok=True)
        self.port, self.metrics_port = free_port(), free_port()
        self.options = options
        self.log = home / "cooper.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Rig":
        ports = ["--port", str(self.port), "--metrics-port", str(self.metrics_port)]
        command = [*COOPER, "up", str(self.resources), "--data", str(self.data), *ports, *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=clean_env())
        eventually("the gateway", self._listens)
        return self

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)

    def kill(self) -> None:
        """`kill -9` of the whole supervisor; its children must go by themselves."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def __enter__(self) -> "Rig":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def apply(self, file: str, *manifests: str) -> None:
        """Put a file into the folder, as an editor does: whole, by rename."""
        temporary = self.resources / f".{file}.new"
        temporary.write_text("\n---\n".join(manifests))
        temporary.rename(self.resources / file)

    def items(self) -> list[dict[str, Any]]:
        """What `cooper status --output json` shows."""
        command = [*COOPER, "status", "--data", str(self.data), "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_env())
        return json.loads(done.stdout)["items"]

    def condition(self, kind: str, name: str, type_: str = "Ready") -> dict[str, Any]:
        """A condition of a resource; empty while it is not there."""
        for item in self.items():
            if (item["kind"], item["metadata"]["name"]) == (kind, name):
                for condition in item.get("status", {}).get("conditions", []):
                    if condition["type"] == type_:
                        return condition
        return {}

    def wait_condition(self, kind: str, name: str, type_: str = "Ready", **expected: str) -> dict[str, Any]:
        """Wait until the condition has the fields expected (status="True" when none are named)."""
        expected = expected or {"status": "True"}

        def matches() -> dict[str, Any] | None:
            found = self.condition(kind, name, type_)
            return found if found and expected.items() <= found.items() else None

        return eventually(f"{kind} {name} {type_} {expected}", matches)

    def credentials_file(self, name: str) -> Path:
        return self.data / "credentials" / "default" / f"{name}.env"

    def env(self, name: str) -> dict[str, str]:
        """The delivered credentials, once they are there."""
        path = self.credentials_file(name)
        eventually(f"credentials {path.name}", path.exists)
        return read_env(path)

    def client(self, name: str, **config: Any) -> Any:
        """boto3 with the delivered credentials."""
        return s3_client(self.env(name), **config)

    def raw(self, data: bytes) -> bytes:
        """Send these bytes; all that the gateway answers until it closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(data)
            answer = b""
            while chunk := sock.recv(65536):
                answer += chunk
        return answer

    def processes(self) -> dict[str, list[int]]:
        """Processes below `cooper up` by role (first words of their titles)."""
        assert self.process is not None
        found: dict[str, list[int]] = {"up": [self.process.pid]}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                title = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                role = next((r for r in ("committer", "watcher", "worker") if r in title), "other")
                found.setdefault(role, []).append(int(path.name))
        return found


def s3_client(env: dict[str, str], **config: Any) -> Any:
    """boto3 with nothing but these values. CA_BUNDLE is a file here."""
    settings = {"s3": {"addressing_style": "path"}, "retries": {"max_attempts": 1}} | config
    return boto3.client(
        "s3",
        endpoint_url=env["ENDPOINT"],
        region_name=env["REGION"],
        aws_access_key_id=env["ACCESS_KEY"],
        aws_secret_access_key=env["SECRET_KEY"],
        verify=env.get("CA_BUNDLE"),
        config=Config(**settings),
    )
