"""The C compiler that the native module is built with, and the headers of Python and of OpenSSL."""

import os
import shutil
import subprocess
import sysconfig
from typing import Final, NoReturn

import pytest

from e2e.kind import host
from support.artefacts import locked

_PACKAGES: Final = ("gcc", "libc6-dev", "libssl-dev", "libpython3-dev")
_HEADERS: Final = "#include <Python.h>\n#include <openssl/evp.h>\n"


def need_compiler() -> None:
    """See to it that there is one: Debian's is installed where there is none. Where that cannot be, the test is
    skipped, and in CI fails."""
    if not _works() and host.can_install():
        with locked("kind"):
            host.install_packages(_PACKAGES)
    if not _works():
        missing(
            "there is no C compiler with the headers of Python and OpenSSL, and installing one takes root on Debian"
        )


def missing(reason: str) -> NoReturn:
    """The test cannot be run here: it is skipped, and in CI fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _works() -> bool:
    if shutil.which("cc") is None:
        return False
    include = f"-I{sysconfig.get_path('include')}"
    return not subprocess.run(
        ["cc", "-E", include, "-xc", "-"], input=_HEADERS, text=True, capture_output=True
    ).returncode
