"""The commands in the documentation, run as they stand there."""

import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import click

from clients import cache
from clients.aws import clean_env
from cooper_cli.main import main
from support.rig import COOPER, Rig, eventually

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str = "") -> list[str]:
    """The fenced blocks of a page in a language; none is named for shell commands."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return [text for named, text in found if named == language]


def shell(script: str, cwd: Path) -> str:
    path = f"{cache.programs()}:{Path(COOPER[0]).parent}:/usr/bin:/bin"
    env = clean_env(PATH=path, HOME=str(cwd), AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null")
    done = subprocess.run(["bash", "-euc", script], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readmes_commands_and_those_that_cooper_up_prints(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    for name in ("quickstart.yaml", "keys.yaml"):
        rig.apply(name, (ROOT / "examples" / name).read_text())
    (tmp_path / ".cooper").symlink_to(rig.data)
    (tmp_path / ".venv").symlink_to(Path(COOPER[0]).parent.parent)
    (tmp_path / "README.md").write_text("read me")
    with rig:
        rig.env("photos")
        with_python, with_aws = [block for block in blocks("README.md") if "set -a" in block]
        assert shell(with_python, tmp_path) == "['README.md']\n"
        assert "README.md" in shell(with_aws, tmp_path)
        hint = re.compile(r"Try it.*?:\n((?:  .*\n)+)")
        found = eventually("the hint", lambda: hint.search(rig.log.read_text()))
        printed = shell(found[1], tmp_path)
        assert "README.md" in printed
        assert "hello.txt" in printed
        (sample,) = [block for block in blocks("README.md") if block.startswith("KIND")]
        status = [*COOPER, "status", "--data", str(rig.data)]
        shown = subprocess.run(status, capture_output=True, text=True, check=True, env=clean_env()).stdout
        assert shape(shown) == shape(sample)


def test_the_lines_that_make_links(tmp_path: Path) -> None:
    (lines,) = [block for block in blocks("docs/clients.md") if "presign" in block]
    rig = Rig(tmp_path)
    rig.apply("all.yaml", (ROOT / "examples/quickstart.yaml").read_text())
    with rig:
        rig.client("photos").put_object(Bucket="photos", Key="some-file", Body=b"shared")
        remote = (
            "set -a; RCLONE_CONFIG=/dev/null; RCLONE_CONFIG_REMOTE_TYPE=s3; RCLONE_CONFIG_REMOTE_ENDPOINT=$ENDPOINT\n"
            "RCLONE_CONFIG_REMOTE_ACCESS_KEY_ID=$ACCESS_KEY; RCLONE_CONFIG_REMOTE_SECRET_ACCESS_KEY=$SECRET_KEY\n"
            "RCLONE_CONFIG_REMOTE_PROVIDER=Other; RCLONE_CONFIG_REMOTE_REGION=$REGION; set +a\n"
        )
        printed = shell(f". {rig.credentials_file('photos')}\n{remote}{lines}", tmp_path)
        for link in printed.split():
            with urllib.request.urlopen(link) as answer:
                assert answer.read() == b"shared"
        assert len(printed.split()) == 2


def test_the_lines_with_secret_profiles(tmp_path: Path) -> None:
    (manifest,) = [block for block in blocks("docs/clients.md", "yaml") if "secretProfiles" in block]
    (lines,) = [block for block in blocks("docs/clients.md") if "rclone.conf" in block]
    rig = Rig(tmp_path)
    rig.apply("all.yaml", (ROOT / "examples/quickstart.yaml").read_text().split("---")[0], manifest)
    (tmp_path / ".cooper").symlink_to(rig.data)
    (tmp_path / "README.md").write_text("read me")
    with rig:
        rig.env("photos")
        printed = shell(lines, tmp_path)
        assert printed.count("README.md") >= 3
        assert printed.endswith("README.md\n")


def test_the_lines_that_ask_as_a_browser(tmp_path: Path) -> None:
    (manifest,) = blocks("docs/browsers.md", "yaml")
    (line,) = [block for block in blocks("docs/browsers.md") if "OPTIONS" in block]
    rig = Rig(tmp_path)
    rig.apply("all.yaml", (ROOT / "examples/quickstart.yaml").read_text().split("---")[0], manifest)
    with rig:
        rig.env("uploads")
        answer = shell(f". {rig.credentials_file('uploads')}\n{line}", tmp_path)
        assert answer.startswith("HTTP/1.1 200 ")
        assert "Access-Control-Allow-Origin: https://app.example.com\n" in answer


def test_the_lines_about_host_names(tmp_path: Path) -> None:
    (suffixes, site, domain), (line, below) = blocks("docs/domains.md", "yaml"), blocks("docs/domains.md")
    rig = Rig(tmp_path)
    rig.apply("all.yaml", suffixes, site)
    with rig:
        rig.client("site").put_object(Bucket="site", Key="hello.txt", Body=b"hello")
        rig.wait_condition("Bucket", "site", "DomainsReady", status="True", reason="DomainsClaimed")
        asked = f". {rig.credentials_file('site')}\n{line}"
        answer = eventually("the domain", lambda: found if "hello" in (found := shell(asked, tmp_path)) else None)
        assert answer.startswith("HTTP/1.1 200 ")
        rig.apply("all.yaml", domain, site)
        asked = f". {rig.credentials_file('site')}\n{below.replace(':9000', f':{rig.port}')}"
        eventually("its name", lambda: shell(asked, tmp_path).startswith("HTTP/1.1 200 "))


def test_the_lines_that_upload_by_a_form(tmp_path: Path) -> None:
    (program,) = blocks("docs/browsers.md", "python")
    (lines,) = [block for block in blocks("docs/browsers.md") if "upload.curl" in block]
    (tmp_path / "sign.py").write_text(program)
    (tmp_path / "cat.png").write_bytes(b"a picture")
    (tmp_path / ".venv").symlink_to(Path(COOPER[0]).parent.parent)
    rig = Rig(tmp_path)
    rig.apply("all.yaml", (ROOT / "examples/quickstart.yaml").read_text())
    with rig:
        rig.env("photos")
        exported = f". .venv/bin/activate; set -a; . {rig.credentials_file('photos')}; set +a\n"
        assert "<Key>incoming/cat.png</Key>" in shell(exported + lines, tmp_path)
        found = rig.client("photos").get_object(Bucket="photos", Key="incoming/cat.png")
        assert (found["Body"].read(), found["ContentType"]) == (b"a picture", "image/png")
        refused = shell(exported + lines.replace("image/png", "text/html"), tmp_path)
        assert "Invalid according to Policy: Policy Condition failed" in refused


def test_the_lines_about_another_key(tmp_path: Path) -> None:
    page = blocks("docs/upgrade-and-backup.md")
    (add,) = [block for block in page if block.startswith("cooper keys add")]
    (rewrap,) = [block for block in page if block.startswith("cooper keys rewrap")]
    (remove,) = set(
        re.findall(r"`(cooper keys remove FINGERPRINT)`", (ROOT / "docs/upgrade-and-backup.md").read_text())
    )
    rig = Rig(tmp_path)
    rig.apply("all.yaml", (ROOT / "examples/quickstart.yaml").read_text())
    (tmp_path / ".cooper").symlink_to(rig.data)
    with rig:
        rig.client("photos").put_object(Bucket="photos", Key="k", Body=b"v" * 100_000)
        env = rig.env("photos")
        assert "KEEP A COPY" in shell(add, tmp_path)
    with rig:
        eventually("the start", lambda: rig.log.read_text().count("Cooper is up") == 2)
        found = re.search(r"(\w+)  can be removed", shell(rewrap, tmp_path))
        assert found is not None
        assert f"Key {found[1]} is gone" in shell(remove.replace("FINGERPRINT", found[1]), tmp_path)
    with rig:
        assert rig.env("photos") == env
        assert rig.client("photos").get_object(Bucket="photos", Key="k")["Body"].read() == b"v" * 100_000


def test_the_lines_about_backups(tmp_path: Path) -> None:
    page = blocks("docs/upgrade-and-backup.md")
    (backup,) = [block for block in page if block.startswith("cooper store backup")]
    (restore,) = [block for block in page if block.startswith("cooper store restore")]
    (look,) = [block for block in page if block.startswith("cooper store verify-backup")]
    (pieces,) = [block for block in page if block.startswith("mkdir -m 700 pieces")]
    *lines, up = restore.replace("/backups", str(tmp_path)).splitlines()
    assert up == "cooper up resources --data restored"
    rig = Rig(tmp_path)
    rig.apply("all.yaml", (ROOT / "examples/quickstart.yaml").read_text())
    (tmp_path / ".cooper").symlink_to(rig.data)
    with rig:
        rig.client("photos").put_object(Bucket="photos", Key="k", Body=b"v" * 100_000)
        said = shell(backup.replace("/backups", str(tmp_path)), tmp_path)
        assert "THE KEY IS NOT" in said
    (tmp_path / "kek.json").write_bytes((rig.data / "kek.json").read_bytes())
    assert "Every file in " in shell(look.replace("/backups", str(tmp_path)), tmp_path)
    assert "all is as it was written" in shell("\n".join(lines), tmp_path)
    assert "all is as it was written" in shell(pieces.replace("/backups", str(tmp_path)), tmp_path)
    rig.data = tmp_path / "restored"
    with rig:
        assert rig.client("photos").get_object(Bucket="photos", Key="k")["Body"].read() == b"v" * 100_000


def shape(table: str) -> list[list[str]]:
    """A table without what differs from run to run: ages, sizes and key ids."""
    rows = [re.split(r"\s{2,}", line) for line in table.strip().splitlines()]
    return [row[:4] if row[0] == "Region" else row[:5] for row in rows]  # a Region has no namespace


def test_the_readmes_first_manifest_is_enough(tmp_path: Path) -> None:
    (manifest,) = blocks("README.md", "yaml")
    rig = Rig(tmp_path)
    rig.apply("region.yaml", (ROOT / "examples/quickstart.yaml").read_text().split("---")[0])
    rig.apply("mine.yaml", manifest)
    with rig:
        rig.client("photos").put_object(Bucket="photos", Key="k", Body=b"v")


def test_the_demo_prints_what_the_readme_shows() -> None:
    (sample,) = [block for block in blocks("README.md") if block.startswith("demo:")]
    demo = [COOPER[0], str(ROOT / "examples/demo.py")]
    done = subprocess.run(demo, capture_output=True, text=True, env=clean_env(), timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = masked(done.stdout)  # two programs print there, so that a line may begin in the middle of another
    assert [line for line in map(masked, sample.splitlines()) if line not in printed] == []
    assert done.stdout.splitlines()[-1] == sample.splitlines()[-1]


def masked(text: str) -> str:
    """Lines of the demo without what differs from run to run: the folder, seconds and milliseconds."""
    return re.sub(r"[\d.]+ (m?s)\b", r"N \1", re.sub(r"in \S+(/data/)", r"in …\1", text))


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    sources = ("requirements.lock", "pyproject.toml", "hatch_build.py", "gateway/cooper_gateway/native/_native.c")
    for name in ("Makefile", *sources):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    done = subprocess.run(["make", "PYTHON=false", "demo"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed, and false is not" in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_lines_to_paste_hold_no_comments() -> None:
    """An interactive zsh takes # for an argument."""
    for page in ("README.md", "docs/development.md"):
        assert [line for block in blocks(page) for line in block.splitlines() if "#" in line] == []


def test_no_help_text_is_cut_off_in_the_list_of_commands(tmp_path: Path) -> None:
    groups = [name for name, command in main.commands.items() if isinstance(command, click.Group)]
    assert groups
    for group in ("", *groups):
        commands = shell(f"cooper {group} --help", tmp_path).partition("Commands:\n")[2].splitlines()
        known = main.commands[group].commands if group else main.commands
        assert [line.split()[0] for line in commands] == sorted(known)
        assert [line for line in commands if line.endswith("...")] == []


def test_completion_scripts_name_the_commands(tmp_path: Path) -> None:
    for name in ("bash", "zsh", "fish"):
        assert "_COOPER_COMPLETE" in shell(f"cooper completion {name}", tmp_path)
    assert (
        shell("COMP_WORDS='cooper st' COMP_CWORD=1 _COOPER_COMPLETE=bash_complete cooper", tmp_path)
        == "plain,status\nplain,store\n"
    )
