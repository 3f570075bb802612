"""Where `cooper up` keeps what belongs to it, in one data folder."""

import hashlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Paths below a data folder."""

    data: Path

    @property
    def state(self) -> Path:
        """What an API server would keep: identities, status, records."""
        return self.data / "state"

    @property
    def records(self) -> Path:
        """Where the operator writes records and the gateway reads them."""
        return self.state / "records"

    @property
    def credentials(self) -> Path:
        """Where credentials are delivered, as `<namespace>/<name>.env`."""
        return self.data / "credentials"

    @property
    def kek(self) -> Path:
        """The key-encryption key, unless another place is given."""
        return self.data / "kek.json"

    @property
    def run(self) -> Path:
        """A private folder in memory, the same one for the same data folder."""
        memory = Path("/dev/shm")  # noqa: S108 - tmpfs on Linux: what is here reaches no disk
        root = memory if memory.is_dir() else Path(tempfile.gettempdir())
        digest = hashlib.sha256(os.fsencode(self.data.resolve())).hexdigest()
        return root / f"cooper-{os.getuid()}-{digest[:12]}"


def program(name: str) -> str:
    """How a program is called from any shell in this folder: by its path when it lies in a virtual environment.

    One that is active here need not be active in the other terminal that the lines are pasted into.
    """
    beside = Path(sys.executable).parent / name
    found = shutil.which(name)
    found_anywhere = sys.prefix == sys.base_prefix and found is not None and Path(found).absolute() == beside
    if found_anywhere or not beside.exists():
        return name
    return os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside)


def shown(path: Path) -> str:
    """A path as a person reads it: relative to where they are, when it lies below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
