"""`cooper operator`: the operator on a Kubernetes cluster."""

import asyncio
import logging
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from cooper_cli.cluster_options import kubeconfig_option, namespace_option, records_namespace
from cooper_gateway.processes import logs

#: What the operator's modules log under.
_LOGGER: Final = "cooper_operator"


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
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def operator(kubeconfig: Path | None, namespace: str | None, watched: tuple[str, ...], verbose: bool) -> None:
    """Work on the resources of a Kubernetes cluster.

    Several can run at a time: one leads, and another takes over when it ends. SIGTERM or Ctrl-C lets what is in
    progress end, then stops.
    """
    logs.set_up("operator")
    logging.getLogger(_LOGGER).setLevel(logging.DEBUG if verbose else logging.INFO)
    asyncio.run(_run(kubeconfig, records_namespace(namespace, kubeconfig), watched or None))


async def _run(kubeconfig: Path | None, namespace: str, watched: tuple[str, ...] | None) -> None:
    """Everything from start to SIGTERM or Ctrl-C."""
    # Imported here: kopf and the Kubernetes client take a second that no other command is to wait for.
    from cooper_operator.cluster.kubernetes_connection import default_loader, from_kubeconfig
    from cooper_operator.service import Service

    load = default_loader() if kubeconfig is None else from_kubeconfig(kubeconfig)
    running = asyncio.create_task(Service(load, namespace, watched).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
