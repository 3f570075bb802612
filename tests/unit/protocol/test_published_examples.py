"""The worked examples of the Amazon S3 API Reference ("Authenticating Requests"), signature by signature."""

import base64
from calendar import timegm

import pytest

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.paths import parse_query
from cooper_gateway.protocol.payload import payload_decoder
from cooper_gateway.protocol.post_policy import check_policy, read_policy
from cooper_gateway.protocol.sigv4 import EMPTY_SHA256, form_claim, parse_claim, signing_key, verify

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY = signing_key(SECRET, "20130524", "us-east-1")
NOW = float(timegm((2013, 5, 24, 0, 0, 0)))
CREDENTIAL = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"


def example(method: str, path: bytes, query: bytes, headers: dict[str, str], signature: str) -> Request:
    sent = {"host": "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z"} | headers
    names = ";".join(sorted(sent))
    sent["authorization"] = f"AWS4-HMAC-SHA256 Credential={CREDENTIAL},SignedHeaders={names},Signature={signature}"
    return Request(method, path, query, sent, query=parse_query(query))


GET = example(
    "GET",
    b"/test.txt",
    b"",
    {"range": "bytes=0-9", "x-amz-content-sha256": EMPTY_SHA256},
    "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
)
PUT_BODY = b"Welcome to Amazon S3."
PUT = example(
    "PUT",
    b"/test$file.text",
    b"",
    {
        "date": "Fri, 24 May 2013 00:00:00 GMT",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "x-amz-content-sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    },
    "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
)
LIFECYCLE = example(
    "GET",
    b"/",
    b"lifecycle",
    {"x-amz-content-sha256": EMPTY_SHA256},
    "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
)
LIST = example(
    "GET",
    b"/",
    b"prefix=J&max-keys=2",
    {"x-amz-content-sha256": EMPTY_SHA256},
    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
)
PRESIGNED_QUERY = (
    b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    b"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    b"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)
PRESIGNED = Request(
    "GET",
    b"/test.txt",
    PRESIGNED_QUERY,
    {"host": "examplebucket.s3.amazonaws.com"},
    query=parse_query(PRESIGNED_QUERY),
)


@pytest.mark.parametrize(
    "request_", [GET, PUT, LIFECYCLE, LIST, PRESIGNED], ids=["get", "put", "lifecycle", "list", "presigned"]
)
def test_signatures(request_):
    claim = parse_claim(request_, NOW)
    assert claim is not None
    assert claim.access_key_id == "AKIAIOSFODNN7EXAMPLE"
    verify(claim, KEY)
    with pytest.raises(S3Error, match="signature does not match"):
        verify(claim, signing_key(SECRET, "20130524", "us-east-2"))


def test_put_body():
    decoder = payload_decoder(PUT, parse_claim(PUT, NOW), KEY)
    assert decoder.feed(PUT_BODY) == [PUT_BODY]
    decoder.finish()


def test_chunks():
    upload = example(
        "PUT",
        b"/examplebucket/chunkObject.txt",
        b"",
        {
            "host": "s3.amazonaws.com",
            "content-encoding": "aws-chunked",
            "content-length": "66824",
            "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "x-amz-decoded-content-length": "66560",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
        },
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    )
    claim = parse_claim(upload, NOW)
    assert claim is not None
    verify(claim, KEY)
    decoder = payload_decoder(upload, claim, KEY)
    body = (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
        + b"a" * 65536
        + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
        + b"a" * 1024
        + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
    )
    assert decoder.size == 66560
    assert len(body) == 66824
    assert b"".join(decoder.feed(body)) == b"a" * 66560
    decoder.finish()


def test_chunks_with_a_trailer():
    upload = example(
        "PUT",
        b"/examplebucket/chunkObject.txt",
        b"",
        {
            "host": "s3.amazonaws.com",
            "content-encoding": "aws-chunked",
            "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": "66560",
            "x-amz-storage-class": "REDUCED_REDUNDANCY",
            "x-amz-trailer": "x-amz-checksum-crc32c",
        },
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    )
    claim = parse_claim(upload, NOW)
    assert claim is not None
    verify(claim, KEY)
    decoder = payload_decoder(upload, claim, KEY)
    body = (
        b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n"
        + b"a" * 65536
        + b"\r\n400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n"
        + b"a" * 1024
        + b"\r\n0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
        + b"x-amz-checksum-crc32c:sOO8/Q==\n\r\n"
        + b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
    )
    assert b"".join(decoder.feed(body)) == b"a" * 66560
    decoder.finish()
    assert dict(decoder.trailers) == {"x-amz-checksum-crc32c": "sOO8/Q=="}


#: "Example: Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)"
POLICY = b"""{ "expiration": "2015-12-30T12:00:00.000Z",\r
  "conditions": [\r
    {"bucket": "sigv4examplebucket"},\r
    ["starts-with", "$key", "user/user1/"],\r
    {"acl": "public-read"},\r
    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},\r
    ["starts-with", "$Content-Type", "image/"],\r
    {"x-amz-meta-uuid": "14365123651274"},\r
    {"x-amz-server-side-encryption": "AES256"},\r
    ["starts-with", "$x-amz-meta-tag", ""],\r
\r
    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},\r
    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},\r
    {"x-amz-date": "20151229T000000Z" }\r
  ]\r
}"""
FORM = {
    "key": "user/user1/cat.png",
    "acl": "public-read",
    "success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
    "content-type": "image/jpeg",
    "x-amz-meta-uuid": "14365123651274",
    "x-amz-server-side-encryption": "AES256",
    "x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request",
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-date": "20151229T000000Z",
    "x-amz-meta-tag": "",
    "policy": base64.b64encode(POLICY).decode(),
    "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
}


def test_a_form():
    now = float(timegm((2015, 12, 29, 12, 0, 0)))
    claim = form_claim(FORM, now, "us-east-1")
    assert claim is not None
    verify(claim, signing_key(SECRET, claim.date, claim.region))
    check_policy(read_policy(FORM["policy"]), FORM, "sigv4examplebucket", now)
