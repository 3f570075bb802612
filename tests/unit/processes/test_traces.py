"""Traces: what a span tells and what it does not, whose trace it is part of, that nobody waits for a collector."""

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from cooper_gateway.http.finished import Finished
from cooper_gateway.processes import traces
from cooper_gateway.processes.traces import Traces, parent_of
from cooper_gateway.protocol.messages import Request
from support.collector import collecting
from support.rig import eventually

NOW = 1_800_000_000_250_000_000
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {
    "authorization": "AWS4-HMAC-SHA256 Signature=abc",
    "user-agent": "aws-cli/2",
    "x-amz-meta-a": "private",
    "cookie": "private",
}
COLLECTOR = "http://collector:4318"


def finished(status: int = 200, error: str = "", headers: dict[str, str] | None = None, **fields: Any) -> Finished:
    fields = {"operation": "GetObject", "signer": "AKIA1"} | fields
    sent = HEADERS | (headers or {})
    request = Request("GET", b"/photos/cat", b"X-Amz-Signature=abc", sent, "photos", b"cat", **fields)
    return Finished(request, "ABC", status, error, 0.0125, 3, 4096, "10.0.0.1")


def spans_of(*those: Finished, share: float = 1.0) -> Sequence[ReadableSpan]:
    exporter = InMemorySpanExporter()
    told = Traces(COLLECTOR, share, "eu", 2, lambda: NOW, exporter)
    for each in those:
        told.note(each)
    told.close()
    assert told.dropped == 0
    return exporter.get_finished_spans()


def test_a_span_tells_who_did_what_and_when() -> None:
    (span,) = spans_of(finished())
    assert (span.name, span.kind, span.status.status_code) == ("GetObject", SpanKind.SERVER, StatusCode.UNSET)
    assert (span.start_time, span.end_time) == (NOW - 12_500_000, NOW)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.request.body.size": 3,
        "http.response.body.size": 4096,
        "url.scheme": "http",
        "client.address": "10.0.0.1",
        "user_agent.original": "aws-cli/2",
        "rpc.system": "aws-api",
        "rpc.service": "S3",
        "rpc.method": "GetObject",
        "aws.request_id": "ABC",
        "aws.s3.bucket": "photos",
        "aws.s3.key": "cat",
        "cooper.access_key_id": "AKIA1",
    }
    resource = span.resource.attributes
    assert (resource["service.name"], resource["cooper.region"], resource["cooper.worker"]) == (
        "cooper-gateway",
        "eu",
        2,
    )


def test_the_server_is_told_without_its_port() -> None:
    hosts = ["s3.example.com", "s3.example.com:9000", "[2001:db8::1]:9000", "[2001:db8::1]", "photos.s3:"]
    told = [
        (span.attributes or {})["server.address"] for span in spans_of(*(finished(headers={"host": h}) for h in hosts))
    ]
    assert told == ["s3.example.com", "s3.example.com", "2001:db8::1", "2001:db8::1", "photos.s3"]


def test_variables_say_the_service_and_more_and_not_whose_gateway_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "storage")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,cooper.region=other")
    (span,) = spans_of(finished())
    told = span.resource.attributes
    names = ("service.name", "deployment.environment.name", "cooper.region")
    assert [told[name] for name in names] == ["storage", "test", "eu"]


@pytest.mark.parametrize("name", ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_SCHEDULE_DELAY"])
@pytest.mark.parametrize("value", ["0", "9999", "x"])
def test_no_variable_keeps_a_worker_from_starting(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert len(spans_of(finished())) == 1


def test_only_a_failure_of_the_gateway_is_an_error() -> None:
    denied, failed = spans_of(finished(403, "AccessDenied"), finished(500, "InternalError"))
    assert (denied.status.status_code, (denied.attributes or {})["error.type"]) == (StatusCode.UNSET, "AccessDenied")
    assert (failed.status.status_code, (failed.attributes or {})["error.type"]) == (StatusCode.ERROR, "InternalError")


def test_what_was_not_understood_has_the_name_of_its_method() -> None:
    brewed = Request("BREW", b"/", b"", {}, operation="-")
    (span,) = spans_of(Finished(brewed, "ABC", 405, "MethodNotAllowed", 0.0, 0, 0, ""))
    assert span.name == (span.attributes or {})["http.request.method"] == "_OTHER"


def test_what_never_became_a_request_is_not_told() -> None:
    assert not spans_of(Finished(None, "ABC", 400, "InvalidRequest", 0.0, 0, 9, "10.0.0.1"))


def test_what_a_client_chooses_is_cut() -> None:
    (span,) = spans_of(finished(headers={"user-agent": "x" * 5000}))
    assert len(str((span.attributes or {})["user_agent.original"])) == 400


def parent(header: str, signed: bool = True, **more: str) -> tuple[str, str, bool] | None:
    found = get_current_span(parent_of({"traceparent": header, **more}, signed)).get_span_context()
    if not found.is_valid:
        return None
    return f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled


def test_a_request_that_is_signed_is_part_of_its_trace() -> None:
    (span,) = spans_of(finished(headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}))
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-",
        f"00-{TRACE}-{PARENT}-01\n",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-\u0661\u0661",
        "x" * 8000,
    ],
)
def test_a_parent_that_does_not_follow_the_specification_says_nothing(header: str) -> None:
    assert parent(header) is None
    (span,) = spans_of(finished(headers={"traceparent": header}))
    assert span.parent is None


