"""A store that is backed up, changed, backed up again, and restored: a life to be recorded, and what its states hold.

Run as a program under the recorder: FOLDER MARKS SEED SIZE. The store itself lies elsewhere: others look at its states.
"""

import asyncio
import hashlib
import json
import sys
import tempfile
from pathlib import Path

from cooper_gateway.config import GatewayConfig
from cooper_gateway.storage.backup import Backup
from cooper_gateway.storage.backup_manifest import BackupUnusable
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.restoring import restore
from support import power_workload, store_checker
from support.acknowledged import Knowledge
from support.power_states import Looker
from support.power_workload import BUCKETS, MAP_SIZE, Delta, Files, Objects, Parts, Teller, World
from support.store_checker import Seen

_KEY = "6b" * 32


class _Remembers:
    """What the store holds: everything is acknowledged, since nothing goes wrong there."""

    def __init__(self) -> None:
        self.knowledge = Knowledge()

    def tell(self, what: str, lane: str, delta: Delta | None = None) -> None:
        self.knowledge.take(json.dumps([what, lane, delta]))

    def digest(self) -> str:
        held: Seen = {}
        for lane in self.knowledge.lanes.values():
            (state,) = lane.states
            held |= state
        return _digest(held)


def _digest(held: Seen) -> str:
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


def _key_file(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"format": 1, "key": _KEY}))
    return path


async def live(folder: Path, marks: Path, seed: int, size: int) -> None:
    """Twice backed up, once restored."""
    power_workload.small_limits()
    teller = Teller(marks)
    with tempfile.TemporaryDirectory() as elsewhere:
        _key_file(Path(elsewhere, "keys", "kek"))
        told = _Remembers()
        world = World(Path(elsewhere), told, seed)
        layout = Layout(world.committer.config.data_dir)
        lanes = [Objects(world, "objects"), Parts(world, "parts"), Files(world, "files")]
        for _ in range(2):
            await asyncio.gather(*(power_workload.act(lane, size) for lane in lanes))
            await world.store.close()
            teller.tell("begin", "backup", {"backup": told.digest()})
            Backup(layout, MAP_SIZE, folder / "copies" / "of it", lambda: None).run()
            teller.tell("ack", "backup")
            world.store = world._open()
        await world.store.close()
        world.committer.stop()
    teller.tell("begin", "restored", {"restored": told.digest()})
    restore(folder / "copies" / "of it", folder / "again" / "data")
    teller.tell("ack", "restored")


class BackupLooker(Looker):
    """Restores what is there, and reads that."""

    async def contents(self, folder: Path) -> Seen:
        """Digests of what the backup and what the restored store hold."""
        seen: Seen = {}
        tried = folder / "tried"
        try:
            restore(folder / "copies" / "of it", tried)
        except BackupUnusable:
            pass
        else:
            seen["backup"] = await self._read(tried)
        if (folder / "again" / "data").exists():
            seen["restored"] = await self._read(folder / "again" / "data")
        return seen

    async def _read(self, data: Path) -> str:
        key_file = _key_file(self.run / "kek.json")
        config = GatewayConfig("local", str(data), str(self.run), "", str(key_file), map_size=MAP_SIZE)
        keyring, rows = store_checker.open_and_recover(config)
        store_checker.check_tables(config, keyring)
        return _digest(await store_checker.contents(config, keyring, BUCKETS, rows))


def main() -> None:
    """FOLDER MARKS SEED SIZE"""
    folder, marks, seed, size = sys.argv[1:]
    asyncio.run(live(Path(folder), Path(marks), int(seed), int(size)))


if __name__ == "__main__":
    main()
