"""Which pages of other origins a browser is to let have an answer: a bucket's CORS rules, as S3 goes by them. Pure.

It decides about browsers only, never about a request's right: that is `authorize`'s.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cooper_crds.records import CorsRule

#: What is said of a bucket without rules, of one that is not there, and of one whose rules do not fit.
REFUSED: Final = (
    "CORSResponse: This CORS request is not allowed: no rule in the bucket's spec.cors has its Origin, "
    "Access-Control-Request-Method and Access-Control-Request-Headers."
)

_VARY: Final = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
#: Of an answer that would be another one to another origin: caches are to know it.
VARIES: Final = {"Vary": _VARY}

#: Most headers that a preflight can ask for. S3's SDKs send about ten, and one for each of an object's metadata; each
#: is compared with every rule, and anybody may ask.
MAX_ASKED: Final = 64
_LONGEST_ORIGIN: Final = 512
# RFC 6454, 7.1: scheme "://" host [ ":" port ]. `null`, which stands for no origin in particular, is none.
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._:\[\]%~-]+")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page means to send. `headers` None: more or others than can be answered."""

    origin: str
    method: str
    headers: tuple[str, ...] | None  # lower case


def asked_for(headers: Mapping[str, str]) -> Asked | None:
    """What a preflight asks for; None where the request is none."""
    origin, method = headers.get("origin"), headers.get("access-control-request-method")
    if origin is None or method is None:
        return None
    return Asked(origin, method, _names(headers.get("access-control-request-headers", "")))


def preflight(rules: Sequence[CorsRule], asked: Asked) -> dict[str, str] | None:
    """The headers that allow what is asked for; None when no rule does."""
    wanted = asked.headers
    if wanted is None:
        return None
    for rule in rules:
        origin = _allowed_origin(rule, asked.origin, asked.method)
        if origin is not None and all(_fits_any(rule.headers, name) for name in wanted):
            answer = _granted(rule, origin)
            if wanted:
                answer["Access-Control-Allow-Headers"] = ", ".join(wanted)
            return answer
    return None


def actual(rules: Sequence[CorsRule], origin: str, method: str) -> dict[str, str]:
    """The headers of an answer to a page's request itself. Whether there are rules shows to nobody whom none fits:
    caches learn that it varies in any case."""
    for rule in rules:
        allowed = _allowed_origin(rule, origin, method)
        if allowed is not None:
            return _granted(rule, allowed)
    return VARIES


def _granted(rule: CorsRule, origin: str) -> dict[str, str]:
    answer = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": ", ".join(rule.methods)}
    if origin != "*":  # "the value of the header … must not be the wildcard" with credentials (Fetch, 3.2.3)
        answer["Access-Control-Allow-Credentials"] = "true"
    if rule.exposed:
        answer["Access-Control-Expose-Headers"] = ", ".join(rule.exposed)
    if rule.max_age is not None:
        answer["Access-Control-Max-Age"] = str(rule.max_age)
    return answer | VARIES


def _allowed_origin(rule: CorsRule, origin: str, method: str) -> str | None:
    """What the rule lets the origin be told: `*` where any may, else itself; None where it may not."""
    if method not in rule.methods:
        return None
    if "*" in rule.origins:
        return "*"
    # What is sent back must be an origin and nothing else, whatever a pattern would let pass.
    if len(origin) > _LONGEST_ORIGIN or not _ORIGIN.fullmatch(origin):
        return None
    return origin if _fits_any(rule.origins, origin) else None


def _names(value: str) -> tuple[str, ...] | None:
    """Names of headers in a list, each once, in lower case; None for what is no such list, or too long a one."""
    names = tuple(dict.fromkeys(part.strip(" \t").lower() for part in value.split(",")))
    names = tuple(name for name in names if name)
    return names if len(names) <= MAX_ASKED and all(map(_TOKEN.fullmatch, names)) else None


def _fits_any(patterns: tuple[str, ...], text: str) -> bool:
    return _compiled(patterns).fullmatch(text) is not None


@lru_cache(1024)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """All of a rule's patterns at once, in lower case. With one asterisk each it costs what the text is long."""
    return re.compile("|".join(".*".join(map(re.escape, each.lower().split("*"))) for each in patterns))
