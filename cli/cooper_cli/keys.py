"""`cooper keys`: the key-encryption keys of a gateway."""

import asyncio
import base64
import logging
import signal
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from cooper_cli.cluster_options import kubeconfig_option, namespace_option, records_namespace
from cooper_cli.key_places import content_of
from cooper_cli.keys_rotation import add, remove, rewrap, status
from cooper_crds.kubernetes import KEK_KEY
from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.processes import logs
from cooper_gateway.storage.layout import Layout

log = logging.getLogger(__name__)

#: Seconds between attempts to read the Secret.
_PAUSE: Final = 2.0
#: What a shell gives a program that a signal ended. Not 0: then a Pod would go on without a key.
_ENDED_BY_SIGNAL: Final = 128


@click.group()
def keys() -> None:
    """Key-encryption keys: what everything stored is encrypted with."""


for command in (status, add, rewrap, remove):
    keys.add_command(command)


@keys.command()
@click.option("--secret", "name", required=True, help="Name of the Secret that holds the key, or is to hold it.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Where the gateway keeps objects.")
@click.option(
    "--to", "target", type=click.Path(path_type=Path), required=True, help="File to write the key to: on a tmpfs."
)
@namespace_option
@kubeconfig_option
def fetch(name: str, data: Path, target: Path, namespace: str | None, kubeconfig: Path | None) -> None:
    """Write the key in a Secret to a file.

    The file is for `cooper gateway --kek`. A Secret that is empty is given a new key if nothing was ever stored in the
    data folder, and only then. One that is not there is waited for: the operator makes it. So is a
    cluster that cannot be reached: this is for a gateway's Pod, while `cooper up` makes its key by itself.
    """
    logs.set_up("keys")
    log.setLevel(logging.INFO)
    # Nothing is done for the first process of a container by default: it would be waited for, and killed.
    signal.signal(signal.SIGTERM, _end)
    try:
        asyncio.run(_fetch(name, records_namespace(namespace, kubeconfig), kubeconfig, data.absolute(), target))
    except (KeyringError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _end(number: int, _: object) -> NoReturn:
    log.info("told to stop; no key was fetched")
    sys.exit(_ENDED_BY_SIGNAL + number)


async def _fetch(name: str, namespace: str, kubeconfig: Path | None, data: Path, target: Path) -> None:
    # Imported here: the Kubernetes client takes a second that no other command is to wait for.
    from cooper_operator.cluster.kubernetes_api import KubernetesApi
    from cooper_operator.cluster.kubernetes_connection import Connection, loader_of
    from cooper_operator.cluster.kubernetes_objects import core_path
    from cooper_operator.cluster.port import ClusterError, Conflict, NotFound

    api = KubernetesApi(Connection(loader_of(kubeconfig)))
    path, about = core_path("secrets", namespace, name), f"Secret {namespace}/{name}"
    told = ""
    try:
        while True:
            try:
                secret = await api.get(path, about)
                filled = filled_in(secret, about, Layout(str(data)), target)
                if filled is None:
                    return
                await api.replace(path, about, filled)
                log.info("a new key-encryption key was made, and put into %s: keep a copy of it", about)
                return
            except Conflict:
                continue  # another gateway was faster
            except NotFound:
                problem = absent(about, Layout(str(data)))
            except ClusterError as error:
                problem = str(error)
            if problem != told:
                told = problem
                log.warning("%s; it is tried again", problem)
            await asyncio.sleep(_PAUSE)
    finally:
        await api.close()


def absent(about: str, store: Layout) -> str:
    """What there is to do about a Secret that is not there, in words."""
    if store.holds_data():
        return (
            f"{about} is not there, and only its key opens the encrypted data in {store.root}: put the Secret back, "
            "from a copy"
        )
    return f"{about} is not there yet: the operator makes it"


def filled_in(secret: dict[str, Any], about: str, store: Layout, target: Path) -> dict[str, Any] | None:
    """Write the key to `target`; where the Secret was empty it is a new one, and the Secret with it is returned.

    Raises KeyringError, which never carries key material, when there is a store and no key that could open it.
    """
    content = content_of(secret, about)
    target.unlink(missing_ok=True)
    if content is not None:
        _write(target, content)
        Keyring.load(str(target))  # what is damaged is told here, and not by the gateway
        return None
    if store.holds_data():
        raise KeyringError(
            f"{about} holds no key, and the store in {store.root} already holds encrypted data that only its own key "
            "opens. Put the key back into the Secret; nothing was created or changed"
        )
    Keyring.load_or_create(str(target), True)
    return {**secret, "data": {KEK_KEY: base64.b64encode(target.read_bytes()).decode()}}


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target.touch(0o600)
    target.write_bytes(content)
