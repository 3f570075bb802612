"""Secret profiles: which values of a credential a Secret holds, under the keys that programs look for. Pure tables."""

from collections.abc import Mapping
from typing import Final, Literal, get_args

Profile = Literal["Cooper", "AWS", "S3Env", "ServiceBinding", "CredentialsFile", "OBC"]
#: What a key of a Secret can hold. Those of profile Cooper are called so in `secretKeys` as well.
Value = Literal[
    "accessKeyId",
    "secretAccessKey",
    "endpoint",
    "region",
    "bucket",
    "caBundle",
    "bindingType",
    "bindingProvider",
    "host",
    "port",
    "subregion",
    "awsConfig",
    "rcloneConfig",
]
PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)

#: Profile Cooper, which every Secret has: its values, and their keys where `secretKeys` names no others.
COOPER: Final[Mapping[Value, str]] = {
    "accessKeyId": "ACCESS_KEY",
    "secretAccessKey": "SECRET_KEY",
    "endpoint": "ENDPOINT",
    "region": "REGION",
    "bucket": "BUCKET",
    "caBundle": "CA_BUNDLE",
}
#: The keys of every other profile, and what each holds.
OTHER_PROFILES: Final[Mapping[Profile, Mapping[str, Value]]] = {
    # "AWS_ENDPOINT_URL_S3" (AWS SDKs and Tools Reference Guide, service-specific endpoints). Version 1 of the AWS CLI
    # reads AWS_DEFAULT_REGION only.
    "AWS": {
        "AWS_ACCESS_KEY_ID": "accessKeyId",
        "AWS_SECRET_ACCESS_KEY": "secretAccessKey",
        "AWS_ENDPOINT_URL_S3": "endpoint",
        "AWS_REGION": "region",
        "AWS_DEFAULT_REGION": "region",
    },
    "S3Env": {
        "S3_ACCESS_KEY": "accessKeyId",
        "S3_SECRET_KEY": "secretAccessKey",
        "S3_ENDPOINT": "endpoint",
        "S3_REGION": "region",
        "S3_BUCKET": "bucket",
    },
    # Service Binding Specification for Kubernetes 1.1, well-known Secret entries.
    "ServiceBinding": {
        "type": "bindingType",
        "provider": "bindingProvider",
        "host": "host",
        "port": "port",
        "uri": "endpoint",
        "username": "accessKeyId",
        "password": "secretAccessKey",
        "certificates": "caBundle",
    },
    "CredentialsFile": {"credentials": "awsConfig", "rclone.conf": "rcloneConfig", "ca.crt": "caBundle"},
    # An ObjectBucketClaim's Secret and ConfigMap (lib-bucket-provisioner, as Rook and NooBaa have them).
    "OBC": {
        "AWS_ACCESS_KEY_ID": "accessKeyId",
        "AWS_SECRET_ACCESS_KEY": "secretAccessKey",
        "BUCKET_HOST": "host",
        "BUCKET_NAME": "bucket",
        "BUCKET_PORT": "port",
        "BUCKET_REGION": "region",
        "BUCKET_SUBREGION": "subregion",
    },
}
#: Of profile OBC: the keys that are in a ConfigMap of the Secret's name, where the cluster has such. None is secret.
CONFIG_MAP_KEYS: Final = frozenset(key for key in OTHER_PROFILES["OBC"] if key.startswith("BUCKET_"))
