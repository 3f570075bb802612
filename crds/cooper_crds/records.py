"""Records: all that the operator tells a gateway. One per key, bucket, domain and region; versioned; JSON.

A gateway knows nothing else: it never reads tenants' resources. Unknown fields and versions are refused, since a
gateway that ignored a restriction it does not understand would grant too much.
"""

import base64
import hashlib
from typing import Final, Literal, Protocol

import msgspec

RECORD_VERSION: Final = 1

#: Header of a gateway's answer to ListBuckets: `record_digest` of the key's record that it goes by.
RECORD_DIGEST: Final = "x-cooper-record-digest"
#: Header of a gateway's refusal of a bucket to every key: `accessGeneration` of the record that it goes by.
ACCESS_GENERATION: Final = "x-cooper-access-generation"
#: Header of a gateway's answer to the operator's question for intents: `record_digest` of the Region's record that it
#: goes by.
REGION_DIGEST: Final = "x-cooper-region-digest"


class RecordError(ValueError):
    """A record that cannot be used, with the reason. Never carries the record's content."""


class RecordTooNew(RecordError):
    """One that a newer version wrote, which is for an upgrade to read."""


class Owner(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The resource a record was written for."""

    namespace: str
    name: str
    uid: str


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a key may do on one bucket."""

    bucket: str  # S3 name
    data_id: str  # UUID of the bucket's data: the grant dies with the bucket it was made for
    actions: tuple[str, ...]
    prefixes: tuple[str, ...] = ()  # of objects' names; none: all objects, and the bucket itself

    def is_on(self, bucket: "BucketRecord") -> bool:
        """Whether this bucket is meant, and no other one of its name."""
        return self.bucket == bucket.name and self.data_id == bucket.data_id


class KeyRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag="key", tag_field="kind"):
    """One access key. A Revoked record is a tombstone: it keeps the secret so that only its holder is told so."""

    access_key_id: str
    secret_key: str
    owner: Owner
    serial: int  # which key of its AccessKey this is; the next one is serial + 1
    grants: tuple[Grant, ...] = ()
    state: Literal["Active", "Revoked"] = "Active"
    revoked_at: float | None = None  # Unix seconds: when the record was first to say Revoked; None: not known
    not_after: float | None = None  # Unix seconds; gateways enforce it by themselves
    issued_at: float = 0.0  # Unix seconds; 0: not known
    replaces: str = ""  # id of the key that it takes the place of, which works beside it for a while
    superseded_at: float | None = None  # Unix seconds: when the Secret was first to hold its successor
    system: bool = False  # the operator's own key: cooper:Operate and nothing else
    networks: tuple[str, ...] = ()  # CIDRs that it may be used from; none: anywhere
    region: str = ""  # name of the Region that honours it, for good; every one honours a system key
    create_buckets: bool = False  # whether it may have buckets made in its owner's namespace, where the Region lets it
    version: int = RECORD_VERSION

    def __repr__(self) -> str:  # a record may end up in a traceback: its secret must not
        return f"KeyRecord({self.access_key_id}, {self.state})"


class CorsRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What pages of some origins may do with a bucket."""

    origins: tuple[str, ...]  # one asterisk in each stands for any characters
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()  # of requests; asterisks as above
    exposed: tuple[str, ...] = ()  # headers of answers that pages may read
    max_age: int | None = None  # seconds that a browser may go by it; None: it decides itself


class BucketRecord(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag="bucket", tag_field="kind"
):
    """One bucket, and the claim on its name."""

    name: str
    data_id: str  # UUID of the data; outlives the resource when the bucket is retained
    owner: Owner
    region: str = ""  # name of the Region that its data lies in
    visibility: Literal["Private", "Public"] = "Private"
    api_access: Literal["Allowed", "Revoked"] = "Allowed"
    access_generation: int = 0  # metadata.generation of the Bucket that brought this apiAccess: grows at each change
    max_object_size: int = 2 << 30  # bytes
    max_objects: int | None = None  # quota; None: no limit
    max_size: int | None = None  # quota: bytes of all objects together
    content_types: tuple[str, ...] = ()  # patterns of those that objects may have; none: any
    cors: tuple[CorsRule, ...] = ()  # the first that fits counts
    created: int = 0  # Unix seconds; 0 where it is not known
    namespace_uid: str = ""  # of the owner's namespace, which another one of that name does not have; empty: not known
    #: Of the Bucket: what a sweep may do about a record that has none. A record of before keeps what it holds.
    deletion_policy: Literal["Delete", "Retain", "Purge"] = "Retain"
    retained: bool = False  # the resource is gone, the data stays; serves nobody
    version: int = RECORD_VERSION


class DomainRecord(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag="domain", tag_field="kind"
):
    """A host name of a bucket's own, and the claim on it."""

    name: str
    bucket: str  # S3 name
    data_id: str  # of the bucket's data: another bucket of that name has nothing of the domain
    owner: Owner
    region: str  # name of the Region that the bucket is in
    version: int = RECORD_VERSION


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What each key may do in a second, at each replica. None: as much as it likes."""

    requests: int | None = None
    bytes: int | None = None  # of bodies, in both directions


class RegionRecord(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag="region", tag_field="kind"
):
    """A Region's settings, as its gateways need them. Where those are is for the operator: the Region may be gone."""

    name: str
    tag: str  # the SigV4 region
    list_objects_v1: bool = True
    match_region: bool = False
    virtual_hosts: str = ""  # domain below which each bucket has a host name; empty: there is none
    create_buckets: bool = False  # whether CreateBucket is served
    max_object_size: int = 5 << 40  # bytes; the least of this and the bucket's holds
    max_metadata_size: int = 2048  # bytes of all x-amz-meta-* names and values
    rates: Rates | None = None  # None: there are none
    idle_uploads: float = 604800.0  # seconds after which an upload is dropped when nothing is added to it
    max_record_age: float = 86400.0  # seconds
    trusted_proxies: tuple[str, ...] = ()  # CIDRs of those that are believed about where a request comes from
    longer_age_until: float = 0.0  # Unix seconds: who has not read this record may go by a longer age until then
    service: str = ""  # whose endpoints the gateways are; empty: the one of the Region's name
    service_port: str = "s3"  # name of its port
    tls_name: str = ""  # for which the gateways have a certificate; empty: they do not speak TLS
    ca_bundle: str = ""  # whom the operator trusts for that (PEM); empty: whom its system does
    version: int = RECORD_VERSION


