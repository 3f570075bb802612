"""Each sync of the store, the bucket keys, the key-encryption key and the mirror of records, taken away, one at a time:
a slice of the states that power loss may leave must show it."""

from typing import Final

from mutations.table import Mutation, other

_POWER: Final = ("tests/integration/test_power_loss.py", "-k", "some_states")

#: What it makes durable, file below gateway/cooper_gateway/, what is there, what stands in its place.
_SYNCS: Final = (
    ("a segment's bytes", "storage/segments.py", "            os.fdatasync(self._descriptor)\n", ""),
    ("a segment's name", "storage/sync.py", "os.fsync(self._open[directory_id])", "pass"),
    ("a folder of segments", "storage/sync.py", "sync_directory(self._layout.segments)", "pass"),
    ("segments removed", "storage/unlinker.py", "sync_directory(self._layout.directory(directory_id))", "pass"),
    ("a folder swept", "storage/housekeeping.py", "        sync_directory(path)\n", ""),
    ("a bucket key's bytes", "storage/bucket_keys.py", "                os.fsync(file.fileno())\n", ""),
    (
        "a bucket key's name",
        "storage/bucket_keys.py",
        "        try:\n            sync_directory(self._layout.bucket_keys)\n",
        "        try:\n            pass\n",
    ),
    ("a key overwritten", "storage/bucket_keys.py", "            os.fsync(descriptor)\n", ""),
    (
        "a key removed",
        "storage/bucket_keys.py",
        "        path.unlink()\n        sync_directory(self._layout.bucket_keys)\n",
        "        path.unlink()\n",
    ),
    ("the store's folders", "storage/layout.py", "        sync_directory(self.root)\n", ""),
    ("the way to the store", "storage/layout.py", "                sync_directory(path)\n", "                pass\n"),
    ("the index's files", "storage/index.py", "sync_directory(layout.index)", "pass"),
    (
        "the index's pages",
        "storage/index.py",
        "        readahead=False,\n",
        "        readahead=False,\n        sync=False,\n",
    ),
    (
        "the index's meta page",
        "storage/index.py",
        "        readahead=False,\n",
        "        readahead=False,\n        metasync=False,\n",
    ),
    ("the key-encryption key's bytes", "crypto/keyring.py", "            os.fsync(file.fileno())\n", ""),
    ("the key-encryption key's name", "crypto/keyring.py", "            os.fsync(directory)\n", "            pass\n"),
    ("a new mirror's bytes", "records/mirror.py", "            os.fsync(handle)\n", ""),
    (
        "a new mirror's name",
        "records/mirror.py",
        "            _sync_folder_of(self._path)\n        except",
        "        except",
    ),
    ("a mirror's frame", "records/mirror.py", "        os.fdatasync(self._handle)\n", ""),
    (
        "a mirror discarded",
        "records/mirror.py",
        "            return\n        _sync_folder_of(self._path)\n",
        "            return\n",
    ),
)

SYNCS: Final[tuple[Mutation, ...]] = tuple(other(*each, *_POWER) for each in _SYNCS)
