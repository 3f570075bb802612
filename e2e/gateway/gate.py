"""A gate in front of the API server: a TCP forwarder that can be shut, or left open with nothing coming through."""

import select
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml


class Gate:
    """Forwards connections of a kubeconfig's server, each on threads of its own. Use as a context manager."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        content: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        host, _, port = cluster["server"].removeprefix("https://").rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._address = self._listener.getsockname()
        self._flowing = threading.Event()
        self._flowing.set()
        self._connections: set[socket.socket] = set()
        cluster["server"] = f"https://127.0.0.1:{self._address[1]}"
        self.kubeconfig = folder / "gate.kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(content))
        self._accepting = self._start(self._accept, self._listener)

    def shut(self) -> None:
        """Refuse connections, and cut those that there are."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """Let everything through again."""
        self._flowing.set()
        if self._listener.fileno() < 0:
            self._listener = socket.create_server(self._address)
            self._accepting = self._start(self._accept, self._listener)

    def freeze(self) -> None:
        """Keep all connections, take new ones, and let nothing through: as when a network swallows packets."""
        self._flowing.clear()

    def __enter__(self) -> "Gate":
        return self

    def __exit__(self, *_: object) -> None:
        self._flowing.set()
        self.shut()

    def _start(self, target: Any, *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._start(self._forward, client)

    def _forward(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections |= {client, server}
            with suppress(OSError):
                self._pump(client, server)
            self._connections -= {client, server}

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(65536)
                self._flowing.wait()
                if not data:
                    return
                (server if source is client else client).sendall(data)
