"""The command's group: all commands are there, and none is loaded that was not asked for."""

import subprocess
import sys

from cooper_cli.main import main

_LOADED = """
import sys
from cooper_cli.main import main
main(["{command}", "--help"], standalone_mode=False)
print(*(each for each in sys.modules if each.startswith("cooper_operator")))
"""


def test_each_command_is_in_the_module_of_its_name() -> None:
    assert {name: command.name for name, command in main.commands.items()} == {name: name for name in main.commands}
    assert main.commands.get("nonsense") is None


def test_a_gateway_that_starts_loads_nothing_of_the_operator() -> None:
    """It would start half a second later, and clients wait for it."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED.format(command="gateway")], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.splitlines()[-1].split()
    assert "cooper_operator.reconcile" not in loaded, loaded
    assert "cooper_operator.plan" not in loaded, loaded
