"""Credentials as files: which are ours, what is never touched, and that nothing leaves the folder."""

import json
import os
import ssl
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cooper_operator.cluster.port import AlreadyExists, Conflict, Invalid, Ref
from support.tls import authority
from unit.cluster.cluster_harness import CREDENTIALS, FILES, KEY_ID, FolderHarness, access_key, bucket

KEY = Ref("AccessKey", "default", "photos")


@pytest.fixture
async def key(folder: FolderHarness) -> Any:
    return await folder.cluster.create(access_key())


@pytest.fixture
async def delivered(folder: FolderHarness, key: Any) -> Path:
    await folder.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    return folder.credentials / "default" / "photos.env"


async def owner_uid(folder: FolderHarness, name: str = "photos") -> str | None:
    found = await folder.cluster.get_credentials("default", name)
    assert found
    return found.owner_uid


async def test_file_is_private_and_a_shell_can_source_it(folder: FolderHarness, delivered: Path) -> None:
    assert stat.S_IMODE(delivered.stat().st_mode) == 0o600
    assert stat.S_IMODE(delivered.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.credentials.stat().st_mode) == 0o700
    script = f'. {delivered}; printf "%s %s" "$ACCESS_KEY" "$SECRET_KEY"'
    done = subprocess.run(["sh", "-euc", script], capture_output=True, check=True, text=True)
    assert done.stdout == f"{CREDENTIALS['ACCESS_KEY']} {CREDENTIALS['SECRET_KEY']}"
    first = delivered.read_text().splitlines()[0]
    uid = await owner_uid(folder)
    assert first.startswith(f"# Cooper credentials of AccessKey default/photos uid {uid};")


async def test_ours_stays_ours_across_a_restart(folder: FolderHarness, key: Any, delivered: Path) -> None:
    await folder.reopen()
    assert await owner_uid(folder) == key["metadata"]["uid"]
    assert delivered.exists()


async def test_copied_first_line_makes_no_file_ours(folder: FolderHarness, delivered: Path) -> None:
    copy = delivered.with_name("copy.env")
    copy.write_bytes(delivered.read_bytes())
    assert await owner_uid(folder, "copy") is None
    await folder.reopen()
    assert await owner_uid(folder, "copy") is None


async def test_copied_first_line_of_a_refused_create_makes_no_file_ours(folder: FolderHarness, key: Any) -> None:
    uid = key["metadata"]["uid"]
    file = folder.credentials / "default" / "photos.env"
    folder.cluster.open()
    file.parent.mkdir()
    file.write_text(f"# Cooper credentials of AccessKey default/photos uid {uid}; edits are put back\nTHEIRS=1\n")
    with pytest.raises(AlreadyExists):
        await folder.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    assert await owner_uid(folder) is None
    await folder.reopen()
    assert await owner_uid(folder) is None
    assert "THEIRS" in file.read_text()


async def test_other_files_in_our_place_are_foreign(folder: FolderHarness, key: Any, delivered: Path) -> None:
    delivered.write_text("THEIRS=1\n")
    found = await folder.cluster.get_credentials("default", "photos")
    assert found
    assert (found.owner_uid, dict(found.data)) == (None, {"THEIRS": "1"})
    await folder.cluster.delete(KEY, key["metadata"]["uid"])
    assert delivered.read_text() == "THEIRS=1\n"


async def test_first_line_with_another_uid_is_foreign(folder: FolderHarness, delivered: Path) -> None:
    delivered.write_text(delivered.read_text().replace("uid ", "uid 0"))
    assert await owner_uid(folder) is None


@pytest.mark.parametrize("what", ["symlink", "dangling symlink", "folder", "pipe"])
async def test_what_is_no_file_is_foreign_and_never_followed(
    folder: FolderHarness, key: Any, tmp_path: Path, what: str
) -> None:
    folder.cluster.open()
    target = tmp_path / "target"
    place = folder.credentials / "default" / "photos.env"
    place.parent.mkdir()
    if what == "symlink":
        target.write_text("TARGET=1\n")
    if what.endswith("symlink"):
        place.symlink_to(target)
    elif what == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    found = await folder.cluster.get_credentials("default", "photos")
    assert found
    assert (found.owner_uid, dict(found.data)) == (None, {})
    with pytest.raises(AlreadyExists):
        await folder.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    for write in (
        folder.cluster.update_credentials(found, CREDENTIALS, key, KEY_ID),
        folder.cluster.delete_credentials(found),
    ):
        with pytest.raises(Conflict):
            await write
    assert os.path.lexists(place)
    assert not target.exists() or target.read_text() == "TARGET=1\n"


