"""The two pages that an LMDB file begins with. The index is what the newer one says: where its number has a bit flipped
the other one counts, and the commit that was acknowledged last is gone without a trace.

lmdb.h, mdb.c (0.9): a page's header, then `MDB_meta`, in the machine's byte order. A commit with number n writes page
n mod 2, and commits have no gaps.
"""

import os
import struct
import time
from pathlib import Path
from typing import Final, NamedTuple

_HEADER: Final = struct.Struct("=QHHHH")  # number of the page, padding, flags, lower, upper
_META: Final = struct.Struct(
    "=II QQ 48s 48s QQ"
)  # magic, version, address, size of the map, two tables, last page, txn
_PAGE_SIZE: Final = struct.Struct("=I")  # the first word of the first table
_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_IS_META: Final = 0x08
_SMALLEST: Final = 512  # bytes of a page
_LARGEST: Final = 65536
_ATTEMPTS: Final = 20  # a commit may be under way
_PAUSE: Final = 0.01


class _Page(NamedTuple):
    number: int
    flags: int
    magic: int
    version: int
    page_size: int
    last_page: int
    commit: int


def problem_of(path: Path) -> str | None:
    """What is wrong with the first pages of an index; None when nothing is. Raises OSError."""
    problem: str | None = None
    for _ in range(_ATTEMPTS):
        problem = _look(path)
        if problem is None:
            return None
        time.sleep(_PAUSE)
    return problem


def _look(path: Path) -> str | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data, whole = os.pread(descriptor, 2 * _LARGEST, 0), os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    if len(data) < 2 * _SMALLEST:
        return "the file is too short"
    size = _page(data).page_size
    if not _SMALLEST <= size <= len(data) // 2:
        return f"page 0 tells of pages of {size} bytes"
    pages = [_page(data), _page(data[size:])]
    for number, page in enumerate(pages):
        if (page.number, page.flags, page.magic, page.version) != (number, _IS_META, _MAGIC, _VERSION):
            return f"page {number} is none that an index begins with"
        if page.page_size != size:
            return f"page {number} tells of pages of {page.page_size} bytes, and they have {size}"
        if page.commit and page.commit % 2 != number:
            return f"page {number} bears the number of a commit that writes the other one"
    old, new = sorted(pages, key=lambda page: page.commit)
    if new.commit and new.commit - old.commit != 1:
        return "its first pages are not those of two commits that follow each other: the last commit may be lost"
    if (new.last_page + 1) * size > whole:
        return "its first pages tell of more pages than there are"
    return None


def _page(data: bytes) -> _Page:
    number, _, flags, _, _ = _HEADER.unpack_from(data)
    magic, version, _, _, first, _, last_page, commit = _META.unpack_from(data, _HEADER.size)
    return _Page(number, flags, magic, version, _PAGE_SIZE.unpack_from(first)[0], last_page, commit)
