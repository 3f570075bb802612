"""Traces: a span of each request, to a collector, by OpenTelemetry's own exporter (OTLP over HTTP).

Off until it is asked for: only then are its libraries loaded. A span is made once the request is over, and handed to a
thread that delivers many at a time: a collector that is slow or away holds up no request. What it does not take in time
is dropped, and counted.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from cooper_gateway.http.finished import Finished

#: Spans that wait. The specification's default for a batch processor.
_MOST_WAITING: Final = 2048
#: Spans delivered at once, and milliseconds between deliveries: its defaults as well. Set here, since a variable that
#: does not fit the others would end a worker.
_AT_ONCE: Final = 512
_PAUSE: Final = 5000
#: Characters of a value, most of which a client chooses.
_LONGEST: Final = 400
#: "There MUST be no more than 32 list-members", and vendors "SHOULD propagate at least 512 characters" (Trace Context).
_LONGEST_STATE: Final = 512
#: version 00: 2 + 32 + 16 + 2 hexadecimal digits and three dashes (Trace Context, 3.2). Others are not read.
_PARENT: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_PROPAGATOR: Final = TraceContextTextMapPropagator()
#: A server's error; what a client did wrong is none of a server's span (semantic conventions, HTTP).
_FIRST_FAILURE: Final = 500
_METHODS: Final = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"))
_PATH: Final = "/v1/traces"
_HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
#: The logger of what reads that variable.
_READER: Final = "opentelemetry.util.re"

_log = logging.getLogger(__name__)


class Traces:
    """Delivers to a collector until `close`. `share` of the traces that begin here is told, from 0 to 1."""

    def __init__(
        self,
        collector: str,
        share: float,
        region: str,
        worker: int,
        clock: Callable[[], int] = time.time_ns,
        exporter: SpanExporter | None = None,
    ) -> None:
        """`collector` is its URL. Its headers and certificates are said by OpenTelemetry's variables."""
        self._clock = clock
        reasons = _Reasons()  # before the exporter, which logs what it does not understand
        exporter = exporter or OTLPSpanExporter(endpoint=_spans_of(collector), session=_Session())
        self._delivery = _Delivery(exporter, _host_of(collector), reasons)
        self._processor = BatchSpanProcessor(
            self._delivery,
            max_queue_size=_MOST_WAITING,
            max_export_batch_size=_AT_ONCE,
            schedule_delay_millis=_PAUSE,
        )
        said = OTELResourceDetector().detect().attributes or {}  # by OpenTelemetry's variables
        resource = Resource.create(
            {"service.name": "cooper-gateway", **said, "cooper.region": region, "cooper.worker": worker},
        )
        self._provider = TracerProvider(
            ParentBased(TraceIdRatioBased(share)),
            resource,
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attribute_length=_LONGEST),
        )
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("cooper")
        self._told = 0
        self._full = 0

    @property
    def dropped(self) -> int:
        """Spans that no collector has got, and none will."""
        return self._full + self._delivery.failed

    def note(self, finished: Finished) -> None:
        """Tell of a request, if it is told of."""
        request = finished.request
        if request is None:
            return
        end = self._clock()
        span = self._tracer.start_span(
            finished.operation if finished.operation != "-" else _method(request.method),
            parent_of(request.headers, bool(request.signer)),
            SpanKind.SERVER,
            attributes_of(finished),
            start_time=end - round(finished.seconds * 1e9),
        )
        if not span.is_recording():
            return
        if self._told - self._delivery.taken >= _MOST_WAITING:
            self._full += 1
            return
        if finished.status >= _FIRST_FAILURE:
            span.set_status(Status(StatusCode.ERROR))
        self._told += 1
        span.end(end)

    def close(self, seconds: float = 2.0) -> None:
        """Deliver what waits, for some seconds at most."""
        ending = threading.Thread(target=self._processor.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(seconds)


class _Delivery(SpanExporter):
    """An exporter, with counts, and a word in the log when a collector begins to refuse and when it takes again."""

    def __init__(self, exporter: SpanExporter, host: str, reasons: "_Reasons") -> None:
        self._exporter = exporter
        self._host = host
        self._failing = False
        self._reasons = reasons
        self.taken = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self.taken += len(spans)
            if result is not SpanExportResult.SUCCESS:
                self.failed += len(spans)
            self._tell(result is not SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _tell(self, failing: bool) -> None:
        if failing and not self._failing:
            _log.warning(
                "traces are dropped until %s takes them: %s (--traces names the collector)",
                self._host,
                self._reasons.last or "it took none",
            )
        elif self._failing and not failing:
            _log.info("%s takes traces again", self._host)
        self._failing = failing


class _Session(requests.Session):
    """What a collector is reached by. Nothing around steers it: a proxy would get what is for the collector, a .netrc
    would replace its token.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        try:
            return super().prepare_request(request)
        except requests.exceptions.InvalidHeader:  # which quotes the value: it can be a token
            raise requests.exceptions.InvalidHeader(f"{_HEADERS} has a value that cannot be sent") from None


class _Reasons(logging.Handler):
    """What the libraries log of every failed attempt is kept, to be told once. How they quote a header that they do not
    understand is told without the quote: it can be a token.
    """

    def __init__(self) -> None:
        super().__init__()
        self.last = ""
        logger = logging.getLogger("opentelemetry")
        logger.propagate = False
        logger.handlers = [self]

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == _READER:
            _log.warning("%s has a part that is not name=value, which is passed over", _HEADERS)
            return
        self.last = " ".join(record.getMessage().split())[:_LONGEST]


def parent_of(headers: Mapping[str, str], signed: bool) -> Context:
    """The trace that a request says it is part of (W3C Trace Context). What does not follow the specification says
    nothing, nor does who has not signed: a stranger would decide how much is traced.
    """
    parent = headers.get("traceparent", "")
    if not signed or not _PARENT.fullmatch(parent):
        return Context()
    carrier = {"traceparent": parent}
    state = headers.get("tracestate", "")
    if len(state) <= _LONGEST_STATE:
        carrier["tracestate"] = state
    return _PROPAGATOR.extract(carrier, Context())


def attributes_of(finished: Finished) -> dict[str, AttributeValue]:
    """What is told, by OpenTelemetry's semantic conventions for HTTP servers and S3. Nothing secret: no query, no
    signature, no headers but one, no path, which can be anything.
    """
    request = finished.request
    assert request is not None
    told: dict[str, AttributeValue] = {
        "http.request.method": _method(request.method),
        "http.response.status_code": finished.status,
        "http.request.body.size": finished.received,
        "http.response.body.size": finished.sent,
        "url.scheme": "https" if request.secure else "http",
        "server.address": _without_port(request.headers.get("host", "")),
        "client.address": finished.peer,
        "user_agent.original": request.headers.get("user-agent", ""),
        "rpc.system": "aws-api",
        "rpc.service": "S3",
        "rpc.method": "" if finished.operation == "-" else finished.operation,
        "aws.request_id": finished.request_id,
        "aws.s3.bucket": request.bucket or "",
        "aws.s3.key": (request.name or b"").decode(errors="replace"),
        "cooper.access_key_id": request.signer,
        "error.type": finished.error,
    }
    return {name: value for name, value in told.items() if value != ""}


def _method(method: str) -> str:
    return method if method in _METHODS else "_OTHER"


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and (not port or port.isdigit()) else host).strip("[]")


def _spans_of(collector: str) -> str:
    """Where a collector takes spans, by its URL with or without that path (OTLP/HTTP)."""
    base = collector.rstrip("/")
    return base if base.endswith(_PATH) else base + _PATH


def _host_of(collector: str) -> str:
    return urlsplit(collector).netloc
