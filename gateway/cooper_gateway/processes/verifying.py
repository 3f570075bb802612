"""The process that verifies a store. It is one of its own: what a damaged index does to whoever reads it is a signal,
at worst, which the process that started it tells as damage.
"""

import os
import sys
import threading
import time
from typing import Final

import lmdb
import msgspec
from setproctitle import setproctitle

from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.processes.child import watch_life_line
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.index import open_readonly
from cooper_gateway.storage.layout import Layout, StoreUnusable
from cooper_gateway.storage.pins import Pins
from cooper_gateway.storage.verification.findings import Damage, Done, Failed, Finding, Progress, encode
from cooper_gateway.storage.verification.pace import Pace
from cooper_gateway.storage.verification.reading_back import Place
from cooper_gateway.storage.verification.verifier import Verifier

#: What is served comes first.
_NICENESS: Final = 10
_BETWEEN_PROGRESS: Final = 0.2  # seconds
_LONGEST_LINE: Final = 16 << 20


class Order(msgspec.Struct, frozen=True):
    """What to verify: one line of JSON on standard input."""

    data_dir: str
    run_dir: str
    kek_file: str
    map_size: int
    rate: int  # bytes a second; 0: as fast as can be
    only: list[bytes] | None = None  # data ids; None: everything
    begin: bytes = b""  # the first bucket
    skipped: list[tuple[str, str]] = []  # what ended processes before this one


class _Teller:
    """Writes findings to standard output. Progress is told now and then, everything else at once."""

    def __init__(self, output: int) -> None:
        self._output = output
        self._entries = self._size = 0
        self._told_at = 0.0

    def tell(self, finding: Finding) -> None:
        """Write it."""
        if isinstance(finding, Progress):
            self._entries += finding.entries
            self._size += finding.size
            if time.monotonic() - self._told_at >= _BETWEEN_PROGRESS:
                self.flush()
            return
        if not isinstance(finding, Damage):
            self.flush()
        self._write(finding)

    def flush(self) -> None:
        """Write what was read since the last time."""
        if self._entries or self._size:
            self._write(Progress(self._entries, self._size))
        self._entries = self._size = 0
        self._told_at = time.monotonic()

    def _write(self, finding: Finding) -> None:
        data = encode(finding) + b"\n"
        while data:
            data = data[os.write(self._output, data) :]


def verify() -> int:
    """Do as the order on standard input says. Returns the process's exit status."""
    output = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not be taken for a finding
    setproctitle("cooper store verify")
    try:
        order = msgspec.json.decode(_read_line(), type=Order)
    except (msgspec.MsgspecError, ValueError):
        sys.stderr.write("cooper gateway: standard input has no order: `cooper store verify` starts this\n")
        return 2
    threading.Thread(target=watch_life_line, name="life line", daemon=True).start()
    os.nice(_NICENESS)
    teller = _Teller(output)
    try:
        _verify(order, teller)
    except BrokenPipeError:
        return 1  # nobody listens any more
    except (KeyringError, StoreUnusable, OSError) as error:
        teller.tell(Failed(str(error)))
    return 0


def _verify(order: Order, teller: _Teller) -> None:
    """Raises KeyringError, StoreUnusable, OSError."""
    try:
        keyring = Keyring.load(order.kek_file)
    except FileNotFoundError:
        raise KeyringError(
            f"the key-encryption key {order.kek_file} is missing: name its file with --kek, as it is for the gateway"
        ) from None
    layout = Layout(order.data_dir)
    try:
        index = open_readonly(layout, order.map_size)
    except lmdb.Error as error:
        teller.tell(Damage("IndexUnreadable", f"it cannot be opened: {error}"))
        teller.tell(Done())
        return
    if index is None:
        raise StoreUnusable(f"{layout.root} holds no store: name the data folder; a backup is restored first")
    with index.read() as txn:
        keyring.check_fingerprint(index.keks(txn))
    pins = Pins(order.run_dir)
    pins.prepare()
    place = Place(layout, index, keyring, pins, Pace(order.rate))
    verifier = Verifier(place, BucketKeys(layout, keyring), teller.tell, frozenset(order.skipped))
    verifier.run(order.only, order.begin)
    teller.tell(Done())


def _read_line() -> bytes:
    """A line of standard input, and nothing beyond it: the end of the input is that of whoever started this."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(0, 65536)
        if not piece or len(line) > _LONGEST_LINE:
            raise ValueError
        line += piece
    return bytes(line)
