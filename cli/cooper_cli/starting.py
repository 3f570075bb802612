"""What commands that start a gateway have in common."""

from cooper_gateway.config import GatewayConfig
from cooper_gateway.processes.errors import AddressUnusable, CertificateUnusable, PortInUse, StoreLocked
from cooper_operator.gateways.connection import authority


def option_for(error: Exception, config: GatewayConfig) -> str:
    """Which option does something about an error at the start."""
    if isinstance(error, StoreLocked):
        return " with --data"
    if isinstance(error, CertificateUnusable):
        return " with --tls-cert and --tls-key"
    if isinstance(error, AddressUnusable):
        return " with --host"
    if isinstance(error, PortInUse):
        return f" with {'--metrics-port' if error.port == config.metrics_port else '--port'}"
    return ""


def reached_at(host: str) -> str:
    """Where a program on this machine reaches what listens on `host`: a wildcard is no address."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104


def url(host: str, port: int, *, secure: bool = False) -> str:
    """The URL of what listens there."""
    return f"{'https' if secure else 'http'}://{authority(host, port)}"
