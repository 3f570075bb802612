"""Region: one S3 gateway, and the settings of what it serves."""

import re
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator, model_validator

from cooper_crds.conditions import ANNOTATIONS_KNOWN, Conditions
from cooper_crds.domains import DomainSuffixes, VirtualHosts, lets
from cooper_crds.fields import (
    MAX_OBJECT_SIZE,
    BucketCount,
    BucketName,
    ByteSize,
    CertificateBundle,
    Duration,
    EachOnce,
    Endpoint,
    NamespaceName,
    PerSecond,
    PortName,
    RegionTag,
    ServiceName,
    duration_between,
    size_between,
)
from cooper_crds.host_names import is_under
from cooper_crds.meta import API_VERSION, ClusterMetadata, Model, Status
from cooper_crds.networks import NetworkSet
from cooper_crds.patterns import WORDS

MIN_RECORD_AGE: Final = 30.0
MAX_RECORD_AGE: Final = 720 * 3600.0
MAX_METADATA_SIZE: Final = 8 << 10
#: Most bytes a second that a key can be limited to.
MAX_BYTES_PER_SECOND: Final = 1 << 50
_TEMPLATE: Final = r"^([a-z0-9.-]|\{name\}|\{namespace\})+$"
_NO_TEMPLATE: Final = "must consist of lowercase letters, digits, hyphens, periods, {name} and {namespace}"
#: What is said of a Region whose own names, or those that it lets Buckets have, would be its buckets'.
NO_ENDPOINT_BELOW: Final = (
    "endpoints must not lie below features.virtualHosts, where each name is a bucket's: that name itself may be one"
)
NO_SUFFIX_BELOW: Final = (
    "domainSuffixes must not lie at or below features.virtualHosts: no Bucket can have a domain of its own there"
)


def _endpoint_below(name: str) -> str:
    """In CEL: whether an endpoint lies below virtualHosts. An endpoint is a scheme, a host and perhaps a port, and what
    a host ends with stands before a colon. (Of what url() gives an API server does not know how long it can be, and
    takes no rule that might cost as much.)"""
    at, domain = f"self.endpoints.{name}", "self.features.virtualHosts"
    ends = (f"({at}.lowerAscii() + ':').contains('.' + {domain} + '{end}')" for end in (":", ".:"))
    return f"(has({at}) && ({' || '.join(ends)}))"


_WITHOUT_VIRTUAL_HOSTS: Final = "!has(self.features) || !has(self.features.virtualHosts) || "
_ENDPOINTS_RULE: Final[dict[str, Any]] = {
    "rule": f"{_WITHOUT_VIRTUAL_HOSTS}!has(self.endpoints) || "
    f"!({_endpoint_below('internal')} || {_endpoint_below('public')})",
    "message": NO_ENDPOINT_BELOW,
}
_SUFFIXES_RULE: Final[dict[str, Any]] = {
    "rule": f"{_WITHOUT_VIRTUAL_HOSTS}!has(self.domainSuffixes) || "
    "self.domainSuffixes.all(each, each.suffix != self.features.virtualHosts && "
    "!each.suffix.endsWith('.' + self.features.virtualHosts))",
    "message": NO_SUFFIX_BELOW,
}


class Endpoints(Model):
    """Where clients reach the gateway."""

    internal: Annotated[
        Endpoint | None,
        Field(
            description="URL of the S3 endpoint for clients near the gateway, such as http://gateway.cooper:9000. "
            "Secrets carry this one. `cooper up` fills in its own address where none is given."
        ),
    ] = None
    public: Annotated[
        Endpoint | None,
        Field(description="URL of the S3 endpoint for clients elsewhere, such as https://s3.example.com."),
    ] = None


class Service(Model):
    """The Service that the gateways are behind."""

    name: Annotated[
        ServiceName | None,
        Field(
            description="Name of the Service, in the namespace of Cooper's operator, whose endpoints are the Region's "
            "gateways. Default: the Region's name. Gateways that are behind another Service are not asked, so nothing "
            "is said of them."
        ),
    ] = None
    port: Annotated[
        PortName,
        Field(
            description="Name of the Service's port that speaks S3. Where the Service has one port only it is that one."
        ),
    ] = "s3"
    scheme: Annotated[
        Literal["http", "https"] | None,
        Field(
            description="Whether the gateways themselves speak TLS. Default: as the internal endpoint says, which is "
            "not so where something before them ends TLS."
        ),
    ] = None


