"""The peers and the load generator, by pinned version from the package registries, in the user's cache folder."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.peers import pins
from clients import cache
from support.artefacts import cached

_GENTLY: Final = ("nice", "-n", "15")  # building takes minutes, and the machine may be at work


class Missing(Exception):
    """A program that is needed to build a peer is not on this machine; the message says which."""


def load() -> Path:
    """The load generator."""
    folder = pins.HERE / "load"

    def make(into: Path) -> None:
        _go(folder, into / "load", ".")

    return cached("bench-load", [folder / "main.go", folder / "go.mod"], make) / "load"


def versitygw() -> Path:
    """versitygw, half a minute to two minutes."""
    return _of_module("versitygw", "github.com/versity/versitygw/cmd/versitygw")


def minio() -> Path:
    """MinIO, some minutes."""
    return _of_module("minio", "github.com/minio/minio")


def garage() -> Path:
    """Garage: half an hour on two cores."""

    def make(into: Path) -> None:
        _tell("garage", pins.GARAGE)
        wanted = ["--locked", "--version", pins.GARAGE, "--root", into, "garage"]
        _run([_needed("cargo", "Garage"), "install", "--quiet", *wanted])

    return cached("bench-garage", [], make, salt=pins.GARAGE) / "bin/garage"


def nginx() -> Path:
    """nginx, unpacked from Debian's package without being installed."""

    def make(into: Path) -> None:
        _tell("nginx", pins.NGINX)
        _run([_needed("apt-get", "nginx"), "download", "--quiet", f"nginx={pins.NGINX}"], cwd=into)
        for package in into.glob("*.deb"):
            _run([_needed("dpkg-deb", "nginx"), "--extract", package, into])

    return cached("bench-nginx", [], make, salt=pins.NGINX) / "usr/sbin/nginx"


def of(server: str) -> None:
    """Have what a server is made of. Raises Missing, and CalledProcessError where it could not be built."""
    makes = {"versitygw": versitygw, "minio": minio, "garage": garage, "nginx": nginx}
    make = makes.get(server.partition("-")[0])
    if make:
        make()


def _of_module(name: str, package: str) -> Path:
    folder = pins.HERE / name

    def make(into: Path) -> None:
        _tell(name, "")
        _go(folder, into / name, package)

    return cached(f"bench-{name}", [folder / "go.mod", folder / "go.sum"], make) / name


def _go(folder: Path, into: Path, package: str) -> None:
    """Build a package with this machine's Go, else with the one that the tests' clients are built with."""
    go = shutil.which("go") or cache.programs() / "go"
    command = [go, "build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o", into, package]
    _run(command, cwd=folder)


def _needed(program: str, peer: str) -> str:
    found = shutil.which(program)
    if not found:
        raise Missing(f"{peer} is built with {program}, which is not on this machine")
    return found


def _run(command: Sequence[str | Path], cwd: Path | None = None) -> None:
    subprocess.run([*_GENTLY, *command], cwd=cwd, check=True, stdout=sys.stderr)


def _tell(name: str, version: str) -> None:
    print(f"building {name} {version} (once)".replace("  ", " "), file=sys.stderr, flush=True)
