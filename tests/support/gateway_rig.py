"""A real `cooper gateway` with a data folder of its own."""

import os
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from clients.aws import clean_env
from cooper_crds.records import KeyRecord, Record
from cooper_gateway.crypto.keyring import Keyring
from support.process_tree import children_of
from support.records_fixtures import write_record
from support.rig import COOPER, eventually, free_port, s3_client


def on_folder(home: Path, *records: Record) -> tuple[str, ...]:
    """Options of a gateway that knows these records, from a folder that is made for them."""
    folder, kek = home / "records", home / "kek.json"
    folder.mkdir()
    box = Keyring.load_or_create(str(kek), True)
    for record in records:
        write_record(folder, record, box)
    return ("--records", str(folder), "--kek", str(kek))


class Gateway:
    """One gateway process; it may be started several times on its data. Use as a context manager."""

    def __init__(self, home: Path, *options: str, host: str = "127.0.0.1", region: str = "local") -> None:
        self.home = home
        self.options = options
        self.host = host
        self.region = region
        self.data = home / "data"
        self.log = home / "gateway.log"
        self.port, self.metrics_port = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Gateway":
        """Start it and wait until it listens, which it does whether or not the API answers."""
        ports = ["--host", self.host, "--port", str(self.port), "--metrics-port", str(self.metrics_port)]
        command = [*COOPER, "gateway", "--region", self.region, "--data", str(self.data), *ports, *self.options]
        starts = self._starts()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=clean_env())
        try:
            eventually("the gateway", lambda: self._runs() and self._starts() > starts, seconds=60, pause=0.05)
        except BaseException:
            self.process.kill()
            raise
        return self

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)

    def kill(self) -> None:
        """`kill -9` of the supervisor: its children go by themselves."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def freeze(self) -> None:
        """Halt all its processes: connections are kept and made, and nothing is answered."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        self._signal_all(signal.SIGCONT)

    def __enter__(self) -> "Gateway":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"{'https' if '--tls-cert' in self.options else 'http'}://{self.host}:{self.port}"

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the metrics port."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    @property
    def ready(self) -> bool:
        """Whether it says that it is ready."""
        return self.page("/readyz")[0] == 200

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        for line in self.page("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise AssertionError(f"there is no metric {name}")

    def client(self, key: KeyRecord, **env: str) -> Any:
        """boto3 with that key."""
        env |= {"ENDPOINT": self.endpoint, "REGION": "eu-local-1"}
        return s3_client({**env, "ACCESS_KEY": key.access_key_id, "SECRET_KEY": key.secret_key})

    def _signal_all(self, number: int) -> None:
        assert self.process is not None
        for pid in (self.process.pid, *children_of(self.process.pid)):
            os.kill(pid, number)

    def _runs(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return True

    def _starts(self) -> int:
        """How often it has said that it serves."""
        return self.log.read_text().count("serving S3") if self.log.exists() else 0


def answer(client: Any) -> str:
    """What a listing of the bucket `photos` is answered with: `ok` or an error code."""
    try:
        client.list_objects_v2(Bucket="photos", MaxKeys=1)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"
