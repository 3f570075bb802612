"""One client connection: bytes in, requests in order, answers out, everything bounded.

    HEAD --whole section--> BODY --whole body--> ANSWER --answer sent--> HEAD …
      |                       |                     |
      |                       +--answer sent before the body was read--> LINGER
      +--malformed, too large, too slow----------------------------------> LINGER --drained or late--> CLOSING

llhttp sees one header section at a time; the body's bytes are counted (or unchunked) here. Requests that a client
pipelines wait as bytes, at most so many, until the one before them was answered.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any, Final, cast

from cooper_gateway.http.body import PIECE, RawBody
from cooper_gateway.http.chunked import ChunkedDecoder
from cooper_gateway.http.context import Context
from cooper_gateway.http.direct import DirectReceipt
from cooper_gateway.http.exchange import Exchange, refusal
from cooper_gateway.http.head import Head, find_head_end, parse_head
from cooper_gateway.http.progress import Progress
from cooper_gateway.http.rendering import CONTINUE
from cooper_gateway.http.repeats import Known, Repeats
from cooper_gateway.operations.call import Call
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request

#: How long a client that does nothing has to answer the end of TLS when the worker stops.
_GOODBYE_SECONDS: Final = 1.0
#: How long a client may pause before its heads are forgotten.
_FORGET_SECONDS: Final = 10.0
#: Most pipelined requests that are answered before others have their turn.
_AT_A_TIME: Final = 64


class Phase(Enum):
    """What the next bytes from the client are."""

    HEAD = auto()  # the next request's header section
    BODY = auto()  # of a request in progress
    ANSWER = auto()  # a later request: one is in progress
    LINGER = auto()  # dropped: the client is to see the answer rather than a reset
    CLOSING = auto()  # nothing


class S3Connection(asyncio.Protocol):
    """The asyncio protocol, for uvloop and for asyncio's own loop."""

    __slots__ = (
        "_advancing",
        "_chunked",
        "_context",
        "_direct",
        "_eof",
        "_exchange",
        "_expects_continue",
        "_input",
        "_limits",
        "_lingered",
        "_phase",
        "_raw",
        "_reading",
        "_receiving",
        "_remaining",
        "_repeats",
        "_sending",
        "_since",
        "_transport",
        "_waiter",
        "_written",
        "peer",
        "write_paused",
    )

    _transport: asyncio.Transport

    def __init__(self, context: Context) -> None:
        self._context = context
        self._limits = context.limits
        self._phase = Phase.HEAD
        self._since = context.now  # when this phase began, or the head's first byte arrived
        self._input = b""  # of a header section, or of requests that wait
        self._reading = True
        self._eof = False
        self._advancing = False
        self._exchange: Exchange | None = None
        self._repeats = Repeats()
        self._raw: RawBody | None = None
        self._chunked: ChunkedDecoder | None = None
        self._remaining = 0  # bytes of a body with Content-Length still to come; while `_direct`, its matter
        self._direct = False  # the body is read straight into its pieces
        self._expects_continue = False
        self._lingered = 0
        self._written = 0
        self._receiving = Progress(context.now)
        self._sending = Progress(context.now)
        self._waiter: asyncio.Future[None] | None = None
        self.peer = ""  # address of the client
        self.write_paused = False

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        # uvloop's transports do not derive from asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)
        peername: object = transport.get_extra_info("peername")
        self.peer = str(cast(Any, peername)[0]) if isinstance(peername, tuple) and peername else ""
        self._transport.set_write_buffer_limits(high=self._limits.write_bytes)
        if self._context.secure:  # what waits while reading is paused comes in one piece then
            cast(Any, self._transport).set_read_buffer_limits(high=self._limits.queue_bytes // 2)
        connections = self._context.connections
        connections.add(self)
        if self._context.stopping:
            self._close()
        elif len(connections) > self._limits.connections:
            self._refuse(S3Error("SlowDown", "Too many connections at once. Try again a little later."))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or the connection was closed."""
        self._phase = Phase.CLOSING
        self._context.discard(self)
        exchange, self._exchange = self._exchange, None
        self._raw = None
        if exchange is not None:
            exchange.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived; at most 256 KiB at once on both loops."""
        if self._phase is Phase.HEAD:
            if self._input:
                self._input += data
            else:
                self._input = data
                self._since = self._context.now
            self._advance()
        elif self._phase is Phase.BODY:
            self._take_body(data)
        elif self._phase is Phase.ANSWER:
            self._input += data
            self._keep_pace()
        elif self._phase is Phase.LINGER:
            self._drop(len(data))

    def eof_received(self) -> bool:
        """The client sends no more. True keeps our direction open: the answer may still be on its way. With TLS the
        connection ends."""
        self._eof = True
        if self._phase is Phase.BODY and self._raw is not None:
            self._fail_body(self._raw, S3Error("IncompleteBody"))
        # Requests may wait for their turn, or until their client reads: it is closed when they are answered.
        waits = self._phase is Phase.HEAD and b"\r\n\r\n" in self._input
        if waits:
            self._context.loop.call_soon(self._advance)
        return (waits or self._exchange is not None) and not self._context.secure

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self.write_paused = True
        self._context.stalls(self)

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._phase is Phase.CLOSING:
            return
        self.write_paused = False
        self._context.moves(self)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        self._advance()

    # The exchange's side (exchange.Wire).

    def write(self, data: bytes | bytearray) -> None:
        """Send, or queue, these bytes."""
        self._written += len(data)
        self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the write buffer is under its low-water mark."""
        if self.write_paused:
            self._waiter = self._context.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def abort(self) -> None:
        """Cut the connection."""
        self._phase = Phase.CLOSING
        self.write_paused = True  # for good: a stream stops here until `connection_lost` cancels it
        self._transport.abort()

    def exchange_done(self, keep_alive: bool) -> None:
        """The answer was written: on to the next request, or to the end."""
        self._exchange = None
        raw, self._raw = self._raw, None
        if self._phase is Phase.CLOSING:
            return
        if keep_alive:
            self._phase = Phase.HEAD
            self._since = self._context.now
            self._advance()
        elif raw is None or raw.ended:
            self._close()
        else:
            self._linger()

    # The body's side (body.Flow).

    def begin_body(self) -> None:
        """The handler wants the body: everything that the head alone decides was decided."""
        # RFC 9110, 10.1.1: "A server MAY omit sending a 100 (Continue) response if it has already received some or all
        # of the content".
        if self._expects_continue and self._raw is not None and not self._raw.received:
            self.write(CONTINUE)

    def pause_body(self) -> None:
        """The body's queue is full."""
        if self._phase is Phase.BODY:
            self._pause_reading()

    def resume_body(self) -> None:
        """The body's queue has room again."""
        if self._phase is Phase.BODY and self._raw is not None:
            self._receiving.reset(self._raw.received, self._context.now)
            self._resume_reading()

    # The clock's and the server's side.

    def tick(self, now: float) -> None:
        """Once a second: time-outs, and whether a stream is still allowed. `now` in the loop's seconds."""
        limits = self._limits
        if not self._transport.get_write_buffer_size():
            self._sending.reset(self._written, now)
        elif self._sending.stalled(self._taken(), now, limits.least_progress, limits.write_seconds):
            self.abort()
            return
        if self._phase is Phase.HEAD:
            self._tick_head(now)
        elif self._phase is Phase.BODY:
            self._tick_body(now)
        elif self._phase is Phase.LINGER and now - self._since > limits.linger_seconds:
            self._close()
        exchange = self._exchange
        if exchange is not None and exchange.streaming and exchange.withdrawn() is not None:
            self.abort()

    def close_if_idle(self) -> None:
        """The worker stops: what is not answering a request ends now."""
        if self._exchange is None and self._phase is Phase.HEAD:
            silent = self._context.secure and not self._transport.get_write_buffer_size()
            self._close()
            if silent:
                # The end of TLS is to be answered, which a client that is idle as well does only when it looks.
                self._context.loop.call_later(_GOODBYE_SECONDS, self._transport.abort)

    def _tick_head(self, now: float) -> None:
        if self.write_paused:
            self._since = now  # the wait is for our own backpressure, which has its own limit
            return
        if now - self._since > _FORGET_SECONDS:
            self._repeats.forget()
        if now - self._since <= self._patience(
            self._limits.header_seconds if self._input else self._limits.idle_seconds
        ):
            return
        if self._input:
            self._refuse(S3Error("RequestTimeout", "The header section did not arrive in time."))
        else:
            self._close()

    def _patience(self, seconds: float) -> float:
        """How long a client may take who has not shown yet what it wants: it makes room for those who ask."""
        return min(seconds, self._limits.crowded_seconds) if self._context.crowded else seconds

    def _tick_body(self, now: float) -> None:
        raw, exchange = self._raw, self._exchange
        if raw is None or exchange is None:
            return
        # Nothing of it could be committed: so it must not go on filling the disk.
        error = exchange.withdrawn()
        if error is not None:
            self._fail_body(raw, error)
        elif exchange.undecided and now - self._since > self._patience(self._limits.header_seconds):
            # Of a stranger, perhaps: a form's fields have the time that a header section has.
            self._fail_body(raw, S3Error("RequestTimeout", "The form's fields did not arrive in time."))
        elif not raw.waits_for_client:
            self._receiving.reset(raw.received, now)
        elif self._receiving.stalled(raw.received, now, self._limits.body_progress, self._limits.body_seconds):
            self._fail_body(raw, S3Error("RequestTimeout"))

    def _taken(self) -> int:
        return self._written - self._transport.get_write_buffer_size()

    # Inside.

    def _advance(self) -> None:
        """Begin the requests that have arrived, one after the other, until one has to be waited for."""
        if self._advancing:
            return
        self._advancing = True
        begun = 0
        try:
            while self._phase is Phase.HEAD and self._input and not self.write_paused and begun < _AT_A_TIME:
                if not self._begin_next():
                    break
                begun += 1
        except S3Error as error:
            self._refuse(error)
        finally:
            self._advancing = False
        self._keep_pace()
        if begun == _AT_A_TIME:
            self._context.loop.call_soon(self._advance)  # other connections come in between
        elif self._eof and self._phase is Phase.HEAD and not self.write_paused:
            self._close()

    def _keep_pace(self) -> None:
        """Read no more while many requests wait: for the answer to one, or for the client to take answers."""
        if self._phase in (Phase.HEAD, Phase.ANSWER) and len(self._input) > self._limits.pipelined_bytes:
            self._pause_reading()
        elif self._phase is Phase.HEAD:
            self._resume_reading()

    def _begin_next(self) -> bool:
        """Take one header section off the input and begin its request; False when it is not complete."""
        data = self._input
        # RFC 9112, 2.2: "a server … SHOULD ignore at least one empty line (CRLF) received prior to the request-line."
        start = 2 if data.startswith(b"\r\n") else 0
        end = find_head_end(data, start, self._limits)
        if not end:
            return False
        section = data[start:end]
        if not self._begin_repeat(section, data, end):
            head = parse_head(section, self._limits)
            self._input = data[end:]
            self._begin(head, self._body_of(head), learn=partial(self._repeats.remember, section, head))
        return True

    def _begin_repeat(self, section: bytes, data: bytes, end: int) -> bool:
        """Begin the request of a header section of a known kind (repeats.py); False when it is to be read whole."""
        found = self._repeats.read(section)
        if found is None:
            return False
        kind, repeat = found
        if kind.plain and not self._context.stopping:
            answer = self._context.plain_reads.answer(kind, repeat, self._context.common_bytes)
            if answer is not None:
                self._input, self._since = data[end:], self._context.now
                self.write(answer)
                return True
        raw = self._body_of(repeat.head)
        call = self._context.pipeline.admit_repeat(kind, repeat, raw, self._context.request_ids())
        if call is None:
            return False
        self._input = data[end:]
        self._begin(repeat.head, raw, call)
        return True

    def _body_of(self, head: Head) -> RawBody | None:
        """What a request's body will be in; None: it is a GET or HEAD without one."""
        if head.length or head.chunked:
            return RawBody(self, self._limits.queue_bytes)
        if head.method in ("GET", "HEAD"):
            return None
        raw = RawBody(None)
        raw.end()
        return raw

    def _begin(
        self,
        head: Head,
        raw: RawBody | None,
        admitted: Call | None = None,
        learn: Callable[[Request, Known], None] | None = None,
    ) -> None:
        self._phase = Phase.ANSWER
        if head.length or head.chunked:
            self._phase = Phase.BODY
            self._remaining = head.length
            self._chunked = ChunkedDecoder() if head.chunked else None
            self._expects_continue = head.expect_continue
            self._receiving.reset(0, self._context.now)
        self._raw = raw
        exchange = self._exchange = Exchange(self, self._context, head, raw, admitted)
        exchange.start(learn)
        if self._phase is Phase.BODY:
            self._resume_reading()  # it was paused while this request waited
            if self._input:
                data, self._input = self._input, b""
                self._take_body(data)

    def _take_body(self, data: bytes) -> None:
        raw = self._raw
        assert raw is not None
        if self._chunked is None:
            payload, rest = data, b""
            if len(data) > self._remaining:
                payload, rest = data[: self._remaining], data[self._remaining :]
            self._remaining -= len(payload)
            done = not self._remaining
        else:
            try:
                payload, rest = self._chunked.feed(data)
            except S3Error as error:
                self._fail_body(raw, error)
                return
            done = self._chunked.done
        if payload:
            raw.push(payload)
        if done:
            self._end_body(raw, rest)
        elif self._chunked is None and raw.received >= PIECE and not self._context.secure:
            # Not before as much has come as a piece takes: who sends little is to hold little.
            self._direct = True
            direct = DirectReceipt(self, raw, self._remaining, partial(self._end_body, raw))
            self._transport.set_protocol(direct)

    def _end_body(self, raw: RawBody, rest: bytes = b"") -> None:
        """All of the body has arrived, and perhaps `rest`, of later requests."""
        self._read_ourselves()
        self._phase = Phase.ANSWER
        self._input = rest
        raw.end()

    def _read_ourselves(self) -> None:
        """What comes next is not of the body, or not wanted any more."""
        if self._direct:
            self._direct = False
            self._transport.set_protocol(self)

    def _fail_body(self, raw: RawBody, error: S3Error) -> None:
        """The body will not be complete. The exchange goes on: its handler learns it and the answer says it."""
        self._phase = Phase.ANSWER
        self._pause_reading()
        raw.fail(error)

    def _refuse(self, error: S3Error) -> None:
        self.write(refusal(error, self._context, self.peer))
        self._linger()

    def _linger(self) -> None:
        """Half-close, and drop a bounded amount of what still comes: closing at once would reset the answer away."""
        if self._eof:
            self._close()
            return
        self._read_ourselves()
        self._phase = Phase.LINGER
        self._since = self._context.now
        if self._transport.can_write_eof():  # with TLS no direction can be closed alone
            self._transport.write_eof()
        self._resume_reading()
        dropped, self._input = len(self._input), b""
        self._drop(dropped)

    def _drop(self, size: int) -> None:
        self._lingered += size
        if self._lingered > self._limits.linger_bytes:
            self._pause_reading()

    def _close(self) -> None:
        """Close once what was written is sent; the write time-out still holds."""
        self._phase = Phase.CLOSING
        self._transport.close()

    def _pause_reading(self) -> None:
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()