async def test_our_file_replaced_by_a_symlink_is_not_written_through(
    folder: FolderHarness, key: Any, delivered: Path, tmp_path: Path
) -> None:
    current = await folder.cluster.get_credentials("default", "photos")
    assert current
    target = tmp_path / "target"
    target.write_bytes(delivered.read_bytes())
    delivered.unlink()
    delivered.symlink_to(target)
    with pytest.raises(Conflict):
        await folder.cluster.update_credentials(current, {"A": "1"}, key, KEY_ID)
    with pytest.raises(Conflict):
        await folder.cluster.delete_credentials(current)
    assert "A=1" not in target.read_text()


@pytest.mark.parametrize("dangling", [False, True])
async def test_namespace_that_is_a_symlink_is_not_entered(
    folder: FolderHarness, key: Any, tmp_path: Path, dangling: bool
) -> None:
    folder.cluster.open()
    target = tmp_path / "target"
    if not dangling:
        target.mkdir()
        (target / "photos.env").write_text("TARGET=1\n")
    (folder.credentials / "default").symlink_to(target)
    found = await folder.cluster.get_credentials("default", "photos")
    assert found
    assert (found.owner_uid, dict(found.data)) == (None, {})
    with pytest.raises(AlreadyExists):
        await folder.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    assert dangling or sorted(os.listdir(target)) == ["photos.env"]
    assert target.exists() is not dangling


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("default", "../photos"),
        ("default", "a/b"),
        ("..", "photos"),
        (".", "photos"),
        ("", "photos"),
        ("default", ""),
        ("default", "."),
        ("default", ".."),
        ("a/b", "photos"),
        ("default", "nul\0"),
        ("default", "UPPER"),
        ("default", "x" * 254),
        ("default", "x" * 251),
        ("x" * 64, "photos"),
    ],
)
async def test_names_that_could_leave_the_folder_are_refused(
    folder: FolderHarness, key: Any, namespace: str, name: str
) -> None:
    before = sorted(folder.credentials.parent.rglob("*"))
    with pytest.raises(Invalid):
        await folder.cluster.create_credentials(namespace, name, CREDENTIALS, key, KEY_ID)
    assert await folder.cluster.get_credentials(namespace, name) is None
    assert sorted(folder.credentials.parent.rglob("*")) == before


async def test_longest_name_fits(folder: FolderHarness, key: Any) -> None:
    await folder.cluster.create_credentials("n" * 63, "x" * 250, CREDENTIALS, key, KEY_ID)
    await folder.reopen()
    found = await folder.cluster.get_credentials("n" * 63, "x" * 250)
    assert found
    assert found.owner_uid


async def test_data_that_no_file_can_hold_is_refused_and_changes_nothing(
    folder: FolderHarness, key: Any, delivered: Path
) -> None:
    before = delivered.read_bytes()
    current = await folder.cluster.get_credentials("default", "photos")
    assert current
    with pytest.raises(Invalid):
        await folder.cluster.update_credentials(current, {"A": "two\nlines"}, key, KEY_ID)
    with pytest.raises(Invalid):
        await folder.cluster.create_credentials("default", "other", {"A": "two\nlines"}, key, KEY_ID)
    assert delivered.read_bytes() == before
    assert not delivered.with_name("other.env").exists()


@pytest.mark.parametrize("addition", ["FOO=1\n", "rm -rf $HOME\n", "ACCESS_KEY=other\n"])
async def test_additions_show_and_are_put_back(folder: FolderHarness, key: Any, delivered: Path, addition: str) -> None:
    before = delivered.read_bytes()
    delivered.write_bytes(before + addition.encode())
    edited = await folder.cluster.get_credentials("default", "photos")
    assert edited
    assert dict(edited.data) != CREDENTIALS
    await folder.cluster.update_credentials(edited, CREDENTIALS, key, KEY_ID)
    assert delivered.read_bytes() == before


async def test_whole_folder_removed_is_delivered_again(folder: FolderHarness, key: Any, delivered: Path) -> None:
    delivered.unlink()
    delivered.parent.rmdir()
    folder.credentials.rmdir()
    assert await folder.cluster.get_credentials("default", "photos") is None
    await folder.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    assert await owner_uid(folder) == key["metadata"]["uid"]


async def test_credentials_for_an_owner_that_is_gone_do_not_stay(folder: FolderHarness, key: Any) -> None:
    await folder.cluster.delete(KEY, key["metadata"]["uid"])
    await folder.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    assert await folder.cluster.get_credentials("default", "photos") is None


