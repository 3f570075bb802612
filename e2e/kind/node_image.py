"""The node image, made once and kept as an archive: a Docker whose images are lost gets it back in seconds."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from e2e.kind import versions
from e2e.kind.binaries import binaries, module
from e2e.kind.host import start_docker
from e2e.kind.steps import run, step
from support.artefacts import cached, root

_SCRIPT: Final = Path(__file__).with_name("node_image.sh")
_ARCHIVE: Final = "image.tar"


def node_image() -> tuple[str, Path]:
    """The image's name, known to Docker, and the folder with the cluster's programs. Starts Docker."""
    scratch = root() / "kind-scratch"
    programs = _programs_beside_rootfs(scratch)
    start_docker(programs / "runc-clamp")
    folder = cached("kind-image", [_SCRIPT], lambda folder: _make(folder, programs, scratch), salt=programs.name)
    name = f"{versions.NODE_IMAGE}-{folder.name.rpartition('-')[2]}"
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode:
        with step("loading the node image"):
            run("image", ["docker", "load", "-i", folder / _ARCHIVE])
            run("image", ["docker", "tag", versions.NODE_IMAGE, name])
    return name, programs


def _programs_beside_rootfs(scratch: Path) -> Path:
    """The programs; the root file system is fetched beside their making, since that waits for the network."""
    if list(root().glob("kind-image-*/complete")):
        return binaries()
    with ThreadPoolExecutor(1) as beside:
        rootfs = beside.submit(_rootfs, scratch)
        programs = binaries()
        rootfs.result()
    return programs


def _rootfs(scratch: Path) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    with step("making the node's root file system"):
        run("rootfs", [_SCRIPT, "rootfs"], env=_environment(scratch))
    (scratch / "rootfs-complete").touch()


def _make(folder: Path, programs: Path, scratch: Path) -> None:
    if not (scratch / "rootfs-complete").exists():
        _rootfs(scratch)
    with step("making the node image"):
        source = module("sigs.k8s.io/kind", versions.KIND)
        env = {**_environment(scratch), "BIN": str(programs), "KIND_SOURCE": str(source)}
        run("image", [_SCRIPT, "image"], env=env)
        run("image", ["docker", "save", "-o", folder / _ARCHIVE, versions.NODE_IMAGE])
    shutil.rmtree(scratch)


def _environment(scratch: Path) -> dict[str, str]:
    pins = {name: value for name, value in vars(versions).items() if name.isupper()}
    return {**os.environ, **pins, "WORK": str(scratch)}
