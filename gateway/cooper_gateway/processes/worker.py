"""The worker process: S3 over HTTP on its own listening socket."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import uvloop

from cooper_gateway.config import GatewayConfig
from cooper_gateway.http.certificate import CertificateError, ServingCertificate
from cooper_gateway.http.limits import DEFAULT_LIMITS
from cooper_gateway.http.pipeline import Pipeline
from cooper_gateway.http.server import S3Server, serve
from cooper_gateway.http.spending import Tolls
from cooper_gateway.processes.access_log import AccessLog
from cooper_gateway.processes.child import Child
from cooper_gateway.processes.descriptors import raise_limit, share
from cooper_gateway.processes.errors import Refusal
from cooper_gateway.processes.measurements import Measurements, MeasurementsFile
from cooper_gateway.processes.upkeep import expire_uploads
from cooper_gateway.storage.embedded import EmbeddedStore

if TYPE_CHECKING:
    from cooper_gateway.processes.traces import Traces

_SAVE_SECONDS: Final = 1.0
_CARETAKER: Final = 1
#: What a request makes is freed by reference counts; the collector is for the rare cycle and need not look often.
_GC_THRESHOLDS: Final = (50_000, 20, 50)


def work(child: Child) -> None:
    """Serve until SIGTERM."""
    uvloop.run(_serve(child))


async def _serve(child: Child) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    handover = child.handover
    certificate = _certificate(handover.config)
    file = MeasurementsFile(f"{handover.config.run_dir}/metrics", handover.label)
    measurements = file.load()
    records = child.records()
    shares = share(raise_limit())
    store = EmbeddedStore(handover.config, child.keyring(), loop, shares.reading)
    log = None if handover.access_log < 0 else AccessLog(handover.access_log, handover.config.access_log_share)
    traces = _traces(handover.config, handover.index)
    observers = [measurements.observe, *(each.note for each in (log, traces) if each is not None)]
    pipeline = Pipeline(records.refresh, store, observers=observers, tolls=Tolls(child.meters()))
    most = DEFAULT_LIMITS.connections if certificate is None else DEFAULT_LIMITS.tls_connections
    limits = replace(DEFAULT_LIMITS, connections=min(most, shares.connections))
    listener = socket.socket(fileno=handover.listener)
    server = await serve(listener, pipeline, handover.index, handover.count, limits, certificate=certificate)
    following = None if certificate is None else loop.create_task(certificate.follow())
    # One of them is enough. Where it is killed the next one of its number goes on.
    upkeep = loop.create_task(expire_uploads(store, records.refresh)) if handover.index == _CARETAKER else None
    _settle_memory()
    child.ready()
    dropped = {
        "access_log_dropped": lambda: 0 if log is None else log.dropped,
        "traces_dropped": lambda: 0 if traces is None else traces.dropped,
    }
    await _until(stop, server, certificate, dropped, measurements, file)
    for task in (following, upkeep):
        if task is not None:
            task.cancel()
    await server.stop(handover.config.drain)
    await store.close()
    for each in (log, traces):
        if each is not None:
            each.close()
    file.save(measurements)


def _traces(config: GatewayConfig, index: int) -> "Traces | None":
    """What makes spans, where that is asked for. Only then are its libraries loaded: they take memory."""
    if not config.traces:
        return None
    from cooper_gateway.processes.traces import Traces

    return Traces(config.traces, config.traces_share, config.region, index)


def _certificate(config: GatewayConfig) -> ServingCertificate | None:
    """What to serve with over TLS, where that is asked for. Raises Refusal."""
    try:
        return ServingCertificate(config.tls_cert, config.tls_key) if config.tls_cert else None
    except CertificateError as error:
        raise Refusal(str(error)) from None


async def _until(
    stop: asyncio.Event,
    server: S3Server,
    certificate: ServingCertificate | None,
    dropped: Mapping[str, Callable[[], int]],
    measurements: Measurements,
    file: MeasurementsFile,
) -> None:
    """Save the measurements each second until it is time to stop."""
    before = {name: measurements.counts.get(name, 0) for name in dropped}  # by a predecessor
    while not stop.is_set():
        measurements.gauges["connections"] = server.connections
        if certificate is not None and certificate.expires_at is not None:
            measurements.gauges["certificate_expiration_timestamp_seconds"] = certificate.expires_at
        measurements.counts.update((name, before[name] + count()) for name, count in dropped.items())
        file.save(measurements)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _SAVE_SECONDS)


def _settle_memory() -> None:
    """What was made until now stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
