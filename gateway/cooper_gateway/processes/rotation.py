"""Rotation of the key-encryption key: what still needs which key, and having the newest wrap all bucket keys."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import lmdb
import msgspec

from cooper_crds.records import RecordError, load_file
from cooper_gateway.config import MAP_SIZE, GatewayConfig
from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.processes.mirroring import MIRROR_FILE
from cooper_gateway.processes.verification import Access
from cooper_gateway.records.mirror import Mirror, MirrorDamaged
from cooper_gateway.shredding import OLD, SyncFailed
from cooper_gateway.storage import wire
from cooper_gateway.storage.commits import MORE
from cooper_gateway.storage.committer import CommitFailed, Committer
from cooper_gateway.storage.index import open_readonly
from cooper_gateway.storage.layout import Layout, StoreUnusable

#: In the place of a key's fingerprint: of what cannot be told which key it needs.
DAMAGED: Final = "damaged"
_PATIENCE: Final = 120.0  # seconds for the committer to answer
_LOOKS: Final = 3
_PAUSE: Final = 0.2  # seconds between them


class RewrapFailed(Exception):
    """Not all bucket keys were rewrapped: the reason, and what to do. What was done stays done."""


class Need(msgspec.Struct, rename="camel"):
    """What one key-encryption key is needed for."""

    bucket_keys: int = 0
    secrets: int = 0  # of records in files
    mirror: bool = False
    store: bool = False  # the store says that it needs it

    def __bool__(self) -> bool:
        return bool(self.bucket_keys or self.secrets or self.mirror or self.store)

    def __str__(self) -> str:
        parts = (
            _count(self.bucket_keys, "bucket key"),
            _count(self.secrets, "secret"),
            "the mirror of the records" if self.mirror else "",
        )
        return ", ".join(part for part in parts if part) or ("what is noted in the index" if self.store else "nothing")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}" if number else ""


def needs(layout: Layout, records: Path | None, namespace: str, keyring: Keyring) -> dict[str, Need]:
    """What needs which key, by fingerprint; each of the keyring is there. `records` is None where there are none in
    files. Raises KeyringError where the mirror opens with none of them, StoreUnusable.
    """
    found = needs_of_records(layout, records, namespace, keyring)
    unread = sum(not _opens(secret, keyring) for secret in _secrets(records))
    if unread:  # damaged, or written by a newer program
        found[DAMAGED] = Need(secrets=unread)
    for fingerprint, number in _wraps(layout, keyring).items():
        found.setdefault(fingerprint, Need()).bucket_keys = number
    for fingerprint in _noted(layout):
        found.setdefault(fingerprint, Need()).store = True
    return found


def needs_of_records(layout: Layout, records: Path | None, namespace: str, keyring: Keyring) -> dict[str, Need]:
    """The same of what is kept of records alone. Raises KeyringError."""
    found: dict[str, Need] = {}
    secrets = _secrets(records)
    for fingerprint in keyring.fingerprints:
        alone = keyring.only(fingerprint.__eq__)
        found[fingerprint] = Need(
            secrets=sum(_opens(secret, alone) for secret in secrets),
            mirror=_mirror_needs(layout, namespace, keyring, fingerprint),
        )
    return found


def _secrets(records: Path | None) -> list[bytes]:
    """What is in the files of keys' records."""
    found: list[bytes] = []
    for path in () if records is None else sorted(records.glob("key-*.json")):
        with suppress(FileNotFoundError):  # its key was deleted since
            found.append(path.read_bytes())
    return found


def _wraps(layout: Layout, keyring: Keyring) -> Counter[str]:
    """How many files of bucket keys each key wraps, with what a rewrap that was cut short left to be overwritten."""
    wraps: Counter[str] = Counter()
    for path in layout.bucket_keys.glob("*.key*"):
        if path.name.endswith((".key", f".key{OLD}")):
            with suppress(FileNotFoundError):  # destroyed, or rewrapped since
                by = _wrap_of(path, keyring)
                if by != DAMAGED or not path.name.endswith(OLD):  # one that is overwritten already holds no key
                    wraps[by] += 1
    return wraps


