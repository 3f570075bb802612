"""Why a gateway does not start."""


class GatewayStartError(Exception):
    """The gateway cannot start: the reason, and what to do. Nothing of it is left running."""


class StoreLocked(GatewayStartError):
    """Another gateway has the data folder open; the message says which."""


class PortInUse(GatewayStartError):
    """Another program listens on the port."""


class Refusal(Exception):
    """A child's reason not to start that a restart would not mend."""
