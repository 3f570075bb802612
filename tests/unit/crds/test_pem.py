"""Certificates in manifests: what is taken, in which form it comes out, and what is refused."""

import re

import pytest

from cooper_crds.pem import BUNDLE_PATTERN, blocks_of, certificate_bundle
from support.tls import authority, serving

ONE, OTHER = authority().certificate, authority("another").certificate
TAKEN = {
    "one": (ONE, ONE),
    "several": (ONE + OTHER, ONE + OTHER),
    "of a server": (serving_ := serving().certificate, serving_),
    "without a line's end": (ONE.rstrip("\n"), ONE),
    "with lines between": (f"\n{ONE}\n\n{OTHER}\n\n", ONE + OTHER),
    "as Windows writes it": (ONE.replace("\n", "\r\n"), ONE),
    "in one line": (re.sub(r"(?<=[^-])\n(?=[^-])", "", ONE), ONE),
}
REFUSED = {
    "nothing": "",
    "a word": "certificate",
    "an empty block": "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    "a key": authority().key,
    "a certificate and its key": ONE + authority().key,
    "a comment": f"# mine\n{ONE}",
    "no end": ONE.replace("-----END CERTIFICATE-----", ""),
    "no line between": ONE.rstrip("\n") + OTHER,
    "all on one line": ONE.replace("\n", ""),
    "spaces": ONE.replace("\n", "\n "),
    "a request": ONE.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
    "another kind": ONE.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
}
#: Of the right form, so that an API server takes them.
BROKEN = {
    "a piece": "\n".join([*ONE.splitlines()[:3], ONE.splitlines()[-1]]),
    "not base64": ONE.replace("\nMII", "\n=MII", 1),
    "something else": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
}


@pytest.mark.parametrize("case", TAKEN)
def test_taken(case: str) -> None:
    given, result = TAKEN[case]
    assert re.search(BUNDLE_PATTERN, given)
    assert certificate_bundle(given) == result
    assert certificate_bundle(result) == result


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_its_form(case: str) -> None:
    assert not re.search(BUNDLE_PATTERN, REFUSED[case])
    with pytest.raises(ValueError, match="nothing else"):
        certificate_bundle(REFUSED[case])


@pytest.mark.parametrize("case", BROKEN)
def test_refused_by_what_it_holds(case: str) -> None:
    assert re.search(BUNDLE_PATTERN, BROKEN[case])
    with pytest.raises(ValueError, match="what block 2 of 3 holds is none"):
        certificate_bundle(f"{ONE}{BROKEN[case]}\n{OTHER}")


def test_blocks_are_found_beside_other_things() -> None:
    assert blocks_of(f"# mine\n{ONE}some text\n{authority().key}{OTHER}") == [ONE, OTHER]
    assert blocks_of(authority().key) == []
