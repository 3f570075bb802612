"""`cooper up`: gateway and operator in one command, on a folder of YAML."""

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from cooper_cli.metrics_options import metrics_port_option
from cooper_cli.places import Places
from cooper_cli.starting import option_for, reached_at, url
from cooper_cli.telling import Teller, say_stopped, say_stopping, say_where
from cooper_cli.tls_options import tls_cert_option, tls_files, tls_key_option
from cooper_crds.records import RegionRecord
from cooper_gateway.config import GatewayConfig
from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.processes import logs
from cooper_gateway.processes.errors import GatewayStartError
from cooper_gateway.processes.supervisor import Supervisor
from cooper_operator.cluster.folder import FolderCluster
from cooper_operator.cluster.manifest_files import Broken, ManifestFiles
from cooper_operator.cluster.port import Unavailable
from cooper_operator.cluster.record_files import reseal
from cooper_operator.main import Endpoint, Intervals, Roster, compose

#: Seconds between looks at what buckets hold: on one machine they cost little, and `cooper status` shows them.
_USAGE: Final = 5.0
#: Seconds between looks whether the gateway's processes all run.
_LOOKS: Final = 1.0


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("resources"))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path(".cooper"),
    show_default=True,
    help="Where everything is kept.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="S3 port; 0 chooses one.")
@tls_cert_option
@tls_key_option
@metrics_port_option(9100)
@click.option("--region", help="Name of the Region to serve.  [default: the folder's default Region, or local]")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Gateway worker processes.")
@click.option("--kek", type=click.Path(path_type=Path), help="Key-encryption key file.  [default: DATA/kek.json]")
@click.option("--verbose", "-v", is_flag=True, help="Log more.")
def up(
    folder: Path,
    data: Path,
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    metrics_port: int,
    region: str | None,
    workers: int,
    kek: Path | None,
    verbose: bool,
) -> None:
    """Run Cooper on this machine, on a folder of YAML.

    The files in FOLDER (default: ./resources) are the resources: adding, editing or removing one does what kubectl
    apply and delete do. Ctrl-C stops everything; data and keys stay.
    """
    if not folder.is_dir():
        wrong = (
            "is a file: name the folder that it lies in"
            if folder.exists()
            else "is not there: make it and put manifests into it, or name another one"
        )
        raise click.ClickException(f"the resources folder {folder} {wrong}")
    logs.set_up("up", logging.INFO if verbose else logging.WARNING)
    places = Places(data.absolute())
    certificate, private_key = tls_files(tls_cert, tls_key)
    config = GatewayConfig(
        region=region or served_region(folder),
        data_dir=str(places.data),
        run_dir=str(places.run),
        records_dir=str(places.records),
        kek_file=str((kek or places.kek).absolute()),
        host=host,
        port=port,
        tls_cert=certificate,
        tls_key=private_key,
        metrics_port=metrics_port,
        workers=workers,
    )
    try:
        asyncio.run(_run(folder.absolute(), places, Supervisor(config)))
    except (GatewayStartError, KeyringError, Unavailable) as error:
        raise click.ClickException(str(error) + option_for(error, config)) from error
    say_stopped(places)


def served_region(folder: Path) -> str:
    """The Region that one machine serves: the folder's default one, or its only one; else `local`."""
    declared = [
        found
        for content in ManifestFiles(folder).scan().files.values()
        if not isinstance(content, Broken)
        for found in content
        if found.ref.kind == "Region"
    ]
    defaults = [found for found in declared if found.declaration.spec.get("default")]
    names = {found.ref.name for found in defaults or declared}
    return names.pop() if len(names) == 1 else "local"


async def _run(folder: Path, places: Places, supervisor: Supervisor) -> None:
    """Everything from start to Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # under nohup it is to outlive its terminal
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    _make_folders(places)
    await asyncio.to_thread(supervisor.start)
    try:
        await _operate(folder, places, supervisor, stop)
    finally:
        await asyncio.to_thread(supervisor.stop)


def _make_folders(places: Places) -> None:
    """Make what the gateway and the operator both need. Raises GatewayStartError."""
    for path in (places.data, places.records):
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise GatewayStartError(
                f"the folder {path} cannot be made: {error.strerror}. "
                "Mend that, or name another data folder with --data"
            ) from error


async def _operate(folder: Path, places: Places, supervisor: Supervisor, stop: asyncio.Event) -> None:
    """Run the operator beside the gateway until `stop`."""
    config = supervisor.config
    host = reached_at(config.host)

    def roster(region: RegionRecord) -> Roster:
        if region.name == config.region:
            return Roster((Endpoint(host, supervisor.port, supervisor.alive()),))
        return Roster(
            unknown=f"no gateway of Region {region.name} is known: this one serves Region {config.region}, which was "
            "settled at its start. Start it again to serve another"
        )

    keyring = Keyring.load(config.kek_file)
    reseal(places.records, keyring, keyring.only(keyring.fingerprint.__eq__))
    cluster = FolderCluster(folder, places.state, places.credentials, keyring)
    endpoint = url(host, supervisor.port, secure=bool(config.tls_cert))
    operator = compose(cluster, roster, default_endpoint=endpoint, intervals=Intervals(usage=_USAGE))
    cluster.open()
    say_where(
        folder, places, config.kek_file, endpoint, f"http://{config.metrics_host}:{supervisor.metrics_port}/metrics"
    )
    stopped = asyncio.create_task(stop.wait())
    works = (operator.run(), Teller(cluster, places).run(), _follow(supervisor, operator.hurry))
    working = [asyncio.create_task(each) for each in works]
    try:
        done, _ = await asyncio.wait({stopped, *working}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopped}:
            task.result()  # it ended by itself: with an error, which is told
    finally:
        say_stopping()
        await operator.stop()
        for task in (stopped, *working):
            task.cancel()
        await asyncio.gather(stopped, *working, return_exceptions=True)
        await cluster.close()


async def _follow(supervisor: Supervisor, changed: Callable[[], None]) -> None:
    """Tell whenever the gateway's processes run no longer, or all run again."""
    alive = True
    while True:
        if supervisor.alive() != alive:
            alive = not alive
            changed()
        await asyncio.sleep(_LOOKS)
