"""First speed figures: signed GET and durable PUT of 4 KiB at 32 connections, on a real `cooper up`.

Prints a table; `--seconds` bounds each load. The generator shares the machine with the gateway, so a figure says what
the two together reach; ratios against peers come from the same generator in the same run.
"""

import argparse
import hashlib
import os
import sys
import tempfile
from pathlib import Path

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from load import Result, run
from support.rig import REGION, Rig, bucket

BODY = os.urandom(4096)


def signed(method: str, env: dict[str, str], name: str, body: bytes = b"") -> bytes:
    """One request, header-signed with its payload's digest, as it goes over the wire."""
    url = f"{env['ENDPOINT']}/{env['BUCKET']}/{name}"
    request = AWSRequest(method, url, data=body, headers={"Host": env["ENDPOINT"].removeprefix("http://")})
    request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    S3SigV4Auth(Credentials(env["ACCESS_KEY"], env["SECRET_KEY"]), "s3", env["REGION"]).add_auth(request)
    headers = "".join(f"{key}: {value}\r\n" for key, value in request.headers.items())
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} /{env['BUCKET']}/{name} HTTP/1.1\r\n{headers}{length}\r\n".encode() + body


def row(load: str, result: Result) -> list[str]:
    """A line of the table."""
    p50, p99 = result.percentile(0.5) * 1000, result.percentile(0.99) * 1000
    return [load, f"{result.rate:,.0f}", f"{p50:.2f}", f"{p99:.2f}"]


def main() -> None:
    """Run the loads and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cooper-bench-") as folder:
        rig = Rig(Path(folder), "--workers", str(options.workers))
        rig.apply("all.yaml", REGION, bucket("bench"))
        with rig:
            env = rig.env("bench")
            names = [f"object-{number:04}" for number in range(500)]
            puts = [signed("PUT", env, name, BODY) for name in names]
            gets = [signed("GET", env, name) for name in names]
            run("127.0.0.1", rig.port, puts, options.connections, 2)
            rows = [
                row(
                    "put-4k durable, encrypted", run("127.0.0.1", rig.port, puts, options.connections, options.seconds)
                ),
                row("get-4k", run("127.0.0.1", rig.port, gets, options.connections, options.seconds, BODY)),
            ]
    print(f"{options.connections} connections, {options.workers} workers, {os.cpu_count()} cores")
    print(tabulate(rows, headers=["load", "requests/s", "p50 ms", "p99 ms"]))


if __name__ == "__main__":
    main()
