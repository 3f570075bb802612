"""What others got wrong about signatures: each row the right error."""

import re

import pytest

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.paths import parse_target
from cooper_gateway.protocol.sigv4 import Claim, parse_claim, verify
from support import s3_signing as signing

NOW = signing.NOW


def refusal(request: Request, now: float = NOW, region: str | None = None) -> S3Error:
    """How a request is refused, at reading its claim or at verifying it."""
    with pytest.raises(S3Error) as caught:
        claim = parse_claim(request, now, region)
        assert claim is not None, "the request passed as anonymous"
        verify(claim, signing.key())
    return caught.value


def accepted(request: Request, now: float = NOW, region: str | None = None) -> Claim:
    claim = parse_claim(request, now, region)
    assert claim is not None
    verify(claim, signing.key())
    return claim


def with_query(request: Request, name: str, value: str | None) -> Request:
    """The presigned request with one parameter replaced, or left out; its signature stays what it was."""
    pattern = re.compile(rf"&?{re.escape(name)}=[^&]*".encode())
    query = pattern.sub(b"", request.query_string).lstrip(b"&")
    if value is not None:
        query += f"&{name}={value}".encode()
    made = Request(request.method, request.path, query, dict(request.headers))
    parse_target(made)
    return made


def authorization(change: tuple[str, str]) -> Request:
    request = signing.signed("GET", "/photos/a")
    before = request.headers["authorization"]
    request.headers["authorization"] = before.replace(*change)
    assert request.headers["authorization"] != before
    return request


WRONG_SECRET = {"secret": "another"}


@pytest.mark.parametrize("sign", [signing.signed, signing.presigned])
@pytest.mark.parametrize("fields", [{"secret": "another"}, {"secret": ""}, {"region": "elsewhere"}])
def test_a_wrong_signature(sign, fields):
    assert refusal(sign("GET", "/photos/a", **fields)).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("form", ["STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"])
def test_a_chunked_upload_is_verified_like_any_other(form):  # CVE-2025-31489
    request = signing.signed("PUT", "/photos/a", {"x-amz-decoded-content-length": "1"}, payload=form, **WRONG_SECRET)
    assert refusal(request).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("form", ["STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"])
@pytest.mark.parametrize("place", ["header", "query"])
def test_no_chunked_body_behind_credentials_in_the_query(form, place):  # CVE-2026-41145
    if place == "query":
        request = signing.presigned("PUT", f"/photos/a?X-Amz-Content-Sha256={form}")
    else:
        request = signing.presigned("PUT", "/photos/a", {"x-amz-content-sha256": form})
    assert refusal(request).code == "InvalidRequest"


def test_header_and_query_at_once():
    request = signing.presigned("GET", "/photos/a")
    request.headers |= signing.signed("GET", "/photos/a").headers
    assert refusal(request).code == "InvalidArgument"


@pytest.mark.parametrize(
    ("offset", "code"),
    [(900, None), (-900, None), (901, "RequestTimeTooSkewed"), (-901, "RequestTimeTooSkewed")],
)
def test_clock_skew_of_header_signatures(offset, code):
    request = signing.signed("GET", "/photos/a")
    if code is None:
        accepted(request, NOW + offset)
    else:
        assert refusal(request, NOW + offset).code == code


@pytest.mark.parametrize(
    ("expires", "offset", "code"),
    [
        (1, 0, None),
        (604_800, 604_799, None),
        (3600, 3599, None),
        (3600, 3600, "AccessDenied"),
        (604_800, 604_800, "AccessDenied"),
        (3600, -900, None),
        (3600, -901, "RequestTimeTooSkewed"),
        (604_801, 0, "AuthorizationQueryParametersError"),
        (0, 0, "AuthorizationQueryParametersError"),
        (-1, 0, "AuthorizationQueryParametersError"),
    ],
)
def test_lifetime_of_presigned_requests(expires, offset, code):
    request = signing.presigned("GET", "/photos/a", expires=expires)
    if code is None:
        accepted(request, NOW + offset)
    else:
        assert refusal(request, NOW + offset).code == code