async def test_owner_gone_while_we_were_not_running_takes_its_credentials_along(
    folder: FolderHarness, key: Any, delivered: Path
) -> None:
    await folder.cluster.close()
    (folder.state / "objects" / f"{key['metadata']['uid']}.json").unlink()  # as a crash right after it would leave
    folder.cluster = folder.make()
    assert await folder.cluster.list_kind("AccessKey") == []
    assert not delivered.exists()


async def test_temporary_files_of_a_crash_are_removed_and_others_stay(folder: FolderHarness, delivered: Path) -> None:
    await folder.cluster.close()
    left = [delivered.parent / ".0123456789abcdef.cooper-tmp", folder.state / "objects/.0123456789abcdef.cooper-tmp"]
    left.append(folder.state / "records" / ".0123456789abcdef.cooper-tmp")
    kept = [delivered.parent / ".mine.cooper-tmp", delivered.parent / "notes.txt"]
    for file in (*left, *kept):
        file.write_text("x")
    folder.cluster = folder.make()
    await folder.cluster.list_kind("Bucket")
    assert not any(file.exists() for file in left)
    assert all(file.exists() for file in kept)


async def test_removal_of_a_foreign_file_is_told_to_the_namespaces_keys(folder: FolderHarness, key: Any) -> None:
    folder.cluster.open()
    foreign = folder.credentials / "default" / "photos.env"
    foreign.parent.mkdir()
    foreign.write_text("THEIRS=1\n")
    await folder.cluster.create(bucket())
    folder.cluster.refresh()
    told: list[Ref] = []
    folder.cluster._hub.notify = told.append  # type: ignore[method-assign]
    folder.cluster._folder._changed = told.append  # type: ignore[union-attr]
    foreign.unlink()
    folder.cluster.refresh()
    assert told == [KEY]


# Files beside the .env file


@pytest.fixture
async def with_files(folder: FolderHarness, key: Any) -> Path:
    await folder.cluster.create_credentials("default", "photos", {**CREDENTIALS, **FILES}, key, KEY_ID)
    return folder.credentials / "default"


async def test_values_of_several_lines_have_files_of_their_own(folder: FolderHarness, with_files: Path) -> None:
    assert sorted(os.listdir(with_files)) == ["photos.credentials", "photos.env", "photos.rclone.conf"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in with_files.iterdir()} == {0o600}
    header = (with_files / "photos.env").read_text().splitlines()[0]
    for name, value in FILES.items():
        assert (with_files / f"photos.{name}").read_text() == f"{header}\n{value}"
        assert f"{name}=" not in (with_files / "photos.env").read_text()
    await folder.reopen()
    found = await folder.cluster.get_credentials("default", "photos")
    assert found
    assert (dict(found.data), found.access_key_id) == ({**CREDENTIALS, **FILES}, KEY_ID)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("edit", ["remove", "change"])
async def test_an_edit_of_such_a_file_shows_and_is_put_back(
    folder: FolderHarness, key: Any, with_files: Path, name: str, edit: str
) -> None:
    file = with_files / f"photos.{name}"
    before = file.read_bytes()
    folder.cluster.refresh()
    told: list[Ref] = []
    folder.cluster._folder._changed = told.append  # type: ignore[union-attr]
    if edit == "remove":
        file.unlink()
    else:
        file.write_bytes(before + b"more\n")
    folder.cluster.refresh()
    assert told == [KEY]
    edited = await folder.cluster.get_credentials("default", "photos")
    assert edited
    assert edited.data.get(name) == (None if edit == "remove" else FILES[name] + "more\n")
    await folder.cluster.update_credentials(edited, {**CREDENTIALS, **FILES}, key, KEY_ID)
    assert file.read_bytes() == before


@pytest.mark.parametrize("what", ["file", "folder", "dangling symlink"])
async def test_a_foreign_file_in_such_a_place_is_left_alone_and_nothing_is_written(
    folder: FolderHarness, key: Any, delivered: Path, what: str
) -> None:
    place = delivered.with_name("photos.credentials")
    if what == "file":
        place.write_text("# mine\n")
    elif what == "folder":
        place.mkdir()
    else:
        place.symlink_to("nowhere")
    current = await folder.cluster.get_credentials("default", "photos")
    assert current
    assert (dict(current.data), current.owner_uid) == (CREDENTIALS, key["metadata"]["uid"])
    with pytest.raises(Invalid, match=r"the file photos.credentials is not Cooper's and is left alone: move it away"):
        await folder.cluster.update_credentials(current, {**CREDENTIALS, "REGION": "x", **FILES}, key, KEY_ID)
    assert await folder.cluster.get_credentials("default", "photos") == current
    await folder.cluster.delete_credentials(current)
    with pytest.raises(Invalid):
        await folder.cluster.create_credentials("default", "photos", {**CREDENTIALS, **FILES}, key, KEY_ID)
    assert os.listdir(delivered.parent) == ["photos.credentials"]
    assert what != "file" or place.read_text() == "# mine\n"
    folder.cluster.refresh()
    told: list[Ref] = []
    folder.cluster._folder._changed = told.append  # type: ignore[union-attr]
    place.rename(place.with_name("mine"))
    folder.cluster.refresh()
    assert told == [KEY]