class Features(Model):
    """Optional behaviour of the gateway."""

    list_objects_v1: Annotated[
        bool,
        Field(
            description="Serve the first version of ListObjects, which some older clients need; when false it is "
            "answered with 501 NotImplemented.",
        ),
    ] = True
    match_region: Annotated[
        bool,
        Field(
            description="Refuse signatures that name another region than this Region's tag. When false, any region is "
            "accepted in a signature."
        ),
    ] = False
    virtual_hosts: Annotated[
        VirtualHosts | None,
        Field(
            description="Domain below which each bucket has a host name, such as s3.example.com: at "
            "<bucket>.s3.example.com the path is the object's name alone (virtual-hosted style), beside the path style "
            "that Secrets' endpoints keep. DNS has to lead *.s3.example.com to the gateway, and over TLS the "
            "certificate has to be for that. No Bucket can have a domain of its own there. Default: there is none."
        ),
    ] = None
    create_bucket: Annotated[
        bool,
        Field(
            description="Serve CreateBucket over S3 to keys whose AccessKey has s3:CreateBucket in allBuckets.actions: "
            "Cooper makes a Bucket for it in the AccessKey's namespace. When false it is answered with 501 "
            "NotImplemented."
        ),
    ] = False


_SHORTEST_IDLE: Final = 60.0  # seconds
_LONGEST_IDLE: Final = 8760 * 3600.0


class Limits(Model):
    """What the gateway accepts at most."""

    max_object_size: Annotated[
        ByteSize,
        size_between(1, MAX_OBJECT_SIZE),
        Field(
            description="Largest object, as a quantity such as 5Gi. A Bucket can lower it and never raise it.",
            json_schema_extra={"default": "5Ti"},
        ),
    ] = MAX_OBJECT_SIZE
    max_metadata_size: Annotated[
        ByteSize,
        size_between(0, MAX_METADATA_SIZE),
        Field(
            description="Most user metadata of an object: all names and values of x-amz-meta-* headers together.",
            json_schema_extra={"default": "2Ki"},
        ),
    ] = 2 << 10
    idle_uploads: Annotated[
        Duration,
        duration_between(_SHORTEST_IDLE, _LONGEST_IDLE),
        Field(
            description="After how long a multipart upload is dropped with its parts when nothing is added to it, from "
            "1m to 8760h.",
            json_schema_extra={"default": "168h"},
        ),
    ] = 604800.0
    requests_per_second: Annotated[
        PerSecond | None,
        Field(
            description="How many requests a second each access key may make of each replica of the gateway; those of "
            "one second at once. What is more is answered with 503 SlowDown and Retry-After. Requests without a key, "
            "and those that are refused, do not count. Default: no limit."
        ),
    ] = None
    bytes_per_second: Annotated[
        ByteSize | None,
        size_between(1, MAX_BYTES_PER_SECOND),
        Field(
            description="How many bytes of bodies a second, sent and received, each access key may move through each "
            "replica of the gateway, as a quantity such as 50Mi. What has begun is never cut or slowed; what it was "
            "more than allowed has to pass before the key's next request is taken, with 503 SlowDown and Retry-After "
            "until then. Default: no limit."
        ),
    ] = None
    max_created_buckets: Annotated[
        BucketCount,
        Field(
            description="How many Buckets a namespace may have, of whatever origin, for CreateBucket over S3 to make "
            "one more: with so many it is answered with TooManyBuckets. Buckets that are applied are not limited by "
            "it.",
        ),
    ] = 100


class Adoption(Model):
    """Retained data, and who may take it over."""

    bucket_name: Annotated[BucketName, Field(description="S3 name of the bucket that was retained.")]
    namespace: Annotated[
        NamespaceName, Field(description="The namespace whose Bucket of that S3 name may take it over.")
    ]


