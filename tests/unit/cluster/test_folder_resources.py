"""The resources folder: what adding, editing, moving, breaking and removing files does, and what it must not do."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cooper_operator.cluster.folder_status import read_status
from cooper_operator.cluster.port import Conflict, Invalid, Object, Ref, Unavailable
from unit.cluster.cluster_harness import KEY_ID, FolderHarness, access_key, bucket, region

BUCKET = Ref("Bucket", "default", "photos")
OTHER = Ref("Bucket", "default", "other")
KEY = Ref("AccessKey", "default", "photos")
FINALIZER = "cooper.dev/gateway"


async def uid(folder: FolderHarness, ref: Ref = BUCKET) -> str | None:
    folder.cluster.refresh()
    obj = await folder.cluster.get(ref)
    return obj["metadata"]["uid"] if obj else None


async def hold(folder: FolderHarness, ref: Ref = BUCKET) -> None:
    """Put a finalizer on a resource, as the operator does."""
    obj = await folder.cluster.get(ref)
    assert obj
    await folder.cluster.update({**obj, "metadata": {**obj["metadata"], "finalizers": [FINALIZER]}})


async def release(folder: FolderHarness, ref: Ref = BUCKET) -> None:
    obj = await folder.cluster.get(ref)
    assert obj
    await folder.cluster.update({**obj, "metadata": {**obj["metadata"], "finalizers": []}})


async def delete(folder: FolderHarness, ref: Ref = BUCKET) -> None:
    current = await uid(folder, ref)
    assert current
    await folder.cluster.delete(ref, current)


async def test_every_document_of_every_file_is_applied(folder: FolderHarness) -> None:
    folder.write("all.yaml", region(), bucket(), access_key())
    folder.write("team/a/deep.yml", bucket("other"))
    folder.write("ignored.txt", bucket("text"))
    folder.write(".hidden.yaml", bucket("hidden"))
    folder.write(".git/x.yaml", bucket("git"))
    folder.cluster.refresh()
    names = [obj["metadata"]["name"] for obj in await folder.cluster.list_kind("Bucket")]
    assert names == ["other", "photos"]
    assert await uid(folder, KEY)
    assert await uid(folder, Ref("Region", "", "local"))
    assert folder.problems == []


async def test_files_of_people_are_never_written(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    before = (file.read_bytes(), os.stat(file).st_mtime_ns, sorted(os.listdir(folder.resources)))
    await hold(folder) if await uid(folder) else None
    await delete(folder)
    await release(folder)
    folder.settle()
    assert (file.read_bytes(), os.stat(file).st_mtime_ns, sorted(os.listdir(folder.resources))) == before


async def test_a_resource_without_a_namespace_is_in_default(folder: FolderHarness) -> None:
    manifest = bucket()
    del manifest["metadata"]["namespace"]
    folder.write("a.yaml", manifest)
    assert await uid(folder)


async def test_vanished_file_is_a_deletion_only_after_two_seconds(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    assert await uid(folder)
    file.unlink()
    due = folder.cluster.refresh()
    assert due == pytest.approx(2.0)
    folder.monotonic.now += 1.99
    folder.cluster.refresh()
    assert await uid(folder)
    folder.monotonic.now += 0.02
    assert await uid(folder) is None
    assert folder.cluster.refresh() is None


async def test_vanished_document_is_a_deletion_only_after_two_seconds(folder: FolderHarness) -> None:
    folder.write("a.yaml", bucket(), bucket("other"))
    assert await uid(folder)
    folder.write("a.yaml", bucket("other"))
    assert await uid(folder)
    folder.settle()
    assert await uid(folder) is None
    assert await uid(folder, OTHER)


async def test_file_that_comes_back_in_time_was_never_gone(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    first = await uid(folder)
    for _ in range(3):
        file.unlink()
        folder.settle(1.9)
        folder.write("a.yaml", bucket())
        folder.settle(1.9)
    assert await uid(folder) == first


async def test_document_moved_to_another_file_stays_the_same_resource(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    first = await uid(folder)
    file.unlink()
    folder.settle(1.0)
    folder.write("team/z.yaml", bucket())
    folder.settle(5)
    obj = await folder.cluster.get(BUCKET)
    assert obj
    assert (obj["metadata"]["uid"], obj["metadata"]["generation"]) == (first, 1)
    (folder.resources / "team/z.yaml").unlink()
    folder.settle()
    assert await uid(folder) is None


async def test_folder_renamed_within_the_folder_deletes_nothing(folder: FolderHarness) -> None:
    folder.write("a/x.yaml", bucket())
    first = await uid(folder)
    (folder.resources / "a").rename(folder.resources / "b")
    folder.settle(5)
    assert await uid(folder) == first


def save_over(file: Path, text: str) -> None:
    file.write_text(text)


def save_by_rename(file: Path, text: str) -> None:
    temporary = file.with_name(file.name + ".tmp~")
    temporary.write_text(text)
    temporary.replace(file)


def save_with_backup(file: Path, text: str) -> None:
    file.rename(file.with_name(file.name + "~"))
    file.write_text(text)


def save_by_unlink(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text)


@pytest.mark.parametrize("save", [save_over, save_by_rename, save_with_backup, save_by_unlink])
async def test_editors_ways_of_saving_are_edits(folder: FolderHarness, save: Any) -> None:
    file = folder.write("a.yaml", bucket())
    first = await uid(folder)
    edited = folder.write("edited.txt", bucket(visibility="Public")).read_text()
    save(file, edited)
    folder.settle()
    obj = await folder.cluster.get(BUCKET)
    assert obj
    assert (obj["metadata"]["uid"], obj["metadata"]["generation"]) == (first, 2)
    assert obj["spec"] == {"visibility": "Public"}
    assert folder.problems == []


async def test_truncated_then_written_file_is_an_edit(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    first = await uid(folder)
    text = file.read_text()
    for cut in (0, len(text) // 3, len(text) // 2, len(text) - 4):
        file.write_text(text[:cut])
        folder.settle(0.3)
    file.write_text(text)
    folder.settle(5)
    assert await uid(folder) == first


BROKEN = [
    b"a: [1\n",
    b"\xff\xfe",
    b"kind: Bucket\n",
    b"apiVersion: cooper.dev/v1alpha1\nkind: Bucket\nmetadata: {name: photos}\nspec: {visibility: Secret}\n",
    b"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n",
    b"- just\n- a list\n",
    b"x" * ((1 << 20) + 1),
]


@pytest.mark.parametrize("content", BROKEN)
async def test_broken_file_deletes_nothing_and_is_reported(folder: FolderHarness, content: bytes) -> None:
    file = folder.write("a.yaml", bucket(visibility="Public"), bucket("other"))
    folder.write("b.yaml", bucket("third"))
    first = await uid(folder)
    file.write_bytes(content)
    folder.settle(60)
    folder.settle(60)
    obj = await folder.cluster.get(BUCKET)
    assert obj
    assert (obj["metadata"]["uid"], obj["spec"]) == (first, {"visibility": "Public"})
    assert await uid(folder, OTHER)
    assert folder.problems
    assert all(problem.startswith("a.yaml") for problem in folder.problems)
    assert read_status(folder.state).problems == folder.cluster.problems
    await folder.reopen()
    folder.settle(60)
    assert await uid(folder) == first, "the last good content is in force after a restart, too"
    folder.write("a.yaml", bucket())
    folder.settle()
    assert folder.problems == []
    assert read_status(folder.state).problems == []
    assert await uid(folder, OTHER) is None


async def test_problem_has_file_line_and_the_fields_path(folder: FolderHarness) -> None:
    folder.write("team/a.yaml", region(), bucket(visibility="Secret"))
    file = (folder.resources / "team/a.yaml").read_text()
    line = file[: file.index("visibility")].count("\n") + 1
    (problem,) = folder.problems
    said = 'Bucket photos: spec.visibility: must be one of Private, Public (got "Secret")'
    assert problem == f"team/a.yaml:{line}: {said}"
    assert await uid(folder, Ref("Region", "", "local")) is None, "a file counts as a whole"


async def test_each_mistake_is_a_problem_of_its_own_at_its_line(folder: FolderHarness) -> None:
    (folder.resources / "a.yaml").write_text(
        """\
