"""One request and its answer: admitted, handled at once or in a task, sent whole or streamed, observed."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Protocol

from cooper_gateway.http.body import RawBody
from cooper_gateway.http.context import Context
from cooper_gateway.http.errors import error_response, subject
from cooper_gateway.http.finished import Finished
from cooper_gateway.http.head import Head
from cooper_gateway.http.rendering import UnsafeHeader, content_length, has_content, render_head
from cooper_gateway.http.repeats import Known
from cooper_gateway.operations.call import Call
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request, Response

log = logging.getLogger(__name__)

#: Observed as the status when the client left before an answer began (as nginx does).
CLIENT_LEFT = 499


class Wire(Protocol):
    """The connection, as an exchange sees it."""

    @property
    def peer(self) -> str:
        """Address of the client; empty where it is not known."""
        ...

    @property
    def write_paused(self) -> bool:
        """Whether the transport's write buffer is over its high-water mark."""
        ...

    def write(self, data: bytes | bytearray) -> None:
        """Send, or queue, these bytes."""
        ...

    async def drained(self) -> None:
        """Wait until the write buffer is under its low-water mark."""
        ...

    def abort(self) -> None:
        """Cut the connection: what was sent is not the whole answer."""
        ...

    def exchange_done(self, keep_alive: bool) -> None:
        """The answer was written; what follows is the next request or the end."""
        ...


