"""Manifests with every field there is, and text by pattern: what a generator cannot know."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cooper_crds.actions import GRANTABLE_ACTIONS
from cooper_crds.meta import API_VERSION
from cooper_crds.patterns import pattern_of
from cooper_crds.secret_profiles import PROFILES
from e2e.crds.schemas import Schema, Steps, schema_of

TIME: Final = "2030-01-31T12:00:00Z"
CONDITION: Final = {
    "type": "Ready",
    "status": "False",
    "reason": "GatewayUnavailable",
    "message": "no gateway of Region local answers",
    "lastTransitionTime": TIME,
    "observedGeneration": 1,
}
_OBSERVED: Final = {"observedGeneration": 1, "conditions": [CONDITION]}

_SECRET: Final = {
    "secretProfiles": ["AWS"],
    "secretKeys": {
        "accessKeyId": "MY_ID",
        "secretAccessKey": "MY_SECRET",
        "endpoint": "MY_ENDPOINT",
        "region": "MY_REGION",
        "bucket": "MY_BUCKET",
        "caBundle": "MY_CERTIFICATES",
    },
    "rotation": {"interval": "2160h", "overlap": "20s"},
    "restart": [{"kind": "Deployment", "name": "web"}, {"kind": "StatefulSet", "name": "db"}],
}
#: The shortest text that is a certificate for both judges: the same at each run, since names of tests are made of it.
CERTIFICATE: Final = (Path(__file__).parent / "certificate.pem").read_text()
#: An X25519 public key: the base point.
RECIPIENT: Final = "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#: Spec and status of each kind, with every field. No Region is the default: other tests' Buckets would choose it.
_FULL: Final[Mapping[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "Region": (
        {
            "tag": "us-east-1",
            "default": False,
            "endpoints": {"internal": "http://s3.cooper:9000", "public": "https://[2001:db8::1]:443"},
            "caBundle": CERTIFICATE,
            "service": {"name": "gateway", "port": "http", "scheme": "https"},
            "features": {
                "listObjectsV1": False,
                "matchRegion": True,
                "virtualHosts": "s3.example.net",
                "createBucket": True,
            },
            "limits": {
                "maxObjectSize": "5Gi",
                "maxMetadataSize": "4Ki",
                "idleUploads": "24h",
                "requestsPerSecond": 100,
                "bytesPerSecond": "50Mi",
                "maxCreatedBuckets": 7,
            },
            "adoptions": [{"bucketName": "my-photos", "namespace": "films"}],
            "domainSuffixes": [{"suffix": "example.com", "namespaces": ["films"]}],
            "trustedProxies": ["10.0.0.0/8", "2001:db8::/32"],
            "maxRecordAge": "1h30m",
            "bucketNameTemplate": "{namespace}-{name}",
        },
        {**_OBSERVED, "endpoint": "http://s3.cooper:9000", "gateways": "2/3"},
    ),
    "Bucket": (
        {
            "bucketName": "my-photos",
            "region": "local",
            "visibility": "Public",
            "apiAccess": "Revoked",
            "maxObjectSize": "500Mi",
            "quota": {"maxSize": "10Gi", "maxObjects": 1000},
            "allowedContentTypes": ["image/*", "text/plain"],
            "cors": [
                {
                    "allowedOrigins": ["https://*.example.com"],
                    "allowedMethods": ["GET"],
                    "allowedHeaders": ["content-type", "x-amz-*"],
                    "exposeHeaders": ["ETag"],
                    "maxAge": "1h",
                }
            ],
            "domains": ["photos.example.com"],
            "deletionPolicy": "Retain",
            "adopt": True,
            "credentials": {
                "enabled": False,
                "secretName": "my-secret",
                "actions": ["s3:GetObject"],
                "allowedNetworks": ["192.0.2.0/24"],
                **_SECRET,
            },
        },
        {
            **_OBSERVED,
            "bucketName": "my-photos",
            "region": "local",
            "endpoint": "http://s3.cooper:9000",
            "domains": ["photos.example.com"],
            "objects": 1234,
            "size": "1.5Gi",
            "binding": {"name": "my-secret"},
            "adopted": {"at": TIME, "dataId": "cd8b4d26-8d0b-4bba-a3f8-3a8e7f0c1c2b"},
            "purge": {"objectsDone": 12, "objectsTotal": 1246},
        },
    ),
    "BucketGrant": (
        {
            "from": [{"namespace": "films"}],
            "buckets": ["photos"],
            "actions": ["s3:GetObject"],
            "prefixes": ["shared/"],
        },
        {**_OBSERVED, "namespaces": "films and 2 more", "buckets": "photos, logs"},
    ),
    "AccessKey": (
        {
            "region": "local",
            "grants": [
                {
                    "bucket": "photos",
                    "namespace": "films",
                    "actions": ["s3:GetObject"],
                    "prefixes": ["reports/", "2026-"],
                }
            ],
            "allBuckets": {"actions": ["s3:ListBucket"]},
            "state": "Revoked",
            "expiresAt": TIME,
            "allowedNetworks": ["192.0.2.7/32", "2001:db8::/32"],
            "delivery": "Secret",
            "once": {"recipient": RECIPIENT},
            "secretName": "my-secret",
            **_SECRET,
        },
        {
            **_OBSERVED,
            "state": "Active",
            "accessKeyId": "AKIA234567ABCDEFGHIJ",
            "retiringAccessKeyId": "AKIA234567ABCDEFGHIK",
            "retireAt": TIME,
            "nextRotationAt": TIME,
            "once": {
                "accessKeyId": "AKIA234567ABCDEFGHIJ",
                "recipient": RECIPIENT,
                "content": "0" * 32,
                "sealed": "c2VhbGVk",
            },
            "lastHandledRotateAt": TIME,
            "rotatedAt": TIME,
            "secretName": "my-secret",
            "provenRecord": "1234",
            "region": "local",
            "binding": {"name": "my-secret"},
        },
    ),
}
#: Of what there has to be one, and which one is free.
_ONE_OF: Final[Mapping[str, dict[str, Any]]] = {"AccessKey": {"grants": [{"bucket": "photos"}]}}
ABSENT: Final = object()


def manifest(kind: str, spec: Any, name: str = "sample", **metadata: Any) -> dict[str, Any]:
    """A manifest without status."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def full(kind: str) -> dict[str, Any]:
    """A valid manifest with every field of spec and status."""
    spec, status = _FULL[kind]
    return copy.deepcopy({**manifest(kind, spec), "status": status})


