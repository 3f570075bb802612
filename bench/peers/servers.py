"""Cooper and its peers, each on this machine's loopback with a data folder of its own."""

import base64
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
from botocore.exceptions import BotoCoreError, ClientError

from bench.peers import build
from support.process_tree import memory_without, tree_of
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
    folder: Path
    md5_etags: bool  # its ETags are MD5 sums of what was put
    copied: bool  # an object is files of which the others can be copies, see `listed`

    def start(self) -> None:
        """Start it, with a bucket, which is empty unless it was there before."""
        ...

    def stop(self) -> None:
        """Stop it and all that it began, halted or not."""
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


def halt(server: Server) -> None:
    """Keep it from running, so that it takes nothing of the machine from those that are measured."""
    for each in tree_of(server.pid):
        os.kill(each, signal.SIGSTOP)


def resume(server: Server) -> None:
    """Let it run again: the first process last, which may look after the others."""
    for each in reversed(tree_of(server.pid)):
        os.kill(each, signal.SIGCONT)


def memory(server: Server) -> int:
    """Bytes of its processes, what they share once; without pages of its data that they have mapped."""
    return memory_without(server.pid, server.folder.resolve())


class Cooper:
    """`cooper up`, with the settings that it has by itself."""

    name = "cooper"
    md5_etags = True
    copied = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rig = Rig(folder)
        self.port = self._rig.port
        self.bucket = BUCKET
        self.keys: Keys | None = None

    def start(self) -> None:
        self._rig.credentials_file(BUCKET).unlink(missing_ok=True)  # those of a start before tell another port
        self._rig.apply("all.yaml", REGION, bucket(BUCKET))
        self._rig.start()
        env = self._rig.env(BUCKET)
        self.bucket = env["BUCKET"]
        self.keys = Keys(env["ACCESS_KEY"], env["SECRET_KEY"], env["REGION"])

    def stop(self) -> None:
        if self._rig.process is not None:
            resume(self)
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
        *,
        copied: bool = False,
        prepare: Callable[["Program"], None] | None = None,
    ) -> None:
        self.name = name
        self.port = free_port()
        self.bucket = BUCKET
        self.keys = keys
        self.folder = folder
        self.md5_etags = True
        self.copied = copied
        self._prepare = prepare or _make_bucket
        self._command = command
        self._env = env or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with (self.folder / "log").open("wb") as log:
            command = self._command(self.folder, self.port)
            env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **self._env}
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        until(f"{self.name} listens", self._listens)
        if self.keys:
            self._prepare(self)

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended: " + (self.folder / "log").read_text()[-2000:])
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        resume(self)
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)


def _make_bucket(program: Program) -> None:
    client = client_of(program)
    until(f"{program.name} answers", lambda: _answers(client))
    if program.bucket not in {each["Name"] for each in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=program.bucket)


def _answers(client: "boto3.client") -> bool:  # type: ignore[valid-type]
    try:
        client.list_buckets()  # type: ignore[attr-defined]
    except (ClientError, BotoCoreError):
        return False
    return True


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
        (home / "data").mkdir(exist_ok=True)
        listens = ["--port", f"127.0.0.1:{port}", "--quiet", "--keep-alive"]
        keys = ["--access", _PEER_KEYS.access, "--secret", _PEER_KEYS.secret, "--region", _PEER_KEYS.region]
        return [program, *listens, *keys, "posix", home / "data"]

    return Program("versitygw", folder, command, _PEER_KEYS, copied=True)


def minio(folder: Path) -> Program:
    """MinIO on one folder, as it comes, without its console."""
    return _minio("minio", folder, {})


def minio_safe(folder: Path) -> Program:
    """MinIO that syncs what it writes and encrypts it with a key of its own."""
    key = base64.b64encode(b"bench" * 6 + b"ab").decode()
    safe = {"MINIO_FS_OSYNC": "on", "MINIO_KMS_SECRET_KEY": f"bench:{key}", "MINIO_KMS_AUTO_ENCRYPTION": "on"}
    made = _minio("minio-safe", folder, safe)
    made.md5_etags = False  # they are of what is stored, which is encrypted
    return made


def _minio(name: str, folder: Path, env: Mapping[str, str]) -> Program:
    program = build.minio()

    def command(home: Path, port: int) -> Sequence[str | Path]:
        return [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", home / "data"]

    root = {"MINIO_ROOT_USER": _PEER_KEYS.access, "MINIO_ROOT_PASSWORD": _PEER_KEYS.secret, "MINIO_BROWSER": "off"}
    return Program(name, folder, command, _PEER_KEYS, {**root, **env}, copied=True)


_GARAGE: Final = """
metadata_dir = "{home}/meta"
data_dir = "{home}/data"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{secret}"
{settings}
[s3_api]
s3_region = "{region}"
api_bind_addr = "127.0.0.1:{port}"
"""
_GARAGE_KEYS: Final = Keys("GK" + "be" * 12, "be" * 32, "us-east-1")


def garage(folder: Path) -> Program:
    """Garage, one node, as it comes."""
    return _garage("garage", folder, "")


def garage_safe(folder: Path) -> Program:
    """Garage that syncs what it writes. It encrypts only with keys that clients send along."""
    return _garage("garage-safe", folder, "metadata_fsync = true\ndata_fsync = true")


def _garage(name: str, folder: Path, settings: str) -> Program:
    program = build.garage()

    def command(home: Path, port: int) -> Sequence[str | Path]:
        told = {"home": home, "port": port, "rpc": free_port(), "region": _GARAGE_KEYS.region, "settings": settings}
        (home / "garage.toml").write_text(_GARAGE.format(secret="be" * 32, **told))
        return [program, "-c", home / "garage.toml", "server"]

    def ask(home: Path, *words: str) -> str:
        asked = [program, "-c", home / "garage.toml", *words]
        return subprocess.run(asked, check=True, text=True, capture_output=True, timeout=_PATIENCE).stdout

    def prepare(made: Program) -> None:
        if (made.folder / "prepared").exists():
            return
        node = ask(made.folder, "node", "id", "-q").partition("@")[0].strip()
        ask(made.folder, "layout", "assign", "-z", "here", "-c", "100G", node)
        ask(made.folder, "layout", "apply", "--version", "1")
        ask(made.folder, "key", "import", "--yes", "-n", "bench", _GARAGE_KEYS.access, _GARAGE_KEYS.secret)
        ask(made.folder, "bucket", "create", BUCKET)
        ask(made.folder, "bucket", "allow", "--read", "--write", "--owner", BUCKET, "--key", "bench")
        (made.folder / "prepared").touch()

    return Program(name, folder, command, _GARAGE_KEYS, {"RUST_LOG": "garage=warn"}, prepare=prepare)


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


Make = Callable[[Path], Server]
#: All that can be measured, in the order of the tables.
SERVERS: Final[dict[str, Make]] = {
    "cooper": Cooper,
    "versitygw": versitygw,
    "minio": minio,
    "minio-safe": minio_safe,
    "garage": garage,
    "garage-safe": garage_safe,
    "nginx": nginx,
}
