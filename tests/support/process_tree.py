"""What programs and all that they began take of this machine."""

from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Processes that a process began, in whichever of its threads."""
    return [int(each) for of in Path(f"/proc/{pid}/task").glob("*/children") for each in of.read_text().split()]


def own_memory(pid: int) -> int:
    """Bytes of a process alone; of pages that it shares its share (PSS)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


def memory_of(pid: int) -> int:
    """The same of a process and all below it."""
    return own_memory(pid) + sum(map(memory_of, children_of(pid)))


def tree_of(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(each for child in children_of(pid) for each in tree_of(child))]


def anonymous_memory(pid: int) -> int:
    """Bytes of a process's own making: without files that it has mapped, which the kernel may drop at any time."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) * 1024


def descriptors(pid: int) -> int:
    """How many files, sockets and pipes a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
