"""A real gateway with tenants, for the modules that attack one. It serves all that a Region can let it serve."""

from collections.abc import Iterator

import pytest

from support.attack_field import Field, make_rig


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with make_rig(tmp_path_factory.mktemp("field"), creates=True) as rig:
        yield Field(rig)


@pytest.fixture
def lives_and_holds_what_it_held(field: Field) -> Iterator[None]:
    """No process ended, nothing was stored or lost, nothing went wrong inside."""
    before = field.rig.processes()
    yield
    assert field.rig.processes() == before
    assert field.holds() == field.before
    assert "Traceback" not in field.rig.log.read_text()
