"""Reaching a store that is to be copied: by a lease of the committer that runs, or under the lock when none does."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from cooper_gateway.processes.errors import GatewayStartError, StoreLocked
from cooper_gateway.processes.lock import StoreLock
from cooper_gateway.storage.layout import Layout, StoreUnusable
from cooper_gateway.storage.lease import Lease, LeaseLost


@contextmanager
def held(data_dir: str, run_dir: str) -> Generator[Callable[[], None]]:
    """Have nothing removed that is stored now. Gives what raises LeaseLost once that may not be so any more.

    Raises StoreUnusable when there is no store, or its program cannot be reached.
    """
    if not Layout(data_dir).holds_data():
        raise StoreUnusable(f"{data_dir} holds no store: name the data folder of `cooper up` or `cooper gateway`")
    try:
        lock = StoreLock(data_dir, "cooper store backup")
    except StoreLocked as locked:
        try:
            lease = Lease(f"{run_dir}/committer.sock")
        except LeaseLost:
            raise StoreUnusable(
                f"{locked}, or run this where that runs and as the same user (on Kubernetes with `kubectl exec`)"
            ) from None
        try:
            yield lease.check
        finally:
            lease.close()
        return
    except GatewayStartError as error:
        raise StoreUnusable(str(error)) from None
    try:
        yield lambda: None
    finally:
        lock.release()
