"""What a backup is good for: a data folder is made of it, or it is looked through."""

import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from cooper_gateway.storage import backup_folder
from cooper_gateway.storage.backup_folder import BackupFailed
from cooper_gateway.storage.backup_manifest import BackupUnusable, Entry, Head, Manifest
from cooper_gateway.storage.copying import copy, digest_of, folders_of
from cooper_gateway.storage.index import FORMER_FORMAT, STORE_FORMAT
from cooper_gateway.storage.layout import Layout, sync_directory
from cooper_gateway.storage.verification.pace import Pace

Progress = Callable[[int, int], None]


def _quietly(done: int, of: int) -> None:
    """Nobody looks."""


def restore(
    source: Path,
    data_dir: Path,
    *,
    keks: Collection[str] | None = None,
    rate: int = 0,
    progress: Progress = _quietly,
) -> Head:
    """Make the data folder from a backup: whole, or not at all. Raises BackupUnusable, BackupFailed, OSError.

    `keks`: fingerprints of the key-encryption keys that are at hand.
    """
    manifest = Manifest(source)
    head = manifest.head
    if head.store_format.encode() not in (FORMER_FORMAT, STORE_FORMAT):
        raise BackupUnusable(
            f"the backup has store format {head.store_format}, and this program knows up to {STORE_FORMAT.decode()}: "
            "restore it with the version that made it, or a newer one"
        )
    missing = [] if keks is None else [each for each in head.kek.split() if each not in keks]
    if missing:
        raise BackupUnusable(
            f"the backup belongs to key-encryption key {' and '.join(missing)}, but the key file holds "
            f"{' and '.join(keks or ())}: bring the key file as it was when the backup was made"
        )
    if data_dir.exists() and any(data_dir.iterdir()):
        raise BackupFailed(
            f"{data_dir} is not empty: a backup is restored into a new folder only: name one with --data"
        )
    data_dir = data_dir.absolute()
    data_dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = data_dir.with_name(f".{data_dir.name}.restoring")
    draft.mkdir(mode=0o700, exist_ok=True)
    with backup_folder.alone(draft, f"another backup is being restored into {data_dir}"):
        for remains in draft.iterdir():  # of a restore that was killed
            backup_folder.remove(remains)
        try:
            _fill(draft, source, manifest, Pace(rate), progress)
        except BaseException:  # also a full disk, or Ctrl-C: what is half there is of no use, and takes room
            shutil.rmtree(draft, ignore_errors=True)
            raise
        os.rename(draft, data_dir)  # fails when the folder is not empty any more
    sync_directory(data_dir.parent)
    return head


def _fill(draft: Path, source: Path, manifest: Manifest, pace: Pace, progress: Progress) -> None:
    """Copy everything into a data folder that nobody knows yet, durable."""
    layout, own = Layout(str(draft)), f"snapshots/{manifest.head.snapshot}/"
    layout.create()
    for number, entry in enumerate(manifest.entries()):
        target = draft / entry.path.removeprefix(own)
        for folder in reversed([each for each in target.parents if each.is_relative_to(draft)]):
            folder.mkdir(mode=0o700, exist_ok=True)
        _restore_file(source / entry.path, target, entry, pace)
        progress(number + 1, manifest.files)
    for folder in folders_of(draft):
        sync_directory(folder)


def _restore_file(source: Path, target: Path, entry: Entry, pace: Pace) -> None:
    wrong = _wrong(source, entry, lambda descriptor: copy(descriptor, target, pace))
    if wrong:
        raise BackupUnusable(f"{source} {wrong}. Nothing was restored")


def damaged_files(source: Path, *, rate: int = 0, progress: Progress = _quietly) -> Iterator[tuple[Path, str]]:
    """Look through a backup: each file that is not as it was written, and what is wrong with it, in words.

    Raises BackupUnusable where there is no manifest that tells, or another backup has taken its place meanwhile.
    """
    manifest, pace = Manifest(source), Pace(rate)
    for number, entry in enumerate(manifest.entries()):
        path = source / entry.path
        wrong = _wrong(path, entry, lambda descriptor: digest_of(descriptor, pace))
        if wrong:
            if Manifest(source).head != manifest.head:
                raise BackupUnusable(f"another backup was made into {source} meanwhile: look through that one")
            yield path, wrong
        progress(number + 1, manifest.files)


def _wrong(path: Path, entry: Entry, read: Callable[[int], tuple[str, int]]) -> str:
    """What is wrong with a file of a backup, which is read by `read`; empty: nothing. Raises what that raises."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    try:
        status = os.fstat(descriptor)  # what is none of a file's bytes is not read at all: it may have no end
        as_written = stat.S_ISREG(status.st_mode) and status.st_size == entry.size
        found = read(descriptor) if as_written else None
    finally:
        os.close(descriptor)
    return "" if found == (entry.sha256, entry.size) else "is damaged: it is not as it was written"
