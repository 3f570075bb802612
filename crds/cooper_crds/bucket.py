"""Bucket: an S3 bucket in a Region, and by default one access key for it."""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from cooper_crds.actions import DEFAULT_ACTIONS
from cooper_crds.conditions import ANNOTATIONS_KNOWN, Conditions
from cooper_crds.cors import CorsRules
from cooper_crds.domains import MAX_DOMAINS, Domain, Domains
from cooper_crds.fields import (
    MAX_OBJECT_SIZE,
    ActionSet,
    ApiAccess,
    BucketName,
    ByteSize,
    ContentTypePattern,
    Count,
    DeletionPolicy,
    EachOnce,
    Endpoint,
    RegionName,
    ResourceName,
    RoundedSize,
    Timestamp,
    Visibility,
    size_between,
)
from cooper_crds.meta import API_VERSION, Binding, Metadata, Model, Status
from cooper_crds.networks import AllowedNetworks
from cooper_crds.rotation import Restart, RotationField
from cooper_crds.secret_keys import KEYS_RULE, SecretKeysField, SecretProfiles, check_keys

#: Most bytes that a quota can be.
MAX_QUOTA: Final = 1 << 60


class BucketCredentials(Model):
    """The access key that a Bucket brings along."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [KEYS_RULE]})

    enabled: Annotated[
        bool,
        Field(
            description="Whether the Bucket has an access key of its own: an AccessKey of the Bucket's name, which may "
            "do these actions here, delivered in a Secret. When it is set to false that key stops working and the "
            "Secret is deleted; the bucket, its objects and other AccessKeys stay. When it is set to true again there "
            "is a new key in a new Secret."
        ),
    ] = True
    secret_name: Annotated[
        ResourceName | None,
        Field(
            description="Name of the Secret, in the Bucket's namespace. Default: the Bucket's name. A Secret of that "
            "name that Cooper did not make is left alone: Ready=False with reason SecretConflict."
        ),
    ] = None
    actions: Annotated[
        ActionSet,
        Field(
            description="What the key may do on the Bucket. Default: read, write, delete and list objects, and ask for "
            "the bucket's location.",
        ),
    ] = list(DEFAULT_ACTIONS)
    allowed_networks: AllowedNetworks = None
    secret_profiles: SecretProfiles = ["Cooper"]
    secret_keys: SecretKeysField = None
    rotation: RotationField = None
    restart: Restart = None

    @model_validator(mode="after")
    def _own_keys_are_free(self) -> Self:
        check_keys(self.secret_profiles, self.secret_keys)
        return self


class Quota(Model):
    """What a bucket may hold."""

    max_size: Annotated[
        ByteSize | None,
        size_between(0, MAX_QUOTA),
        Field(
            description="How many bytes all objects may have together, as a quantity such as 10Gi; parts of uploads in "
            "progress count. Default: no limit."
        ),
    ] = None
    max_objects: Annotated[Count | None, Field(description="How many objects there may be. Default: no limit.")] = None


class BucketSpec(Model):
    """What a Bucket is to be."""

    bucket_name: Annotated[
        BucketName | None,
        Field(
            description="S3 name of the bucket. Default: made from the resource's name by the Region's "
            "bucketNameTemplate. A name belongs to who provisioned it first; a second Bucket of that name gets "
            "Ready=False with reason NameTaken. Immutable once provisioned."
        ),
    ] = None
    region: Annotated[
        RegionName | None,
        Field(
            description="Name of the Region that holds the bucket. Default: the Region marked as the default. A "
            "provisioned bucket stays where it is: another name gives Ready=False with reason RegionChanged."
        ),
    ] = None
    visibility: Annotated[
        Visibility,
        Field(
            description="Private: only access keys read objects. Public: anybody who knows an object's name can read "
            "it; nobody can list without a key."
        ),
    ] = "Private"
    api_access: Annotated[
        ApiAccess,
        Field(
            description="Revoked: every access key, the Bucket's own as well, is refused on this bucket with "
            "KeyAccessRevoked; the objects, the keys and the Secrets stay. Allowed: the same keys serve again. What "
            "is Public is still read without a key. To revoke the Bucket's own key alone, see credentials.enabled."
        ),
    ] = "Allowed"
    max_object_size: Annotated[
        ByteSize,
        size_between(1, MAX_OBJECT_SIZE),
        Field(
            description="Largest object that can be stored, as a quantity such as 500Mi. The Region's limit holds as "
            "well.",
            json_schema_extra={"default": "2Gi"},
        ),
    ] = 2 << 30
    quota: Annotated[
        Quota | None,
        Field(description="What the bucket may hold. A write that would exceed it is refused: QuotaExceeded."),
    ] = None
    allowed_content_types: Annotated[
        list[ContentTypePattern] | None,
        Field(
            min_length=1,
            max_length=32,
            description="Content types that objects may have, such as text/plain, image/* or */*+json. Others are "
            "refused: ContentTypeNotAllowed. An object that names none has binary/octet-stream. Default: any.",
        ),
        EachOnce(),
    ] = None
    cors: CorsRules = None
    domains: Domains = None
    deletion_policy: Annotated[
        DeletionPolicy,
        Field(
            description="What happens to the objects when this resource is deleted. Delete: the bucket goes when it is "
            "empty; until then deletion waits, with Ready=False and reason BucketNotEmpty. Retain: the objects stay, "
            "served to nobody, and the name stays taken. Purge: the bucket is closed, and all objects and unfinished "
            "uploads are removed for good, with Ready=False and reason Purging; then it goes."
        ),
    ] = "Delete"
    adopt: Annotated[
        bool,
        Field(
            description="Whether to take over the data that a former Bucket of this namespace left under this S3 name "
            "with deletionPolicy Retain. That of another namespace, a former one of the same name too, is taken over "
            "only when the Region's adoptions name it. Where nothing was retained the bucket is a new one."
        ),
    ] = False
    credentials: Annotated[
        BucketCredentials,
        Field(
            description="The access key that the Bucket brings along.",
            json_schema_extra={"default": {}},
        ),
    ] = BucketCredentials()


class PurgeProgress(Model):
    """How far the removal of a Bucket's objects has come."""

    objects_done: Annotated[Count, Field(description="How many are removed, to about a hundredth of all.")]
    objects_total: Annotated[Count, Field(description="How many there were at the start.")]


