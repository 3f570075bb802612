"""How Cooper's own objects look on Kubernetes: names, labels and types that operator and gateway must agree on.

Secret     records, in the gateways' namespace       operator writes, gateways watch
ConfigMap  records-revision, in the same namespace   operator writes after records, gateways read every 2 s
Secret     credentials, in the tenant's namespace    operator writes, workloads mount
ConfigMap  of the same name, under profile OBC       the same
Secret     a gateway's key-encryption key, in its namespace   operator makes it empty, the gateway fills it in once
Secret     a gateway's certificate, and one with its authority   operator, where it is to make them
Lease      cooper-operator, in the gateways' namespace
"""

import base64
from collections.abc import Mapping
from typing import Any, Final, cast

from cooper_crds.names import DNS_SUBDOMAIN
from cooper_crds.records import Record, RecordError, decode

GROUP: Final = "cooper.dev"
VERSION: Final = "v1alpha1"

#: Namespace of operator and gateways where nothing else was said.
SYSTEM_NAMESPACE: Final = "cooper-system"
#: Who wrote a field, as `metadata.managedFields` says it.
FIELD_MANAGER: Final = "cooper-operator"
#: The Lease that the leading operator holds.
LEASE: Final = "cooper-operator"

#: Type of a record's Secret. A Secret's type never changes, so a record cannot leave a list or a watch by this type.
RECORD_TYPE: Final = "cooper.dev/record"
#: The field selector of a list or watch of all records.
RECORD_SELECTOR: Final = f"type={RECORD_TYPE}"
#: Label of a record, for people: its kind (`key`, `bucket`, `domain`, `region`).
RECORD_LABEL: Final = "cooper.dev/record"
#: The one data key of a record's Secret: JSON as `cooper_crds.records.encode` writes it.
RECORD_KEY: Final = "record.json"
#: Annotation of a record: the resource it was written for, `Kind/namespace/name` (`Region//name`).
RECORD_OWNER: Final = "cooper.dev/owner"
#: Type of a record that could not be read and was replaced: kept beside it, used by nobody.
DAMAGED_RECORD_TYPE: Final = "cooper.dev/damaged-record"

#: The ConfigMap that tells how far gateways must have watched to know all that was written.
REVISION_OBJECT: Final = "records-revision"
#: Its data key: the highest resourceVersion of a record's write, a decimal integer.
REVISION_KEY: Final = "lastWrite"

#: Label of credentials: the name of their AccessKey, or `true` where that is too long for a label.
CREDENTIALS_LABEL: Final = "cooper.dev/credentials"
#: Label of credentials: the UID of their AccessKey.
CREDENTIALS_OWNER_LABEL: Final = "cooper.dev/owner-uid"
#: Annotation of credentials: the id of the key that they hold. It is no secret.
CREDENTIALS_KEY_ANNOTATION: Final = "cooper.dev/access-key-id"
#: Annotation of credentials: `true` where a part of their values lies in a ConfigMap of their name.
CREDENTIALS_CONFIG_MAP_ANNOTATION: Final = "cooper.dev/config-map"

#: Annotation of credentials: a digest of what was put into them last, whatever is in them now.
CREDENTIALS_DIGEST_ANNOTATION: Final = "cooper.dev/content-digest"
#: Before the name of a Secret: annotation of a workload and of its Pods, which tells what the Secret held when the
#: workload was restarted for it, or first seen.
ROLLED_ANNOTATION_PREFIX: Final = "rolled.cooper.dev"

#: Type of the Secret with a gateway's key-encryption key, and its one data key: the content of a key file.
KEK_TYPE: Final = "cooper.dev/key-encryption-key"
KEK_KEY: Final = "kek.json"
#: Type of a Secret with a certificate, and its data keys: certificate, private key, and whom to trust for it.
TLS_TYPE: Final = "kubernetes.io/tls"
TLS_CERTIFICATE: Final = "tls.crt"
TLS_KEY: Final = "tls.key"
TLS_AUTHORITIES: Final = "ca.crt"
#: Label of such a Secret that the operator made, and renews: `certificate` or `authority`.
GENERATED_LABEL: Final = "cooper.dev/generated"
#: Annotation of a Region that an installation brought along: a digest of its spec as it was then.
INSTALLED: Final = "cooper.dev/installed"

#: "must be 63 characters or less" (Kubernetes, labels: syntax and character set)
MAX_LABEL_LENGTH: Final = 63


#: Kinds of records: what their names begin with.
RECORD_KINDS: Final = ("key", "bucket", "domain", "region")


def secret_name(record_name: str) -> str:
    """Name of a record's Secret: the record's own, or a reversible form of those that Kubernetes does not allow.

    S3 allows bucket names such as `a.-b`. No record's own name begins with `bucket.`, so no two names become one.
    """
    if DNS_SUBDOMAIN.fullmatch(record_name):
        return record_name
    kind, _, rest = record_name.partition("-")
    return f"{kind}.{base64.b32encode(rest.encode()).decode().rstrip('=').lower()}"


def record_name(secret: str) -> str:
    """The record's name that became a Secret's name by `secret_name`; any other name is returned as it is."""
    kind, _, encoded = secret.partition(".")
    if kind not in RECORD_KINDS:
        return secret
    padding = "=" * (-len(encoded) % 8)
    try:
        found = f"{kind}-{base64.b32decode(encoded.upper() + padding).decode()}"
    except ValueError:
        return secret
    return found if secret_name(found) == secret else secret


def record_of(secret: Mapping[str, Any]) -> Record:
    """The record in a Secret as the API server returns it. Raises RecordError, which never has the content."""
    data = secret.get("data")
    encoded = cast(Mapping[str, Any], data).get(RECORD_KEY) if isinstance(data, Mapping) else None
    if not isinstance(encoded, str):
        raise RecordError(f"the Secret has no data key {RECORD_KEY}")
    try:
        content = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise RecordError(f"the Secret's data key {RECORD_KEY} is not base64") from None
    return decode(content)


def revision_of(config_map: Mapping[str, Any]) -> int | None:
    """The highest resourceVersion of a record's write; None, when it cannot be read, proves nothing."""
    data = config_map.get("data")
    text = cast(Mapping[str, Any], data).get(REVISION_KEY) if isinstance(data, Mapping) else None
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else None
