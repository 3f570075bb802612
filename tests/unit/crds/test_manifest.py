import copy

import pytest
import yaml

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.manifest import KINDS, ManifestError, check_update, parse, to_manifest
from cooper_crds.region import Region

API = "cooper.dev/v1alpha1"
SPECS = {
    "Region": {"tag": "us-east-1"},
    "Bucket": {},
    "BucketGrant": {"from": [{"namespace": "films"}]},
    "AccessKey": {"grants": [{"bucket": "photos"}]},
}
DNS = "must be a DNS name"


def manifest(kind="Bucket", spec=None, **metadata):
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"name": "photos", **metadata},
        "spec": {**SPECS.get(kind, {}), **(spec or {})},
    }


def problems(obj):
    with pytest.raises(ManifestError) as caught:
        parse(obj)
    return [str(problem) for problem in caught.value.problems]


ENDPOINT = "must be an http or https URL with a host, perhaps a port, and nothing else"
TIME = "must be an RFC 3339 time with a time zone"
DURATION = "must be a duration such as 24h"
ACTIONS = "must be one of s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket, s3:GetBucketLocation, "
HOSTILE_NAMES = [
    "../etc",
    "a/b",
    "a\0b",
    "",
    ".",
    "..",
    "-a",
    "a-",
    "A",
    "a_b",
    "a\n",
    "a b",
    "é",
    "\u202ea",
    "%2e",
    "~",
]

