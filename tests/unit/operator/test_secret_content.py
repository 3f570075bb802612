"""What Secrets hold, by profile and own keys; that files of clients read as what was put into them."""

import configparser
import itertools
from pathlib import Path
from typing import Any

import botocore.configloader
import pytest

from cooper_crds.access_key import AccessKeySpec
from cooper_crds.secret_profiles import COOPER, OTHER_PROFILES, PROFILES
from cooper_crds.stored import Credentials
from cooper_operator.plan.secrets import SecretContent, holds_key, secret_content, tells_key

KEY_ID, SECRET = "AKIA234567ABCDEFGHIJ", "a/+=%b"
ENDPOINT = "https://s3.example.com:9000"


CA_BUNDLE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def content(
    endpoint: str = ENDPOINT, buckets: tuple[str, ...] = ("photos",), ca_bundle: str | None = None, **spec: Any
) -> SecretContent:
    made = AccessKeySpec.model_validate({"grants": [{"bucket": "b"}], **spec})
    return secret_content(made, KEY_ID, endpoint, "eu-1", list(buckets), ca_bundle)


def data(*args: Any, **spec: Any) -> dict[str, str]:
    return content(*args, **spec).data(SECRET)


COOPER_DATA = {
    "ACCESS_KEY": KEY_ID,
    "SECRET_KEY": SECRET,
    "ENDPOINT": ENDPOINT,
    "REGION": "eu-1",
    "BUCKET": "photos",
}
OF_PROFILE = {
    "AWS": {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL_S3": ENDPOINT,
        "AWS_REGION": "eu-1",
        "AWS_DEFAULT_REGION": "eu-1",
    },
    "S3Env": {
        "S3_ACCESS_KEY": KEY_ID,
        "S3_SECRET_KEY": SECRET,
        "S3_ENDPOINT": ENDPOINT,
        "S3_REGION": "eu-1",
        "S3_BUCKET": "photos",
    },
    "ServiceBinding": {
        "type": "s3",
        "provider": "cooper",
        "host": "s3.example.com",
        "port": "9000",
        "uri": ENDPOINT,
        "username": KEY_ID,
        "password": SECRET,
    },
    "OBC": {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "BUCKET_HOST": "s3.example.com",
        "BUCKET_NAME": "photos",
        "BUCKET_PORT": "9000",
        "BUCKET_REGION": "eu-1",
        "BUCKET_SUBREGION": "",
    },
}


def test_profile_cooper_is_there_by_default() -> None:
    assert data() == data(secretProfiles=["Cooper"]) == COOPER_DATA


@pytest.mark.parametrize("profile", OF_PROFILE)
def test_a_profile_comes_beside_cooper(profile: str) -> None:
    assert data(secretProfiles=[profile]) == {**COOPER_DATA, **OF_PROFILE[profile]}


def test_profiles_come_together_whatever_their_order() -> None:
    every = data(secretProfiles=list(PROFILES), ca_bundle=CA_BUNDLE)
    assert set(every) == {*COOPER.values(), *itertools.chain(*OTHER_PROFILES.values())}
    reversed_ = data(secretProfiles=list(PROFILES[::-1]), ca_bundle=CA_BUNDLE)
    assert list(reversed_.items()) == list(every.items())


def test_certificates_are_there_where_the_region_has_some() -> None:
    every = data(secretProfiles=list(PROFILES), ca_bundle=CA_BUNDLE)
    assert {key for key, value in every.items() if value == CA_BUNDLE} == {"CA_BUNDLE", "certificates", "ca.crt"}
    assert every.keys() - data(secretProfiles=list(PROFILES)).keys() == {"CA_BUNDLE", "certificates", "ca.crt"}
    own = data(secretKeys={"caBundle": "SSL_CERTS"}, ca_bundle=CA_BUNDLE)
    assert (own["SSL_CERTS"], "CA_BUNDLE" in own) == (CA_BUNDLE, False)


def test_a_key_that_several_profiles_have_is_of_one_value() -> None:
    keys = [*COOPER.values(), *itertools.chain(*OTHER_PROFILES.values())]
    shared = {key for key in keys if keys.count(key) > 1}
    assert shared == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    for key in shared:
        assert len({of[key] for of in OTHER_PROFILES.values() if key in of}) == 1


def test_what_is_in_a_config_map_is_no_secret() -> None:
    assert content().in_config_map == frozenset()
    made = content(secretProfiles=["OBC", "AWS"])
    beside = {key: value for key, value in made.data(SECRET).items() if key in made.in_config_map}
    assert beside == {key: value for key, value in OF_PROFILE["OBC"].items() if key.startswith("BUCKET_")}
    assert not any(KEY_ID in value or SECRET in value for value in beside.values())


