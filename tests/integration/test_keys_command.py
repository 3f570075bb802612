"""`cooper keys` with a Secret: `fetch` as a Pod runs it, while it cannot have the key, says why, and ends when it is
told to; a key that is added, while others change the Secret, loses none of theirs."""

import asyncio
import base64
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from cooper_crds.kubernetes import KEK_TYPE
from cooper_gateway.crypto import key_file
from cooper_gateway.crypto.key_file import KeyFile
from support.rig import COOPER
from support.scripted_api import ScriptedApi, status

_PATH = "/api/v1/namespaces/cooper/secrets/kek-local"
_WHO = 'User "system:serviceaccount:cooper:gateway" cannot get resource "secrets" in API group "" in the namespace'
_FORBIDDEN = status(403, "Forbidden", f'secrets "kek-local" is forbidden: {_WHO} "cooper"')
_ABSENT = status(404, "NotFound", 'secrets "kek-local" not found')


@asynccontextmanager
async def _waiting(folder: Path, answered: dict[str, object]) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The command, and the first that it tells; the API server answers everything so."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.path == _PATH
        code = answered["code"]
        assert isinstance(code, int)
        return web.json_response(answered, status=code)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with ScriptedApi(folder).serving(app) as api:
        options = ["--secret=kek-local", f"--data={folder / 'data'}", f"--to={folder / 'kek.json'}"]
        command = [*COOPER, "keys", "fetch", *options, "--namespace=cooper", f"--kubeconfig={api.kubeconfig}"]
        process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
        try:
            assert process.stderr is not None
            yield process, (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.mark.parametrize("answered", [_FORBIDDEN, _ABSENT], ids=["forbidden", "absent"])
async def test_told_to_stop_it_stops_and_does_not_say_that_all_is_well(
    tmp_path: Path, answered: dict[str, object]
) -> None:
    async with _waiting(tmp_path, answered) as (process, _):
        await asyncio.sleep(0.5)  # in its pause
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 128 + signal.SIGTERM
        assert time.monotonic() - began < 1.5
        assert process.stderr is not None
        rest = (await process.stderr.read()).decode()
        assert "told to stop; no key was fetched" in rest
        assert "Traceback" not in rest
    assert not (tmp_path / "kek.json").exists()


async def test_who_lacks_a_right_is_named(tmp_path: Path) -> None:
    async with _waiting(tmp_path, _FORBIDDEN) as (_, said):
        assert 'User "system:serviceaccount:cooper:gateway" cannot get resource "secrets"' in said
        assert "Cooper lacks this right: grant it, as the chart's roles do" in said
        assert "operator" not in said


class _Secret:
    """One that somebody else adds a key to, before the first `others` writes of ours."""

    def __init__(self, file: KeyFile, others: int, **changes: object) -> None:
        self.file = file
        self.others = others
        self.changes = changes
        self.version = 7

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.path == _PATH
        if request.method == "GET":
            return web.json_response(self._object())
        assert request.method == "PUT"
        body = await request.json()
        if self.others:
            self.others -= 1
            self.file, self.version = self.file.added(), self.version + 1
        if body["metadata"]["resourceVersion"] != str(self.version):
            return web.json_response(status(409, "Conflict", "the object has been modified"), status=409)
        self.file = key_file.decode(base64.b64decode(body["data"]["kek.json"]), "what was put")
        assert body["data"]["note"] == "eA=="
        return web.json_response(self._object())

    def _object(self) -> dict[str, object]:
        data = {"kek.json": base64.b64encode(key_file.encode(self.file)).decode(), "note": "eA=="}
        meta = {"name": "kek-local", "namespace": "cooper", "resourceVersion": str(self.version)}
        return {"kind": "Secret", "apiVersion": "v1", "type": KEK_TYPE, "metadata": meta, "data": data, **self.changes}


async def _keys(folder: Path, secret: _Secret, *arguments: str) -> tuple[int, str]:
    """Exit status of a command and what it says."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", secret.answer)
    async with ScriptedApi(folder).serving(app) as api:
        options = ["--secret=kek-local", "--namespace=cooper", f"--kubeconfig={api.kubeconfig}", f"--data={folder}"]
        process = await asyncio.create_subprocess_exec(
            *COOPER, "keys", *arguments, *options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, said.decode()


async def test_a_key_is_added_to_what_others_made_of_the_secret_meanwhile(tmp_path: Path) -> None:
    first = KeyFile((b"k" * 32,))
    secret = _Secret(first, others=2)
    code, said = await _keys(tmp_path, secret, "add")
    assert code == 0, said
    assert len(secret.file.keys) == 4
    assert secret.file.keys[-1] == first.keys[0]
    assert f"Key {secret.file.fingerprints[0]} is the newest in Secret cooper/kek-local" in said
    assert not any(key.hex() in said for key in secret.file.keys)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": "Opaque"}, "Secret cooper/kek-local is of type Opaque"),
        ({"data": {}}, "Secret cooper/kek-local holds no key yet"),
        ({"data": {"kek.json": "e30="}}, "Secret cooper/kek-local is not a key-encryption key file, or is damaged"),
    ],
)
async def test_a_secret_that_holds_no_keys_is_told_and_left_alone(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    secret = _Secret(KeyFile((b"k" * 32,)), others=0, **changes)
    code, told = await _keys(tmp_path, secret, "add")
    assert (code, len(secret.file.keys)) == (1, 1)
    assert said in told
    assert "Traceback" not in told