# kind, spec, path, how the reason begins
MISTAKES = [
    ("Bucket", {"visibility": "Secret"}, "spec.visibility", 'must be one of Private, Public (got "Secret")'),
    ("Region", {"featurs": {}}, "spec.featurs", "unknown field; did you mean features?"),
    ("AccessKey", {"state": "active"}, "spec.state", 'must be one of Active, Revoked (got "active"); did you'),
    ("Bucket", {"visibility": ["Private"]}, "spec.visibility", "must be one of Private, Public"),
    ("Bucket", {"visibilty": "Public"}, "spec.visibilty", "unknown field; did you mean visibility?"),
    ("Bucket", {"bucket_name": "photos"}, "spec.bucket_name", "unknown field; did you mean bucketName?"),
    ("Bucket", {"zzz": 1}, "spec.zzz", "unknown field; known are bucketName, region"),
    ("Bucket", {"a b": 1}, 'spec["a b"]', "unknown field"),
    ("Bucket", {"bucketName": "public"}, "spec.bucketName", "the bucket name 'public' is reserved"),
    ("Bucket", {"bucketName": "ab"}, "spec.bucketName", "a bucket name has 3 to 63 characters, this has 2"),
    ("Bucket", {"bucketName": "a..b"}, "spec.bucketName", "a bucket name has lowercase letters"),
    ("Bucket", {"bucketName": "10.0.0.1"}, "spec.bucketName", "a bucket name must not look like an IP address"),
    ("Bucket", {"bucketName": "../../etc"}, "spec.bucketName", "a bucket name has lowercase letters"),
    ("Bucket", {"bucketName": "abc\n"}, "spec.bucketName", "a bucket name has lowercase letters"),
    ("Bucket", {"bucketName": 7}, "spec.bucketName", "must be a string (got 7)"),
    ("Bucket", {"region": "Not/One"}, "spec.region", DNS),
    ("Bucket", {"region": "a" * 64}, "spec.region", "must have at most 63 characters"),
    ("Bucket", {"apiAccess": "No"}, "spec.apiAccess", "must be one of Allowed, Revoked"),
    ("Bucket", {"deletionPolicy": "Empty"}, "spec.deletionPolicy", "must be one of Delete, Retain, Purge"),
    ("Bucket", {"maxObjectSize": "2GiB"}, "spec.maxObjectSize", 'must be a size such as 500, 10M or 2Gi (got "2GiB")'),
    ("Bucket", {"maxObjectSize": "6Ti"}, "spec.maxObjectSize", 'must be from 1 to 5Ti (got "6Ti")'),
    ("Bucket", {"maxObjectSize": 0}, "spec.maxObjectSize", "must be from 1 to 5Ti (got 0)"),
    ("Bucket", {"maxObjectSize": -1}, "spec.maxObjectSize", "must be from 1 to 5Ti (got -1)"),
    ("Bucket", {"maxObjectSize": 10**400}, "spec.maxObjectSize", "must be"),
    ("Bucket", {"maxObjectSize": 1.5}, "spec.maxObjectSize", "must be a whole number (got 1.5)"),
    ("Bucket", {"quota": {"maxSize": "1025Pi"}}, "spec.quota.maxSize", 'must be from 0 to 1024Pi (got "1025Pi")'),
    ("Bucket", {"quota": {"maxObjects": -1}}, "spec.quota.maxObjects", "must be at least 0"),
    ("Bucket", {"quota": {"size": 1}}, "spec.quota.size", "unknown field"),
    ("Bucket", {"allowedContentTypes": []}, "spec.allowedContentTypes", "must have at least 1 items"),
    ("Bucket", {"allowedContentTypes": ["image"]}, "spec.allowedContentTypes[0]", "must be a content type such as"),
    ("Bucket", {"allowedContentTypes": ["Image/png"]}, "spec.allowedContentTypes[0]", "must be a content type such as"),
    ("Bucket", {"cors": [{"allowedMethods": ["GET"]}]}, "spec.cors[0].allowedOrigins", "is required"),
    (
        "Bucket",
        {"cors": [{"allowedOrigins": ["https://A.b"], "allowedMethods": ["GET"]}]},
        "spec.cors[0].allowedOrigins[0]",
        "must be * or an origin such as",
    ),
    ("Bucket", {"domains": []}, "spec.domains", "must have at least 1 items"),
    ("Bucket", {"domains": ["a.example.com"] * 2}, "spec.domains", "names a.example.com more than once"),
    ("Bucket", {"domains": [f"a{n}.example.com" for n in range(9)]}, "spec.domains", "must have at most 8 items"),
    *(("Bucket", {"domains": [each]}, "spec.domains[0]", "must be a host name of at least two parts") for each in (
        "localhost", "192.0.2.7", "a.7", "a.0x7f", "A.example.com", "a.example.com.", "é.example.com", "*.example.com",
        ".example.com", "a..example.com", "a_b.example.com", "-a.example.com", "a-.example.com", "a.example.com:80",
        "a.example.com/", "a.example.com\n", "[::1]", "a" * 64 + ".example.com", "",
    )),
    ("Bucket", {"domains": ["a." * 100 + "com"]}, "spec.domains[0]", "must have at most 200 characters"),
    ("Region", {"domainSuffixes": [{"suffix": ".example.com"}]}, "spec.domainSuffixes[0].suffix", "must be the end of"),
    ("Region", {"domainSuffixes": [{"suffix": "com."}]}, "spec.domainSuffixes[0].suffix", "must be the end of"),
    ("Region", {"domainSuffixes": [{}]}, "spec.domainSuffixes[0].suffix", "is required"),
    (
        "Region",
        {"domainSuffixes": [{"suffix": "a.b", "namespaces": []}]},
        "spec.domainSuffixes[0].namespaces",
        "must have at least 1 items",
    ),
    ("Region", {"domainSuffixes": [{"suffix": "a.b"}] * 2}, "spec.domainSuffixes", "names a.b more than once"),
    ("Region", {"limits": {"requestsPerSecond": 0}}, "spec.limits.requestsPerSecond", "must be at least 1"),
    ("Region", {"limits": {"requestsPerSecond": 1_000_001}}, "spec.limits.requestsPerSecond", "must be at most"),
    ("Region", {"limits": {"requestsPerSecond": 0.5}}, "spec.limits.requestsPerSecond", "must be a whole number"),
    ("Region", {"limits": {"requestsPerSecond": "10"}}, "spec.limits.requestsPerSecond", "must be a whole number"),
    ("Region", {"limits": {"bytesPerSecond": 0}}, "spec.limits.bytesPerSecond", "must be from 1 to 1Pi (got 0)"),
    ("Region", {"limits": {"bytesPerSecond": "2Pi"}}, "spec.limits.bytesPerSecond", "must be from 1 to 1Pi"),
    *(("Region", {"features": {"virtualHosts": each}}, "spec.features.virtualHosts", "must be the end of host names")
        for each in ("*.s3.example.com", ".example.com", "example.com.", "Example.com", "example.com:9000", "10.0.0.1")
    ),
    (
        "Region",
        {"features": {"virtualHosts": "a" * 63 + ".a" * 63 + "b"}},
        "spec.features.virtualHosts",
        "must have at most 189 characters",
    ),
    *(
        (
            "Region",
            {"features": {"virtualHosts": "b.c"}, "endpoints": {of: host}},
            "spec",
            "endpoints must not lie below features.virtualHosts",
        )
        for of, host in (("internal", "http://A.b.c:9000"), ("public", "https://d.a.b.c."))
    ),
    *(
        (
            "Region",
            {"features": {"virtualHosts": "b.c"}, "domainSuffixes": [{"suffix": "d"}, {"suffix": each}]},
            "spec",
            "domainSuffixes must not lie at or below features.virtualHosts",
        )
        for each in ("b.c", "a.b.c")
    ),
    ("Bucket", {"allowedContentTypes": ["a/b"] * 2}, "spec.allowedContentTypes", "names a/b more than once"),
    ("Bucket", {"maxObjectSize": True}, "spec.maxObjectSize", "must be a whole number (got true)"),
    ("Bucket", {"credentials": []}, "spec.credentials", "must be a mapping (got a list)"),
    ("Bucket", {"credentials": {"enabled": "yes"}}, "spec.credentials.enabled", 'must be true or false (got "yes")'),
    ("Bucket", {"credentials": {"secretName": "../x"}}, "spec.credentials.secretName", DNS),
    (
        "Bucket",
        {"credentials": {"rotation": {"overlap": "721h"}}},
        "spec.credentials.rotation.overlap",
        "must be from 0s to 720h",
    ),
    (
        "Bucket",
        {"credentials": {"restart": [{"kind": "Job", "name": "a"}]}},
        "spec.credentials.restart[0].kind",
        "must be one of Deployment, StatefulSet, DaemonSet",
    ),
    (
        "Bucket",
        {"credentials": {"restart": [{"kind": "Deployment", "name": "a"}] * 2}},
        "spec.credentials.restart",
        "names Deployment a more than once",
    ),
    ("Bucket", {"credentials": {"actions": []}}, "spec.credentials.actions", "must have at least 1 items"),
    ("Bucket", {"credentials": {"actions": ["s3:*"]}}, "spec.credentials.actions[0]", ACTIONS),
    ("Bucket", {"credentials": {"actions": ["cooper:Operate"]}}, "spec.credentials.actions[0]", ACTIONS),
    (
        "Bucket",
        {"credentials": {"actions": ["s3:GetObject", "s3:GetObject"]}},
        "spec.credentials.actions",
        "names s3:GetObject more than once",
    ),
    ("Bucket", {"credentials": {"actions": ["s3:GetObject"] * 8}}, "spec.credentials.actions", "must have at most 7"),
    ("Bucket", {"credentials": {"secret": "x"}}, "spec.credentials.secret", "unknown field; did you mean secretName?"),
    (
        "Bucket",
        {"credentials": {"secretProfiles": ["S3Env"], "secretKeys": {"region": "S3_REGION"}}},
        "spec.credentials",
        "secretKeys must name no key that another profile in secretProfiles has: S3_REGION is one of S3Env",
    ),
    ("AccessKey", {"secretProfiles": ["aws"]}, "spec.secretProfiles[0]", "must be one of Cooper, AWS, S3Env"),
    ("AccessKey", {"secretProfiles": []}, "spec.secretProfiles", "must have at least 1 items"),
    ("AccessKey", {"secretProfiles": ["AWS", "AWS"]}, "spec.secretProfiles", "names AWS more than once"),
    (
        "AccessKey",
        {"secretKeys": {"accessKeyId": "REGION"}},
        "spec.secretKeys",
        "must give each value another key; values that are not named keep theirs: REGION is there more than once",
    ),
    ("AccessKey", {"secretKeys": {"region": "1A"}}, "spec.secretKeys.region", "must be a key that can be an environ"),
    ("AccessKey", {"secretKeys": {"secretKey": "A"}}, "spec.secretKeys.secretKey", "unknown field; did you mean"),
    ("Region", {"tag": None}, "spec.tag", "is required"),
    ("Region", {"tag": "us east"}, "spec.tag", "must be a DNS label"),
    ("Region", {"default": 1}, "spec.default", "must be true or false (got 1)"),
    ("Region", {"maxRecordAge": "5s"}, "spec.maxRecordAge", 'must be from 30s to 720h (got "5s")'),
    ("Region", {"maxRecordAge": "721h"}, "spec.maxRecordAge", "must be from 30s to 720h"),
    ("Region", {"maxRecordAge": 86400}, "spec.maxRecordAge", DURATION),
    ("Region", {"maxRecordAge": "1d"}, "spec.maxRecordAge", DURATION),
    ("Region", {"maxRecordAge": ""}, "spec.maxRecordAge", DURATION),
    ("Region", {"limits": {"maxMetadataSize": "9Ki"}}, "spec.limits.maxMetadataSize", "must be from 0 to 8Ki"),
    ("Region", {"service": "gateway"}, "spec.service", "must be a mapping"),
    ("Region", {"service": {"name": "a.b"}}, "spec.service.name", "must be a DNS label"),
    ("Region", {"service": {"name": ""}}, "spec.service.name", "must be a DNS label"),
    ("Region", {"service": {"port": 9000}}, "spec.service.port", "must be a string (got 9000)"),
    ("Region", {"service": {"port": "S3"}}, "spec.service.port", "must be a DNS label"),
    ("Region", {"features": {"versioning": True}}, "spec.features.versioning", "unknown field"),
    ("Region", {"bucketNameTemplate": "x"}, "spec.bucketNameTemplate", "must contain {name}"),
    ("Region", {"bucketNameTemplate": "{name.__class__}"}, "spec.bucketNameTemplate", "must consist of lowercase"),
    ("Region", {"bucketNameTemplate": "{name}\n"}, "spec.bucketNameTemplate", "must consist of lowercase"),
    *(
        ("Region", {"endpoints": {"internal": url}}, "spec.endpoints.internal", ENDPOINT)
        for url in (
            "s3.example.com", "ftp://h", "http://", "http://h/path", "http://h?q", "http://h#f", "http://u:p@h",
            "http://h:", "http://h:x", "http://h:1:2", "http://[::1", "http://h\nSECRET_KEY=x", "http://:80",
            "http://.h", "http://[1.2.3.4]",
        )
    ),
    *(
        ("Region", {"endpoints": {"public": f"http://[{ip}]:80"}}, "spec.endpoints.public", "must have a valid IPv6")
        for ip in ("::1::", "1:2", ":::", "12345::", "::ffff:102:304")
    ),
    *(
        ("Region", {"endpoints": {"public": f"http://h:{port}"}}, "spec.endpoints.public", "must have a port from 1 to")
        for port in (0, 65536, 99999)
    ),
    ("AccessKey", {"grants": None}, "spec", "must have grants or allBuckets"),
    ("AccessKey", {"allBuckets": {"actions": []}}, "spec.allBuckets.actions", "must have at least 1 items"),
    ("AccessKey", {"allBuckets": True}, "spec.allBuckets", "must be a mapping"),
    ("AccessKey", {"grants": [{"bucket": "b", "prefixes": []}]}, "spec.grants[0].prefixes", "must have at least"),
    ("AccessKey", {"grants": [{"bucket": "b", "prefixes": [""]}]}, "spec.grants[0].prefixes[0]", "must have at"),
    ("AccessKey", {"grants": [{"bucket": "b", "prefixes": ["a\n"]}]}, "spec.grants[0].prefixes[0]", "must have no"),
    ("AccessKey", {"grants": [{"bucket": "b", "prefixes": ["a", "a"]}]}, "spec.grants[0].prefixes", "names a more"),
    ("AccessKey", {"rotation": {"interval": "30s"}}, "spec.rotation.interval", "must be from 1m to 87600h"),
    ("AccessKey", {"rotation": {"interval": "1h"}}, "spec.rotation", "interval must be at least twice the overlap"),
    ("AccessKey", {"grants": []}, "spec.grants", "must have at least 1 items"),
    ("AccessKey", {"grants": [{}]}, "spec.grants[0].bucket", "is required"),
    ("AccessKey", {"grants": [{"bucket": "b"}] * 2}, "spec.grants", "names b more than once: put all its actions into"),
    ("AccessKey", {"grants": [{"bucket": "../b"}]}, "spec.grants[0].bucket", DNS),
    ("AccessKey", {"grants": [{"bucket": "b"}, 3]}, "spec.grants[1]", "must be a mapping (got 3)"),
    ("AccessKey", {"grants": [{"bucket": f"b{n}"} for n in range(129)]}, "spec.grants", "must have at most 128 items"),
    ("AccessKey", {"grants": [{"bucket": "b", "namespace": "x.y"}]}, "spec.grants[0].namespace", "must be"),
    ("AccessKey", {"grants": [{"bucket": "b", "namespace": "x"}] * 2}, "spec.grants", "names x/b more than once"),
    ("BucketGrant", {"from": None}, "spec.from", "is required"),
    ("BucketGrant", {"from": []}, "spec.from", "must have at least 1 items"),
    ("BucketGrant", {"from": ["films"]}, "spec.from[0]", "must be a mapping"),
    ("BucketGrant", {"from": [{"namespace": "a"}] * 2}, "spec.from", "names a more than once"),
    ("BucketGrant", {"from": [{"namespace": "*"}]}, "spec.from[0].namespace", "must be"),
    ("BucketGrant", {"buckets": []}, "spec.buckets", "must have at least 1 items"),
    ("BucketGrant", {"buckets": ["a", "a"]}, "spec.buckets", "names a more than once"),
    ("BucketGrant", {"actions": ["s3:DeleteBucket"]}, "spec.actions[0]", "must be one of s3:GetObject, s3:PutObject"),
    ("BucketGrant", {"prefixes": [""]}, "spec.prefixes[0]", "must have at least 1 characters"),
    ("AccessKey", {"state": "Paused"}, "spec.state", "must be one of Active, Revoked"),
    ("AccessKey", {"secretName": "a\0b"}, "spec.secretName", DNS),
    *(
        ("AccessKey", {"expiresAt": time}, "spec.expiresAt", TIME)
        for time in (
            "tomorrow", "2030-01-31", "2030-01-31T12:00:00", "2030-02-31T12:00:00Z", "2030-01-31 12:00:00Z",
            "2030-01-31T12:00:00Z\n", "２０３０-01-31T12:00:00Z", "0000-01-01T00:00:00Z",
            "2030-01-31T24:00:00Z", "2030-01-31T12:00:60Z", "2030-01-31T12:00:00+24:00", "2030-01-31T12:00:00+01:60",
        )
    ),
    ("AccessKey", {"expiresAt": 1900000000}, "spec.expiresAt", "must be a string (got 1900000000)"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "spec", "path", "reason"), MISTAKES)
