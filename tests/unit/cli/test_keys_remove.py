"""`cooper keys remove` with the key file of another store than the one it looks at."""

from pathlib import Path

from click.testing import CliRunner

from cooper_cli.keys import keys
from cooper_cli.places import Places
from cooper_gateway.config import MAP_SIZE
from cooper_gateway.crypto import key_file
from cooper_gateway.crypto.key_file import KeyFile
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.index import open_writable
from cooper_gateway.storage.layout import Layout


def store(data: Path) -> str:
    """A store with a bucket, made with a key that is not the newest any more; returns the key's fingerprint."""
    layout, places = Layout(str(data)), Places(data)
    layout.create()
    places.records.mkdir(parents=True)
    keyring = Keyring.load_or_create(str(places.kek), True)
    open_writable(layout, MAP_SIZE, keyring).env.close()
    made = BucketKeys(layout, keyring)
    made.create(bytes(16))
    made.publish(bytes(16))
    key_file.change(places.kek, KeyFile.added)
    return keyring.fingerprint


def test_the_key_of_another_store_stays(tmp_path: Path) -> None:
    """This one needs none of the other one's keys, whose data would be lost with them."""
    one, other = tmp_path / "one", tmp_path / "other"
    store(one)
    old = store(other)
    result = CliRunner().invoke(keys, ["remove", old, "--data", str(one), "--kek", str(Places(other).kek)])
    assert result.exit_code == 1
    assert "point to the store that belongs to this key" in result.output
    assert old in key_file.load(Places(other).kek).fingerprints
