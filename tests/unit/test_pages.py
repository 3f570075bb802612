"""What pages of the documentation list is what there is."""

import re
import subprocess
from pathlib import Path

from cooper_crds.manifest import KINDS
from cooper_gateway.protocol.errors import CODES

ROOT = Path(__file__).parents[2]


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def test_to_remove_everything_is_to_remove_every_kind() -> None:
    (line,) = re.findall(r"^kubectl delete crd (.*)$", _page("upgrade-and-backup.md"), re.MULTILINE)
    assert sorted(line.split()) == sorted(f"{model.plural}.cooper.dev" for model in KINDS.values())


def test_what_a_client_is_answered_is_in_a_table_with_its_status() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", _page("clients.md"), re.MULTILINE))
    assert told == {code: str(CODES[code][0]) for code in told}
    of_fields = set(re.findall(r"\w+", _page("resources.md"))) & CODES.keys()
    # A condition has a reason of that name as well, which is what the page speaks of.
    assert of_fields - {"BucketNotEmpty", "NotImplemented"} <= told.keys()


def test_the_page_of_resources_has_rules_that_are_about_a_spec_as_a_whole() -> None:
    assert "Rules of the whole: must have grants or allBuckets;" in _page("resources.md")


def test_make_help_lists_every_target() -> None:
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = subprocess.run(["make", "--silent", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert sorted(line.split()[0] for line in listed.splitlines()) == sorted(" ".join(phony).split())