Record = KeyRecord | BucketRecord | DomainRecord | RegionRecord


def concerns(record: Record, region: str) -> bool:
    """Whether a record is for the gateways of the Region of that name. They take no notice of others."""
    if isinstance(record, RegionRecord):
        return record.name == region
    return record.region == region or (isinstance(record, KeyRecord) and record.system)


def spent(key: KeyRecord, now: float) -> bool:
    """Whether gateways refuse a key for good: it was revoked, or its time is over. `now` is in Unix seconds."""
    return key.state != "Active" or (key.not_after is not None and key.not_after <= now)


_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder()
#: Fields that came later, as they are while they say nothing: then they are left out. Programs of before refuse what
#: they do not know, and would take the record for a damaged one; and both tell its digest alike. No text in JSON has
#: such quotes within.
_LATER: Final = (
    b',"createBuckets":false',
    b',"virtualHosts":""',
    b',"rates":null',
    b',"idleUploads":604800.0',
)


def encode(record: Record) -> bytes:
    """The record as JSON, secret included: for the records table (sealed there) and Kubernetes Secrets only."""
    encoded = _encoder.encode(record)
    for field in _LATER:
        encoded = encoded.replace(field, b"")
    return encoded


def record_digest(record: Record) -> str:
    """Tells a record from each other one."""
    return hashlib.sha256(encode(record)).hexdigest()[:32]


def decode(data: bytes) -> Record:
    """Read a record. Raises RecordError with the reason, and never with the content, when it cannot be used:
    RecordTooNew where a newer version wrote it, which has another version or a field that is not known."""
    try:
        record = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        if "unknown field" in str(error) or _version_of(data) > RECORD_VERSION:
            raise RecordTooNew(f"not a record of this version: {error}") from None
        raise RecordError(f"not a record: {error}") from None
    except (UnicodeDecodeError, RecursionError):  # of strings, and of brackets in brackets
        raise RecordError("not a record: it is not JSON in UTF-8, or nested too deeply") from None
    if record.version != RECORD_VERSION:
        kind = RecordTooNew if record.version > RECORD_VERSION else RecordError
        raise kind(f"record version {record.version} is not {RECORD_VERSION}: upgrade this gateway")
    return record


class _Version(msgspec.Struct):
    version: int = 0


def _version_of(data: bytes) -> int:
    """What a record that cannot be read says of its version; 0 where it says none."""
    try:
        return msgspec.json.decode(data, type=_Version).version
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0


class Box(Protocol):
    """Authenticated encryption of a secret at rest, bound to a context."""

    def seal(self, plaintext: bytes, context: bytes, /) -> bytes:
        """Encrypt `plaintext`; it opens only with the same context."""
        ...

    def open(self, sealed: bytes, context: bytes, /) -> bytes:
        """Decrypt and verify. Raises ValueError when it was not sealed by this key for this context."""
        ...


def dump_file(record: Record, box: Box) -> bytes:
    """The record as a file on disk: a key's secret is sealed, bound to the key id; the rest is readable JSON."""
    if isinstance(record, KeyRecord):
        sealed = box.seal(record.secret_key.encode(), b"key record " + record.access_key_id.encode())
        record = msgspec.structs.replace(record, secret_key="sealed:" + base64.b64encode(sealed).decode())
    return msgspec.json.format(encode(record), indent=2) + b"\n"


def load_file(data: bytes, box: Box) -> Record:
    """Read what `dump_file` wrote. Raises RecordError with the reason."""
    record = decode(data)
    if not isinstance(record, KeyRecord):
        return record
    if not record.secret_key.startswith("sealed:"):
        raise RecordError(f"the secret of key {record.access_key_id} is not sealed")
    try:
        sealed = base64.b64decode(record.secret_key[7:], validate=True)
        secret = box.open(sealed, b"key record " + record.access_key_id.encode()).decode()
    except ValueError:
        raise RecordError(
            f"the secret of key {record.access_key_id} was sealed with another key-encryption key or is damaged"
        ) from None
    return msgspec.structs.replace(record, secret_key=secret)
