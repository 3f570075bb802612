"""One table from what went wrong to what the client reads."""

from xml.etree import ElementTree

import pytest

from cooper_gateway.http.errors import error_response, subject, to_s3_error
from cooper_gateway.operations.store_codes import STORE_CODES, is_fault
from cooper_gateway.protocol.errors import CODES, S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.storage import port
from cooper_gateway.storage.port import NoSuchName, Overloaded, Refused, StoreError, StoreFailed, StoreFull


def test_every_fact_of_a_store_has_a_code() -> None:
    facts = {
        kind
        for kind in vars(port).values()
        if isinstance(kind, type) and issubclass(kind, StoreError) and kind not in (StoreError, Refused)
    }
    assert set(STORE_CODES) == facts
    assert set(STORE_CODES.values()) <= set(CODES)


@pytest.mark.parametrize(
    ("error", "knows", "code"),
    [
        (NoSuchName(), True, "NoSuchKey"),
        (NoSuchName(), False, "AccessDenied"),
        (S3Error("NoSuchKey"), False, "AccessDenied"),
        (S3Error("InvalidRange"), False, "InvalidRange"),
        (Refused("KeyAccessRevoked"), True, "KeyAccessRevoked"),
        (Overloaded(), True, "SlowDown"),
        (StoreError("new"), True, "InternalError"),
        (ValueError("secret"), True, "InternalError"),
    ],
)
def test_translation(error: Exception, knows: bool, code: str) -> None:
    hidden = S3Error("AccessDenied", "not told")
    translated = to_s3_error(error, None if knows else hidden)
    assert translated.code == code
    assert (translated is hidden) == (code == "AccessDenied")
    assert "secret" not in translated.message


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (S3Error("AccessDenied"), False),
        (NoSuchName(), False),
        (Overloaded(), False),
        (StoreFailed(), True),
        (StoreFull(), True),
        (KeyError("x"), True),
    ],
)
def test_faults_are_what_belongs_in_the_log(error: Exception, fault: bool) -> None:
    assert is_fault(error) is fault


def test_the_document_is_xml_whatever_is_in_it() -> None:
    error = S3Error("InvalidArgument", "<b>&\x00\x1b\ud800</b>")
    response = error_response(error, "/a<b>&%00", "ABC", "worker-0-of-1")
    assert isinstance(response.body, bytes)
    root = ElementTree.fromstring(response.body)
    assert {child.tag: child.text for child in root} == {
        "Code": "InvalidArgument",
        "Message": "<b>&\ufffd\ufffd\ufffd</b>",
        "Resource": "/a<b>&%00",
        "RequestId": "ABC",
        "HostId": "worker-0-of-1",
    }


@pytest.mark.parametrize(
    ("code", "header"), [("SlowDown", True), ("ServiceUnavailable", True), ("AccessDenied", False)]
)
def test_what_passes_says_when_to_try_again(code: str, header: bool) -> None:
    assert ("Retry-After" in error_response(S3Error(code), "/", "1", "1").headers) is header


def test_headers_of_the_error_are_kept() -> None:
    response = error_response(S3Error("InvalidRange", Content_Range="bytes */5"), "/", "1", "1")
    assert (response.status, response.headers["Content-Range"]) == (416, "bytes */5")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (S3Error("NoSuchKey"), {"Key": "a<b"}),
        (S3Error("NoSuchKey", None, {"Key": "the source"}), {"Key": "the source"}),
        (S3Error("NoSuchBucket"), {"BucketName": "photos"}),
        (S3Error("NoSuchUpload"), {"UploadId": "u&1"}),
        (S3Error("PreconditionFailed", None, {"Condition": "If-Match"}), {"Condition": "If-Match"}),
        (S3Error("AccessDenied"), {}),
    ],
)
def test_an_error_names_what_it_is_about(error: S3Error, told: dict[str, str]) -> None:
    request = Request("GET", b"/photos/a%3Cb", b"", {}, "photos", b"a<b", {"uploadId": "u&1"})
    response = error_response(error, "/photos/a%3Cb", "id", "host", subject(error, request))
    assert isinstance(response.body, bytes)
    found = {each.tag: each.text for each in ElementTree.fromstring(response.body)}
    usual = {"Code", "Message", "Resource", "RequestId", "HostId"}
    assert {name: text for name, text in found.items() if name not in usual} == told
