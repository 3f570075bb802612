"""A real gateway and a collector: what is told of requests, and that clients never notice the collector."""

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from cooper_crds.actions import DEFAULT_ACTIONS
from cooper_crds.records import Grant
from support.collector import attributes, collecting
from support.gateway_rig import Gateway, answer, on_folder
from support.records_fixtures import bucket, key, region
from support.rig import eventually

KEY = key(grants=(Grant("photos", bucket().data_id, DEFAULT_ACTIONS),))
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def gateway_with(home: Path, collector: str, *options: str) -> Gateway:
    return Gateway(home, *on_folder(home, region(), bucket(), KEY), "--traces", collector, *options)


def _part_of_a_trace(request: Any, **_: Any) -> None:
    request.headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"


def test_a_collector_is_told_of_requests_and_of_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-collector")
    with collecting() as collector, gateway_with(tmp_path, collector.url) as gateway:
        eventually("readiness", lambda: gateway.ready)
        client = gateway.client(KEY)
        client.meta.events.register("before-sign.s3", _part_of_a_trace)
        client.put_object(Bucket="photos", Key="a b/\u00e4", Body=b"some bytes", Metadata={"secret": "of-the-owner"})
        url = gateway.client(KEY).generate_presigned_url("get_object", Params={"Bucket": "photos", "Key": "none"})
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(url)
        # What waits is delivered before it ends.
        assert gateway.stop() == 0
        spans = {span.name: span for span in collector.spans}
    put, got = spans["PutObject"], spans["GetObject"]
    assert (put.trace_id.hex(), put.parent_span_id.hex(), got.parent_span_id) == (TRACE, PARENT, b"")
    assert attributes(put)["aws.s3.key"] == "a b/\u00e4"
    assert attributes(put)["cooper.access_key_id"] == KEY.access_key_id
    assert (attributes(got)["http.response.status_code"], attributes(got)["error.type"]) == (404, "NoSuchKey")
    assert 0 < put.end_time_unix_nano - put.start_time_unix_nano < 60e9
    assert collector.paths == {"/v1/traces"}
    assert {each["authorization"] for each in collector.headers} == {"Bearer of-the-collector"}
    log = gateway.log.read_text()
    for secret in (KEY.secret_key, "of-the-owner", "Signature", "X-Amz", "of-the-collector"):
        assert secret.encode() not in collector.raw
        assert secret not in log


@pytest.mark.parametrize("trouble", ["away", "refuses", "halts"])
def test_clients_never_notice_a_collector(tmp_path: Path, trouble: str) -> None:
    with collecting() as collector:
        collector.status = 403 if trouble == "refuses" else 200
        collector.halted = trouble == "halts"
        url = "http://127.0.0.1:9" if trouble == "away" else collector.url
        with gateway_with(tmp_path, url, "--workers", "1") as gateway:
            eventually("readiness", lambda: gateway.ready)
            client = gateway.client(KEY)
            slowest = 0.0
            for number in range(600):  # more than one delivery
                began = time.monotonic()
                client.put_object(Bucket="photos", Key=str(number), Body=b"some bytes")
                slowest = max(slowest, time.monotonic() - began)
            assert slowest < 5  # a delivery is given up after 10
            assert answer(client) == "ok"
            if trouble != "halts":
                eventually("the count", lambda: gateway.metric("cooper_traces_dropped_total") > 0, seconds=60)
                host = url.removeprefix("http://")
                assert gateway.log.read_text().count(f"traces are dropped until {host} takes them") == 1
            assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("collector:4318", "is to be a URL"),
        ("ftp://collector", "is to be a URL"),
        ("http://collector:x", "is to be a URL"),
        ("http://", "is to be a URL"),
        ("http://user:word@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http://collector?token=word", "OTEL_EXPORTER_OTLP_HEADERS"),
    ],
)
def test_what_is_no_collector_is_refused(tmp_path: Path, url: str, said: str) -> None:
    gateway = gateway_with(tmp_path, url)
    with pytest.raises(AssertionError):
        gateway.start()
    text = gateway.log.read_text()
    assert said in text
    assert "Traceback" not in text
    assert "word" not in text
