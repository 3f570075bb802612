"""Writes the page of reasons, or checks it: `python -m cooper_operator.troubleshooting [--check] FILE`."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from cooper_crds.generated import settle
from cooper_operator.plan.reasons import REASONS, Reason

_HEAD: Final = """\
# Troubleshooting

<!-- Generated from operator/cooper_operator/plan/reasons.py by `make generate`. -->

Every condition and every event bears a reason: one of the words below. `cooper status` shows them, and on Kubernetes
`kubectl get cooper -A` and `kubectl describe`. The message beside it names what it is about. What waits for something
that can come by itself is tried again by itself, at most 30 seconds apart.

What can be amiss with an installation on a cluster itself (Pods, volumes, the key-encryption key, who leads) is in
[install.md](install.md#when-it-does-not-work).
"""
_WARNINGS: Final = """\
## Somebody has to do something

| reason | when | what to do |
| --- | --- | --- |
"""
_NORMAL: Final = """\
## All is well, or it will be

| reason | when | what to do |
| --- | --- | --- |
"""


def page(reasons: Iterable[Reason]) -> str:
    """The whole page (Markdown), each table in order of the reasons' names."""
    ordered = sorted(reasons, key=lambda reason: reason.name)
    warnings = "".join(_row(reason) for reason in ordered if reason.severity == "Warning")
    normal = "".join(_row(reason) for reason in ordered if reason.severity == "Normal")
    return "\n".join([_HEAD, _WARNINGS + warnings, _NORMAL + normal])


def _row(reason: Reason) -> str:
    return f"| `{reason.name}` | {reason.when} | {reason.advice} |\n"


def main(arguments: Sequence[str]) -> int:
    """Write or check the page; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cooper_operator.troubleshooting", description="Write the page.")
    parser.add_argument("file", type=Path, metavar="FILE", help="the page (docs/troubleshooting.md in the repository)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and say what differs")
    options = parser.parse_args(arguments)
    return settle(options.file, page(REASONS.values()), check=options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
