"""What is in the image, and what is not."""

import json
import re
import subprocess
import tarfile
from pathlib import PurePosixPath
from typing import Any

import pytest

from e2e.image.build import ROOT
from e2e.kind.steps import output

_HOME = "opt/cooper/"
#: Parts of paths: remains of the build, of a clone, and what would be secret.
_NOT_THERE = re.compile(
    r"(^|/)(\.git|\.cache|\.venv|\.ssh|tests/(unit|integration)|kek\.json|kubeconfig)(/|$)"
    r"|^(build|source|wheel|program|tmp/.+)(/|$)|__editable__|\.(whl|env)$|requirements[^/]*\.lock$"
)
_MEGABYTES = 260


@pytest.fixture(scope="module")
def files(image: str) -> dict[str, tarfile.TarInfo]:
    """All that is in it, by path."""
    identity = output(["docker", "create", image]).strip()
    try:
        export = subprocess.Popen(["docker", "export", identity], stdout=subprocess.PIPE)
        with export, tarfile.open(fileobj=export.stdout, mode="r|") as archive:
            return {each.name.removeprefix("./"): each for each in archive}
    finally:
        output(["docker", "rm", identity])


@pytest.fixture(scope="module")
def settings(image: str) -> dict[str, Any]:
    return json.loads(output(["docker", "image", "inspect", image]))[0]


def test_nothing_is_left_of_the_build_and_nothing_is_secret(files: dict[str, tarfile.TarInfo]) -> None:
    assert f"{_HOME}bin/cooper" in files
    assert [path for path in files if _NOT_THERE.search(path)] == []


def test_the_distributions_are_those_of_the_run_time_lock(files: dict[str, tarfile.TarInfo]) -> None:
    found = [re.search(r"site-packages/([^/]+?)-[^-/]+\.dist-info/METADATA$", path) for path in files]
    names = {match[1].replace("_", "-").lower() for match in found if match and match.string.startswith(_HOME)}
    locked = {line.partition("==")[0] for line in (ROOT / "requirements-run.lock").read_text().splitlines()}
    assert names == {"cooper-s3", *(name for name in locked if not name.startswith(" "))}


def test_every_module_has_its_bytecode(files: dict[str, tarfile.TarInfo]) -> None:
    paths = [PurePosixPath(path) for path in files if path.startswith(_HOME)]
    modules = {(path.parent, path.stem) for path in paths if path.suffix == ".py"}
    compiled = {(path.parent.parent, path.stem.partition(".")[0]) for path in paths if path.suffix == ".pyc"}
    assert len(modules) > 1000
    assert compiled == modules


def test_the_program_is_nobodys_to_change_and_the_data_folder_is_the_users(files: dict[str, tarfile.TarInfo]) -> None:
    program = [each for path, each in files.items() if path.startswith(_HOME) and not each.issym()]
    assert [each.name for each in program if each.uid or each.gid or each.mode & 0o022] == []
    assert (files["data"].uid, files["data"].gid) == (65532, 65532)


def test_its_settings(settings: dict[str, Any]) -> None:
    config = settings["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["cooper"]
    assert not config["Cmd"]
    assert not config["Volumes"]
    assert [each for each in config["Env"] if each.startswith("PIP_")] == []


def test_it_is_small(settings: dict[str, Any]) -> None:
    print(f"{settings['Size'] / 1e6:.0f} MB")
    assert settings["Size"] < _MEGABYTES * 1e6
