"""`python -m e2e.kind up [NAME [NODES]]`, `down [NAME]`: a real Kubernetes cluster for tests and for people."""

import sys

from e2e.kind.cluster import NAME, Cluster
from e2e.kind.steps import StepFailed


def main(arguments: list[str]) -> int:
    """Do it; the exit status."""
    cluster = _cluster(arguments)
    if cluster is None:
        print(__doc__, file=sys.stderr)
        return 2
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


def _cluster(arguments: list[str]) -> Cluster | None:
    match arguments:
        case ["up" | "down"]:
            return Cluster()
        case ["up" | "down", name]:
            return Cluster(name)
        case ["up", name, nodes] if nodes.isdecimal() and int(nodes) >= 1:
            return Cluster(name, int(nodes) - 1)
        case _:
            return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
