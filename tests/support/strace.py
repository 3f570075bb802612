"""The program strace: it records what a program does to a disk, and has calls fail."""

import os
import subprocess

import pytest

from clients.machine import of_the_machine
from e2e.kind.steps import StepFailed


def program() -> str:
    """Where it cannot be had, or may not trace, the test that asks is skipped; in CI it fails."""
    try:
        found = of_the_machine("strace", "strace")
        if subprocess.run([found, "-f", "-o", os.devnull, "true"], capture_output=True).returncode:
            raise StepFailed("strace may not trace here")
    except StepFailed as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    return found
