"""The committer process: the store's committer, with its keys and the records it checks writes against."""

import signal
import threading
import time
from collections.abc import Sequence
from typing import Final

from cooper_gateway.access.authorize import recheck
from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.processes.child import Child
from cooper_gateway.processes.errors import Refusal
from cooper_gateway.processes.measurements import Measurements, MeasurementsFile
from cooper_gateway.records.table import RecordsTable
from cooper_gateway.storage.committer import Committer
from cooper_gateway.storage.layout import Layout, StoreUnusable

_SAVE_SECONDS: Final = 1.0


def commit(child: Child) -> None:
    """Own the store until SIGTERM. Raises Refusal when the store cannot be opened, CommitFailed to be restarted."""
    config = child.handover.config
    records = child.records()
    file = MeasurementsFile(f"{config.run_dir}/metrics", child.handover.label)
    measurements = file.load()
    try:
        # Only over an empty store may a key be made: over another one it would hide that the right one is lost.
        keyring = Keyring.load_or_create(config.kek_file, not Layout(config.data_dir).holds_data())
        committer = Committer(config, keyring, Recheck(records), measurements.counts)
    except (KeyringError, StoreUnusable) as error:
        raise Refusal(str(error)) from None
    committer.stop_on(signal.SIGTERM)
    threading.Thread(target=_keep_saving, args=(file, measurements), name="measurements", daemon=True).start()
    committer.run(child.ready)


def _keep_saving(file: MeasurementsFile, measurements: Measurements) -> None:
    """A thread of its own: the committer's loop has no timers, and sleeps while there is nothing to do."""
    while True:
        file.save(measurements)
        time.sleep(_SAVE_SECONDS)


class Recheck:
    """Asks the records as they are at the instant of a commit whether a write is still allowed."""

    def __init__(self, records: RecordsTable) -> None:
        self._records = records

    def __call__(
        self, access_key_id: str, address: str, action: str, data_id: bytes, names: Sequence[bytes]
    ) -> str | None:
        """None when it is, else the S3 error code. `data_id` names the bucket's data, `names` are its objects'."""
        return recheck(self._records.refresh(), access_key_id, address, action, data_id, names, time.time())
