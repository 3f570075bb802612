"""Values at the edges of what is valid. Which side of it each is on, is for two judges to say."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cooper_crds.names import RESERVED_BUCKET_NAMES
from cooper_crds.secret_profiles import PROFILES
from e2e.crds.samples import CERTIFICATE, RECIPIENT
from unit.crds.test_manifest import HOSTILE_NAMES

#: Values of any field, whatever its type.
ANYTHING: Final = (
    None, True, False, 0, 1, -1, 1.0, 0.5, 1e300, 1 << 63, -(1 << 63) - 1, "", " ", "0", [], [None], {}, {"": 1},
    {"a": None},
)  # fmt: skip

_NAMES: Final = (
    "a", "a-b", "a.b", "a.b-c.d", "a" * 63, "a" * 64, "a" * 253, "a" * 254, ".a", "a.", "a..b", "a.-b", "a-.b", "-a",
    "a-",
    "0", "1.2.3.4", "xn--a", "Aa", "a_b", "ä", "１", "a\n", "\na", "a\r", "a\u2028", "a\u0000", "a\u200b", "a b",
    "a/b", "a" * 9999,
)  # fmt: skip
_BUCKET_NAMES: Final = (
    *_NAMES, *RESERVED_BUCKET_NAMES, "abc", "ab", "a-c", "a.c", "a.b.c", "a--c", "a.-c", "a-.c", "abc.",
    "ab\n",
    "public.", "1.2.3",
    "1.2.3.4", "01.02.03.04", "1.2.3.4.5", "256.1.1.1",
    "1234.1.1.1", "1.1.1.1234", "１.1.1.1", "xn--abc", "abc-s3alias",
)  # fmt: skip
_SIZES: Final = (
    "1", "0", "00", "01", "1.", ".5", "0.5", "1.0", "0.000000001", "0.0000000001", "1.123456789", "1k", "1K", "1Ki",
    "1ki", "1KI",
    "1m", "1u", "1n", "1M", "1Mi", "1MiB", "1MB", "1G", "1T", "1Ti", "5Ti", "5.0Ti", "5.000000001Ti", "5.1Ti", "1P",
    "1Pi", "1E", "1Ei",
    "1e3", "1E3", "1e-3", "+1", "-1", "-0", " 1", "1 ", "1 Ki", "1\n", "1_000", "1,000", "0x10", "١", "１", "∞",
    "NaN", "Infinity",
    "9" * 19, "9" * 20, "0" * 18 + "1", "0" * 19 + "1", "8Ki", "8192", "8193", "8192.0", "8192.1", "8.0001Ki", "0Ki",
    "0.0001Ki",
    5 << 40, (5 << 40) + 1, 8192, 8193, (1 << 63) - 1, -(1 << 63), 1e3, 1.5, 2.0, 10**30,
)  # fmt: skip
_DURATIONS: Final = (
    "30s", "29s", "0s", "1s", "1m", "1h", "1h1m1s", "1h1s", "1m30s", "1s1m", "1h1h", "1d", "1w", "1ms", "1us",
    "1.5h", "30", "-30s", "+30s",
    " 30s", "30s ", "30 s", "30S", "30s\n", "h", "s", "hms", "720h", "720h0m0s", "720h0m1s", "720h1s", "721h",
    "719h59m60s", "43200m",
    "43201m", "2592000s", "2592001s", "000030s", "0000030s", "00000030s", "000001h", "0000001h", "999999h",
    "9999999h", "0h0m30s", "3０s",
    30, 30.0, "1h30m15s", "24h", "P1D", "1e2s",
)  # fmt: skip
_TIMES: Final = (
    "2030-01-31T12:00:00Z", "2030-01-31T12:00:00z", "2030-01-31t12:00:00Z", "2030-01-31 12:00:00Z",
    "2030-01-31T12:00:00", "2030-01-31",
    "2030-01-31T12:00Z", "2030-01-31T12Z", "20300131T120000Z", "2030-W05-4T12:00:00Z", "2030-01-31T12:00:00+00:00",
    "2030-01-31T12:00:00-00:00",
    "2030-01-31T12:00:00+23:59", "2030-01-31T12:00:00+24:00", "2030-01-31T12:00:00+14:60",
    "2030-01-31T12:00:00+99:99", "2030-01-31T12:00:00+0100",
    "2030-01-31T12:00:00+01", "2030-01-31T12:00:00.1Z", "2030-01-31T12:00:00.123456Z", "2030-01-31T12:00:00.123456789Z",
    "2030-01-31T12:00:00.1234567890Z", "2030-01-31T12:00:00.Z", "2030-01-31T12:00:00,5Z", "2030-01-31T24:00:00Z",
    "2030-01-31T23:60:00Z",
    "2030-01-31T23:59:60Z", "2030-01-31T23:59:59Z", "2030-02-29T00:00:00Z", "2028-02-29T00:00:00Z",
    "2100-02-29T00:00:00Z",
    "2000-02-29T00:00:00Z", "2030-04-31T00:00:00Z", "2030-00-01T00:00:00Z", "2030-13-01T00:00:00Z",
    "2030-01-00T00:00:00Z", "2030-01-32T00:00:00Z",
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0999-12-31T23:59:59Z", "1000-01-01T00:00:00+23:59",
    "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z", "-2030-01-31T12:00:00Z", "+2030-01-31T12:00:00Z",
    "2030-1-31T12:00:00Z", "2030-01-31T1:00:00Z",
    "2030-01-31T12:00:00ZZ", "2030-01-31T12:00:00Z\n", " 2030-01-31T12:00:00Z", "２030-01-31T12:00:00Z", "1896091200",
    1896091200, "now",
)  # fmt: skip
_HOSTS: Final = (
    "h", "H", "a.b", "a.b.", "a..b", "a-b", "a-", "-a", ".a", "a_b", "ä", "xn--a", "0", "10.0.0.1", "10.0.0",
    "999.9.9.9", "localhost", "a b", "a\n",
    "a@b", "a:b@c", "a%2fb", "a%", "*", "a,b", "[::1]", "[::]", "[1::]", "[::1", "::1", "[::1]]", "[[::1]]",
    "[::1%25eth0]", "[::1%eth0]", "[fe80::1]",
    "[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[1::2::3]", "[:::]", "[::12345]", "[::g]",
    "[::FFFF:1]", "[::ffff:0:0]",
    "[::ffff:102:304]", "[0:0:0:0:0:ffff:102:304]", "[::1.2.3.4]", "[::ffff:1.2.3.4]", "[1.2.3.4]", "[v1.a]", "[]",
    "[:]", "[1]", "[0001::]",
    "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]", "[1:2:3:4::5:6:7:8]", "a" * 64 + ".b", "a" * 505, "a" * 506,
)  # fmt: skip
_PORTS: Final = (
    "",
    ":",
    ":0",
    ":1",
    ":00001",
    ":000001",
    ":80",
    ":65535",
    ":65536",
    ":99999",
    ":100000",
    ":-1",
    ":+1",
    ":a",
    ":1a",
    ":1:2",
    ":８０",
)
_SCHEMES: Final = (
    "http://",
    "https://",
    "HTTP://",
    "ftp://",
    "//",
    "",
    "http:/",
    "http:",
    "http:///",
    " http://",
    "s3://",
    "unix://",
)
_ENDS: Final = ("", "/", "/a", "?", "?a", "#", "#a", " ", "\n", "\\", "/../", "%20")


def _endpoints() -> Iterator[str]:
    yield from (f"http://{host}{port}" for host in _HOSTS for port in ("", ":80"))
    yield from (f"https://{host}{port}" for host in ("h", "[::1]", "10.0.0.1") for port in _PORTS)
    yield from (f"{scheme}h{end}" for scheme, end in itertools.product(_SCHEMES, _ENDS))


_TEMPLATES: Final = (
    "{name}", "{namespace}", "{namespace}-{name}", "{name}{namespace}", "{name}-", "-{name}", ".{name}", "{name}..",
    "{Name}", "{ name }", "{{name}}",
    "{name", "name}", "{}", "{0}", "{name.__class__}", "{name!r}", "{name:>9}", "%s", "$name", "{name} ", "{name}\n",
    "{name}A", "{name}_", "{name}/",
    "{name}ä", "a" * 94 + "{name}", "a" * 95 + "{name}", "public{name}",
)  # fmt: skip
_ACTIONS: Final = (
    ["s3:GetObject"], ["s3:getobject"], ["GetObject"], ["s3:*"], ["*"], ["s3:Get*"], [""], [" s3:GetObject"],
    ["s3:GetObject\n"], ["cooper:Operate"],
    ["s3:CreateBucket", "s3:DeleteBucket"], ["s3:GetObject", "s3:GetObject"], "s3:GetObject", {"s3:GetObject": True},
    [["s3:GetObject"]], [1],
)  # fmt: skip
_GRANTS: Final = (
    [{"bucket": "a"}], [{"bucket": "a"}, {"bucket": "b"}], [{"bucket": "a"}, {"bucket": "a"}],
    [{"bucket": "a"}, None], ["a"], {"bucket": "a"},
    [{"bucket": "a", "actions": None}], [{"bucket": "a", "actions": []}], [{"actions": ["s3:GetObject"]}],
    [{"bucket": ["a"]}], [[{"bucket": "a"}]],
    [{"Bucket": "a"}], [{"bucket": "a", "Actions": []}],
    [{"bucket": f"{index:03}".rjust(253, "b")} for index in range(128)],
)  # fmt: skip
_PROFILES: Final = (
    ["Cooper"], ["AWS", "Cooper"], ["cooper"], ["aws"], ["OBC"], [""], ["AWS "], ["AWS", "AWS"], ["AWS", None], [1],
    [["AWS"]], "AWS", {"AWS": True}, list(PROFILES), [*PROFILES, "Other"],
)  # fmt: skip
_KEYS: Final = (
    "A", "a", "_", "_a", "a1", "1a", "A_B", "A-B", "A.B", ".", "..", "A B", " A", "A ", "A\n", "\nA", "Ä", "Ａ", "A=",
    "A\u0000",
    "A" * 253, "A" * 254, "AWS_REGION", "AWS_ACCESS_KEY_ID", "S3_REGION", "MY_ID", "REGION", "credentials",
    "rclone.conf",
)  # fmt: skip
_LINES: Final = CERTIFICATE.splitlines()
#: What a certificate says, an API server does not look at: of what is in its form, only certificates are here.
_BUNDLES: Final = (
    CERTIFICATE, CERTIFICATE * 2, CERTIFICATE.rstrip("\n"), f"\n\n{CERTIFICATE}\n{CERTIFICATE}\n\n",
    CERTIFICATE.replace("\n", "\r\n"), CERTIFICATE.rstrip("\n") * 2, CERTIFICATE.replace("\n", ""), f" {CERTIFICATE}",
    CERTIFICATE.replace("\n", " \n"), CERTIFICATE.replace("\n", "\t\n", 1), f"# {CERTIFICATE}", f"{CERTIFICATE}#",
    CERTIFICATE.lower(), CERTIFICATE.replace("CERTIFICATE", "X509 CERTIFICATE"), "\n".join(_LINES[:-1]),
    "\n".join(_LINES[1:]), f"{_LINES[0]}\n{_LINES[-1]}\n", CERTIFICATE.replace("A", "Ａ"), CERTIFICATE + "\u2028",
    CERTIFICATE.ljust(32 << 10, "\n"), CERTIFICATE.ljust((32 << 10) + 1, "\n"),
)  # fmt: skip
_SECRET_KEYS: Final = (
    {"accessKeyId": "A"}, {"accessKeyId": "A", "region": "A"}, {"accessKeyId": "REGION"}, {"accessKeyId": None},
    {"caBundle": "A"}, {"caBundle": "BUCKET"}, {"caBundle": "A", "region": "A"}, {"region": "CA_BUNDLE"},
    {"AccessKeyId": "A"}, {"access_key_id": "A"}, {"region": "AWS_REGION"}, {"region": ["A"]}, {"host": "A"},
    [{"accessKeyId": "A"}], "A",
)  # fmt: skip

_WORKLOADS: Final = (
    [], [{"kind": "DaemonSet", "name": "a"}], [{"kind": "Deployment", "name": "a"}] * 2, [{"kind": "Deployment"}],
    [{"kind": "Deployment", "name": "a"}, {"kind": "StatefulSet", "name": "a"}], [{"name": "a"}], [{}], [None], ["a"],
    [{"kind": "Job", "name": "a"}], [{"kind": "deployment", "name": "a"}], [{"kind": "Deployment", "name": "A"}],
    [{"kind": "Deployment", "name": "a", "namespace": "b"}], {"kind": "Deployment", "name": "a"}, "Deployment/a",
)  # fmt: skip
_CONTENT_TYPES: Final = (
    [], None, ["a/b"], ["*/*"], ["image/*", "application/*+json"], ["a/b", "a/b"], [""], ["a"], ["a/"], ["/b"],
    ["A/b"], ["a/b; c=d"], ["a/b/c"], ["a b/c"], ["a/b\n"], [None], [1], "a/b", ["a/" + "b" * 125], ["a/" + "b" * 126],
    ["é/a"], ["a/[b]"], ["a/?"],
)  # fmt: skip
_ORIGINS: Final = (
    [], None, ["*"], ["https://a.b"], ["http://localhost:8080"], ["https://*.a.b"], ["https://*"], ["https://a*b.c"],
    ["https://*.*"], ["**"], ["*a"], ["https://a.b/"], ["https://a.b:"], ["https://a.b:123456"], ["https://a.b:*"],
    ["https://A.b"], ["HTTPS://a.b"], ["a.b"], ["//a.b"], ["null"], ["https://"], ["https://:80"], ["http://[::1]:80"],
    ["http://[::1"], ["http://[*]"], ["app+x://a"], ["https://a@b"], ["https://a.b\n"], ["https://a\r\nb"],
    ["https://a b"], ["https://a,b"], ["https://é"], [""], [None], [1], "*", ["*", "*"], ["https://a", "https://a"],
)  # fmt: skip
_HOSTS: Final = (
    "a.b", "a", "localhost", "photos.example.com", "xn--bcher-kva.example", "a-b.c-d", "1.a", "1.2.3.4", "a.1",
    "a.0x7f", "a.b1", "a.1b", "A.b", "a.B", "a.b.", ".a.b", "a..b", ".", "", "-a.b", "a-.b", "a.-b", "a.b-", "a_b.c",
    "*.a.b", "é.b", "a.é", "ａ.b", "a.b\n", "a.b\r\n", "a b.c", "a.b:80", "http://a.b", "a.b/", "a,b.c", "[::1]", "::1",
    "a" * 63 + ".b", "a" * 64 + ".b", "a." + "b" * 63, "a." + "b" * 64, "a." * 99 + "bb", "a." * 99 + "bbb",
)  # fmt: skip
_HEADERS: Final = (
    [], None, ["*"], ["a"], ["x-amz-*"], ["*-a"], ["a*b"], ["a*b*"], ["**"], ["Content-Type"], ["a b"], ["a,b"], ["a:"],
    ["a\n"], ["a\r\nb"], ["é"], [""], [None], [1], "a", ["a", "a"], ["!#$%&'+.^_`|~"], ["(a)"], ["a\x00"],
)  # fmt: skip
_PREFIXES: Final = (
    [], None, ["a"], ["a/", "b"], ["a", "a"], [""], [" "], ["/"], ["../"], ["é"], ["a\n"], ["\x7f"], ["\x00"],
    ["\u0085"],
    ["😀"], [None], [1], "a", ["x" * 256], ["x" * 257], ["é" * 256], ["é" * 257],
)  # fmt: skip
_RECIPIENTS: Final = (
    RECIPIENT, RECIPIENT[:-1], f"{RECIPIENT}=", RECIPIENT.replace("CQ", "C_"), RECIPIENT.replace("CQ", "C/"),
    f" {RECIPIENT}", f"{RECIPIENT}\n", RECIPIENT[:-2] + "B=", RECIPIENT[:-2] + "8=", RECIPIENT.replace("C", "Ｃ"),
    "A" * 44, "A" * 43 + "=", f"Ag{'A' * 41}=", f"AQ{'A' * 41}=", f"{'A' * 42}I=", f"{'A' * 40}AIA=", "", None,
    [RECIPIENT],
)  # fmt: skip
_NETWORKS: Final = (
    [], None, ["10.0.0.0/8"], ["10.0.0.0/8", "::/0"], ["10.0.0.0/8", "10.0.0.0/8"], ["10.0.0.1/8"], ["10.0.0.0"],
    ["10.0.0.0/33"], ["10.0.0.0/08"], ["10.0.0.0/-1"], ["10.0.0.0/255.0.0.0"], ["10.0.0/8"], ["010.0.0.0/8"],
    ["0.0.0.0/0"], ["1.2.3.4/32"], ["256.0.0.0/8"], [" 10.0.0.0/8"], ["10.0.0.0/8\n"], ["10.0.0.0/ 8"], ["１0.0.0.0/8"],
    ["2001:db8::/32"], ["2001:DB8::/32"], ["2001:db8::1/32"], ["2001:db8::/129"], ["2001:db8::1/128"], ["::/0"],
    ["::ffff:10.0.0.0/104"], ["::ffff:a00:0/104"], ["::ffff:0:0/96"], ["::/96"], ["::10.0.0.0/104"], ["fe80::%eth0/64"],
    ["64:ff9b::1.2.3.4/128"], ["2001:db8:::/32"], ["1::2::/32"], ["2001:0db8:0000:0000:0000:0000:0000:0000/32"],
    ["2001:0db8:0000:0000:0000:0000:255.255.255.255/128"], ["02001:db8::/32"], ["/8"], ["10.0.0.0/"], ["10.0.0.0/8/8"],
    [""], ["localhost/8"], [None], [1], "10.0.0.0/8", [["10.0.0.0/8"]],
)  # fmt: skip

#: Values of a field, by its name, beside those of all fields.
BY_FIELD: Final[Mapping[str, Sequence[Any]]] = {
    "bucketName": _BUCKET_NAMES,
    "region": _NAMES,
    "secretName": _NAMES,
    "tag": _NAMES,
    "bucket": _NAMES,
    "name": _NAMES,
    "port": _NAMES,
    "maxObjectSize": _SIZES,
    "maxMetadataSize": _SIZES,
    "requestsPerSecond": (0, 1, 2.0, 1.5, 1_000_000, 1_000_001, 1 << 53, -1, "1", "1k", True, None),
    "bytesPerSecond": (*_SIZES, "1024Ti", "1024.1Ti", "1Pi", "1.1Pi"),
    "idleUploads": _DURATIONS,
    "maxCreatedBuckets": (0, 1, 2000, 2001, -1, 1.5, "1", True, None),
    "maxRecordAge": _DURATIONS,
    "overlap": _DURATIONS,
    "interval": _DURATIONS,
    "maxSize": _SIZES,
    "maxObjects": (0, 1, 1 << 53, -1, 1.5, "1", True, None),
    "allowedContentTypes": _CONTENT_TYPES,
    "allowedOrigins": _ORIGINS,
    "allowedMethods": ([], None, ["GET"], ["get"], ["OPTIONS"], ["PATCH"], ["*"], ["GET", "GET"], [None], "GET", [""]),
    "allowedHeaders": _HEADERS,
    "exposeHeaders": _HEADERS,
    "maxAge": _DURATIONS,
    "cors": (
        [],
        None,
        [{}],
        [None],
        ["*"],
        "*",
        [{"allowedOrigins": ["*"]}],
        [{"allowedMethods": ["GET"]}],
        [{"allowedOrigins": ["*"], "allowedMethods": ["GET"]}],
        [{"allowedOrigins": ["*"], "allowedMethods": ["GET"]}] * 9,
        [{"allowedOrigins": ["*"], "allowedMethods": ["GET"], "id": "a"}],
    ),
    "domains": (
        [],
        None,
        *([each] for each in _HOSTS),
        ["a.b", "c.d"],
        ["a.b", "a.b"],
        [None],
        [1],
        "a.b",
        ["a.b"] * 9,
        {"a": "b"},
    ),
    "suffix": (*_HOSTS, None, 1, ["a"]),
    "virtualHosts": (*_HOSTS, "a." * 94 + "b", "a." * 94 + "bb", "cooper", "s3.cooper", None, 1, ["a"]),
    "namespaces": ([], None, ["a"], ["a", "b"], ["a", "a"], ["A"], ["a.b"], [""], ["*"], [None], "a", ["a" * 64]),
    "domainSuffixes": (
        [],
        None,
        [{}],
        [{"suffix": "a.b"}],
        [{"suffix": "a.b"}, {"suffix": "b"}],
        [{"suffix": "a.b"}, {"suffix": "a.b", "namespaces": ["a"]}],
        [{"suffix": "a.b", "namespaces": ["a", "b"]}],
        [{"suffix": "a.b", "namespace": "a"}],
        [{"namespaces": ["a"]}],
        ["a.b"],
        [None],
        {"suffix": "a.b"},
        "a.b",
    ),
    "prefixes": _PREFIXES,
    "allowedNetworks": _NETWORKS,
    "recipient": _RECIPIENTS,
    "delivery": ("Secret", "Once", "once", "", None, ["Once"]),
    "trustedProxies": _NETWORKS,
    "adopt": (True, False, None, "true", 1),
    "adoptions": (
        [],
        None,
        [{}],
        [{"bucketName": "aaa", "namespace": "a"}],
        [{"bucketName": "aaa", "namespace": "a"}, {"bucketName": "bbb", "namespace": "a"}],
        [{"bucketName": "aaa", "namespace": "a"}, {"bucketName": "aaa", "namespace": "b"}],
        [{"bucketName": "aaa"}],
        [{"bucketName": "public", "namespace": "a"}],
        [{"bucketName": "aaa", "namespace": "A"}],
        [{"bucketName": "aaa", "namespace": "a", "uid": "b"}],
        ["aaa"],
        [None],
        {"bucketName": "aaa", "namespace": "a"},
    ),
    "from": (
        [],
        None,
        [{}],
        [{"namespace": "a"}],
        [{"namespace": "a"}, {"namespace": "b"}],
        [{"namespace": "a"}] * 2,
        [{"namespace": "A"}],
        [{"namespace": "a", "name": "b"}],
        ["a"],
        [None],
        {"namespace": "a"},
        "a",
    ),
    "namespace": _NAMES,
    "buckets": ([], None, ["a"], ["a", "b"], ["a", "a"], ["A"], [""], [None], "a", ["a/b"], ["*"]),
    "allBuckets": ({}, None, {"actions": ["s3:GetObject"]}, {"actions": []}, {"prefixes": ["a"]}, [], True),
    "restart": _WORKLOADS,
    "expiresAt": _TIMES,
    "internal": tuple(_endpoints()),
    "bucketNameTemplate": _TEMPLATES,
    "actions": _ACTIONS,
    "grants": _GRANTS,
    "secretProfiles": _PROFILES,
    "secretKeys": _SECRET_KEYS,
    "caBundle": (*_BUNDLES, *_KEYS),  # in a Region the certificates, in secretKeys their key
    "scheme": ("http", "https", "HTTP", "ftp", "http ", ["http"]),
    "accessKeyId": _KEYS,
    "secretAccessKey": _KEYS,
    "endpoint": _KEYS,
}

_LABELS: Final = (
    {}, None, {"a": "b"}, {"a": ""}, {"a": None}, {"": "a"}, {"a b": "c"}, {"a": "b c"}, {"a": "-b"}, {"a": "b-"},
    {"a": "b_.-c"}, {"-a": "b"}, {"a": "B"},
    {"A": "b"}, {"a/b": "c"}, {"a.b/C": "d"}, {"A.b/c": "d"}, {"a/b/c": "d"}, {"/a": "b"}, {"a/": "b"},
    {"a" * 63: "b"}, {"a" * 64: "b"}, {"a": "b" * 63},
    {"a": "b" * 64}, {"a" * 253 + "/b": "c"}, {"a" * 254 + "/b": "c"}, {"a": "ä"}, {"ä": "a"}, {"a": "b\n"},
    {"a\n": "b"}, {"a": 1}, {"a": True}, {"a": []}, [], "a", ["a"],
    {"a_b/c": "d"}, {"a..b/c": "d"},
)  # fmt: skip
OWNER: Final = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u"}
#: Values of what is in metadata.
METADATA: Final[Mapping[str, Sequence[Any]]] = {
    "name": (*_NAMES, *HOSTILE_NAMES),
    "labels": _LABELS,
    "annotations": (*_LABELS, {"a": "\n\u0000 ä"}, {"a": "x" * ((256 << 10) - 1)}, {"a": "x" * (256 << 10)}),
    "finalizers": (
        [], None, ["a/b"], ["a"], ["a b"], ["a/b/c"], [""], ["/a"], ["a/"], ["A.b/c"], ["a" * 63], ["a" * 64],
        ["a/b", "a/b"], [None], [1], "a/b", {},
    ),
    "ownerReferences": (
        [], None, [OWNER], [{}], [None], [{**OWNER, "controller": "yes"}], [{**OWNER, "unknown": 1}], [OWNER, OWNER],
        [{**OWNER, "uid": uid, "controller": True} for uid in "uv"], *([{**OWNER, name: ""}] for name in OWNER),
    ),
    "uid": ("u", "", None, 7),
    "generation": (1, 0, -1, "1", None),
    "resourceVersion": ("", None, 7),
    "creationTimestamp": (None, "2030-01-31T12:00:00Z", "now", 7),
    "deletionTimestamp": (None, "2030-01-31T12:00:00Z", "now"),
    "deletionGracePeriodSeconds": (1, None, "1"),
    "managedFields": (None, []),
    "generateName": ("a-", None),
    "selfLink": ("x", None),
    "unknownField": (1, None),
    "Name": ("a",),
}  # fmt: skip
