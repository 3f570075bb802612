"""Names: S3 bucket names, access key ids, record names. Pure rules, each quoted beside its check."""

import base64
import hashlib
import re
from typing import Final

#: Bucket names that no tenant may claim: `/public/<bucket>/<key>` is the path of anonymous reads.
RESERVED_BUCKET_NAMES: Final = frozenset({"public"})

# "Bucket names must be between 3 and 63 characters long, can consist only of lowercase letters, numbers, periods and
# hyphens, must begin and end with a letter or number, must not contain two adjacent periods, must not be formatted as
# an IP address." (Amazon S3 User Guide, general purpose bucket naming rules)
_BUCKET_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.))*[a-z0-9]")
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
#: The pattern of a bucket name as a JSON schema can say it (length, reserved and IP rules are checked beside it).
BUCKET_NAME_PATTERN: Final = r"^[a-z0-9]([a-z0-9.-]{1,61})[a-z0-9]$"

#: RFC 1123 label: what Kubernetes allows as a namespace's name.
DNS_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
#: RFC 1123 subdomain of at most 253 characters: what Kubernetes allows as a resource's name.
DNS_SUBDOMAIN: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
)

# "Valid label keys have two segments: an optional prefix and name, separated by a slash. The name segment is required
# and must be 63 characters or less, beginning and ending with an alphanumeric character with dashes, underscores, dots,
# and alphanumerics between. If specified, the prefix must be a DNS subdomain" (Kubernetes, Labels and Selectors)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")

#: Longest S3 object key, in bytes of UTF-8.
MAX_OBJECT_NAME_BYTES: Final = 1024


def bucket_name_problem(name: str) -> str | None:
    """Say what is wrong with an S3 bucket name, or None when it is valid."""
    if not 3 <= len(name) <= 63:
        return f"a bucket name has 3 to 63 characters, this has {len(name)}"
    if name in RESERVED_BUCKET_NAMES:
        return f"the bucket name {name!r} is reserved"
    if not _BUCKET_NAME.fullmatch(name):
        return (
            "a bucket name has lowercase letters, digits, hyphens and single periods, and begins and ends with a "
            "letter or digit"
        )
    if _IPV4.fullmatch(name):
        return "a bucket name must not look like an IP address"
    return None


def is_qualified_name(text: str) -> bool:
    """Whether Kubernetes takes it as the key of a label, or as a finalizer."""
    prefix, slash, name = text.rpartition("/")
    return bool(name) and is_label_value(name) and (not slash or DNS_SUBDOMAIN.fullmatch(prefix) is not None)


def is_label_value(text: str) -> bool:
    """Whether Kubernetes takes it as the value of a label."""
    return _LABEL_VALUE.fullmatch(text) is not None


def access_key_id(uid: str, serial: int) -> str:
    """Derive the key id of an AccessKey's `serial`-th key: `AKIA` and 16 characters, the same at every call.

    A derived id makes issuing idempotent: after a crash the operator finds the record it wrote instead of making a
    second key. The id is public; the secret is random and unrelated.
    """
    digest = hashlib.sha256(f"cooper access key\0{uid}\0{serial}".encode()).digest()
    return "AKIA" + base64.b32encode(digest[:10]).decode()


def bucket_record_name(bucket: str) -> str:
    """Name of the record that claims an S3 bucket name. Creating it create-only is the claim."""
    return f"bucket-{bucket}"


def domain_record_name(domain: str) -> str:
    """Name of the record that claims a host name for a bucket. Creating it create-only is the claim."""
    return f"domain-{domain}"


def key_record_name(key_id: str) -> str:
    """Name of an access key's record (record names are lower case, as Kubernetes wants them)."""
    return f"key-{key_id.lower()}"


def region_record_name(region: str) -> str:
    """Name of the record with a Region's gateway settings."""
    return f"region-{region}"
