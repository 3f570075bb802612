"""S3 errors: one table of codes with their HTTP status and default message. Rendering is `http/errors.py`'s."""

from collections.abc import Mapping
from typing import Final

#: code -> (HTTP status, what a user should know). The usual codes are from the S3 API Reference, "Error responses".
CODES: Final[dict[str, tuple[int, str]]] = {
    "AccessDenied": (403, "Access denied."),
    "AccessForbidden": (403, "CORSResponse: This CORS request is not allowed."),
    "AuthorizationHeaderMalformed": (400, "The Authorization header is malformed."),
    "AuthorizationQueryParametersError": (400, "The signature parameters in the query are malformed."),
    "BadDigest": (400, "The digest that you sent does not match the body that arrived."),
    "BucketAlreadyExists": (
        409,
        "That bucket name is taken, by somebody else, by a bucket that this key may not use, or by data that was "
        "retained. Choose another.",
    ),
    "BucketAlreadyOwnedByYou": (409, "The bucket is there, and this access key has grants on it."),
    "BucketNotEmpty": (409, "The bucket still holds objects. Delete them first."),
    "ContentTypeNotAllowed": (415, "This bucket does not take objects of that content type."),
    "EntityTooLarge": (413, "The object is larger than this bucket allows."),
    "EntityTooSmall": (400, "Every part but the last must have at least 5 MiB."),
    "ExpiredToken": (400, "The access key has expired."),
    "IllegalLocationConstraintException": (400, "The LocationConstraint is not this region."),
    "IncompleteBody": (400, "The body ended before the number of bytes that Content-Length declared."),
    "InternalError": (500, "Something went wrong inside. Try again."),
    "InvalidAccessKeyId": (403, "No access key of that id exists here."),
    "InvalidArgument": (400, "An argument is invalid."),
    "InvalidBucketName": (400, "The bucket name is not valid."),
    "InvalidChunkSizeError": (
        403,
        "The chunks of the aws-chunked body are too small: all but the last one should have 8 KiB or more.",
    ),
    "InvalidDigest": (400, "The Content-MD5 or checksum that you sent is not valid."),
    "InvalidLocationConstraint": (400, "The LocationConstraint is no region's name."),
    "InvalidPart": (400, "A part could not be found, or its ETag does not match."),
    "InvalidPartNumber": (416, "The object has no part of that number."),
    "InvalidPartOrder": (400, "Parts must be listed in ascending order of their numbers."),
    "InvalidPolicyDocument": (400, "The form's policy cannot be read."),
    "InvalidRange": (416, "The range cannot be satisfied."),
    "InvalidRequest": (400, "The request is invalid."),
    "InvalidToken": (
        400,
        "There are no temporary credentials here: leave out the session token (AWS_SESSION_TOKEN).",
    ),
    "InvalidURI": (400, "The path could not be understood."),
    "KeyAccessRevoked": (403, "Access by this key, or API access to this bucket, has been revoked."),
    "KeyTooLongError": (400, "The object key is longer than 1,024 bytes."),
    "MalformedPOSTRequest": (400, "The body is not well-formed multipart/form-data."),
    "MalformedXML": (400, "The XML that you sent is not well formed or not what this operation expects."),
    "MaxPostPreDataLengthExceededError": (400, "The form's fields before its file are larger than 20 KiB."),
    "MetadataTooLarge": (400, "The x-amz-meta-* headers are larger in total than this region allows."),
    "MethodNotAllowed": (405, "That method is not allowed on this resource."),
    "MissingContentLength": (411, "Content-Length is required."),
    "MissingSecurityHeader": (400, "A required header is missing."),
    "NetworkNotAllowed": (
        403,
        "The access key may not be used from this address: see allowedNetworks of its AccessKey.",
    ),
    "NoSuchBucket": (404, "No such bucket."),
    "NoSuchKey": (404, "No such key."),
    "NoSuchUpload": (404, "No such multipart upload: it never was, was aborted, or is complete."),
    "NotImplemented": (501, "Cooper does not implement that."),
    "OperationAborted": (409, "Another request for a bucket of that name is being decided. Try again."),
    "PreconditionFailed": (412, "A precondition did not hold."),
    "QuotaExceeded": (403, "The bucket's quota would be exceeded. Delete objects, or have the Bucket's quota raised."),
    "RequestHeaderSectionTooLarge": (431, "The header section is larger than 16 KiB."),
    "RequestTimeTooSkewed": (403, "The request's time and this server's differ by more than 15 minutes."),
    "RequestTimeout": (408, "The body did not arrive in time."),
    "ServiceUnavailable": (503, "The gateway cannot answer right now. Try again."),
    "SignatureDoesNotMatch": (
        403,
        "The signature does not match. Check the secret key, the region, and that no proxy changes the request.",
    ),
    "SlowDown": (503, "Too many requests at once. Try again a little later."),
    "StorageFull": (507, "The gateway's disk is full; nothing of this request was stored."),
    "TooManyBuckets": (
        400,
        "The namespace has as many buckets as the region lets it have for another to be created over S3.",
    ),
    "XAmzContentChecksumMismatch": (400, "The checksum that you sent does not match the body that arrived."),
    "XAmzContentSHA256Mismatch": (400, "The x-amz-content-sha256 that you sent does not match the body that arrived."),
}


class S3Error(Exception):
    """A request that ends in an error: a code of the table, and a message that says what to do."""

    def __init__(
        self, code: str, message: str | None = None, details: Mapping[str, str] | None = None, /, **headers: str
    ) -> None:
        """`details`: elements of S3's own that tell more, such as Key or Condition."""
        status, default = CODES[code]
        super().__init__(message or default)
        self.code = code
        self.status = status
        self.message = message or default
        self.details = dict(details or {})
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
