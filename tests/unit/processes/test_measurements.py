import shutil
import time
from pathlib import Path

from cooper_gateway.http.finished import Finished
from cooper_gateway.processes.measurements import Measurements, MeasurementsFile, read_all
from cooper_gateway.processes.metrics import GatewayCollector, State, disk_of, render
from cooper_gateway.protocol.messages import Request


def finished(operation: str, status: int, seconds: float, received: int, sent: int, error: str = "") -> Finished:
    request = Request("GET", b"/", b"", {}, operation=operation)
    return Finished(request, "ABC", status, error, seconds, received, sent, "10.0.0.1")


def test_counts_go_on_where_a_predecessor_stopped(tmp_path: Path) -> None:
    file = MeasurementsFile(str(tmp_path), "worker-1")
    first = file.load()
    first.observe(finished("GetObject", 200, 0.002, 0, 4096))
    first.gauges["connections"] = 7
    file.save(first)
    second = MeasurementsFile(str(tmp_path), "worker-1").load()
    second.observe(finished("GetObject", 200, 0.002, 0, 4096))
    second.observe(finished("GetObject", 404, 0.001, 0, 100, "NoSuchKey"))
    assert second.requests == {"GetObject": {200: 2, 404: 1}}
    assert second.errors == {"GetObject": {"NoSuchKey": 1}}
    assert second.sent == 8292
    assert second.gauges == {"connections": 7}


def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    MeasurementsFile(str(tmp_path), "watcher").save(Measurements(gauges={"records": 3}))
    (tmp_path / "worker-1.json").write_bytes(b"{")
    assert list(read_all(str(tmp_path))) == ["watcher"]
    assert MeasurementsFile(str(tmp_path), "worker-1").load() == Measurements()
    assert read_all(str(tmp_path / "none")) == {}


def test_metrics_add_up_all_children() -> None:
    one, two = Measurements(), Measurements()
    one.observe(finished("PutObject", 200, 0.0004, 4096, 0))
    two.observe(finished("PutObject", 200, 0.3, 4096, 0))
    two.observe(finished("PutObject", 403, 100.0, 0, 200, "AccessDenied"))
    one.gauges["connections"], two.gauges["connections"] = 2, 3
    children = {"worker-1": one, "worker-2": two}
    state = State(True, 1.5, {"worker": 4, "watcher": 0}, disk=(3, 7))
    collector = GatewayCollector(lambda: children, lambda: state)
    lines = render(collector).decode().splitlines()
    for line in (
        'cooper_requests_total{operation="PutObject",status="200"} 2.0',
        'cooper_requests_total{operation="PutObject",status="403"} 1.0',
        'cooper_request_errors_total{code="AccessDenied",operation="PutObject"} 1.0',
        'cooper_request_seconds_bucket{le="0.0005",operation="PutObject"} 1.0',
        'cooper_request_seconds_bucket{le="0.5",operation="PutObject"} 2.0',
        'cooper_request_seconds_bucket{le="60.0",operation="PutObject"} 2.0',
        'cooper_request_seconds_bucket{le="+Inf",operation="PutObject"} 3.0',
        'cooper_request_seconds_count{operation="PutObject"} 3.0',
        "cooper_received_bytes_total 8192.0",
        "cooper_sent_bytes_total 200.0",
        "cooper_connections 5.0",
        "cooper_ready 1.0",
        "cooper_record_age_seconds 1.5",
        "cooper_disk_free_bytes 3.0",
        "cooper_disk_size_bytes 7.0",
        'cooper_process_restarts_total{role="worker"} 4.0',
    ):
        assert line in lines, "\n".join(lines)


def test_counting_a_request_is_cheap() -> None:
    measurements, one = Measurements(), finished("GetObject", 200, 0.0007, 0, 4096)

    def best_of(rounds: int) -> float:
        times: list[float] = []
        for _ in range(rounds):
            began = time.perf_counter()
            for _ in range(2000):
                measurements.observe(one)
            times.append((time.perf_counter() - began) / 2000)
        return min(times)

    assert best_of(20) < 3e-6


def test_a_disk_tells_how_full_it_is_while_it_is_there(tmp_path: Path) -> None:
    found = disk_of(str(tmp_path))
    assert found is not None
    free, size = found
    assert 0 <= free <= size == shutil.disk_usage(tmp_path).total
    assert disk_of(str(tmp_path / "none")) is None
    text = render(GatewayCollector(dict, lambda: State(True, 0.0, {}))).decode()
    assert "cooper_disk" not in text
