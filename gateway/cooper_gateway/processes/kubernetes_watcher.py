"""The watcher process on Secrets of a cluster: source, mirror and table put together."""

import asyncio
import signal
import time

import uvloop

from cooper_gateway.config import KubernetesRecords
from cooper_gateway.processes.child import Child
from cooper_gateway.processes.errors import Refusal
from cooper_gateway.processes.intake import STAMP_FILE, Intake
from cooper_gateway.processes.measurements import MeasurementsFile
from cooper_gateway.processes.mirroring import MIRROR_FILE, MirrorKeeper
from cooper_gateway.records.kubernetes import KubernetesSource, Telling
from cooper_gateway.records.kubernetes_api import Api, Unusable
from cooper_gateway.records.kubernetes_requests import RecordsApi
from cooper_gateway.records.kubernetes_secrets import SecretRecords
from cooper_gateway.records.last_verified import LastVerified
from cooper_gateway.records.mirror import Mirror
from cooper_gateway.records.table import TableWriter, open_for_writing


def watch_kubernetes(child: Child, settings: KubernetesRecords) -> None:
    """Follow the records until SIGTERM. Raises Refusal when the settings for the API cannot be used.

    It is ready as soon as it knows what the mirror knows: the API may be away for long, and records are served on.
    """
    uvloop.run(_watch(child, settings))


async def _watch(child: Child, settings: KubernetesRecords) -> None:
    config = child.handover.config
    api = Api(settings.kubeconfig, f"{config.run_dir}/certificates")
    try:
        await api.connect()
    except Unusable as error:
        raise Refusal(str(error)) from None
    file = MeasurementsFile(f"{config.run_dir}/metrics", child.handover.label)
    measurements = file.load()
    records = SecretRecords(config.region)
    intake = Intake(
        TableWriter(open_for_writing(config.table_path, config.table_size), child.table_box()),
        LastVerified(f"{config.data_dir}/{STAMP_FILE}"),
        MirrorKeeper(Mirror(f"{config.data_dir}/{MIRROR_FILE}", child.keyring(), settings.namespace), child.log),
        records,
        config.region,
        child.log,
        measurements,
        "record Secret",
        lambda: file.save(measurements),
    )
    telling = Telling(measurements.gauges, measurements.counts)
    source = KubernetesSource(RecordsApi(api, settings.namespace), records, intake, telling, child.log)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    intake.begin(time.time())
    child.ready()
    following, stopping = asyncio.create_task(source.follow()), asyncio.create_task(stop.wait())
    await asyncio.wait((following, stopping), return_when=asyncio.FIRST_COMPLETED)
    if following.done():
        following.result()  # it never ends by itself but with an error
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await api.close()
