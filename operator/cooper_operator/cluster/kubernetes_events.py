"""Events of core/v1. Their names follow from what they say, so that a repeat finds the one to count it on. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from cooper_crds.fields import timestamp
from cooper_crds.kubernetes import FIELD_MANAGER, GROUP
from cooper_crds.meta import DEFAULT_NAMESPACE
from cooper_operator.cluster.port import Object

#: "message: maximum length is 1024 characters" (events.k8s.io/v1, which shows the same objects)
_MAX_MESSAGE: Final = 1024
_MAX_NAME: Final = 200


def event_namespace(about: Object) -> str:
    """Where events about a resource live: with it, or in `default` for one of no namespace."""
    return about["metadata"].get("namespace") or DEFAULT_NAMESPACE


def event_name(about: Object, type_: str, reason: str, message: str) -> str:
    """The same for the same event about the same resource."""
    metadata = about["metadata"]
    said = "\0".join((metadata.get("uid", ""), type_, reason, message))
    return f"{metadata['name'][:_MAX_NAME].rstrip('.-')}.{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def new_event(about: Object, type_: str, reason: str, message: str, now: float) -> dict[str, Any]:
    """The event to create. `now` is in Unix seconds."""
    metadata = about["metadata"]
    at = timestamp(now)
    involved = {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": metadata["name"]}
    involved |= {key: metadata[key] for key in ("namespace", "uid", "resourceVersion") if metadata.get(key)}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": event_namespace(about), "name": event_name(about, type_, reason, message)},
        "involvedObject": involved,
        "type": type_,
        "reason": reason,
        "message": message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 1] + "…",
        "count": 1,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": f"{GROUP}/operator",
        "reportingInstance": FIELD_MANAGER,
    }


def repeat_patch(known: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The merge patch that counts a repeat on an event as it was read."""
    count = known.get("count")
    counted = count + 1 if isinstance(count, int) else 2
    version = {"resourceVersion": known["metadata"]["resourceVersion"]}
    return {"metadata": version, "count": counted, "lastTimestamp": timestamp(now)}
