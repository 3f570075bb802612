"""Every operation Cooper serves, one row each: what selects it, and the action it needs. What is not here is denied."""

from collections.abc import Mapping
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
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request

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
    Route("ListWishes", "GET", "service", OPERATE, ("x-cooper-wishes",)),
    Route("SettleWish", "POST", "service", OPERATE, ("x-cooper-settle",)),
    Route("HeadBucket", "HEAD", "bucket", LIST_BUCKET),
    # Who may create one its handler decides: those who have it are told so.
    Route("CreateBucket", "PUT", "bucket", None),
    Route("DeleteBucket", "DELETE", "bucket", DELETE_BUCKET),
    Route("GetBucketLocation", "GET", "bucket", GET_BUCKET_LOCATION, ("location",)),
    Route("ListObjectsV2", "GET", "bucket", LIST_BUCKET, ("list-type=2",)),
    Route("ListObjects", "GET", "bucket", LIST_BUCKET),
    Route("ListMultipartUploads", "GET", "bucket", LIST_BUCKET, ("uploads",)),
    Route("PostObject", "POST", "bucket", PUT_OBJECT),
    Route("DeleteObjects", "POST", "bucket", DELETE_OBJECT, ("delete",)),
    Route("GetUsage", "GET", "bucket", OPERATE, ("x-cooper-usage",)),
    Route("CloseBucket", "POST", "bucket", OPERATE, ("x-cooper-close",)),
    Route("ReopenBucket", "POST", "bucket", OPERATE, ("x-cooper-reopen",)),
    Route("DestroyBucket", "POST", "bucket", OPERATE, ("x-cooper-destroy",)),
    Route("PurgeBucket", "POST", "bucket", OPERATE, ("x-cooper-purge",)),
    Route("GetObject", "GET", "object", GET_OBJECT),
    Route("HeadObject", "HEAD", "object", GET_OBJECT),
    Route("GetObjectAttributes", "GET", "object", GET_OBJECT, ("attributes",)),
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


#: Sub-resources of S3 that Cooper does not serve. Most are asked for by name alone (`?acl`), some with a value.
NOT_SERVED: Final = frozenset(
    {
        "abac", "accelerate", "acl", "analytics", "annotation", "cors", "encryption",
        "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "logging", "metadataAnnotationTable",
        "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable", "metadataTable", "metrics",
        "notification", "object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock",
        "renameObject", "replication", "requestPayment", "restore", "retention", "select", "select-type",
        "session", "tagging", "torrent", "versioning", "versions", "website",
    }
)  # fmt: skip

_RESPONSE_OVERRIDES: Final = (
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
)
_LIST: Final = ("prefix", "delimiter", "encoding-type")
#: Query parameters that an operation reads besides its selectors.
PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "ListBuckets": ("prefix", "max-buckets", "continuation-token", "bucket-region"),
    "ListIntents": (),
    "ListWishes": (),
    "SettleWish": (),
    "HeadBucket": (),
    "CreateBucket": (),
    "DeleteBucket": (),
    "GetBucketLocation": (),
    "ListObjectsV2": (*_LIST, "max-keys", "start-after", "continuation-token", "fetch-owner"),
    "ListObjects": (*_LIST, "max-keys", "marker"),
    "ListMultipartUploads": (*_LIST, "max-uploads", "key-marker", "upload-id-marker"),
    "PostObject": (),
    "DeleteObjects": (),
    "GetUsage": (),
    "CloseBucket": (),
    "ReopenBucket": (),
    "DestroyBucket": (),
    "PurgeBucket": (),
    "GetObject": ("partNumber", *_RESPONSE_OVERRIDES),
    "HeadObject": ("partNumber", *_RESPONSE_OVERRIDES),
    "GetObjectAttributes": (),
    "PutObject": (),
    "CopyObject": (),
    "DeleteObject": (),
    "CreateMultipartUpload": (),
    "UploadPart": (),
    "UploadPartCopy": (),
    "CompleteMultipartUpload": (),
    "AbortMultipartUpload": (),
    "ListParts": ("max-parts", "part-number-marker", "encoding-type"),
}

