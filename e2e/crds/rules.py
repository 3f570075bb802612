"""What breaks and what keeps each CEL rule of the CRDs, by kind, path and the rule's message."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cooper_crds.networks import NO_NETWORK
from cooper_crds.region import NO_ENDPOINT_BELOW, NO_SUFFIX_BELOW
from cooper_crds.sealing import SHARED_BY_ALL
from cooper_crds.secret_profiles import OTHER_PROFILES, PROFILES
from e2e.crds.samples import RECIPIENT

_NAMED: Final = (None, "photos", "films")


@dataclass(frozen=True, slots=True)
class Values:
    """Values of one field that break one rule and nothing else, and values that keep it."""

    broken: Sequence[Any]
    kept: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of one field, each from one value to another; None: the field is not there.

    `status`: what the status says before.
    """

    broken: Sequence[tuple[str | None, str | None]]
    kept: Sequence[tuple[str | None, str | None]]
    status: Mapping[str, Any]


_ANY_CHANGE: Final = [(before, after) for before in _NAMED for after in _NAMED if before != after]
_NO_CHANGE: Final = [(each, each) for each in _NAMED]
_PROVISIONED: Final = {"bucketName": "photos"}

_SIZE: Final = Values(
    [0, -1, (5 << 40) + 1, 1 << 62, "0", "0.0", "6Ti", "5497558138881", "5497558138880.5", "9" * 19, "9" * 19 + "Pi"],
    [
        1,
        5 << 40,
        "1",
        "0.5",
        "5Ti",
        "5120Gi",
        "5497558138880",
        "5497558138880.0",
        "1k",
        "1M",
        "1G",
        "1T",
        "1Ki",
        "1.5Mi",
    ],
)
_IPV6: Final = Values(
    [f"http://[{ip}]" for ip in ("1", ":::", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", "::ffff:102:304")],
    [f"http://[{ip}]:80" for ip in ("::", "::1", "2001:db8::A", "1:2:3:4:5:6:7:8")] + ["http://10.0.0.1"],
)
_PORT: Final = Values(
    [f"http://{host}:{port}" for host in ("h", "[::1]") for port in ("0", "00000", "65536", "99999")],
    [
        "http://h",
        "http://[::1]",
        *(f"http://{host}:{port}" for host in ("h", "[::1]") for port in ("1", "00080", "65535")),
    ],
)
_ENDPOINTS: Final = {
    "must have a valid IPv6 address in its brackets": _IPV6,
    "must have a port from 1 to 65535, or none": _PORT,
}
_NETWORKS: Final = Values(
    ["10.0.0.1/8", "10.0.0.0/33", "10.0.0/8", "256.0.0.0/8", "2001:db8::1/32", "::/129", "::ffff:10.0.0.0/104", ":/0"],
    ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.7/32", "2001:DB8::/32", "::1/128", "64:ff9b::1.2.3.4/128"],
)
_OF_NETWORKS: Final = (
    ("AccessKey", "allowedNetworks"),
    ("Bucket", "credentials.allowedNetworks"),
    ("Region", "trustedProxies"),
)

# A value that is not named keeps its key: two that change theirs are no mistake.
_OWN_KEYS: Final = Values(
    [
        {"accessKeyId": "A", "secretAccessKey": "A"},
        {"accessKeyId": "SECRET_KEY"},
        {"bucket": "REGION"},
        {"endpoint": "REGION", "region": "REGION"},
        {"region": "CA_BUNDLE"},
        {"caBundle": "BUCKET"},
        dict.fromkeys(("accessKeyId", "secretAccessKey", "endpoint", "region", "bucket", "caBundle"), "A"),
    ],
    [
        {},
        {"accessKeyId": "ACCESS_KEY"},
        {"accessKeyId": "A", "secretAccessKey": "a"},
        {"accessKeyId": "SECRET_KEY", "secretAccessKey": "ACCESS_KEY"},
        {"caBundle": "BUCKET", "bucket": "CA_BUNDLE"},
        {"accessKeyId": "S3_ACCESS_KEY", "bucket": "credentials", "region": "type"},
    ],
)


def _profiles_and_keys(spec: Mapping[str, Any]) -> Values:
    """Of what has both: every key of a profile, where that is asked for and where it is not."""

    def having(key: str, *profiles: str) -> dict[str, Any]:
        return {**spec, "secretProfiles": list(profiles), "secretKeys": {"region": key}}

    keys = [
        (key, profile) for profile, keys in OTHER_PROFILES.items() for key in keys if key.isidentifier()
    ]  # no value can be given the key rclone.conf
    others = {profile: [each for each in PROFILES if each != profile] for profile in PROFILES}
    without = {key: [each for each in PROFILES if key not in OTHER_PROFILES.get(each, {})] for key, _ in keys}
    return Values(
        [having(key, *also, profile) for key, profile in keys for also in ((), others[profile])],
        [having(key, *profiles) for key, profiles in without.items()]
        + [{**spec, "secretProfiles": list(PROFILES)}, having("REGION", *PROFILES)],
    )


_TAKEN: Final = "secretKeys must name no key that another profile in secretProfiles has"

_GRANTING: Final = {"region": "local", "grants": [{"bucket": "photos"}]}


def _region(domain: str | None, suffixes: Sequence[str] = (), **endpoints: str) -> dict[str, Any]:
    """A Region's spec with this domain for its buckets."""
    spec: dict[str, Any] = {
        "tag": "a",
        "endpoints": endpoints,
        "domainSuffixes": [{"suffix": each} for each in suffixes],
    }
    return spec if domain is None else {**spec, "features": {"virtualHosts": domain}}


_BUCKET_NAMES: Final = {
    "must not be reserved": Values(["public"], ["publik", "public-1"]),
    "must not have two periods in a row": Values(["a..b", "a...b"], ["a.b", "a.b.c"]),
    "must not look like an IP address": Values(
        ["10.0.0.1", "999.999.999.999"], ["10.0.0.1.2", "10.0.0", "10.0.0.a", "1000.0.0.1", "10-0.0.1"]
    ),
}
_OF_BUCKET_NAMES: Final = (("Bucket", "spec.bucketName"), ("Region", "spec.adoptions[0].bucketName"))

RULES: Final[Mapping[tuple[str, str, str], Values | Changes]] = {
    **{(kind, at, said): rows for kind, at in _OF_BUCKET_NAMES for said, rows in _BUCKET_NAMES.items()},
    ("Bucket", "spec.maxObjectSize", "must be from 1 to 5Ti"): _SIZE,
    ("Bucket", "spec.quota.maxSize", "must be from 0 to 1024Pi"): Values(
        [-1, (1 << 60) + 1, "1025Pi", "1152921504606846977", "9" * 19], [0, 1 << 60, "0", "0.5", "1024Pi", "10Gi"]
    ),
    ("Bucket", "", "cannot be changed, added or removed once the bucket is provisioned"): Changes(
        _ANY_CHANGE, _NO_CHANGE, _PROVISIONED
    ),
    ("Region", "spec", NO_ENDPOINT_BELOW): Values(
        [
            _region("b.c", internal="http://a.b.c"),
            _region("b.c", internal="http://A.B.C:80"),
            _region("b.c", internal="https://a.b.c."),
            _region("b.c", internal="http://d", public="https://e.a.b.c:443"),
            _region("c", public="https://b.c"),
        ],
        [
            _region("b.c", internal="http://b.c"),
            _region("b.c", internal="http://B.c.:80", public="https://ab.c"),
            _region("b.c", internal="http://c", public="https://[2001:db8::1]"),
            _region("b.c", internal="http://a.b.c..", public="http://192.0.2.7"),
            _region("b.c"),
            _region(None, internal="http://a.b.c"),
        ],
    ),
    ("Region", "spec", NO_SUFFIX_BELOW): Values(
        [_region("b.c", ["b.c"]), _region("b.c", ["d", "a.b.c"]), _region("c", ["e.a.b.c"])],
        [_region("b.c", ["c", "ab.c", "b.c.d"]), _region("b.c"), _region(None, ["b.c", "a.b.c"])],
    ),
    ("Region", "spec.limits.maxObjectSize", "must be from 1 to 5Ti"): _SIZE,
    ("Region", "spec.limits.bytesPerSecond", "must be from 1 to 1Pi"): Values(
        [0, -1, (1 << 50) + 1, "0", "1.1Pi", "1025Ti", "9" * 19], [1, 1 << 50, "0.5", "1Pi", "1024Ti", "50Mi", "1k"]
    ),
    ("Region", "spec.limits.maxMetadataSize", "must be from 0 to 8Ki"): Values(
        [-1, 8193, "8193", "8192.5", "9Ki", "8.1Ki", "1Pi"], [0, 8192, "0", "0.5", "8192", "8Ki", "8k"]
    ),
    **{
        ("Region", f"spec.endpoints.{of}", said): rows
        for of in ("internal", "public")
        for said, rows in _ENDPOINTS.items()
    },
    **{(kind, f"spec.{at}[0]", NO_NETWORK): _NETWORKS for kind, at in _OF_NETWORKS},
    ("AccessKey", "spec", "once must be given with delivery Once"): Values(
        [{**_GRANTING, "delivery": "Once"}, {**_GRANTING, "delivery": "Once", "secretName": "a"}],
        [
            {**_GRANTING, "delivery": "Once", "once": {"recipient": RECIPIENT}},
            {**_GRANTING, "delivery": "Secret", "once": {"recipient": RECIPIENT}},
            {**_GRANTING, "delivery": "Secret"},
        ],
    ),
    ("AccessKey", "spec.once.recipient", SHARED_BY_ALL): Values(
        [base64.b64encode(point).decode() for point in (bytes(32), b"\1" + bytes(31), b"\1" + bytes(30) + b"\x80")],
        [RECIPIENT, base64.b64encode(b"\2" + bytes(31)).decode()],
    ),
    ("Bucket", "spec.cors[0].maxAge", "must be from 0s to 24h"): Values(
        ["24h1s", "25h", "1441m", "999999h9999999m9999999s"], ["0s", "1s", "10m", "24h", "1440m", "86400s"]
    ),
    ("Region", "spec.limits.idleUploads", "must be from 1m to 8760h"): Values(
        ["59s", "0s", "8760h1s", "8761h", "999999h9999999m9999999s"], ["1m", "60s", "168h", "8760h"]
    ),
    ("Region", "spec.maxRecordAge", "must be from 30s to 720h"): Values(
        ["29s", "0s", "0h0m0s", "720h1s", "721h", "43201m", "999999h", "999999h9999999m9999999s"],
        ["30s", "1m", "720h", "43200m", "2592000s", "719h59m60s", "000030s"],
    ),
    **{
        (kind, f"{at}.rotation.overlap", "must be from 0s to 720h"): Values(
            ["720h1s", "721h", "43201m", "999999h9999999m9999999s"], ["0s", "0h0m0s", "1s", "720h", "43200m"]
        )
        for kind, at in (("Bucket", "spec.credentials"), ("AccessKey", "spec"))
    },
    **{
        (kind, f"{at}.rotation.interval", "must be from 1m to 87600h"): Values(
            ["59s", "87600h1s", "999999h9999999m9999999s"], ["2h", "7200s", "87600h", "2160h"]
        )
        for kind, at in (("Bucket", "spec.credentials"), ("AccessKey", "spec"))
    },
    **{
        (kind, f"{at}.rotation", "interval must be at least twice the overlap"): Values(
            [{"interval": "119m"}, {"interval": "1h", "overlap": "30m1s"}, {"interval": "1m", "overlap": "720h"}],
            [{"interval": "2h"}, {"interval": "1m", "overlap": "30s"}, {"interval": "1m", "overlap": "0s"}, {}],
        )
        for kind, at in (("Bucket", "spec.credentials"), ("AccessKey", "spec"))
    },
    ("Region", "spec.bucketNameTemplate", "must contain {name}"): Values(
        ["photos", "{namespace}"], ["{name}", "{namespace}-{name}", "{name}{name}", "x.{name}-y"]
    ),
    ("AccessKey", "spec.grants", "must name each bucket once: put all its actions into one grant"): Values(
        [
            [{"bucket": "a"}, {"bucket": "a", "actions": ["s3:GetObject"]}],
            [{"bucket": each} for each in "abcb"],
            [{"bucket": "a", "namespace": "b"}, {"bucket": "c"}, {"bucket": "a", "namespace": "b"}],
        ],
        [
            [{"bucket": "a"}],
            [{"bucket": each} for each in "abcd"],
            [{"bucket": "a"}, {"bucket": "a", "namespace": "a"}, {"bucket": "a", "namespace": "b"}],
        ],
    ),
    ("AccessKey", "spec", "must have grants or allBuckets"): Values(
        [{"region": "local"}, {"region": "local", "state": "Revoked"}],
        [
            {"region": "local", "grants": [{"bucket": "a"}]},
            {"region": "local", "allBuckets": {}},
            {"region": "local", "grants": [{"bucket": "a"}], "allBuckets": {"actions": ["s3:GetObject"]}},
        ],
    ),
    ("AccessKey", "spec", "cannot be changed, added or removed"): Changes(_ANY_CHANGE, _NO_CHANGE, {}),
    **{
        (kind, f"{at}.secretKeys", "must give each value another key; values that are not named keep theirs"): _OWN_KEYS
        for kind, at in (("Bucket", "spec.credentials"), ("AccessKey", "spec"))
    },
    ("Bucket", "spec.credentials", _TAKEN): _profiles_and_keys({"enabled": False}),
    ("AccessKey", "spec", _TAKEN): _profiles_and_keys(_GRANTING),
}

#: What is free before the status says otherwise.
FREE: Final = Changes([], [*_ANY_CHANGE, *_NO_CHANGE], {})
