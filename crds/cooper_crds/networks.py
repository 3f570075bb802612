"""Networks: from where a key may be used, and which proxies are believed about where a request comes from."""

import ipaddress
import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from cooper_crds.fields import EachOnce
from cooper_crds.patterns import matches

#: Most networks in a list.
MAX_NETWORKS: Final = 32
#: The longest there is: an IPv6 address that ends as an IPv4 one, and a length of three digits.
_MAX_TEXT: Final = 49
_SHAPE: Final = r"^[0-9A-Fa-f:.]+/(0|[1-9][0-9]{0,2})$"
_SHAPE_RULE: Final = re.compile(_SHAPE[1:-1])
#: What is said of what is none.
NO_NETWORK: Final = (
    "must be a network in CIDR notation such as 10.0.0.0/8 or 2001:db8::/32, with no bits set beyond its length; one "
    "address is 192.0.2.7/32"
)


def _network(value: str) -> str:
    try:
        network = ipaddress.ip_network(value) if _SHAPE_RULE.fullmatch(value) else None
    except ValueError:
        network = None
    if network is None or (network.version == 6 and network.network_address.ipv4_mapped is not None):
        raise ValueError(NO_NETWORK)
    return value


#: A network in CIDR notation (RFC 4632, RFC 4291): what the API server's isCIDR takes, in its canonical extent.
Network = Annotated[
    str,
    Field(max_length=_MAX_TEXT),
    AfterValidator(_network),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": _MAX_TEXT,
            "x-kubernetes-validations": [
                {
                    "rule": f"{matches(_SHAPE)} && isCIDR(self) && cidr(self) == cidr(self).masked()",
                    "message": NO_NETWORK,
                }
            ],
        }
    ),
]
#: A set of networks, at least one.
NetworkSet = Annotated[
    list[Network],
    Field(min_length=1, max_length=MAX_NETWORKS),
    EachOnce(),
]
#: The field of an AccessKey and of a Bucket's credentials.
AllowedNetworks = Annotated[
    NetworkSet | None,
    Field(
        description="Networks that the key may be used from, such as 10.0.0.0/8: a request from elsewhere is refused "
        "with NetworkNotAllowed. What counts is the address that the gateway sees; behind a proxy it is the proxy's, "
        "unless the Region's trustedProxies name it. Default: anywhere."
    ),
]
