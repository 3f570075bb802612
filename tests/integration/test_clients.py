"""Real clients do their daily work: put, multipart put, list, get, copy, delete, presigned get."""

import filecmp
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients import cache
from clients.aws import aws_env, clean_env
from support.rig import REGION, Rig, bucket

MIB = 1 << 20
Run = Callable[..., str]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("clients"))
    rig.apply("all.yaml", REGION, bucket("work"), bucket("my-bucket", credentials={"secretProfiles": ["S3Env"]}))
    with rig:
        yield rig


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "small.txt").write_text("small\n" * 100)
    (folder / "big.bin").write_bytes(os.urandom(MIB) * 100)
    return folder / "small.txt", folder / "big.bin"


def run(*command: object, env: dict[str, str]) -> str:
    done = subprocess.run([str(word) for word in command], env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url.strip()) as answer:
        return answer.read()


def test_aws_cli(rig: Rig, files: tuple[Path, Path], tmp_path: Path) -> None:
    env, aws = aws_env(rig.env("work"), tmp_path), cache.programs() / "aws"
    s3 = "s3://work/aws"
    for path in files:
        run(aws, "s3", "cp", path, f"{s3}/dir/{path.name}", env=env)
        run(aws, "s3", "cp", f"{s3}/dir/{path.name}", tmp_path / "back", env=env)
        assert filecmp.cmp(path, tmp_path / "back", shallow=False)
        run(aws, "s3", "cp", f"{s3}/dir/{path.name}", f"{s3}/copy/{path.name}", env=env)
        run(aws, "s3", "cp", f"{s3}/copy/{path.name}", tmp_path / "back", env=env)
        assert filecmp.cmp(path, tmp_path / "back", shallow=False)
    assert run(aws, "s3", "ls", f"{s3}/", env=env).split() == ["PRE", "copy/", "PRE", "dir/"]
    assert run(aws, "s3", "ls", "--recursive", f"{s3}/", env=env).count("\n") == 4
    assert fetch(run(aws, "s3", "presign", f"{s3}/dir/small.txt", env=env)) == files[0].read_bytes()
    run(aws, "s3", "rm", "--recursive", f"{s3}/", env=env)
    assert run(aws, "s3", "ls", "--recursive", "s3://work/", env=env) == ""


def test_boto3(rig: Rig, files: tuple[Path, Path], tmp_path: Path) -> None:
    s3 = rig.client("work")
    for path in files:
        s3.upload_file(str(path), "work", f"boto/dir/{path.name}")
        s3.copy({"Bucket": "work", "Key": f"boto/dir/{path.name}"}, "work", f"boto/copy/{path.name}")
        for folder in ("dir", "copy"):
            s3.download_file("work", f"boto/{folder}/{path.name}", str(tmp_path / "back"))
            assert filecmp.cmp(path, tmp_path / "back", shallow=False)
    listed = s3.list_objects_v2(Bucket="work", Prefix="boto/", Delimiter="/")
    assert [p["Prefix"] for p in listed["CommonPrefixes"]] == ["boto/copy/", "boto/dir/"]
    assert len(s3.list_objects(Bucket="work", Prefix="boto/")["Contents"]) == 4
    params = {"Bucket": "work", "Key": "boto/dir/small.txt"}
    assert fetch(s3.generate_presigned_url("get_object", Params=params)) == files[0].read_bytes()
    keys = [{"Key": item["Key"]} for item in s3.list_objects_v2(Bucket="work", Prefix="boto/")["Contents"]]
    assert len(s3.delete_objects(Bucket="work", Delete={"Objects": keys})["Deleted"]) == 4