def least(kind: str) -> dict[str, Any]:
    """A valid manifest without anything that may be left out."""
    return manifest(kind, _required(schema_of(kind)["properties"]["spec"], _FULL[kind][0]) | _ONE_OF.get(kind, {}))


def _required(node: Schema, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _required(node["properties"][name], value[name]) for name in node.get("required", ())}
    return [_required(node["items"], each) for each in value] if isinstance(value, list) else value


def at(obj: Any, steps: Steps) -> Any:
    """The value at a path."""
    for step in steps:
        obj = obj[step]
    return obj


def changed(obj: Any, steps: Steps, value: Any) -> Any:
    """A copy with another value at a path, or with ABSENT none."""
    if not steps:
        return value
    made = copy.deepcopy(obj)
    holder = at(made, steps[:-1])
    if value is ABSENT:
        del holder[steps[-1]]
    else:
        holder[steps[-1]] = value
    return made


@dataclass(frozen=True, slots=True)
class Text:
    """Values by a pattern: one of each length, the shortest, and one that breaks the pattern and no bound."""

    of_length: Callable[[int], str]
    shortest: str
    broken: str


def _letters(length: int) -> str:
    return "a" * length


def _domain(length: int) -> str:
    """Of labels as short as they may be: so there are most of them."""
    return "a" * (2 - length % 2) + ".a" * ((length - 1) // 2)


def _pattern(kind: str, *steps: str) -> str:
    """The pattern of a field."""
    node = schema_of(kind)
    for step in steps:
        node = node.get("items", node)["properties"][step]
    pattern = pattern_of(node.get("items", node))
    assert pattern is not None, f"{kind} {steps} has no pattern"
    return pattern


TEXTS: Final[Mapping[str | None, Text]] = {
    None: Text(_letters, "", ""),
    _pattern("Bucket", "spec", "region"): Text(_letters, "a", "a..b"),
    _pattern("Region", "spec", "tag"): Text(_letters, "a", "a.b"),
    _pattern("Bucket", "spec", "bucketName"): Text(_letters, "abc", "-abc"),
    _pattern("Bucket", "status", "endpoint"): Text(lambda n: "http://".ljust(n, "a"), "http://a", "http://a/b"),
    _pattern("AccessKey", "spec", "expiresAt"): Text(
        lambda n: "2030-01-31T12:00:00.123456789+01:00".ljust(n, "0"), TIME, "2030-01-31 12:00:00Z"
    ),
    _pattern("Region", "status", "gateways"): Text(lambda n: "1/".ljust(n, "2"), "1/2", "1 of 2"),
    _pattern("Bucket", "status", "size"): Text(lambda n: "1.000000000Ki".rjust(n, "0"), "1", "1 Ki"),
    _pattern("Region", "spec", "limits", "idleUploads"): Text(lambda n: "1h0000000m0000000s".rjust(n, "0"), "1h", "1d"),
    _pattern("Region", "spec", "maxRecordAge"): Text(lambda n: "1h0000000m0000000s".rjust(n, "0"), "1h", "1d"),
    _pattern("Region", "spec", "bucketNameTemplate"): Text(lambda n: "{name}".ljust(n, "a"), "{name}", "{name}_"),
    _pattern("AccessKey", "spec", "secretKeys", "region"): Text(_letters, "a", "a-b"),
    _pattern("Region", "spec", "caBundle"): Text(lambda n: CERTIFICATE.ljust(n, "\n"), CERTIFICATE, f"# {CERTIFICATE}"),
    _pattern("Bucket", "status", "conditions", "type"): Text(_letters, "a", "a b"),
    _pattern("Bucket", "status", "conditions", "reason"): Text(_letters, "a", "a b"),
    _pattern("Bucket", "spec", "allowedContentTypes"): Text(lambda n: "a/".ljust(n, "b"), "a/b", "text plain"),
    _pattern("Bucket", "spec", "cors", "allowedOrigins"): Text(
        lambda n: "http://".ljust(n, "a") if n > 8 else "*" * n, "*", "http://a/"
    ),
    _pattern("Bucket", "spec", "cors", "allowedHeaders"): Text(_letters, "*", "a*b*"),
    _pattern("Bucket", "spec", "cors", "exposeHeaders"): Text(_letters, "a", "a*"),
    _pattern("Bucket", "spec", "domains"): Text(_domain, "a.b", "a..b"),
    _pattern("Region", "spec", "domainSuffixes", "suffix"): Text(_domain, "a", "a..b"),
    _pattern("AccessKey", "spec", "once", "recipient"): Text(
        lambda n: RECIPIENT.rjust(n, "A")[-n:], RECIPIENT, RECIPIENT.replace("=", "A")
    ),
    _pattern("AccessKey", "status", "once", "content"): Text(lambda n: "0" * n, "0" * 32, "O" * 32),
    _pattern("AccessKey", "status", "once", "sealed"): Text(_letters, "a", "a b"),
    _pattern("AccessKey", "spec", "allowedNetworks"): Text(
        lambda n: f"{'0000:' * 6}255.255.255.255/128".rjust(n, "0"), "::/0", "10.0.0.0"
    ),
    _pattern("AccessKey", "spec", "grants", "prefixes"): Text(_letters, " ", "a\tb"),
    _pattern("AccessKey", "status", "accessKeyId"): Text(
        lambda n: "AKIA".ljust(n, "A"), "AKIA".ljust(20, "A"), "AKIA".ljust(20, "1")
    ),
}


def _grants(count: int) -> list[Any]:
    """With the longest names: rules that compare them cost the most."""
    return [
        {"bucket": f"{index:03}".rjust(253, "b"), "namespace": "n" * 63, "actions": ["s3:GetObject"]}
        for index in range(count)
    ]


def _cors_rules(count: int) -> list[Any]:
    """With as much as any can have: rules that read it cost the most."""
    longest = {
        "allowedOrigins": [f"http://{index:02}".ljust(256, "o") for index in range(16)],
        "allowedMethods": ["GET", "PUT", "HEAD", "DELETE", "POST"],
        "allowedHeaders": [f"{index:02}".ljust(64, "h") for index in range(16)],
        "exposeHeaders": [f"{index:02}".ljust(64, "e") for index in range(16)],
        "maxAge": "0000024h0000000m0000000s"[1:],
    }
    return [copy.deepcopy(longest) for _ in range(count)]


def _networks(count: int) -> list[Any]:
    """As long as any: rules that read them cost the most."""
    return [f"{'0000:' * 6}255.255.255.{100 + index}/128" for index in range(count)]


#: Lists of any length, by the name of their field.
LISTS: Final[Mapping[str, Callable[[int], list[Any]]]] = {
    "actions": lambda count: [*GRANTABLE_ACTIONS, GRANTABLE_ACTIONS[0]][:count],
    "grants": _grants,
    "from": lambda count: [{"namespace": f"{index:02}".rjust(63, "n")} for index in range(count)],
    "buckets": lambda count: [f"{index:03}".rjust(253, "b") for index in range(count)],
    "allowedContentTypes": lambda count: [f"image/{index}" for index in range(count)],
    "cors": _cors_rules,
    "allowedOrigins": lambda count: [f"https://app-{index}.example.com" for index in range(count)],
    "allowedMethods": lambda count: ["GET", "PUT", "HEAD", "DELETE", "POST", "GET"][:count],
    "allowedHeaders": lambda count: [f"x-amz-{index}" for index in range(count)],
    "exposeHeaders": lambda count: [f"x-amz-{index}" for index in range(count)],
    "allowedNetworks": _networks,
    "trustedProxies": _networks,
    "adoptions": lambda count: [{"bucketName": f"{index:063}", "namespace": "n" * 63} for index in range(count)],
    "domains": lambda count: [f"{index}.{'d' * 63}.{'e' * 63}.example.com" for index in range(count)],
    "domainSuffixes": lambda count: [{"suffix": f"s{index}.example.com"} for index in range(count)],
    "namespaces": lambda count: [f"{index:02}".rjust(63, "n") for index in range(count)],
    "prefixes": lambda count: [f"{index}".ljust(256, "é") for index in range(count)],
    "secretProfiles": lambda count: [*PROFILES, PROFILES[0]][:count],
    "restart": lambda count: [{"kind": "Deployment", "name": f"web-{index}"} for index in range(count)],
    "conditions": lambda count: [{**CONDITION, "type": f"Type{index}"} for index in range(count)],
}