class RegionSpec(Model):
    """What a Region is to be."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [_ENDPOINTS_RULE, _SUFFIXES_RULE]})

    tag: Annotated[
        RegionTag,
        Field(
            description="The region as S3 clients know it, such as us-east-1: part of every signature, and the REGION "
            "in the Secrets."
        ),
    ]
    default: Annotated[
        bool,
        Field(
            description="Whether Buckets and AccessKeys that name no region belong to this one. At most one Region can "
            "be the default."
        ),
    ] = False
    endpoints: Annotated[
        Endpoints, Field(description="Where clients reach the gateway.", json_schema_extra={"default": {}})
    ] = Endpoints()
    ca_bundle: Annotated[
        CertificateBundle | None,
        Field(
            description="Certificates (PEM) of the authorities that vouch for the endpoints' certificates, where they "
            "are none that every system knows. Secrets carry them as CA_BUNDLE, and the operator knows gateways by "
            "them. Default: the system's."
        ),
    ] = None
    service: Annotated[
        Service,
        Field(
            description="Where the gateway's replicas are found on Kubernetes. A key is ready when every ready one "
            "accepts it, and revoked when every one refuses it. Of this `cooper up` uses the scheme only.",
            json_schema_extra={"default": {}},
        ),
    ] = Service()
    features: Annotated[
        Features, Field(description="Optional behaviour of the gateway.", json_schema_extra={"default": {}})
    ] = Features()
    limits: Annotated[
        Limits, Field(description="What the gateway accepts at most.", json_schema_extra={"default": {}})
    ] = Limits()
    adoptions: Annotated[
        list[Adoption] | None,
        Field(
            max_length=64,
            description="Who may take over data that was retained in this Region, beside the namespace that it is "
            "from: a Bucket there of that S3 name with spec.adopt. It holds for whichever namespace has that name, as "
            "long as it is listed: take an entry off when the data was taken over.",
        ),
        EachOnce(by=("bucket_name",)),
    ] = None
    domain_suffixes: DomainSuffixes = None
    trusted_proxies: Annotated[
        NetworkSet | None,
        Field(
            description="Networks of the proxies before the gateways that are believed when they say in "
            "X-Forwarded-For where a request comes from. It matters to keys with allowedNetworks only. Default: none "
            "is believed, and a request comes from whoever connects."
        ),
    ] = None
    max_record_age: Annotated[
        Duration,
        duration_between(MIN_RECORD_AGE, MAX_RECORD_AGE),
        Field(
            description="How long a gateway goes on serving with what it last read when it cannot read its records, "
            "from 30s to 720h. After that it answers 503 rather than honour a key that may have been revoked.",
            json_schema_extra={"default": "24h"},
        ),
    ] = 86400.0
    bucket_name_template: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            description="How the S3 name of a Bucket is made when it names none: {name} stands for the resource's "
            "name, {namespace} for its namespace. For example {namespace}-{name}.",
            json_schema_extra={
                "pattern": _TEMPLATE,
                WORDS: _NO_TEMPLATE,
                "x-kubernetes-validations": [
                    {"rule": "self.contains('{name}')", "message": "must contain {name}"},
                ],
            },
        ),
    ] = "{name}"

    @field_validator("bucket_name_template")
    @classmethod
    def _names_differ(cls, value: str) -> str:
        if not re.fullmatch(_TEMPLATE[1:-1], value):
            raise ValueError(_NO_TEMPLATE)
        if "{name}" not in value:
            raise ValueError("must contain {name}")
        return value

    @model_validator(mode="after")
    def _virtual_hosts_are_free(self) -> Self:
        domain = self.features.virtual_hosts
        if domain is None:
            return self
        endpoints = (each for each in (self.endpoints.internal, self.endpoints.public) if each)
        if any(host_of(each).endswith(f".{domain}") for each in endpoints):
            raise ValueError(NO_ENDPOINT_BELOW)
        if any(is_under(each.suffix, domain) for each in self.domain_suffixes or ()):
            raise ValueError(NO_SUFFIX_BELOW)
        return self

    def bucket_name(self, namespace: str, name: str) -> str:
        """S3 name of a Bucket that names none. It may be no valid bucket name: see names.bucket_name_problem."""
        # Neither DNS names nor the template's other text hold braces, so the order of replacing does not matter.
        return self.bucket_name_template.replace("{namespace}", namespace).replace("{name}", name)

    def lets_adopt(self, bucket_name: str, namespace: str) -> bool:
        """Whether retained data under this S3 name is for a namespace that did not leave it."""
        return any(each.bucket_name == bucket_name and each.namespace == namespace for each in self.adoptions or ())

    def lets_have(self, domain: str, namespace: str) -> bool:
        """Whether Buckets of a namespace may have this host name."""
        return lets(self.domain_suffixes or (), domain, namespace)


def host_of(endpoint: str) -> str:
    """The host of an endpoint's URL, in lower case and without the final period of a full name."""
    return (urlsplit(endpoint).hostname or "").removesuffix(".")


class RegionStatus(Status):
    """What is known of a Region."""

    observed_generation: Annotated[
        int | None, Field(ge=0, description="The metadata.generation that this status was made for.")
    ] = None
    conditions: Annotated[
        Conditions,
        Field(
            description="What is true of the Region. Ready: its settings are recorded, and a gateway is there that is "
            "ready and goes by them. GatewaysReady: so do all that are there. " + ANNOTATIONS_KNOWN
        ),
    ] = []
    endpoint: Annotated[Endpoint | None, Field(description="The endpoint that Secrets of this Region carry.")] = None
    gateways: Annotated[
        str | None,
        Field(
            max_length=32,
            pattern=r"^[0-9]+/[0-9]+$",
            description="How many gateways are ready, of how many that are there, such as 2/3.",
        ),
    ] = None


class Region(Model):
    """A Region is one S3 gateway: its endpoint, the tag that signatures name, and its limits."""

    # A Region's name is the value of a label on its records.
    model_config = ConfigDict(json_schema_extra={"x-cooper-name-max-length": 63})

    plural: ClassVar[str] = "regions"

    api_version: Literal["cooper.dev/v1alpha1"] = API_VERSION
    kind: Literal["Region"] = "Region"
    metadata: ClusterMetadata
    spec: Annotated[RegionSpec, Field(description="What the Region is to be.")]
    status: Annotated[RegionStatus | None, Field(description="What is known of the Region.")] = None
