"""One line each on standard error: time, level, role, message. The same for every process of the gateway."""

import logging
import sys
import time
from typing import Final

#: Every module of the gateway logs under this name; what other libraries log is not shown unless it is a warning.
LOGGER: Final = "cooper_gateway"

_ESCAPES: Final = {number: f"\\x{number:02x}" for number in (*range(32), 127, *range(0x80, 0xA0), 0x2028, 0x2029)}
_ESCAPES[ord("\n")] = " | "


class _Line(logging.Formatter):
    """`2026-11-23T09:00:00Z level role message`, whatever characters the message brings along."""

    converter = time.gmtime
    default_time_format = "%Y-%m-%dT%H:%M:%SZ"
    default_msec_format = None  # pyright: ignore[reportAssignmentType]

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)  # with the traceback, if there is one
        return f"{self.formatTime(record)} {record.levelname.lower()} {self._role} {message.translate(_ESCAPES)}"


def set_up(role: str, level: int = logging.INFO) -> logging.Logger:
    """Log this process's lines to standard error under its role. Idempotent; the last role holds."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(role))
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger().setLevel(logging.WARNING)
    logger = logging.getLogger(LOGGER)
    logger.setLevel(level)
    return logger
