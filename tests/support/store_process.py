"""A real committer in a process of its own, for tests of the embedded store. Run as a program it is that committer."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cooper_crds.actions import GET_OBJECT
from cooper_gateway.config import GatewayConfig
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage.committer import Committer

#: The access key id that the committer's recheck refuses.
REVOKED = "REVOKED"


#: Data that it lets nobody read.
UNREADABLE = b"nobody reads it!"


#: An object that it lets nobody touch; empty stands for the bucket as a whole.
UNTOUCHED = b"untouched"


def refuse_revoked(access_key_id: str, address: str, action: str, data_id: bytes, names: Sequence[bytes]) -> str | None:
    if access_key_id == REVOKED:
        return "KeyAccessRevoked"
    if UNTOUCHED in names:
        return "AccessDenied"
    return "AccessDenied" if (action, data_id) == (GET_OBJECT, UNREADABLE) else None


def config_in(folder: Path, **changes: object) -> GatewayConfig:
    """A store in a folder. The socket lies in a short path of its own: the kernel allows 107 bytes."""
    run = tempfile.mkdtemp(prefix="cooper-test-")
    atexit.register(shutil.rmtree, run, ignore_errors=True)
    base = GatewayConfig("local", str(folder / "data"), run, "", str(folder / "kek"), map_size=1 << 30)
    return msgspec.structs.replace(base, **changes)


class CommitterProcess:
    """Starts, stops and kills a committer."""

    def __init__(self, config: GatewayConfig, limit_file_size: int = 0, under: Sequence[str] = ()) -> None:
        """`under`: a program, and its options, that the committer's first process is run by."""
        self.config = config
        self._under = under
        self.keyring = Keyring.load_or_create(config.kek_file, not Path(config.data_dir).exists())
        self._limit = limit_file_size
        self.start()

    def start(self) -> None:
        argv = [*self._under, sys.executable, __file__, msgspec.json.encode(self.config).decode(), str(self._limit)]
        self._under = ()
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": _PATHS})
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0


_ROOT = Path(__file__).parents[2]
_PATHS = os.pathsep.join(str(_ROOT / part) for part in ("gateway", "crds", "tests"))


def main() -> None:
    config = msgspec.json.decode(sys.argv[1], type=GatewayConfig)
    if limit := int(sys.argv[2]):
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    committer = Committer(config, Keyring.load(config.kek_file), refuse_revoked)
    committer.stop_on(signal.SIGTERM)
    committer.run(lambda: print("ready", flush=True))


if __name__ == "__main__":
    main()
