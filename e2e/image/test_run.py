"""The image in Docker: without rights, without anything to write to but the data."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from clients.aws import values
from e2e.image.container import Container, once, serving, volume
from e2e.kind.steps import StepFailed
from support.rig import eventually, s3_client

ROOT = Path(__file__).parents[2]
_SECONDS = 5.0  # of this machine at its busiest; 0.4 when it is idle


def test_version_and_help_without_rights_and_network(image: str) -> None:
    began = time.monotonic()
    version = once(image, "--version")
    took = time.monotonic() - began
    print(f"docker run … --version: {took:.2f} s")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("cooper, version ")
    assert took < _SECONDS
    assert "operator" in once(image, "--help").stdout


def test_the_native_module_is_used(image: str) -> None:
    program = "from cooper_gateway.native import kind; print(kind())"
    done = once(image, "-c", program, options=["--entrypoint=python"])
    assert (done.stdout, done.stderr) == ("native\n", "")


def test_any_user_will_do(image: str) -> None:
    done = once(image, "operator", "--help", options=["--user=1000650000:0"])
    assert done.returncode == 0, done.stderr


def test_every_module_can_be_imported(image: str) -> None:
    """Among them those that commands import when they need them."""
    program = """
import importlib, pkgutil
for package in ("cooper_crds", "cooper_operator", "cooper_gateway", "cooper_cli"):
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, package + "."):
        print(importlib.import_module(module.name).__name__)
"""
    done = once(image, "-c", program, options=["--entrypoint=python"])
    assert done.returncode == 0, done.stderr
    assert "cooper_gateway.records.kubernetes_api" in done.stdout.splitlines()


def test_the_program_is_no_root_and_has_no_capabilities(image: str) -> None:
    program = "import os; print(os.getuid(), os.getgid(), *open('/proc/self/status'))"
    said = once(image, "-c", program, options=["--entrypoint=python"]).stdout
    assert said.startswith("65532 65532 ")
    assert "CapEff:\t0000000000000000\n" in said


def test_without_a_place_for_data_it_says_what_is_missing(image: str) -> None:
    done = once(image, "gateway", "--region=local", "--records=/")
    assert done.returncode == 1
    assert done.stderr == "Error: the data folder /data/.cooper cannot be made: Read-only file system\n"


@pytest.fixture(scope="module")
def data() -> Iterator[str]:
    with volume() as name:
        yield name


def up(image: str, data: str) -> AbstractContextManager[Container]:
    """`cooper up` on the examples."""
    mounts = [f"--volume={data}:/data", f"--volume={ROOT / 'examples'}:/resources:ro"]
    return serving(image, "up", "/resources", "--host", "0.0.0.0", options=mounts)


def credentials(container: Container) -> dict[str, str]:
    """Those of the example's bucket, once the gateway accepts them."""
    name = "/data/.cooper/credentials/default/photos.env"

    def accepted() -> dict[str, str] | None:
        assert container.running(), container.log()
        try:
            found = values(container.read(name)) | {"ENDPOINT": container.endpoint}
            s3_client(found).head_bucket(Bucket=found["BUCKET"])
        except (StepFailed, BotoCoreError, ClientError):
            return None
        return found

    return eventually("credentials", accepted, seconds=60, pause=0.3)


def test_buckets_are_served_and_their_objects_kept_from_container_to_container(image: str, data: str) -> None:
    with up(image, data) as first:
        key = credentials(first)
        s3_client(key).put_object(Bucket=key["BUCKET"], Key="hello.txt", Body=b"hello")
        assert first.stop() == 0, first.log()
    with up(image, data) as second:
        key = credentials(second)
        assert s3_client(key).get_object(Bucket=key["BUCKET"], Key="hello.txt")["Body"].read() == b"hello"
        assert second.stop() == 0, second.log()
