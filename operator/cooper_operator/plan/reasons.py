"""Every reason that a condition or an event can bear, with what to do about it. The docs' table is made from this."""

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One word that programs compare, and the advice for people. A Warning needs somebody to do something."""

    name: str
    severity: Severity
    advice: str


REASONS: Final[dict[str, Reason]] = {}


def _normal(name: str, advice: str) -> Reason:
    return _add(Reason(name, "Normal", advice))


def _warning(name: str, advice: str) -> Reason:
    return _add(Reason(name, "Warning", advice))


def _add(reason: Reason) -> Reason:
    if reason.name in REASONS:
        raise ValueError(f"the reason {reason.name} is there twice")
    REASONS[reason.name] = reason
    return reason


# All is well
SETTINGS_RECORDED = _normal("SettingsRecorded", "Nothing to do: the gateways have the Region's settings.")
PROVISIONED = _normal("Provisioned", "Nothing to do: the bucket's S3 name is claimed and its settings are recorded.")
CREDENTIALS_WORK = _normal("CredentialsWork", "Nothing to do: the bucket's credentials are delivered and work.")
CREDENTIALS_DISABLED = _normal(
    "CredentialsDisabled", "The bucket makes no credentials, as spec.credentials.enabled says; use an AccessKey."
)
BUCKET_SERVED = _normal("BucketServed", "Nothing to do: the bucket is served.")
KEY_WORKS = _normal("KeyWorks", "Nothing to do: every worker of every gateway accepts the key.")
DELIVERED = _normal("Delivered", "Nothing to do: the Secret holds a key that works.")
KEY_ACTIVE = _normal("KeyActive", "The key is in use; to revoke it set spec.state to Revoked.")
REVOKED = _normal("Revoked", "To use the AccessKey again set spec.state to Active; a new key is issued then.")
EXPIRED = _normal("Expired", "To use the AccessKey again set a later spec.expiresAt; a new key is issued then.")
REFUSED_EVERYWHERE = _normal("RefusedEverywhere", "Nothing to do: every worker of every gateway refuses the key.")
NEVER_ISSUED = _normal("NeverIssued", "Nothing to do: no key was ever issued, so none can be used.")
API_ACCESS_REVOKED = _normal(
    "ApiAccessRevoked",
    "Every key is refused on the bucket with KeyAccessRevoked. To allow access again set spec.apiAccess to Allowed.",
)
API_ACCESS_ALLOWED = _normal(
    "ApiAccessAllowed", "Nothing to do: keys are served on the bucket; to refuse all of them set spec.apiAccess."
)
DELETING = _normal("Deleting", "Wait: the deletion goes on by itself.")
DELETED_OVER_S3 = _normal("DeletedOverS3", "A client deleted the bucket over S3, and its key was allowed to.")

# Waiting for something that comes by itself
WAITING_FOR_GATEWAYS = _normal(
    "WaitingForGateways",
    "Wait: not every worker of every gateway has answered yet. The message names who is waited for; when it does not "
    "change look whether that gateway runs.",
)
WAITING_FOR_ACCESS_KEY = _normal("WaitingForAccessKey", "Wait: the bucket's AccessKey is not ready; look at it.")
NOT_ISSUED = _normal("NotIssued", "See the condition Ready for what the key waits for.")
NOT_PROVISIONED = _normal("NotProvisioned", "See the condition Ready for what the bucket waits for.")

# Somebody has to do something
REGION_NOT_FOUND = _warning(
    "RegionNotFound", "Create the Region that the message names, or name one that is there in spec.region."
)
DEFAULT_REGION_AMBIGUOUS = _warning(
    "DefaultRegionAmbiguous", "Leave spec.default true on one Region only, or name a Region in spec.region."
)
ENDPOINT_UNKNOWN = _warning("EndpointUnknown", "Set spec.endpoints.internal of the Region: credentials need it.")
REGION_CHANGED = _warning("RegionChanged", "Set spec.region back: the data lies in the Region that the message names.")
INVALID_BUCKET_NAME = _warning(
    "InvalidBucketName", "Set spec.bucketName to a valid S3 bucket name, or change the Region's bucketNameTemplate."
)
BUCKET_NAME_CHANGED = _warning(
    "BucketNameChanged", "Set spec.bucketName back: the S3 name of a bucket cannot be changed; make a new Bucket."
)
NAME_TAKEN = _warning("NameTaken", "Choose another spec.bucketName: this S3 name belongs to another Bucket.")
ACCESS_KEY_CONFLICT = _warning(
    "AccessKeyConflict",
    "Rename or delete the AccessKey of the bucket's name, which is not the bucket's, or set spec.credentials.enabled "
    "to false.",
)
ACCESS_KEY_REFUSED = _warning("AccessKeyRefused", "The cluster refused the bucket's AccessKey; the message says why.")
SECRET_CONFLICT = _warning(
    "SecretConflict",
    "Delete or rename the Secret of that name, which Cooper did not make, or set another secretName.",
)
SECRET_REFUSED = _warning(
    "SecretRefused",
    "The cluster refused the Secret; the message says why. Another secretName may help.",
)
BUCKET_NOT_FOUND = _warning("BucketNotFound", "Create the Bucket that the message names, or take its grant away.")
BUCKET_NOT_READY = _warning(
    "BucketNotReady", "The Bucket that the message names is not provisioned: look at its condition Ready."
)
REGION_MISMATCH = _warning(
    "RegionMismatch", "An AccessKey serves one Region: make another AccessKey in the Region of that Bucket."
)
BUCKET_NOT_EMPTY = _warning(
    "BucketNotEmpty",
    "Delete the bucket's objects, or set spec.deletionPolicy to Retain to keep them without the Bucket. Its keys work "
    "until then.",
)
GATEWAY_UNAVAILABLE = _warning(
    "GatewayUnavailable", "Look whether the Region's gateway runs and can be reached; it is tried again by itself."
)
RECORD_UNREADABLE = _warning(
    "RecordUnreadable",
    "Gateways refuse what the record allowed. Put it back from a backup, or delete it: the record of a resource that "
    "is there is made anew, a key's with a new key.",
)
RECORD_REBUILT = _warning(
    "RecordRebuilt",
    "Look for what damaged it. Of a key: programs that read the Secret only when they start have to be started again.",
)
INVALID_RESOURCE = _warning("InvalidResource", "Correct the fields that the message names.")
DELETE_NOT_AUTHORIZED = _warning(
    "DeleteNotAuthorized", "A client asked for the bucket's deletion over S3 with a key that may not: it was reopened."
)
SWEEP_HALTED = _warning(
    "SweepHalted",
    "Unusually many records have no resource any more, or cannot be read; none was touched. Restore what was lost; if "
    "it was meant to go, delete the records.",
)
