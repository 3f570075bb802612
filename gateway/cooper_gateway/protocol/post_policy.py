"""The policy of an upload by form: what whoever signed it lets others upload. It is judged once its signature held.

Specification: "POST Policy" (Amazon S3 API Reference). A form is worth what its policy says and no more: each field
is named by a condition, each condition is fulfilled, and it is about one bucket.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from cooper_gateway.protocol.dates import parse_iso_date
from cooper_gateway.protocol.errors import S3Error

#: "Each form field that you specify in a form (except x-amz-signature, file, policy, and field names that have an
#: x-ignore- prefix) must appear in the list of conditions."
_FREE: Final = frozenset({"x-amz-signature", "file", "policy"})
_IGNORED: Final = "x-ignore-"
#: "\$ Dollar symbol" is among the escapes of a policy, and JSON has it not.
_DOLLAR: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\\$")
_LONGEST_TOLD: Final = 400
_RANGE: Final = "content-length-range"
_OPERATORS: Final = ("eq", "starts-with")


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON as it may be: what is deeper, or of another type, is refused where it begins."""

    expiration: str
    conditions: list[dict[str, str] | list[str | int]]


class _Condition(NamedTuple):
    """What a field must be, or begin with."""

    operator: str
    field: str  # lower case
    value: str


class Sizes(NamedTuple):
    """How many bytes the file may have."""

    least: int = 0
    most: int | None = None


class Policy(NamedTuple):
    """A policy that can be read."""

    expires: float  # Unix seconds
    conditions: list[_Condition]
    sizes: Sizes


def read_policy(encoded: str) -> Policy:
    """Read a form's field `policy`. Raises S3Error InvalidPolicyDocument."""
    try:
        document = msgspec.json.decode(_DOLLAR.sub(rb"\1$", b64decode(encoded, validate=True)), type=_Document)
    except (binascii.Error, ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise _invalid(str(error) if isinstance(error, msgspec.MsgspecError) else "it is not base64 of JSON") from None
    expires = parse_iso_date(document.expiration)
    if expires is None:
        raise _invalid("expiration must be a date such as 2030-01-31T12:00:00.000Z")
    sizes = Sizes()
    conditions: list[_Condition] = []
    for found in map(_condition, document.conditions):
        if isinstance(found, _Condition):
            conditions.append(found)
        else:
            most = found.most if sizes.most is None else min(sizes.most, found.most or 0)
            sizes = Sizes(max(sizes.least, found.least), most)
    return Policy(expires, conditions, sizes)


def check_policy(policy: Policy, fields: Mapping[str, str], bucket: str, now: float) -> None:
    """Raise S3Error AccessDenied unless a form of these fields, sent to that bucket now, is what was signed.

    "All variables within the form are expanded before the policy is validated."
    """
    if now >= policy.expires:
        raise _denied("Policy expired.")
    # The bucket is in the target, whatever a field says: as a condition it must be there, or the form would be good
    # for every bucket of its key.
    values = {**fields, "bucket": bucket}
    if fields.get("bucket", bucket) != bucket:
        raise S3Error("InvalidArgument", "The form's field bucket is not the bucket that it was sent to.")
    for condition in policy.conditions:
        if not _holds(condition, values.get(condition.field, "")):
            told = msgspec.json.encode([condition.operator, f"${condition.field}", condition.value]).decode()
            raise _denied(f"Policy Condition failed: {told:.{_LONGEST_TOLD}}")
    named = {condition.field for condition in policy.conditions}
    extra = [name for name in values if name not in named | _FREE and not name.startswith(_IGNORED)]
    if extra:
        raise _denied(f"Extra input fields: {', '.join(extra):.{_LONGEST_TOLD}}")


def _condition(found: dict[str, str] | list[str | int]) -> "_Condition | Sizes":
    if isinstance(found, dict):
        if len(found) != 1:
            raise _invalid("a condition in braces has exactly one property")
        ((name, value),) = found.items()
        return _Condition("eq", name.lower(), value)
    if len(found) != 3:
        raise _invalid("a condition in brackets has three elements")
    operator, name, value = found
    operator = str(operator).lower()
    if operator == _RANGE:
        least, most = _sizes(found[1:])
        return Sizes(least, most)
    if operator not in _OPERATORS or not isinstance(name, str) or not isinstance(value, str) or name[:1] != "$":
        raise _invalid(
            f'a condition in brackets is ["eq", "$FIELD", "VALUE"], ["starts-with", "$FIELD", "VALUE"] or '
            f'["{_RANGE}", LEAST, MOST]'
        )
    return _Condition(operator, name[1:].lower(), value)


def _sizes(found: list[str | int]) -> Iterator[int]:
    """Two numbers of bytes; some programs write them as strings."""
    for each in found:
        text = str(each)
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise _invalid(f"{_RANGE} has two numbers of bytes")
        yield int(text)


def _holds(condition: _Condition, value: str) -> bool:
    if condition.operator == "eq":
        return value == condition.value
    if condition.field == "content-type":
        # "Content-Type values for a starts-with condition that include commas are interpreted as lists. Each value in
        # the list must meet the condition for the whole condition to pass."
        return all(each.lstrip(" \t").startswith(condition.value) for each in value.split(","))
    return value.startswith(condition.value)


def _invalid(message: str) -> S3Error:
    return S3Error("InvalidPolicyDocument", f"The form's policy cannot be read: {message:.{_LONGEST_TOLD}}.")


def _denied(message: str) -> S3Error:
    return S3Error("AccessDenied", f"Invalid according to Policy: {message}")
