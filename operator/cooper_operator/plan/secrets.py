"""What a Secret of credentials holds, and whose it may be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cooper_crds.access_key import AccessKeySpec
from cooper_crds.secret_keys import SecretKeys
from cooper_crds.secret_profiles import CONFIG_MAP_KEYS, OTHER_PROFILES, Profile, Value
from cooper_crds.stored import Credentials
from cooper_operator.plan.client_files import Login, aws_config, rclone_config

_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class SecretContent:
    """All that a Secret is to hold but for the secret key, which no plan carries.

    `bucket`: the S3 name, when the key serves exactly one bucket. `keys`: those of profile Cooper's values.
    """

    access_key_id: str
    endpoint: str
    region_tag: str
    bucket: str | None
    ca_bundle: str | None
    profiles: tuple[Profile, ...]
    keys: Mapping[Value, str]

    def data(self, secret_key: str) -> dict[str, str]:
        """The Secret's data, with the secret key in every place where it belongs."""
        wanted: list[tuple[str, Value]] = [(key, value) for value, key in self.keys.items()]
        for profile, keys in OTHER_PROFILES.items():
            if profile in self.profiles:
                wanted += keys.items()
        found = ((key, _VALUES[value](self, secret_key)) for key, value in wanted)
        return {key: value for key, value in found if value is not None}

    @property
    def in_config_map(self) -> frozenset[str]:
        """The keys of `data` that belong in a ConfigMap beside the Secret, where the cluster has such."""
        return CONFIG_MAP_KEYS if "OBC" in self.profiles else frozenset()


def secret_content(
    spec: AccessKeySpec,
    access_key_id: str,
    endpoint: str,
    region_tag: str,
    buckets: list[str],
    ca_bundle: str | None = None,
) -> SecretContent:
    """What the Secret of an AccessKey is to hold. `buckets`: S3 name of the one it is for, if any."""
    return SecretContent(
        access_key_id=access_key_id,
        endpoint=endpoint,
        region_tag=region_tag,
        bucket=buckets[0] if len(buckets) == 1 else None,
        ca_bundle=ca_bundle,
        profiles=tuple(spec.secret_profiles),
        keys=(spec.secret_keys or SecretKeys()).keys(),
    )


def holds_key(found: Credentials, content: SecretContent, secret_key: str) -> bool:
    """Whether a Secret holds exactly these credentials, and is marked so."""
    return found.access_key_id == content.access_key_id and dict(found.data) == content.data(secret_key)


def tells_key(found: Credentials, access_key_id: str) -> bool:
    """Whether a Secret of ours holds the key of this id: by its values, and by its mark where it has one.

    One without a mark lost it, or was written by an earlier version. One whose values somebody took away holds nothing,
    whatever its mark says. No two keys share an id.
    """
    return found.access_key_id in (None, access_key_id) and access_key_id in found.data.values()


def is_foreign(found: Credentials | None, uid: str) -> bool:
    """Whether a Secret is there and was not made for the resource with this UID."""
    return found is not None and found.owner_uid != uid


def _port(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    return str(parts.port or _DEFAULT_PORTS[parts.scheme])


def _login(content: SecretContent, secret_key: str) -> Login:
    return Login(content.access_key_id, secret_key, content.endpoint, content.region_tag)


_VALUES: Final[Mapping[Value, Callable[[SecretContent, str], str | None]]] = {
    "accessKeyId": lambda content, _: content.access_key_id,
    "secretAccessKey": lambda _, secret_key: secret_key,
    "endpoint": lambda content, _: content.endpoint,
    "region": lambda content, _: content.region_tag,
    "bucket": lambda content, _: content.bucket,
    "caBundle": lambda content, _: content.ca_bundle,
    "bindingType": lambda _, __: "s3",
    "bindingProvider": lambda _, __: "cooper",
    "host": lambda content, _: urlsplit(content.endpoint).hostname,
    "port": lambda content, _: _port(content.endpoint),
    "subregion": lambda _, __: "",
    "awsConfig": lambda content, secret_key: aws_config(_login(content, secret_key)),
    "rcloneConfig": lambda content, secret_key: rclone_config(_login(content, secret_key)),
}
