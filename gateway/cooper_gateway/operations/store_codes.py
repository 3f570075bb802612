"""From what a store can say to S3's codes: one table."""

from typing import Final

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.storage.port import (
    BucketClosed,
    BucketNotEmpty,
    ConditionFailed,
    Damaged,
    EntityTooSmall,
    InvalidPart,
    NameAskedFor,
    NoSuchName,
    NoSuchUpload,
    Overloaded,
    Refused,
    StoreError,
    StoreFailed,
    StoreFull,
)

#: A store's fact -> S3's code. `Refused` carries its own.
STORE_CODES: Final[dict[type[StoreError], str]] = {
    NoSuchName: "NoSuchKey",
    NoSuchUpload: "NoSuchUpload",
    InvalidPart: "InvalidPart",
    EntityTooSmall: "EntityTooSmall",
    ConditionFailed: "PreconditionFailed",
    BucketClosed: "NoSuchBucket",
    BucketNotEmpty: "BucketNotEmpty",
    NameAskedFor: "OperationAborted",
    Overloaded: "SlowDown",
    StoreFull: "StorageFull",
    StoreFailed: "InternalError",
    Damaged: "InternalError",
}


def code_of(error: Exception) -> str:
    """S3's code of what was raised; InternalError where that is no fact of a store."""
    if isinstance(error, Refused):
        return error.code
    return STORE_CODES.get(type(error), "InternalError") if isinstance(error, StoreError) else "InternalError"


def is_fault(error: Exception) -> bool:
    """Whether this is Cooper's or its disk's fault, and belongs in the log."""
    return not isinstance(error, (S3Error, StoreError)) or isinstance(error, (StoreFailed, Damaged, StoreFull))
