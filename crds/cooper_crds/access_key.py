"""AccessKey: credentials with grants on Buckets."""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from cooper_crds.actions import CREATE_BUCKET, DEFAULT_ACTIONS
from cooper_crds.conditions import ANNOTATIONS_KNOWN, Conditions
from cooper_crds.delivery import DELIVERY_RULE, DeliveryKind, OnceField, SealedKey, check_delivery
from cooper_crds.fields import (
    AccessKeyId,
    ActionSet,
    NamespaceName,
    PrefixSet,
    RegionName,
    ResourceName,
    Timestamp,
    repeated,
    unix_seconds,
)
from cooper_crds.meta import API_VERSION, Binding, Metadata, Model, Status
from cooper_crds.networks import AllowedNetworks
from cooper_crds.rotation import Restart, RotationField
from cooper_crds.secret_keys import KEYS_RULE, SecretKeysField, SecretProfiles, check_keys

#: Most grants of a key. That each names another Bucket is checked in CEL by comparing all with all, which may cost only
#: so much: with the longest names 182 grants would still do.
MAX_GRANTS: Final = 128
_NOTHING: Final = "must have grants or allBuckets"


class BucketRight(Model):
    """What a key may do on one Bucket."""

    bucket: Annotated[ResourceName, Field(description="Name of the Bucket resource (not its S3 name).")]
    namespace: Annotated[
        NamespaceName | None,
        Field(
            description="The Bucket's namespace. In another one than the AccessKey's a BucketGrant has to let this "
            "namespace use the Bucket, and the key may do what both say. Default: the AccessKey's."
        ),
    ] = None
    actions: Annotated[
        ActionSet,
        Field(
            description="What the key may do on that Bucket. Default: read, write, delete and list objects, and ask "
            "for the bucket's location.",
        ),
    ] = list(DEFAULT_ACTIONS)
    prefixes: Annotated[
        PrefixSet | None,
        Field(
            description="Limits the grant to objects whose names begin with one of these, such as reports/ or 2026-. "
            "A listing must ask for a prefix that begins so, and the bucket cannot be deleted. Default: all objects.",
        ),
    ] = None

    def __str__(self) -> str:
        return self.bucket if self.namespace is None else f"{self.namespace}/{self.bucket}"


class EveryBucketRight(Model):
    """What a key may do on every Bucket of its namespace."""

    actions: Annotated[
        ActionSet,
        Field(
            description="What the key may do on each of them. Default: read, write, delete and list objects, and ask "
            "for the bucket's location. With s3:CreateBucket it may make others over S3, where the Region has "
            "features.createBucket: each is a Bucket of this namespace like any other, without a key of its own, and "
            "this key may do there what it may do on all. In grants that action means nothing.",
        ),
    ] = list(DEFAULT_ACTIONS)


