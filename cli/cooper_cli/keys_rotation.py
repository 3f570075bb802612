"""`cooper keys status`, `add`, `rewrap` and `remove`: another key-encryption key for a store that has one."""

import functools
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from cooper_cli.cluster_options import kubeconfig_option, namespace_option, records_namespace
from cooper_cli.key_places import InFile, InSecret, KeyPlace
from cooper_cli.output import output_option, rendered
from cooper_cli.places import Places
from cooper_cli.progress_bar import bar
from cooper_gateway.crypto.key_file import KeyFile
from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.processes.mirroring import MIRROR_FILE
from cooper_gateway.processes.rotation import (
    DAMAGED,
    Need,
    RewrapFailed,
    committing,
    needs,
    needs_of_records,
    pending,
)
from cooper_gateway.processes.rotation import rewrap as rewrap_all
from cooper_gateway.processes.verification import Access, CannotVerify, access
from cooper_gateway.shredding import SyncFailed
from cooper_gateway.storage.layout import Layout, StoreUnusable
from cooper_operator.cluster.record_files import reseal

_MIRROR_SECONDS: Final = 20.0
_PAUSE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Where:
    """The store, and where its keys are."""

    places: Places
    kek_file: Path
    keys: KeyPlace
    namespace: str
    records_option: Path | None

    @property
    def records(self) -> Path | None:
        """The folder of records; None where they are a cluster's, whose secrets are sealed in the mirror alone. Raises
        KeyringError where none are found: then it cannot be told what needs a key."""
        if self.records_option is not None:
            if not self.records_option.is_dir():
                raise KeyringError(f"the records folder {self.records_option} is not there: name the gateway's")
            return self.records_option
        if self.places.records.is_dir():
            return self.places.records
        if isinstance(self.keys, InSecret) or (self.places.data / MIRROR_FILE).exists():
            return None
        raise KeyringError(
            f"there are no records in {self.places.records}, and their secrets may need a key: name the folder of the "
            "gateway's records with --records"
        )

    @property
    def layout(self) -> Layout:
        """Of the store."""
        return Layout(str(self.places.data))

    def needs(self, file: KeyFile, look: Callable[..., dict[str, Need]] = needs) -> dict[str, Need]:
        """What needs which of these keys. Raises KeyringError, StoreUnusable."""
        return look(self.layout, self.records, self.namespace, Keyring.of(file))


def _located(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options that say where the store and its keys are."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        data: Path,
        kek: Path | None,
        secret: str | None,
        records: Path | None,
        namespace: str | None,
        kubeconfig: Path | None,
        **others: Any,
    ) -> None:
        places, of_records = Places(data.absolute()), records_namespace(namespace, kubeconfig)
        kek_file = (kek or places.kek).absolute()
        keys = InFile(kek_file) if secret is None else InSecret(secret, of_records, kubeconfig)
        with _told():
            command(Where(places, kek_file, keys, of_records, records), *args, **others)

    options = (
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            default=Path(".cooper"),
            show_default=True,
            help="The data folder.",
        ),
        click.option(
            "--kek", type=click.Path(path_type=Path), help="Key-encryption key file.  [default: DATA/kek.json]"
        ),
        click.option("--secret", help="Name of the Secret that holds the keys, where a cluster keeps them."),
        click.option(
            "--records",
            type=click.Path(path_type=Path),
            help="The folder of the gateway's records, where it is not `cooper up` that writes it.",
        ),
        namespace_option,
        kubeconfig_option,
    )
    for option in reversed(options):
        option(wrapped)
    return wrapped


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except (KeyringError, StoreUnusable, CannotVerify, RewrapFailed, SyncFailed) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'a file'}: {error.strerror}") from error


@click.command(short_help="Show which keys there are, and what needs them.")
@_located
@output_option
def status(where: Where, output: str) -> None:
    """Show which keys there are, by their fingerprints, and what needs them."""
    with access(str(where.places.data), str(where.places.run), "cooper keys status"):
        file = where.keys.read()
        found = where.needs(file)
    click.echo(rendered(output, lambda: _values(file, found), lambda: _table(where, file, found)))


def _values(file: KeyFile, found: dict[str, Need]) -> dict[str, Any]:
    newest, live = file.fingerprints[0], set(file.fingerprints)
    keys = [
        {
            "key": fingerprint,
            "live": fingerprint in live,
            "newest": fingerprint == newest,
            "bucketKeys": need.bucket_keys,
            "secrets": need.secrets,
            "mirror": need.mirror,
            "store": need.store,
            "removable": fingerprint in live and fingerprint != newest and not need and DAMAGED not in found,
        }
        for fingerprint, need in found.items()
    ]
    return {"keys": keys, "removed": list(file.removed)}


