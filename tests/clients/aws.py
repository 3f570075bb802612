"""How the tests and the demo give a client nothing but the delivered credentials."""

import os
from pathlib import Path

#: Never handed to a client under test: they would change what it trusts or who it is.
_LEAKS = ("AWS_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_", "RCLONE_")


def read_env(path: Path) -> dict[str, str]:
    """The variables of a delivered .env file."""
    return values(path.read_text())


def values(text: str) -> dict[str, str]:
    """The variables of such a file's content."""
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return {name: value.strip("'\"") for name, _, value in (line.partition("=") for line in lines)}


def clean_env(**extra: str) -> dict[str, str]:
    """This process's environment without anything that steers an S3 client, plus `extra`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_LEAKS)} | extra


def aws_env(env: dict[str, str], home: Path) -> dict[str, str]:
    """Environment of an aws-cli or boto3 that uses these credentials."""
    return clean_env(
        HOME=str(home),
        AWS_ACCESS_KEY_ID=env["ACCESS_KEY"],
        AWS_SECRET_ACCESS_KEY=env["SECRET_KEY"],
        AWS_REGION=env["REGION"],
        AWS_DEFAULT_REGION=env["REGION"],  # the one that version 1 of aws-cli reads
        AWS_ENDPOINT_URL_S3=env["ENDPOINT"],
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )
