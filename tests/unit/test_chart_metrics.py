"""What the chart's dashboard and alerts ask Prometheus for is what operator and gateway tell it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from cooper_gateway.http.finished import Finished
from cooper_gateway.processes import metrics
from cooper_gateway.processes.measurements import Measurements
from cooper_gateway.protocol.messages import Request
from cooper_operator.cluster.port import Ref
from cooper_operator.reconcile.telemetry import Telemetry

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "cooper"
PAGE = (ROOT / "docs" / "metrics.md").read_text()
DASHBOARD: dict[str, Any] = json.loads((CHART / "files" / "dashboards" / "cooper.json").read_text())
#: Prometheus itself puts these on what it reads from a Pod.
_TARGET = {"namespace", "pod"}
_METRIC = re.compile(r"\bcooper_\w+")
_GROUPED = re.compile(r"\bby \(([\w, ]+)\)")
_MATCHED = re.compile(r"(\w+)(?:=~|!~|!=|=)\"")


def _queries() -> Iterator[tuple[str, str]]:
    """Of the dashboard and the alerts: what shows the result, and the query."""
    for panel in DASHBOARD["panels"]:
        yield from ((f"{panel['title']} {each['legendFormat']}", each["expr"]) for each in panel.get("targets", ()))
    rules = (CHART / "templates" / "exposure.yaml").read_text()
    yield from (("alert", each) for each in re.findall(r"expr: (.*)", rules))
    yield from (("variable", each["definition"]) for each in DASHBOARD["templating"]["list"] if "definition" in each)


def gateway_page() -> str:
    """All that a gateway can tell."""
    child = Measurements(
        gauges=dict.fromkeys((*metrics._GAUGES, *metrics._LEAST), 0), counts=dict.fromkeys(metrics._COUNTS, 0)
    )
    request = Request("GET", b"/", b"", {}, operation="GetObject")
    child.observe(Finished(request, "ABC", 404, "NoSuchKey", 0.1, 1, 1, ""))
    state = metrics.State(True, 1.0, {"worker": 1}, (1, 2))
    return metrics.render(metrics.GatewayCollector(lambda: {"worker-1": child}, lambda: state)).decode()


def operator_page() -> str:
    """All that an operator can tell."""
    telemetry, ref = Telemetry(), Ref("Bucket", "default", "photos")
    telemetry.calls["get", "secrets"] += 1
    telemetry.reconciled(ref, retry=False, seconds=0.1)
    for status in ({}, {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}):
        telemetry.saw(ref, {"metadata": {"generation": 1}, "status": status})
    return telemetry.text().decode()


@pytest.fixture(scope="module")
def exposed() -> dict[str, set[str]]:
    """Every sample that there can be, with its labels."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(gateway_page() + operator_page()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def documented(family: Metric) -> str:
    """The row of a metric in the documentation: its name as queries have it, type, labels, unit, meaning."""
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
    unit = next((each for each in ("seconds", "bytes") if family.name.endswith(f"_{each}")), "")
    return (
        f"| `{name}` | {family.type} | {', '.join(f'`{each}`' for each in labels)} | {unit} | {family.documentation} |"
    )


@pytest.mark.parametrize(("heading", "text"), [("The gateway's", gateway_page()), ("The operator's", operator_page())])
def test_the_page_has_every_metric_as_it_is_told_and_no_other(heading: str, text: str) -> None:
    section = PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `cooper_")]
    # When a counter began is told beside it.
    found = [each for each in text_string_to_metric_families(text) if not each.name.endswith("_created")]
    assert rows == sorted(map(documented, found))


def test_the_page_has_every_alert_with_what_it_says() -> None:
    rules = (CHART / "templates" / "exposure.yaml").read_text()
    told = re.findall(r"alert: (\w+)\n.*\n +for: (\w+)\n +labels: {severity: (\w+)}\n.*\n +summary: (.*)", rules)
    assert len(told) == rules.count("- alert: ")
    rows = [line for line in PAGE.splitlines() if line.startswith("| `Cooper")]
    assert rows == [f"| `{alert}` | {severity} | {lasts} | {said} |" for alert, lasts, severity, said in told]


def test_every_metric_that_is_asked_for_is_there_with_its_labels(exposed: dict[str, set[str]]) -> None:
    asked = list(_queries())
    assert len(asked) > 20
    for what, query in asked:
        names = set(_METRIC.findall(query))
        assert names, query
        assert names <= exposed.keys(), (what, names - exposed.keys())
        grouped = {label for group in _GROUPED.findall(query) for label in re.split(", ?", group)}
        for name in names:
            labels = grouped | set(_MATCHED.findall(query))
            assert labels <= exposed[name] | _TARGET, (what, name, labels)
        shown = set(re.findall(r"{{(\w+)}}", what))
        assert shown <= (grouped or _TARGET), what


@pytest.mark.parametrize("alert", ["CooperNobodyLeads", "CooperGatewayNotReady"])
def test_an_alert_of_who_is_away_needs_nobody_to_tell_of_it(alert: str) -> None:
    """Where no Pod is there, or none is read, a comparison has nothing to compare and is silent."""
    rules = (CHART / "templates" / "exposure.yaml").read_text()
    (query,) = re.findall(rf"- alert: {alert}\n +expr: (.*)", rules)
    assert re.search(r" or (vector\(0\)\) < 1|absent\(cooper_\w+\{.*\}\))$", query), query


def test_every_metric_is_on_the_dashboard(exposed: dict[str, set[str]]) -> None:
    shown = {name for _, query in _queries() for name in _METRIC.findall(query)}
    # The rest of a histogram, and when a counter began.
    rest = {name for name in exposed if name.endswith(("_sum", "_count", "_bucket", "_created"))}
    assert exposed.keys() - rest <= shown
    assert {name.rpartition("_")[0] for name in rest} <= {name.rpartition("_")[0] for name in shown}


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
