"""The `cooper` command: one group, one file per command."""

from collections import UserDict
from importlib import import_module
from typing import Any, Final

import click

#: Each has the name of its module.
_NAMES: Final = ("buckets", "check", "completion", "gateway", "key", "keys", "operator", "status", "store", "up")


class _Commands(UserDict[str, click.Command]):
    """Imported when they are asked for: a gateway that starts is not to wait for what the operator needs."""

    def __init__(self) -> None:
        super().__init__()
        self.data: dict[str, Any] = dict.fromkeys(_NAMES)

    def __getitem__(self, key: str) -> click.Command:
        if key not in self.data:
            raise KeyError(key)
        return getattr(import_module(f"cooper_cli.{key}"), key)


@click.group(commands=_Commands(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="cooper-s3", prog_name="cooper")
def main() -> None:
    """S3 buckets and their credentials as ordinary resources."""


if __name__ == "__main__":
    main(prog_name="cooper")
