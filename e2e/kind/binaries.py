"""Every program of the cluster, built static from the Go module proxy, each module pinned with its sums."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from clients import cache
from e2e.kind import versions
from e2e.kind.steps import output, run, step
from support.artefacts import cached

GO: Final = Path(__file__).parent / "go"
_STRIP: Final = "-s -w"
_CNI: Final = "github.com/containernetworking/plugins/plugins"


def binaries() -> Path:
    """The folder with all programs, built when they are not there: about ten minutes on two cores."""
    sources = [Path(__file__), *sorted(path for path in GO.rglob("*") if path.is_file())]
    pins = " ".join(f"{name}={value}" for name, value in sorted(vars(versions).items()) if name.isupper())
    return cached("kind-binaries", sources, _build, salt=pins)


def kind() -> Path:
    """The folder with kind alone, for a machine whose Docker gets kind's own node image."""
    return cached("kind-cli", [], _kind, salt=versions.KIND)


def go() -> str:
    """The Go toolchain: this machine's, else the one that the tests' clients are built with."""
    return shutil.which("go") or str(cache.programs() / "go")


def module(path: str, version: str) -> Path:
    """The source of a module. Raises StepFailed."""
    text = output([go(), "list", "-m", "-f", "{{.Dir}}", f"{path}@{version}"], cwd=Path("/"))
    if not text.strip():
        run("go-mod", [go(), "mod", "download", f"{path}@{version}"], cwd=Path("/"))
        text = output([go(), "list", "-m", "-f", "{{.Dir}}", f"{path}@{version}"], cwd=Path("/"))
    return Path(text.strip())


def _build(folder: Path) -> None:
    table: tuple[Callable[[Path], None], ...] = (
        _kubernetes,
        _etcd,
        _coredns,
        _containerd,
        _cni_plugins,
        _kind,
        _local_path_provisioner,
        _ours,
        _pause,
    )
    for build in table:
        with step(f"building {build.__name__.strip('_')}"):
            build(folder)


def _go_build(source: str, out: Path, *packages: str, flags: str = "", tags: str = "") -> None:
    """Build packages of one of our modules; several packages go into a folder."""
    command = [go(), "build", "-trimpath", "-tags", tags, "-ldflags", f"{_STRIP} {flags}", "-o", out, *packages]
    run("build", command, cwd=GO / source, env={**os.environ, "CGO_ENABLED": "0"})


def _go_install(folder: Path, *packages: str) -> None:
    """Install packages of published modules, each with its version."""
    env = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(folder)}
    run("build", [go(), "install", "-trimpath", "-ldflags", _STRIP, *packages], cwd=Path("/"), env=env)


def _kubernetes(folder: Path) -> None:
    programs = ("apiserver", "controller-manager", "scheduler", "proxy")
    names = [*(f"kube-{name}" for name in programs), "kubelet", "kubeadm", "kubectl"]
    major, minor, _ = versions.KUBERNETES.removeprefix("v").split(".")
    said = {"gitVersion": versions.KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in said.items())
    _go_build("kubernetes", folder, *(f"k8s.io/kubernetes/cmd/{name}" for name in names), flags=flags)


def _etcd(folder: Path) -> None:
    _go_build("etcd", folder / "etcd", "go.etcd.io/etcd/server/v3")


def _coredns(folder: Path) -> None:
    _go_build("coredns", folder / "coredns", ".")


def _containerd(folder: Path) -> None:
    base = "github.com/containerd/containerd/v2"
    for name in ("containerd", "ctr", "containerd-shim-runc-v2"):
        flags = f"-X {base}/version.Version={versions.CONTAINERD}"
        tags = "no_aufs no_zfs no_btrfs no_devmapper"
        _go_build("containerd", folder / name, f"{base}/cmd/{name}", flags=flags, tags=tags)


def _cni_plugins(folder: Path) -> None:
    names = ("ipam/host-local", "main/loopback", "main/ptp", "meta/portmap")
    _go_install(folder, *(f"{_CNI}/{name}@{versions.CNI_PLUGINS}" for name in names))


def _kind(folder: Path) -> None:
    _go_install(folder, f"sigs.k8s.io/kind@{versions.KIND}")


def _local_path_provisioner(folder: Path) -> None:
    _go_install(folder, f"github.com/rancher/local-path-provisioner@{versions.LOCAL_PATH_PROVISIONER}")


def _ours(folder: Path) -> None:
    for name in ("crictl", "cni-agent", "runc-clamp"):
        _go_build(name, folder / name, ".")


def _pause(folder: Path) -> None:
    source = module("k8s.io/kubernetes", versions.KUBERNETES) / "build/pause/linux/pause.c"
    run("build", ["gcc", "-Os", "-static", f"-DVERSION={versions.PAUSE}", "-s", "-o", folder / "pause", source])
