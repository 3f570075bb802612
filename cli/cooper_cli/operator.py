"""`cooper operator`: the operator on a Kubernetes cluster."""

import asyncio
import gc
import ipaddress
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from cooper_cli.cluster_options import kubeconfig_option, namespace_option, records_namespace
from cooper_cli.metrics_options import metrics_host_option, metrics_port_option
from cooper_crds.manifest import parse
from cooper_crds.names import DNS_SUBDOMAIN
from cooper_gateway.processes import logs
from cooper_gateway.processes.errors import GatewayStartError
from cooper_gateway.processes.health import HealthServer, metrics, readyz
from cooper_operator.cluster.yaml_documents import read_documents

#: What the operator's modules log under.
_LOGGER: Final = "cooper_operator"
#: What a reconcile makes is freed by reference counts, nearly all of it; the collector need not look so often.
_GC_THRESHOLDS: Final = (20_000, 20, 50)


def _region_in(context: click.Context, option: click.Parameter, path: Path | None) -> dict[str, Any] | None:
    """The one Region in a file, as it is there."""
    if path is None:
        return None
    try:
        found = [parse(document.content) and document.content for document in read_documents(path.read_bytes())]
    except OSError as error:
        raise click.ClickException(f"the manifest {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise click.ClickException(f"the manifest {path}: {error}") from error
    if [each["kind"] for each in found] != ["Region"]:
        raise click.ClickException(f"the manifest {path} is to hold one Region, and nothing else")
    return found[0]


def _hosts(context: click.Context, option: click.Parameter, hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Host names, with a wildcard perhaps, and addresses: what a certificate can be for. Each once."""
    for host in hosts:
        if not _is_address(host) and not DNS_SUBDOMAIN.fullmatch(host.removeprefix("*.")):
            raise click.BadParameter(f"{host!r} is neither a host name nor an IP address")
    return tuple(dict.fromkeys(hosts))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@click.command()
@kubeconfig_option
@namespace_option
@click.option(
    "--watch-namespace",
    "watched",
    multiple=True,
    metavar="NAMESPACE",
    help="Serve Buckets and AccessKeys of this namespace only; may be given several times.  [default: of all]",
)
@click.option(
    "--region-manifest",
    "region",
    type=click.Path(path_type=Path),
    callback=_region_in,
    metavar="FILE",
    help="A Region to make when it is not there, and to change when this file does.",
)
@click.option(
    "--kek-secret",
    "kek_secrets",
    multiple=True,
    metavar="NAME",
    help="A Secret to make, empty, for a gateway's key-encryption key; may be given several times.",
)
@click.option(
    "--tls-secret",
    metavar="NAME",
    help="The Secret with the gateway's certificate: whom its ca.crt names, the Region of --region-manifest trusts.",
)
@click.option(
    "--tls-generate",
    "hosts",
    multiple=True,
    metavar="HOST",
    callback=_hosts,
    help="Make that Secret for this host name or address, and renew it; may be given several times.",
)
@metrics_host_option
@metrics_port_option(9101)
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def operator(
    kubeconfig: Path | None,
    namespace: str | None,
    watched: tuple[str, ...],
    region: dict[str, Any] | None,
    kek_secrets: tuple[str, ...],
    tls_secret: str | None,
    hosts: tuple[str, ...],
    metrics_host: str,
    metrics_port: int,
    verbose: bool,
) -> None:
    """Work on the resources of a Kubernetes cluster.

    Several can run at a time: one leads, and another takes over when it ends. SIGTERM or Ctrl-C lets what is in
    progress end, then stops.
    """
    if hosts and tls_secret is None:
        raise click.UsageError("--tls-generate needs the name of the Secret: --tls-secret")
    logs.set_up("operator")
    logging.getLogger(_LOGGER).setLevel(logging.DEBUG if verbose else logging.INFO)
    # Imported here: kopf and the Kubernetes client take a second that no other command is to wait for.
    import uvloop

    from cooper_operator.certificates.secret import ServingSecret
    from cooper_operator.cluster.kubernetes_connection import loader_of
    from cooper_operator.installation import Installation
    from cooper_operator.service import Service

    load = loader_of(kubeconfig)
    asyncio.run(_check(load))
    namespace = records_namespace(namespace, kubeconfig)
    serving = None if tls_secret is None else ServingSecret(tls_secret, hosts)
    service = Service(load, namespace, watched or None, Installation(region, kek_secrets, serving))
    pages = {
        "/livez": lambda: readyz(service.health.dead),
        "/readyz": lambda: readyz(service.health.problems),
        "/metrics": lambda: metrics(service.telemetry.text()),
    }
    try:
        server = HealthServer(metrics_host, metrics_port, pages)
    except GatewayStartError as error:
        raise click.ClickException(f"{error} Name another one with --metrics-port or --metrics-host") from error
    server.start()
    logging.getLogger(_LOGGER).info("metrics and health on port %d", server.port)
    gc.freeze()  # what was imported stays: the collector need not look at it again
    gc.set_threshold(*_GC_THRESHOLDS)
    try:
        uvloop.run(_run(service.run))
    finally:
        server.stop()


async def _check(load: Callable[[Any], Awaitable[None]]) -> None:
    """End here when nothing says how to reach a cluster: that does not mend itself."""
    from cooper_operator.cluster.kubernetes_connection import access
    from cooper_operator.cluster.port import Unavailable

    try:
        await access(load)
    except Unavailable as error:
        raise click.ClickException(str(error)) from error


async def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Everything from start to SIGTERM or Ctrl-C."""
    running = asyncio.create_task(work())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
