"""What an API server's refusals mean. Bodies are those of Kubernetes 1.34."""

import base64
import json
from typing import Any

import pytest

from cooper_operator.cluster.kubernetes_errors import (
    Expired,
    NotAllowed,
    Terminating,
    answer_of,
    answer_of_status,
    error_of,
)
from cooper_operator.cluster.port import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Invalid,
    NamespaceGone,
    NotFound,
    Unavailable,
)


def status(code: int, reason: str, message: str = "", cause: str | None = None) -> bytes:
    details = {"causes": [{"reason": cause}]} if cause else {}
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    return json.dumps({**body, "details": details, "code": code}).encode()


NO_RIGHT = (
    'secrets "photos" is forbidden: User "system:serviceaccount:cooper-system:cooper-operator" cannot create resource '
    '"secrets" in API group "" in the namespace "default"'
)
QUOTA = 'secrets "photos" is forbidden: exceeded quota: few, requested: secrets=1, used: secrets=9, limited: secrets=9'
TERMINATING = (
    'secrets "photos" is forbidden: unable to create new content in namespace a because it is being terminated'
)
WEBHOOK = 'admission webhook "policy.example.com" denied the request: no Secrets on Fridays'


@pytest.mark.parametrize(
    ("code", "body", "raised", "said"),
    [
        (400, status(400, "BadRequest", 'strict decoding error: unknown field "spec.colour"'), Invalid, "spec.colour"),
        (401, status(401, "Unauthorized", "Unauthorized"), NotAllowed, "service account"),
        (403, status(403, "Forbidden", NO_RIGHT), NotAllowed, 'cannot create resource "secrets"'),
        (403, status(403, "Forbidden", NO_RIGHT), NotAllowed, "lacks this right"),
        (403, status(403, "Forbidden", QUOTA), Invalid, "exceeded quota"),
        (403, status(403, "Forbidden", TERMINATING, "NamespaceTerminating"), Terminating, "namespace is being deleted"),
        (404, status(404, "NotFound", 'buckets.cooper.dev "photos" not found'), NotFound, "not found"),
        (404, b"404 page not found\n", Unavailable, "CustomResourceDefinitions"),
        (405, status(405, "MethodNotAllowed", "the server does not allow this method"), Unavailable, "allow"),
        (409, status(409, "AlreadyExists", 'secrets "photos" already exists'), AlreadyExists, "exists"),
        (409, status(409, "Conflict", "the object has been modified"), Conflict, "modified"),
        (410, status(410, "Expired", "too old resource version"), Expired, "too old"),
        (413, b"limit is 3145728", Invalid, "limit"),
        (418, status(418, "Teapot", WEBHOOK), Invalid, "on Fridays"),
        (422, status(422, "Invalid", "spec.region: Invalid value: immutable"), Invalid, "spec.region"),
        (429, status(429, "TooManyRequests", "too many requests"), Unavailable, "too much to do"),
        (500, status(500, "InternalError", "failed calling webhook"), Unavailable, "webhook"),
        (503, b"upstream is away", Unavailable, "upstream is away"),
        (504, status(504, "Timeout", "request did not complete"), Unavailable, "did not complete"),
    ],
)
def test_refused_write(code: int, body: bytes, raised: type[ClusterError], said: str) -> None:
    error = error_of(answer_of(code, body), "Bucket default/photos", read=False)
    assert type(error) is raised
    assert str(error).startswith("Bucket default/photos: ")
    assert said in str(error)


@pytest.mark.parametrize("code", [400, 401, 403, 405, 409, 410, 413, 415, 418, 422, 429, 500, 503])
def test_refused_read_proves_nothing(code: int) -> None:
    error = error_of(answer_of(code, status(code, "Whatever", "no")), "all Buckets", read=True)
    assert isinstance(error, Unavailable)


def test_a_namespace_that_is_gone_is_named() -> None:
    body = {
        **json.loads(status(404, "NotFound", 'namespaces "films" not found')),
        "details": {"name": "films", "kind": "namespaces"},
    }
    error = error_of(answer_of(404, json.dumps(body).encode()), "Secret films/photos", read=False)
    assert isinstance(error, NamespaceGone)
    assert error.namespace == "films"


def test_only_a_status_proves_absence() -> None:
    proven = error_of(answer_of(404, status(404, "NotFound", "not found")), "Bucket default/photos", read=True)
    unproven = error_of(answer_of(404, b"404 page not found"), "Bucket default/photos", read=True)
    assert (type(proven), type(unproven)) == (NotFound, Unavailable)


def test_what_a_watch_tells_is_read_alike() -> None:
    told: dict[str, Any] = json.loads(status(410, "Expired", "too old resource version: 1 (2)"))
    assert isinstance(error_of(answer_of_status(told), "records", read=True), Expired)
    assert type(error_of(answer_of_status({"kind": "Status"}), "records", read=True)) is Unavailable


@pytest.mark.parametrize("shown", ["plain", "encoded"])
def test_secret_that_was_sent_is_in_no_message(shown: str) -> None:
    secret = "wJalrXUtnFEMI/K7MDENG"
    encoded = base64.b64encode(secret.encode()).decode()
    sent = {"kind": "Secret", "data": {"SECRET_KEY": encoded, "REMOVED": None}}
    text = f"webhook refused SECRET_KEY={secret if shown == 'plain' else encoded}"
    for body in (status(403, "Forbidden", text), text.encode()):
        said = str(error_of(answer_of(403, body, sent), "Secret default/photos", read=False))
        assert "SECRET_KEY=…" in said
        assert secret not in said
        assert encoded not in said


def test_message_of_any_length_is_cut() -> None:
    error = error_of(answer_of(422, status(422, "Invalid", "x" * 100_000)), "Bucket default/photos", read=False)
    assert len(str(error)) < 3000
