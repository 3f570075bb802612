"""The operator's pages for probes and Prometheus."""

import pytest

from e2e.kind.cluster import Cluster
from e2e.system.system import System
from e2e.system.tenant import Tenant
from support.rig import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_they_tell_how_it_is_and_what_it_does(team: Tenant) -> None:
    page = team.system.operator.page
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    assert page("/livez") == page("/readyz") == (200, "ok\n")
    status, text = page("/metrics")
    assert status == 200
    assert "cooper_operator_leading 1.0" in text
    for series in (
        'cooper_operator_settle_seconds_count{kind="Bucket",state="Ready"}',
        'cooper_operator_reconcile_seconds_count{kind="AccessKey",result="settled"}',
        'cooper_operator_api_requests_total{resource="secrets",verb="POST"}',
        "cooper_operator_queue_depth",
        "cooper_operator_queue_age_seconds",
    ):
        assert series in text
    key = await team.credentials("photos")
    assert key["SECRET_KEY"] not in text
    assert page("/") == (404, "no such page\n")


async def test_without_an_api_server_it_lives_and_is_not_ready(system: System, cluster: Cluster) -> None:
    def says_so() -> bool:
        status, text = system.operator.page("/readyz")
        return status == 503 and "Lease" in text

    async with system.api_server_away(cluster):
        eventually("the operator's trouble", says_so, seconds=20)
        assert system.operator.page("/livez")[0] == 200
    eventually("the operator's recovery", lambda: system.operator.page("/readyz")[0] == 200, seconds=30)
    system.operator.wait_until_leading(60)