def test_a_mistake_is_refused_with_the_path_and_the_reason(kind, spec, path, reason):
    (problem,) = problems(manifest(kind, spec))
    assert problem.startswith(f"{path}: {reason}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_is_refused(kind, name):
    (problem,) = problems(manifest(kind, name=name))
    assert problem.startswith(f"metadata.name: {DNS}")


@pytest.mark.parametrize("kind", ["Bucket", "AccessKey"])
@pytest.mark.parametrize("namespace", [*HOSTILE_NAMES, "a.b"])
def test_a_hostile_namespace_is_refused(kind, namespace):
    (problem,) = problems(manifest(kind, namespace=namespace))
    assert problem.startswith("metadata.namespace: must be a DNS label")


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        (None, "manifest: must be a mapping with apiVersion, kind, metadata and spec"),
        ([], "manifest: must be a mapping with apiVersion, kind, metadata and spec"),
        ({}, "manifest without a name: apiVersion: is required; kind: is required"),
        (
            manifest() | {"apiVersion": "v1"},
            'Bucket photos: apiVersion: must be cooper.dev/v1alpha1 (got "v1")',
        ),
        (
            manifest() | {"kind": "Buckett"},
            "Buckett photos: kind: must be one of Region, Bucket, BucketGrant, AccessKey "
            '(got "Buckett"); did you mean Bucket?',
        ),
        (
            manifest() | {"kind": ["Bucket"]},
            "a list photos: kind: must be one of Region, Bucket, BucketGrant, AccessKey (got a list)",
        ),
        ({"apiVersion": API, "kind": "Bucket"}, "Bucket without a name: metadata: is required"),
        (manifest() | {"metadata": {}}, "Bucket without a name: metadata.name: is required"),
        (manifest() | {"metadata": "x"}, 'Bucket without a name: metadata: must be a mapping (got "x")'),
        (manifest() | {"sepc": {}}, "Bucket photos: sepc: unknown field; did you mean spec?"),
        (
            manifest(namespace="team-a", spec={"region": 3}),
            "Bucket team-a/photos: spec.region: must be a string (got 3)",
        ),
        (manifest(namepsace="team-a"), "Bucket photos: metadata.namepsace: unknown field; did you mean namespace?"),
        (
            manifest("Region", namespace="default"),
            "Region photos: metadata.namespace: a Region belongs to no namespace: remove this",
        ),
        (
            manifest("Region", name="r" * 64),
            f"Region {'r' * 64}: metadata.name: must have at most 63 characters (got {'r' * 60 + '...'!r})".replace(
                "'", '"'
            ),
        ),
        (
            manifest(annotations={"note": "x" * (256 << 10)}),
            "Bucket photos: metadata.annotations: must not exceed 256 KiB in total",
        ),
    ],
)
def test_the_whole_message(obj, text):
    with pytest.raises(ManifestError) as caught:
        parse(obj)
    assert str(caught.value) == text


