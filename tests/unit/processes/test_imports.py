"""What the gateway's processes load: each module counts in each of them, and one import in a far place is soon made."""

import subprocess
import sys
from typing import Final

import pytest

#: Of what other processes of Cooper load, or may; in MiB together about a worker's own.
_NEVER: Final = frozenset(
    {
        "boto3",
        "click",
        "cryptography.x509",
        "http.client",
        "importlib.metadata",
        "kopf",
        "kubernetes",
        "multiprocessing",
        "opentelemetry",
        "prometheus_client",
        "pydantic",
        "requests",
        "tabulate",
        "urllib.request",
        "watchfiles",
        "xml.sax",
        "yaml",
    }
)
_NEVER_WITHOUT_A_LOOP: Final = _NEVER | {"asyncio", "httptools", "isal", "awscrt", "ssl", "subprocess", "uvloop"}


@pytest.mark.parametrize(
    ("role", "never"),
    [("worker", _NEVER), ("committer_process", _NEVER_WITHOUT_A_LOOP), ("watcher", _NEVER_WITHOUT_A_LOOP)],
)
def test_a_child_loads_what_it_needs_and_no_more(role: str, never: frozenset[str]) -> None:
    modules = f"cooper_gateway.main, cooper_gateway.processes.child, cooper_gateway.processes.{role}"
    script = f"import sys, {modules}; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(told.stdout.split())
    assert f"cooper_gateway.processes.{role}" in loaded
    assert sorted(never & loaded) == []
