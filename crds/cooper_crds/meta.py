"""What all resources have in common: the base of their models and the metadata that Kubernetes gives them."""

from typing import Annotated, Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from cooper_crds.fields import NamespaceName, RegionName, ResourceName, Timestamp
from cooper_crds.labels import Annotations, Finalizers, Labels

API_VERSION: Final = "cooper.dev/v1alpha1"
DEFAULT_NAMESPACE: Final = "default"

#: Annotation that says how a deletion stands, where deletions can be called off (in a folder, not on Kubernetes).
#: Only Cooper writes it.
DELETION: Final = "cooper.dev/deletion"
#: What is irrevocable begins: the deletion can no longer be called off.
DELETION_FINAL: Final = "final"
#: The deletion was called off, and what it had begun is yet to be undone.
DELETION_RECALLED: Final = "recalled"

#: Annotation of a Bucket that a client asked for over S3: id of the key that it was asked for with. Only Cooper writes
#: it; nothing is granted by it.
CREATED_BY: Final = "cooper.dev/created-by-key"


class Model(BaseModel):
    """Base of a spec: camelCase in manifests, no conversion of types, nothing that is not known."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        # "nulls for fields that either don't have the nullable flag, or have it explicitly set to false, will be pruned
        # before defaulting happens" (Kubernetes, CustomResourceDefinitions). What is not known is refused all the same.
        if not isinstance(value, dict):
            return value
        known = {*cls.model_fields, *(field.alias for field in cls.model_fields.values())}
        given = cast(dict[Any, Any], value)
        return {name: found for name, found in given.items() if found is not None or name not in known}


class Status(Model):
    """Base of a status: fields of a newer version are passed over, since status is never memory."""

    model_config = ConfigDict(extra="ignore")


class OwnerReference(Model):
    """The object that another belongs to, and is garbage-collected with. API servers set no limits to its fields."""

    model_config = ConfigDict(extra="ignore")

    api_version: Annotated[str, Field(min_length=1)]
    kind: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    uid: Annotated[str, Field(min_length=1)]
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMetadata(Model):
    """Kubernetes' ObjectMeta, as far as Cooper reads it."""

    model_config = ConfigDict(extra="ignore")

    name: ResourceName
    uid: Annotated[str, Field(max_length=128)] = ""
    generation: int = 0
    resource_version: Annotated[str, Field(max_length=128)] = ""
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    labels: Labels = {}
    annotations: Annotations = {}
    finalizers: Finalizers = []
    owner_references: Annotated[list[OwnerReference], Field(max_length=256)] = []


class Metadata(ObjectMetadata):
    """Metadata of a resource in a namespace."""

    namespace: NamespaceName = DEFAULT_NAMESPACE


class ClusterMetadata(ObjectMetadata):
    """Metadata of a resource that belongs to no namespace. Its name is short enough for the value of a label."""

    name: RegionName

    @property
    def namespace(self) -> str:
        """Always empty."""
        return ""


class Binding(Status):
    """Names a Secret, as the Service Binding specification wants it."""

    name: Annotated[ResourceName, Field(description="Name of the Secret with the credentials.")]
