"""The committer: the only process that writes the index. One loop: drain the sockets, check, put, sync, commit, reply.

Requests that arrive while a commit syncs wait in the sockets and share the next one (group commit): no timers, and the
more there is to do, the cheaper each write gets.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import lmdb
import msgspec

from cooper_gateway.config import GatewayConfig
from cooper_gateway.storage import wire
from cooper_gateway.storage.batch import Batch, Garbage
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.commits import APPLY, MAKES_ROOM, Conflict
from cooper_gateway.storage.housekeeping import Housekeeping
from cooper_gateway.storage.index import open_writable
from cooper_gateway.storage.layout import NO_ROOM, Layout, StoreUnusable, try_lock
from cooper_gateway.storage.pins import Pins
from cooper_gateway.storage.port import Recheck, Refused, StoreError, StoreFailed, StoreFull
from cooper_gateway.storage.room import Room
from cooper_gateway.storage.sealing import Sealer
from cooper_gateway.storage.sync import DirectorySync, SyncFailed
from cooper_gateway.storage.wire import Reply, Request

_BATCH: Final = 512  # requests of one transaction at most
_PATH_MAX: Final = 107  # unix(7): "sun_path[108]", with a final null byte
_LOCK_WAIT: Final = 5.0  # seconds for a dying predecessor to let go
_READER_CHECK: Final = 60.0  # seconds between looks for readers that died
_ACCEPT_PAUSE: Final = 0.05  # seconds; the listener stays readable while descriptors are out
_MOST_UNSENT: Final = 8 << 20  # bytes of replies that a worker may leave unread
_LOOK_AGAIN: Final = 1.0  # seconds after a worker's end: its locks may go later than its socket

_log = logging.getLogger(__name__)


class _NoRoom(Exception):
    """The transaction did not fit on the disk or in the map."""


class _IndexFull(_NoRoom):
    """The transaction needs more pages than the index has."""


class CommitFailed(Exception):
    """A sync or commit failed: what is on disk is unknown. The process must end; a new one opens what is durable."""


class _Connection:
    """One worker."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.outbound: deque[bytes] = deque()

    def flush(self) -> bool:
        """Send what can be sent. True when all was."""
        while self.outbound:
            try:
                wire.send(self.link, self.outbound[0])
            except BlockingIOError:
                return False
            except OSError:  # the worker is gone: its end is read next
                self.outbound.clear()
                return True
            self.outbound.popleft()
        return True


