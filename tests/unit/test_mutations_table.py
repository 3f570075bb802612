"""The table of mutations is of the source as it is: `make mutations` is not run each time."""

import re
from collections import Counter
from itertools import takewhile

import pytest

from mutations.overlay import ROOT, mutated
from mutations.syncs import SYNCS
from mutations.table import GATEWAY, MUTATIONS, Mutation


def test_there_are_many_and_each_has_a_name() -> None:
    assert len({each.check for each in MUTATIONS}) == len(MUTATIONS) > 100


@pytest.mark.parametrize("mutation", MUTATIONS + SYNCS, ids=[each.check for each in MUTATIONS + SYNCS])
def test_a_row_is_of_the_source(mutation: Mutation) -> None:
    source = (ROOT / mutation.path).read_text()
    source = mutated(source, mutation)
    if mutation.path.endswith(".py"):
        compile(source, mutation.path, "exec")
    assert all((ROOT / module).is_file() for module in takewhile(lambda each: each != "-k", mutation.tests))


def test_the_file_that_a_row_names_has_to_be_there() -> None:
    row = MUTATIONS[0]
    with pytest.raises(ValueError, match="0 times"):
        mutated("pass", row)


def test_every_sync_of_the_gateway_has_a_row() -> None:
    """Of each call by name; what LMDB does has rows of its own."""
    calls = re.compile(r"\b(?:os\.f(?:data)?sync|sync_directory|_sync_folder_of)\(")
    there: Counter[str] = Counter()
    for path in (ROOT / GATEWAY).rglob("*.py"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("def ")]
        there[str(path.relative_to(ROOT / GATEWAY))] += sum(len(calls.findall(line)) for line in lines)
    taken: Counter[str] = Counter()
    for sync in SYNCS:
        for line, instead in sync.edits:
            taken[sync.file] += len(calls.findall(line)) - len(calls.findall(instead))
    helpers = {"shredding.py": 1, "records/mirror.py": 1}  # the calls in what these rows call
    assert {file: count for file, count in there.items() if count} == dict(taken + Counter(helpers))
