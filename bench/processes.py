"""What programs take of this machine."""

from pathlib import Path


def memory_of(pid: int) -> int:
    """Bytes of a process and all below it, pages that they share counted once (PSS). A child is its thread's."""
    children = [each for of in Path(f"/proc/{pid}/task").glob("*/children") for each in of.read_text().split()]
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) * 1024
    return own + sum(memory_of(int(child)) for child in children)
