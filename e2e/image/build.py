"""`docker build` of this clone. Without an image registry: on Debian's Python, with wheels that are fetched before."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from e2e.image import base
from e2e.kind import host
from e2e.kind.binaries import binaries
from e2e.kind.steps import run, step
from support.artefacts import cached, digest, locked

ROOT: Final = Path(__file__).parents[2]
_LOCKS: Final = ("requirements-build.lock", "requirements-run.lock")
#: Everything that the image is made from: the names in .dockerignore, wheels apart.
INPUTS: Final = (
    *("Dockerfile", ".dockerignore", "LICENSE", "README.md", "pyproject.toml", "hatch_build.py"),
    *_LOCKS,
    *("crds", "operator", "gateway", "cli"),
)
_NEWEST_GLIBC: Final = 36  # minor version, Debian's: wheels for it and older ones do


def image() -> str:
    """The image of this clone as it is, known to Docker, which is started. Named by its content. Raises StepFailed."""
    with locked("kind"):
        if not host.docker_runs():
            host.check_host()
            host.install_packages()
            host.start_docker(binaries() / "runc-clamp")
        images = base.debian_base() if host.docker_is_ours() else None
        name = _name(images.run if images else "")
        if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode:
            with step(f"building {name}"):
                _build_offline(name, images) if images else build(name, ROOT)
        return name


def _name(base_image: str) -> str:
    """From what the image is made of; the default base has its name in the Dockerfile."""
    files = list(_files())
    paths = " ".join(str(each.relative_to(ROOT)) for each in files)
    return f"cooper:{digest(files, f'{paths} {base_image}')}"


def build(name: str, context: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
    """`docker build` with these options. Raises StepFailed."""
    run("image", ["docker", "build", *options, "--tag", name, context], env={**os.environ, **(environment or {})})


def _build_offline(name: str, images: base.Base) -> None:
    salt = f"{base.PYTHON} {_NEWEST_GLIBC} {platform.machine()}"
    locks = [ROOT / each for each in _LOCKS]
    wheels = cached("image-wheels", locks, lambda folder: download(folder, *locks), salt)
    given = {"BASE_IMAGE": images.run, "BUILD_IMAGE": images.build, "PIP_NO_INDEX": "1"}
    options = [word for argument, value in given.items() for word in ("--build-arg", f"{argument}={value}")]
    with tempfile.TemporaryDirectory() as scratch:
        context = Path(scratch)
        _stage(context)
        shutil.copytree(wheels, context / "wheels", ignore=shutil.ignore_patterns("complete"))
        # Debian's Docker comes without BuildKit's client.
        build(name, context, *options, environment={"DOCKER_BUILDKIT": "0"})


def _files() -> Iterator[Path]:
    """The files of INPUTS."""
    for each in (ROOT / name for name in INPUTS):
        below = sorted(each.rglob("*")) if each.is_dir() else [each]
        # What was built here for this Python is not what the image's build makes.
        yield from (
            path for path in below if path.is_file() and not {"__pycache__", ".so"} & {*path.parts, path.suffix}
        )


def _stage(context: Path) -> None:
    """A copy of INPUTS: the clone itself gets no wheels."""
    for path in _files():
        target = context / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def download(folder: Path, *requirements: Path) -> None:
    """The wheels that requirements name, for the image's Python, which need not be this one."""
    machine = platform.machine()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(_NEWEST_GLIBC, 4, -1)]
    tags += [f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
    target = ["--implementation", "cp", "--python-version", base.PYTHON, *(f"--platform={tag}" for tag in tags)]
    named = [word for each in requirements for word in ("--requirement", str(each))]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    with step("fetching the image's wheels"):
        run("image", [*command, "--require-hashes", "--only-binary=:all:", *target, *named, "--dest", folder])
