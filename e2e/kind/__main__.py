"""`python -m e2e.kind up|down [NAME]`: a real Kubernetes cluster for tests and for people."""

import sys

from e2e.kind.cluster import NAME, Cluster
from e2e.kind.steps import StepFailed


def main(arguments: list[str]) -> int:
    """Do it; the exit status."""
    if not arguments or arguments[0] not in ("up", "down") or len(arguments) > 2:
        print(__doc__, file=sys.stderr)
        return 2
    cluster = Cluster(*arguments[1:])
    try:
        cluster.up() if arguments[0] == "up" else cluster.down()
    except StepFailed as error:
        print(f"kind: {error}", file=sys.stderr)
        return 1
    if arguments[0] == "up":
        print(f"The cluster {cluster.name} runs. To use it:")
        print(f"  export KUBECONFIG={cluster.kubeconfig}")
        print(f"  alias kubectl={cluster.kubectl}")
    elif cluster.name == NAME:
        print("The cluster is gone; what it was made from stays in the cache folder.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
