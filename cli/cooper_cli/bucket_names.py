"""What buckets are called, by the data that they have: from records on this machine, or from a gateway's mirror."""

from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from cooper_cli.places import Places
from cooper_crds.records import BucketRecord, Record, RecordError, decode
from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.processes.mirroring import MIRROR_FILE
from cooper_gateway.records.mirror import Mirror, MirrorDamaged


def bucket_names(places: Places, kek_file: Path, namespace: str) -> dict[str, str]:
    """Data ids (hex) -> names. Empty where there are no records to read: data ids have to do then."""
    return {
        UUID(record.data_id).hex: record.name
        for record in (*_in_folder(places.records), *_in_mirror(places.data, kek_file, namespace))
        if isinstance(record, BucketRecord)
    }


def _in_folder(folder: Path) -> Iterable[Record]:
    for path in folder.glob("bucket-*.json"):
        try:
            yield decode(path.read_bytes())
        except (OSError, RecordError):
            continue


def _in_mirror(data: Path, kek_file: Path, namespace: str) -> Iterable[Record]:
    try:
        mirror = Mirror(str(data / MIRROR_FILE), Keyring.load(str(kek_file)), namespace)
        return (mirror.load() or {}).values()
    except (OSError, KeyringError, MirrorDamaged):
        return ()
