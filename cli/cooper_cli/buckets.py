"""`cooper buckets`: buckets as records tell of them, for who runs Cooper: no resource tells of what was retained."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click
from tabulate import tabulate

from cooper_cli.cluster_options import kubeconfig_option, namespace_option, records_namespace
from cooper_cli.output import output_option, rendered
from cooper_cli.places import Places
from cooper_crds.records import BucketRecord, Record, RecordError, decode
from cooper_operator.cluster.problems import printable

HEADERS: Final = ("S3 NAME", "REGION", "NAMESPACE", "BUCKET", "KEPT", "NAMESPACE UID")


@click.group()
def buckets() -> None:
    """What the records tell of buckets."""


@buckets.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The data folder of `cooper up`.  [default: none, the cluster is asked]",
)
@output_option
@namespace_option
@kubeconfig_option
def retained(data: Path | None, output: str, namespace: str | None, kubeconfig: Path | None) -> None:
    """List buckets whose resource is gone and whose data stays.

    KEPT is False where the next sweep removes the bucket if it holds nothing. A namespace without a UID is not known:
    only whom `adoptions` of the Region names can take such data over.
    """
    if data is None:
        records = asyncio.run(_of_cluster(records_namespace(namespace, kubeconfig), kubeconfig))
    else:
        records = _of_folder(Places(data))
    found = sorted((each for each in records if each.retained), key=lambda each: each.name)
    click.echo(rendered(output, lambda: _as_values(found), lambda: _as_table(found)))


def _buckets_in(records: Iterable[Record]) -> list[BucketRecord]:
    return [each for each in records if isinstance(each, BucketRecord)]


def _of_folder(places: Places) -> list[BucketRecord]:
    """Of a folder; without the key-encryption key, which no bucket's record needs."""
    if not places.records.is_dir():
        raise click.ClickException(f"{places.data} has no records of Cooper: name the data folder of `cooper up`")
    try:
        return _buckets_in(decode(path.read_bytes()) for path in sorted(places.records.glob("bucket-*.json")))
    except (RecordError, OSError) as error:
        raise click.ClickException(f"records in {places.records}: {error}") from None


async def _of_cluster(namespace: str, kubeconfig: Path | None) -> list[BucketRecord]:
    # Imported here: the Kubernetes client takes a second that no other command is to wait for.
    from cooper_operator.cluster.kubernetes_api import KubernetesApi
    from cooper_operator.cluster.kubernetes_connection import Connection, loader_of
    from cooper_operator.cluster.kubernetes_records import list_record_secrets, listing_of
    from cooper_operator.cluster.port import ClusterError

    api = KubernetesApi(Connection(loader_of(kubeconfig)))
    try:
        return _buckets_in(found.record for found in listing_of(await list_record_secrets(api, namespace)))
    except ClusterError as error:
        raise click.ClickException(str(error)) from None
    finally:
        await api.close()


def _as_values(found: list[BucketRecord]) -> list[dict[str, Any]]:
    return [
        {
            "bucketName": each.name,
            "region": each.region,
            "namespace": each.owner.namespace,
            "bucket": each.owner.name,
            "kept": each.deletion_policy == "Retain",
            "namespaceUid": each.namespace_uid,
            "dataId": each.data_id,
        }
        for each in found
    ]


def _as_table(found: list[BucketRecord]) -> str:
    if not found:
        return "Nothing is retained."
    rows = [[printable(str(cell)) for cell in list(each.values())[:-1]] for each in _as_values(found)]
    return tabulate(rows, headers=HEADERS, tablefmt="plain", disable_numparse=True)