# Over plain HTTP the provider AWS of rclone 1.75 wants to hash a stream that it cannot rewind, and fails before it
# sends anything; use_unsigned_payload is its documented way out.
@pytest.mark.parametrize(("provider", "unsigned"), [("Other", ""), ("AWS", "true")])
def test_rclone(rig: Rig, files: tuple[Path, Path], tmp_path: Path, provider: str, unsigned: str) -> None:
    credentials = rig.env("work")
    env = clean_env(
        HOME=str(tmp_path),
        RCLONE_CONFIG=os.devnull,
        RCLONE_CONFIG_C_TYPE="s3",
        RCLONE_CONFIG_C_PROVIDER=provider,
        RCLONE_CONFIG_C_ENDPOINT=credentials["ENDPOINT"],
        RCLONE_CONFIG_C_REGION=credentials["REGION"],
        RCLONE_CONFIG_C_ACCESS_KEY_ID=credentials["ACCESS_KEY"],
        RCLONE_CONFIG_C_SECRET_ACCESS_KEY=credentials["SECRET_KEY"],
        RCLONE_CONFIG_C_FORCE_PATH_STYLE="true",
        RCLONE_CONFIG_C_USE_UNSIGNED_PAYLOAD=unsigned,
    )
    rclone, there = cache.programs() / "rclone", f"c:work/rclone-{provider}"
    source = files[0].parent
    chunked = ["--s3-upload-cutoff", "20M", "--s3-chunk-size", "10M"]
    run(rclone, "copy", *chunked, source, f"{there}/dir", env=env)
    run(rclone, "check", source, f"{there}/dir", env=env)
    run(rclone, "copy", f"{there}/dir", tmp_path / "back", env=env)
    assert not filecmp.dircmp(source, tmp_path / "back").diff_files
    run(rclone, "copy", f"{there}/dir", f"{there}/copy", env=env)
    assert run(rclone, "lsf", there, env=env).split() == ["copy/", "dir/"]
    assert run(rclone, "lsf", "-R", "--files-only", there, env=env).count("\n") == 4
    assert fetch(run(rclone, "link", f"{there}/dir/small.txt", "--expire", "1h", env=env)) == files[0].read_bytes()
    run(rclone, "delete", there, env=env)
    assert run(rclone, "lsf", "-R", "--files-only", there, env=env) == ""


def test_s3cmd(rig: Rig, files: tuple[Path, Path], tmp_path: Path) -> None:
    credentials = rig.env("work")
    host = credentials["ENDPOINT"].removeprefix("http://")
    config = tmp_path / "s3cfg"
    config.write_text(
        f"[default]\naccess_key = {credentials['ACCESS_KEY']}\nsecret_key = {credentials['SECRET_KEY']}\n"
        f"host_base = {host}\nhost_bucket = {host}\nuse_https = False\nbucket_location = local\n"
    )
    config.chmod(0o600)
    s3cmd, env = [cache.programs() / "s3cmd", "-c", config, "--no-progress"], clean_env(HOME=str(tmp_path))
    for path in files:
        run(*s3cmd, "put", path, f"s3://work/s3cmd/dir/{path.name}", env=env)
        run(*s3cmd, "cp", f"s3://work/s3cmd/dir/{path.name}", f"s3://work/s3cmd/copy/{path.name}", env=env)
        for folder in ("dir", "copy"):
            run(*s3cmd, "get", "--force", f"s3://work/s3cmd/{folder}/{path.name}", tmp_path / "back", env=env)
            assert filecmp.cmp(path, tmp_path / "back", shallow=False)
    assert run(*s3cmd, "ls", "s3://work/s3cmd/", env=env).count("DIR") == 2
    assert run(*s3cmd, "ls", "--recursive", "s3://work/s3cmd/", env=env).count("\n") == 4
    share_what_s3cmd_sent(run(*s3cmd, "signurl", "s3://work/s3cmd/dir/small.txt", "+3600", env=env), config, files[0])
    run(*s3cmd, "del", "--recursive", "--force", "s3://work/s3cmd/", env=env)
    assert run(*s3cmd, "ls", "--recursive", "s3://work/s3cmd/", env=env) == ""


def share_what_s3cmd_sent(link: str, config: Path, sent: Path) -> None:
    """s3cmd signs its links with Signature Version 2 only (docs/decisions/0010): the refusal says what to do instead,
    and a link made in that way, with the key of s3cmd's own configuration, brings the object."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(link)
    assert refused.value.code == 400
    assert re.search(
        b"Signature Version 2, .* Presign with AWS Signature Version 4 .*aws s3 presign", refused.value.read()
    )
    used = dict(re.findall(r"^(\w+) = (.+)$", config.read_text(), re.MULTILINE))
    credentials = {
        "ACCESS_KEY": used["access_key"],
        "SECRET_KEY": used["secret_key"],
        "REGION": used["bucket_location"],
        "ENDPOINT": f"http://{used['host_base']}",
    }
    presign = [cache.programs() / "aws", "s3", "presign", "s3://work/s3cmd/dir/small.txt"]
    assert fetch(run(*presign, env=aws_env(credentials, config.parent))) == sent.read_bytes()


@pytest.mark.parametrize("snippet", [cache.node_snippet, cache.go_snippet], ids=["node", "go"])
def test_documented_snippets(rig: Rig, files: tuple[Path, Path], snippet: Callable[[], list[str]]) -> None:
    credentials = rig.env("my-bucket")
    env = clean_env(**{name: value for name, value in credentials.items() if name.startswith("S3_")})
    for path in files:
        assert "ok" in run(*snippet(), path, env=env)
