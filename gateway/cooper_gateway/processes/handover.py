"""What the supervisor hands to a child: one line of JSON on standard input, never in arguments or environment."""

import os
from typing import Final, Literal

import msgspec

from cooper_gateway.config import GatewayConfig

Role = Literal["committer", "watcher", "worker"]

#: A line longer than this was not written by a supervisor.
_LONGEST_LINE: Final = 1 << 20


class Handover(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A child's part in its replica."""

    role: Role
    config: GatewayConfig
    boot_key: bytes  # 32 bytes; seals the records table until the supervisor ends
    index: int = 1  # which worker this is, from 1
    count: int = 1  # how many workers there are
    listener: int = -1  # number of the inherited listening socket
    access_log: int = -1  # number of the inherited descriptor that the access log goes to; -1: there is none
    meters: int = -1  # number of the inherited descriptor of the memory that workers share; -1: there is none

    def __repr__(self) -> str:  # the boot key must not get into a traceback
        return f"Handover({self.name})"

    @property
    def name(self) -> str:
        """The child's name in logs and process lists."""
        return f"worker {self.index}/{self.count}" if self.role == "worker" else self.role

    @property
    def label(self) -> str:
        """The child's name in file names and metrics."""
        return f"worker-{self.index}" if self.role == "worker" else self.role

    def to_line(self) -> bytes:
        """The handover as it is written to the child."""
        return msgspec.json.encode(self) + b"\n"


class Report(msgspec.Struct, frozen=True):
    """A child's one answer on its standard output: ready (no reason), or why it will never be."""

    refused: str | None = None


def read_handover(descriptor: int) -> Handover:
    """Read the handover and nothing beyond its line. Raises ValueError when there is none, without its content."""
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 65536)
        if not piece or len(line) > _LONGEST_LINE:
            raise ValueError("standard input has no handover: this command is started by the gateway's supervisor")
        line += piece
    try:
        return msgspec.json.decode(line, type=Handover)
    except msgspec.MsgspecError:
        raise ValueError("the handover on standard input cannot be read") from None
