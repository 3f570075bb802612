"""One table of operations: what it serves, and that nothing else is."""

import itertools

import pytest

from cooper_crds.actions import GRANTABLE_ACTIONS, OPERATE
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.paths import parse_target
from cooper_gateway.protocol.routes import NOT_SERVED, PARAMETERS, ROUTES, match

PATHS = {"service": b"/", "bucket": b"/photos", "object": b"/photos/a/b"}


def asked(method: str, path: bytes, query: str = "", **headers: str) -> Request:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(method, path, query.encode(), sent)
    parse_target(request)
    return request


def refusal(request: Request) -> tuple[str, str]:
    with pytest.raises(S3Error) as caught:
        match(request)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_every_row_is_reached_with_all_its_parameters(route):
    pairs = [part if "=" in part else f"{part}=1" for part in route.selector]
    pairs += [f"{name}=x" for name in PARAMETERS[route.operation]]
    headers = {route.header: "photos/b"} if route.header else {}
    for query in ("&".join(pairs), "&".join([*pairs, "x-id=X", "X-Amz-Date=1", "versionId=null"])):
        request = Request(route.method, PATHS[route.scope], query.encode(), dict(headers))
        parse_target(request)
        assert match(request) is route


def test_rows_are_distinct_and_their_actions_known():
    keys = [(route.method, route.scope, route.selector, route.header) for route in ROUTES]
    assert len(set(keys)) == len(keys)
    assert {route.operation for route in ROUTES} == PARAMETERS.keys()
    assert {route.action for route in ROUTES} <= {None, OPERATE, *GRANTABLE_ACTIONS}


@pytest.mark.parametrize(("name", "scope"), [*itertools.product(sorted(NOT_SERVED), ("bucket", "object"))])
def test_sub_resources_are_not_implemented(name, scope):
    for method, query in itertools.product(("GET", "HEAD", "PUT", "POST", "DELETE"), (name, f"{name}=1")):
        code, message = refusal(asked(method, PATHS[scope], query))
        assert code == "NotImplemented"
        assert name in message


@pytest.mark.parametrize(
    ("method", "path", "query", "code"),
    [
        ("POST", b"/photos", "newSubresource", "NotImplemented"),
        ("PUT", b"/", "", "MethodNotAllowed"),
        ("POST", b"/", "", "MethodNotAllowed"),
        ("HEAD", b"/", "", "MethodNotAllowed"),
        ("POST", b"/photos/a", "", "MethodNotAllowed"),
        ("OPTIONS", b"/photos/a", "", "MethodNotAllowed"),
        ("PATCH", b"/photos/a", "", "MethodNotAllowed"),
        ("TRACE", b"/photos/a", "acl", "MethodNotAllowed"),
        ("get", b"/photos/a", "", "MethodNotAllowed"),
        ("GET", b"/photos", "list-type=3", "NotImplemented"),
        ("GET", b"/photos", "list-type", "NotImplemented"),
        ("GET", b"/photos", "location&acl", "NotImplemented"),
        ("GET", b"/photos", "delete", "NotImplemented"),
        ("GET", b"/photos/a", "uploads", "NotImplemented"),
        ("GET", b"/photos/a", "list-type=2", "NotImplemented"),
        ("GET", b"/photos/a", "newSubresource", "NotImplemented"),
        ("GET", b"/photos/a", "versionId=abc", "NotImplemented"),
        ("PUT", b"/photos/a", "uploadId=x", "NotImplemented"),
        ("PUT", b"/photos/a", "partNumber=1", "NotImplemented"),
        ("PUT", b"/photos/a", "newSubresource=1", "NotImplemented"),
        ("PUT", b"/photos/a", "uploads", "NotImplemented"),
        ("DELETE", b"/photos/a", "uploads", "NotImplemented"),
        ("DELETE", b"/photos/a", "versionId=abc", "NotImplemented"),
        ("PUT", b"/photos", "v=1", "NotImplemented"),
        ("DELETE", b"/photos", "v=1", "NotImplemented"),
        ("POST", b"/photos/a", "delete", "NotImplemented"),
    ],
)
def test_what_is_not_in_the_table_is_denied(method, path, query, code):
    assert refusal(asked(method, path, query))[0] == code


@pytest.mark.parametrize(
    ("method", "path", "query", "operation"),
    [
        ("GET", b"/photos/a", "v=3", "GetObject"),  # against caches
        ("GET", b"/public/photos/a", "v=3", "GetObject"),
        ("GET", b"/photos/a", "versionId=null", "GetObject"),
        ("GET", b"/photos", "location=", "GetBucketLocation"),
        ("PUT", b"/photos/a", "x-id=PutObject", "PutObject"),
        ("POST", b"/photos", "", "PostObject"),
        ("POST", b"/photos/", "", "PostObject"),
        ("PUT", b"/photos/a", "partNumber=1&uploadId=u&x-id=UploadPart", "UploadPart"),
        ("POST", b"/photos/a", "uploads=", "CreateMultipartUpload"),
        ("DELETE", b"/photos/a", "uploadId=u", "AbortMultipartUpload"),
    ],
)
def test_what_clients_add(method, path, query, operation):
    assert match(asked(method, path, query)).operation == operation


@pytest.mark.parametrize(
    ("header", "value", "served"),
    [
        ("x-amz-acl", "public-read", True),
        ("x-amz-storage-class", "GLACIER", True),
        ("x-amz-server-side-encryption", "AES256", True),
        ("x-amz-server-side-encryption", "aws:kms", True),
        ("x-amz-tagging", "", True),
        ("x-amz-tagging", "a=b", False),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", False),
        ("x-amz-server-side-encryption-customer-key", "x", False),
        ("x-amz-server-side-encryption-aws-kms-key-id", "x", False),
        ("x-amz-object-lock-mode", "COMPLIANCE", False),
        ("x-amz-write-offset-bytes", "5", False),
    ],
)
def test_headers_that_promise_what_is_not_done_are_refused(header, value, served):
    request = Request("PUT", b"/photos/a", b"", {header: value})
    parse_target(request)
    if served:
        assert match(request).operation == "PutObject"
    else:
        code, message = refusal(request)
        assert code == "NotImplemented"
        assert header in message


def test_a_method_that_is_not_allowed_names_those_that_are():
    with pytest.raises(S3Error) as caught:
        match(asked("PATCH", b"/photos"))
    assert caught.value.headers == {"Allow": "GET, HEAD, PUT, POST, DELETE"}
