"""Rows of `cooper status`."""

from typing import Any

import pytest

from cooper_cli.status import HEADERS, readable_age, row
from cooper_operator.cluster.folder_report import remark
from cooper_operator.cluster.port import Ref

PHOTOS = Ref("Bucket", "default", "photos")
NOW = 1_700_000_100.0


def bucket(ready: str = "True", **metadata: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready, "reason": "Why", "message": "what to do"}]
    return {
        "kind": "Bucket",
        "metadata": {"name": "photos", "namespace": "default", "creationTimestamp": "2023-11-14T22:13:20Z"} | metadata,
        "spec": {},
        "status": {"conditions": conditions, "objects": 2, "size": "2Ki"},
    }


def cells(obj: dict[str, Any], type_: Any = None, text: str = "") -> dict[str, str]:
    return dict(zip(HEADERS, row(obj, remark(PHOTOS, type_, text) if type_ else None, NOW), strict=True))


def test_a_ready_resource_tells_what_it_is():
    found = cells(bucket())
    assert (found["READY"], found["REASON"], found["AGE"]) == ("True", "Why", "100s")
    assert found["DETAIL"] == "private, 2 objects, 2.0 KiB"


def test_a_bucket_tells_its_host_names_and_what_is_wrong_with_others():
    found = bucket()
    found["status"]["domains"] = ["a.example.com", "b.example.com"]
    found["status"]["conditions"].append({"type": "DomainsReady", "status": "True", "reason": "DomainsClaimed"})
    assert cells(found)["DETAIL"] == "private, 2 objects, 2.0 KiB, at a.example.com, b.example.com"
    found["status"]["conditions"][1] |= {"status": "False", "reason": "DomainTaken"}
    assert cells(found)["DETAIL"].endswith(", at a.example.com, b.example.com, DomainTaken")


def test_one_that_is_not_ready_tells_why():
    assert cells(bucket("False"))["DETAIL"] == "what to do"


def test_one_that_is_being_deleted_says_so():
    assert cells(bucket(deletionTimestamp="2023-11-14T22:14:00Z"))["REASON"] == "Deleting"
    assert cells(bucket(), "Vanished", "no file")["REASON"] == "Deleting"


@pytest.mark.parametrize(("type_", "reason"), [("NotApplied", "NotApplied"), ("Held", "FileVanished")])
def test_what_there_is_to_say_of_its_file_is_said(type_, reason):
    found = cells(bucket(), type_, "spec of a.yaml not applied: why")
    assert (found["READY"], found["REASON"]) == ("True", reason)
    assert found["DETAIL"] == "spec of a.yaml not applied: why"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (200_000, "2d")]
)
def test_an_age_is_written_as_kubectl_does(seconds, text):
    assert readable_age(seconds) == text
