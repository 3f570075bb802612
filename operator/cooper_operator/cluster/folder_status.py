"""What a folder cluster holds, for a process that only looks, while another may have it open."""

from dataclasses import dataclass
from pathlib import Path

from cooper_operator.cluster.objects import KINDS
from cooper_operator.cluster.port import Object
from cooper_operator.cluster.problems import Problem
from cooper_operator.cluster.state_files import StateFiles


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """All resources in order of kind, namespace and name, and what is wrong in the resources folder."""

    objects: list[Object]
    problems: list[Problem]


def read_status(state_dir: Path) -> FolderStatus:
    """Read the state without changing it; nothing when there is none yet. Raises Unavailable when it is unreadable."""
    state = StateFiles(state_dir)
    objects = [entry.obj for entry in state.load()]

    def order(obj: Object) -> tuple[int, str, str]:
        return KINDS.index(obj["kind"]), obj["metadata"].get("namespace", ""), obj["metadata"]["name"]

    return FolderStatus(sorted(objects, key=order), state.load_problems())
