"""The types that fields of resources have: each checks one kind of value and says the same in its JSON schema."""

import datetime
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from cooper_crds import names, quantities
from cooper_crds.actions import DEFAULT_ACTIONS, GRANTABLE_ACTIONS
from cooper_crds.patterns import WORDS, text
from cooper_crds.pem import BUNDLE_PATTERN, MAX_BUNDLE, NO_BUNDLE, certificate_bundle

#: Largest object that S3 knows: 5 TiB.
MAX_OBJECT_SIZE: Final = 5 << 40
_SUBDOMAIN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
_MEDIA = r"[a-z0-9!#$&^_.+*-]+"
_CONTENT_TYPE = rf"^{_MEDIA}/{_MEDIA}$"
_MOST = (1 << 63) - 1  # int64
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
_LABEL = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
_NO_NAME = (
    "must be a DNS name: lowercase letters, digits, hyphens and periods, each part beginning and ending with a letter "
    "or digit, at most 253 characters"
)
_NO_LABEL = (
    "must be a DNS label: lowercase letters, digits and hyphens, beginning and ending with a letter or digit, at most "
    "63 characters"
)
_NO_CONTENT_TYPE = "must be a content type such as text/plain, or a pattern such as image/*, in lower case"
_NOT_PRINTABLE = "must have no control characters"
_NO_TIME = "must be an RFC 3339 time with a time zone, such as 2030-01-31T12:00:00Z"
_HOUR, _MINUTE = "([01][0-9]|2[0-3])", "[0-5][0-9]"
_TIME = (
    rf"^[1-9][0-9]{{3}}-[0-9]{{2}}-[0-9]{{2}}T{_HOUR}:{_MINUTE}:{_MINUTE}(\.[0-9]{{1,9}})?(Z|[+-]{_HOUR}:{_MINUTE})$"
)
_TIME_RULE = re.compile(_TIME[1:-1])
# A day that the calendar has. Every fourth year is a leap year, but for those of a century that 400 does not divide.
_LEAP_YEAR = "([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)"
_DATE = (
    "([1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
    f"02-(0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
#: A time, as a rule can say it: without format, which would let any list pass.
TIME_PATTERN: Final = rf"^{_DATE}{_TIME[_TIME.index('T') :]}"
#: 9999-12-31T23:59:59Z
_LAST_SECOND: Final = 253402300799
_ENDPOINT = r"^https?://([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?$"
_ENDPOINT_RULE = re.compile(_ENDPOINT[1:-1])
_NO_ENDPOINT = (
    "must be an http or https URL with a host, perhaps a port, and nothing else, such as https://s3.example.com"
)
_NO_IPV6 = "must have a valid IPv6 address in its brackets"
_NO_PORT = "must have a port from 1 to 65535, or none"


def _content_type(value: str) -> str:
    if re.fullmatch(_CONTENT_TYPE[1:-1], value) is None:
        raise ValueError(_NO_CONTENT_TYPE)
    return value


def _printable(value: str) -> str:
    if re.fullmatch(_PRINTABLE[1:-1], value) is None:
        raise ValueError(_NOT_PRINTABLE)
    return value


def dns_subdomain(value: str) -> str:
    """Refuse what Kubernetes does not allow as a resource's name."""
    if not names.DNS_SUBDOMAIN.fullmatch(value):
        raise ValueError(_NO_NAME)
    return value


def dns_label(value: str) -> str:
    """Refuse what Kubernetes does not allow as the name of a namespace, a Service or a port."""
    if not names.DNS_LABEL.fullmatch(value):
        raise ValueError(_NO_LABEL)
    return value


def _bucket_name(value: str) -> str:
    if problem := names.bucket_name_problem(value):
        raise ValueError(problem)
    return value


def _one_of(known: Sequence[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in known:
            raise PydanticKnownError("literal_error", {"expected": ", ".join(map(repr, known))})
        return value

    return AfterValidator(check)


def _choice(known: Sequence[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(known), "maxLength": max(map(len, known))})


def repeated(values: Sequence[str]) -> list[str]:
    """What is there more than once, in order."""
    return sorted({each for each in values if values.count(each) > 1})


def _timestamp_text(value: Any) -> Any:
    # YAML has a type of its own for an unquoted time; kubectl takes it for text, and so do we.
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.isoformat().replace("+00:00", "Z")
    return value


def _timestamp(value: str) -> str:
    try:
        unix_seconds(value)
    except ValueError:
        raise ValueError(_NO_TIME) from None
    return value


def unix_seconds(value: str) -> float:
    """Unix seconds of an RFC 3339 time. Raises ValueError when it is none."""
    if not _TIME_RULE.fullmatch(value):
        raise ValueError("not an RFC 3339 time")
    return datetime.datetime.fromisoformat(value).timestamp()


def timestamp(seconds: float) -> str:
    """Unix seconds as an RFC 3339 time in UTC, to the second, as Kubernetes writes its own.

    A time may be later than that can say: the last day of the year 9999 ends later west of Greenwich.
    """
    return datetime.datetime.fromtimestamp(min(int(seconds), _LAST_SECOND), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _endpoint(value: str) -> str:
    found = _ENDPOINT_RULE.fullmatch(value)
    if found is None:
        raise ValueError(_NO_ENDPOINT)
    host, port = found.groups()
    if host.startswith("[") and not _is_ipv6(host[1:-1]):
        raise ValueError(_NO_IPV6)
    if port and not 1 <= int(port[1:]) <= 65535:
        raise ValueError(_NO_PORT)
    return value


def _is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address by CEL's isIP, which takes no IPv4 address in the form of one."""
    try:
        return ipaddress.IPv6Address(text).ipv4_mapped is None
    except ValueError:
        return False


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        return quantities.parse_quantity(value)
    return value


def _whole(value: Any) -> Any:
    if isinstance(value, int | float) and value > _MOST:
        raise ValueError(f"must be at most {_MOST}")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        return quantities.parse_duration(value)
    raise ValueError(quantities.NO_DURATION)


def _rule(rule: str, message: str) -> dict[str, str]:
    return {"rule": rule, "message": message}


@dataclass(frozen=True, slots=True)
class EachOnce:
    """A list that has nothing twice: checked here, and by the API server. That takes it for a set; or for a map, where
    its items are told apart by the fields `by`."""

    by: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        if not self.by:
            return {**handler(schema), "x-kubernetes-list-type": "set"}
        keys = [to_camel(name) for name in self.by]
        return {**handler(schema), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}

    def _check(self, value: list[Any] | None) -> list[Any] | None:
        named = [" ".join(getattr(each, name) for name in self.by) if self.by else each for each in value or ()]
        if twice := repeated(named):
            raise ValueError(f"names {', '.join(twice)} more than once")
        return value


#: Name of a resource or Secret.
ResourceName = Annotated[str, Field(max_length=253), AfterValidator(dns_subdomain), text(_SUBDOMAIN, _NO_NAME, 253)]
#: Name of a Region: short enough for the value of a label.
RegionName = Annotated[str, Field(max_length=63), AfterValidator(dns_subdomain), text(_SUBDOMAIN, _NO_NAME, 63)]
#: Name of a namespace.
NamespaceName = Annotated[str, Field(max_length=63), AfterValidator(dns_label), text(_LABEL, _NO_LABEL, 63)]
#: Name of a Service, and of a port of one.
ServiceName = Annotated[str, Field(max_length=63), AfterValidator(dns_label), text(_LABEL, _NO_LABEL, 63)]
PortName = Annotated[str, Field(max_length=63), AfterValidator(dns_label), text(_LABEL, _NO_LABEL, 63)]
#: The region that signatures name.
RegionTag = Annotated[str, Field(max_length=63), AfterValidator(dns_label), text(_LABEL, _NO_LABEL, 63)]
#: S3 name of a bucket.
BucketName = Annotated[
    str,
    AfterValidator(_bucket_name),
    text(
        names.BUCKET_NAME_PATTERN,
        "must have 3 to 63 characters: lowercase letters, digits, hyphens and single periods, beginning and ending "
        "with a letter or digit",
        63,
        shortest=3,
        rules=[
            _rule(f"!(self in {sorted(names.RESERVED_BUCKET_NAMES)})".replace("'", '"'), "must not be reserved"),
            _rule("!self.contains('..')", "must not have two periods in a row"),
            _rule(r"!self.matches('^[0-9]{1,3}([.][0-9]{1,3}){3}$')", "must not look like an IP address"),
        ],
    ),
]
#: One of the limited set of S3 actions.
Action = Annotated[str, _one_of(GRANTABLE_ACTIONS), _choice(GRANTABLE_ACTIONS)]
#: The same of those that another namespace can be granted: on objects, and on no bucket itself.
SharedActionSet = Annotated[
    list[Annotated[str, _one_of(DEFAULT_ACTIONS), _choice(DEFAULT_ACTIONS)]],
    Field(min_length=1, max_length=len(DEFAULT_ACTIONS)),
    EachOnce(),
]
#: A set of actions, at least one.
ActionSet = Annotated[
    list[Action],
    Field(min_length=1, max_length=len(GRANTABLE_ACTIONS)),
    EachOnce(),
]
#: What names of objects begin with.
NamePrefix = Annotated[
    str, Field(min_length=1, max_length=256), AfterValidator(_printable), text(_PRINTABLE, _NOT_PRINTABLE, 256)
]
#: A content type (RFC 9110, 8.3.1) without parameters, or a pattern of some: `*` stands for any characters.
ContentTypePattern = Annotated[
    str,
    Field(min_length=1, max_length=127),
    AfterValidator(_content_type),
    text(_CONTENT_TYPE, _NO_CONTENT_TYPE, 127),
]
#: Most prefixes of a grant. All of a key's together have to fit into its record.
MAX_PREFIXES: Final = 8
#: A set of prefixes, at least one.
PrefixSet = Annotated[
    list[NamePrefix],
    Field(min_length=1, max_length=MAX_PREFIXES),
    EachOnce(),
]
#: RFC 3339 time, kept as text.
Timestamp = Annotated[
    str,
    BeforeValidator(_timestamp_text),
    Field(max_length=35),
    AfterValidator(_timestamp),
    text(TIME_PATTERN, _NO_TIME, 35),
]
#: Address of an S3 endpoint.
Endpoint = Annotated[
    str,
    Field(max_length=512),
    AfterValidator(_endpoint),
    text(
        _ENDPOINT,
        _NO_ENDPOINT,
        512,
        rules=[
            _rule(
                "!self.contains('[') || (self.contains(']') && "
                "isIP(self.substring(self.indexOf('[') + 1, self.indexOf(']'))))",
                _NO_IPV6,
            ),
            _rule(
                "!isURL(self) || url(self).getPort() == '' || "
                "(int(url(self).getPort()) >= 1 && int(url(self).getPort()) <= 65535)",
                _NO_PORT,
            ),
        ],
    ),
]
#: PEM certificates, one or several.
CertificateBundle = Annotated[
    str,
    Field(max_length=MAX_BUNDLE),
    AfterValidator(certificate_bundle),
    text(BUNDLE_PATTERN, NO_BUNDLE, MAX_BUNDLE),
]
_QUANTITY = WithJsonSchema(
    {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": quantities.QUANTITY_PATTERN,
        WORDS: quantities.NO_QUANTITY,
        "maxLength": quantities.MAX_QUANTITY_TEXT,
        "x-kubernetes-int-or-string": True,
    }
)
#: Bytes; written as a quantity, exactly.
ByteSize = Annotated[
    int,
    BeforeValidator(_bytes),
    PlainSerializer(quantities.format_quantity, return_type=str),
    _QUANTITY,
]
#: Bytes; written as a quantity of three digits.
RoundedSize = Annotated[
    int,
    BeforeValidator(_bytes),
    PlainSerializer(quantities.format_rounded, return_type=str),
    _QUANTITY,
]
#: How many. To an API server 2.0 is the same number as 2.
Count = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
#: How many a second, at most.
PerSecond = Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(_whole)]
#: Buckets of a namespace: as many at most as `allBuckets` of an AccessKey is for.
BucketCount = Annotated[int, Field(ge=1, le=2000), BeforeValidator(_whole)]
#: Seconds; written as a duration.
Duration = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(quantities.format_duration, return_type=str),
    text(quantities.DURATION_PATTERN, quantities.NO_DURATION, quantities.MAX_DURATION_TEXT),
]
#: Access key id.
AccessKeyId = Annotated[str, Field(pattern=r"^AKIA[A-Z2-7]{16}$", min_length=20, max_length=20)]
Visibility = Literal["Private", "Public"]
ApiAccess = Literal["Allowed", "Revoked"]
DeletionPolicy = Literal["Delete", "Retain", "Purge"]


@dataclass(frozen=True, slots=True)
class Between:
    """Bounds of a number that manifests write as text: checked here, and by the API server in CEL."""

    least: float
    most: float
    message: str
    rule: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-kubernetes-validations": [_rule(self.rule, self.message)]}

    def _check(self, value: float) -> float:
        if not self.least <= value <= self.most:
            raise ValueError(self.message)
        return value


def size_between(least: int, most: int) -> Between:
    """Bounds of a ByteSize (bytes)."""
    low, high = quantities.format_quantity(least), quantities.format_quantity(most)
    # A part of a byte counts as a whole one: 0.5 is 1. What is no quantity, the pattern refuses.
    rule = (
        f"type(self) == int ? self >= {least} && self <= {most} : !isQuantity(self) || "
        f"(quantity(self).isGreaterThan(quantity('{least - 1}')) && !quantity(self).isGreaterThan(quantity('{high}')))"
    )
    return Between(least, most, f"must be from {low} to {high}", rule)


def duration_between(least: float, most: float) -> Between:
    """Bounds of a Duration (seconds)."""
    low, high = quantities.format_duration(least), quantities.format_duration(most)
    # What is no duration, the pattern refuses.
    rule = (
        f"self == '' || !self.matches('{quantities.DURATION_PATTERN}') || "
        f"(duration(self) >= duration('{low}') && duration(self) <= duration('{high}'))"
    )
    return Between(least, most, f"must be from {low} to {high}", rule)