@pytest.mark.parametrize(
    "text", ["", "x", "1e3", "3600.0", "%2B3600", "0x10", "9999999999999999999", "%D9%A1", "36%2000"]
)
def test_a_lifetime_that_is_no_number(text):
    request = with_query(signing.presigned("GET", "/photos/a"), "X-Amz-Expires", text)
    assert refusal(request).code == "AuthorizationQueryParametersError"


@pytest.mark.parametrize(
    "name",
    ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"],
)
def test_a_presigned_request_with_a_parameter_missing(name):
    error = refusal(with_query(signing.presigned("GET", "/photos/a"), name, None))
    assert (error.code, name in error.message) == ("AuthorizationQueryParametersError", True)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256", "AuthorizationQueryParametersError"),
        ("X-Amz-Credential", "AKIA%2F20270115%2Feu-test-1%2Fs3", "AuthorizationQueryParametersError"),
        ("X-Amz-Credential", "AKIA%2F20270115%2Feu-test-1%2Fiam%2Faws4_request", "AuthorizationQueryParametersError"),
        ("X-Amz-Credential", "AKIA%2F20270114%2Feu-test-1%2Fs3%2Faws4_request", "AuthorizationQueryParametersError"),
        ("X-Amz-Credential", "%2F20270115%2Feu-test-1%2Fs3%2Faws4_request", "AuthorizationQueryParametersError"),
        ("X-Amz-Date", "20270115", "AuthorizationQueryParametersError"),
        ("X-Amz-Date", "20279915T080000Z", "AuthorizationQueryParametersError"),
        ("X-Amz-SignedHeaders", "", "AuthorizationQueryParametersError"),
        ("X-Amz-SignedHeaders", "host%3B%3Brange", "AuthorizationQueryParametersError"),
        ("X-Amz-SignedHeaders", "host%0Arange", "AuthorizationQueryParametersError"),
        ("X-Amz-SignedHeaders", "range", "AccessDenied"),
        ("X-Amz-SignedHeaders", "host%3Brange", "SignatureDoesNotMatch"),
        ("X-Amz-Signature", "", "AuthorizationQueryParametersError"),
        ("X-Amz-Signature", "0" * 63, "AuthorizationQueryParametersError"),
        ("X-Amz-Signature", "0" * 64, "SignatureDoesNotMatch"),
        ("X-Amz-Signature", "G" * 64, "AuthorizationQueryParametersError"),
        ("X-Amz-Signature", "%D9%A1" * 64, "AuthorizationQueryParametersError"),
        ("X-Amz-Content-Sha256", "nonsense", "InvalidRequest"),
        ("X-Amz-Content-Sha256", "a" * 64, "SignatureDoesNotMatch"),
    ],
)
def test_a_presigned_request_with_a_parameter_changed(name, value, code):
    assert refusal(with_query(signing.presigned("GET", "/photos/a"), name, value)).code == code


def test_a_signed_digest_in_the_query_is_kept():
    digest = "a" * 64
    request = signing.presigned("PUT", "/photos/a")
    assert accepted(request).payload == "UNSIGNED-PAYLOAD"
    header = with_query(request, "X-Amz-Content-Sha256", digest)
    header.headers["x-amz-content-sha256"] = "b" * 64
    assert refusal(header).code == "InvalidRequest"


@pytest.mark.parametrize("sign", [signing.signed, signing.presigned])
@pytest.mark.parametrize("name", ["x-amz-meta-a", "x-amz-acl", "x-amz-copy-source", "x-amz-content-sha256", "x-amz-"])
def test_every_x_amz_header_must_be_signed(sign, name):
    request = sign("PUT", "/photos/a")
    if name in request.headers:
        request.headers["authorization"] = request.headers["authorization"].replace(f"{name};", "")
    else:
        request.headers[name] = "UNSIGNED-PAYLOAD"
    error = refusal(request)
    assert (error.code, name in error.message) == ("AccessDenied", True)


