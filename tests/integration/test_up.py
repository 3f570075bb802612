"""`cooper up` as a person uses it: files in, credentials out, edits take effect, Ctrl-C leaves nothing behind."""

import json
import os
import pty
import re
import stat
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from clients.aws import clean_env
from cooper_cli.places import Places
from support.rig import COOPER, KEY_REFUSED, REGION, Rig, access_key, bucket, error_code, eventually, s3_client


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("up"))
    rig.apply("region.yaml", REGION)
    with rig:
        yield rig


def test_an_applied_bucket_gets_credentials_that_work_at_the_first_try(rig: Rig) -> None:
    for number in range(10):
        rig.apply(f"first-{number}.yaml", bucket(f"first-{number}"))
        rig.client(f"first-{number}").put_object(Bucket=f"first-{number}", Key="k", Body=b"v")


def test_the_credentials_file_is_private_and_has_the_secrets_keys(rig: Rig) -> None:
    rig.apply("private.yaml", bucket("private"))
    env = rig.env("private")
    assert set(env) == {"ACCESS_KEY", "SECRET_KEY", "ENDPOINT", "REGION", "BUCKET"}
    path = rig.credentials_file("private")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_credentials_edited_or_deleted_are_put_back(rig: Rig) -> None:
    rig.apply("drift.yaml", bucket("drift"))
    rig.env("drift")
    path = rig.credentials_file("drift")
    content = path.read_text()
    path.write_text(content.replace("SECRET_KEY=", "SECRET_KEY=x"))
    eventually("the content put back", lambda: path.exists() and path.read_text() == content)
    path.unlink()
    eventually("the file put back", lambda: path.exists() and path.read_text() == content)


def test_a_foreign_file_is_never_touched(rig: Rig) -> None:
    path = rig.credentials_file("foreign")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("MINE=1\n")
    rig.apply("foreign.yaml", bucket("foreign"))
    found = rig.wait_condition("AccessKey", "foreign", reason="SecretConflict")
    assert found["status"] == "False"
    assert path.read_text() == "MINE=1\n"
    path.unlink()
    assert rig.client("foreign").list_objects_v2(Bucket="foreign")["KeyCount"] == 0


def test_a_bucket_with_objects_waits_and_says_so_then_goes_when_emptied(rig: Rig) -> None:
    rig.apply("full.yaml", bucket("full"))
    s3 = rig.client("full")
    s3.put_object(Bucket="full", Key="k", Body=b"v")
    (rig.resources / "full.yaml").unlink()
    found = rig.wait_condition("Bucket", "full", reason="BucketNotEmpty")
    assert "1 object" in found["message"]
    s3.delete_object(Bucket="full", Key="k")
    eventually("the bucket gone", lambda: not rig.condition("Bucket", "full"), pause=0.2)
    assert not rig.credentials_file("full").exists()
    assert error_code(lambda: s3.list_objects_v2(Bucket="full")) in KEY_REFUSED


def test_a_retained_bucket_keeps_its_data_and_its_name(rig: Rig) -> None:
    rig.apply("kept.yaml", bucket("kept", deletionPolicy="Retain"))
    s3 = rig.client("kept")
    s3.put_object(Bucket="kept", Key="k", Body=b"v")
    (rig.resources / "kept.yaml").unlink()
    eventually("the bucket gone", lambda: not rig.condition("Bucket", "kept"), pause=0.2)
    assert error_code(lambda: s3.get_object(Bucket="kept", Key="k")) in KEY_REFUSED
    rig.apply("thief.yaml", bucket("thief", bucketName="kept"))
    rig.wait_condition("Bucket", "thief", reason="NameTaken")


