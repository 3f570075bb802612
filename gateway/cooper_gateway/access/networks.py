"""Where a request comes from, and whether that is within some networks. Pure. What cannot be read is from nowhere."""

import ipaddress
from functools import lru_cache

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def origin(peer: str, forwarded: str, trusted: tuple[str, ...]) -> str:
    """Address of the client whose request `peer` sends; empty when it cannot be told.

    `forwarded` is the value of X-Forwarded-For. Each proxy adds at its end whom it heard the request from, so it is
    read from there, as long as the one that says so is within the `trusted` networks: what stands before is hearsay.
    """
    if not trusted or not within(peer, trusted):
        return peer
    for said in reversed([each.strip() for each in forwarded.split(",") if each.strip()]):
        if _address(said) is None:
            return ""
        peer = said
        if not within(peer, trusted):
            break
    return peer


@lru_cache(4096)
def within(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an address lies within one of these networks (CIDR notation)."""
    found = _address(address)
    return found is not None and any(found in network for network in _parsed(networks))


@lru_cache(1024)
def _parsed(networks: tuple[str, ...]) -> _Networks:
    """Raises ValueError for what is no network: no record holds such a one."""
    return tuple(ipaddress.ip_network(each) for each in networks)


def _address(text: str) -> _Address | None:
    """An IPv4 address in the form of an IPv6 one, as sockets for both have it, is that IPv4 address."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found if isinstance(found, ipaddress.IPv4Address) else found.ipv4_mapped or found
