"""Every operation Cooper serves, one row each: what selects it, and the action it needs. What is not here is denied."""

from dataclasses import dataclass
from typing import Final, Literal

from cooper_crds.actions import (
    DELETE_BUCKET,
    DELETE_OBJECT,
    GET_BUCKET_LOCATION,
    GET_OBJECT,
    LIST_BUCKET,
    OPERATE,
    PUT_OBJECT,
)

Scope = Literal["service", "bucket", "object"]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `selector` names the query parameters that must be there (`name` or `name=value`)."""

    operation: str
    method: str
    scope: Scope
    action: str | None  # None: any valid key
    selector: tuple[str, ...] = ()
    header: str | None = None  # a header that must be there


ROUTES: Final = (
    Route("ListBuckets", "GET", "service", None),
    Route("ListIntents", "GET", "service", OPERATE, ("x-cooper-intents",)),
    Route("HeadBucket", "HEAD", "bucket", LIST_BUCKET),
    Route("DeleteBucket", "DELETE", "bucket", DELETE_BUCKET),
    Route("GetBucketLocation", "GET", "bucket", GET_BUCKET_LOCATION, ("location",)),
    Route("ListObjectsV2", "GET", "bucket", LIST_BUCKET, ("list-type=2",)),
    Route("ListObjects", "GET", "bucket", LIST_BUCKET),
    Route("ListMultipartUploads", "GET", "bucket", LIST_BUCKET, ("uploads",)),
    Route("DeleteObjects", "POST", "bucket", DELETE_OBJECT, ("delete",)),
    Route("GetUsage", "GET", "bucket", OPERATE, ("x-cooper-usage",)),
    Route("CloseBucket", "POST", "bucket", OPERATE, ("x-cooper-close",)),
    Route("ReopenBucket", "POST", "bucket", OPERATE, ("x-cooper-reopen",)),
    Route("DestroyBucket", "POST", "bucket", OPERATE, ("x-cooper-destroy",)),
    Route("GetObject", "GET", "object", GET_OBJECT),
    Route("HeadObject", "HEAD", "object", GET_OBJECT),
    Route("PutObject", "PUT", "object", PUT_OBJECT),
    Route("CopyObject", "PUT", "object", PUT_OBJECT, header="x-amz-copy-source"),
    Route("DeleteObject", "DELETE", "object", DELETE_OBJECT),
    Route("CreateMultipartUpload", "POST", "object", PUT_OBJECT, ("uploads",)),
    Route("UploadPart", "PUT", "object", PUT_OBJECT, ("partNumber", "uploadId")),
    Route("UploadPartCopy", "PUT", "object", PUT_OBJECT, ("partNumber", "uploadId"), "x-amz-copy-source"),
    Route("CompleteMultipartUpload", "POST", "object", PUT_OBJECT, ("uploadId",)),
    Route("AbortMultipartUpload", "DELETE", "object", PUT_OBJECT, ("uploadId",)),
    Route("ListParts", "GET", "object", LIST_BUCKET, ("uploadId",)),
)