class Committer:
    """Owns the store's index. `run` returns after `stop`; raises CommitFailed when the process must be restarted."""

    def __init__(
        self, config: GatewayConfig, sealer: Sealer, recheck: Recheck, counts: dict[str, int] | None = None
    ) -> None:
        """Open the store, exclusively. Raises StoreUnusable, or the sealer's error on another key-encryption key.

        `counts` is where commits, and the writes in them, are counted.
        """
        self._layout = Layout(config.data_dir)
        self._layout.create()
        self._lock = _take_lock(self._layout)
        self._keys = BucketKeys(self._layout, sealer)
        self._index = open_writable(self._layout, config.map_size, sealer)
        self._room = Room(self._layout, self._index.env, config.map_size)
        self._recheck = recheck
        self._counts: dict[str, int] = {} if counts is None else counts
        self._sync = DirectorySync(self._layout)
        self._housekeeping = Housekeeping(self._layout, self._index, self._keys, self._room, Pins(config.run_dir))
        self._path = config.committer_path
        self._connections: dict[int, _Connection] = {}
        self._buffer = bytearray(wire.PACKET + 4096)
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._stopping = False
        self._look_again: float | None = None

    def stop(self) -> None:
        """Have `run` return after the batch at hand. May be called from a signal handler or another thread."""
        self._stopping = True
        with contextlib.suppress(BlockingIOError):  # full of bytes that wake it just as well
            self._waker.send(b"\0")

    def stop_on(self, number: signal.Signals) -> None:
        """Stop when a signal comes. To be called once, by the main thread.

        A handler runs between two steps of Python code: one whose signal comes just before the loop sleeps, or to
        another thread, would run when the loop wakes. The descriptor, which is written to at once, wakes it.
        """
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(number, self._signalled)

    def _signalled(self, *_: object) -> None:
        self.stop()

    def run(self, ready: Callable[[], None] | None = None) -> None:
        """Serve until stopped. `ready` is called once workers can connect."""
        self._housekeeping.recover()
        self._listener = _listen(self._path)
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._epoll.register(self._wake.fileno(), select.EPOLLIN)
        if ready is not None:
            ready()
        try:
            self._serve()
        finally:
            self._close()

    def _serve(self) -> None:
        checked = time.monotonic()
        while not self._stopping:
            requests, drained = self._drain(self._epoll.poll(self._patience()))
            if requests:
                self._handle(requests)
            if drained:
                self._housekeeping.when_quiet()
            now = time.monotonic()
            if self._look_again is not None and now >= self._look_again:
                self._look_again = None
                self._housekeeping.look_for_orphans()
            if now - checked > _READER_CHECK:
                checked = now
                self._index.env.reader_check()

    def _patience(self) -> float:
        """Seconds that the loop may sleep."""
        if self._housekeeping.waits_for_quiet:
            return 0.0
        return _READER_CHECK if self._look_again is None else _LOOK_AGAIN

    def _drain(self, events: list[tuple[int, int]]) -> tuple[list[tuple[_Connection, Request]], bool]:
        """Receive what workers have sent, up to a batch. True: nothing of what was there at the start is left."""
        requests: list[tuple[_Connection, Request]] = []
        ready = [descriptor for descriptor, _ in events if descriptor in self._connections]
        if any(descriptor == self._listener.fileno() for descriptor, _ in events):
            ready += self._accept()
        for descriptor in ready:
            connection = self._connections[descriptor]
            if connection.outbound and connection.flush():
                self._epoll.modify(descriptor, select.EPOLLIN)
            if not self._receive(connection, requests):
                return requests, False
        return requests, True

    def _receive(self, connection: _Connection, requests: list[tuple[_Connection, Request]]) -> bool:
        """Receive from one worker until nothing is left (True) or the batch is full (False)."""
        while len(requests) < _BATCH:
            try:
                packet = wire.receive(connection.link, self._buffer)
                if packet is None:
                    self._drop(connection)
                    return True
                requests.extend((connection, request) for request in wire.decode_requests(packet))
            except BlockingIOError:
                return True
            except (OSError, msgspec.MsgspecError) as error:
                _log.warning("a worker's connection failed: %s", error)
                self._drop(connection)
                return True
        return False

    def _handle(self, requests: list[tuple[_Connection, Request]]) -> None:
        commits: list[tuple[_Connection, Request]] = []
        holds: list[tuple[_Connection, Request]] = []
        refused: list[tuple[_Connection, Request]] = []
        for connection, request in requests:
            if isinstance(request, wire.Abandon):
                self._housekeeping.abandon(request.directory_id, request.segment_id)
            elif isinstance(request, wire.Retire):
                self._housekeeping.retire(request.directory_id)
            elif isinstance(request, wire.Hold):
                self._housekeeping.hold(connection)
                holds.append((connection, request))
            elif isinstance(request, wire.Rewrap) and self._housekeeping.holding:
                refused.append((connection, request))
            else:
                commits.append((connection, request))
        replies = self._commit([request for _, request in commits]) if commits else []
        outbound: dict[_Connection, list[Reply]] = {}
        for (connection, _), reply in zip(commits, replies, strict=True):
            outbound.setdefault(connection, []).append(reply)
        for connection, request in holds:
            outbound.setdefault(connection, []).append(Reply(request.id))
        for connection, request in refused:
            error = StoreFailed("a backup is being made, which copies wrapped keys: try again when it has ended")
            outbound.setdefault(connection, []).append(_failure(request, error))
        for connection, own in outbound.items():
            connection.outbound.extend(wire.packets(own))
            if connection.flush() or connection.link.fileno() not in self._connections:
                continue
            if sum(map(len, connection.outbound)) > _MOST_UNSENT:
                _log.warning("a worker does not take its replies: its connection is dropped")
                self._drop(connection)
                continue
            self._epoll.modify(connection.link.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _commit(self, requests: list[Request], again: bool = True, reserve: bool = False) -> list[Reply]:
        """Commit requests together; where that fails, one by one, so that one which cannot be done fails alone."""
        try:
            return self._attempt(requests)
        except CommitFailed:
            raise
        except Exception as error:
            if isinstance(error, _IndexFull) and not reserve and self._room.grow():
                return self._commit(requests, again)
            if isinstance(error, _NoRoom) and again:
                self._advance()
                return self._commit(requests, again=False)
            if len(requests) > 1:
                return [reply for request in requests for reply in self._commit([request], again=False)]
            if isinstance(error, _NoRoom) and isinstance(requests[0], MAKES_ROOM) and not reserve:
                with self._room.opened():
                    return self._commit(requests, again=False, reserve=True)
            if isinstance(error, _NoRoom):
                return [_failure(requests[0], StoreFull(f"no room is left for the index: {error}"))]
            _log.exception("a %s request failed", type(requests[0]).__name__)
            return [_failure(requests[0], StoreFailed("the commit failed; nothing of it was stored"))]

    def _advance(self) -> None:
        """Commit next to nothing: LMDB reuses pages that one commit freed only two commits later."""
        self._index.env.reader_check()
        with contextlib.suppress(_NoRoom):
            self._attempt([])

    def _attempt(self, requests: list[Request]) -> list[Reply]:
        try:
            txn = self._index.env.begin(write=True)
            try:
                batch = Batch(self._index, txn, self._keys, self._recheck)
                replies = [_apply(batch, request) for request in requests]
                batch.store_rows()
                if not requests:
                    self._index.touch(txn)
                self._housekeeping.forget_removed(txn)
                self._sync.sync(batch.directories)
                _commit(txn)
            finally:
                txn.abort()  # does nothing after a commit
        except lmdb.MapFullError as error:
            raise _IndexFull(str(error)) from error
        except (lmdb.DiskError, lmdb.TxnFullError) as error:
            raise _NoRoom(str(error)) from error
        except (lmdb.PanicError, SyncFailed) as error:
            raise CommitFailed(str(error)) from error
        except OSError as error:
            if error.errno in NO_ROOM:
                raise _NoRoom(str(error)) from error
            raise
        self._publish(batch.new_keys)
        self._housekeeping.forgotten()
        self._count("commits", 1)
        self._count("committed_writes", len(requests))
        self._remove(batch.garbage, requests, replies)
        return replies

    def _count(self, name: str, more: int) -> None:
        self._counts[name] = self._counts.get(name, 0) + more

    def _publish(self, new_keys: list[bytes]) -> None:
        try:
            for data_id in new_keys:
                self._keys.publish(data_id)
        except OSError as error:
            raise CommitFailed(f"a bucket's key could not be named: {error.strerror}") from error

    def _remove(self, garbage: Garbage, requests: list[Request], replies: list[Reply]) -> None:
        try:
            self._housekeeping.remove(garbage)
        except SyncFailed as error:
            raise CommitFailed(str(error)) from error
        except OSError:
            _log.exception("a bucket's key could not be shredded")
            for index, request in enumerate(requests):
                if isinstance(request, wire.Destroy):
                    error = StoreFailed("the bucket is gone, but its key could not be removed: try again")
                    replies[index] = _failure(request, error)

    def _accept(self) -> list[int]:
        accepted: list[int] = []
        while True:
            try:
                link, _ = self._listener.accept()
            except BlockingIOError:
                return accepted
            except OSError as error:  # out of descriptors or memory, or the worker is gone already: others go on
                _log.warning("a worker's connection could not be accepted: %s", error)
                time.sleep(_ACCEPT_PAUSE)
                return accepted
            link.setblocking(False)
            credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            if struct.unpack("3i", credentials)[1] != os.getuid():
                link.close()
                continue
            wire.enlarge(link)
            self._epoll.register(link.fileno(), select.EPOLLIN)
            self._connections[link.fileno()] = _Connection(link)
            accepted.append(link.fileno())

    def _drop(self, connection: _Connection) -> None:
        self._epoll.unregister(connection.link.fileno())
        del self._connections[connection.link.fileno()]
        connection.link.close()
        connection.outbound.clear()
        self._housekeeping.let_go(connection)
        self._housekeeping.look_for_orphans()
        self._look_again = time.monotonic() + _LOOK_AGAIN

    def _close(self) -> None:
        for connection in list(self._connections.values()):
            connection.link.close()
        self._connections.clear()
        Path(self._path).unlink(missing_ok=True)
        self._listener.close()
        self._epoll.close()
        self._housekeeping.close()
        self._sync.close()
        self._index.env.close()
        os.close(self._lock)


def _apply(batch: Batch, request: Request) -> Reply:
    """Do one request within the transaction. Domain errors are its answer; anything else fails the transaction."""
    try:
        return Reply(request.id, "", APPLY[type(request)](batch, request) or "")
    except (StoreError, Conflict) as error:
        return _failure(request, error)


def _failure(request: Request, error: Exception) -> Reply:
    detail = error.code if isinstance(error, Refused) else str(error)
    return Reply(request.id, type(error).__name__, detail)


def _commit(txn: lmdb.Transaction) -> None:
    try:
        txn.commit()
    except (lmdb.MapFullError, lmdb.DiskError):
        raise  # no page of this transaction is referred to; the next one writes all its own pages anew
    except lmdb.Error as error:
        # An I/O error may be a sync that failed, however little room there is. It may be a write that was cut short by
        # a full disk, too, where room that was taken ahead is none (room.py): a new process begins there as well.
        raise CommitFailed(str(error)) from error


def _take_lock(layout: Layout) -> int:
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_WAIT
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise StoreUnusable(f"the store {layout.root} is in use by another process: stop it first")
        time.sleep(0.05)
    return descriptor


def _listen(path: str) -> socket.socket:
    """A listening packet socket at a path, put there in one step: whoever finds it can connect."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    draft = f"{path}.{os.getpid()}"
    if len(os.fsencode(draft)) > _PATH_MAX:
        listener.close()
        raise StoreUnusable(
            f"the path of the committer's socket is too long: choose a run directory shorter than {path}"
        )
    Path(draft).unlink(missing_ok=True)
    listener.bind(draft)
    os.chmod(draft, 0o600)
    listener.listen(128)
    os.rename(draft, path)
    return listener
