"""What a Secret of credentials is to look like: its profiles, and keys of its user's own choice."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from cooper_crds.fields import EachOnce, repeated
from cooper_crds.meta import Model
from cooper_crds.patterns import text
from cooper_crds.secret_profiles import COOPER, OTHER_PROFILES, PROFILES, Profile, Value

#: What a shell takes as the name of a variable. Kubernetes takes all of these as a Secret's keys.
_VARIABLE: Final = "[A-Za-z_][A-Za-z0-9_]*"
_NO_VARIABLE: Final = (
    "must be a key that can be an environment variable: letters, digits and underscores, not beginning with a digit"
)
#: "must consist of alphanumeric characters, -, _ or ." and have at most 253 (Kubernetes, Secret: data)
_MAX_KEY: Final = 253
_ALIKE: Final = "must give each value another key; values that are not named keep theirs"
_TAKEN: Final = "secretKeys must name no key that another profile in secretProfiles has"
_OWN: Final = ", ".join(f"self.{{0}}?{value}.orValue('{key}')" for value, key in COOPER.items())


def _variable(value: str) -> str:
    if not re.fullmatch(_VARIABLE, value):
        raise ValueError(_NO_VARIABLE)
    return value


def _own_keys(holder: str) -> str:
    """In CEL: the keys that the values of profile Cooper have. `holder`: how to come to secretKeys, with a period."""
    return f"[{_OWN}]".replace("{0}", holder)


def _keys_taken() -> str:
    """In CEL: the keys of the other profiles that are asked for."""
    each = (f"('{profile}' in self.secretProfiles ? {list(keys)} : [])" for profile, keys in OTHER_PROFILES.items())
    return " + ".join(each)


def _rule(rule: str, message: str) -> dict[str, Any]:
    return {"rule": rule, "message": message}


_Key = Annotated[
    str,
    Field(max_length=_MAX_KEY),
    AfterValidator(_variable),
    text(f"^{_VARIABLE}$", _NO_VARIABLE, _MAX_KEY),
]
_Profile = Annotated[
    Profile, WithJsonSchema({"type": "string", "enum": list(PROFILES), "maxLength": max(map(len, PROFILES))})
]


class SecretKeys(Model):
    """The Secret's keys for the values of profile Cooper."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                _rule(f"[{_own_keys('')}].all(own, own.all(key, own.exists_one(other, other == key)))", _ALIKE)
            ]
        }
    )

    access_key_id: Annotated[_Key | None, Field(description="Key of the access key's id. Default: ACCESS_KEY.")] = None
    secret_access_key: Annotated[
        _Key | None, Field(description="Key of the secret access key. Default: SECRET_KEY.")
    ] = None
    endpoint: Annotated[_Key | None, Field(description="Key of the S3 endpoint's URL. Default: ENDPOINT.")] = None
    region: Annotated[_Key | None, Field(description="Key of the Region's tag. Default: REGION.")] = None
    bucket: Annotated[
        _Key | None,
        Field(description="Key of the bucket's S3 name, where the key serves exactly one bucket. Default: BUCKET."),
    ] = None

    ca_bundle: Annotated[
        _Key | None,
        Field(description="Key of the Region's caBundle, where it has one. Default: CA_BUNDLE."),
    ] = None

    def keys(self) -> dict[Value, str]:
        """The key of every value of profile Cooper."""
        given: dict[str, str] = self.model_dump(by_alias=True, exclude_none=True)
        return {value: given.get(value, key) for value, key in COOPER.items()}

    @model_validator(mode="after")
    def _each_key_once(self) -> Self:
        keys = list(self.keys().values())
        if twice := repeated(keys):
            raise ValueError(f"{_ALIKE}: {', '.join(twice)} is there more than once")
        return self


SecretProfiles = Annotated[
    list[_Profile],
    Field(
        min_length=1,
        max_length=len(PROFILES),
        description="What the Secret holds, for programs that look for other keys. Cooper (ACCESS_KEY, SECRET_KEY, "
        "ENDPOINT, REGION, BUCKET, CA_BUNDLE): always there, under the keys that secretKeys names. AWS "
        "(AWS_ACCESS_KEY_ID and so on): with envFrom, aws-cli and boto3 need nothing else. S3Env: S3_ACCESS_KEY and so "
        "on. ServiceBinding: the entries of the Service Binding specification, of type s3. CredentialsFile: the files "
        "credentials (for aws-cli and boto3), rclone.conf (remote cooper) and ca.crt, to be mounted. OBC: what an "
        "ObjectBucketClaim gives: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and in a ConfigMap of the Secret's name "
        "BUCKET_HOST, BUCKET_NAME, BUCKET_PORT, BUCKET_REGION and BUCKET_SUBREGION. BUCKET, S3_BUCKET and BUCKET_NAME "
        "are there when the key serves exactly one bucket; CA_BUNDLE, certificates and ca.crt when the Region has a "
        "caBundle.",
    ),
    EachOnce(),
]
SecretKeysField = Annotated[
    SecretKeys | None,
    Field(
        description="Keys of your own for the values of profile Cooper, such as {accessKeyId: STORAGE_KEY_ID}; each "
        "can be an environment variable. A value that is not named keeps its key.",
    ),
]
#: That keys of one's own are not those of another profile, for the API server: a rule of what has both fields.
KEYS_RULE: Final = _rule(
    f"!has(self.secretKeys) || ({_keys_taken()}).all(key, !(key in {_own_keys('secretKeys.')}))",
    _TAKEN,
)


def check_keys(profiles: Sequence[Profile], own: SecretKeys | None) -> None:
    """The same for the models. Raises ValueError."""
    keys = set(own.keys().values()) if own is not None else set[str]()
    for profile in profiles:
        if taken := sorted(keys & OTHER_PROFILES.get(profile, {}).keys()):
            raise ValueError(f"{_TAKEN}: {', '.join(taken)} is one of {profile}")
