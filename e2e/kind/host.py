"""A Docker to run the cluster's node in: the one that runs here, or one of our own.

Ours is Debian's. Its default runtime is `runc-clamp`, which asks of the kernel only what this machine gives: where root
lacks CAP_SYS_RESOURCE, privileged containers are refused otherwise.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from e2e.kind.steps import LOGS, StepFailed, output, run, step
from support.artefacts import root

#: Debian packages: Docker and what the node image is made with.
PACKAGES: Final = (
    "busybox-static",
    "ca-certificates",
    "containerd",
    "curl",
    "debootstrap",
    "docker.io",
    "gcc",
    "iptables",
    "jq",
    "libc6-dev",
    "runc",
)
FREE_GIB: Final = 12  # what builds, images and a cluster need
_HOME: Final = root() / "kind-docker"
_PID: Final = _HOME / "pid"
_POLICY: Final = Path("/usr/sbin/policy-rc.d")


def docker_runs() -> bool:
    """Whether a Docker answers."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True).returncode == 0


def docker_is_ours() -> bool:
    """Whether the Docker that answers is one that `start_docker` started: it runs containers through our wrapper."""
    done = subprocess.run(["docker", "info", "--format", "{{.DefaultRuntime}}"], capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.strip() == "clamp"


def can_install() -> bool:
    """Whether Debian's packages can be installed here."""
    return os.getuid() == 0 and shutil.which("apt-get") is not None


def check_host() -> None:
    """Raise StepFailed unless this is a machine on which everything can be made."""
    if not can_install():
        raise StepFailed(
            "no Docker runs here, and starting one takes root on Debian: start Docker, or run this as root"
        )
    home = root()
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free >> 30
    if free < FREE_GIB:
        raise StepFailed(f"{home} has {free} GiB free and {FREE_GIB} are needed: make room, or set XDG_CACHE_HOME")


def install_packages(wanted: Sequence[str] = PACKAGES) -> None:
    """Install what is missing of these. Raises StepFailed."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"]
    there = subprocess.run([*query, *wanted], capture_output=True, text=True).stdout.split("\n")
    missing = [name for name in wanted if f"{name} installed" not in there]
    if not missing:
        return
    with step("installing " + " ".join(missing)):
        if not _POLICY.exists():  # maintainer scripts would start services, and there may be no init to start them
            _POLICY.write_text("#!/bin/sh\nexit 101\n")
            _POLICY.chmod(0o755)
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("packages", ["apt-get", "update", "-qq"], env=env)
        run("packages", ["apt-get", "install", "-y", "--no-install-recommends", *missing], env=env)


def start_docker(clamp: Path) -> None:
    """Start a dockerd of our own, with `clamp` as its default runtime. Does nothing when it runs."""
    if docker_runs():
        return
    _HOME.mkdir(parents=True, exist_ok=True)
    # One node watches many files; 128 instances are few for several.
    run("sysctl", ["sysctl", "-qw", "fs.inotify.max_user_instances=1024", "fs.inotify.max_user_watches=524288"])
    command = ["dockerd", "--data-root", _HOME / "data", "--storage-driver", "overlay2"]
    command += ["--add-runtime", f"clamp={clamp}", "--default-runtime", "clamp"]
    LOGS.mkdir(parents=True, exist_ok=True)
    with step("starting dockerd"), (LOGS / "dockerd.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
        )
        _PID.write_text(str(process.pid))
        deadline = time.monotonic() + 60
        while not docker_runs():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = (LOGS / "dockerd.log").read_text()[-3000:]
                raise StepFailed(f"dockerd does not start; {LOGS / 'dockerd.log'} ends:\n{tail}")
            time.sleep(0.2)


def stop_docker() -> None:
    """Stop the dockerd that `start_docker` started, and no other."""
    try:
        pid = int(_PID.read_text())
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ValueError):
        return
    if name == "dockerd":
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while _lives(pid):
            if time.monotonic() > deadline:
                raise StepFailed(f"dockerd (process {pid}) does not end")
            time.sleep(0.1)
    _PID.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def thaw(container_label: str) -> None:
    """Let frozen containers of that label die: runc freezes a pod's cgroup for a moment at each container start, and
    with cgroup v1 a node that is killed meanwhile would wait for ever.
    """
    for identity in output(["docker", "ps", "-q", "--no-trunc", "--filter", f"label={container_label}"]).split():
        for state in Path(f"/sys/fs/cgroup/freezer/docker/{identity}").rglob("freezer.state"):
            if state.read_text().strip() != "THAWED":
                state.write_text("THAWED")
