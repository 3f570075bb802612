"""The commands of docs/kubernetes.md, run as they stand there, in one shell."""

import re
import subprocess
from pathlib import Path

from clients.aws import clean_env
from e2e.docs.pages import run
from support.rig import COOPER, eventually

ROOT = Path(__file__).parents[2]
#: What the test has done already, or does itself: making clusters and the environment.
_DONE = ("make ", ". .venv", "export KUBECONFIG", "export PATH")


#: Nothing is left over, wherever the page stopped: neither for another try nor for other tests. The operator may be
#: gone before what it was to delete.
_CLEAR = """
for kind in bucket accesskey; do
  kubectl get $kind photos --ignore-not-found -o name | xargs --no-run-if-empty -n 1 \\
    kubectl patch --type=merge -p '{"metadata":{"finalizers":null}}'
  kubectl delete $kind photos --ignore-not-found
done
kubectl delete secret photos --ignore-not-found
kubectl delete region local --ignore-not-found
kubectl delete namespace cooper-system --ignore-not-found --timeout=60s
"""


def commands() -> str:
    """All blocks of the page, one after the other; it stops at the first that fails."""
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    return "".join(line for line in "".join(blocks).splitlines(keepends=True) if not line.startswith(_DONE))


def test_the_page_works_as_it_stands(kubeconfig: Path, tmp_path: Path) -> None:
    for each in ("charts", "deploy", "examples"):
        (tmp_path / each).symlink_to(ROOT / each)
    path = f"{kubeconfig.parent}:{Path(COOPER[0]).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    env = clean_env(PATH=path, HOME=str(tmp_path), KUBECONFIG=str(kubeconfig))
    script = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\nset -m\n" + commands()
    try:
        done = subprocess.run(
            ["bash", "-euc", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=180
        )
    finally:
        run(_CLEAR, tmp_path, env, 120)
    logs = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    assert "\nhello\n" in done.stdout
    assert "bucket.cooper.dev/photos condition met" in done.stdout
    assert "traceback" not in logs.lower()
    eventually("the end of both programs", lambda: "stopping" in (tmp_path / "gateway.log").read_text())
