"""CVE-2026-40344: one handler that forgets one way to authenticate. Every operation is asked in every wrong way."""

from collections.abc import Callable

import pytest

from cooper_gateway.protocol.routes import ROUTES, Route
from support.attack_field import Field
from support.raw_s3 import RawS3

pytestmark = pytest.mark.usefixtures("lives_and_holds_what_it_held")

STREAMING = (
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
)
WHERE = {"service": "/", "bucket": "/mine", "object": "/mine/a"}
CHUNKS = b"4\r\nevil\r\n0\r\n\r\n"


def target(route: Route) -> str:
    query = "&".join(each if "=" in each else f"{each}=1" for each in route.selector)
    return WHERE[route.scope] + (f"?{query}" if query else "")


def headers(route: Route) -> dict[str, str]:
    return {} if route.header is None else {route.header: "mine/a"}


def body(route: Route) -> bytes | None:
    return None if route.method in ("GET", "HEAD", "DELETE") else b"evil"


def presigned(key: RawS3, route: Route) -> tuple[str, dict[str, str]]:
    """Headers go into the query, as SDKs do it."""
    query = "&".join(f"{name}={value}" for name, value in headers(route).items())
    asked = target(route)
    return key.presign(route.method, asked + ("&" if "?" in asked else "?") + query if query else asked), {}


def asked(field: Field, route: Route, key: RawS3, payload: str) -> int:
    sent = body(route)
    more = {"x-amz-decoded-content-length": "4"} if payload in STREAMING else {}
    data = CHUNKS if payload in STREAMING else sent
    return key.send(key.request(route.method, target(route), {**headers(route), **more}, data, payload=payload)).status


#: A wrong way -> how it is asked, and the statuses that are right.
WAYS: dict[str, tuple[Callable[[Field, Route], int], set[int]]] = {
    "nobody": (lambda f, r: f.stranger.ask(r.method, target(r), headers(r), body(r)).status, {403}),
    "wrong secret": (lambda f, r: asked(f, r, wrong(f), "UNSIGNED-PAYLOAD"), {403}),
    "empty secret": (lambda f, r: asked(f, r, RawS3(f.rig.port, f.mine.key_id, ""), "UNSIGNED-PAYLOAD"), {403}),
    "unknown key": (lambda f, r: asked(f, r, RawS3(f.rig.port, "AKIANOBODY", ""), "UNSIGNED-PAYLOAD"), {403}),
    "presigned with the wrong secret": (
        lambda f, r: f.stranger.ask(r.method, *presigned(wrong(f), r), body(r)).status,
        {403},
    ),
    "presigned by nobody": (
        lambda f, r: f.stranger.ask(r.method, *presigned(RawS3(f.rig.port, "AKIANOBODY", ""), r), body(r)).status,
        {403},
    ),
    "SigV2": (
        lambda f, r: (
            f.stranger.ask(
                r.method, target(r), {**headers(r), "authorization": f"AWS {f.mine.key_id}:AAAA"}, body(r)
            ).status
        ),
        {400},
    ),
    "a bearer token": (
        lambda f, r: (
            f.stranger.ask(
                r.method, target(r), {**headers(r), "authorization": f"Bearer {f.mine.secret}"}, body(r)
            ).status
        ),
        {400},
    ),
    **{
        f"{form} with the wrong secret": (lambda f, r, form=form: asked(f, r, wrong(f), form), {403})
        for form in STREAMING
    },
}


def wrong(field: Field) -> RawS3:
    return RawS3(field.rig.port, field.mine.key_id, "wrong")


@pytest.mark.parametrize("way", WAYS)
def test_no_operation_takes_a_wrong_signature(field: Field, way: str) -> None:
    ask, right = WAYS[way]
    found = {f"{route.operation} ({route.method} {target(route)})": ask(field, route) for route in ROUTES}
    assert len(found) == len(ROUTES)
    assert {what: status for what, status in found.items() if status not in right} == {}


def test_the_public_path_reads_and_nothing_else(field: Field) -> None:
    """Whatever credentials are sent along, right ones too."""
    for route in ROUTES:
        if route.scope != "object" or route.operation in ("GetObject", "HeadObject"):
            continue
        path = target(route).replace("/mine/a", "/public/site/pub")
        for key in (field.stranger, field.site):
            answer = key.ask(route.method, path, headers(route), body(route))
            assert answer.status in (403, 405), (route, answer.raw)
