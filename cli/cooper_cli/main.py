"""The `cooper` command: one group, one file per command."""

import click

from cooper_cli.check import check
from cooper_cli.completion import completion
from cooper_cli.gateway import gateway
from cooper_cli.keys import keys
from cooper_cli.operator import operator
from cooper_cli.status import status
from cooper_cli.up import up


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="cooper-s3", prog_name="cooper")
def main() -> None:
    """S3 buckets and their credentials as ordinary resources."""


for command in (up, operator, gateway, keys, status, check, completion):
    main.add_command(command)


if __name__ == "__main__":
    main(prog_name="cooper")