class AccessKeySpec(Model):
    """What an AccessKey is to be."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.region) == has(oldSelf.region) && "
                    "(!has(self.region) || self.region == oldSelf.region)",
                    "message": "cannot be changed, added or removed",
                    "fieldPath": ".region",
                },
                {"rule": "has(self.grants) || has(self.allBuckets)", "message": _NOTHING},
                KEYS_RULE,
                DELIVERY_RULE,
            ]
        }
    )

    region: Annotated[
        RegionName | None,
        Field(
            description="Name of the Region that the key is for. Default: the Region marked as the default. Immutable. "
            "A grant on a Bucket in another Region gives Ready=False with reason RegionMismatch."
        ),
    ] = None
    grants: Annotated[
        list[BucketRight] | None,
        Field(
            min_length=1,
            max_length=MAX_GRANTS,
            description="What the key may do, for each Bucket. Each Bucket is named once.",
            json_schema_extra={
                "x-kubernetes-list-type": "atomic",
                "x-kubernetes-validations": [
                    {
                        "rule": "self.all(g, self.exists_one(h, h.bucket == g.bucket && "
                        "has(h.__namespace__) == has(g.__namespace__) && "
                        "(!has(g.__namespace__) || h.__namespace__ == g.__namespace__)))",
                        "message": "must name each bucket once: put all its actions into one grant",
                    }
                ],
            },
        ),
    ] = None
    all_buckets: Annotated[
        EveryBucketRight | None,
        Field(
            description="What the key may do on every Bucket of its namespace in its Region, those to come as well. "
            "What grants give is given besides."
        ),
    ] = None
    state: Annotated[
        Literal["Active", "Revoked"],
        Field(
            description="Revoked stops the key everywhere and then deletes its Secret. Active again issues a new key."
        ),
    ] = "Active"
    expires_at: Annotated[
        Timestamp | None,
        Field(
            description="When the key stops working by itself, as an RFC 3339 time such as 2030-01-31T12:00:00Z. Its "
            "Secret is deleted then. A later time issues a new key."
        ),
    ] = None
    allowed_networks: AllowedNetworks = None
    delivery: DeliveryKind = "Secret"
    once: OnceField = None
    secret_name: Annotated[
        ResourceName | None,
        Field(
            description="Name of the Secret that the key is delivered in, in the AccessKey's namespace. Default: the "
            "AccessKey's name. A Secret of that name that Cooper did not make is left alone: Ready=False with reason "
            "SecretConflict."
        ),
    ] = None
    secret_profiles: SecretProfiles = ["Cooper"]
    secret_keys: SecretKeysField = None
    rotation: RotationField = None
    restart: Restart = None

    @field_validator("grants")
    @classmethod
    def _each_bucket_once(cls, value: list[BucketRight] | None) -> list[BucketRight] | None:
        if twice := repeated([str(grant) for grant in value or ()]):
            raise ValueError(f"names {', '.join(twice)} more than once: put all its actions into one grant")
        return value

    @model_validator(mode="after")
    def _grants_something(self) -> Self:
        if self.grants is None and self.all_buckets is None:
            raise ValueError(_NOTHING)
        return self

    @model_validator(mode="after")
    def _own_keys_are_free(self) -> Self:
        check_keys(self.secret_profiles, self.secret_keys)
        return self

    @model_validator(mode="after")
    def _delivered_in_one_way(self) -> Self:
        check_delivery(self.delivery, self.once)
        return self

    @property
    def recipient(self) -> str | None:
        """The public key that the key is to be sealed to; None: it is to be in a Secret."""
        return self.once.recipient if self.delivery == "Once" and self.once is not None else None

    @property
    def creates_buckets(self) -> bool:
        """Whether the key may have Buckets made in its namespace over S3."""
        return self.all_buckets is not None and CREATE_BUCKET in self.all_buckets.actions

    @property
    def not_after(self) -> float | None:
        """Unix seconds at which the key stops working, or None."""
        return None if self.expires_at is None else unix_seconds(self.expires_at)


class AccessKeyStatus(Status):
    """What is known of an AccessKey."""

    observed_generation: Annotated[
        int | None, Field(ge=0, description="The metadata.generation that this status was made for.")
    ] = None
    conditions: Annotated[
        Conditions,
        Field(
            description="What is true of the AccessKey. Ready: the key works and is delivered. Delivered: the Secret, "
            "or status.once, holds it. Revoked: every gateway refuses it. Rotated: a rotation has ended, or how it "
            "stands. RolledOut: the workloads in restart run with what the Secret holds. " + ANNOTATIONS_KNOWN
        ),
    ] = []
    state: Annotated[
        Literal["Pending", "Active", "Rotating", "Revoked", "Expired"] | None,
        Field(
            description="Pending: the key is being issued. Active: it works. Rotating: another one takes its place. "
            "Revoked, Expired: it works no more."
        ),
    ] = None
    access_key_id: Annotated[
        AccessKeyId | None, Field(description="The key's id: the accessKeyId in the Secret. It is no secret.")
    ] = None
    retiring_access_key_id: Annotated[
        AccessKeyId | None, Field(description="Id of the former key, while it works beside the one in the Secret.")
    ] = None
    retire_at: Annotated[
        Timestamp | None,
        Field(description="When the former key is refused, or later where workloads are still being restarted."),
    ] = None
    last_handled_rotate_at: Annotated[
        str | None,
        Field(
            max_length=64,
            description="What the annotation cooper.dev/rotate-at said when the rotation that it asked for had ended, "
            "and every gateway refused the former key: kubectl wait --for=jsonpath={.status.lastHandledRotateAt}=TIME "
            "waits for that.",
        ),
    ] = None
    next_rotation_at: Annotated[
        Timestamp | None, Field(description="When the key is replaced by a new one, where that is known.")
    ] = None
    rotated_at: Annotated[
        Timestamp | None, Field(description="When the last rotation ended: every gateway refuses the former key.")
    ] = None
    region: Annotated[RegionName | None, Field(description="Name of the Region whose gateways honour the key.")] = None
    secret_name: Annotated[ResourceName | None, Field(description="Name of the Secret that holds the key.")] = None
    once: Annotated[
        SealedKey | None, Field(description="The key, where delivery is Once: for the recipient's eyes only.")
    ] = None
    proven_record: Annotated[
        str | None,
        Field(
            max_length=128,
            description="Version of the key's record that every gateway worker was last seen to follow. When the "
            "record is at another one, the workers are asked again.",
        ),
    ] = None
    binding: Annotated[
        Binding | None,
        Field(description="The Secret with the credentials, in the form of the Service Binding specification."),
    ] = None


class AccessKey(Model):
    """An AccessKey is a pair of S3 credentials with grants on one or several Buckets, delivered in a Secret."""

    plural: ClassVar[str] = "accesskeys"

    api_version: Literal["cooper.dev/v1alpha1"] = API_VERSION
    kind: Literal["AccessKey"] = "AccessKey"
    metadata: Metadata
    spec: Annotated[AccessKeySpec, Field(description="What the AccessKey is to be.")]
    status: Annotated[AccessKeyStatus | None, Field(description="What is known of the AccessKey.")] = None
