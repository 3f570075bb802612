"""CORS rules: which one counts, what is answered, and what no origin or list of headers can bring about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooper_crds.records import CorsRule
from cooper_gateway.access.cors import MAX_ASKED, VARIES, Asked, actual, asked_for, preflight

APP = "https://app.example.com"
ANY = CorsRule(("*",), ("GET",))
OWN = CorsRule((APP, "https://*.team.example"), ("GET", "PUT"), ("content-type", "X-Amz-*"), ("ETag", "x-a"), 600)


def ask(origin: str = APP, method: str = "PUT", headers: str | None = None) -> Asked:
    sent = {"origin": origin, "access-control-request-method": method}
    asked = asked_for(sent if headers is None else {**sent, "access-control-request-headers": headers})
    assert asked is not None
    return asked


def test_preflight_says_all_that_the_rule_does() -> None:
    assert preflight((OWN,), ask(headers="Content-Type, x-amz-date,,x-amz-date")) == {
        "Access-Control-Allow-Origin": APP,
        "Access-Control-Allow-Methods": "GET, PUT",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Headers": "content-type, x-amz-date",
        "Access-Control-Expose-Headers": "ETag, x-a",
        "Access-Control-Max-Age": "600",
        "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
    }


def test_any_origin_is_answered_with_an_asterisk_and_no_credentials() -> None:
    for answer in (preflight((ANY,), ask(method="GET")), actual((ANY,), APP, "GET"), actual((ANY,), "null", "GET")):
        assert answer is not None
        assert answer["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer


def test_the_first_rule_that_fits_counts() -> None:
    assert actual((OWN, ANY), APP, "GET")["Access-Control-Allow-Origin"] == APP
    assert actual((ANY, OWN), APP, "GET")["Access-Control-Allow-Origin"] == "*"
    assert actual((ANY, OWN), APP, "PUT")["Access-Control-Allow-Origin"] == APP
    # Headers that the first lacks, the second has.
    asked = ask(method="GET", headers="content-type")
    assert (preflight((ANY, OWN), asked) or {})["Access-Control-Allow-Origin"] == APP


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com:444",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "https://team.example",
        "https://a.team.example.evil.example",
        "https://evil.example/.team.example",
        "https://evil.example?.team.example",
        "https://a b.team.example",
        "https://a,https://b.team.example",
        "https://a.team.example,https://a.team.example",
        "https://" + "a" * 600 + ".team.example",
        "null",
        "",
        "*",
    ],
)
def test_another_origin_is_told_nothing(origin: str) -> None:
    assert preflight((OWN,), ask(origin)) is None
    assert actual((OWN,), origin, "GET") == VARIES


@pytest.mark.parametrize("method", ["DELETE", "get", "", "*", "GET, PUT"])
def test_another_method_is_refused(method: str) -> None:
    assert preflight((OWN,), ask(method=method)) is None
    assert actual((OWN,), APP, method) == VARIES


@pytest.mark.parametrize("headers", ["x-other", "content-type, x-other", "content type", "x-amz-\r\n", "(x)", "x-am"])
def test_other_headers_are_refused(headers: str) -> None:
    assert preflight((OWN,), ask(headers=headers)) is None


def test_a_list_of_headers_without_end_is_refused() -> None:
    names = [f"x-amz-{number}" for number in range(MAX_ASKED + 1)]
    assert preflight((OWN,), ask(headers=",".join(names))) is None
    assert preflight((OWN,), ask(headers=",".join(names[1:]))) is not None


def test_a_bucket_without_rules_says_what_one_says_whose_rules_do_not_fit() -> None:
    assert preflight((), ask()) is None
    assert actual((), APP, "GET") == actual((OWN,), "https://evil.example", "GET") == VARIES


def test_what_lacks_its_origin_or_method_is_no_preflight() -> None:
    assert asked_for({"origin": APP}) is None
    assert asked_for({"access-control-request-method": "GET"}) is None


_ORIGINS = st.text(st.characters(max_codepoint=255), max_size=40) | st.builds(
    "{}://{}{}".format, st.sampled_from(["http", "https", "a\n"]), st.text(max_size=20), st.just(".team.example")
)


@given(_ORIGINS, st.text(st.characters(max_codepoint=255), max_size=60))
def test_whatever_is_sent_no_answer_has_more_than_was_allowed(origin: str, headers: str) -> None:
    """An origin is sent back whole and only as one; nothing can end a header, and no header is let in beside others."""
    answer = preflight((OWN,), ask(origin, headers=headers))
    if answer is None:
        return
    assert answer["Access-Control-Allow-Origin"] == origin
    assert origin == APP or (origin.startswith("https://") and origin.endswith(".team.example"))
    assert not set(origin) & set("\r\n\t ,/?#@") - {"/"}
    for name in filter(None, answer.get("Access-Control-Allow-Headers", "").split(", ")):
        assert name == "content-type" or name.startswith("x-amz-")
    assert not any(set(value) & set("\r\n\0") for value in answer.values())


@given(st.text("ab", max_size=6), st.text("ab", max_size=3), st.text("ab", max_size=3))
def test_an_asterisk_stands_for_any_characters(text: str, start: str, end: str) -> None:
    rule = CorsRule((f"http://{start}*{end}",), ("GET",))
    fits = len(text) >= len(start) + len(end) and text.startswith(start) and text.endswith(end) and text != ""
    assert ("Access-Control-Allow-Origin" in actual((rule,), f"http://{text}", "GET")) == fits
