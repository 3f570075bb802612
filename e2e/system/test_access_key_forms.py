"""AccessKeys that are bound to networks, and such that are delivered once, on a real API server."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from e2e.system.system import manifest
from e2e.system.tenant import Tenant
from e2e.system.test_bucket_grants import until_answered
from support.rig import KEY_REFUSED, error_code

pytestmark = pytest.mark.asyncio(loop_scope="session")

# A network for documentation (RFC 5737): nobody is there. The first of those is in use on some machines.
HERE, ELSEWHERE = ["0.0.0.0/0", "::/0"], ["198.51.100.0/24"]


def access_key(team: Tenant, **spec: Any) -> dict[str, Any]:
    return manifest("AccessKey", team.namespace, "app", {"grants": [{"bucket": "photos"}], **spec})


async def test_a_key_is_bound_to_networks(team: Tenant) -> None:
    await team.apply(team.bucket("photos"), access_key(team, allowedNetworks=ELSEWHERE))
    await team.until_ready(("AccessKey", "app"))
    clients = list(team.system.clients(await team.credentials("app")))
    for client in clients:
        assert error_code(client.list_buckets) == "NetworkNotAllowed"
        assert error_code(lambda client=client: client.get_object(Bucket=team.s3_name("photos"), Key="a")) == (
            "NetworkNotAllowed"
        )
    for networks, answer in ((HERE, "ok"), (ELSEWHERE, "NetworkNotAllowed")):
        await team.change("accesskey", "app", allowedNetworks=networks)
        seconds = await until_answered(clients, lambda client: client.list_buckets(), answer)
        print(f"\n{answer} everywhere after {seconds * 1000:.0f} ms")
    await team.change("accesskey", "app", state="Revoked")
    await team.until_said("AccessKey", "app", "True", "RefusedEverywhere", type_="Revoked")
    for client in clients:
        assert error_code(client.list_buckets) in KEY_REFUSED, "revoked, wherever it is used from"


async def cooper(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cooper_cli.main",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


async def test_a_key_is_delivered_once(team: Tenant, tmp_path: Path) -> None:
    identity = str(tmp_path / "mine.pem")
    _, recipient, _ = await cooper("key", "new", identity)
    where = ("--kubeconfig", str(team.system.kubeconfig), "--namespace", team.namespace, "--identity", identity)
    code, _, said = await cooper("key", "open", "app", *where)
    assert code == 1
    assert "app" in said

    await team.apply(team.bucket("photos"), access_key(team, delivery="Once", once={"recipient": recipient.strip()}))
    await team.until_ready(("AccessKey", "app"))
    assert await team.secret("app") is None
    code, text, said = await cooper("key", "open", "app", *where, "--output", "json")
    assert code == 0, said
    key = json.loads(text)
    assert key["BUCKET"] == team.s3_name("photos")
    for client in team.system.clients(key):
        assert client.list_objects_v2(Bucket=key["BUCKET"])["KeyCount"] == 0
    found = await team.get("AccessKey", "app")
    assert key["SECRET_KEY"] not in json.dumps(found)

    await team.change("accesskey", "app", state="Revoked")
    await team.until_said("AccessKey", "app", "True", "RefusedEverywhere", type_="Revoked")
    assert "once" not in (await team.get("AccessKey", "app") or {})["status"]
    for client in team.system.clients(key):
        assert error_code(client.list_buckets) in KEY_REFUSED