def _table(where: Where, file: KeyFile, found: dict[str, Need]) -> str:
    newest, damage = file.fingerprints[0], found.get(DAMAGED)
    lines = [f"Keys in {where.keys.about}, newest first:"]
    for fingerprint in file.fingerprints:
        need = found[fingerprint]
        state = (
            "seals what is new"
            if fingerprint == newest
            else ("is needed" if need else "can be removed" if damage is None else "may be needed")
        )
        lines.append(f"  {fingerprint}  {state}: {need}")
    known = (*file.fingerprints, DAMAGED)
    lost = [f"  {fingerprint}: {need}" for fingerprint, need in found.items() if fingerprint not in known]
    if damage is not None:
        lines.append(f"Damaged: {damage}. `cooper store verify` names what is.")
    if lost:
        lines += ["Not there, and needed:", *lost]
    if pending(found, newest):
        lines.append("Pending: `cooper keys rewrap` moves what needs an older key to the newest.")
    return "\n".join(lines)


@click.command(short_help="Make a new key, which seals from then on.")
@_located
def add(where: Where) -> None:
    """Make a new key, which seals from then on. The others stay, and open what they sealed."""
    file = where.keys.change(KeyFile.added)
    _noted(where, file.fingerprints[0])
    click.echo(
        f"Key {file.fingerprints[0]} is the newest in {where.keys.about}. KEEP A COPY of it, as of the ones before.\n"
        "Start what uses it again, so that it is taken up everywhere; then run `cooper keys rewrap`."
    )


def _noted(where: Where, newest: str) -> None:
    """Have a gateway that runs note in its index that the key is needed, so that a backup says so. One that does not
    run, or does not know the key before it is started again, does so then."""
    data, run = str(where.places.data), str(where.places.run)
    with suppress(CannotVerify, RewrapFailed), access(data, run, "cooper keys add") as reached:
        if reached.link is not None:
            next(rewrap_all(f"{reached.run_dir}/committer.sock", newest), None)


@click.command(short_help="Have the newest key wrap what others do.")
@_located
def rewrap(where: Where) -> None:
    """Have the newest key wrap the key of every bucket. No object is touched.

    It is run where the gateway runs, which goes on serving, or while there is none. Interrupted at any point, it goes
    on where it was when it is run again.
    """
    places, file = where.places, where.keys.read()
    newest = file.fingerprints[0]
    with access(str(places.data), str(places.run), "cooper keys rewrap") as reached:
        if reached.link is None and isinstance(where.keys, InSecret):
            raise RewrapFailed("no gateway runs here: start it, which fetches the keys from the Secret")
        with committing(where.layout, reached, where.kek_file) as path:
            if reached.link is None and where.records == places.records:  # nobody else writes there
                reseal(places.records, Keyring.of(file), Keyring.of(file).only(newest.__eq__))
            most = 1
            with bar("rewrapping") as progress:
                for left in rewrap_all(path, newest):
                    most = max(most, left)
                    progress(most - left, most)
            if left := _left(where, file, reached):
                raise RewrapFailed(
                    f"the bucket keys are done; {'; '.join(f'{need} still need {key}' for key, need in left.items())}. "
                    "Start the gateway, or `cooper up`, again, which seals these anew, and then run this once more"
                )
            for _ in rewrap_all(path, newest, last=True):
                pass
    click.echo(f"Key {newest} wraps all. `cooper keys remove` takes another one away.")


def _left(where: Where, file: KeyFile, reached: Access) -> dict[str, Need]:
    """Which older keys records need. A gateway that was just started writes its mirror when the cluster answers."""
    deadline = time.monotonic() + (0 if reached.link is None else _MIRROR_SECONDS)
    while left := pending(where.needs(file, needs_of_records), file.fingerprints[0]):
        if any(need.secrets for need in left.values()) or time.monotonic() > deadline:
            break
        time.sleep(_PAUSE)
    return left


@click.command(short_help="Take a key away that nothing needs any more.")
@click.argument("fingerprint")
@_located
def remove(where: Where, fingerprint: str) -> None:
    """Take the key FINGERPRINT away. One that anything needs stays.

    What only that key opens can be read by nobody from then on: buckets that were destroyed, also on remains of a disk
    and in backups that were made before, unless a copy of the key is left. Only this store is looked at: where another
    one has the same key file or Secret, rewrap that one first.
    """
    with access(str(where.places.data), str(where.places.run), "cooper keys remove"):

        def without(file: KeyFile) -> KeyFile:
            changed, found = file.without(fingerprint), where.needs(file)
            # Of another store's keys this one needs none, whatever needs them there.
            Keyring.of(file).check_fingerprint(" ".join(each for each, need in found.items() if need.store))
            if damage := found.get(DAMAGED):
                raise KeyringError(
                    f"{damage} cannot be read, and may need key {fingerprint}. A bucket's: `cooper store verify` names "
                    "it; put its file back from a backup, or delete the bucket. A record's: `cooper up` writes it "
                    "again, unless a newer version of Cooper wrote it"
                )
            if need := found[fingerprint]:
                raise KeyringError(f"key {fingerprint} is needed by {need}: run `cooper keys rewrap` first")
            return changed

        where.keys.change(without)
    click.echo(
        f"Key {fingerprint} is gone from {where.keys.about}. Backups that were made with it need a copy of the key: "
        "delete both, and they are final."
    )
