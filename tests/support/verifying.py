"""What `cooper store verify` finds in a store, for tests."""

from pathlib import Path

import lmdb

from cooper_gateway.config import GatewayConfig
from cooper_gateway.processes.verification import Access, findings
from cooper_gateway.processes.verifying import Order
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.index import TABLES
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.sealing import Sealer
from cooper_gateway.storage.verification.findings import Damage, Done, Finding, Note


def all_findings(config: GatewayConfig, only: list[bytes] | None = None, rate: int = 0) -> list[Finding]:
    """Everything that is told, by a process of its own, as ever."""
    order = Order(config.data_dir, config.run_dir, config.kek_file, config.map_size, rate, only)
    told = list(findings(order, Access(config.run_dir)))
    assert isinstance(told[-1], Done), told
    return told


def damage_in(config: GatewayConfig, only: list[bytes] | None = None) -> list[Damage]:
    return [each for each in all_findings(config, only) if isinstance(each, Damage)]


def assert_sound(config: GatewayConfig) -> None:
    """Nothing is damaged, lost or left over, and all of that was looked at."""
    told = all_findings(config)
    assert [each for each in told if isinstance(each, (Damage, Note))] == []


class OpenedIndex:
    """The index of a store that nobody has open, to be tampered with."""

    def __init__(self, config: GatewayConfig, sealer: Sealer | None = None) -> None:
        self.keys = None if sealer is None else BucketKeys(Layout(config.data_dir), sealer)
        self.env = lmdb.open(str(Path(config.data_dir, "index")), max_dbs=len(TABLES), map_size=1 << 30)
        self.tables = {name: self.env.open_db(name.encode(), create=False) for name in TABLES}

    def __enter__(self) -> lmdb.Transaction:
        self.txn = self.env.begin(write=True)
        return self.txn

    def __exit__(self, *_: object) -> None:
        self.txn.commit()
        self.env.close()

    def items(self, name: str) -> list[tuple[bytes, bytes]]:
        with self.txn.cursor(self.tables[name]) as cursor:
            return [(bytes(key), bytes(value)) for key, value in cursor]
