"""A worker's side of the committer's packet socket."""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from cooper_gateway.storage import port, wire
from cooper_gateway.storage.commits import Conflict
from cooper_gateway.storage.port import Overloaded, Refused, StoreError, StoreFailed
from cooper_gateway.storage.wire import Reply, Request

_IN_FLIGHT: Final = 1024  # requests that wait for their commit
_QUEUED: Final = 16 << 20  # bytes of packets that wait for room in the socket
_BACK_OFF: Final = 0.02  # seconds before the first attempt to connect again; doubles
_BACK_OFF_MOST: Final = 0.5
_PATIENCE: Final = 5.0  # seconds that a request waits for the committer to come back

_log = logging.getLogger(__name__)

#: Names of errors in replies -> exceptions.
ERRORS: Final[dict[str, type[StoreError | Conflict]]] = {
    **{name: kind for name, kind in vars(port).items() if isinstance(kind, type) and issubclass(kind, StoreError)},
    "Conflict": Conflict,
}


class CommitterClient:
    """Sends requests and waits for their commits. Requests of one turn of the event loop share packets."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._loop = loop
        self._link: socket.socket | None = None
        self._connected = asyncio.Event()
        self._next_id = 0
        self._pending: dict[int, asyncio.Future[str]] = {}
        self._fresh: list[Request] = []  # not packed yet
        self._packets: deque[bytes] = deque()  # not sent yet
        self._queued = 0
        self._writing = False
        self._buffer = bytearray(wire.PACKET + 4096)
        self._closed = False
        self._connecting: asyncio.Task[None] | None = None
        self._untold: list[Request] = []  # not answered ones, for the next connection
        self.on_lost: Callable[[], None] = lambda: None  # called when what was told may not have been heard
        self._reconnect()

    async def ask(self, request: Request) -> str:
        """Have a request committed. Raises the error it ended with; StoreFailed when its outcome is unknown."""
        if self._link is None:
            await self._wait_connected()
        if len(self._pending) >= _IN_FLIGHT or self._queued >= _QUEUED:
            raise Overloaded("too many writes are waiting for their commit")
        self._next_id += 1
        request.id = self._next_id
        future: asyncio.Future[str] = self._loop.create_future()
        self._pending[request.id] = future
        self._post(request)
        try:
            return await future
        finally:
            self._pending.pop(request.id, None)

    def tell(self, request: Request) -> None:
        """Send a request that is not answered, on the next connection when there is none. See `on_lost`."""
        if self._link is not None:
            self._post(request)
        elif not self._closed:
            self._untold.append(request)

    def close(self) -> None:
        """Give up the connection and everything that waits."""
        self._closed = True
        if self._fresh and self._link is not None:
            self._pack()
        if self._connecting is not None:
            self._connecting.cancel()
        self._lose("the store was closed")

    def _post(self, request: Request) -> None:
        if not self._fresh:
            self._loop.call_soon(self._pack)
        self._fresh.append(request)

    def _pack(self) -> None:
        fresh, self._fresh = self._fresh, []
        for packet in wire.packets(fresh):
            self._packets.append(packet)
            self._queued += len(packet)
        if not self._writing:
            self._flush()

    def _flush(self) -> None:
        """Send what the socket takes; have the loop call again when it takes more."""
        link = self._link
        if link is None:
            return
        try:
            while self._packets:
                wire.send(link, self._packets[0])
                self._queued -= len(self._packets.popleft())
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self._loop.add_writer(link.fileno(), self._flush)
            return
        except OSError as error:
            self._lose(f"the committer is gone: {error.strerror}")
            return
        if self._writing:
            self._writing = False
            self._loop.remove_writer(link.fileno())

    def _receive(self) -> None:
        while self._link is not None:
            try:
                packet = wire.receive(self._link, self._buffer)
                replies = wire.decode_replies(packet) if packet is not None else None
            except BlockingIOError:
                return
            except (OSError, msgspec.MsgspecError) as error:
                self._lose(f"the committer's answer could not be read: {error}")
                return
            if replies is None:
                self._lose("the committer ended")
                return
            for reply in replies:
                self._resolve(reply)

    def _resolve(self, reply: Reply) -> None:
        future = self._pending.get(reply.id)
        if future is None or future.done():
            return
        if reply.error:
            future.set_exception(_exception(reply))
        else:
            future.set_result(reply.detail)

    def _lose(self, reason: str) -> None:
        """The connection is gone: nobody knows what became of the requests on it."""
        link, self._link = self._link, None
        self._connected.clear()
        if link is not None:
            self._loop.remove_reader(link.fileno())
            if self._writing:
                self._loop.remove_writer(link.fileno())
            link.close()
        self._writing = False
        self._fresh.clear()
        self._packets.clear()
        self._queued = 0
        for future in self._pending.values():
            if not future.done():
                future.set_exception(StoreFailed(reason))
        if not self._closed:
            self.on_lost()
            self._reconnect()

    def _reconnect(self) -> None:
        self._connecting = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        delay = _BACK_OFF
        while True:
            link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            try:
                wire.enlarge(link)
                link.connect(self._path)
            except OSError:
                link.close()
                await asyncio.sleep(delay)
                delay = min(delay * 2, _BACK_OFF_MOST)
                continue
            self._link = link
            self._loop.add_reader(link.fileno(), self._receive)
            self._connected.set()
            untold, self._untold = self._untold, []
            for request in untold:
                self._post(request)
            return

    async def _wait_connected(self) -> None:
        if self._closed:
            raise StoreFailed("the store is closed")
        try:
            async with asyncio.timeout(_PATIENCE):
                while self._link is None:
                    await self._connected.wait()
        except TimeoutError:
            raise StoreFailed(f"the committer cannot be reached; nothing was stored ({self._path})") from None


def _exception(reply: Reply) -> Exception:
    kind = ERRORS.get(reply.error, StoreFailed)
    return Refused(reply.detail) if kind is Refused else kind(reply.detail)
