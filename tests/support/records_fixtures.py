"""Records, and a box to seal them, for tests of what handles records."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cooper_crds.records import BucketRecord, Grant, KeyRecord, Owner, Record, RegionRecord, dump_file
from cooper_gateway.records.table import record_name

OWNER = Owner("team", "photos", "uid-1")
SECRET = "secretMARKER0123456789abcdefghijklmnopqr"


class SmallBox:
    def __init__(self, key: bytes = b"k" * 32) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, plaintext, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:12], sealed[12:], context)
        except InvalidTag:
            raise ValueError("not sealed by this key") from None


def key(serial: int = 1, **changes: object) -> KeyRecord:
    grants = (Grant("photos", "0d9c1f6e-0000-4000-8000-000000000001", ("s3:GetObject",)),)
    values = {
        "access_key_id": f"AKIATEST{serial:012d}",
        "secret_key": SECRET,
        "grants": grants,
        "region": "local",
        **changes,
    }
    return KeyRecord(owner=OWNER, serial=serial, **values)  # type: ignore[arg-type]


def bucket(name: str = "photos", **changes: object) -> BucketRecord:
    values = {"name": name, "data_id": "0d9c1f6e-0000-4000-8000-000000000001", "region": "local", **changes}
    return BucketRecord(owner=OWNER, **values)  # type: ignore[arg-type]


def region(name: str = "local", **changes: object) -> RegionRecord:
    return RegionRecord(name=name, tag="eu-local-1", **changes)  # type: ignore[arg-type]


def write_record(folder: Path, record: Record, box: object) -> Path:
    """Write a record file as the operator does: a draft, renamed over the old one."""
    path = folder / f"{record_name(record)}.json"
    draft = folder / f".{path.name}.new"
    draft.write_bytes(dump_file(record, box))  # type: ignore[arg-type]
    draft.rename(path)
    return path
