"""What a verification says: to a program that started it, one JSON object a line."""

from typing import Final

import msgspec

#: Kinds of damage -> what it is, and what to do about it.
KINDS: Final[dict[str, tuple[str, str]]] = {
    "IndexUnreadable": (
        "a part of the index cannot be read",
        "stop the gateway and restore the store from a backup: what else the index holds there is not known",
    ),
    "NamesBroken": (
        "the tree of a bucket's names does not hang together",
        "restore the bucket from a backup: names may be missing in listings",
    ),
    "EntriesDiffer": (
        "entries of the bucket were lost, or others are there: they are not those that were written",
        "compare the bucket's listing with a backup, and bring back what is missing",
    ),
    "CountsDiffer": (
        "the bucket holds another number of objects, uploads or bytes than its row says",
        "quotas and usage of the bucket are wrong: restore it from a backup, or copy its objects to a new bucket",
    ),
    "KeyMissing": (
        "the bucket's key is not there",
        "put the file in bucket-keys/ back from a backup, or nothing opens",
    ),
    "KeyDamaged": (
        "the bucket's key cannot be used",
        "put the file in bucket-keys/ back from a backup, or nothing in the bucket opens",
    ),
    "KeyLeft": (
        "the bucket was destroyed, and its key is there",
        "delete the file in bucket-keys/: it opens what was meant to be unreadable",
    ),
    "EntryDamaged": ("what is stored about it does not verify", "bring it back from a backup, or upload it again"),
    "EntryNotFound": (
        "it is in the index, and looking it up does not find it",
        "restore the store from a backup: the index is damaged",
    ),
    "BodyMissing": ("its bytes are gone from the index", "bring it back from a backup, or upload it again"),
    "BodyDamaged": ("its bytes in the index do not verify", "bring it back from a backup, or upload it again"),
    "FileMissing": ("a file with its bytes is gone", "bring it back from a backup, or upload it again"),
    "FileDamaged": ("a file with its bytes does not verify", "bring it back from a backup, or upload it again"),
    "FileUnlisted": (
        "a file with its bytes is not in the list of files that are in use, and would be swept away",
        "copy it to another name now, and delete it",
    ),
    "LeftOver": (
        "something is stored that nothing refers to: it takes room, or is what is left of something that was lost",
        "compare the buckets' listings with a backup",
    ),
}


class Damage(msgspec.Struct, frozen=True, tag="damage", rename="camel"):
    """One thing that is not as it was written."""

    kind: str
    detail: str
    data_id: str = ""  # hex; empty: of no bucket that is known
    key: bytes | None = None  # the object's name
    upload_id: str = ""  # of a part or an upload


class At(msgspec.Struct, frozen=True, tag="at"):
    """What is looked at from now on. Where this is the last word, that is what could not be read."""

    step: str
    data_id: str = ""
    key: bytes = b""


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """That much more has been read."""

    entries: int = 0
    size: int = 0  # bytes of plaintext


class Plan(msgspec.Struct, frozen=True, tag="plan"):
    """What there is to do."""

    buckets: list[str]  # data ids, in hex, in order
    entries: int
    size: int
    format: str


class Note(msgspec.Struct, frozen=True, tag="note"):
    """Something worth knowing that is no damage."""

    text: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It came to its end."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It cannot be done: the reason, and what to do."""

    reason: str


Finding = Damage | At | Progress | Plan | Note | Done | Failed

encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Finding).decode
