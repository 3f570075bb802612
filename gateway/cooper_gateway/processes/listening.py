"""The listening sockets: one for each worker, all on one port, made once and kept while workers come and go."""

import errno
import socket
from collections.abc import Iterable
from typing import Final

from cooper_gateway.processes.errors import AddressUnusable, GatewayStartError, PortInUse

#: Connections that may wait while a worker is restarted.
_BACKLOG: Final = 4096


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Open `count` sockets on one port (0: any free one). Raises PortInUse, AddressUnusable, GatewayStartError."""
    family, address = _resolve(host, port)
    if port:
        _check_free(family, address)
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            opened = _open(family, reuse_port=True)
            sockets.append(opened)
            opened.bind((address[0], sockets[0].getsockname()[1] or port, *address[2:]))
            opened.listen(_BACKLOG)
            opened.setblocking(False)
    except OSError as error:
        close_all(sockets)
        raise _explained(error, address) from None
    return sockets


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close them: waiting connections are reset."""
    for opened in sockets:
        opened.close()


def _check_free(family: socket.AddressFamily, address: tuple[str, int]) -> None:
    # With SO_REUSEPORT a second gateway of the same user would share the port and take half of the requests.
    with _open(family, reuse_port=False) as probe:
        try:
            probe.bind(address)
        except OSError as error:
            raise _explained(error, address) from None


def _open(family: socket.AddressFamily, reuse_port: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return opened


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise AddressUnusable(host, error.strerror) from None
    family, _, _, _, address = found[0]
    return family, address  # pyright: ignore[reportReturnType] - AF_INET and AF_INET6 addresses begin so


def _explained(error: OSError, address: tuple[str, int]) -> GatewayStartError:
    host, port = address[:2]
    if error.errno == errno.EADDRINUSE:
        return PortInUse(host, port)
    if error.errno == errno.EADDRNOTAVAIL:
        return AddressUnusable(host, error.strerror)
    return GatewayStartError(f"port {port} on {host} cannot be listened on: {error.strerror}")
