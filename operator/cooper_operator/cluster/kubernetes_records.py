"""Records as Secrets in the gateways' namespace: the translation, both ways, and reading all of them."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, cast

from cooper_crds.kubernetes import (
    DAMAGED_RECORD_TYPE,
    RECORD_KEY,
    RECORD_KINDS,
    RECORD_LABEL,
    RECORD_OWNER,
    RECORD_SELECTOR,
    RECORD_TYPE,
    record_name,
    record_of,
    secret_name,
)
from cooper_crds.records import Record, RecordError, RecordTooNew, encode
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_objects import PLURALS, core_path
from cooper_operator.cluster.owners import record_owner
from cooper_operator.cluster.port import Kind, Ref
from cooper_operator.cluster.record_listing import DamagedRecord, RecordListing


async def list_record_secrets(api: KubernetesApi, namespace: str) -> list[dict[str, Any]]:
    """The Secrets of all records in the gateways' namespace. Raises what the cluster's port raises."""
    of = Collection(core_path("secrets", namespace), "all records", {"fieldSelector": RECORD_SELECTOR})
    return (await api.list(of)).items


def listing_of(secrets: Sequence[Mapping[str, Any]]) -> RecordListing:
    """What they say."""
    found = [stored_record(each) for each in secrets]
    return RecordListing(
        (each for each in found if isinstance(each, StoredRecord)),
        (each for each in found if isinstance(each, DamagedRecord)),
    )


def new_record_secret(namespace: str, name: str, record: Record) -> dict[str, Any]:
    """The Secret to create."""
    metadata = {"namespace": namespace, "name": secret_name(name), **_said_of(name, record)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": RECORD_TYPE, "data": _data(record)}


def record_patch(name: str, record: Record, version: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that puts a record in the place of what was read at `version`, whose data keys were `keys`."""
    removed = dict.fromkeys(keys.keys() - {RECORD_KEY})
    return {"metadata": {"resourceVersion": version, **_said_of(name, record)}, "data": {**removed, **_data(record)}}


def damaged_copy(secret: Mapping[str, Any]) -> dict[str, Any]:
    """The Secret that keeps a damaged record's content. Its name is the same however often this is begun anew."""
    metadata = secret["metadata"]
    kept = {
        "namespace": metadata["namespace"],
        "name": f"{metadata['name']}.damaged-{metadata['resourceVersion']}",
    }
    data: Any = secret.get("data") or {}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": kept, "type": DAMAGED_RECORD_TYPE, "data": data}


def stored_record(secret: Mapping[str, Any]) -> StoredRecord | DamagedRecord:
    """Read a Secret that bears a record's name."""
    metadata = secret["metadata"]
    name = record_name(metadata["name"])
    if secret.get("type") != RECORD_TYPE:
        reason = f"a Secret of another type than {RECORD_TYPE} has its name: remove that Secret"
        return DamagedRecord(name, reason, replaceable=False)
    try:
        record = record_of(secret)
    except RecordError as error:
        return DamagedRecord(name, str(error), replaceable=not isinstance(error, RecordTooNew))
    return StoredRecord(name, record, metadata["resourceVersion"])


def record_secret_owner(metadata: Mapping[str, Any]) -> Ref | None:
    """The resource that a record was written for, by its Secret's metadata; None where there is none."""
    annotations: dict[str, str] = metadata.get("annotations") or {}
    said = annotations.get(RECORD_OWNER, "").split("/")
    return Ref(cast(Kind, said[0]), said[1], said[2]) if said[0] in PLURALS and len(said) == 3 else None


def _said_of(name: str, record: Record) -> dict[str, Any]:
    """Label and annotation. A watch of metadata tells by them whom a change concerns."""
    owner = record_owner(record)
    annotations = {RECORD_OWNER: f"{owner.kind}/{owner.namespace}/{owner.name}"} if owner else {}
    kind = name.partition("-")[0]
    labels = {RECORD_LABEL: kind} if kind in RECORD_KINDS else {}
    return {"labels": labels, "annotations": annotations}


def _data(record: Record) -> dict[str, str]:
    return {RECORD_KEY: base64.b64encode(encode(record)).decode()}
