"""What pages of other sites may do with a Bucket: the rules of cross-origin resource sharing (CORS), as S3 has them.

All is said by patterns, so that both judges of a manifest read it alike, and nothing that is let in here can break a
header: no value has a line end, a comma or a space in it.
"""

import re
from collections.abc import Callable
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from cooper_crds.fields import Duration, EachOnce, duration_between
from cooper_crds.meta import Model
from cooper_crds.patterns import text

#: Most rules of a Bucket, and what each can have: a record with all of them stays below 64 KiB.
MAX_RULES: Final = 8
MAX_ORIGINS: Final = 16
MAX_ORIGIN: Final = 256
MAX_HEADERS: Final = 16
MAX_HEADER: Final = 64
MAX_AGE: Final = 86400.0

# "AllowedOrigin … can contain only one * wildcard character" (Amazon S3 User Guide, Elements of a CORS configuration).
# A browser sends scheme, host and port in lower case, and nothing after them (RFC 6454, 6.2).
_HOST: Final = r"([a-z0-9.-]+\*?|\*)[a-z0-9.-]*"
ORIGIN_PATTERN: Final = rf"^(\*|[a-z][a-z0-9+.-]*://({_HOST}|\[[0-9a-f:]+\])(:[0-9]{{1,5}})?)$"
# RFC 9110, 5.6.2: a token, of which the asterisk stands for any characters here.
_LETTER: Final = r"[!#$%&'+.^_`|~0-9A-Za-z-]"
HEADER_PATTERN: Final = rf"^({_LETTER}+\*?|\*){_LETTER}*$"
EXPOSED_PATTERN: Final = rf"^{_LETTER}+$"
_NO_ORIGIN: Final = (
    "must be * or an origin such as https://app.example.com or http://localhost:8080, in lower case, with at most one "
    "* in its host"
)
_NO_HEADER: Final = "must be the name of a header, such as ETag"
_NO_HEADER_PATTERN: Final = "must be the name of a header such as content-type, with at most one *, or *"


def _matching(pattern: str, message: str) -> Callable[[str], str]:
    rule = re.compile(pattern[1:-1])

    def check(value: str) -> str:
        if not rule.fullmatch(value):
            raise ValueError(message)
        return value

    return check


Origin = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ORIGIN),
    AfterValidator(_matching(ORIGIN_PATTERN, _NO_ORIGIN)),
    text(ORIGIN_PATTERN, _NO_ORIGIN, MAX_ORIGIN),
]
HeaderName = Annotated[
    str,
    Field(min_length=1, max_length=MAX_HEADER),
    AfterValidator(_matching(EXPOSED_PATTERN, _NO_HEADER)),
    text(EXPOSED_PATTERN, _NO_HEADER, MAX_HEADER),
]
HeaderNamePattern = Annotated[
    str,
    Field(min_length=1, max_length=MAX_HEADER),
    AfterValidator(_matching(HEADER_PATTERN, _NO_HEADER_PATTERN)),
    text(HEADER_PATTERN, _NO_HEADER_PATTERN, MAX_HEADER),
]
CorsMethod = Literal["GET", "PUT", "HEAD", "DELETE", "POST"]


class CorsRule(Model):
    """What pages of some origins may do."""

    allowed_origins: Annotated[
        list[Origin],
        Field(
            min_length=1,
            max_length=MAX_ORIGINS,
            description="Origins whose pages may: scheme, host and perhaps port, such as https://app.example.com; one "
            "* in the host stands for any characters. * alone is any origin.",
        ),
        EachOnce(),
    ]
    allowed_methods: Annotated[
        list[CorsMethod],
        Field(
            min_length=1,
            max_length=5,
            description="Methods that they may use: GET, PUT, HEAD, DELETE, POST.",
        ),
        EachOnce(),
    ]
    allowed_headers: Annotated[
        list[HeaderNamePattern] | None,
        Field(
            min_length=1,
            max_length=MAX_HEADERS,
            description="Request headers that they may send, such as content-type or x-amz-*. Signed requests need "
            "those that they sign. Default: those that every page may send.",
        ),
        EachOnce(),
    ] = None
    expose_headers: Annotated[
        list[HeaderName] | None,
        Field(
            min_length=1,
            max_length=MAX_HEADERS,
            description="Response headers that they may read, such as ETag. Default: those that every page may read.",
        ),
        EachOnce(),
    ] = None
    max_age: Annotated[
        Duration | None,
        duration_between(0, MAX_AGE),
        Field(
            description="How long a browser may go by this answer before it asks again, as a duration such as 1h. "
            "Default: as the browser does, mostly 5s."
        ),
    ] = None


CorsRules = Annotated[
    list[CorsRule] | None,
    Field(
        min_length=1,
        max_length=MAX_RULES,
        description="What web pages of other origins may do with the bucket in a browser (CORS). The first rule that "
        "has a request's origin, method and headers counts. It gives nobody a right: a page still needs a signed "
        "request, or a Public bucket. Default: nothing.",
    ),
]