KEY = "must be a name, perhaps after a DNS name and a slash, such as cooper.dev/name; a name has at most 63 letters,"
LABEL = '"app": the value of a label may be empty, or has at most 63 letters,'


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        *(("labels", {key: "x"}, KEY) for key in ("", "a b", "-a", "a-", "é", "a/b/c", "/a", "a/", "A.b/c", "a" * 64)),
        *(("annotations", {key: "x"}, KEY) for key in ("", "a b", "a/b/c", "a_b/c")),
        *(("finalizers", [name], KEY) for name in ("", "a b", "A.b/c")),
        *(("labels", {"app": value}, LABEL) for value in ("a b", "-a", "a-", "a/b", "a\n", "x" * 64)),
    ],
)
def test_metadata_that_kubernetes_refuses_is_refused(field, value, reason):
    (problem,) = problems(manifest(**{field: value}))
    assert problem.startswith(f"metadata.{field}: ")
    assert reason in problem


def test_metadata_as_kubernetes_takes_it():
    texts = {"app": "web", "a.b/C_d.e-f": "", "a" * 63: "B_c.d-e", "x" * 253 + "/y": "z" * 63}
    taken = manifest(labels=texts, annotations={**texts, "A.b/c": "any\ntext"}, finalizers=["a", "a.b/c"])
    taken["metadata"]["namespace"] = "default"
    assert to_manifest(parse(taken)) == taken
    assert parse(manifest(labels={"app": None})).metadata.labels == {"app": ""}


