"""Configuration files of S3 clients that hold a key. Pure; no value has a line break."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Login:
    """With what a client comes to an endpoint."""

    access_key_id: str
    secret_key: str = field(repr=False)
    endpoint: str
    region: str


def aws_config(login: Login) -> str:
    """A file for AWS's CLI and SDKs, as AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE or both.

    The endpoint is the profile's own ("endpoint_url", AWS SDKs and Tools Reference Guide, service-specific endpoints).
    A section [services …] for S3 alone would be found in a config file only: botocore refuses a profile that names one
    in a credentials file. Nothing else is at this endpoint, and nowhere else does the key open anything.
    """
    profile = {
        "aws_access_key_id": login.access_key_id,
        "aws_secret_access_key": login.secret_key,
        "region": login.region,
        "endpoint_url": login.endpoint,
    }
    # Path-style, since a bucket has no host name of its own; and no client falls back to Signature Version 2.
    s3 = {"addressing_style": "path", "signature_version": "s3v4"}
    return "".join([_section("default", profile), "s3 =\n", *(f"  {key} = {value}\n" for key, value in s3.items())])


def rclone_config(login: Login) -> str:
    """An rclone.conf with one remote, `cooper`."""
    return _section(
        "cooper",
        {
            "type": "s3",
            "provider": "Other",
            "access_key_id": login.access_key_id,
            "secret_access_key": login.secret_key,
            "endpoint": login.endpoint,
            "region": login.region,
            "force_path_style": "true",
        },
    )


def _section(name: str, values: Mapping[str, str]) -> str:
    return "".join([f"[{name}]\n", *(f"{key} = {value}\n" for key, value in values.items())])
