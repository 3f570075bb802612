"""The key-encryption key in a Secret of a real API server is changed, beside a gateway with records of the cluster."""

import base64
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clients.aws import clean_env
from cooper_crds.kubernetes import KEK_KEY, KEK_TYPE
from cooper_gateway.crypto import key_file
from cooper_gateway.crypto.key_file import KeyFile
from e2e.gateway.gate import Gate
from e2e.gateway.records import Namespace, usable_key
from support.gateway_rig import Gateway
from support.rig import COOPER, eventually

SECRET = "kek-local"


class Keys:
    """`cooper keys` for one gateway and the Secret of its namespace."""

    def __init__(self, namespace: Namespace, gateway: Gateway, kubeconfig: Path) -> None:
        self._namespace = namespace
        self.file = gateway.home / "kek" / "kek.json"
        self._options = (f"--secret={SECRET}", f"--namespace={namespace.name}", f"--kubeconfig={kubeconfig}")
        self._data = f"--data={gateway.data}"
        meta = {"name": SECRET}
        namespace.core.create_namespaced_secret(namespace.name, {"metadata": meta, "type": KEK_TYPE})

    def __call__(self, *arguments: str, ok: bool = True) -> str:
        command = [*COOPER, "keys", *arguments, *self._options, self._data]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_env(), timeout=120)
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def fetch(self) -> None:
        self("fetch", f"--to={self.file}")

    def secret(self) -> Any:
        return self._namespace.core.read_namespaced_secret(SECRET, self._namespace.name)

    def held(self) -> KeyFile:
        return key_file.decode(base64.b64decode(self.secret().data[KEK_KEY]), "the Secret")


@pytest.fixture
def keys(namespace: Namespace, gateway: Gateway, kubeconfig: Path) -> Keys:
    made = Keys(namespace, gateway, kubeconfig)
    gateway.options = (*gateway.options, f"--kek={made.file}")
    return made


def test_a_key_is_changed_and_the_old_one_opens_nothing(
    records: Namespace, gateway: Gateway, gate: Gate, keys: Keys
) -> None:
    keys.fetch()
    with gateway:
        eventually("readiness", lambda: gateway.ready)
        s3 = gateway.client(usable_key())
        s3.put_object(Bucket="photos", Key="large", Body=b"x" * 100_000)
        (old,) = keys.held().fingerprints
        keys("add")
        new, kept = keys.held().fingerprints
        assert kept == old
        assert f"knows is {old}, and not {new}: start it again" in keys("rewrap", ok=False)
        assert f"key {old} is needed by 1 bucket key, the mirror of the records" in keys("remove", old, ok=False)
    assert "no gateway runs here: start it" in keys("rewrap", ok=False)
    keys.fetch()
    with gateway:
        eventually("readiness", lambda: gateway.ready)
        s3.put_object(Bucket="photos", Key="small", Body=b"x")
        assert f"Key {new} wraps all" in keys("rewrap")
        found = {each["key"]: each for each in json.loads(keys("status", "--output=json"))["keys"]}
        assert (found[new]["bucketKeys"], found[new]["mirror"], found[old]["removable"]) == (1, True, True)
        keys("remove", old)
        assert (keys.held().fingerprints, keys.held().removed) == ((new,), (old,))
        assert s3.get_object(Bucket="photos", Key="large")["Body"].read() == b"x" * 100_000
    keys.fetch()
    gate.shut()  # what is served now is known from the mirror
    with gateway:
        eventually("an object", lambda: s3.get_object(Bucket="photos", Key="large")["Body"].read() == b"x" * 100_000)
        assert "is not used" not in gateway.log.read_text()


def test_several_that_add_at_a_time_each_add_one(gateway: Gateway, keys: Keys) -> None:
    keys.fetch()
    first = keys.held()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: keys("add"), range(3)))
    assert len(keys.held().keys) == 4
    assert keys.held().keys[-1] == first.keys[0]
    assert keys.secret().type == KEK_TYPE


def test_while_the_api_is_away_nothing_changes(namespace: Namespace, gateway: Gateway, keys: Keys, gate: Gate) -> None:
    keys.fetch()
    before = keys.held()
    said = keys("status", ok=False)
    assert "holds no store" in said
    gate.shut()
    keys._options = (f"--secret={SECRET}", f"--namespace={namespace.name}", f"--kubeconfig={gate.kubeconfig}")
    assert "cannot be reached" in keys("add", ok=False)
    assert keys.held() == before