def test_who_has_not_signed_begins_a_trace_of_his_own() -> None:
    header = f"00-{TRACE}-{PARENT}-01"
    assert parent(header) == (TRACE, PARENT, True)
    assert parent(header, signed=False) is None
    assert not spans_of(finished(signer="", headers={"traceparent": header}), share=0.0)


def test_a_parent_decides_whether_it_is_told_and_else_the_share() -> None:
    told, not_told = (finished(headers={"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}) for flags in ("01", "00"))
    assert len(spans_of(told, not_told, finished(), share=0.0)) == 1
    assert len(spans_of(told, not_told, finished(), share=1.0)) == 2
    assert 0 < len(spans_of(*[finished()] * 200, share=0.5)) < 200


@pytest.mark.parametrize("state", ["a=1,b=2", "=,=,", "a=" + "x" * 9000, "\u00e4=1", "," * 500])
def test_the_state_of_other_vendors_never_costs_the_parent(state: str) -> None:
    began = time.monotonic()
    assert parent(f"00-{TRACE}-{PARENT}-01", tracestate=state) == (TRACE, PARENT, True)
    assert time.monotonic() - began < 1


class Refusing(SpanExporter):
    """Takes nothing until it is told to; waits in between where that is asked for."""

    def __init__(self, halted: bool = False) -> None:
        self.result = SpanExportResult.FAILURE
        self.go = threading.Event()
        if not halted:
            self.go.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.go.wait(30)
        return self.result


def test_nobody_waits_for_a_collector_that_halts_and_what_is_dropped_is_counted() -> None:
    exporter = Refusing(halted=True)
    told = Traces(COLLECTOR, 1.0, "eu", 1, lambda: NOW, exporter)
    for _ in range(3000):
        told.note(finished())
    assert told.dropped == 3000 - traces._MOST_WAITING
    began = time.monotonic()
    not_told = f"00-{TRACE}-{PARENT}-00"
    told.note(finished(headers={"traceparent": not_told}))  # nobody misses it
    assert told.dropped == 3000 - traces._MOST_WAITING
    told.close(0.2)
    assert time.monotonic() - began < 10
    exporter.go.set()
    eventually("the end of what was on its way", lambda: told.dropped == 3000, seconds=60)


def test_the_log_says_once_that_a_collector_refuses_and_once_that_it_takes_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    exporter = Refusing()
    delivery = traces._Delivery(exporter, "collector:4318", traces._Reasons())
    with caplog.at_level(logging.INFO, traces.__name__):
        for _ in range(3):
            logging.getLogger("opentelemetry.exporter").error("Failed: %s", "connection\nrefused")
            delivery.export([])
        exporter.result = SpanExportResult.SUCCESS
        for _ in range(3):
            delivery.export([])
    assert [each.levelname for each in caplog.records] == ["WARNING", "INFO"]
    assert "collector:4318" in caplog.text
    assert "Failed: connection refused" in caplog.text


@pytest.mark.parametrize("url", [COLLECTOR, COLLECTOR + "/", COLLECTOR + "/v1/traces"])
def test_the_path_of_spans_is_added_where_it_is_not_said(url: str) -> None:
    assert traces._spans_of(url) == "http://collector:4318/v1/traces"


@pytest.fixture
def wished(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-collector")
    return "Bearer of-the-collector"


def test_nothing_around_steers_what_goes_to_a_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wished: str
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with collecting() as proxy, collecting() as collector:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        told = Traces(collector.url, 1.0, "eu", 1)
        told.note(finished())
        told.close(30)
        assert [span.name for span in collector.spans] == ["GetObject"]
        assert not proxy.paths
    assert [each["authorization"] for each in collector.headers] == [wished]


@pytest.mark.parametrize("headers", ["Bearer of-the-collector", "authorization=Bearer%20of-the%0Acollector"])
def test_a_header_that_is_none_is_told_without_its_value(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, headers: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", headers)
    with caplog.at_level(logging.INFO), collecting() as collector:
        told = Traces(collector.url, 1.0, "eu", 1)
        told.note(finished())
        told.close(30)
    assert "OTEL_EXPORTER_OTLP_HEADERS has a" in caplog.text
    assert "of-the" not in caplog.text
