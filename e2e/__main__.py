"""`python -m e2e [PYTEST ARGUMENT ...]`: what needs a cluster, on one made for it, which is deleted after."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from e2e.kind.cluster import Cluster
from e2e.kind.steps import StepFailed

NAME: Final = "cooper-e2e"


def main(arguments: list[str]) -> int:
    """The tests' exit status; 1 when no cluster could be made."""
    cluster = Cluster(NAME)
    try:
        cluster.down()
        cluster.up()
        env = {**os.environ, "COOPER_E2E_KUBECONFIG": str(cluster.kubeconfig)}
        here = Path(__file__).parent
        tests = [str(here), f"--ignore={here / 'browser'}"]  # which needs no cluster, and is run without one
        return subprocess.run([sys.executable, "-m", "pytest", *tests, "-q", *arguments], env=env).returncode
    except StepFailed as error:
        print(f"e2e: {error}", file=sys.stderr)
        return 1
    finally:
        cluster.down()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