#: Request headers that would promise what is not done. What S3 merely prefers (ACLs, storage classes) is ignored.
_PROMISES: Final = {
    "x-amz-server-side-encryption-customer-algorithm": "encryption with keys of the customer (SSE-C)",
    "x-amz-server-side-encryption-customer-key": "encryption with keys of the customer (SSE-C)",
    "x-amz-copy-source-server-side-encryption-customer-algorithm": "encryption with keys of the customer (SSE-C)",
    "x-amz-copy-source-server-side-encryption-customer-key": "encryption with keys of the customer (SSE-C)",
    "x-amz-server-side-encryption-aws-kms-key-id": "encryption with KMS keys",
    "x-amz-object-lock-mode": "object lock",
    "x-amz-object-lock-retain-until-date": "object lock",
    "x-amz-object-lock-legal-hold": "object lock",
    "x-amz-tagging": "object tagging",
    "x-amz-website-redirect-location": "redirects of websites",
    "x-amz-write-offset-bytes": "appending to objects",
    "x-amz-if-match-size": "deleting on conditions",
    "x-amz-if-match-last-modified-time": "deleting on conditions",
}

_METHODS: Final = ("GET", "HEAD", "PUT", "POST", "DELETE")
_READS: Final = frozenset({"GET", "HEAD"})


def _indexed() -> dict[tuple[str, str], tuple[Route, ...]]:
    """Rows by method and scope; those that ask for more come first, so that the first that fits is the right one."""
    index: dict[tuple[str, str], list[Route]] = {}
    for route in ROUTES:
        index.setdefault((route.method, route.scope), []).append(route)
    return {
        place: tuple(sorted(rows, key=lambda row: (-len(row.selector), row.header is None)))
        for place, rows in index.items()
    }


_INDEX: Final = _indexed()
_ALLOWED: Final = {
    route: frozenset(part.partition("=")[0] for part in route.selector) | set(PARAMETERS[route.operation]) | {"x-id"}
    for route in ROUTES
}
#: Every parameter that means something somewhere: in the wrong place it is refused rather than overlooked.
_MEANINGFUL: Final = NOT_SERVED.union(*_ALLOWED.values())


def match(request: Request) -> Route:
    """The one row that serves a request. Raises S3Error NotImplemented or MethodNotAllowed when there is none.

    Call it after `parse_target`.
    """
    scope = _scope(request)
    rows = _INDEX.get((request.method, scope))
    if not request.headers.keys().isdisjoint(_PROMISES):
        refuse_promises(request.headers)
    for route in rows or ():
        if _fits(route, request):
            if request.query:
                _judge_parameters(route, request.query)
            return route
    raise no_route(request)


def place(route: Route, request: Request) -> bytes | None:
    """What of a bucket a request is about: an object, the prefix of a listing, or (empty) all that is in it. None: the
    bucket by itself, or objects that only the body names."""
    if request.name is not None:
        return request.name
    if "prefix" in PARAMETERS[route.operation]:
        return request.query.get("prefix", "").encode()
    return b"" if route.action == DELETE_BUCKET else None


def _fits(route: Route, request: Request) -> bool:
    if route.header is not None and route.header not in request.headers:
        return False
    for selector in route.selector:
        name, equals, value = selector.partition("=")
        if name not in request.query or (equals and request.query[name] != value):
            return False
    return True


def _judge_parameters(route: Route, query: dict[str, str]) -> None:
    """Refuse a parameter that asks for something else than this operation does.

    S3 ignores parameters it does not know. A read may carry such ones (`?v=3` against caches); a write may not:
    storing the body of a sub-resource that is not known yet as an object would be wrong.
    """
    allowed = _ALLOWED[route]
    for name, value in query.items():
        if name in allowed or name[:6].lower() == "x-amz-" or (name == "versionId" and value == "null"):
            continue
        if name == "versionId":
            raise S3Error("NotImplemented", "There are no object versions here; leave out versionId.")
        if route.method not in _READS or not value or name in _MEANINGFUL:
            raise S3Error("NotImplemented", f"Cooper does not implement ?{name:.64} for {route.operation}.")


def refuse_promises(headers: Mapping[str, str]) -> None:
    """Raise S3Error NotImplemented where headers, or the fields of a form, ask for what is not done."""
    for name, feature in _PROMISES.items():
        if headers.get(name):
            raise S3Error("NotImplemented", f"Cooper does not implement {feature}; leave out {name}.")


def _scope(request: Request) -> Scope:
    return "service" if request.bucket is None else "bucket" if request.name is None else "object"


def no_route(request: Request) -> S3Error:
    """The answer to a request that no row serves. Call it after `parse_target`."""
    scope = _scope(request)
    if request.method in _METHODS:
        unserved = next((name for name in request.query if name in _MEANINGFUL), None)
        if unserved is not None:
            return S3Error("NotImplemented", f"Cooper does not implement {request.method} ?{unserved}.")
    allowed = ", ".join(method for method in _METHODS if (method, scope) in _INDEX)
    return S3Error("MethodNotAllowed", f"That method is not allowed here; allowed are {allowed}.", Allow=allowed)
