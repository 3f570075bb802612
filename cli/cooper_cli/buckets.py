"""`cooper buckets`: buckets as records tell of them, for who runs Cooper: no resource tells of what was retained."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click
import yaml
from tabulate import tabulate

from cooper_cli.cluster_options import kubeconfig_option, namespace_option, records_namespace
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
@click.option(
    "--output",
    "-o",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="A table to read, or everything for a program.",
)
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
    found = sorted(filter(_is_retained, records), key=lambda each: each.name)
    click.echo(_WRITERS[output](found))


def _is_retained(record: BucketRecord) -> bool:
    return record.retained


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
    from cooper_operator.cluster.kubernetes import KubernetesCluster
    from cooper_operator.cluster.kubernetes_api import KubernetesApi
    from cooper_operator.cluster.kubernetes_connection import Connection, loader_of
    from cooper_operator.cluster.port import ClusterError

    api = KubernetesApi(Connection(loader_of(kubeconfig)))
    try:
        return _buckets_in(found.record for found in await KubernetesCluster.records_in(api, namespace))
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


def _as_json(found: list[BucketRecord]) -> str:
    return json.dumps(_as_values(found), indent=2)


def _as_yaml(found: list[BucketRecord]) -> str:
    return yaml.safe_dump(_as_values(found), sort_keys=False).rstrip("\n")


def _as_table(found: list[BucketRecord]) -> str:
    if not found:
        return "Nothing is retained."
    rows = [[printable(str(cell)) for cell in list(each.values())[:-1]] for each in _as_values(found)]
    return tabulate(rows, headers=HEADERS, tablefmt="plain", disable_numparse=True)


_WRITERS: Mapping[str, Callable[[list[BucketRecord]], str]] = {
    "table": _as_table,
    "json": _as_json,
    "yaml": _as_yaml,
}
