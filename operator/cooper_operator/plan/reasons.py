"""Every reason that a condition or an event can bear, with what to do about it. docs/troubleshooting.md shows them."""

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One word that programs compare; for people when it is given, and what to do. A Warning needs somebody to act."""

    name: str
    severity: Severity
    when: str
    advice: str


REASONS: Final[dict[str, Reason]] = {}


def _normal(name: str, when: str, advice: str) -> Reason:
    return _add(Reason(name, "Normal", when, advice))


def _warning(name: str, when: str, advice: str) -> Reason:
    return _add(Reason(name, "Warning", when, advice))


def _add(reason: Reason) -> Reason:
    if reason.name in REASONS:
        raise ValueError(f"the reason {reason.name} is there twice")
    REASONS[reason.name] = reason
    return reason


# All is well
SETTINGS_RECORDED = _normal(
    "SettingsRecorded",
    "The Region's settings are in its record, and gateways that are ready go by them.",
    "Nothing to do: how many gateways there are, and are ready, says the condition GatewaysReady.",
)
GATEWAYS_READY = _normal(
    "GatewaysReady",
    "Every gateway of the Region that is there is ready, and goes by its settings.",
    "Nothing to do: all gateways that are there are ready.",
)
PROVISIONED = _normal(
    "Provisioned",
    "The bucket's S3 name is claimed and its record is there.",
    "Nothing to do: the bucket's S3 name is claimed and its settings are recorded.",
)
CREDENTIALS_WORK = _normal(
    "CredentialsWork",
    "The bucket's AccessKey is delivered and works.",
    "Nothing to do: the bucket's credentials are delivered and work.",
)
CREDENTIALS_DISABLED = _normal(
    "CredentialsDisabled",
    "`spec.credentials.enabled` of the Bucket is false.",
    "The bucket makes no credentials, as spec.credentials.enabled says; use an AccessKey.",
)
BUCKET_SERVED = _normal(
    "BucketServed",
    "The bucket is there, and every gateway accepted its key if it has one.",
    "Nothing to do. Whether gateways are ready at this moment says the condition GatewaysReady of the Region.",
)
KEY_WORKS = _normal(
    "KeyWorks",
    "Every worker of every gateway accepted the key, and the Secret holds it.",
    "Nothing to do: every worker of every gateway accepts the key.",
)
DELIVERED = _normal("Delivered", "The Secret holds the key.", "Nothing to do: the Secret holds a key that works.")
KEY_ACTIVE = _normal(
    "KeyActive", "The key is neither revoked nor expired.", "The key is in use; to revoke it set spec.state to Revoked."
)
KEY_REISSUED = _normal(
    "KeyReissued",
    "The AccessKey had a key that was revoked or had expired, and a new one was issued.",
    "The Secret holds the new key; the former one stays revoked. Programs that read the Secret only when they start "
    "have to be started again.",
)
GRANTED = _normal(
    "Granted",
    "The BucketGrant is in force, also for a namespace that it names and that is not there (yet), which is not told: "
    "else whoever may make BucketGrants could ask which namespaces the cluster has.",
    "Nothing to do: AccessKeys of the namespaces that it names may ask for the Buckets. When one is told `NotGranted` "
    "compare the names of the namespaces, here and there.",
)
KEY_ROTATED = _normal(
    "KeyRotated",
    "The time for another key has come, by rotation.interval or the annotation cooper.dev/rotate-at, and it was issued "
    "beside the one in use.",
    "The former key works until the overlap is over and workloads are restarted: see the condition Rotated.",
)
ROTATED = _normal(
    "Rotated",
    "A rotation has ended: the Secret holds the new key, and every worker refuses the former one.",
    "Nothing to do: every worker of every gateway refuses the former key.",
)
OVERLAPPING = _normal(
    "Overlapping",
    "The Secret holds a new key, and the former one works on beside it.",
    "Programs that read the Secret only when they start have to be started again before the overlap is over.",
)
ROLLING_OUT = _normal(
    "RollingOut",
    "Workloads that `restart` names are being restarted, because what the Secret holds has changed.",
    "Wait: the workloads that the message names are being restarted. When that does not end `kubectl rollout status` "
    "tells what it waits for, and `kubectl get pods` which Pods those are.",
)
ROLLED_OUT = _normal(
    "RolledOut",
    "Every Pod of the workloads that `restart` names runs with what the Secret holds.",
    "Nothing to do: every Pod runs with what the Secret holds.",
)
SECRET_REWRITTEN = _normal(
    "SecretRewritten",
    "The Secret was changed or deleted by somebody, or what it is to hold is another; it was written again.",
    "The Secret holds what it is to hold. A change made by hand is put back: change the AccessKey, the Bucket or the "
    "Region instead. Programs that read the Secret only when they start have to be started again.",
)
REVOKED = _normal(
    "Revoked",
    "`spec.state` of the AccessKey is Revoked.",
    "To use the AccessKey again set spec.state to Active; a new key is issued then.",
)
EXPIRED = _normal(
    "Expired",
    "`spec.expiresAt` of the AccessKey has passed.",
    "To use the AccessKey again set a later spec.expiresAt; a new key is issued then.",
)
REFUSED_EVERYWHERE = _normal(
    "RefusedEverywhere",
    "Every worker of every gateway refused the key that is revoked.",
    "Nothing to do: every worker of every gateway refuses the key.",
)
NEVER_ISSUED = _normal(
    "NeverIssued",
    "The AccessKey is revoked or has expired, and there is no key of it.",
    "Nothing to do: no key was ever issued, so none can be used.",
)
API_ACCESS_REVOKED = _normal(
    "ApiAccessRevoked",
    "`spec.apiAccess` of the Bucket is Revoked; with Revoked=True every worker refused the bucket.",
    "Every key is refused on the bucket with KeyAccessRevoked. To allow access again set spec.apiAccess to Allowed.",
)
API_ACCESS_ALLOWED = _normal(
    "ApiAccessAllowed",
    "`spec.apiAccess` of the Bucket is Allowed, and every worker follows it.",
    "Nothing to do: keys are let to the bucket; to refuse all of them set spec.apiAccess.",
)
DOMAINS_CLAIMED = _normal(
    "DomainsClaimed",
    "Every host name in `spec.domains` of the Bucket is the bucket's, and it is Public.",
    "Nothing to do here: gateways serve the bucket under these names within a second. That the names lead to the "
    "gateways, and over TLS, is for DNS and for what stands before the gateways.",
)
NO_KEY_TO_ASK_WITH = _normal(
    "NoKeyToAskWith",
    "`spec.apiAccess` of the Bucket is Revoked, and no key works on it with which gateways could be asked.",
    "Nothing to do: the bucket's record refuses every key. To see it confirmed, grant an AccessKey something on it.",
)
DELETING = _normal(
    "Deleting",
    "The resource is being deleted, and its keys are being revoked.",
    "Wait: the deletion goes on by itself.",
)
PURGING = _normal(
    "Purging",
    "The Bucket is being deleted with deletionPolicy Purge, and what it holds is being removed.",
    "Wait: the bucket is closed, and goes when nothing is left. On a cluster what is left can be kept: set "
    "spec.deletionPolicy to Retain.",
)
DELETION_CALLED_OFF = _normal(
    "DeletionCalledOff",
    "The manifest was put back into the resources folder while its resource was being deleted.",
    "The resource goes on as the manifest says. A key that was revoked already is followed by a new one.",
)
ADOPTED = _normal(
    "Adopted",
    "The Bucket has taken over the data that a former one had left, as `spec.adopt` says.",
    "Keys of before do not come back: what uses the bucket needs the credentials of this Bucket.",
)
DELETED_OVER_S3 = _normal(
    "DeletedOverS3",
    "A client asked for DeleteBucket, and the Bucket is being deleted.",
    "A client deleted the bucket over S3, and its key was allowed to.",
)
CREATED_OVER_S3 = _normal(
    "CreatedOverS3",
    "A client asked for CreateBucket, and the Bucket was made.",
    "A client created the bucket over S3, and its key was allowed to.",
)

# Waiting for something that comes by itself
WAITING_FOR_GATEWAYS = _normal(
    "WaitingForGateways",
    "A record is written, and not every worker was seen to follow it.",
    "Wait: not every worker of every gateway has answered yet. The message names who is waited for; when it does not "
    "change look whether that gateway runs. A revocation also waits for one that is not ready, until its Pod is gone.",
)
WAITING_FOR_ACCESS_KEY = _normal(
    "WaitingForAccessKey",
    "The bucket's AccessKey is being made, changed, issued or deleted.",
    "Wait: the bucket's AccessKey is not ready; look at it.",
)
WAITING_FOR_BUCKET = _normal(
    "WaitingForBucket",
    "The AccessKey grants something on a Bucket that is being provisioned.",
    "Wait: the Bucket that the message names is being provisioned; look at it.",
)
WAITING_TO_ADOPT = _normal(
    "WaitingToAdopt",
    "The Bucket is to take over retained data whose former Bucket is not gone yet, or on which a key is still granted "
    "something.",
    "Wait: the data is taken over when the former Bucket is gone and no key is granted anything on it. When that takes "
    "long look whether the former Bucket is there, and which AccessKeys name it.",
)
NOT_ISSUED = _normal("NotIssued", "No Secret holds the key.", "See the condition Ready for what the key waits for.")
NOT_PROVISIONED = _normal(
    "NotProvisioned",
    "The bucket has no record, so it can have no credentials.",
    "See the condition Ready for what the bucket waits for.",
)

# Somebody has to do something
NO_GATEWAY_FOUND = _warning(
    "NoGatewayFound",
    "No gateway is behind the Region's Service, or those that are cannot be used as they are listed.",
    "Nobody is served in the Region until there is one. On Kubernetes look whether the gateway's Pods run, and whether "
    "spec.service of the Region names the Service that selects them.",
)
NO_GATEWAY_READY = _warning(
    "NoGatewayReady",
    "Gateways of the Region are there, and none is ready.",
    "Nobody is served in the Region until one is. Look why those that the message names are not: `kubectl describe` of "
    "the Pod tells what its readiness probe was answered, its log what it waits for.",
)
GATEWAYS_NOT_READY = _warning(
    "GatewaysNotReady",
    "Some gateways of the Region are ready, and some are not.",
    "Clients are sent to those that are ready. When this is no upgrade or restart that ends soon, look why the others "
    "are not: `kubectl describe` of the Pod tells what its readiness probe was answered.",
)
GATEWAYS_UNKNOWN = _warning(
    "GatewaysUnknown",
    "The operator does not know which gateways the Region has.",
    "No key is issued or seen to be revoked in the Region until that is known. See in the message what is in the way: "
    "the operator has to list and watch the EndpointSlices of its namespace.",
)
REGION_NOT_FOUND = _warning(
    "RegionNotFound",
    "The Region that is named is not there, or none is named and none is the default.",
    "Create the Region that the message names. A Bucket that is not provisioned can name another one in spec.region. "
    "An AccessKey's spec.region cannot be changed: delete it and make it anew.",
)
DEFAULT_REGION_AMBIGUOUS = _warning(
    "DefaultRegionAmbiguous",
    "Several Regions are marked as the default, and none is named.",
    "Leave spec.default true on one Region only, or name a Region in spec.region.",
)
ENDPOINT_UNKNOWN = _warning(
    "EndpointUnknown",
    "The Region has no endpoint that could be delivered with a key.",
    "Set spec.endpoints.internal of the Region: credentials need it.",
)
REGION_CHANGED = _warning(
    "RegionChanged",
    "`spec.region` of a provisioned Bucket names another Region.",
    "Set spec.region back: the data lies in the Region that the message names.",
)
INVALID_BUCKET_NAME = _warning(
    "InvalidBucketName",
    "The S3 name that the Bucket asks for breaks the rules for bucket names.",
    "Set spec.bucketName to a valid S3 bucket name, or change the Region's bucketNameTemplate.",
)
BUCKET_NAME_CHANGED = _warning(
    "BucketNameChanged",
    "`spec.bucketName` of a provisioned Bucket is another one.",
    "Set spec.bucketName back: the S3 name of a bucket cannot be changed; make a new Bucket.",
)
NAME_TAKEN = _warning(
    "NameTaken",
    "The S3 name is claimed by another Bucket, or by data that was retained. The message says so only of what is of "
    "this namespace: `spec.adopt` takes its retained data over. See [resources](resources.md) for that of others.",
    "Choose another spec.bucketName.",
)
DOMAIN_NOT_ALLOWED = _warning(
    "DomainNotAllowed",
    "`spec.domains` of the Bucket names a host name that its namespace may not have in the Region, or no longer.",
    "Choose a name under a suffix that this namespace may have, or ask who administers the Region for an entry in its "
    "spec.domainSuffixes.",
)
DOMAIN_TAKEN = _warning(
    "DomainTaken",
    "`spec.domains` of the Bucket names a host name that another Bucket has: whichever claimed it first.",
    "Choose another name. Or wait: the name comes to this Bucket by itself when the other one gives it up.",
)
DOMAINS_NOT_PUBLIC = _warning(
    "DomainsNotPublic",
    "The Bucket has the host names in `spec.domains`, and its visibility is Private.",
    "Set spec.visibility to Public for the bucket to be read there, or take spec.domains away.",
)
ACCESS_KEY_CONFLICT = _warning(
    "AccessKeyConflict",
    "An AccessKey of the Bucket's name is there and is not the Bucket's.",
    "Delete that AccessKey if nobody needs it. Or set spec.credentials.enabled to false: the Bucket then has no key of "
    "its own, and AccessKeys of other names can be granted it.",
)
ACCESS_KEY_REFUSED = _warning(
    "AccessKeyRefused",
    "The cluster does not let Cooper write the Bucket's AccessKey.",
    "See in the message why the cluster refused it: a right, a quota or a policy that is in the way.",
)
SECRET_CONFLICT = _warning(
    "SecretConflict",
    "A Secret of the name asked for is there and is not the AccessKey's. It is never touched.",
    "Delete that Secret if nobody needs it, or set another name in the field that the message names. One that Cooper "
    "made is no longer its own when its ownerReferences were taken off.",
)
SECRET_REFUSED = _warning(
    "SecretRefused",
    "The cluster does not let Cooper write the Secret.",
    "See in the message why the cluster refused it. Another secretName may help.",
)
UNKNOWN_ANNOTATION = _warning(
    "UnknownAnnotation",
    "The resource has an annotation under Cooper's domain that means nothing on it, such as a misspelt one.",
    "Correct the annotation's name, or take it off.",
)
INVALID_ROTATE_AT = _warning(
    "InvalidRotateAt",
    "The annotation cooper.dev/rotate-at is no time.",
    "Set the annotation cooper.dev/rotate-at to a time such as 2030-01-31T12:00:00Z, or take it off.",
)
ROTATION_WAITS = _warning(
    "RotationWaits",
    "The time for another key has come, by rotation.interval or the annotation cooper.dev/rotate-at, and a new key "
    "could not be delivered now.",
    "The key in use is left as it is. The condition Ready says what is in the way; the rotation follows by itself.",
)
ROLLOUT_REFUSED = _warning(
    "RolloutRefused",
    "The cluster does not let Cooper restart a workload that `restart` names.",
    "Let Cooper restart workloads (the chart's value operator.restartWorkloads), or restart it yourself with `kubectl "
    "rollout restart`, within the overlap where a key is rotated. Without the right Cooper cannot see either that it "
    "was restarted: this stays as it is, and a rotation takes twice the overlap. If you always restart it yourself, "
    "take it out of restart.",
)
ROLLOUT_INCOMPLETE = _warning(
    "RolloutIncomplete",
    "Twice the overlap has passed, and workloads that `restart` names have not all been restarted.",
    "The former key is refused by now: Pods that were not restarted cannot use the bucket. `kubectl rollout status` of "
    "the workloads that the message names tells what they wait for, and `kubectl get pods` which Pods those are.",
)
WORKLOAD_NOT_FOUND = _warning(
    "WorkloadNotFound",
    "A workload that `restart` names is not there.",
    "If its kind or name is misspelled correct it; if it is yet to be made, it starts with what the Secret holds. "
    "Without a cluster there are no workloads: start programs again yourself.",
)
BUCKET_NOT_FOUND = _warning(
    "BucketNotFound",
    "The AccessKey or BucketGrant names a Bucket that is not there.",
    "Create the Bucket that the message names, or take its name away.",
)
NOT_GRANTED = _warning(
    "NotGranted",
    "The AccessKey names a Bucket of another namespace, and no BucketGrant there lets it.",
    "Ask whoever has that namespace for a BucketGrant on the Bucket, or take the grant away here.",
)
BUCKET_NOT_READY = _warning(
    "BucketNotReady",
    "The AccessKey grants something on a Bucket that cannot be provisioned as it stands.",
    "The Bucket that the message names is not provisioned: its condition Ready says what to do.",
)
REGION_MISMATCH = _warning(
    "RegionMismatch",
    "The AccessKey grants something on a Bucket of another Region.",
    "An AccessKey serves one Region: make another AccessKey in the Region of that Bucket.",
)
TOO_MANY_BUCKETS = _warning(
    "TooManyBuckets",
    "The AccessKey is for all Buckets of its namespace, and there are more than one key can have.",
    "Put some of the Buckets into another namespace, or name in grants those that the key is for.",
)
GRANTS_TOO_LARGE = _warning(
    "GrantsTooLarge",
    "The AccessKey grants more, by the length of it, than one key can have.",
    "Give fewer or shorter prefixes, put BucketGrants on one Bucket together, or spread the grants over several "
    "AccessKeys.",
)
BUCKET_NOT_EMPTY = _warning(
    "BucketNotEmpty",
    "The Bucket is being deleted and holds objects.",
    "Delete the bucket's objects with a key that is granted the bucket: it works until the bucket is empty. Or set "
    "spec.deletionPolicy to Purge, which removes them for good, or to Retain: the Bucket goes, its objects stay, and "
    "they keep the S3 name taken. In a namespace that is being deleted, where no key can be made any more, these two "
    "are what is left. In a resources folder the manifest, put back, calls the deletion off: put it back with Purge or "
    "Retain and remove it again.",
)
GATEWAY_UNAVAILABLE = _warning(
    "GatewayUnavailable",
    "No gateway of the Region answers. The deletion of a Bucket waits for one; where none will come again "
    "`spec.deletionPolicy: Retain` lets the Bucket go: nobody deletes its data then, and its S3 name stays taken.",
    "Look whether the Region's gateway runs and can be reached; it is tried again by itself.",
)
RECORD_UNREADABLE = _warning(
    "RecordUnreadable",
    "A record is there and cannot be read.",
    "Gateways refuse what the record allowed. Put it back from a backup, or delete it: the record of a resource that "
    "is there is made anew, a key's with a new key.",
)
RECORD_MISSING = _warning(
    "RecordMissing",
    "The record of a Bucket that had taken data over is gone, and nothing else tells which data that is.",
    "Put the record back from a backup. To begin with an empty bucket instead, delete the Bucket and make it anew.",
)
RECORD_REBUILT = _warning(
    "RecordRebuilt",
    "A damaged record was replaced; the damaged one is kept under the name that the event tells.",
    "Look for what damaged it. Of a key: programs that read the Secret only when they start have to be started again.",
)
INVALID_RESOURCE = _warning(
    "InvalidResource", "The resource has fields that Cooper cannot read.", "Correct the fields that the message names."
)
CREATE_REFUSED = _warning(
    "CreateRefused",
    "A client asked for CreateBucket with a key of the AccessKey, and no Bucket was made: the key may not, its "
    "namespace has too many, or the cluster does not let Cooper make it. That a name is taken is told to the client "
    "only.",
    "Nothing was made. If the key is to create buckets give it s3:CreateBucket in allBuckets.actions, and see in the "
    "message what else is in the way: the Region's limits.maxCreatedBuckets, a quota or a policy.",
)
DELETE_NOT_AUTHORIZED = _warning(
    "DeleteNotAuthorized",
    "A client asked for DeleteBucket with a key that may not.",
    "Nothing was deleted, and the bucket serves again. If the key is to delete it, grant it s3:DeleteBucket.",
)
SWEEP_HALTED = _warning(
    "SweepHalted",
    "A sweep would have touched more than a tenth of all records, and more than five.",
    "Unusually many records have no resource any more, or cannot be read. None was revoked or removed; keys lose what "
    "no BucketGrant lets them use any more. Restore what was lost; if it was meant to go, delete the records.",
)
