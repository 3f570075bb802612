"""How much each key has asked and moved lately, told among the workers of a replica. Pure: memory, time are arguments.

A key has a bucket for requests and one for bytes, each as large as what a second allows (for one request at least),
that leaks as much a second as is allowed. What is in it is what was spent, by all workers together, less what has
leaked since it was empty last:

    level = sum of what each worker has spent - rate * (now - origin)

Each worker writes its own part of the memory and reads all of them, so that nothing it writes is lost by another one's
doing, and no lock is needed: what was spent is a sum over workers, the origin the latest that any has found. That moves
on whenever the level would fall below nothing, and whoever finds that out writes down the same.

An entry is for one key at one rate: when the Region's limits change all begin anew. Where there is no room for another
one, that goes which is empty longest or will be soonest. One that is forgotten is as good as empty.
"""

import hashlib
from functools import lru_cache
from typing import Final, cast

from cooper_crds.records import Rates

#: Entries that a key can be in, by its digest.
WAYS: Final = 8
#: Of each entry: digest, when it is empty at the latest; spent and origin of requests, and of bytes.
_FIELDS: Final = 6
_SET: Final = WAYS * _FIELDS
_EMPTY, _REQUESTS, _BYTES = WAYS, 2 * WAYS, 4 * WAYS
_ORIGIN: Final = WAYS  # from what was spent
_CELL: Final = 8  # bytes
_NEVER: Final = float("-inf")
#: Seconds' worth that may be spent at once.
_BURST: Final = 1.0
#: Of a request, and of a second: what rounding may take of it.
_SLACK: Final = 1e-3
#: A double holds each whole number of so many bits.
_DIGEST_BITS: Final = 52

#: A worker's room has so many sets: 262,144 entries in 12 MiB, none of which is used before it is written to.
SETS: Final = 1 << 15


def room(workers: int, sets: int = SETS) -> int:
    """Bytes of memory that the workers of a replica share."""
    return workers * sets * _SET * _CELL


class Meters:
    """What keys have spent, as one worker sees and tells it. For one thread."""

    def __init__(self, memory: memoryview, index: int, workers: int, secret: bytes) -> None:
        """`memory` is writable, zero at first and shared by all workers; `index` is this one's, from 0. By `secret`, at
        most 64 bytes and the same for all of them, nobody else can tell whose entries are in each other's way."""
        self._cells = memory.cast("d")
        self._sets = len(self._cells) // (workers * _SET)
        self._parts = range(0, workers * self._sets * _SET, self._sets * _SET)
        self._own = self._parts[index]
        self._secret = secret
        self._place = lru_cache(4096)(self._placed)

    def admit(self, key_id: str, rates: Rates, now: float) -> float:
        """Take a request of a key: 0.0 when it may be served, which is one request spent; else the seconds after which
        it may be. `now` is monotonic, in seconds, and the same for all workers."""
        offset, digest = self._place(key_id, rates.requests, rates.bytes)
        found = self._found(offset, digest)
        wait = 0.0
        if rates.bytes is not None:
            wait = self._level(found, _BYTES, rates.bytes, now) / rates.bytes - _BURST
            if wait <= _SLACK:
                wait = 0.0
        if rates.requests is None:
            return wait
        level = self._level(found, _REQUESTS, rates.requests, now)
        over = level + 1.0 - max(rates.requests * _BURST, 1.0)
        if over > _SLACK:
            return max(wait, over / rates.requests)
        if not wait:
            at = self._entry(offset, digest, found, rates, now)
            self._add(at, _REQUESTS, 1.0, now + (level + 1.0) / rates.requests)
        return wait

    def spend(self, key_id: str, rates: Rates, count: float, now: float) -> None:
        """Count bytes of a key; fewer than none: of those that were counted these did not move."""
        if rates.bytes is None or not count:
            return
        offset, digest = self._place(key_id, rates.requests, rates.bytes)
        found = self._found(offset, digest)
        level = self._level(found, _BYTES, rates.bytes, now)  # what has leaked until now is not to be paid again
        at = self._entry(offset, digest, found, rates, now)
        self._add(at, _BYTES, count, now + (level + count) / rates.bytes)

    def _placed(self, key_id: str, requests: int | None, moved: int | None) -> tuple[int, float]:
        """Where in each part a key's set is, and its digest there."""
        text = f"{key_id} {requests} {moved}".encode()
        number = int.from_bytes(hashlib.blake2b(text, key=self._secret, digest_size=16).digest())
        return number % self._sets * _SET, float((number >> 64) % (1 << _DIGEST_BITS) + 1)

    def _found(self, offset: int, digest: float) -> list[int]:
        """Where the key's entries are; this worker's own comes first, if it has one."""
        cells, found = self._cells, list[int]()
        for part in self._parts:
            begin = part + offset
            digests: list[float] = cast(list[float], cells[begin : begin + WAYS].tolist())
            if digest in digests:
                at = begin + digests.index(digest)
                if part == self._own:
                    found.insert(0, at)
                else:
                    found.append(at)
        return found

    def _level(self, found: list[int], kind: int, rate: float, now: float) -> float:
        """What is in a bucket now."""
        spent, origin = self._spent(found, kind, rate, now)
        if found and self._is_own(found[0]):
            self._cells[found[0] + kind + _ORIGIN] = origin
        return max(spent - rate * (now - origin), 0.0)

    def _spent(self, found: list[int], kind: int, rate: float, now: float) -> tuple[float, float]:
        """What all have spent, and since when it leaks: at the earliest so that nothing is left by now."""
        cells = self._cells
        spent, origin = 0.0, _NEVER
        for at in found:
            spent += cells[at + kind]
            origin = max(origin, cells[at + kind + _ORIGIN])
        return spent, max(origin, now - spent / rate)

    def _add(self, at: int, kind: int, count: float, empty: float) -> None:
        cells = self._cells
        cells[at + kind] += count
        cells[at + _EMPTY] = max(cells[at + _EMPTY], empty)

    def _is_own(self, at: int) -> bool:
        return self._own <= at < self._own + self._sets * _SET

    def _entry(self, offset: int, digest: float, found: list[int], rates: Rates, now: float) -> int:
        """This worker's own entry of the key; a new one where it has none."""
        if found and self._is_own(found[0]):
            return found[0]
        cells, begin = self._cells, self._own + offset
        empty = cells[begin + _EMPTY : begin + _EMPTY + WAYS].tolist()
        at = begin + empty.index(min(empty))
        cells[at] = 0.0  # whoever reads it meanwhile finds nobody's
        cells[at + _EMPTY] = now
        for kind, rate in ((_REQUESTS, rates.requests), (_BYTES, rates.bytes)):
            cells[at + kind] = 0.0
            cells[at + kind + _ORIGIN] = _NEVER if rate is None else self._spent(found, kind, rate, now)[1]
        cells[at] = digest
        return at
