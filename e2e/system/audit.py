"""The look at everything once a tenant's work is done: it settles, and every key does what it is to do."""

import asyncio
import time

from cooper_operator.cluster.kubernetes_objects import core_path
from cooper_operator.cluster.port import ClusterError
from e2e.system.deliveries import Deliveries
from e2e.system.findings import findings, read_state
from e2e.system.server import Server, values
from e2e.system.workload import Workload

_CONVERGES = 60.0  # seconds


async def until_settled(system_namespace: str, workload: Workload, server: Server, seconds: float = _CONVERGES) -> None:
    """Wait until all is as wanted, and nothing is left of what was."""
    deadline = time.monotonic() + seconds
    while found := await _look(system_namespace, workload, server):
        assert time.monotonic() < deadline, "\n".join(found)
        await asyncio.sleep(0.25)


async def _look(system_namespace: str, workload: Workload, server: Server) -> list[str]:
    try:
        return findings(await read_state(server, system_namespace), workload)
    except ClusterError as error:
        return [f"nothing can be read: {error}"]


async def try_all(workload: Workload, server: Server, deliveries: Deliveries) -> None:
    """What is in use works everywhere, and there only what is granted; what was in use is refused everywhere."""
    secrets = {
        each["metadata"]["name"]: values(each) for each in await server.list(core_path("secrets", workload.namespace))
    }
    current = {name: secrets[each.secret] for name, each in workload.wanted().items()}
    for name, wanted in workload.wanted().items():
        for client in deliveries.clients(current[name]):
            assert await client.problem(wanted.buckets) == ""
            if workload.closed not in wanted.buckets:
                answer = await client.ask("GET", f"/{workload.closed}?list-type=2")
                assert answer.code == "AccessDenied", f"{name} ({wanted}): {answer}"
    former = set(deliveries.keys) - {each["ACCESS_KEY"] for each in current.values()}
    for key in former:
        for client in deliveries.clients(deliveries.keys[key]):
            assert not await client.accepted(), f"{key} is still accepted"
    print(f"{len(current)} keys work at every gateway, {len(former)} former ones are refused")
