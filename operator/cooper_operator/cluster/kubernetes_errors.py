"""What an API server's refusal means to the port: one table, first row that fits.

A Status object has code, reason (for machines), message (for people) and details (Kubernetes API conventions).
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from cooper_operator.cluster.port import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Invalid,
    NamespaceGone,
    NotAllowed,
    NotFound,
    Unavailable,
)

MAX_MESSAGE: Final = 2000
#: A secret value shorter than this is a word that may stand in any message.
_SHORTEST_SECRET: Final = 6


class Expired(Unavailable):
    """The place from where a list or a watch was to go on is no longer known: begin anew."""


class Terminating(Invalid):
    """The namespace is being deleted: nothing new can be made in it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no success. `reason` is '' when the body was no Status: then no API handled the request."""

    code: int
    reason: str = ""
    message: str = ""
    causes: frozenset[str] = frozenset()
    namespace: str = ""  # name of the namespace that the answer is about, if it is about one

    @property
    def lacks_right(self) -> bool:
        """Whether the operator's own rights are what is missing, and not something that a tenant can mend."""
        return _LACKS_RIGHT.search(self.message) is not None


@dataclass(frozen=True, slots=True)
class _Row:
    code: int
    raises: type[ClusterError]
    advice: str = ""
    reason: str | None = None  # None: any
    cause: str | None = None
    lacks_right: bool = False


# 'secrets "a" is forbidden: User "u" cannot get resource "secrets" in API group "" in the namespace "n"'
_LACKS_RIGHT: Final = re.compile(r"\bcannot \S+ (resource|path) ")

_UNKNOWN_KIND: Final = "the API server does not know this kind: apply the CustomResourceDefinitions of this version"
_NO_RIGHT: Final = "Cooper lacks this right: grant it, as the chart's roles do"
_TERMINATING: Final = "the namespace is being deleted: nothing new can be made in it"
_NOT_ACCEPTED: Final = "the API server does not accept Cooper's own credentials: check its service account"

_TABLE: Final = (
    _Row(400, Invalid),
    _Row(401, NotAllowed, _NOT_ACCEPTED),
    _Row(403, Terminating, _TERMINATING, cause="NamespaceTerminating"),
    _Row(403, NotAllowed, _NO_RIGHT, lacks_right=True),
    _Row(403, Invalid),  # an admission plug-in: a quota, a policy
    _Row(404, Unavailable, _UNKNOWN_KIND, reason=""),
    _Row(404, NotFound),
    _Row(405, Unavailable, _UNKNOWN_KIND),
    _Row(409, AlreadyExists, reason="AlreadyExists"),
    _Row(409, Conflict),
    _Row(410, Expired),
    _Row(413, Invalid),
    _Row(415, Unavailable),
    _Row(422, Invalid),
    _Row(429, Unavailable, "the API server has too much to do"),
)
#: A webhook may refuse with any code of its own.
_OTHER_REFUSAL: Final = _Row(0, Invalid)
_FAILURE: Final = _Row(0, Unavailable)


def error_of(answer: Answer, about: str, *, read: bool) -> ClusterError:
    """The port's error for an answer about `about`. A read that is refused proves nothing: it is never Invalid."""
    row = next((row for row in _TABLE if _fits(row, answer)), _OTHER_REFUSAL if answer.code < 500 else _FAILURE)
    raises = Unavailable if read and issubclass(row.raises, Invalid | Conflict | AlreadyExists) else row.raises
    said = answer.message or answer.reason or "no reason was given"
    text = f"{about}: {said[:MAX_MESSAGE]} (HTTP {answer.code})"
    if raises is NotFound and answer.namespace:
        return NamespaceGone(text, answer.namespace)
    return raises(f"{text}; {row.advice}" if row.advice else text)


def _fits(row: _Row, answer: Answer) -> bool:
    return (
        row.code == answer.code
        and row.reason in (None, answer.reason)
        and (row.cause is None or row.cause in answer.causes)
        and (not row.lacks_right or answer.lacks_right)
    )


def answer_of(code: int, body: bytes, sent: Mapping[str, Any] | None = None) -> Answer:
    """Read the body of an answer that is no success. Values of a Secret that was `sent` are struck out of it."""
    try:
        status: Any = json.loads(body)
    except ValueError:
        status = None
    if not isinstance(status, dict) or cast(dict[str, Any], status).get("kind") != "Status":
        return Answer(code, "", _struck(body[:200].decode(errors="replace").strip(), sent))
    return answer_of_status({"code": code} | cast(dict[str, Any], status), sent)


def answer_of_status(status: Mapping[str, Any], sent: Mapping[str, Any] | None = None) -> Answer:
    """Read a Status object, such as a watch tells."""
    details: dict[str, Any] = status.get("details") or {}
    causes: list[dict[str, Any]] = details.get("causes") or []
    reasons = frozenset(str(cause.get("reason")) for cause in causes)
    code = status.get("code")
    message = _struck(str(status.get("message") or ""), sent)
    namespace = str(details.get("name") or "") if details.get("kind") == "namespaces" else ""
    reason = str(status.get("reason") or "Unknown")
    return Answer(code if isinstance(code, int) else 500, reason, message, reasons, namespace)


def _struck(text: str, sent: Mapping[str, Any] | None) -> str:
    for secret in sorted(set(_secrets_in(sent)), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets_in(sent: Mapping[str, Any] | None) -> Iterator[str]:
    """The values of a Secret, as they were sent and as they are meant."""
    data: dict[str, Any] = (sent or {}).get("data") or {}
    for value in (value for value in data.values() if isinstance(value, str)):
        yield from (each for each in (value, _plain(value)) if len(each) >= _SHORTEST_SECRET)


def _plain(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode(errors="replace")
    except ValueError:
        return ""  # no Secret's value, such as a ConfigMap's
