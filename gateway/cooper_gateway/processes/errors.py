"""Why a gateway does not start."""


class GatewayStartError(Exception):
    """The gateway cannot start: the reason, and what to do. Nothing of it is left running."""


class StoreLocked(GatewayStartError):
    """Another gateway has the data folder open; the message says which."""


class PortInUse(GatewayStartError):
    """Another program listens on the port."""

    def __init__(self, host: str, port: int, what: str = "port") -> None:
        super().__init__(f"{what} {port} on {host} is in use by another program: stop that, or choose another {what}")
        self.port = port


class CertificateUnusable(GatewayStartError):
    """What is to be served over TLS with is no certificate with its key."""


class AddressUnusable(GatewayStartError):
    """The address to listen on is none of this machine's."""

    def __init__(self, host: str, why: str | None) -> None:
        super().__init__(f"the address {host} cannot be listened on: {why}. Choose one of this machine's")


class Refusal(Exception):
    """A child's reason not to start that a restart would not mend."""
