"""Which peers are measured, by version. Those of Go are pinned with their sums in their folders' go.mod and go.sum."""

from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
VERSITYGW: Final = "v1.8.0"
# MinIO's releases have no versions that Go knows: this is the newest that there is, by time and commit.
MINIO: Final = "v0.0.0-20260212201848-7aac2a2c5b7c"
GARAGE: Final = "2.5.0"
NGINX: Final = "1.22.1-9+deb12u11"  # Debian 12


def required(folder: str, module: str) -> str:
    """The version of a module that the go.mod of a peer's folder names."""
    for line in (HERE / folder / "go.mod").read_text().splitlines():
        words = line.removeprefix("require ").split()
        if words[:1] == [module]:
            return words[1]
    raise LookupError(f"{folder}/go.mod does not name {module}")
