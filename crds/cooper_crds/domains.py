"""Host names of a Bucket's own, under which suffixes a Region lets a namespace have some, and the Region's own domain.

Both judges of a manifest take the same names.
"""

from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from cooper_crds.fields import EachOnce, NamespaceName
from cooper_crds.host_names import DOMAIN_PATTERN, MAX_DOMAIN, SUFFIX_PATTERN, is_domain, is_suffix, is_under
from cooper_crds.meta import Model
from cooper_crds.patterns import text

#: Most domains of a Bucket, and suffixes of a Region with the namespaces of each.
MAX_DOMAINS: Final = 8
MAX_SUFFIXES: Final = 32
MAX_NAMESPACES: Final = 64
#: Longest domain below which every bucket has its name: a host name has 253 characters, a bucket's name 63.
MAX_VIRTUAL_HOSTS: Final = 189

_NO_DOMAIN: Final = (
    "must be a host name of at least two parts such as photos.example.com: lowercase letters, digits and hyphens, "
    "other scripts as punycode (xn--), the last part beginning with a letter, no final period"
)
_NO_SUFFIX: Final = (
    "must be the end of host names, such as example.com: lowercase letters, digits and hyphens, the last part "
    "beginning with a letter, no period at the beginning or end"
)


def _domain(value: str) -> str:
    if not is_domain(value):
        raise ValueError(_NO_DOMAIN)
    return value


def _suffix(value: str) -> str:
    if not is_suffix(value):
        raise ValueError(_NO_SUFFIX)
    return value


Domain = Annotated[
    str,
    Field(max_length=MAX_DOMAIN),
    AfterValidator(_domain),
    text(DOMAIN_PATTERN, _NO_DOMAIN, MAX_DOMAIN, shortest=len("a.b")),
]
Suffix = Annotated[
    str, Field(max_length=MAX_DOMAIN), AfterValidator(_suffix), text(SUFFIX_PATTERN, _NO_SUFFIX, MAX_DOMAIN)
]

Domains = Annotated[
    list[Domain] | None,
    Field(
        min_length=1,
        max_length=MAX_DOMAINS,
        description="Host names of the bucket's own, such as photos.example.com: there GET and HEAD of /<object> read "
        "what is public, and nothing else is served. visibility has to be Public. Each must be under a suffix that the "
        "Region's domainSuffixes let this namespace have, and belongs to whichever Bucket claimed it first: see the "
        "condition DomainsReady. That the name leads to the gateway is for its DNS.",
    ),
    EachOnce(),
]

VirtualHosts = Annotated[
    str,
    Field(max_length=MAX_VIRTUAL_HOSTS),
    AfterValidator(_suffix),
    text(SUFFIX_PATTERN, _NO_SUFFIX, MAX_VIRTUAL_HOSTS),
]


class DomainSuffix(Model):
    """The end of host names, and who may have such."""

    suffix: Annotated[
        Suffix,
        Field(
            description="What the host names end with, by whole parts, such as example.com; a Bucket may have that "
            "name itself as well. Of several suffixes that a name has the longest counts, and no other."
        ),
    ]
    namespaces: Annotated[
        list[NamespaceName] | None,
        Field(
            min_length=1,
            max_length=MAX_NAMESPACES,
            description="The namespaces whose Buckets may have such host names. Default: all.",
        ),
        EachOnce(),
    ] = None


DomainSuffixes = Annotated[
    list[DomainSuffix] | None,
    Field(
        max_length=MAX_SUFFIXES,
        description="Under which host names Buckets here may have domains of their own, and of which namespaces. When "
        "an entry is taken off the Buckets lose those domains. Default: none may.",
    ),
    EachOnce(by=("suffix",)),
]


def lets(suffixes: Iterable[DomainSuffix], domain: str, namespace: str) -> bool:
    """Whether a namespace may have a domain: so says the longest suffix that the domain has."""
    longest = max((each for each in suffixes if is_under(domain, each.suffix)), key=_length, default=None)
    return longest is not None and (longest.namespaces is None or namespace in longest.namespaces)


def _length(suffix: DomainSuffix) -> int:
    return len(suffix.suffix)
