"""The table of mutations is of the source as it is: `make mutations` is not run each time."""

import pytest

from mutations.overlay import ROOT, mutated
from mutations.table import MUTATIONS, Mutation


def test_there_are_many_and_each_has_a_name() -> None:
    assert len({each.check for each in MUTATIONS}) == len(MUTATIONS) > 100


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[each.check for each in MUTATIONS])
def test_a_row_is_of_the_source(mutation: Mutation) -> None:
    source = (ROOT / mutation.path).read_text()
    compile(mutated(source, mutation), mutation.path, "exec")
    assert all((ROOT / module).is_file() for module in mutation.tests)


def test_the_file_that_a_row_names_has_to_be_there() -> None:
    row = MUTATIONS[0]
    with pytest.raises(ValueError, match="0 times"):
        mutated("pass", row)
