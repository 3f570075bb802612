"""`cooper keys fetch` as a Pod runs it, while it cannot have the key: it says why, and ends when it is told to."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

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