def test_a_header_that_came_out_of_the_signed_query_needs_no_other_signature():
    request = signing.presigned("PUT", "/photos/a?x-amz-meta-colour=red")
    accepted(request)
    assert request.headers.pop("x-amz-meta-colour") == "red"
    changed = with_query(request, "x-amz-meta-colour", "blue")
    assert changed.headers["x-amz-meta-colour"] == "blue"
    assert refusal(changed).code == "SignatureDoesNotMatch"


def test_the_host_must_be_signed():
    assert refusal(authorization(("SignedHeaders=host;", "SignedHeaders="))).code == "AccessDenied"


def test_a_signed_header_that_did_not_arrive():
    request = signing.signed("GET", "/photos/a", {"range": "bytes=0-1"})
    del request.headers["range"]
    error = refusal(request)
    assert (error.code, "range" in error.message) == ("SignatureDoesNotMatch", True)


@pytest.mark.parametrize(
    ("sent", "arrived"), [("a   b", "a b"), ("a b", "a    b"), (" a b ", "a b"), ("a b", "\t a b \t"), ("a", "a")]
)
def test_spaces_of_header_values_do_not_matter(sent, arrived):
    request = signing.signed("PUT", "/photos/a", {"x-amz-meta-a": sent})
    request.headers["x-amz-meta-a"] = arrived
    accepted(request)


def test_non_ascii_metadata_is_signed_by_its_bytes():
    value = "grün".encode().decode("latin-1")
    request = signing.signed("PUT", "/photos/a", {"x-amz-meta-a": "gr\u00fcn"})
    request.headers["x-amz-meta-a"] = value
    accepted(request)
    request.headers["x-amz-meta-a"] = "gr\u00fcn"
    assert refusal(request).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("/s3/", "/iam/"), "AuthorizationHeaderMalformed"),
        (("/s3/aws4_request", "/s3"), "AuthorizationHeaderMalformed"),
        (("aws4_request", "aws4_requesT"), "AuthorizationHeaderMalformed"),
        (("/20270115/", "/20270114/"), "AuthorizationHeaderMalformed"),
        (("/20270115/", "/2027011/"), "AuthorizationHeaderMalformed"),
        (("/20270115/", "/\u0662\u0660270115/"), "AuthorizationHeaderMalformed"),
        ((f"{signing.KEY_ID}/", "/"), "AuthorizationHeaderMalformed"),
        ((signing.KEY_ID, "k" * 129), "AuthorizationHeaderMalformed"),
        (("SignedHeaders=host;", "SignedHeaders=Host;"), "AuthorizationHeaderMalformed"),
        (("SignedHeaders=host;", "SignedHeaders=host;;"), "AuthorizationHeaderMalformed"),
        (("SignedHeaders=host;", "SignedHeaders=" + "host;" * 600), "AuthorizationHeaderMalformed"),
        (("Signature=", "Signature=0"), "AuthorizationHeaderMalformed"),
        (("Signature=", "Signature=\u0661"), "AuthorizationHeaderMalformed"),
        (("Signature=", "Sig="), "AuthorizationHeaderMalformed"),
        (("Credential=", "Credential=A/20270115/r/s3/aws4_request, Credential="), "AuthorizationHeaderMalformed"),
        (("Credential=", "Extra=1, Credential="), "AuthorizationHeaderMalformed"),
        (("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), "InvalidRequest"),
        (("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), "InvalidRequest"),
        (("AWS4-HMAC-SHA256 ", ""), "InvalidRequest"),
    ],
)
def test_malformed_authorization_headers(change, code):
    assert refusal(authorization(change)).code == code


@pytest.mark.parametrize("change", [(", ", ","), (", ", ",  "), ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256   ")])
def test_how_clients_space_the_header(change):
    accepted(authorization(change))


def test_the_parts_in_another_order():
    request = signing.signed("GET", "/photos/a")
    scheme, _, rest = request.headers["authorization"].partition(" ")
    request.headers["authorization"] = f"{scheme} {', '.join(reversed(rest.split(', ')))}"
    accepted(request)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("AWS AKIAEXAMPLE:c2lnbmF0dXJl", "Signature Version 2"),
        ("Bearer eyJhbGciOiJub25lIn0.e30.", "bearer token"),
        ("Basic YTpi", "SigV4|Version 4"),
        ("", "Version 4"),
        ("\u00ff", "Version 4"),
    ],
)
def test_other_ways_to_authenticate_are_refused_clearly(value, wanted):
    request = signing.request("GET", "/photos/a", {"authorization": value})
    error = refusal(request)
    assert error.code == "InvalidRequest"
    assert re.search(wanted, error.message)


def test_signature_version_2_in_the_query():
    request = signing.request("GET", "/photos/a?AWSAccessKeyId=A&Signature=x&Expires=1")
    error = refusal(request)
    assert error.code == "InvalidRequest"
    assert re.search("Signature Version 2, .* Presign with AWS Signature Version 4", error.message)


@pytest.mark.parametrize("value", ["", "20270115", "yesterday", "20270115T080000Z, 20270115T080000Z", "\u0662" * 16])
def test_a_date_that_is_none(value):
    request = signing.signed("GET", "/photos/a")
    request.headers["x-amz-date"] = value
    assert refusal(request).code == "AccessDenied"


def test_no_date_at_all():
    request = signing.signed("GET", "/photos/a")
    del request.headers["x-amz-date"]
    assert refusal(request).code == "AccessDenied"


def test_the_date_header_serves_where_x_amz_date_is_absent():
    request = signing.signed("GET", "/photos/a", {"Date": "to be set by the signer"})
    assert "x-amz-date" not in request.headers
    accepted(request)
    request.headers["date"] = "Fri, 15 Jan 2027 08:00:01 GMT"
    assert refusal(request).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "MissingSecurityHeader"),
        ("", "InvalidRequest"),
        ("A" * 64, "InvalidRequest"),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "InvalidRequest"),
        ("unsigned-payload", "InvalidRequest"),
        ("a" * 64, "SignatureDoesNotMatch"),
    ],
)
def test_payload_forms(value, code):
    request = signing.signed("PUT", "/photos/a")
    request.headers.pop("x-amz-content-sha256")
    if value is not None:
        request.headers["x-amz-content-sha256"] = value
    assert refusal(request).code == code


