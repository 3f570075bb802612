"""Wishes: CreateBucket requests that wait. Which may be kept is decided here, for every backend. Pure.

asked ──operator──► made, or refused ──told to the client──► forgotten
  └──too old──► forgotten
"""

from collections.abc import Iterable
from typing import Final

from cooper_gateway.storage.port import NameAskedFor, Overloaded, Wish

#: Milliseconds that a wish is kept. The operator acts on none that is as old, so that no bucket comes out of the blue.
KEPT: Final = 15 * 60 * 1000
#: Wishes of one key, of all keys of a namespace, and of all, at a time. What has an outcome counts until it is told or
#: forgotten.
MOST_OF_A_KEY: Final = 16
MOST_OF_A_NAMESPACE: Final = 32
MOST: Final = 1024


def admit(wish: Wish, held: Iterable[Wish]) -> tuple[list[str], bool]:
    """Names of the wishes that are to be forgotten, and whether this one is to be kept, in place of any for its name.

    Raises NameAskedFor, Overloaded.
    """
    old: list[str] = []
    others: list[Wish] = []
    same: Wish | None = None
    for each in held:
        if each.asked_at + KEPT < wish.asked_at:
            old.append(each.bucket)
        elif each.bucket == wish.bucket:
            same = each
        else:
            others.append(each)
    if same is not None and not same.outcome:
        if same.access_key_id != wish.access_key_id:
            raise NameAskedFor
        return old, False
    own = sum(each.access_key_id == wish.access_key_id for each in others)
    near = sum(each.namespace == wish.namespace for each in others)
    if own >= MOST_OF_A_KEY or near >= MOST_OF_A_NAMESPACE or len(others) >= MOST:
        raise Overloaded("too many buckets are asked for at once")
    return old, True
