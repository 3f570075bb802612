"""The native module reads and writes nothing that is not its own: its tests pass with a build that watches each access
(AddressSanitizer), and overflows, shifts and null pointers (UndefinedBehaviorSanitizer), also where OpenSSL fails."""

import subprocess
import sys
from pathlib import Path

from clients.aws import clean_env
from support.compiler import missing, need_compiler

ROOT = Path(__file__).parents[2]
TESTS = "tests/property/test_native.py"
SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=all"


def test_its_memory(tmp_path: Path) -> None:
    need_compiler()
    libraries = [_library(name) for name in ("libasan.so", "libubsan.so")]
    failing = str(tmp_path / "failing.so")
    source = ROOT / "tests" / "support" / "failing_openssl.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", failing, source], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), TESTS],
        cwd=ROOT,
        env=clean_env(
            CFLAGS=f"{SANITIZE} -g",
            LDFLAGS=SANITIZE,
            LD_PRELOAD=" ".join([*libraries, failing]),
            FAILING_OPENSSL=failing,
            ASAN_OPTIONS="detect_leaks=0",  # an interpreter does not free all that it has when it ends
            PYTHONMALLOC="malloc",  # each object's memory is watched by itself
        ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout, done.stdout


def _library(name: str) -> str:
    """Where the compiler has one."""
    path = subprocess.run(["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
    if path == name:  # as it answers when it has none
        missing(f"the compiler has no {name}")
    return path
