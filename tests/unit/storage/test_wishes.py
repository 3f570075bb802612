"""Which CreateBucket requests are kept: no tenant's may be all that there are."""

import pytest

from cooper_gateway.storage.port import Overloaded, Wish
from cooper_gateway.storage.wishes import KEPT, MOST_OF_A_KEY, MOST_OF_A_NAMESPACE, admit


def wish(number: int, key: str = "AKIA", namespace: str = "team", at: int = 0) -> Wish:
    return Wish(str(number), f"bucket-{number}", key, at, namespace=namespace)


def test_a_key_and_a_namespace_have_a_share() -> None:
    of_a_key = [wish(number) for number in range(MOST_OF_A_KEY)]
    with pytest.raises(Overloaded):
        admit(wish(99), of_a_key)
    assert admit(wish(99, "AKIAOTHER"), of_a_key) == ([], True)
    of_a_namespace = [wish(number, f"AKIA{number}") for number in range(MOST_OF_A_NAMESPACE)]
    with pytest.raises(Overloaded):
        admit(wish(99), of_a_namespace)
    assert admit(wish(99, namespace="other"), of_a_namespace) == ([], True)


def test_what_is_too_old_counts_for_nobody() -> None:
    old = [wish(number) for number in range(MOST_OF_A_KEY)]
    forgotten, kept = admit(wish(99, at=KEPT + 1), old)
    assert (len(forgotten), kept) == (MOST_OF_A_KEY, True)
