"""Each sync of the store, the bucket keys, the key-encryption key and the mirror of records, taken away, one at a time:
a slice of the states that power loss may leave must show it."""

from typing import Final

from mutations.table import Mutation, other

_POWER: Final = "tests/integration/test_power_loss.py"

#: What it makes durable, file below gateway/cooper_gateway/, what is there, what stands in its place.
_SYNCS: Final = (
    ("a segment's bytes", "storage/segments.py", "            os.fdatasync(self._descriptor)\n", ""),
    ("a segment's name", "storage/sync.py", "os.fsync(self._open[directory_id])", "pass"),
    ("a folder of segments", "storage/sync.py", "sync_directory(self._layout.segments)", "pass"),
    ("segments removed", "storage/unlinker.py", "sync_directory(self._layout.directory(directory_id))", "pass"),
    ("a folder swept", "storage/housekeeping.py", "        sync_directory(path)\n", ""),
    ("a wrapped key's bytes", "shredding.py", "        os.fsync(file.fileno())\n", ""),
    (
        "a second name",
        "shredding.py",
        """"names of keys"):\n            sync_directory(folder)\n""",
        """"names of keys"):\n            pass\n""",
    ),
    ("an exchange of keys", "shredding.py", "        sync_directory(folder)  # before", "        pass  # before"),
    (
        "a bucket key's name",
        "storage/bucket_keys.py",
        """"that a bucket has a key"):\n            sync_directory(self._layout.bucket_keys)\n""",
        """"that a bucket has a key"):\n            pass\n""",
    ),
    (
        "a key overwritten",
        "shredding.py",
        "            os.fsync(descriptor)\n    finally:\n        os.close(descriptor)\n    path",
        "            pass\n    finally:\n        os.close(descriptor)\n    path",
    ),
    (
        "a key removed",
        "storage/bucket_keys.py",
        """"that a bucket's key is gone"):\n            sync_directory(self._layout.bucket_keys)\n""",
        """"that a bucket's key is gone"):\n            pass\n""",
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
    ("the key-encryption key's name", "crypto/key_file.py", "        sync_directory(folder)\n", "        pass\n"),
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

#: The same of backups, and of what is restored.
_OF_BACKUPS: Final = (
    (
        "a backup's folders of segments",
        "storage/backup.py",
        "                if folder is not None:\n                    sync_directory(folder)\n",
        "",
    ),
    (
        "a backup's last folder of segments",
        "storage/backup.py",
        "        if folder is not None:\n            sync_directory(folder)\n\n    def _copy(",
        "\n    def _copy(",
    ),
    (
        "a backup's other folders",
        "storage/backup.py",
        'self._target / "segments", self._target):\n                    sync_directory(folder)\n',
        'self._target / "segments", self._target):\n                    pass\n',
    ),
    (
        "the way to a backup",
        "storage/backup.py",
        "for new in made)):\n                    sync_directory(folder)\n",
        "for new in made)):\n                    pass\n",
    ),
    ("a copied file's bytes", "storage/copying.py", "            os.fsync(writing.fileno())\n", "            pass\n"),
    ("a copied index's bytes", "storage/backup.py", "        os.fsync(descriptor)\n", "        pass\n"),
    ("a restored store's name", "storage/restoring.py", "    sync_directory(data_dir.parent)\n", ""),
    (
        "a restored store's folders",
        "storage/restoring.py",
        "    for folder in folders_of(draft):\n        sync_directory(folder)\n",
        "",
    ),
    ("a manifest's bytes", "storage/backup_manifest.py", "        os.fsync(self._file.fileno())\n", ""),
    ("a manifest's name", "storage/backup_manifest.py", "        sync_directory(self._folder)\n", ""),
)

SYNCS: Final[tuple[Mutation, ...]] = (
    *(other(*each, _POWER, "-k", "some_states") for each in _SYNCS),
    *(other(*each, _POWER, "-k", "backup") for each in _OF_BACKUPS),
)