async def test_files_beside_a_removed_env_file_are_still_ours(
    folder: FolderHarness, key: Any, with_files: Path
) -> None:
    (with_files / "photos.env").unlink()
    (found,) = await folder.cluster.list_credentials("default", key["metadata"]["uid"])
    assert (dict(found.data), found.access_key_id) == (FILES, KEY_ID)
    await folder.cluster.delete_credentials(found)
    assert os.listdir(with_files) == []


async def test_files_go_with_their_owner(folder: FolderHarness, key: Any, with_files: Path) -> None:
    (with_files / "photos.env").write_text("THEIRS=1\n")
    await folder.cluster.delete(KEY, key["metadata"]["uid"])
    assert os.listdir(with_files) == ["photos.env"]


async def test_a_name_that_is_too_long_for_such_a_file_is_refused(folder: FolderHarness, key: Any) -> None:
    await folder.cluster.create_credentials("default", "x" * 243, {**CREDENTIALS, **FILES}, key, KEY_ID)
    with pytest.raises(Invalid):
        await folder.cluster.create_credentials("default", "x" * 244, {**CREDENTIALS, **FILES}, key, KEY_ID)
    assert await folder.cluster.get_credentials("default", "x" * 244) is None


async def test_notes_of_an_earlier_version_are_read(folder: FolderHarness, key: Any, delivered: Path) -> None:
    (note,) = (folder.state / "credentials").rglob("*.json")
    fields = json.loads(note.read_text())
    assert fields.pop("access_key_id") == KEY_ID
    note.write_text(json.dumps(fields))
    await folder.reopen()
    found = await folder.cluster.get_credentials("default", "photos")
    assert found
    assert (found.owner_uid, found.access_key_id) == (key["metadata"]["uid"], None)


# Certificates

BUNDLE = authority().certificate
TRUSTING = {**CREDENTIALS, "CA_BUNDLE": BUNDLE, "certificates": BUNDLE, "ca.crt": BUNDLE}


@pytest.fixture
async def trusting(folder: FolderHarness, key: Any) -> Path:
    await folder.cluster.create_credentials("default", "photos", TRUSTING, key, KEY_ID)
    return folder.credentials / "default"


async def test_certificates_are_files_and_variables_name_one(folder: FolderHarness, trusting: Path) -> None:
    assert sorted(os.listdir(trusting)) == ["photos.ca-bundle.pem", "photos.ca.crt", "photos.env"]
    path = trusting / "photos.ca-bundle.pem"
    script = f'. {trusting / "photos.env"}; printf "%s %s" "$CA_BUNDLE" "$certificates"'
    assert subprocess.run(["sh", "-euc", script], capture_output=True, check=True, text=True).stdout == f"{path} {path}"
    ssl.create_default_context(cafile=path)
    await folder.reopen()
    found = await folder.cluster.get_credentials("default", "photos")
    assert found
    assert dict(found.data) == TRUSTING


async def test_certificates_that_are_gone_or_changed_show_and_are_put_back(
    folder: FolderHarness, key: Any, trusting: Path
) -> None:
    path = trusting / "photos.ca-bundle.pem"
    before = path.read_bytes()
    for edit in (path.unlink, lambda: path.write_bytes(before + b"more\n")):
        edit()
        edited = await folder.cluster.get_credentials("default", "photos")
        assert edited
        assert dict(edited.data) != TRUSTING
        await folder.cluster.update_credentials(edited, TRUSTING, key, KEY_ID)
        assert path.read_bytes() == before


async def test_certificates_go_when_they_are_not_wanted_any_more(
    folder: FolderHarness, key: Any, trusting: Path
) -> None:
    current = await folder.cluster.get_credentials("default", "photos")
    assert current
    await folder.cluster.update_credentials(current, CREDENTIALS, key, KEY_ID)
    assert os.listdir(trusting) == ["photos.env"]
