"""What was reconciled looks to GitOps tools as it was applied."""

from typing import Any

from e2e.quiet import assert_quiet
from e2e.system.system import System, manifest


async def test_reconciled_resources_show_no_drift(system: System, tenant: str) -> None:
    full: dict[str, Any] = {
        "bucketName": f"{tenant}-full",
        "region": "local",
        "visibility": "Public",
        "maxObjectSize": 1 << 20,
        "deletionPolicy": "Delete",
        "credentials": {"secretName": "of-full", "actions": ["s3:GetObject"]},
    }
    applied = [
        manifest("Bucket", tenant, "least", {"bucketName": f"{tenant}-least"}),
        manifest("Bucket", tenant, "full", full),
        manifest("AccessKey", tenant, "reader", {"grants": [{"bucket": "least"}, {"bucket": "full"}]}),
    ]
    await system.apply(*applied)
    for what in ("bucket/least", "bucket/full", "accesskey/reader"):
        await system.wait(what, tenant)
    assert {line.rpartition(" ")[2] for line in (await system.apply(*applied)).splitlines()} == {"unchanged"}
    await assert_quiet(system.kubectl, *applied, system.region())
    for what in ("bucket/least", "bucket/full", "accesskey/reader"):
        await system.wait(what, tenant)
    for kind in ("bucket", "accesskey"):
        generations = await system.kubectl("-n", tenant, "get", kind, "-o", "jsonpath={.items[*].metadata.generation}")
        assert set(generations.split()) == {"1"}, "nobody but the user writes a spec"
