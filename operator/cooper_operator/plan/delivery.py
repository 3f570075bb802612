"""Delivery of a key: which Secret is to hold it, which holds it, and what stands against it."""

from cooper_crds.records import KeyRecord
from cooper_crds.stored import Credentials
from cooper_operator.plan.grants import Problem
from cooper_operator.plan.reasons import ENDPOINT_UNKNOWN, SECRET_CONFLICT
from cooper_operator.plan.region import Home
from cooper_operator.plan.secrets import ACCESS_KEY, credentials_data, holds_key, is_foreign
from cooper_operator.plan.snapshot import AccessKeySnapshot
from cooper_operator.plan.steps import DeleteCredentials, DeliverCredentials, Step


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
    if is_foreign(snapshot.credentials, snapshot.access_key.metadata.uid):
        return SECRET_CONFLICT, f"Secret {secret_name(snapshot)} is not this AccessKey's and was left alone"
    return None


def delivery(snapshot: AccessKeySnapshot, home: Home, key: KeyRecord) -> list[Step]:
    """Bring the Secret to what it is to hold; then take away ours of other names."""
    if obstacle(snapshot, home) is not None or home.region is None:
        return withdrawal(snapshot, key.access_key_id)
    steps: list[Step] = []
    data = credentials_data(key.access_key_id, home.endpoint, home.region.spec.tag, [g.bucket for g in key.grants])
    found = snapshot.credentials
    if found is None or not found.intact or not holds_key(found, data, key.secret_key):
        steps.append(DeliverCredentials(secret_name(snapshot), data, key, found))
    return steps + [DeleteCredentials(each) for each in snapshot.other_credentials]


def withdrawal(snapshot: AccessKeySnapshot, in_use: str | None) -> list[Step]:
    """Take away our Secrets that hold another key than the one in use, where no other content can be put into them."""
    return [DeleteCredentials(each) for each in own_secrets(snapshot) if each.data.get(ACCESS_KEY) != in_use]


def holder(snapshot: AccessKeySnapshot, access_key_id: str) -> str | None:
    """Name of our Secret that holds the key now, or None."""
    return next((each.name for each in own_secrets(snapshot) if each.data.get(ACCESS_KEY) == access_key_id), None)
