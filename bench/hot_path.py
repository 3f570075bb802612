"""What a small request costs one worker, without the network: its own connection, pipeline and store, in this process.

The real protocol is fed signed requests by a transport that swallows answers (and looks at the first one); the records
table, the store and the committer are real. Prints microseconds of this thread's processor time for each request, the
least of several rounds: so a change of a microsecond shows, also on a machine that is busy with other work. `--profile`
prints where the time goes.
"""

import argparse
import asyncio
import cProfile
import hashlib
import os
import pstats
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import uvloop
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from cooper_crds.records import BucketRecord, Grant, KeyRecord, Owner, RegionRecord
from cooper_gateway.crypto.derivation import Deriver
from cooper_gateway.http.connection import S3Connection
from cooper_gateway.http.context import Context
from cooper_gateway.http.pipeline import Pipeline
from cooper_gateway.processes.measurements import Measurements
from cooper_gateway.records.table import RecordsTable, TableWriter, open_for_reading, open_for_writing
from cooper_gateway.storage.embedded import EmbeddedStore
from support.store_process import CommitterProcess, config_in

_HOST: Final = "127.0.0.1:9000"
_KEY: Final = KeyRecord("AKIABENCHBENCHBENCH2", "secret" * 6, Owner("bench", "bench", "1"), 1, region="local")
_BODY: Final = os.urandom(4096)
_AT_ONCE: Final = 32  # requests between two turns of the loop, as so many connections would bring


class Transport:
    """Takes what is written, and keeps nothing but the count and the last answer."""

    def __init__(self) -> None:
        self.written = 0
        self.last = b""

    def write(self, data: bytes) -> None:
        """One answer."""
        self.written += 1
        self.last = data

    def get_extra_info(self, name: str) -> Any:
        """Who is connected."""
        return ("127.0.0.1", 4000) if name == "peername" else None

    def set_write_buffer_limits(self, **_: int) -> None:
        """Nothing is buffered."""

    def get_write_buffer_size(self) -> int:
        """Nothing is buffered."""
        return 0

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    resume_reading = pause_reading
    close = pause_reading
    abort = pause_reading


def signed(method: str, target: str, body: bytes = b"") -> bytes:
    """A request as it goes over the wire, as a Go or Python SDK would send it."""
    request = AWSRequest(method, f"http://{_HOST}{target}", data=body, headers={"Host": _HOST})
    request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    S3SigV4Auth(Credentials(_KEY.access_key_id, _KEY.secret_key), "s3", "eu-local-1").add_auth(request)
    headers = "".join(f"{key}: {value}\r\n" for key, value in request.headers.items())
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {target} HTTP/1.1\r\n{headers}User-Agent: bench/1\r\n{length}\r\n".encode() + body


def records(folder: str) -> RecordsTable:
    """A table with a key, its bucket and the Region."""
    owner, data_id = Owner("bench", "bench", "1"), str(uuid4())
    actions = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket")
    key = KeyRecord(
        _KEY.access_key_id, _KEY.secret_key, owner, 1, grants=(Grant("bench", data_id, actions),), region="local"
    )
    box = Deriver(bytes(32), b"bench")
    env = open_for_writing(folder, 16 << 20)
    bucket = BucketRecord("bench", data_id, owner, region="local")
    TableWriter(env, box).replace_all([key, bucket, RegionRecord("local", "eu-local-1")], time.time())
    env.close()
    return RecordsTable(open_for_reading(folder, 16 << 20), box, "local")


async def turn(connections: list[S3Connection], requests: Iterator[bytes], count: int) -> None:
    """One request on each connection, and their answers waited for."""
    transport: Any = connections[0]._transport
    target = transport.written + count
    for connection in connections[:count]:
        connection.data_received(next(requests))
    while transport.written < target:
        await asyncio.sleep(0)


def forever(requests: list[bytes]) -> Iterator[bytes]:
    """Over and over."""
    while True:
        yield from requests


async def measure(name: str, make: Callable[[], list[S3Connection]], requests: list[bytes], options: Any) -> None:
    """Print what one request of this kind costs."""
    connections = make()
    source = forever(requests)
    turns = max(options.requests // _AT_ONCE, 1)
    await turn(connections, source, _AT_ONCE)
    transport: Any = connections[0]._transport
    assert transport.last.startswith(b"HTTP/1.1 20"), transport.last
    profile = cProfile.Profile(time.thread_time) if options.profile else None
    best = float("inf")
    for _ in range(1 if profile else options.rounds):
        if profile:
            profile.enable()
        begun = time.thread_time()
        for _ in range(turns):
            await turn(connections, source, _AT_ONCE)
        spent = time.thread_time() - begun
        if profile:
            profile.disable()
        best = min(best, spent / (turns * _AT_ONCE))
    print(f"{name}: {best * 1e6:.1f} µs", flush=True)
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(45)


async def main(options: Any) -> None:
    """Run the loads."""
    with tempfile.TemporaryDirectory(prefix="cooper-bench-", dir=options.folder) as folder:
        config = config_in(Path(folder))
        committer = CommitterProcess(config)
        try:
            store = EmbeddedStore(config, committer.keyring, asyncio.get_running_loop())
            table = records(f"{folder}/records")
            pipeline = Pipeline(table.refresh, store, observers=[Measurements().observe])
            context = Context(pipeline, 1, 2)
            transport = Transport()

            def make() -> list[S3Connection]:
                connections = [S3Connection(context) for _ in range(_AT_ONCE)]
                for connection in connections:
                    connection.connection_made(transport)  # type: ignore[arg-type]
                return connections

            names = [f"/bench/object-{number:05}" for number in range(2000)]
            loads = {
                "put-4k": [signed("PUT", name, _BODY) for name in names],
                "get-4k": [signed("GET", name) for name in names],
                "head": [signed("HEAD", name) for name in names],
            }
            for name, requests in loads.items():
                if not options.only or name in options.only or name == "put-4k":
                    await measure(name, make, requests, options)
            await store.close()
        finally:
            committer.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=6400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--profile", action="store_true")
    parser.add_argument(
        "--folder", default=None, help="where to make the store; the system's temporary folder if absent"
    )
    uvloop.run(main(parser.parse_args()))
