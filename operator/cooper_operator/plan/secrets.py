"""What a Secret of credentials holds, and whose it may be."""

from collections.abc import Mapping
from typing import Final

from cooper_crds.stored import Credentials

ACCESS_KEY: Final = "ACCESS_KEY"
#: The one value that no plan carries: it is filled in when the Secret is written.
SECRET_KEY: Final = "SECRET_KEY"  # noqa: S105 - a name, no secret


def credentials_data(access_key_id: str, endpoint: str, region_tag: str, buckets: list[str]) -> dict[str, str]:
    """The values of profile Cooper but for the secret key. BUCKET is there when the key serves exactly one bucket."""
    data = {ACCESS_KEY: access_key_id, "ENDPOINT": endpoint, "REGION": region_tag}
    if len(buckets) == 1:
        data["BUCKET"] = buckets[0]
    return data


def holds_key(found: Credentials, data: Mapping[str, str], secret_key: str) -> bool:
    """Whether a Secret holds exactly these credentials."""
    return dict(found.data) == {**data, SECRET_KEY: secret_key}


def is_foreign(found: Credentials | None, uid: str) -> bool:
    """Whether a Secret is there and was not made for the resource with this UID."""
    return found is not None and found.owner_uid != uid
