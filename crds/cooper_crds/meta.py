"""What all resources have in common: the base of their models and the metadata that Kubernetes gives them."""

from typing import Annotated, Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from cooper_crds.fields import NamespaceName, RegionName, ResourceName, Timestamp

API_VERSION: Final = "cooper.dev/v1alpha1"
DEFAULT_NAMESPACE: Final = "default"

#: Annotation that says how a deletion stands, where deletions can be called off (in a folder, not on Kubernetes).
#: Only Cooper writes it.
DELETION: Final = "cooper.dev/deletion"
#: What is irrevocable begins: the deletion can no longer be called off.
DELETION_FINAL: Final = "final"
#: The deletion was called off, and what it had begun is yet to be undone.
DELETION_RECALLED: Final = "recalled"

#: "The total size of annotations must not exceed 256 KiB" (Kubernetes, ObjectMeta validation).
MAX_ANNOTATIONS_BYTES: Final = 256 << 10


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
        # before defaulting happens" (Kubernetes, CustomResourceDefinitions)
        if not isinstance(value, dict):
            return value
        return {name: given for name, given in cast(dict[Any, Any], value).items() if given is not None}


class Status(Model):
    """Base of a status: fields of a newer version are passed over, since status is never memory."""

    model_config = ConfigDict(extra="ignore")


class OwnerReference(Model):
    """The object that another belongs to, and is garbage-collected with."""

    model_config = ConfigDict(extra="ignore")

    api_version: Annotated[str, Field(max_length=317)]
    kind: Annotated[str, Field(max_length=63)]
    name: Annotated[str, Field(max_length=253)]
    uid: Annotated[str, Field(max_length=128)]
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
    labels: Annotated[dict[str, str], Field(max_length=1024)] = {}
    annotations: Annotated[dict[str, str], Field(max_length=1024)] = {}
    finalizers: Annotated[list[Annotated[str, Field(max_length=317)]], Field(max_length=256)] = []
    owner_references: Annotated[list[OwnerReference], Field(max_length=256)] = []

    @field_validator("annotations")
    @classmethod
    def _bounded(cls, value: dict[str, str]) -> dict[str, str]:
        if sum(len(key.encode()) + len(text.encode()) for key, text in value.items()) > MAX_ANNOTATIONS_BYTES:
            raise ValueError("must not exceed 256 KiB in total")
        return value


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
