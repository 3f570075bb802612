"""Domains and suffixes: whole labels count, and the longest suffix decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooper_crds.domains import DomainSuffix, lets
from cooper_crds.host_names import MAX_DOMAIN, is_domain, is_under
from cooper_crds.kubernetes import record_name, secret_name
from cooper_crds.names import DNS_SUBDOMAIN, domain_record_name

SUFFIXES = [
    DomainSuffix(suffix="example.com"),
    DomainSuffix(suffix="films.example.com", namespaces=["films", "music"]),
    DomainSuffix(suffix="localhost", namespaces=["films"]),
]


@pytest.mark.parametrize(
    ("domain", "namespace", "may"),
    [
        ("a.example.com", "anyone", True),
        ("a.b.example.com", "anyone", True),
        ("example.com", "anyone", True),
        ("badexample.com", "anyone", False),
        ("example.com.evil.org", "anyone", False),
        ("a.films.example.com", "films", True),
        ("a.films.example.com", "music", True),
        ("a.films.example.com", "anyone", False),
        ("films.example.com", "anyone", False),
        ("xfilms.example.com", "anyone", True),
        ("photos.localhost", "films", True),
        ("photos.localhost", "music", False),
        ("photos.test", "films", False),
    ],
)
def test_the_longest_suffix_says_who_may_have_a_domain(domain: str, namespace: str, may: bool) -> None:
    assert lets(SUFFIXES, domain, namespace) is may
    assert lets(SUFFIXES[::-1], domain, namespace) is may
    assert lets([], domain, namespace) is False


@given(st.from_regex(r"[a-z0-9.-]{1,40}", fullmatch=True), st.from_regex(r"[a-z0-9.-]{1,40}", fullmatch=True))
def test_a_domain_is_under_what_its_labels_end_with(domain: str, suffix: str) -> None:
    labels, last = domain.split("."), suffix.split(".")
    assert is_under(domain, suffix) == (labels[-len(last) :] == last)


@given(st.text(st.sampled_from("ab1-.xnA_é\n"), max_size=MAX_DOMAIN))
def test_whatever_is_a_domain_names_a_record_that_every_source_can_hold(text: str) -> None:
    if not is_domain(text):
        return
    name = domain_record_name(text)
    assert DNS_SUBDOMAIN.fullmatch(name)
    assert record_name(secret_name(name)) == name
    assert not text.rpartition(".")[2][0].isdigit()
