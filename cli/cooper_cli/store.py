"""`cooper store`: what a gateway keeps on its disk."""

import click

from cooper_cli.store_backup import backup, restore, verify_backup
from cooper_cli.store_verify import verify


@click.group()
def store() -> None:
    """What a gateway keeps on its disk."""


for command in (backup, verify_backup, restore, verify):
    store.add_command(command)
