"""A hash of all that a bucket's entries are, kept in its row by the same transactions that change them.

The sum, modulo 2^256, of the BLAKE2b-256 of every entry: what is put adds to it, what goes is taken off, in any order,
for a microsecond. It finds what nobody misses otherwise: an entry that was lost, or one of former times that came back.
It has no key (docs/decisions/0029-set-hash-and-verify.md).
"""

import hashlib
from typing import Final

SIZE: Final = 32
EMPTY: Final = bytes(SIZE)

#: What an entry is. Parts bear their upload's id, and so are of one bucket.
OBJECT: Final = b"o"
UPLOAD: Final = b"u"
PART: Final = b"p"

_MODULUS: Final = 1 << 8 * SIZE
_PERSON: Final = b"cooper/set/1"


def element(kind: bytes, key: bytes, value: bytes | memoryview) -> int:
    """The number of one entry as it is stored. `key` is its name, or an upload's or part's key."""
    data = b"%b%b%b%b" % (kind, len(key).to_bytes(2, "big"), key, value)
    return int.from_bytes(hashlib.blake2b(data, digest_size=SIZE, person=_PERSON).digest(), "big")


def changed(stored: bytes, more: int) -> bytes:
    """A stored hash with a number added, which is negative where an entry went. One that is not known stays so."""
    if not stored:
        return stored
    return ((int.from_bytes(stored, "big") + more) % _MODULUS).to_bytes(SIZE, "big")
