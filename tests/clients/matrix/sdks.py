"""The rows that the SDKs share, and the programs of ours that try them: each has a function for each row.

A program is given their names, and writes a line of JSON for each: its name and, where it failed, the code and the
message of the error, as the SDK has them. The first line has the SDK's version.
"""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from clients import cache, machine
from clients.aws import clean_env
from clients.matrix.rows import Client, Outcome, Place, Ran, Row
from cooper_gateway.protocol.checksums import ALGORITHMS

_SECONDS: Final = 600
ROWS: Final = (
    Row("put, head, get, delete of a key with spaces, `%`, `+`, `&` and letters beyond ASCII", "put_get_delete"),
    Row("get of a range, of the last bytes", "ranges"),
    Row("get of a range that is not there", "no_such_range", "InvalidRange"),
    Row("metadata, content type, cache control", "metadata"),
    Row("list of 25 keys by pages of 10, and with a delimiter", "listing"),
    Row("copy, with old and new metadata", "copying"),
    Row("delete of many at once", "delete_many"),
    Row("upload manager: 12 MiB in parts of 5", "upload_manager"),
    Row("upload manager: a stream of unknown length", "upload_of_a_stream"),
    Row("multipart upload by hand: parts sent and copied, listed, completed; another aborted", "parts_by_hand"),
    Row("presigned put and get", "presigned"),
    *(Row(f"checksum {name}, of a put and of an upload in parts", f"checksum_{name}") for name in ALGORITHMS),
    Row("put with `If-None-Match: *` of a new key, put and get with the right `If-Match`", "conditions_that_hold"),
    Row("put with `If-None-Match: *` of a key that is there", "put_if_none_match", "PreconditionFailed"),
    Row("put with an `If-Match` that is wrong", "put_if_match", "PreconditionFailed"),
    Row("get of a key that is not there", "no_such_key", "NoSuchKey"),
    Row("creating a bucket", "create_bucket", "NotImplemented"),
    Row("tagging", "tagging", "NotImplemented"),
    Row("with a wrong secret", "wrong_secret", "SignatureDoesNotMatch"),
)
_DOWNLOAD_MANAGER: Final = Row("download manager: 12 MiB by ranges, at once", "download_manager")


def _run(command: Callable[[], list[str]], client: Client, place: Place) -> Ran:
    env = clean_env(**{name: place.credentials[name] for name in ("ENDPOINT", "REGION", "ACCESS_KEY", "SECRET_KEY")})
    version, outcomes = _tried(client, client.rows, command(), env)
    wrong = [row for row in client.rows if outcomes[row.what].answer != row.answer]
    if wrong:  # a busy machine: once more
        print(f"{client.name}, once more: {[outcomes[row.what] for row in wrong]}")
        outcomes |= _tried(client, wrong, command(), env)[1]
    return Ran(client.name, version, tuple(outcomes[row.what] for row in client.rows))


def _tried(
    client: Client, rows: Sequence[Row], command: list[str], env: Mapping[str, str]
) -> tuple[str, dict[str, Outcome]]:
    """The SDK's version, and what comes of these rows."""
    names = [row.do for row in rows]
    done = subprocess.run([*command, *names], env=env, capture_output=True, text=True, timeout=_SECONDS)
    first, *told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")] or [{}]
    assert [each["name"] for each in told] == names, f"{client.name}: {done.stdout}{done.stderr}"
    return first["version"], {row.what: _outcome(row, each) for row, each in zip(rows, told, strict=True)}


def _outcome(row: Row, told: Mapping[str, Any]) -> Outcome:
    if "message" not in told:
        return Outcome(row.what)
    output = told.get("output", "")
    return Outcome(row.what, told.get("code") or told["message"], told["message"] if told.get("code") else "", output)


def _client(name: str, command: Callable[[], list[str]], *more: Row) -> Client:
    return Client(name, (*ROWS, *more), partial(_run, command))


CLIENTS: Final = (
    _client("AWS SDK for JavaScript v3", cache.node_matrix),
    _client(
        "AWS SDK for Go v2",
        cache.go_matrix,
        _DOWNLOAD_MANAGER,
        Row("the older upload manager (`feature/s3/manager`)", "older_manager"),
    ),
    _client("AWS SDK for Java v2", machine.java_matrix, _DOWNLOAD_MANAGER),
)
