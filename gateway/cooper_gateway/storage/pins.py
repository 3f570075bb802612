"""Which objects of many files are being read: a pinned object's files stay, though it is deleted, and need not be open.

A pin is a shared lock on a small file in the run folder, named after the object; it ends with its process. A worker
pins first and then looks whether the index still has the object. The committer looks for pins once the index has it no
more: whoever pins after that finds it gone.
"""

import fcntl
import os
from pathlib import Path

from cooper_gateway.storage.layout import try_lock


class Pins:
    """The pins of one replica's processes."""

    def __init__(self, run_dir: str) -> None:
        self._folder = Path(run_dir) / "readers"

    def prepare(self) -> None:
        """Make the folder. Raises OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def take(self, object_id: bytes) -> int:
        """Pin an object; returns the descriptor that carries the pin. May wait for an instant. Raises OSError."""
        while True:
            descriptor = os.open(self._file(object_id), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)  # its last reader removed the file while we were waiting for it

    def release(self, object_id: bytes, descriptor: int) -> None:
        """Give a pin up."""
        if try_lock(descriptor):  # nobody else has it
            self._file(object_id).unlink(missing_ok=True)
        os.close(descriptor)

    def held(self, object_id: bytes) -> bool:
        """Whether anybody pins an object. Raises OSError."""
        try:
            descriptor = os.open(self._file(object_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not try_lock(descriptor)
        finally:
            os.close(descriptor)

    def _file(self, object_id: bytes) -> Path:
        return self._folder / object_id.hex()