def test_an_unknown_field_is_refused_even_if_it_is_null():
    assert problems(manifest(spec={"zzz": None}))[0].startswith("spec.zzz: unknown field")
    assert problems(manifest() | {"sepc": None}) == ["sepc: unknown field; did you mean spec?"]


def test_all_mistakes_are_told_at_once():
    found = problems(manifest(spec={"visibility": "x", "credentials": {"actions": ["a", "b"], "secretName": "/"}}))
    assert [line.split(":")[0] for line in found] == [
        "spec.visibility",
        "spec.credentials.secretName",
        "spec.credentials.actions[0]",
        "spec.credentials.actions[1]",
    ]


def test_a_message_stays_one_short_printable_line_whatever_the_manifest_holds():
    endless = ["x"]
    endless.append(endless)
    spec = {"visibility": "a\nb\x1b[2J" + "x" * 10_000, "region": endless, 1: 2, "n" * 10_000: 1}
    obj = manifest(spec=spec | {f"unknown{n}": n for n in range(1000)}, name="x\r\n" * 5000)
    with pytest.raises(ManifestError) as caught:
        parse(obj)
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 6000
    assert "; and 9" in text


def test_defaults():
    bucket = parse(manifest())
    assert isinstance(bucket, Bucket)
    assert bucket.metadata.namespace == "default"
    spec = bucket.spec
    assert (spec.bucket_name, spec.region, spec.visibility) == (None, None, "Private")
    assert (spec.api_access, spec.deletion_policy, spec.max_object_size) == ("Allowed", "Delete", 2 << 30)
    assert (spec.credentials.enabled, spec.credentials.secret_name) == (True, None)
    default_actions = ["GetObject", "PutObject", "DeleteObject", "ListBucket", "GetBucketLocation"]
    assert spec.credentials.actions == [f"s3:{action}" for action in default_actions]
    region = parse(manifest("Region"))
    assert isinstance(region, Region)
    assert region.metadata.namespace == ""
    assert (region.spec.default, region.spec.endpoints.internal, region.spec.max_record_age) == (False, None, 86400.0)
    assert (region.spec.service.name, region.spec.service.port) == (None, "s3")
    assert (region.spec.limits.max_object_size, region.spec.limits.max_metadata_size) == (5 << 40, 2048)
    assert (region.spec.features.list_objects_v1, region.spec.features.match_region) == (True, False)
    key = parse(manifest("AccessKey"))
    assert isinstance(key, AccessKey)
    assert (key.spec.state, key.spec.not_after, key.spec.secret_name) == ("Active", None, None)
    assert key.spec.grants[0].actions == spec.credentials.actions