@pytest.mark.parametrize("buckets", [(), ("photos", "films")])
def test_a_bucket_is_named_when_it_is_the_only_one(buckets: tuple[str, ...]) -> None:
    found = data(buckets=buckets, secretProfiles=["S3Env"], secretKeys={"bucket": "MY_BUCKET"})
    assert not {"BUCKET", "MY_BUCKET", "S3_BUCKET"} & found.keys()
    assert data(secretKeys={"bucket": "MY_BUCKET"})["MY_BUCKET"] == "photos"


def test_own_keys_take_the_place_of_coopers() -> None:
    keys = {"accessKeyId": "ID", "secretAccessKey": "KEY", "endpoint": "URL", "region": "TAG", "bucket": "NAME"}
    assert data(secretKeys=keys) == {"ID": KEY_ID, "KEY": SECRET, "URL": ENDPOINT, "TAG": "eu-1", "NAME": "photos"}
    some = data(secretKeys={"accessKeyId": "SECRET_KEY", "secretAccessKey": "ACCESS_KEY"}, secretProfiles=["S3Env"])
    swapped = {**COOPER_DATA, "SECRET_KEY": KEY_ID, "ACCESS_KEY": SECRET}
    assert some == {**swapped, **OF_PROFILE["S3Env"]}


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        ("http://10.0.0.1", "10.0.0.1", "80"),
        ("https://s3.example.com", "s3.example.com", "443"),
        ("http://[2001:db8::1]:9000", "2001:db8::1", "9000"),
        ("http://[::1]", "::1", "80"),
        ("http://gateway.cooper.svc:9000", "gateway.cooper.svc", "9000"),
    ],
)
def test_host_and_port_are_those_of_the_endpoint(endpoint: str, host: str, port: str) -> None:
    found = data(endpoint, secretProfiles=["ServiceBinding"])
    assert (found["host"], found["port"], found["uri"]) == (host, port, endpoint)


def test_the_aws_file_reads_as_config_and_as_credentials(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(data(secretProfiles=["CredentialsFile"])["credentials"])
    config = botocore.configloader.load_config(str(file))
    profile = {
        "aws_access_key_id": KEY_ID,
        "aws_secret_access_key": SECRET,
        "region": "eu-1",
        "endpoint_url": ENDPOINT,
        "s3": {"addressing_style": "path", "signature_version": "s3v4"},
    }
    assert config["profiles"] == {"default": profile}
    assert botocore.configloader.raw_config_parse(str(file))["default"] == profile


def test_the_rclone_file_reads_as_what_was_put_into_it() -> None:
    found = configparser.RawConfigParser()
    found.read_string(data(secretProfiles=["CredentialsFile"])["rclone.conf"])
    assert {name: dict(found[name]) for name in found.sections()} == {
        "cooper": {
            "type": "s3",
            "provider": "Other",
            "access_key_id": KEY_ID,
            "secret_access_key": SECRET,
            "endpoint": ENDPOINT,
            "region": "eu-1",
            "force_path_style": "true",
        }
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_of_the_secret_key_is_in_what_a_plan_carries(profile: str) -> None:
    made = content(secretProfiles=[profile])
    assert SECRET not in repr(made)
    where = {key for key, value in made.data(SECRET).items() if SECRET in value}
    assert where > {"SECRET_KEY"} or profile == "Cooper"
    unlike = made.data("another").items() ^ made.data(SECRET).items()
    assert {key for key, _ in unlike} == where


def found(values: dict[str, str], access_key_id: str | None = KEY_ID) -> Credentials:
    return Credentials("default", "ci", values, "uid", "1", access_key_id)


def test_a_secret_holds_a_key_when_it_is_as_it_is_to_be() -> None:
    made = content(secretProfiles=list(PROFILES), secretKeys={"accessKeyId": "MY_ID"})
    values = made.data(SECRET)
    assert holds_key(found(values), made, SECRET)
    assert not holds_key(found(values), made, "another")
    assert not holds_key(found(values, None), made, SECRET)
    assert not holds_key(found(values, "AKIAOTHER"), made, SECRET)
    for key in values:
        assert not holds_key(found({**values, key: "x"}), made, SECRET)
        assert not holds_key(found({each: values[each] for each in values if each != key}), made, SECRET)
    assert not holds_key(found({**values, "more": ""}), made, SECRET)


def test_a_secret_without_its_mark_tells_its_key_by_its_values() -> None:
    own = content(secretKeys={"accessKeyId": "MY_ID"}).data(SECRET)
    assert tells_key(found(own), KEY_ID)
    assert not tells_key(found({"ACCESS_KEY": "edited"}), KEY_ID)  # whatever its mark says
    assert not tells_key(found(own, "AKIAOTHER"), KEY_ID)
    assert tells_key(found(own, None), KEY_ID)
    assert tells_key(found(COOPER_DATA, None), KEY_ID)
    assert not tells_key(found({**COOPER_DATA, "ACCESS_KEY": "AKIAOTHER"}, None), KEY_ID)
