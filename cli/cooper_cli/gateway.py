"""`cooper gateway`: one gateway by itself, with its records from a cluster or from a folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import click

from cooper_cli.cluster_options import kubeconfig_option, namespace_option, records_namespace
from cooper_cli.metrics_options import metrics_host_option, metrics_port_option
from cooper_cli.places import Places
from cooper_cli.starting import option_for
from cooper_cli.tls_options import tls_cert_option, tls_files, tls_key_option
from cooper_gateway.config import GatewayConfig, KubernetesRecords
from cooper_gateway.main import serve
from cooper_gateway.processes import logs
from cooper_gateway.processes.errors import GatewayStartError

#: `--records` for those of a cluster; anything else is a folder.
_KUBERNETES: Final = "kubernetes"


def _share_option(name: str, what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(name, type=click.FloatRange(0, 1), default=1.0, show_default=True, metavar="0..1", help=what)


@click.command()
@click.option("--region", required=True, help="Name of the Region to serve.")
@click.option(
    "--records",
    default=_KUBERNETES,
    show_default=True,
    metavar="kubernetes|FOLDER",
    help="Where records come from: Secrets of a cluster, or a folder that an operator writes.",
)
@namespace_option
@kubeconfig_option
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path(".cooper"),
    show_default=True,
    help="Where objects are kept.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="S3 port; 0 chooses one.")
@tls_cert_option
@tls_key_option
@metrics_host_option
@metrics_port_option(9100)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes.")
@click.option(
    "--drain",
    type=click.IntRange(0, 3600),
    default=5,
    show_default=True,
    metavar="SECONDS",
    help="How long requests in progress may go on when the gateway stops.",
)
@click.option(
    "--access-log",
    metavar="FILE|-",
    help="Add a line of JSON for each request to this file; - is standard output.  [default: none]",
)
@_share_option(
    "--access-log-share", "Share of the requests that the access log tells of. All that were refused are told."
)
@click.option(
    "--traces",
    metavar="URL",
    help="Tell the OpenTelemetry collector at this URL of each request, by OTLP over HTTP.  [default: none]",
)
@_share_option(
    "--traces-share",
    "Share of the traces that begin here. Where a signed request is part of a trace, that one decides.",
)
@click.option("--kek", type=click.Path(path_type=Path), help="Key-encryption key file.  [default: DATA/kek.json]")
def gateway(
    region: str,
    records: str,
    namespace: str | None,
    kubeconfig: Path | None,
    data: Path,
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    metrics_host: str,
    metrics_port: int,
    workers: int,
    drain: int,
    access_log: str | None,
    access_log_share: float,
    traces: str | None,
    traces_share: float,
    kek: Path | None,
) -> None:
    """Serve S3 for one Region.

    The operator tells what may be done, by records. SIGTERM or Ctrl-C lets requests in progress end, then stops.
    """
    logs.set_up("gateway")
    places = Places(data.absolute())
    certificate, private_key = tls_files(tls_cert, tls_key)
    config = GatewayConfig(
        region=region,
        data_dir=str(places.data),
        run_dir=str(places.run),
        records_dir="" if records == _KUBERNETES else str(_folder(records)),
        kek_file=str((kek or places.kek).absolute()),
        kubernetes=_cluster(namespace, kubeconfig) if records == _KUBERNETES else None,
        host=host,
        port=port,
        tls_cert=certificate,
        tls_key=private_key,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
        workers=workers,
        drain=drain,
        access_log=_log_file(access_log),
        access_log_share=access_log_share,
        traces=_collector(traces),
        traces_share=traces_share,
    )
    try:
        places.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"the data folder {places.data} cannot be made: {error.strerror}") from error
    try:
        serve(config)
    except GatewayStartError as error:
        raise click.ClickException(str(error) + option_for(error, config)) from error
    except OSError as error:
        raise click.ClickException(f"the gateway cannot run: {error}") from error


def _log_file(access_log: str | None) -> str:
    """Other processes write it: they have the path whole."""
    if not access_log or access_log == "-":
        return access_log or ""
    return str(Path(access_log).absolute())


def _collector(url: str | None) -> str:
    """A collector's URL. What could be a secret has its place elsewhere: command lines are read by others."""
    if not url:
        return ""
    parts = _parts_of(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter("it is to be a URL such as http://collector:4318", param_hint="'--traces'")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise click.BadParameter(
            "it is to have no user, query or fragment: what a collector asks for goes into OTEL_EXPORTER_OTLP_HEADERS",
            param_hint="'--traces'",
        )
    return url


def _parts_of(url: str) -> SplitResult | None:
    """The parts of a URL; None when it is none."""
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 and url.isprintable() and " " not in url else None
    except ValueError:
        return None


def _folder(records: str) -> Path:
    folder = Path(records).absolute()
    if not folder.is_dir():
        raise click.ClickException(
            f"the records folder {folder} is not there: name the one that the operator writes, or {_KUBERNETES}"
        )
    return folder


def _cluster(namespace: str | None, kubeconfig: Path | None) -> KubernetesRecords:
    return KubernetesRecords(records_namespace(namespace, kubeconfig), str(kubeconfig) if kubeconfig else "")
