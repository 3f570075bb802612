"""Credentials as Secrets in tenants' namespaces: the translation, both ways. Pure.

Ours is a Secret whose controller is an AccessKey, by UID; its labels only make it be found. Labels that somebody
removed are put back: such a Secret is not `intact`. An annotation tells which key it holds, whatever its keys are.
"""

import base64
from collections.abc import Mapping, Set
from typing import Any, Final

from cooper_crds.kubernetes import (
    CREDENTIALS_CONFIG_MAP_ANNOTATION,
    CREDENTIALS_DIGEST_ANNOTATION,
    CREDENTIALS_KEY_ANNOTATION,
    CREDENTIALS_LABEL,
    CREDENTIALS_OWNER_LABEL,
    MAX_LABEL_LENGTH,
)
from cooper_crds.problems import bare
from cooper_crds.stored import Credentials, content_digest
from cooper_operator.cluster.kubernetes_objects import controller_of, controller_reference
from cooper_operator.cluster.port import Object, Ref

#: "The tool being used to manage the operation of an application" (Kubernetes, Recommended Labels).
_MANAGER: Final = "app.kubernetes.io/managed-by"


def credentials_labels(owner_name: str, owner_uid: str) -> dict[str, str]:
    """Labels of the credentials of an AccessKey."""
    label = owner_name if len(owner_name) <= MAX_LABEL_LENGTH else "true"
    return {CREDENTIALS_LABEL: label, CREDENTIALS_OWNER_LABEL: owner_uid}


def owned(namespace: str, name: str, owner: Object) -> dict[str, Any]:
    """Metadata of an object that is an AccessKey's: controlled by it, and labelled so that it is found."""
    return {
        "namespace": namespace,
        "name": name,
        "labels": credentials_labels(owner["metadata"]["name"], owner["metadata"]["uid"]),
        "ownerReferences": [controller_reference(owner)],
    }


def owner_uid(metadata: Mapping[str, Any]) -> str | None:
    """UID of the AccessKey whose an object is; None: it is no AccessKey's."""
    controller = controller_of(metadata, "AccessKey")
    return controller and controller[1]


def whose(metadata: Mapping[str, Any]) -> str:
    """Who made an object, in words of a bounded length: what controls it, or else the tool that it says manages it."""
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller") is True:
            return f"{bare(owner['kind'])} {bare(owner['name'])} controls it"
    labels: dict[str, str] = metadata.get("labels") or {}
    return f"{bare(labels[_MANAGER])} manages it" if labels.get(_MANAGER) else ""


def is_labelled(metadata: Mapping[str, Any]) -> bool:
    """Whether an object of an AccessKey has all labels that it was given."""
    controller = controller_of(metadata, "AccessKey")
    labels: dict[str, str] = metadata.get("labels") or {}
    return controller is not None and credentials_labels(*controller).items() <= labels.items()


def new_secret(
    namespace: str,
    name: str,
    data: Mapping[str, str],
    owner: Object,
    access_key_id: str,
    in_config_map: Set[str] = frozenset(),
) -> dict[str, Any]:
    """The Secret to create. Values `in_config_map` are left out."""
    annotations = {**_annotations(data, access_key_id), **_mark(in_config_map)}
    metadata = {**owned(namespace, name, owner), "annotations": annotations}
    encoded = _encoded(data, in_config_map)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": encoded}


def secret_patch(
    current: Credentials,
    data: Mapping[str, str],
    owner: Object,
    access_key_id: str,
    in_config_map: Set[str] = frozenset(),
) -> dict[str, Any]:
    """The merge patch (RFC 7396) that gives a Secret of ours exactly this content, at the version it was read at.

    Labels and annotations that others put on it stay. Values `in_config_map` are left out.
    """
    labels = credentials_labels(owner["metadata"]["name"], owner["metadata"]["uid"])
    removed = dict.fromkeys(current.data.keys() - (data.keys() - in_config_map))
    annotations = {**_annotations(data, access_key_id), CREDENTIALS_CONFIG_MAP_ANNOTATION: None, **_mark(in_config_map)}
    metadata = {"resourceVersion": current.version, "labels": labels, "annotations": annotations}
    return {"metadata": metadata, "data": {**removed, **_encoded(data, in_config_map)}}


def credentials_of(secret: Mapping[str, Any]) -> Credentials:
    """Read a Secret, whoever made it. Values that are not UTF-8 are none that we wrote: they come out changed."""
    metadata = secret["metadata"]
    data: dict[str, str] = secret.get("data") or {}
    uid = owner_uid(metadata)
    annotations: dict[str, str] = metadata.get("annotations") or {}
    return Credentials(
        metadata["namespace"],
        metadata["name"],
        {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()},
        uid,
        metadata["resourceVersion"],
        access_key_id=uid and annotations.get(CREDENTIALS_KEY_ANNOTATION),
        intact=uid is None or is_labelled(metadata),
        delivered=uid and annotations.get(CREDENTIALS_DIGEST_ANNOTATION),
        whose=whose(metadata),
    )


def is_marked(secret: Mapping[str, Any]) -> bool:
    """Whether a part of the values is in a ConfigMap."""
    annotations: dict[str, str] = secret["metadata"].get("annotations") or {}
    return CREDENTIALS_CONFIG_MAP_ANNOTATION in annotations


def credentials_owner(metadata: Mapping[str, Any]) -> Ref | None:
    """The AccessKey whose credentials a Secret holds, by its metadata."""
    controller = controller_of(metadata, "AccessKey")
    return controller and Ref("AccessKey", metadata["namespace"], controller[0])


def _annotations(data: Mapping[str, str], access_key_id: str) -> dict[str, str]:
    return {CREDENTIALS_KEY_ANNOTATION: access_key_id, CREDENTIALS_DIGEST_ANNOTATION: content_digest(data)}


def _mark(in_config_map: Set[str]) -> dict[str, str]:
    return {CREDENTIALS_CONFIG_MAP_ANNOTATION: "true"} if in_config_map else {}


def _encoded(data: Mapping[str, str], but: Set[str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items() if key not in but}