apiVersion: cooper.dev/v1alpha1
kind: AccessKey
metadata:
  name: ci
  namespcae: team
spec:
  stat: Revoked
  grants:
    - bucket: photos
      actions:
        - s3:GetObject
        - GetObject
    - actions: [s3:PutObject]
---
apiVersion: cooper.dev/v1alpha1
kind: bucket
metadata: {name: photos}
"""
    )
    assert [problem.split(" (got")[0] for problem in folder.problems] == [
        "a.yaml:5: AccessKey ci: metadata.namespcae: unknown field; did you mean namespace?",
        "a.yaml:7: AccessKey ci: spec.stat: unknown field; did you mean state?",
        "a.yaml:12: AccessKey ci: spec.grants[0].actions[1]: must be one of s3:GetObject, s3:PutObject, "
        "s3:DeleteObject, s3:ListBucket, s3:GetBucketLocation, s3:DeleteBucket, s3:CreateBucket",
        "a.yaml:13: AccessKey ci: spec.grants[1].bucket: is required",
        "a.yaml:16: bucket photos: kind: must be one of Region, Bucket, BucketGrant, AccessKey",
    ]
    assert folder.problems[2].endswith('(got "GetObject"); did you mean s3:GetObject?')
    assert folder.problems[4].endswith('(got "bucket"); did you mean Bucket?')


async def test_very_many_mistakes_are_counted(folder: FolderHarness) -> None:
    manifest = bucket()
    manifest["spec"] = {f"x{number:03}": 1 for number in range(100)}
    folder.write("a.yaml", manifest)
    assert len(folder.problems) == 21
    assert folder.problems[0] == "a.yaml:1: Bucket photos: 80 more mistakes"


async def test_document_moved_into_a_broken_file_is_not_deleted(folder: FolderHarness) -> None:
    folder.write("a.yaml", bucket())
    folder.write("c.yaml", bucket("other"))
    first = await uid(folder)
    (folder.resources / "a.yaml").unlink()
    (folder.resources / "c.yaml").unlink()
    (folder.resources / "b.yaml").write_text("kind: Bucket\nmetadata: {name: photos\n")
    folder.settle(60)
    assert await uid(folder) == first
    kept = "b.yaml: 1 resource (Bucket default/photos) vanished while this cannot be read: it is kept until it can"
    assert kept in folder.problems
    remark = read_status(folder.state).remarks[BUCKET]
    assert (remark.type, remark.text) == (
        "Held",
        "no file declares it any more; it is kept while b.yaml cannot be read",
    )
    assert await uid(folder, OTHER) is None, "a broken file does not hold up what it cannot be about"


async def test_removing_a_broken_file_is_a_deletion(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    assert await uid(folder)
    file.write_text("a: [")
    folder.settle()
    file.unlink()
    folder.settle()
    assert await uid(folder) is None


async def test_unreadable_folder_deletes_nothing_and_proves_nothing(folder: FolderHarness) -> None:
    folder.write("a.yaml", bucket())
    first = await uid(folder)
    away = folder.resources.with_name("away")
    folder.resources.rename(away)
    folder.settle(60)
    folder.settle(60)
    assert await uid(folder) == first
    with pytest.raises(Unavailable):
        await folder.cluster.get(OTHER)
    with pytest.raises(Unavailable):
        await folder.cluster.list_kind("Bucket")
    assert "cannot be read" in folder.problems[0]
    away.rename(folder.resources)
    folder.settle()
    assert await folder.cluster.get(OTHER) is None
    assert folder.problems == []


async def test_time_without_the_folder_does_not_count_as_gone(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    assert await uid(folder)
    file.unlink()
    folder.settle(1)
    away = folder.resources.with_name("away")
    folder.resources.rename(away)
    folder.settle(60)
    away.rename(folder.resources)
    assert await uid(folder)
    folder.settle()
    assert await uid(folder) is None


async def test_unreadable_file_deletes_nothing_anywhere(folder: FolderHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("a.yaml", bucket())
    folder.write("b.yaml", bucket("other"))
    first = await uid(folder)
    real = os.open

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        if path == "a.yaml":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    (folder.resources / "b.yaml").unlink()
    folder.write("a.yaml", bucket("third"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        folder.settle(60)
        await folder.reopen()
        folder.settle(60)
        assert await uid(folder) == first
        assert await uid(folder, OTHER), "its document may have been moved to where we cannot look"
        assert any("a.yaml: cannot be read (Permission denied)" in problem for problem in folder.problems)
    folder.settle()
    assert await uid(folder, OTHER) is None


async def test_unreadable_subfolder_deletes_nothing_anywhere(
    folder: FolderHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("team/a.yaml", bucket())
    folder.write("b.yaml", bucket("other"))
    first = await uid(folder)
    scandir = os.scandir

    def refuse(descriptor: Any) -> Any:
        if isinstance(descriptor, int) and os.readlink(f"/proc/self/fd/{descriptor}").endswith("/team"):
            raise PermissionError(13, "Permission denied")
        return scandir(descriptor)

    monkeypatch.setattr(os, "scandir", refuse)
    (folder.resources / "b.yaml").unlink()
    folder.settle(60)
    assert await uid(folder) == first
    assert await uid(folder, OTHER), "its document may have been moved to where we cannot look"
    assert any("team: the folder cannot be read" in problem for problem in folder.problems)
    await folder.reopen()
    folder.settle(60)
    assert await uid(folder) == first
    monkeypatch.undo()
    folder.settle()
    assert await uid(folder) == first
    assert await uid(folder, OTHER) is None


async def test_second_declaration_is_a_problem_and_the_first_stays(folder: FolderHarness) -> None:
    folder.write("b.yaml", bucket(visibility="Public"))
    first = await uid(folder)
    folder.write("c.yaml", bucket(visibility="Private"))
    folder.settle()
    obj = await folder.cluster.get(BUCKET)
    assert obj
    assert obj["spec"] == {"visibility": "Public"}
    (problem,) = folder.problems
    assert problem.startswith("c.yaml:1: Bucket default/photos is declared already in b.yaml:1")
    (folder.resources / "b.yaml").unlink()
    folder.settle(60)
    assert await uid(folder) == first
    assert folder.problems == []


async def test_symlinks_stay_inside(folder: FolderHarness, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "o.yaml").write_bytes(folder.write("a.yaml", bucket("other")).read_bytes())
    (folder.resources / "a.yaml").unlink()
    (folder.resources / "link.yaml").symlink_to(outside / "o.yaml")
    (folder.resources / "relative.yaml").symlink_to("../outside/o.yaml")
    (folder.resources / "folder").symlink_to(outside)
    (folder.resources / "nothing.yaml").symlink_to("absent")
    (folder.resources / "loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(folder.resources / "pipe.yaml")
    (folder.resources / "real").mkdir()
    folder.write("real/target.data", bucket())
    (folder.resources / "inside.yaml").symlink_to("real/target.data")
    folder.cluster.refresh()
    assert await uid(folder)
    assert await uid(folder, OTHER) is None
    said = "\n".join(folder.problems)
    for name in ("link.yaml", "relative.yaml"):
        assert f"{name}: is a symlink that leaves the resources folder" in said
    assert "nothing.yaml: is a symlink to nothing" in said
    assert "pipe.yaml: is not a regular file" in said
    assert "loop.yaml" in said


async def test_file_replaced_by_a_symlink_out_keeps_its_last_content(folder: FolderHarness, tmp_path: Path) -> None:
    file = folder.write("a.yaml", bucket())
    first = await uid(folder)
    (tmp_path / "outside.yaml").write_text("a: 1")
    file.unlink()
    file.symlink_to(tmp_path / "outside.yaml")
    folder.settle(60)
    assert await uid(folder) == first


async def test_hostile_file_names_are_harmless(folder: FolderHarness) -> None:
    text = folder.write("x.txt", bucket()).read_bytes()
    for name in (b"\xff\xfe.yaml", b"new\nline.yaml", b"\x1b[31mred.yaml"):
        with open(os.path.join(os.fsencode(folder.resources), name), "wb") as file:
            file.write(text + b"---\na: [\n")
    folder.cluster.refresh()
    assert len(folder.problems) == 3
    assert all(problem.isprintable() for problem in folder.problems)
    await folder.reopen()
    assert len(folder.problems) == 3


@pytest.mark.parametrize("name", ["../../etc", "..", "a/b", ".hidden", "A", "x" * 254, "nul\0", "new\nline", ""])
async def test_hostile_resource_names_are_refused(folder: FolderHarness, name: str) -> None:
    folder.write("a.yaml", bucket(name))
    folder.write("b.yaml", bucket("other", namespace=name))
    assert len(folder.problems) == 2
    assert await folder.cluster.list_kind("Bucket") == []


async def test_longest_name_fits(folder: FolderHarness) -> None:
    name = "x" * 253
    folder.write("a.yaml", bucket(name, namespace="n" * 63))
    folder.cluster.refresh()
    assert folder.problems == []
    await folder.reopen()
    assert await uid(folder, Ref("Bucket", "n" * 63, name))


async def test_immutable_edit_is_refused_and_reported(folder: FolderHarness) -> None:
    folder.write("a.yaml", access_key(region="local"))
    first = await uid(folder, KEY)
    folder.write("a.yaml", access_key(region="other"))
    folder.settle()
    (problem,) = folder.problems
    assert "spec.region" in problem
    obj = await folder.cluster.get(KEY)
    assert obj
    assert (obj["metadata"]["uid"], obj["spec"]["region"]) == (first, "local")


async def test_document_of_a_resource_that_the_operator_made_is_a_problem(folder: FolderHarness) -> None:
    made = await folder.cluster.create(access_key())
    folder.write("a.yaml", access_key(expiresAt="2030-01-01T00:00:00Z"))
    (problem,) = folder.problems
    assert "choose another name" in problem
    assert await folder.cluster.get(KEY) == made
    (folder.resources / "a.yaml").unlink()
    folder.settle(60)
    assert await folder.cluster.get(KEY) == made


async def test_documents_labels_follow_and_others_stay(folder: FolderHarness) -> None:
    def labelled(**labels: str) -> dict[str, Any]:
        manifest = bucket()
        manifest["metadata"]["labels"] = labels
        return manifest

    folder.write("a.yaml", labelled(team="a", old="1"))
    folder.cluster.refresh()
    obj: Any = await folder.cluster.get(BUCKET)
    obj["metadata"]["labels"]["operator"] = "set"
    await folder.cluster.update(obj)
    folder.write("a.yaml", labelled(team="b"))
    folder.cluster.refresh()
    live = await folder.cluster.get(BUCKET)
    assert live
    assert live["metadata"]["labels"] == {"team": "b", "operator": "set"}
    assert live["metadata"]["generation"] == 1


async def test_document_cannot_bring_what_belongs_to_the_operator(folder: FolderHarness) -> None:
    manifest = bucket()
    manifest["metadata"] |= {"finalizers": ["example.com/mine"], "uid": "mine", "generation": 9}
    manifest["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y"}]
    folder.write("a.yaml", manifest | {"status": {"bucketName": "photos"}})
    folder.cluster.refresh()
    obj = await folder.cluster.get(BUCKET)
    assert obj
    assert not {"finalizers", "ownerReferences"} & obj["metadata"].keys()
    assert obj["metadata"]["uid"] != "mine"
    assert "status" not in obj


async def test_state_survives_a_restart(folder: FolderHarness) -> None:
    folder.write("a.yaml", bucket())
    folder.cluster.refresh()
    await hold(folder)
    obj = await folder.cluster.get(BUCKET)
    assert obj
    await folder.cluster.update_status({**obj, "status": {"bucketName": "photos"}})
    key = await folder.cluster.create(access_key(owner=obj))
    before = await folder.cluster.get(BUCKET)
    await folder.reopen()
    assert await folder.cluster.get(BUCKET) == before
    assert await folder.cluster.get(KEY) == key


async def test_file_missing_at_start_is_a_deletion_after_two_seconds(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    assert await uid(folder)
    await folder.cluster.close()
    file.unlink()
    folder.cluster = folder.make()
    assert await uid(folder)
    folder.monotonic.now += 1.9
    assert await uid(folder)
    folder.monotonic.now += 0.2
    assert await uid(folder) is None


async def test_versions_are_not_given_twice_across_restarts(folder: FolderHarness) -> None:
    made = await folder.cluster.create(bucket())
    await folder.cluster.delete(BUCKET, made["metadata"]["uid"])
    folder.clock.now += 10
    await folder.reopen()
    again = await folder.cluster.create(bucket())
    assert int(again["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


async def test_deleted_over_s3_is_not_made_again_while_its_document_stays(folder: FolderHarness) -> None:
    folder.write("a.yaml", bucket())
    first = await uid(folder)
    await hold(folder)
    await delete(folder)
    folder.settle()
    assert folder.problems == []
    await release(folder)
    for _ in range(2):
        folder.settle(60)
        assert await uid(folder) is None
        assert "was deleted over S3; its file still declares it: remove the file" in folder.problems[0]
        await folder.reopen()
    folder.write("a.yaml", bucket(visibility="Public"))
    assert await uid(folder) not in (None, first)
    assert folder.problems == []


async def test_comment_or_move_of_a_deleted_resources_document_does_not_bring_it_back(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    await delete(folder)
    file.write_text("# a comment\n" + file.read_text())
    folder.settle(60)
    assert await uid(folder) is None
    file.rename(folder.resources / "b.yaml")
    folder.settle(60)
    assert await uid(folder) is None


async def test_removing_the_file_forgets_the_tombstone(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    await delete(folder)
    folder.cluster.refresh()
    file.unlink()
    folder.settle(1.9)
    folder.write("a.yaml", bucket())
    folder.settle()
    assert await uid(folder) is None, "gone for less than two seconds is not removed"
    file.unlink()
    folder.settle()
    folder.write("a.yaml", bucket())
    assert await uid(folder)
    assert folder.problems == []


async def test_broken_file_keeps_the_tombstone(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    await delete(folder)
    folder.cluster.refresh()
    text = file.read_text()
    file.write_text("a: [")
    folder.settle(60)
    await folder.reopen()
    folder.settle(60)
    file.write_text(text)
    folder.settle()
    assert await uid(folder) is None


async def test_document_edited_while_being_deleted_makes_a_new_resource_after(folder: FolderHarness) -> None:
    folder.write("a.yaml", bucket())
    first = await uid(folder)
    await hold(folder)
    await delete(folder)
    folder.write("a.yaml", bucket(visibility="Public"))
    assert await uid(folder) == first
    assert "made anew" in folder.problems[0]
    await release(folder)
    assert await uid(folder) not in (None, first)


async def being_deleted(folder: FolderHarness) -> Object:
    """A Bucket whose file was removed, and that a finalizer holds."""
    file = folder.write("a.yaml", bucket())
    folder.cluster.refresh()
    await hold(folder)
    file.unlink()
    folder.settle()
    obj = await folder.cluster.get(BUCKET)
    assert obj
    assert "deletionTimestamp" in obj["metadata"]
    return obj


@pytest.mark.parametrize("path", ["a.yaml", "b.yaml"])
@pytest.mark.parametrize("restart", [False, True])
async def test_file_put_back_calls_the_deletion_off(folder: FolderHarness, path: str, restart: bool) -> None:
    before = await being_deleted(folder)
    if restart:
        await folder.reopen()
    folder.write(path, bucket(deletionPolicy="Retain"))
    folder.settle(60)
    obj = await folder.cluster.get(BUCKET)
    assert obj
    assert obj["metadata"]["uid"] == before["metadata"]["uid"]
    assert "deletionTimestamp" not in obj["metadata"]
    assert obj["metadata"]["generation"] > before["metadata"]["generation"]
    assert obj["metadata"]["annotations"] == {"cooper.dev/deletion": "recalled"}
    assert obj["metadata"]["finalizers"] == [FINALIZER]
    assert obj["spec"] == {"deletionPolicy": "Retain"}
    assert folder.problems == []
    with pytest.raises(Conflict):
        await folder.cluster.update(before)  # what was decided before does not pass
    (folder.resources / path).unlink()
    folder.settle()
    obj = await folder.cluster.get(BUCKET)
    assert obj
    assert "deletionTimestamp" in obj["metadata"], "and it can be deleted again"


async def test_file_put_back_after_the_deletion_became_final_makes_a_new_resource(folder: FolderHarness) -> None:
    before = await being_deleted(folder)
    metadata = {**before["metadata"], "annotations": {"cooper.dev/deletion": "final"}}
    await folder.cluster.update({**before, "metadata": metadata})
    folder.write("a.yaml", bucket(visibility="Public"))
    folder.settle()
    obj = await folder.cluster.get(BUCKET)
    assert obj
    assert "deletionTimestamp" in obj["metadata"]
    assert "made anew" in folder.problems[0]
    await release(folder)
    again = await folder.cluster.get(BUCKET)
    folder.cluster.refresh()
    again = await folder.cluster.get(BUCKET)
    assert again
    assert again["metadata"]["uid"] != before["metadata"]["uid"]
    assert again["spec"] == {"visibility": "Public"}


async def test_broken_file_does_not_call_a_deletion_off(folder: FolderHarness) -> None:
    await being_deleted(folder)
    (folder.resources / "a.yaml").write_text("a: [")
    for _ in range(2):
        folder.settle()
        obj = await folder.cluster.get(BUCKET)
        assert obj
        assert "deletionTimestamp" in obj["metadata"]
        await folder.reopen()


async def test_document_cannot_say_how_its_deletion_stands(folder: FolderHarness) -> None:
    manifest = bucket()
    manifest["metadata"]["annotations"] = {"cooper.dev/deletion": "final", "team": "a"}
    folder.write("a.yaml", manifest)
    folder.cluster.refresh()
    obj = await folder.cluster.get(BUCKET)
    assert obj
    assert obj["metadata"]["annotations"] == {"team": "a"}


def shown(folder: FolderHarness) -> tuple[str | None, bool]:
    """The remark on the one resource, and whether it is being deleted."""
    status = read_status(folder.state)
    (obj,) = status.objects
    remark = status.remark(obj)
    return None if remark is None else remark.type, "deletionTimestamp" in obj["metadata"]


async def test_vanished_resource_is_said_to_be_so_at_once(folder: FolderHarness) -> None:
    file = folder.write("a.yaml", bucket())
    folder.cluster.refresh()
    await hold(folder)
    assert shown(folder) == (None, False)
    file.unlink()
    folder.cluster.refresh()
    assert shown(folder) == ("Vanished", False)
    folder.settle()
    assert shown(folder) == (None, True)
    folder.write("a.yaml", bucket())
    folder.cluster.refresh()
    assert shown(folder) == (None, False)


async def test_several_resources_that_are_held_are_one_problem(folder: FolderHarness) -> None:
    folder.write("a.yaml", *(bucket(f"photos-{number}") for number in range(5)))
    folder.cluster.refresh()
    (folder.resources / "a.yaml").unlink()
    (folder.resources / "b.yaml").write_text("name: photos-0 photos-1 photos-2 photos-3 photos-4: [")
    folder.settle()
    kept = "(Bucket default/photos-0, Bucket default/photos-1, Bucket default/photos-2, …) vanished while"
    assert any(f"b.yaml: 5 resources {kept}" in problem for problem in folder.problems)
    assert len(folder.problems) == 2
    assert {remark.type for remark in read_status(folder.state).remarks.values()} == {"Held"}


async def test_status_says_that_a_manifest_is_not_applied(folder: FolderHarness) -> None:
    folder.write("a.yaml", bucket(visibility="Public"))
    folder.write("c.yaml", access_key(region="local"))
    folder.cluster.refresh()
    folder.write("a.yaml", bucket(visibility="Secret"))
    folder.write("c.yaml", access_key(region="other"))
    folder.cluster.refresh()
    remarks = read_status(folder.state).remarks
    assert remarks == folder.cluster.remarks
    assert remarks.keys() == {BUCKET, KEY}
    assert remarks[BUCKET].type == "NotApplied"
    text = "Bucket photos: spec.visibility: must be one of Private, Public"
    assert remarks[BUCKET].text.startswith("spec of a.yaml not applied: line ")
    assert text in remarks[BUCKET].text
    assert remarks[KEY].text.startswith("spec of c.yaml not applied: AccessKey photos: spec.region: cannot be changed")
    folder.write("a.yaml", bucket())
    folder.write("c.yaml", access_key(region="local"))
    folder.cluster.refresh()
    assert read_status(folder.state).remarks == {}


async def test_broken_file_of_a_resource_that_another_file_declares_says_nothing_of_it(folder: FolderHarness) -> None:
    folder.write("a.yaml", bucket())
    folder.cluster.refresh()
    folder.write("b.yaml", bucket(visibility="Public"))
    folder.cluster.refresh()
    (folder.resources / "b.yaml").write_text("a: [")
    folder.cluster.refresh()
    assert read_status(folder.state).remarks == {}


async def test_file_that_was_first_stays_the_source(folder: FolderHarness) -> None:
    folder.write("m.yaml", bucket(visibility="Public"))
    first = await uid(folder)
    folder.write("a.yaml", region(), bucket(visibility="Private"))
    for _ in range(2):
        folder.settle()
        obj = await folder.cluster.get(BUCKET)
        assert obj
        assert (obj["metadata"]["uid"], obj["spec"]) == (first, {"visibility": "Public"})
        (problem,) = folder.problems
        assert problem.startswith("a.yaml:8: Bucket default/photos is declared already in m.yaml:1: that one counts")
        await folder.reopen()
    (folder.resources / "m.yaml").unlink()
    folder.settle(60)
    obj = await folder.cluster.get(BUCKET)
    assert obj
    assert (obj["metadata"]["uid"], obj["spec"]) == (first, {"visibility": "Private"})
    assert folder.problems == []


async def test_second_process_is_told_that_the_state_is_in_use(folder: FolderHarness) -> None:
    folder.cluster.open()
    with pytest.raises(Unavailable, match="in use"):
        await folder.make().get(BUCKET)
    await folder.reopen()
    assert await folder.cluster.get(BUCKET) is None


async def test_damaged_state_is_unavailable_and_nothing_is_lost(folder: FolderHarness) -> None:
    folder.write("a.yaml", bucket())
    first = await uid(folder)
    key = await folder.cluster.create(access_key())
    await folder.cluster.create_credentials("default", "photos", {"A": "1"}, key, KEY_ID)
    file = folder.state / "objects" / f"{first}.json"
    good = file.read_bytes()
    await folder.cluster.close()
    for bad in (b"", b"{", good[:50], good.replace(b'"version":1', b'"version":2'), b'{"version":1,"object":{}}'):
        file.write_bytes(bad)
        folder.cluster = folder.make()
        with pytest.raises(Unavailable, match="state"):
            await folder.cluster.list_kind("Bucket")
        with pytest.raises(Unavailable):
            read_status(folder.state)
        assert (folder.credentials / "default/photos.env").exists()
    file.write_bytes(good)
    assert await uid(folder) == first


async def test_removed_state_folder_is_noticed(folder: FolderHarness) -> None:
    folder.write("a.yaml", bucket())
    assert await uid(folder)
    shutil.rmtree(folder.state)
    folder.cluster.refresh()
    with pytest.raises(Unavailable, match="state folder"):
        await folder.cluster.get(OTHER)
    with pytest.raises(Unavailable):
        await folder.cluster.create(bucket("other"))
    with pytest.raises(Unavailable):
        await folder.cluster.list_records()


async def test_state_is_for_its_owner_only(folder: FolderHarness) -> None:
    folder.state.mkdir(mode=0o755)
    folder.write("a.yaml", bucket())
    folder.cluster.refresh()
    assert folder.state.stat().st_mode & 0o777 == 0o700
    for path in folder.state.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


async def test_status_is_readable_beside_the_running_process(folder: FolderHarness) -> None:
    assert read_status(folder.state).objects == []
    folder.write("a.yaml", access_key(), bucket("b"), bucket("a"), region())
    folder.cluster.refresh()
    kinds = [(obj["kind"], obj["metadata"]["name"]) for obj in read_status(folder.state).objects]
    assert kinds == [("Region", "local"), ("Bucket", "a"), ("Bucket", "b"), ("AccessKey", "photos")]


# Buckets that clients ask for over S3

ASKED = {**bucket(bucketName="photos"), "metadata": {**bucket()["metadata"], "annotations": {"cooper.dev/x": "AKIA"}}}
MADE = "over-s3/default.photos.yaml"


async def test_what_is_declared_is_a_file_that_is_its_readers(folder: FolderHarness) -> None:
    mine = folder.write("a.yaml", bucket("other"))
    folder.cluster.refresh()
    before = mine.read_bytes()
    made = await folder.cluster.declare(ASKED)
    file = folder.resources / MADE
    assert (made["spec"], made["metadata"]["annotations"]) == (ASKED["spec"], {"cooper.dev/x": "AKIA"})
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("# Made by Cooper")
    assert mine.read_bytes() == before
    await folder.reopen()
    assert await uid(folder) == made["metadata"]["uid"]
    folder.write(MADE, bucket(visibility="Public"))
    folder.cluster.refresh()
    assert (await folder.cluster.get(BUCKET) or {})["spec"] == {"visibility": "Public"}
    file.unlink()
    folder.settle()
    assert await uid(folder) is None
    assert folder.problems == []


@pytest.mark.parametrize("name", ["1e3", "0x1f", "null", "true", "yes", "off", "2026-01-01", "1.5", "12-3", "0777"])
async def test_names_that_yaml_takes_for_something_else(folder: FolderHarness, name: str) -> None:
    made = await folder.cluster.declare(bucket(name, bucketName=name))
    assert made["spec"] == {"bucketName": name}
    assert folder.problems == []


async def test_declared_again_after_it_was_deleted_over_s3(folder: FolderHarness) -> None:
    first = await folder.cluster.declare(ASKED)
    text = (folder.resources / MADE).read_bytes()
    await delete(folder)
    folder.settle(60)
    assert await uid(folder) is None
    again = await folder.cluster.declare({**ASKED, "metadata": bucket()["metadata"]})  # by another key
    assert again["metadata"]["uid"] != first["metadata"]["uid"]
    assert (folder.resources / MADE).read_bytes() == text
    assert folder.problems == []


async def test_a_file_that_was_written_just_before_a_crash_is_taken_up(folder: FolderHarness) -> None:
    folder.cluster.refresh()
    folder.write(MADE, ASKED)
    made = await folder.cluster.declare(ASKED)
    assert await uid(folder) == made["metadata"]["uid"]
    await folder.reopen()
    assert await uid(folder) == made["metadata"]["uid"]


async def test_what_cannot_be_is_not_written(folder: FolderHarness) -> None:
    with pytest.raises(Invalid, match="bucketName"):
        await folder.cluster.declare(bucket(bucketName="A"))
    assert list(folder.resources.iterdir()) == []


@pytest.mark.parametrize("path", ["mine.yaml", MADE])
async def test_a_file_of_somebody_is_in_the_way_of_what_is_declared(folder: FolderHarness, path: str) -> None:
    """It would decide what the bucket is."""
    file = folder.write(path, bucket(visibility="Public"))
    folder.cluster.refresh()
    await delete(folder)
    folder.settle(60)
    before = file.read_bytes()
    with pytest.raises(Invalid, match="remove"):
        await folder.cluster.declare(ASKED)
    assert await uid(folder) is None
    assert file.read_bytes() == before
    assert sorted(each.name for each in folder.resources.rglob("*.yaml")) == [Path(path).name]


@pytest.mark.parametrize("content", [b"kind: [", b"", b"apiVersion: v1"])
async def test_a_broken_file_is_in_the_way_of_what_is_declared(folder: FolderHarness, content: bytes) -> None:
    (folder.resources / "over-s3").mkdir()
    file = folder.resources / MADE
    file.write_bytes(content)
    with pytest.raises(Invalid, match="says something else"):
        await folder.cluster.declare(ASKED)
    assert file.read_bytes() == content


async def test_nothing_is_written_through_a_symlink(folder: FolderHarness, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder.resources / "over-s3").symlink_to(outside)
    with pytest.raises(Invalid, match="cannot be written"):
        await folder.cluster.declare(ASKED)
    (folder.resources / "over-s3").unlink()
    (folder.resources / "over-s3").mkdir()
    (folder.resources / MADE).symlink_to(outside / "photos.yaml")
    with pytest.raises(Invalid):
        await folder.cluster.declare(ASKED)
    assert list(outside.iterdir()) == []