def test_null_is_absent_as_kubernetes_has_it():
    obj = manifest(spec={"region": None, "credentials": None, "visibility": None}, labels=None, finalizers=None)
    bucket = parse(obj)
    assert bucket == parse(manifest())
    assert parse(manifest() | {"spec": None}).spec == Bucket.model_fields["spec"].default


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2030-01-31T12:00:00Z", 1896091200.0),
        ("2030-01-31T13:00:00+01:00", 1896091200.0),
        ("2030-01-31T12:00:00.5Z", 1896091200.5),
    ],
)
def test_an_expiry_quoted_or_not(written, seconds):
    for text in (written, f'"{written}"'):
        spec = yaml.safe_load(f"expiresAt: {text}")
        key = parse(manifest("AccessKey", spec))
        assert isinstance(key, AccessKey)
        assert key.spec.not_after == seconds


@pytest.mark.parametrize(
    ("template", "name"),
    [("{name}", "photos"), ("{namespace}-{name}", "team-a-photos"), ("x.{name}", "x.photos")],
)
def test_the_region_makes_bucket_names(template, name):
    region = parse(manifest("Region", {"bucketNameTemplate": template}))
    assert isinstance(region, Region)
    assert region.spec.bucket_name("team-a", "photos") == name


FULL = [
    manifest(
        "Region",
        {
            "default": True,
            "endpoints": {"internal": "http://s3.cooper:9000", "public": "https://[2001:db8::1]:443"},
            "limits": {"maxObjectSize": "5Gi", "maxMetadataSize": "0"},
            "maxRecordAge": "1h30m",
            "service": {"name": "gateway", "port": "http"},
            "features": {"listObjectsV1": False},
        },
    ),
    manifest(
        "Bucket",
        {"bucketName": "my.photos", "maxObjectSize": "1500", "credentials": {"secretName": "my-secret"}},
        namespace="team-a",
        labels={"app": "web"},
    )
    | {"status": {"bucketName": "my.photos", "objects": 3, "size": "3Ki", "binding": {"name": "my-secret"}}},
    manifest(
        "AccessKey",
        {"expiresAt": "2030-01-31T12:00:00Z", "state": "Revoked"},
        namespace="team-a",
        ownerReferences=[{"apiVersion": API, "kind": "Bucket", "name": "b", "uid": "u", "controller": True}],
    )
    | {"status": {"state": "Pending", "accessKeyId": "AKIA234567ABCDEFGHIJ"}},
]


