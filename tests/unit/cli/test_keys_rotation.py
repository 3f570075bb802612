"""`cooper keys remove`: a key that anything needs stays, wherever that is kept."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cooper_cli.keys import keys
from cooper_crds.records import dump_file
from cooper_gateway.config import MAP_SIZE
from cooper_gateway.crypto import key_file
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage.index import open_writable
from cooper_gateway.storage.layout import Layout
from support.records_fixtures import key


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A store, and records with a secret in a folder of their own."""
    folder, records = tmp_path / "data", tmp_path / "records"
    layout = Layout(str(folder))
    layout.create()
    keyring = Keyring.load_or_create(str(folder / "kek.json"), True)
    open_writable(layout, MAP_SIZE, keyring).env.close()
    records.mkdir()
    (records / "key-one.json").write_bytes(dump_file(key(1), keyring))
    return folder


def run(data: Path, *words: str) -> Result:
    return CliRunner().invoke(keys, [*words, "--data", str(data)])


def test_where_no_records_are_found_nothing_is_said_to_be_needed_by_nobody(data: Path) -> None:
    kek = data / "kek.json"
    (old,) = key_file.load(kek).fingerprints
    assert run(data, "add").exit_code == 0
    for command in (["rewrap"], ["remove", old], ["status"]):
        result = run(data, *command)
        assert result.exit_code == 1
        assert "name the folder of the gateway's records with --records" in result.output
    assert old in key_file.load(kek).fingerprints


def test_a_key_that_records_of_another_folder_need_stays(data: Path) -> None:
    kek, records = data / "kek.json", str(data.parent / "records")
    (old,) = key_file.load(kek).fingerprints
    run(data, "add")
    result = run(data, "rewrap", "--records", records)
    assert result.exit_code == 1
    assert f"1 secret still need {old}" in result.output
    result = run(data, "remove", old, "--records", records)
    assert result.exit_code == 1
    assert f"key {old} is needed by 1 secret" in result.output
    assert old in key_file.load(kek).fingerprints


def test_a_folder_of_records_that_is_not_there_is_named(data: Path) -> None:
    result = run(data, "status", "--records", str(data / "none"))
    assert result.exit_code == 1
    assert f"the records folder {data}/none is not there" in result.output


def test_while_a_bucket_key_is_damaged_no_key_goes(data: Path) -> None:
    kek, records = data / "kek.json", str(data.parent / "records")
    (records_file,) = Path(records).iterdir()
    records_file.unlink()
    (old,) = key_file.load(kek).fingerprints
    (data / "bucket-keys" / f"{bytes(16).hex()}.key").write_bytes(bytes(99))
    run(data, "add")
    result = run(data, "remove", old, "--records", records)
    assert result.exit_code == 1
    assert "1 bucket key cannot be read" in result.output
    assert old in key_file.load(kek).fingerprints


def test_a_store_that_does_not_open_is_told_as_it_is(data: Path) -> None:
    kek, records = data / "kek.json", str(data.parent / "records")
    kek.unlink()
    key_file.create(kek)
    result = run(data, "rewrap", "--records", records)
    assert result.exit_code == 1
    assert "the store was made with key-encryption key" in result.output
