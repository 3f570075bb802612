"""A lease on what is stored: while it lasts the committer unlinks no segment and shreds no key that a commit drops.

It is a connection to the committer, and ends with it: whoever dies holds nothing back.
"""

import select
import socket
from typing import Final

import msgspec

from cooper_gateway.storage import wire

_PATIENCE: Final = 30.0  # seconds for the committer to answer


class LeaseLost(Exception):
    """The committer cannot be reached, or ended: what was held back may be gone."""


class Lease:
    """Held from its making until `close`."""

    def __init__(self, path: str) -> None:
        """Take the lease of the committer with this socket. Raises LeaseLost."""
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        self._link.settimeout(_PATIENCE)
        try:
            self._link.connect(path)
            reply = wire.ask(self._link, wire.Hold(1, b""))
        except (OSError, msgspec.MsgspecError) as error:
            self._link.close()
            raise LeaseLost(f"the committer at {path} cannot be asked: {error}") from None
        if reply is None or reply.error:
            self._link.close()
            raise LeaseLost(f"the committer at {path} ended before it answered")

    def check(self) -> None:
        """Raise LeaseLost unless the lease still stands."""
        if select.select([self._link], [], [], 0)[0]:  # nothing but its end can come
            raise LeaseLost("the committer ended, and with it the lease")

    def close(self) -> None:
        """Let go."""
        self._link.close()
