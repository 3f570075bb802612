"""`cooper store backup`, `verify-backup` and `restore`."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click

from cooper_cli.places import Places, shown
from cooper_cli.progress_bar import bar
from cooper_cli.rate_option import Rate
from cooper_cli.status import quantity
from cooper_cli.store_verify import Unavailable
from cooper_gateway.config import MAP_SIZE
from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.processes.backing_up import held
from cooper_gateway.storage.backup import Backup, Summary
from cooper_gateway.storage.backup_folder import BackupFailed
from cooper_gateway.storage.backup_manifest import BackupUnusable
from cooper_gateway.storage.layout import Layout, StoreUnusable
from cooper_gateway.storage.lease import LeaseLost
from cooper_gateway.storage.restoring import damaged_files
from cooper_gateway.storage.restoring import restore as restore_store

#: What `cooper up` keeps of resources, in the order in which copying is safe: a record that is newer than its resource
#: is put right or removed at the next start, while one that is missing would be made anew, with other credentials.
_STATE = tuple(f"state/{each}" for each in ("objects", "tombstones", "credentials", "credential-files", "records"))
_FAILURES = (BackupFailed, BackupUnusable, KeyringError, LeaseLost, StoreUnusable)

_rate_option = click.option(
    "--rate",
    type=Rate(),
    default=0,
    help="Bytes to copy a second at most, such as 50MiB.  [default: as fast as the disk]",
)
_data_option = click.option(
    "--data", type=click.Path(path_type=Path), default=Path(".cooper"), show_default=True, help="The data folder."
)


@click.command(short_help="Copy everything that is stored, while it is being written to.")
@click.argument("target", type=click.Path(path_type=Path))
@_data_option
@_rate_option
def backup(target: Path, data: Path, rate: int) -> None:
    """Copy everything that is stored into the folder TARGET, as it is at one instant.

    It is run where the gateway runs, which goes on serving, or while there is none. A second backup into the same
    folder copies only what is new, and takes the place of the first. What is copied is encrypted, and the key that
    opens it is not part of the copy.
    """
    places = Places(data.absolute())
    store_dir = str(places.data)
    with (
        _told("the folder holds the backup that it held before, if any, or this one as a whole"),
        held(store_dir, str(places.run)) as check,
        bar("copying") as progress,
    ):
        made = Backup(
            Layout(store_dir), MAP_SIZE, target.absolute(), check, beside=_STATE, rate=rate, progress=progress
        ).run()
    click.echo(_summary(made, target))


def _summary(made: Summary, target: Path) -> str:
    return (
        f"{made.files} files with {quantity(made.size)} are in {shown(target)}; {quantity(made.copied)} were copied.\n"
        f"THE KEY IS NOT: without {_named(made.kek)} nobody can read all of it. Keep a copy of the\n"
        f"key file, and not beside this one: whoever has both can read all. Names, sizes and times are not encrypted."
    )


@click.command(short_help="Make a data folder from a backup.")
@click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_data_option
@click.option("--kek", type=click.Path(path_type=Path), help="Key-encryption key file, to see whether it is the one.")
@_rate_option
def restore(source: Path, data: Path, kek: Path | None, rate: int) -> None:
    """Make the data folder from the backup in SOURCE.

    The data folder must be empty, or not be there. Every file is checked first; where one is damaged nothing is made.
    """
    with _told("nothing was restored"):
        try:
            keks = None if kek is None else Keyring.load(str(kek.absolute())).fingerprints
        except FileNotFoundError:
            raise KeyringError(f"the key file {kek} is not there") from None
        with bar("restoring") as progress:
            head = restore_store(source.absolute(), data, keks=keks, rate=rate, progress=progress)
    click.echo(f"The store is in {shown(data)}. It opens with {_named(head.kek)}: put the key file back.")


@click.command("verify-backup", short_help="Read a backup and say which files are damaged.")
@click.argument("source", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_rate_option
@click.pass_context
def verify_backup(context: click.Context, source: Path, rate: int) -> None:
    """Read the backup in SOURCE and say which of its files are not as they were written.

    Files are compared with their digests, and not decrypted: no key is needed. Nothing is changed. The exit status is 0
    when all is well, 1 when a file is damaged, and 2 when the backup could not be read.
    """
    damaged = 0
    try:
        with _told("what was not read yet may be damaged"), bar("reading") as progress:
            for path, wrong in damaged_files(source.absolute(), rate=rate, progress=progress):
                damaged += 1
                click.echo(f"{shown(path)} {wrong}")
    except click.ClickException as error:
        raise Unavailable(error.message) from None
    if not damaged:
        click.echo(f"Every file in {shown(source)} is as it was written.")
        return
    click.echo(
        f"Damaged files: {damaged}. While the store is there, remove them from the backup, and back up again: they are "
        "copied anew."
    )
    context.exit(1)


def _named(keks: str) -> str:
    """Keys, by their fingerprints with blanks between."""
    one, *others = keks.split() or [""]
    return f"key-encryption key {one}" if not others else f"key-encryption keys {' and '.join((one, *others))}"


@contextmanager
def _told(interrupted: str) -> Generator[None]:
    """Errors are told in a line, and Ctrl-C with what came of it."""
    try:
        yield
    except KeyboardInterrupt:
        raise click.ClickException(f"interrupted: {interrupted}") from None
    except _FAILURES as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'a file'}: {error.strerror}") from error
