"""`cooper check` with a Bucket's credentials, as a Pod that is linked to its Secret."""

import subprocess
from collections.abc import Iterator

import pytest

from clients.aws import clean_env
from support.rig import COOPER, REGION, Rig, bucket


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    rig = Rig(tmp_path_factory.mktemp("check"))
    rig.apply("region.yaml", REGION)
    rig.apply("photos.yaml", bucket("photos"))
    with rig:
        yield rig.env("photos")


def check(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COOPER, "check"], env={**clean_env(), **env}, capture_output=True, text=True, timeout=60)


def test_good_ones_do_what_they_are_for(env: dict[str, str]) -> None:
    done = check(env)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["sent", "fetched", "listed", "deleted"]
    assert env["SECRET_KEY"] not in done.stdout


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"SECRET_KEY": "x" * 40}, "is refused: SignatureDoesNotMatch"),
        ({"BUCKET": "another"}, "is refused: AccessDenied"),
        ({"BUCKET": ""}, "the environment lacks BUCKET"),
        ({"ENDPOINT": "http://127.0.0.1:1"}, "http://127.0.0.1:1 cannot be reached"),
    ],
)
def test_what_is_wrong_is_said(env: dict[str, str], wrong: dict[str, str], said: str) -> None:
    done = check(env | wrong)
    assert done.returncode == 1
    assert said in done.stderr
    assert env["SECRET_KEY"] not in done.stderr
