"""Host names of Buckets on a cluster: each is one tenant's whom the Region lets have it, on every gateway."""

import http.client
from urllib.parse import urlsplit

import pytest

from e2e.system.system import REGION
from e2e.system.tenant import Tenant, told
from support.rig import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


def read(team: Tenant, host: str, path: str = "/a") -> set[tuple[int, bytes]]:
    """What the gateways answer at that host."""
    found: set[tuple[int, bytes]] = set()
    for gateway in team.system.gateways:
        connection = http.client.HTTPConnection(urlsplit(gateway.endpoint).netloc, timeout=5)
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        body = answer.read()
        found.add((answer.status, body if answer.status == 200 else b""))
        connection.close()
    return found


async def site(team: Tenant, name: str, *domains: str) -> None:
    """A public Bucket with an object that says whose it is, at every gateway."""
    await team.apply(team.bucket(name, visibility="Public", domains=list(domains), deletionPolicy="Purge"))
    await team.until_ready(("Bucket", name))
    for client in team.system.clients(await team.credentials(name)):
        client.put_object(Bucket=team.s3_name(name), Key="a", Body=team.namespace.encode())


async def test_a_domain_is_one_tenants_until_it_is_given_up_or_not_let_any_more(
    team: Tenant, neighbour: Tenant
) -> None:
    zone = f"{team.namespace}.example.com"
    shared, denied = f"www.{zone}", f"other.{zone}.evil.org"
    region, apply = team.system.region, team.system.apply
    await apply(region(domainSuffixes=[{"suffix": zone, "namespaces": [team.namespace, neighbour.namespace]}]))
    try:
        await site(team, "site", shared)
        await team.until_said("Bucket", "site", "True", "DomainsClaimed", type_="DomainsReady")
        theirs = {(200, team.namespace.encode())}
        eventually("the domain", lambda: read(team, shared) == theirs)

        # Another namespace does not get it, and is not told whose it is.
        await site(neighbour, "thief", shared, denied)
        said = f"another Bucket has {shared}; {denied} is under no suffix that Region {REGION} lets this namespace have"
        await neighbour.until_said("Bucket", "thief", "False", "DomainTaken", said, type_="DomainsReady")
        assert await neighbour.until_told("Bucket", "thief", "DomainTaken") == told("DomainTaken", said)
        status = (await neighbour.get("Bucket", "thief") or {})["status"]
        assert "domains" not in status and "site" not in str(status["conditions"])
        assert read(team, shared) == theirs
        assert {status for status, _ in read(team, denied)} <= {400, 403}

        # Withdrawn from the one, it comes to the other by itself; given back it stays there.
        await apply(region(domainSuffixes=[{"suffix": zone, "namespaces": [neighbour.namespace]}]))
        await team.until_said("Bucket", "site", "False", "DomainNotAllowed", type_="DomainsReady")
        now = {(200, neighbour.namespace.encode())}
        eventually("the other's domain", lambda: read(team, shared) == now, 40)
        await apply(region(domainSuffixes=[{"suffix": zone}]))
        await team.until_said("Bucket", "site", "False", "DomainTaken", type_="DomainsReady")
        assert read(team, shared) == now

        # A Bucket that goes gives it up.
        await neighbour.delete("bucket", "thief")
        await neighbour.until_gone("Bucket", "thief")
        eventually("the domain again", lambda: read(team, shared) == theirs, 40)
        assert await neighbour.records() == set()
    finally:
        await apply(region())
    await team.until_said("Bucket", "site", "False", "DomainNotAllowed", type_="DomainsReady")
    eventually("the end", lambda: {status for status, _ in read(team, shared)} <= {400, 403})


async def test_of_two_that_claim_it_at_once_one_gets_it_for_good(team: Tenant, neighbour: Tenant) -> None:
    name = f"one.{team.namespace}.example.com"
    await team.system.apply(team.system.region(domainSuffixes=[{"suffix": f"{team.namespace}.example.com"}]))
    try:
        spec = {"visibility": "Public", "domains": [name]}
        await team.system.apply(team.bucket("a", **spec), neighbour.bucket("b", **spec))

        async def states() -> list[tuple[str, str]]:
            found = [
                await team.condition("Bucket", "a", "DomainsReady"),
                await neighbour.condition("Bucket", "b", "DomainsReady"),
            ]
            return [(each.get("status", ""), each.get("reason", "")) for each in found]

        async def decided() -> bool:
            return sorted(await states()) == [("False", "DomainTaken"), ("True", "DomainsClaimed")]

        await team.until("one owner", decided)
        first = await states()
        await team.change("bucket", "a", maxObjectSize="1Ki")
        await neighbour.change("bucket", "b", maxObjectSize="1Ki")
        await team.until("one owner still", decided)
        assert await states() == first
    finally:
        await team.system.apply(team.system.region())