def test_the_region_matters_only_when_it_should():
    request = signing.signed("GET", "/photos/a")
    accepted(request)
    accepted(request, region=signing.REGION)
    error = refusal(request, region="elsewhere")
    assert (error.code, "elsewhere" in error.message) == ("AuthorizationHeaderMalformed", True)
    assert (
        refusal(signing.presigned("GET", "/photos/a"), region="elsewhere").code == "AuthorizationQueryParametersError"
    )


@pytest.mark.parametrize("sign", [signing.signed, signing.presigned])
def test_the_public_path_is_anonymous_whatever_it_carries(sign):
    assert parse_claim(sign("GET", "/public/photos/a", **WRONG_SECRET), NOW) is None


def test_without_a_signature_a_request_is_anonymous():
    assert parse_claim(signing.request("GET", "/photos/a?x-amz-signature=0", {"x-amz-date": "nonsense"}), NOW) is None


@pytest.mark.parametrize("path", ["/photos/a/../b/key", "/photos/%2e%2e/b/key", "/photos//b/key"])
def test_paths_are_signed_as_they_are(path):  # CVE-2026-54917
    request = signing.signed("GET", "/photos/b/key")
    moved = signing.request("GET", path, request.headers)
    assert refusal(moved).code == "SignatureDoesNotMatch"
    accepted(signing.signed("GET", path.replace("%2e", ".")))


def test_a_claim_shows_no_signature():
    claim = accepted(signing.signed("GET", "/photos/a"))
    assert claim.signature not in repr(claim)
    assert signing.KEY_ID in repr(claim)
