"""A worker's server: one listening socket, its connections, one tick a second, and a graceful end."""

import asyncio
import contextlib
import socket
from collections.abc import Coroutine, Sequence
from typing import Any

from cooper_gateway.http.certificate import ServingCertificate
from cooper_gateway.http.connection import S3Connection
from cooper_gateway.http.context import Context
from cooper_gateway.http.limits import DEFAULT_LIMITS, HttpLimits
from cooper_gateway.http.pipeline import Pipeline

_BACKLOG = 1024
#: uvloop takes one connection off a listening socket in each turn of its loop, and a turn is as long as all the
#: requests of it take: where many connect to a busy worker at once, the last one would wait for a second. So the one
#: socket is looked at this many times in each turn.
_LOOKS = 16
_CLEANUP_SECONDS = 2.0


class S3Server:
    """What `serve` returns. Stop it before the loop ends."""

    def __init__(self, context: Context, listeners: Sequence[asyncio.Server], tick_seconds: float) -> None:
        self._context = context
        self._listeners = listeners
        self._tick_seconds = tick_seconds
        self._timer = context.loop.call_later(tick_seconds, self._tick)

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._context.connections)

    async def stop(self, grace: float = 5.0) -> None:
        """Accept nothing more, close idle connections, give what is in progress `grace` seconds, cut the rest."""
        context = self._context
        context.stopping = True
        for listener in self._listeners:
            listener.close()
        for connection in list(context.connections):
            connection.close_if_idle()
        await _in_time(context.emptied(), grace)
        self._timer.cancel()
        for connection in list(context.connections):
            connection.abort()
        await _in_time(context.emptied(), _CLEANUP_SECONDS)
        if context.tasks:  # cancelled with their connections: they drop what they had begun
            await asyncio.wait(context.tasks, timeout=_CLEANUP_SECONDS)

    def _tick(self) -> None:
        self._timer = self._context.loop.call_later(self._tick_seconds, self._tick)
        self._context.tick()


async def _in_time(work: Coroutine[Any, Any, None], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(work, seconds)


async def serve(
    sock: socket.socket,
    pipeline: Pipeline,
    index: int,
    count: int,
    limits: HttpLimits = DEFAULT_LIMITS,
    tick_seconds: float = 1.0,
    certificate: ServingCertificate | None = None,
) -> S3Server:
    """Answer S3 requests on a bound socket, as worker `index` of `count`, until `stop`; with a certificate over TLS."""
    tls = certificate is not None
    context = Context(pipeline, index, count, limits, secure=tls)
    if tls:
        certificate.context.bound(limits.handshakes, limits.handshake_seconds)
    listeners = [
        await context.loop.create_server(
            lambda: S3Connection(context),
            sock=each,
            backlog=_BACKLOG,
            ssl=certificate.context if certificate is not None else None,
            ssl_handshake_timeout=limits.handshake_seconds if tls else None,
            # What was written last is still on its way then.
            ssl_shutdown_timeout=limits.write_seconds if tls else None,
        )
        for each in (sock, *(sock.dup() for _ in range(_LOOKS - 1)))
    ]
    return S3Server(context, listeners, tick_seconds)
