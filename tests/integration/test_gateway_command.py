"""`cooper gateway` as a user starts it: on a folder, on an API that answers by a script, and in vain."""

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from cooper_crds.actions import DEFAULT_ACTIONS
from cooper_crds.records import Grant
from support.gateway_rig import Gateway, answer, on_folder
from support.records_fixtures import bucket, key, region
from support.rig import COOPER, eventually
from support.scripted_api import ScriptedApi

KEY = key(grants=(Grant("photos", bucket().data_id, DEFAULT_ACTIONS),))


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ScriptedApi]:
    async with ScriptedApi(tmp_path).serving() as api:
        for record in (region(), bucket(), KEY):
            api.put(record)
        yield api


def test_on_a_folder(tmp_path: Path) -> None:
    with Gateway(tmp_path, *on_folder(tmp_path, region(), bucket(), KEY)) as gateway:
        eventually("readiness", lambda: gateway.ready)
        assert answer(gateway.client(KEY)) == "ok"
        assert gateway.stop() == 0
    assert not (gateway.data / "records-mirror").exists()


@pytest.mark.parametrize("where", ["file", "-"])
def test_an_access_log_tells_of_every_request_and_no_secret(tmp_path: Path, where: str) -> None:
    log = tmp_path / "access.log"
    to = str(log) if where == "file" else "-"
    with Gateway(tmp_path, *on_folder(tmp_path, region(), bucket(), KEY), "--access-log", to) as gateway:
        eventually("readiness", lambda: gateway.ready)
        client = gateway.client(KEY)
        client.put_object(Bucket="photos", Key="a b/\u00e4", Body=b"some bytes", Metadata={"secret": "of-the-owner"})
        client.get_object(Bucket="photos", Key="a b/\u00e4")["Body"].read()
        url = client.generate_presigned_url("get_object", Params={"Bucket": "photos", "Key": "none"})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(url)
        stranger = msgspec.structs.replace(KEY, secret_key="another")
        assert answer(gateway.client(stranger)) == "SignatureDoesNotMatch"
        errors = 'cooper_request_errors_total{code="NoSuchKey",operation="GetObject"} 1.0'
        eventually("the metrics", lambda: errors in gateway.page("/metrics")[1])
        assert gateway.stop() == 0
    text = (log if where == "file" else gateway.log).read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    # Two workers write: neither waits for the other.
    told = {(each["operation"], each["status"], each.get("error")): each for each in lines}
    assert len(lines) == len(told) == 4
    put, got = told["PutObject", 200, None], told["GetObject", 200, None]
    assert put["key"] == "a b/\u00e4"
    assert (got["bucket"], got["sent"], got["address"]) == ("photos", 10, "127.0.0.1")
    assert put["accessKeyId"] == got["accessKeyId"] == told["GetObject", 404, "NoSuchKey"]["accessKeyId"]
    (refused,) = (each for each in lines if each["status"] == 403)
    assert (refused.get("accessKeyId"), refused["claimedAccessKeyId"]) == (None, KEY.access_key_id)
    for secret in (KEY.secret_key, "of-the-owner", "Signature=", "another", "X-Amz"):
        assert secret not in text.replace("SignatureDoesNotMatch", "")


async def test_clocks_that_differ_are_no_readiness(tmp_path: Path, api: ScriptedApi) -> None:
    api.clock_ahead = -90.0
    gateway = Gateway(tmp_path, "--kubeconfig", str(api.kubeconfig), "--namespace", "cooper")

    def act() -> None:
        with gateway:
            eventually("the skew", lambda: "clock is -9" in gateway.page("/readyz")[1])
            assert -92 < gateway.metric("cooper_records_clock_skew_seconds") < -88
            assert answer(gateway.client(KEY)) == "ok"
            assert "clock is -9" in gateway.log.read_text()
            api.clock_ahead = 0.0
            eventually("readiness", lambda: gateway.ready)

    await asyncio.to_thread(act)


async def test_the_environment_names_the_kubeconfig(
    tmp_path: Path, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
    gateway = Gateway(tmp_path, "--namespace", "cooper")

    def act() -> None:
        with gateway:
            eventually("readiness", lambda: gateway.ready)
            assert answer(gateway.client(KEY)) == "ok"

    await asyncio.to_thread(act)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--records", "nowhere"], "is not there: name the one that the operator writes, or kubernetes"),
        (["--kubeconfig", "nowhere"], "the kubeconfig nowhere is not there"),
        (["--kubeconfig", "bad.yaml"], "bad.yaml are malformed"),
        ([], "KUBECONFIG or ~/.kube/config cannot be used"),
    ],
)
def test_what_cannot_be_started_says_why(tmp_path: Path, options: list[str], message: str) -> None:
    (tmp_path / "bad.yaml").write_text("[]")
    command = [*COOPER, "gateway", "--region", "local", "--port", "0", "--metrics-port", "0", *options]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env={"HOME": str(tmp_path), "PATH": ""}
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_only_the_watcher_of_a_cluster_pays_for_its_client() -> None:
    roles = "worker", "committer_process", "supervisor", "watcher"
    imports = "; ".join(f"import cooper_gateway.processes.{role}" for role in roles)
    check = "import sys; sys.exit(bool({'kubernetes', 'aiohttp'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", f"{imports}; {check}"]).returncode == 0
