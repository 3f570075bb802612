"""What commands that start a gateway have in common."""

from cooper_gateway.config import GatewayConfig
from cooper_gateway.processes.errors import PortInUse, StoreLocked


def option_for(error: Exception, config: GatewayConfig) -> str:
    """Which option does something about an error at the start."""
    if isinstance(error, StoreLocked):
        return " with --data"
    if isinstance(error, PortInUse):
        return f" with {'--metrics-port' if error.port == config.metrics_port else '--port'}"
    return ""