def _wrap_of(path: Path, keyring: Keyring) -> str:
    """The key that wraps what is in a file, or DAMAGED. Raises FileNotFoundError."""
    for _ in range(_LOOKS):
        if (by := keyring.wrapped_by(path.read_bytes())) is not None:
            return by
        time.sleep(_PAUSE)  # overwritten, perhaps, and about to be removed
    return DAMAGED


def _noted(layout: Layout) -> list[str]:
    try:
        index = open_readonly(layout, MAP_SIZE)
    except lmdb.Error as error:
        raise StoreUnusable(f"the index {layout.index} cannot be opened: {error}") from error
    if index is None:
        raise StoreUnusable(f"{layout.root} holds no store")
    try:
        with index.read() as txn:
            return index.keks(txn).split()
    finally:
        index.env.close()


def _opens(secret: bytes, keyring: Keyring) -> bool:
    try:
        load_file(secret, keyring)
    except RecordError:
        return False
    return True


def _mirror_needs(layout: Layout, namespace: str, keyring: Keyring, fingerprint: str) -> bool:
    """Whether the mirror of the records opens with this key, and not without it. Raises KeyringError."""
    path = str(layout.root / MIRROR_FILE)

    def opens(keys: Keyring) -> bool:
        try:
            Mirror(path, keys, namespace).load()
        except MirrorDamaged:
            return False
        return True

    if opens(keyring.only(fingerprint.__ne__)):
        return False
    if not opens(keyring):
        raise KeyringError(
            f"{path} opens with none of these keys: name the namespace of its records with --namespace, or start the "
            "gateway, which makes it anew"
        )
    return True


def rewrap(path: str, kek: str, last: bool = False) -> Iterator[int]:
    """Have the committer with this socket wrap all bucket keys by the newest key, which is to be `kek`; yields how many
    are left. `last`: and note that nothing needs another one. Raises RewrapFailed.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as link:
        link.settimeout(_PATIENCE)
        try:
            link.connect(path)
            while True:
                reply = wire.ask(link, wire.Rewrap(1, b"", kek, last))
                if reply is None:
                    raise RewrapFailed("the committer ended: run this again, it goes on where it was")
                if reply.error:
                    raise RewrapFailed(reply.detail)
                if not reply.detail:
                    return
                yield int(reply.detail.removeprefix(MORE) or 0)
        except (OSError, msgspec.MsgspecError) as error:
            raise RewrapFailed(f"the committer at {path} cannot be asked: {error}: run this again") from None


def _refuse(*_: object) -> str:
    """Nobody but this program is to write."""
    return "AccessDenied"


@contextmanager
def committing(layout: Layout, reached: Access, kek_file: Path) -> Generator[str]:
    """The socket of the committer that runs, or of one of our own where none does. Raises KeyringError, StoreUnusable,
    RewrapFailed.
    """
    if reached.link is not None:
        yield f"{reached.run_dir}/committer.sock"
        return
    config = GatewayConfig("", str(layout.root), reached.run_dir, "", str(kek_file))
    committer = Committer(config, Keyring.load(str(kek_file)), _refuse)
    ready, failed = threading.Event(), list[Exception]()

    def run() -> None:
        try:
            committer.run(ready.set)
        except (CommitFailed, StoreUnusable, SyncFailed, OSError, lmdb.Error) as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="committer")
    thread.start()
    ready.wait()
    try:
        if not failed:
            yield config.committer_path
    finally:
        committer.stop()
        thread.join()
        if failed:
            raise RewrapFailed(f"the store failed: {failed[0]}: run this again, it goes on where it was")


def pending(found: dict[str, Need], newest: str) -> dict[str, Need]:
    """The other keys that are still needed."""
    return {each: need for each, need in found.items() if need and each not in (newest, DAMAGED)}
