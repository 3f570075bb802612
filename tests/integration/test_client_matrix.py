"""The client matrix: each row is tried with the real client, and docs/clients.md has what came of it.

`make client-matrix` writes that table anew.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from clients.matrix.all import CLIENTS, try_all
from clients.matrix.rows import Client, Ran, Row, of_client, table, version_of, with_table, within
from e2e.kind.steps import StepFailed
from support.rig import REGION, Rig, bucket

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Ran | Exception]:
    """What came of each client that a test of this run is about."""
    of_tests = [
        item.callspec.params
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    ]
    clients = [each for each in CLIENTS if any(params.get("client") is each for params in of_tests)]
    rig = Rig(tmp_path_factory.mktemp("matrix"))
    rig.apply("all.yaml", REGION, bucket("work"))
    with rig:
        return try_all(clients, rig.env("work"), tmp_path_factory.mktemp("clients"))


def tried(client: Client, found: Mapping[str, Ran | Exception]) -> Ran:
    """What came of one. One that this machine cannot have is skipped, and fails in CI; and so is another version of one
    that is the machine's own, of which the page tells nothing."""
    ran = found[client.name]
    if isinstance(ran, StepFailed) and not os.environ.get("CI"):
        pytest.skip(str(ran))
    if isinstance(ran, Exception):
        raise ran
    told = version_of(of_client(within(PAGE.read_text()), client.name))
    if not client.ours and told != ran.version and "COOPER_CLIENT_MATRIX" not in os.environ:
        pytest.skip(f"{client.name} is {ran.version} here, and the page tells of {told}")
    return ran


@pytest.mark.parametrize(
    ("client", "row"),
    [pytest.param(client, row, id=f"{client.name}: {row.what}") for client in CLIENTS for row in client.rows],
)
def test_a_client_is_answered_as_expected(found: Mapping[str, Ran | Exception], client: Client, row: Row) -> None:
    (outcome,) = [each for each in tried(client, found).outcomes if each.what == row.what]
    assert outcome.answer == row.answer, f"{outcome.told}\n{outcome.output}"


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_page_tells_what_came_of_a_client(found: Mapping[str, Ran | Exception], client: Client) -> None:
    ran = tried(client, found)
    if os.environ.get("COOPER_CLIENT_MATRIX") == "write":
        page = PAGE.read_text()
        of_others = {each.name: of_client(within(page), each.name) for each in CLIENTS}
        lines = of_others | {client.name: of_client(table([ran]), client.name)}
        PAGE.write_text(with_table(page, table([]) + "".join(lines.values())))
    assert of_client(within(PAGE.read_text()), client.name) == of_client(table([ran]), client.name), (
        "docs/clients.md tells something else: `make client-matrix` writes it anew"
    )
