"""`cooper key`: a pair of keys of one's own, and what an AccessKey with `delivery: Once` sealed to it."""

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import yaml

from cooper_cli.cluster_options import kubeconfig_option
from cooper_cli.places import Places
from cooper_crds.access_key import AccessKey
from cooper_crds.conditions import find_condition
from cooper_crds.manifest import ManifestError, parse
from cooper_crds.sealing import SealedError, open_sealed, recipient_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

_LEFT_OUT: Final = "left out, since no environment variable can hold it: {} (--output json shows it)"


@click.group()
def key() -> None:
    """Access keys that are delivered once."""


@key.command(short_help="Make a pair of keys, to have access keys sealed to.")
@click.argument("file", type=click.Path(path_type=Path))
def new(file: Path) -> None:
    """Make a pair of keys: the private one into FILE, the public one is printed.

    Name the public one in spec.once.recipient of an AccessKey with delivery: Once. Whoever has FILE can open what is
    sealed to it; nobody else can, and without it neither can you.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private_key = X25519PrivateKey.generate()
    text = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        # Never over another one: what was sealed to that could not be opened any more.
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(text)
    except FileExistsError:
        raise click.ClickException(f"{file} is there already, and is left alone: name another file") from None
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from error
    click.echo(recipient_of(private_key))


@key.command("open", short_help="Print the credentials that were sealed to a key.")
@click.argument("name")
@click.option("--identity", type=click.Path(path_type=Path), required=True, help="File of `cooper key new`.")
@click.option("--namespace", "-n", default="default", show_default=True, help="Namespace of the AccessKey.")
@click.option(
    "--file",
    "file",
    type=click.File(),
    help="Read the AccessKey from a file, as `kubectl get -o yaml` writes it; -: stdin.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Read it from the data folder of `cooper up`.")
@click.option(
    "--output", "-o", type=click.Choice(["env", "json"]), default="env", show_default=True, help="How to print it."
)
@kubeconfig_option
def open_(
    name: str, identity: Path, namespace: str, file: Any, data: Path | None, output: str, kubeconfig: Path | None
) -> None:
    """Print the credentials of the AccessKey NAME, which was sealed to the key in a file.

    The AccessKey is read from the cluster, unless --file or --data says otherwise.
    """
    private_key = _private_key(identity)
    try:
        if file is not None:
            found = yaml.safe_load(file)
        elif data is not None:
            found = _in_folder(data, namespace, name)
        else:
            found = asyncio.run(_on_cluster(kubeconfig, namespace, name))
        values = opened(found, name, private_key)
    except (SealedError, ManifestError, yaml.YAMLError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(_json(values) if output == "json" else _env(values))


def opened(found: object, name: str, private_key: "X25519PrivateKey") -> dict[str, str]:
    """The values that a resource's status has for the holder of a private key. Raises SealedError, ManifestError."""
    access_key = parse(found, strict=False)
    if not isinstance(access_key, AccessKey) or access_key.metadata.name != name:
        raise SealedError(f"what was read is no AccessKey {name}")
    about, status = f"AccessKey {access_key.metadata.namespace}/{name}", access_key.status
    if access_key.spec.recipient is None:
        raise SealedError(f"{about} is delivered in a Secret: spec.delivery is not Once")
    if status is None or status.once is None:
        ready = find_condition([] if status is None else status.conditions, "Ready")
        why = "it was not looked at yet" if ready is None else ready.message
        raise SealedError(f"{about} holds no key: {why}")
    once, mine = status.once, recipient_of(private_key)
    if once.recipient != mine:
        raise SealedError(f"{about} was sealed to {once.recipient}, and the key in the file is that of {mine}")
    try:
        return open_sealed(private_key, once.access_key_id, once.sealed)
    except SealedError as error:
        raise SealedError(f"{about} cannot be opened: {error}") from None


def _private_key(file: Path) -> "X25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = load_pem_private_key(file.read_bytes(), None)
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, X25519PrivateKey):
        raise click.ClickException(f"{file} holds no private key as `cooper key new` makes it")
    return found


def _in_folder(data: Path, namespace: str, name: str) -> object:
    from cooper_operator.cluster.folder_status import read_status

    state = Places(data).state
    if not state.is_dir():
        raise SealedError(f"{data} has no state of Cooper: name the data folder of `cooper up`")
    for obj in read_status(state).objects:
        meta = obj["metadata"]
        if (obj["kind"], meta.get("namespace"), meta["name"]) == ("AccessKey", namespace, name):
            return obj
    raise SealedError(f"there is no AccessKey {namespace}/{name} in {data}")


async def _on_cluster(kubeconfig: Path | None, namespace: str, name: str) -> object:
    # Imported here: the Kubernetes client takes a second that no other command is to wait for.
    from cooper_operator.cluster.kubernetes_api import KubernetesApi
    from cooper_operator.cluster.kubernetes_connection import Connection, loader_of
    from cooper_operator.cluster.kubernetes_objects import resource_path
    from cooper_operator.cluster.port import ClusterError, Ref

    ref = Ref("AccessKey", namespace, name)
    api = KubernetesApi(Connection(loader_of(kubeconfig)))
    try:
        return await api.get(resource_path(ref), str(ref))
    except ClusterError as error:
        raise SealedError(str(error)) from error
    finally:
        await api.close()


def _json(values: dict[str, str]) -> str:
    return json.dumps(values, indent=2)


def _env(values: dict[str, str]) -> str:
    """Lines of a `.env` file; what those cannot hold is told, and left out."""
    from cooper_operator.cluster.env_text import line
    from cooper_operator.cluster.port import Invalid

    lines: list[str] = []
    for name, value in values.items():
        try:
            lines.append(line(name, value))
        except Invalid:
            click.echo(_LEFT_OUT.format(name), err=True)
    return "\n".join(lines)
