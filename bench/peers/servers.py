"""Cooper and its peers, each on this machine's loopback with a data folder of its own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import boto3
from botocore.config import Config

from bench.peers import build
from support.process_tree import memory_of, tree_of
from support.rig import REGION, Rig, bucket, free_port

BUCKET: Final = "bench"
_PATIENCE: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Keys:
    """What requests are signed with."""

    access: str
    secret: str
    region: str


class Server(Protocol):
    """A server under test. `keys` is None where requests are not signed."""

    name: str
    port: int
    bucket: str
    keys: Keys | None

    def start(self) -> None:
        """Start it, with an empty bucket."""
        ...

    def stop(self) -> None:
        """Stop it and all that it began."""
        ...

    @property
    def pid(self) -> int:
        """Its first process."""
        ...


def cpu_of(pid: int) -> float:
    """Seconds of the processors' time that a process and all below it have taken."""
    total = 0
    for each in tree_of(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def memory(server: Server) -> int:
    """Bytes of its processes; of what they share each byte once (PSS)."""
    return memory_of(server.pid)


class Cooper:
    """`cooper up`, with the settings that it has by itself."""

    name = "cooper"

    def __init__(self, folder: Path) -> None:
        self._rig = Rig(folder)
        self.port = self._rig.port
        self.bucket = BUCKET
        self.keys: Keys | None = None

    def start(self) -> None:
        self._rig.apply("all.yaml", REGION, bucket(BUCKET))
        self._rig.start()
        env = self._rig.env(BUCKET)
        self.bucket = env["BUCKET"]
        self.keys = Keys(env["ACCESS_KEY"], env["SECRET_KEY"], env["REGION"])

    def stop(self) -> None:
        self._rig.stop()

    @property
    def pid(self) -> int:
        assert self._rig.process is not None
        return self._rig.process.pid


class Program:
    """A peer that is one program. `command` is made for its folder and port."""

    def __init__(
        self,
        name: str,
        folder: Path,
        command: Callable[[Path, int], Sequence[str | Path]],
        keys: Keys | None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.port = free_port()
        self.bucket = BUCKET
        self.keys = keys
        self._folder = folder
        self._command = command
        self._env = env or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with (self._folder / "log").open("wb") as log:
            command = self._command(self._folder, self.port)
            env = {"PATH": os.environ["PATH"], "HOME": str(self._folder), **self._env}
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        until(f"{self.name} listens", self._listens)
        if self.keys:
            client_of(self).create_bucket(Bucket=self.bucket)

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended: " + (self._folder / "log").read_text()[-2000:])
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)


def until(what: str, holds: Callable[[], bool]) -> None:
    """Wait until it holds. Raises TimeoutError."""
    end = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {_PATIENCE:.0f} s")
        time.sleep(0.05)


def client_of(server: Server, wait: bool = True) -> "boto3.client":  # type: ignore[valid-type]
    """boto3 for what is not measured."""
    assert server.keys is not None
    tries = 20 if wait else 1  # a server may listen before it serves
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.port}",
        region_name=server.keys.region,
        aws_access_key_id=server.keys.access,
        aws_secret_access_key=server.keys.secret,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": tries, "mode": "standard"}),
    )


_PEER_KEYS: Final = Keys("benchbenchbench", "benchbenchbenchbenchbenchbench", "us-east-1")


def versitygw(folder: Path) -> Program:
    """versitygw over a folder, with connections that stay open, which it does not have by itself. Quiet: its lines for
    each request are left out, as Cooper writes none by itself."""
    program = build.versitygw()

    def command(home: Path, port: int) -> Sequence[str | Path]:
        (home / "data").mkdir()
        listens = ["--port", f"127.0.0.1:{port}", "--quiet", "--keep-alive"]
        keys = ["--access", _PEER_KEYS.access, "--secret", _PEER_KEYS.secret, "--region", _PEER_KEYS.region]
        return [program, *listens, *keys, "posix", home / "data"]

    return Program("versitygw", folder, command, _PEER_KEYS)


_NGINX: Final = """
daemon off;
worker_processes auto;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {home}/data;
    }}
}}
"""


def nginx(folder: Path) -> Program:
    """nginx that serves files, without signatures: what the machine allows. Debian's settings, but no access log."""
    program = build.nginx()
    folder.chmod(0o755)

    def command(home: Path, port: int) -> Sequence[str | Path]:
        (home / "data" / BUCKET).mkdir(parents=True)
        (home / "nginx.conf").write_text(_user() + _NGINX.format(home=home, port=port))
        return [program, "-c", home / "nginx.conf", "-p", home, "-e", home / "error.log"]

    return Program("nginx", folder, command, None)


def _user() -> str:
    """As root its workers would become another user, who must read the cache folder."""
    return "user root;" if os.geteuid() == 0 else ""