def retained(rig: Rig) -> list[tuple[str, str, str]]:
    """What `cooper buckets retained` lists."""
    command = [*COOPER, "buckets", "retained", "--data", str(rig.data), "-o", "json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, env=clean_env()).stdout)
    return [(each["bucketName"], each["namespace"], each["bucket"]) for each in found]


def test_retained_data_is_taken_over_by_its_namespace_and_by_whom_the_region_names(rig: Rig) -> None:
    rig.apply("left.yaml", bucket("left", deletionPolicy="Retain"))
    former = rig.client("left")
    former.put_object(Bucket="left", Key="k", Body=b"v")
    (rig.resources / "left.yaml").unlink()
    eventually("the bucket gone", lambda: not rig.condition("Bucket", "left"), pause=0.2)
    assert ("left", "default", "left") in retained(rig)
    rig.apply("taken.yaml", bucket("taken", bucketName="left", adopt=True, visibility="Public"))
    s3 = rig.client("taken")
    assert s3.get_object(Bucket="left", Key="k")["Body"].read() == b"v"
    assert error_code(lambda: former.get_object(Bucket="left", Key="k")) in KEY_REFUSED
    (taken,) = [each for each in rig.items() if (each["kind"], each["metadata"]["name"]) == ("Bucket", "taken")]
    assert taken["status"]["objects"] == 1
    assert ("left", "default", "left") not in retained(rig)
    eventually("that it is told", lambda: "Bucket default/taken: Adopted: " in rig.log.read_text())
    rig.stop()
    rig.start()
    rig.wait_condition("Bucket", "taken")
    assert rig.client("taken").get_object(Bucket="left", Key="k")["Body"].read() == b"v"


def test_a_manifest_put_back_calls_the_deletion_off_and_the_advice_for_keeping_the_objects_works(rig: Rig) -> None:
    rig.apply("back.yaml", bucket("back"))
    s3 = rig.client("back")
    s3.put_object(Bucket="back", Key="k", Body=b"v")
    (rig.resources / "back.yaml").unlink()
    rig.wait_condition("Bucket", "back", reason="BucketNotEmpty")
    rig.apply("back.yaml", bucket("back", deletionPolicy="Retain"))
    rig.wait_condition("Bucket", "back")
    eventually("that it is told", lambda: "Bucket default/back: DeletionCalledOff: " in rig.log.read_text())
    assert s3.get_object(Bucket="back", Key="k")["Body"].read() == b"v", "the same key and the same objects"
    s3.put_object(Bucket="back", Key="k2", Body=b"v")
    (rig.resources / "back.yaml").unlink()
    eventually("the bucket gone", lambda: not rig.condition("Bucket", "back"), pause=0.2)
    rig.apply("back.yaml", bucket("back"))
    found = rig.wait_condition("Bucket", "back", reason="NameTaken")
    assert "holds the retained data of the former Bucket back of this namespace" in found["message"]


def test_two_buckets_that_claim_one_name(rig: Rig) -> None:
    rig.apply("claim-a.yaml", bucket("claim-a", bucketName="claimed"))
    rig.wait_condition("Bucket", "claim-a")
    rig.apply("claim-b.yaml", bucket("claim-b", bucketName="claimed"))
    rig.wait_condition("Bucket", "claim-b", reason="NameTaken")
    rig.client("claim-a").put_object(Bucket="claimed", Key="k", Body=b"v")


def test_revoking_api_access_and_allowing_it_again(rig: Rig) -> None:
    rig.apply("access.yaml", bucket("access"))
    s3 = rig.client("access")
    s3.put_object(Bucket="access", Key="k", Body=b"v")
    rig.apply("access.yaml", bucket("access", apiAccess="Revoked"))
    eventually("the refusal", lambda: _code(s3, "access") == "KeyAccessRevoked")
    assert error_code(lambda: s3.put_object(Bucket="access", Key="k", Body=b"v")) == "KeyAccessRevoked"
    assert rig.credentials_file("access").exists()
    rig.apply("access.yaml", bucket("access"))
    eventually("access again", lambda: _code(s3, "access") == "")


def test_revoking_a_key_removes_its_credentials_and_reactivating_issues_a_new_one(rig: Rig) -> None:
    rig.apply("keyed.yaml", bucket("keyed"))
    rig.apply("key.yaml", access_key("keyed-reader", grants=[{"bucket": "keyed", "actions": ["s3:ListBucket"]}]))
    env = rig.env("keyed-reader")
    s3 = s3_client(env)
    assert error_code(lambda: s3.put_object(Bucket="keyed", Key="k", Body=b"v")) == "AccessDenied"
    rig.apply(
        "key.yaml",
        access_key("keyed-reader", state="Revoked", grants=[{"bucket": "keyed", "actions": ["s3:ListBucket"]}]),
    )
    eventually("the file removed", lambda: not rig.credentials_file("keyed-reader").exists())
    assert error_code(lambda: s3.list_objects_v2(Bucket="keyed")) == "KeyAccessRevoked"
    rig.wait_condition("AccessKey", "keyed-reader", "Revoked")
    rig.apply("key.yaml", access_key("keyed-reader", grants=[{"bucket": "keyed", "actions": ["s3:ListBucket"]}]))
    assert rig.env("keyed-reader")["ACCESS_KEY"] != env["ACCESS_KEY"]
    assert error_code(lambda: s3.list_objects_v2(Bucket="keyed")) == "KeyAccessRevoked", "its holder is told why"


def test_a_public_bucket_is_read_without_signing_and_never_listed(rig: Rig) -> None:
    rig.apply("open.yaml", bucket("open", visibility="Public"), bucket("shut"))
    rig.client("open").put_object(Bucket="open", Key="a b/ü.txt", Body=b"v")
    rig.client("shut").put_object(Bucket="shut", Key="k", Body=b"v")
    for path in ("/public/open/a%20b/%C3%BC.txt", "/open/a%20b/%C3%BC.txt"):
        with urllib.request.urlopen(rig.endpoint + path) as answer:
            assert answer.read() == b"v"
    for path in ("/open", "/open?list-type=2", "/public/shut/k", "/shut/k", "/missing/k", "/public/missing/k"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(rig.endpoint + path)
        assert (path, refused.value.code) == (path, 403)


def test_delete_bucket_over_s3_closes_it_and_the_manifest_stays(rig: Rig) -> None:
    actions = ["s3:PutObject", "s3:DeleteObject", "s3:DeleteBucket"]
    rig.apply("gone.yaml", bucket("gone", credentials={"actions": actions}))
    s3 = rig.client("gone")
    s3.put_object(Bucket="gone", Key="k", Body=b"v")
    assert error_code(lambda: s3.delete_bucket(Bucket="gone")) == "BucketNotEmpty"
    s3.delete_object(Bucket="gone", Key="k")
    s3.delete_bucket(Bucket="gone")
    eventually("the bucket gone", lambda: not rig.condition("Bucket", "gone"), pause=0.2)
    assert (rig.resources / "gone.yaml").exists()
    eventually("the notice", lambda: "gone" in _status(rig), pause=0.2)


def test_what_becomes_of_resources_and_problems_is_printed(rig: Rig) -> None:
    told = lambda line: eventually(line, lambda: line in rig.log.read_text().splitlines())  # noqa: E731
    rig.apply("told.yaml", bucket("told"))
    told("Bucket default/told: Ready")
    (rig.resources / "told.yaml").unlink()
    told("Bucket default/told: no file declares it any more: it is about to be deleted")
    assert "Deleting" in next(line for line in _status(rig).splitlines() if " told " in line)
    told("Bucket default/told: deleted")
    (rig.resources / "odd.yaml").write_text("kind: Bucket\nmetadata: {name: odd}\n")
    eventually("the problem", lambda: "problem: odd.yaml" in rig.log.read_text())
    (rig.resources / "odd.yaml").unlink()
    eventually("its solution", lambda: "solved: odd.yaml" in rig.log.read_text())


def test_an_edit_that_cannot_be_applied_shows_in_the_table(rig: Rig) -> None:
    rig.apply("edited.yaml", bucket("edited"))
    rig.env("edited")
    rig.apply("edited.yaml", bucket("edited", visibility="Secret"))
    row = lambda: next(line for line in _status(rig).splitlines() if line.startswith("Bucket") and " edited " in line)  # noqa: E731
    eventually("the remark", lambda: "NotApplied" in row() and "spec.visibility" in row(), pause=0.2)


def test_a_broken_file_is_reported_and_revokes_nothing(rig: Rig) -> None:
    rig.apply("stays.yaml", bucket("stays"))
    s3 = rig.client("stays")
    (rig.resources / "stays.yaml").write_text("kind: Bucket\n  bad: [\n")
    eventually("the report", lambda: "stays.yaml" in _status(rig), pause=0.2)
    rig.apply("wrong.yaml", bucket("wrong", visibility="Secret"))
    eventually("the field's path", lambda: "spec.visibility" in _status(rig), pause=0.2)
    s3.put_object(Bucket="stays", Key="k", Body=b"v")


def test_a_missing_region_is_named_and_its_arrival_heals(rig: Rig) -> None:
    rig.apply("far.yaml", bucket("far", region="elsewhere"))
    found = rig.wait_condition("Bucket", "far", reason="RegionNotFound")
    assert "elsewhere" in found["message"]


def test_who_has_no_region_is_given_one_to_paste(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("bucket.yaml", bucket("alone"))
    with rig:
        found = rig.wait_condition("Bucket", "alone", reason="RegionNotFound")
        given = re.search(r"\{apiVersion: .*?\}\}", found["message"])
        assert given
        rig.apply("region.yaml", given[0])
        rig.client("alone").put_object(Bucket="alone", Key="k", Body=b"v")


def test_a_second_cooper_up_says_who_holds_the_data(rig: Rig) -> None:
    command = [*COOPER, "up", str(rig.resources), "--data", str(rig.data), "--port", "0", "--metrics-port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_env(), timeout=20)
    assert done.returncode == 1
    assert rig.process is not None
    assert str(rig.process.pid) in done.stderr
    assert "--data" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_named(rig: Rig, tmp_path: Path) -> None:
    command = [*COOPER, "up", str(rig.resources), "--data", str(tmp_path / "d"), "--port", str(rig.port)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_env(), timeout=20)
    assert done.returncode == 1
    assert str(rig.port) in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("blocked", ["data", "data/state"])
def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path, blocked: str) -> None:
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("a file")
    done = _up(str(tmp_path), "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert str(tmp_path / blocked) in done.stderr
    assert "--data" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_manifest_named_instead_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(bucket("mine"))
    done = _up(str(tmp_path / "mine.yaml"), "--data", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "mine.yaml is a file: name the folder that it lies in" in done.stderr


def test_status_for_programs_is_the_same_in_json_and_yaml(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket("both"))
    with rig:
        rig.env("both")
        rig.apply("all.yaml", REGION, bucket("both", visibility="Secret"))
        eventually("the problem", lambda: "spec.visibility" in _status(rig), pause=0.2)
    as_json, as_yaml = (json.loads(_status(rig, "-o", "json")), yaml.safe_load(_status(rig, "-o", "yaml")))
    assert as_json == as_yaml
    assert as_json["running"] is False
    assert ("Bucket", "both", "NotApplied") in [(r["kind"], r["name"], r["type"]) for r in as_json["remarks"]]
    assert [problem["file"] for problem in as_json["problems"]] == ["all.yaml"]


def test_a_restart_keeps_keys_and_data_and_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket("lasting"))
    with rig:
        env = rig.env("lasting")
        s3_client(env).put_object(Bucket="lasting", Key="k", Body=b"v")
        pids = [pid for pids in rig.processes().values() for pid in pids]
        assert len(pids) >= 5
        assert "not running" not in _status(rig)
    assert rig.log.read_text().splitlines()[-1].startswith("Stopped. Data, keys and credentials stay in ")
    assert "Cooper is not running" in _status(rig)
    eventually("every process gone", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
    with rig:
        assert rig.env("lasting") == env
        assert s3_client(env).get_object(Bucket="lasting", Key="k")["Body"].read() == b"v"


def test_a_terminal_that_is_closed_ends_everything_as_ctrl_c_does(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket("closed"))
    command = [*COOPER, "up", str(rig.resources), "--data", str(rig.data), "--port", "0", "--metrics-port", "0"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, clean_env())
    rig.env("closed")
    run_folder = Places(rig.data).run
    assert run_folder.is_dir()
    os.close(terminal)
    eventually("the end", lambda: os.waitpid(pid, os.WNOHANG)[0])
    assert not run_folder.exists()


def _code(s3: object, name: str) -> str:
    try:
        s3.get_object(Bucket=name, Key="k")  # type: ignore[attr-defined]
    except Exception as error:
        return error.response["Error"]["Code"]  # type: ignore[attr-defined]
    return ""


def _up(*options: str) -> subprocess.CompletedProcess[str]:
    command = [*COOPER, "up", *options, "--port", "0", "--metrics-port", "0"]
    return subprocess.run(command, capture_output=True, text=True, env=clean_env(), timeout=20)


def _status(rig: Rig, *options: str) -> str:
    command = [*COOPER, "status", "--data", str(rig.data), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean_env())
    return done.stdout
