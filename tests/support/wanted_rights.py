"""What a key is to be allowed, and whose domains are to be, told anew from what people wrote: the model's own view."""

from collections.abc import Iterable
from typing import Any

from cooper_crds.access_key import AccessKey
from cooper_crds.actions import DEFAULT_ACTIONS, GRANTABLE_ACTIONS
from cooper_crds.records import BucketRecord, KeyRecord

#: S3 name of a bucket or UID of a Bucket, action, and the name of an object: places within each prefix that is in use
#: here, and without.
Right = tuple[str, str, str]
PLACES = ("", "a", "a/", "a/x", "a/b/x", "b/x")


def rights_of(key: KeyRecord, buckets: Iterable[BucketRecord]) -> set[Right]:
    """What a record allows, on the buckets that are there."""
    data = {each.name: each.data_id for each in buckets}
    return {
        (grant.bucket, action, place)
        for grant in key.grants
        for action in grant.actions
        for place in PLACES
        if data.get(grant.bucket) == grant.data_id and _within(grant.prefixes, place)
    }


def given_rights(access_key: AccessKey, objects: Iterable[dict[str, Any]]) -> set[Right]:
    """What the AccessKey asks for and the owner of each Bucket lets, by the Bucket's UID."""
    objects = list(objects)
    home, spec = access_key.metadata.namespace, access_key.spec.model_dump(by_alias=True, exclude_none=True)
    found: set[Right] = set()
    for bucket in objects:
        meta = bucket["metadata"]
        if bucket["kind"] != "Bucket":
            continue
        place_of = (meta["namespace"], meta["name"])
        asked = [each for each in spec.get("grants", []) if (each.get("namespace", home), each["bucket"]) == place_of]
        if meta["namespace"] == home:
            asked += [spec["allBuckets"]] if "allBuckets" in spec else []
            let = [{"actions": GRANTABLE_ACTIONS}]
        else:
            let = [
                each["spec"]
                for each in objects
                if (each["kind"], each["metadata"].get("namespace")) == ("BucketGrant", meta["namespace"])
                and {"namespace": home} in each["spec"]["from"]
                and meta["name"] in each["spec"].get("buckets", [meta["name"]])
            ]
        found |= {
            (meta["uid"], action, place)
            for action in GRANTABLE_ACTIONS
            for place in PLACES
            if _says(asked, action, place) and _says(let, action, place)
        }
    return found


def wanted_rights(
    access_key: AccessKey, objects: Iterable[dict[str, Any]], buckets: Iterable[BucketRecord]
) -> set[Right]:
    """The same by the S3 names of the buckets that there are."""
    names = {each.owner.uid: each.name for each in buckets if not each.retained}
    given = given_rights(access_key, objects)
    return {(names[uid], action, place) for uid, action, place in given if uid in names}


def _says(rights: list[dict[str, Any]], action: str, place: str) -> bool:
    return any(
        action in each.get("actions", DEFAULT_ACTIONS) and _within(each.get("prefixes", ()), place) for each in rights
    )


def _within(prefixes: Iterable[str], place: str) -> bool:
    return not prefixes or any(place.startswith(prefix) for prefix in prefixes)


def may_have(domain: str, namespace: str, suffixes: list[dict[str, Any]]) -> bool:
    """Whether a Region with these suffixes lets a namespace have a domain: the longest one that fits says so."""
    labels = domain.split(".")
    for start in range(len(labels)):
        for each in suffixes:
            if each["suffix"].split(".") == labels[start:]:
                return "namespaces" not in each or namespace in each["namespaces"]
    return False


def wanted_domains(
    objects: Iterable[dict[str, Any]], buckets: Iterable[BucketRecord], suffixes: list[dict[str, Any]]
) -> dict[str, list[tuple[str, str, str]]]:
    """Who could have a domain: UID of the Bucket, S3 name and data, by domain."""
    specs = {each["metadata"]["uid"]: each["spec"] for each in objects if each["kind"] == "Bucket"}
    found: dict[str, list[tuple[str, str, str]]] = {}
    for bucket in buckets:
        if bucket.retained:
            continue
        for domain in specs.get(bucket.owner.uid, {}).get("domains", ()):
            if may_have(domain, bucket.owner.namespace, suffixes):
                found.setdefault(domain, []).append((bucket.owner.uid, bucket.name, bucket.data_id))
    return found
