"""BucketGrant: lets AccessKeys of other namespaces use Buckets of its own."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from cooper_crds.actions import DEFAULT_ACTIONS
from cooper_crds.conditions import ANNOTATIONS_KNOWN, Conditions
from cooper_crds.fields import EachOnce, NamespaceName, PrefixSet, ResourceName, SharedActionSet
from cooper_crds.meta import API_VERSION, Metadata, Model, Status

#: Most namespaces that are let in, and Buckets that are named.
MAX_NAMESPACES: Final = 64
MAX_BUCKETS: Final = 128
#: Longest text of a column: one name, however long, and how many more there are.
_MAX_SHORT: Final = 300


class Grantee(Model):
    """Whom Buckets are granted to."""

    namespace: Annotated[
        NamespaceName,
        Field(description="Namespace whose AccessKeys may name the Buckets. It is known by its name alone."),
    ]


class BucketGrantSpec(Model):
    """What a BucketGrant lets happen."""

    from_: Annotated[
        list[Grantee],
        Field(
            alias="from",
            min_length=1,
            max_length=MAX_NAMESPACES,
            description="Whom the Buckets are granted to.",
        ),
        EachOnce(by=("namespace",)),
    ]
    buckets: Annotated[
        list[ResourceName] | None,
        Field(
            min_length=1,
            max_length=MAX_BUCKETS,
            description="Names of the Bucket resources (not their S3 names), in the BucketGrant's namespace. Default: "
            "all of them, those to come as well.",
        ),
        EachOnce(),
    ] = None
    actions: Annotated[
        SharedActionSet,
        Field(
            description="What AccessKeys may do there at most: of what they ask for they get what is in here too. "
            "Default: read, write, delete and list objects, and ask for the bucket's location.",
        ),
    ] = list(DEFAULT_ACTIONS)
    prefixes: Annotated[
        PrefixSet | None,
        Field(description="Limits the grant to objects whose names begin with one of these. Default: all objects."),
    ] = None

    def lets_in(self, namespace: str) -> bool:
        """Whether AccessKeys of that namespace may name Buckets here."""
        return any(each.namespace == namespace for each in self.from_)

    def is_on(self, bucket: str) -> bool:
        """Whether it is about the Bucket of that name."""
        return self.buckets is None or bucket in self.buckets


class BucketGrantStatus(Status):
    """What is known of a BucketGrant."""

    observed_generation: Annotated[
        int | None, Field(ge=0, description="The metadata.generation that this status was made for.")
    ] = None
    conditions: Annotated[
        Conditions,
        Field(
            description="What is true of the BucketGrant. Ready: it is in force, and the Buckets it names are there. "
            + ANNOTATIONS_KNOWN
        ),
    ] = []
    namespaces: Annotated[
        str | None,
        Field(
            max_length=_MAX_SHORT,
            description="Whom the Buckets are granted to, in short: some names, and how many more.",
        ),
    ] = None
    buckets: Annotated[
        str | None,
        Field(max_length=_MAX_SHORT, description="The Buckets, in short: all, or some names and how many more."),
    ] = None


class BucketGrant(Model):
    """A BucketGrant lets AccessKeys of other namespaces use Buckets of its own. Deleting it takes that away at once."""

    plural: ClassVar[str] = "bucketgrants"

    api_version: Literal["cooper.dev/v1alpha1"] = API_VERSION
    kind: Literal["BucketGrant"] = "BucketGrant"
    metadata: Metadata
    spec: Annotated[BucketGrantSpec, Field(description="What the BucketGrant lets happen.")]
    status: Annotated[BucketGrantStatus | None, Field(description="What is known of the BucketGrant.")] = None