class Adopted(Model):
    """Data that a former Bucket left, and that this one has taken over."""

    at: Annotated[Timestamp, Field(description="When it was taken over.")]
    data_id: Annotated[
        str,
        Field(
            max_length=64,
            description="What the data is known by: the UID of the first Bucket that had it.",
        ),
    ]


class BucketStatus(Status):
    """What is known of a Bucket."""

    observed_generation: Annotated[
        int | None, Field(ge=0, description="The metadata.generation that this status was made for.")
    ] = None
    conditions: Annotated[
        Conditions,
        Field(
            description="What is true of the Bucket. Ready: it is there, and every gateway accepted the key in the "
            "Secret; whether gateways are ready now says the Region. Provisioned: the bucket exists. "
            "CredentialsReady: the key works and is delivered. DomainsReady: every name in spec.domains is the "
            "bucket's, and it is Public. Revoked: every gateway refuses every key on it. Rotated and RolledOut: what "
            "somebody has to mend for the key to be rotated, and workloads to be restarted. " + ANNOTATIONS_KNOWN
        ),
    ] = []
    bucket_name: Annotated[BucketName | None, Field(description="S3 name of the bucket, once provisioned.")] = None
    region: Annotated[RegionName | None, Field(description="Name of the Region that holds the bucket.")] = None
    endpoint: Annotated[Endpoint | None, Field(description="URL of the S3 endpoint that serves the bucket.")] = None
    domains: Annotated[
        list[Domain] | None,
        Field(
            max_length=MAX_DOMAINS,
            description="Those of spec.domains that are the bucket's: gateways serve it there, if it is Public.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = None
    objects: Annotated[
        int | None, Field(ge=0, description="How many objects the bucket holds, as of some minutes ago.")
    ] = None
    size: Annotated[
        RoundedSize | None,
        Field(
            description="How many bytes all objects have together, as of some minutes ago: a quantity rounded to three "
            "digits."
        ),
    ] = None
    binding: Annotated[
        Binding | None,
        Field(description="The Secret with the credentials, in the form of the Service Binding specification."),
    ] = None
    adopted: Annotated[
        Adopted | None, Field(description="The data of a former Bucket that was taken over, as spec.adopt says.")
    ] = None
    purge: Annotated[
        PurgeProgress | None,
        Field(description="While the Bucket is being deleted with deletionPolicy Purge: what was removed so far."),
    ] = None


class Bucket(Model):
    """A Bucket is an S3 bucket in a Region. By default it brings along an AccessKey and a Secret of its name."""

    # A status is not part of an update of the rest, so what was provisioned is read from the old object. Adding the
    # field and removing it are changes as well.
    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(oldSelf.status) || !has(oldSelf.status.bucketName) || "
                    "(has(self.spec.bucketName) == has(oldSelf.spec.bucketName) && "
                    "(!has(self.spec.bucketName) || self.spec.bucketName == oldSelf.spec.bucketName))",
                    "message": "cannot be changed, added or removed once the bucket is provisioned",
                    "fieldPath": ".spec.bucketName",
                }
            ]
        }
    )

    plural: ClassVar[str] = "buckets"

    api_version: Literal["cooper.dev/v1alpha1"] = API_VERSION
    kind: Literal["Bucket"] = "Bucket"
    metadata: Metadata
    spec: Annotated[
        BucketSpec,
        Field(description="What the Bucket is to be.", json_schema_extra={"default": {}}),
    ] = BucketSpec()
    status: Annotated[BucketStatus | None, Field(description="What is known of the Bucket.")] = None
