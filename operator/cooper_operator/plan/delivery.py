"""Delivery of a key: which Secret is to hold it, which holds it, and what stands against it."""

from typing import Final

from cooper_crds.delivery import SealedKey
from cooper_crds.records import KeyRecord
from cooper_crds.stored import Credentials, content_digest
from cooper_operator.plan.grants import Problem
from cooper_operator.plan.reasons import ENDPOINT_UNKNOWN, SECRET_CONFLICT
from cooper_operator.plan.region import Home
from cooper_operator.plan.secrets import SecretContent, holds_key, is_foreign, secret_content, tells_key
from cooper_operator.plan.snapshot import AccessKeySnapshot
from cooper_operator.plan.steps import DeleteCredentials, DeliverCredentials, SealCredentials, Step

#: How many values that differ are named.
_NAMED: Final = 5


def secret_name(snapshot: AccessKeySnapshot) -> str:
    """Name of the Secret that the spec asks for."""
    return snapshot.access_key.spec.secret_name or snapshot.access_key.metadata.name


def own_secrets(snapshot: AccessKeySnapshot) -> list[Credentials]:
    """The Secrets that were made for this AccessKey: of the name asked for, and of others."""
    found = snapshot.credentials
    asked_for = [] if found is None or is_foreign(found, snapshot.access_key.metadata.uid) else [found]
    return [*asked_for, *snapshot.other_credentials]


def obstacle(snapshot: AccessKeySnapshot, home: Home) -> Problem | None:
    """What keeps a key from being delivered, found before one is made."""
    if not home.endpoint:
        return ENDPOINT_UNKNOWN, f"Region {home.name} names no internal endpoint"
    found, uid = snapshot.credentials, snapshot.access_key.metadata.uid
    if found is not None and snapshot.access_key.spec.recipient is None and is_foreign(found, uid):
        whose = f": {found.whose}" if found.whose else ""
        text = f"Secret {found.name} is there, is not this AccessKey's and is left alone{whose}"
        return SECRET_CONFLICT, f"{text}; another name is set in {_where_named(snapshot)}"
    return None


def _where_named(snapshot: AccessKeySnapshot) -> str:
    """The field that names the Secret: of a Bucket's own AccessKey the Bucket's, which would put this one back."""
    owners = snapshot.access_key.metadata.owner_references
    bucket = next((each.name for each in owners if each.controller and each.kind == "Bucket"), None)
    return "spec.secretName" if bucket is None else f"spec.credentials.secretName of Bucket {bucket}"


def content_for(snapshot: AccessKeySnapshot, home: Home, key: KeyRecord) -> SecretContent | None:
    """What the Secret is to hold with this key. None: that cannot be told, or the Secret's name is not ours."""
    if obstacle(snapshot, home) is not None or home.region is None:
        return None
    spec = snapshot.access_key.spec
    # With several grants none is the one, also while the others' Buckets are not there.
    buckets = (
        list(dict.fromkeys(grant.bucket for grant in key.grants))
        if len(spec.grants or ()) == 1 and spec.all_buckets is None
        else []
    )
    region = home.region.spec
    return secret_content(spec, key.access_key_id, home.endpoint, region.tag, buckets, region.ca_bundle)


def delivery(snapshot: AccessKeySnapshot, content: SecretContent | None, *keys: KeyRecord) -> list[Step]:
    """Bring the Secret to what it is to hold, with the first of `keys`; then take away ours of other names.

    The others of `keys` work as well: a Secret that holds one stays where it cannot be brought to another.
    """
    if content is None:
        return withdrawal(snapshot, *(each.access_key_id for each in keys))
    key, recipient = keys[0], snapshot.access_key.spec.recipient
    steps: list[Step] = []
    if recipient is not None:
        if not _is_sealed(snapshot, content):
            steps.append(SealCredentials(recipient, content, key))
        return steps + [DeleteCredentials(each) for each in own_secrets(snapshot)]
    found = snapshot.credentials
    if found is None or not found.intact or not holds_key(found, content, key.secret_key):
        steps.append(DeliverCredentials(secret_name(snapshot), content, key, found, _rewrites(snapshot, content, key)))
    return steps + [DeleteCredentials(each) for each in snapshot.other_credentials]


def content_mark(content: SecretContent) -> str:
    """Tells what is delivered from other content: of all but the secret key, which changes with its id only."""
    return content_digest(content.data(""))


def sealed_key(snapshot: AccessKeySnapshot, access_key_id: str | None) -> SealedKey | None:
    """The key of this id as it was sealed to who is the recipient now; None: it was not."""
    recipient, status = snapshot.access_key.spec.recipient, snapshot.access_key.status
    found = None if status is None else status.once
    if recipient is None or found is None or (found.access_key_id, found.recipient) != (access_key_id, recipient):
        return None
    return found


def _is_sealed(snapshot: AccessKeySnapshot, content: SecretContent) -> bool:
    found = sealed_key(snapshot, content.access_key_id)
    return found is not None and found.content == content_mark(content)


def _rewrites(snapshot: AccessKeySnapshot, content: SecretContent, key: KeyRecord) -> str:
    """What there is to tell when a Secret that was delivered is written again.

    Nothing of a key's first delivery, nor when the spec asks for something else by now.
    """
    status, found, name = snapshot.access_key.status, snapshot.credentials, secret_name(snapshot)
    if not key.secret_key or status is None or (status.access_key_id, status.secret_name) != (key.access_key_id, name):
        return ""
    if status.observed_generation != snapshot.access_key.metadata.generation:
        return ""
    if found is None:
        return f"Secret {name} was gone"
    wanted = content.data(key.secret_key)
    differ = sorted(each for each in found.data.keys() | wanted.keys() if found.data.get(each) != wanted.get(each))
    if not differ:
        return f"Secret {name} had lost labels or the annotation by which it is known"
    more = f" and {len(differ) - _NAMED} more" if len(differ) > _NAMED else ""
    return f"Secret {name} was not as it is to be, in {', '.join(differ[:_NAMED])}{more}"


def withdrawal(snapshot: AccessKeySnapshot, *in_use: str) -> list[Step]:
    """Take away our Secrets that hold none of the keys in use, where no other content can be put into them."""
    return [
        DeleteCredentials(each) for each in own_secrets(snapshot) if not any(tells_key(each, key) for key in in_use)
    ]


def is_held(snapshot: AccessKeySnapshot, access_key_id: str) -> bool:
    """Whether the key of this id is delivered now: a Secret of ours holds it, or it was sealed."""
    return sealed_key(snapshot, access_key_id) is not None or holder(snapshot, access_key_id) is not None


def holder(snapshot: AccessKeySnapshot, access_key_id: str) -> str | None:
    """Name of our Secret that holds the key now, or None."""
    return next((each.name for each in own_secrets(snapshot) if tells_key(each, access_key_id)), None)
