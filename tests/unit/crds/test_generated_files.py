from pathlib import Path

import pytest
import yaml

from cooper_crds.actions import GRANTABLE_ACTIONS
from cooper_crds.manifest import KINDS
from cooper_crds.schema import main


def test_the_files_in_the_repository_are_fresh(repository, monkeypatch, capsys):
    monkeypatch.chdir(repository)
    assert main(["--check", "charts/cooper/files/crds"]) == 0, capsys.readouterr().out


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["crds", "--docs", "docs/resources.md"]) == 0
    return tmp_path


def check():
    return main(["--check", "crds", "--docs", "docs/resources.md"])


def test_what_was_written_is_fresh(written, capsys):
    names = [f"cooper.dev_{plural}.yaml" for plural in ("accesskeys", "bucketgrants", "buckets", "regions")]
    assert sorted(path.name for path in (written / "crds").iterdir()) == names
    assert check() == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("path", ["crds/cooper.dev_buckets.yaml", "docs/resources.md"])
def test_a_changed_file_is_told(written, capsys, path):
    file = written / path
    file.write_text(file.read_text().replace("Private", "Hidden"))
    assert check() == 1
    report = capsys.readouterr().out
    assert path in report
    assert "+" in report
    assert report.endswith("Generated files are stale: run `make generate`.\n")


def test_a_missing_file_is_told(written, capsys):
    (written / "crds/cooper.dev_regions.yaml").unlink()
    assert check() == 1
    assert "crds/cooper.dev_regions.yaml" in capsys.readouterr().out
    assert not (written / "crds/cooper.dev_regions.yaml").exists()


def test_a_file_of_a_kind_that_is_gone_is_told(written, capsys):
    (written / "crds/cooper.dev_widgets.yaml").touch()
    assert check() == 1
    assert "crds/cooper.dev_widgets.yaml: no model makes this file" in capsys.readouterr().out


def test_away_from_the_repository_no_page_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["crds"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["crds"]


def test_the_files_read_back_as_what_they_say(written):
    for kind, model in KINDS.items():
        crd = yaml.safe_load(Path(f"crds/cooper.dev_{model.plural}.yaml").read_text())
        assert crd["spec"]["names"]["kind"] == kind


def test_the_page_has_every_field_and_action(written):
    page = Path("docs/resources.md").read_text()
    for field in ("`credentials.secretName`", "`grants[].bucket`", "`limits.maxObjectSize`", "`expiresAt`"):
        assert f"| {field} |" in page
    for action in GRANTABLE_ACTIONS:
        assert f"`{action}`" in page