class Exchange:
    """`start()` it once the head is parsed; the wire's `exchange_done` follows, at once or later, unless cancelled."""

    __slots__ = (
        "_begun",
        "_call",
        "_context",
        "_error_code",
        "_head",
        "_observed",
        "_raw",
        "_request",
        "_request_id",
        "_sent",
        "_status",
        "_task",
        "_wire",
        "streaming",
    )

    def __init__(
        self, wire: Wire, context: Context, head: Head, raw: RawBody | None, admitted: Call | None = None
    ) -> None:
        self._wire = wire
        self._context = context
        self._head = head
        self._raw = raw  # None: a GET or HEAD without a body
        self._begun = time.perf_counter()
        self._call = admitted
        if admitted is None:
            path, _, query = head.target.partition(b"?")
            self._request = Request(head.method, path, query, head.headers, peer=wire.peer, secure=context.secure)
            self._request_id = context.request_ids()
        else:
            self._request, self._request_id = admitted.request, admitted.request_id
        self._task: asyncio.Task[None] | None = None
        self._status = CLIENT_LEFT
        self._error_code = ""
        self._sent = 0  # bytes of the answer's body
        self._observed = False
        self.streaming = False

    @property
    def undecided(self) -> bool:
        """Whether what has arrived does not say yet whether the request is admitted."""
        return self._call is None

    def start(self, learn: Callable[[Request, Known], None] | None = None) -> None:
        """Decide the request from its head alone: refuse it, answer it at once, or begin a task. `learn` is told what
        holds for others that are like it."""
        pipeline = self._context.pipeline
        response: Response | None = None
        try:
            if self._head.method == "OPTIONS":
                response = pipeline.preflight(self._request)
            else:
                response = self._admit(learn)
        except Exception as error:  # the edge: everything becomes an answer
            response = self._explained(error)
        if response is not None and isinstance(response.body, bytes):
            self._send(response, response.body)
        else:
            self._task = self._context.spawn(self._run(response))

    def _admit(self, learn: Callable[[Request, Known], None] | None) -> Response | None:
        """The answer where it can be given at once. Raises what the pipeline raises."""
        if self._call is None:
            told = None if learn is None else partial(learn, self._request)
            self._call = self._context.pipeline.admit(self._request, self._raw, self._request_id, told)
        return self._context.pipeline.now(self._call) if self._raw is None and self._call is not None else None

    async def _answer(self) -> Response:
        """The answer where it takes its time. Raises what the pipeline raises."""
        pipeline = self._context.pipeline
        if self._call is None:
            assert self._raw is not None
            self._call = await pipeline.admit_form(self._request, self._raw, self._request_id)
        return await pipeline.handle(self._call)

    def cancel(self) -> None:
        """The client has left: stop the handler."""
        # Let go of it: a cancelled task keeps its frames, which hold us and the bytes that were on their way, and the
        # collector seldom comes by.
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        self._observe()

    def withdrawn(self) -> S3Error | None:
        """Why the records do not allow this request any more; None while they do. Asked every second."""
        if self._call is not None and self._call.spending is not None:
            self._call.spending.progress((0 if self._raw is None else self._raw.received) + self._sent)
        return None if self._call is None else self._context.pipeline.withdrawn(self._call)

    async def _run(self, response: Response | None) -> None:
        if response is None:
            try:
                response = await self._answer()
            except Exception as error:
                response = self._explained(error)
        if isinstance(response.body, bytes):
            self._send(response, response.body)
        else:
            await self._stream(response, response.body)

    def _explained(self, error: Exception) -> Response:
        explained = self._context.pipeline.explain(error, self._call, self._request_id)
        return self._error(explained)

    def _error(self, error: S3Error) -> Response:
        self._error_code = error.code
        resource = self._request.path.decode("latin-1")
        about = subject(error, self._request)
        return error_response(error, resource, self._request_id, self._context.host_id, about)

    def _send(self, response: Response, body: bytes) -> None:
        keep_alive = self._may_keep_alive()
        try:
            data = self._render(response, keep_alive)
        except (UnsafeHeader, ValueError):
            log.exception("request %s: the answer could not be rendered", self._request_id)
            response = self._error(S3Error("InternalError"))
            assert isinstance(response.body, bytes)
            body = response.body
            data = self._render(response, keep_alive)
        self._status = response.status
        if body and has_content(response.status, self._head.method):
            self._sent = len(body)
            data += body
        self._wire.write(data)
        self._observe()
        self._wire.exchange_done(keep_alive)

    async def _stream(self, response: Response, stream: AsyncIterator[bytes | bytearray]) -> None:
        """Send a body as it comes. Once the head is out, only cutting the connection can tell that something failed."""
        wire = self._wire
        keep_alive = self._may_keep_alive()
        try:
            left = content_length(response)
            if self._call is not None and self._call.spending is not None:
                self._call.spending.announce(left)
            wire.write(self._render(response, keep_alive))
            self._status = response.status
            self.streaming = True
            async for chunk in stream:
                left -= len(chunk)
                if left < 0:
                    break
                self._sent += len(chunk)
                wire.write(chunk)
                if wire.write_paused:
                    await wire.drained()
            if left != 0:
                log.error("request %s: a streamed body was not as long as announced", self._request_id)
        except Exception as error:
            # Logs what is a fault, and counts it: the status that went out says nothing of it.
            self._error_code = self._context.pipeline.explain(error, self._call, self._request_id).code
            left = -1
        finally:
            self.streaming = False
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
        if left == 0:
            self._observe()
            wire.exchange_done(keep_alive)
        else:
            wire.abort()

    def _render(self, response: Response, keep_alive: bool) -> bytes:
        if not keep_alive:
            connection = "close"
        else:
            connection = "keep-alive" if self._head.minor == 0 else None
        response.headers.update(self._context.pipeline.shared(self._request, self._call))
        return render_head(response, self._context.common, self._request_id, connection)

    def _may_keep_alive(self) -> bool:
        # With a body half read the next request's beginning could not be found.
        complete = self._raw is None or self._raw.ended
        return complete and self._head.keep_alive and not self._context.stopping

    def _observe(self) -> None:
        if self._observed:
            return
        self._observed = True
        received = 0 if self._raw is None else self._raw.received
        seconds = time.perf_counter() - self._begun
        request = self._request
        if self._call is not None and self._call.spending is not None:
            self._call.spending.settle(received + self._sent)
        self._context.pipeline.observe(
            Finished(
                request, self._request_id, self._status, self._error_code, seconds, received, self._sent, request.peer
            )
        )


def refusal(error: S3Error, context: Context, peer: str) -> bytes:
    """The whole answer to bytes from `peer` that never became a request."""
    request_id = context.request_ids()
    response = error_response(error, "", request_id, context.host_id)
    assert isinstance(response.body, bytes)
    context.pipeline.observe(Finished(None, request_id, error.status, error.code, 0.0, 0, len(response.body), peer))
    return render_head(response, context.common, request_id, "close") + response.body
