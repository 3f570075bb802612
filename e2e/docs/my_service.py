"""The service that docs/link-your-service.md links: it says by what it was linked, and lists its bucket with that."""

import configparser
import hashlib
import http.client
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from cooper_operator.gateways.sign import query_string, sign

#: Access key id, secret key, endpoint, region, bucket.
Login = tuple[str, str, str, str, str]


def named(*names: str) -> Callable[[Mapping[str, str]], Login]:
    """Read variables of these names."""
    return lambda variables: tuple(variables[name] for name in names)


def binding(variables: Mapping[str, str]) -> Login:
    """Read the one Service Binding there is."""
    (folder,) = Path(variables["SERVICE_BINDING_ROOT"]).iterdir()
    entries = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    assert entries["type"] == "s3"
    assert entries["uri"].split("//")[-1] == f"{entries['host']}:{entries['port']}"
    return entries["username"], entries["password"], entries["uri"], entries["REGION"], entries["BUCKET"]


def files(variables: Mapping[str, str]) -> Login:
    """Read the files of profile CredentialsFile, and the bucket's name from a third."""
    aws, rclone = configparser.ConfigParser(), configparser.ConfigParser()
    aws.read(variables["AWS_SHARED_CREDENTIALS_FILE"])
    rclone.read(variables["RCLONE_CONFIG"])
    found, same = aws["default"], rclone["cooper"]
    assert (found["aws_secret_access_key"], found["endpoint_url"]) == (same["secret_access_key"], same["endpoint"])
    bucket = Path(variables["BUCKET_FILE"]).read_text()
    key = found["aws_access_key_id"], found["aws_secret_access_key"]
    return *key, found["endpoint_url"], found["region"], bucket


def claim(variables: Mapping[str, str]) -> Login:
    """Read what an ObjectBucketClaim's Secret and ConfigMap have."""
    assert variables["BUCKET_SUBREGION"] == ""
    key = variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
    endpoint = f"http://{variables['BUCKET_HOST']}:{variables['BUCKET_PORT']}"
    return *key, endpoint, variables["BUCKET_REGION"], variables["BUCKET_NAME"]


AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "BUCKET")
#: By a variable that is there. The first one counts.
WAYS: Mapping[str, Callable[[Mapping[str, str]], Login]] = {
    "SERVICE_BINDING_ROOT": binding,
    "AWS_SHARED_CREDENTIALS_FILE": files,
    "BUCKET_HOST": claim,
    "AWS_ACCESS_KEY_ID": named(*AWS),
    "STORAGE_USER": named("STORAGE_USER", "STORAGE_PASSWORD", "STORAGE_URL", "STORAGE_REGION", "STORAGE_BUCKET"),
    "S3_USER": named("S3_USER", "S3_PASSWORD", "S3_URL", "S3_REGION", "S3_BUCKET"),
    "ACCESS_KEY": named("ACCESS_KEY", "SECRET_KEY", "ENDPOINT", "REGION", "BUCKET"),
}


def status_of_a_list(login: Login) -> int:
    """Of ListObjectsV2."""
    key, secret, endpoint, region, bucket = login
    host, query = urlsplit(endpoint).netloc, {"list-type": "2"}
    headers = sign(
        "GET",
        f"/{bucket}/",
        query,
        {"host": host},
        access_key_id=key,
        secret_key=secret,
        region=region,
        now=time.time(),
        payload=hashlib.sha256(b"").hexdigest(),
    )
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", f"/{bucket}/?{query_string(query)}", headers=headers)
    return connection.getresponse().status


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
way = next(name for name in WAYS if name in os.environ)
print(f"linked by {way}: {status_of_a_list(WAYS[way](os.environ))}", flush=True)
while True:
    signal.pause()