@pytest.mark.parametrize("obj", FULL, ids=lambda obj: obj["kind"])
def test_a_manifest_comes_back_as_it_was(obj):
    assert to_manifest(parse(obj)) == obj


def test_a_whole_number_is_a_size():
    bucket = parse(manifest(spec={"maxObjectSize": 1 << 20}))
    assert to_manifest(bucket)["spec"] == {"maxObjectSize": "1Mi"}


def test_what_only_a_cluster_writes_is_passed_over():
    obj = manifest(managedFields=[{}], generateName="x", resourceVersion="7", uid="u")
    assert parse(obj).metadata.resource_version == "7"
    newer = manifest(fieldOfANewerKubernetes={"a": 1}) | {"status": {"fieldOfANewerCooper": 1}}
    (problem,) = problems(newer)
    assert problem.startswith("metadata.fieldOfANewerKubernetes: unknown field")
    assert parse(newer, strict=False).metadata.name == "photos"


def test_parsing_leaves_the_manifest_as_it_was():
    obj = manifest(spec={"credentials": {"actions": ["s3:GetObject"]}})
    before = copy.deepcopy(obj)
    parse(obj)
    assert obj == before


def provisioned(spec):
    return manifest(spec=spec) | {"status": {"bucketName": "photos"}}


CHANGED_NAME = "Bucket photos: spec.bucketName: cannot be changed, added or removed once the bucket is provisioned"
CHANGED_REGION = "AccessKey photos: spec.region: cannot be changed, added or removed"


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        (provisioned({"bucketName": "photos"}), manifest(spec={"bucketName": "films"}), CHANGED_NAME),
        (provisioned({"bucketName": "photos"}), manifest(), CHANGED_NAME),
        (provisioned({}), manifest(spec={"bucketName": "photos"}), CHANGED_NAME),
        (provisioned({"bucketName": "photos"}), manifest(spec={"bucketName": "photos", "visibility": "Public"}), None),
        (manifest(), manifest(spec={"bucketName": "photos"}), None),
        (manifest("AccessKey"), manifest("AccessKey", {"region": "a"}), CHANGED_REGION),
        (manifest("AccessKey", {"region": "a"}), manifest("AccessKey", {"region": "b"}), CHANGED_REGION),
        (manifest("AccessKey", {"region": "a"}), manifest("AccessKey"), CHANGED_REGION),
        (manifest("AccessKey", {"region": "a"}), manifest("AccessKey", {"region": "a", "state": "Revoked"}), None),
        (manifest("Region"), manifest("Region", {"default": True}), None),
    ],
)
def test_what_must_not_change(old, new, refused):
    if refused is None:
        check_update(parse(old), parse(new))
        return
    with pytest.raises(ManifestError) as caught:
        check_update(parse(old), parse(new))
    assert str(caught.value) == refused


@pytest.mark.parametrize("example", ["quickstart.yaml", "keys.yaml"])
def test_the_examples_are_valid(example, repository):
    documents = list(yaml.safe_load_all((repository / "examples" / example).read_text()))
    assert documents
    for document in documents:
        parse(document)
