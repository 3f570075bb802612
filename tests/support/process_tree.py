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


def memory_without(pid: int, data: Path) -> int:
    """The same, without the files in a folder that are mapped: they are the kernel's cache, as of files that are read.

    Of other files each counts once, as much as that process has of it which has most: with PSS it would be less where
    programs outside have it mapped as well, as many have Python.
    """
    own, files = 0, dict[str, int]()
    for each in tree_of(pid):
        lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        own += next(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
        for path, size in mapped_files(each).items():
            if not path.startswith(f"{data}/"):
                files[path] = max(size, files.get(path, 0))
    return (own + sum(files.values())) * 1024


def mapped_files(pid: int) -> dict[str, int]:
    """KiB that lie in memory of each file that a process has mapped, without those pages that it has changed."""
    found: dict[str, int] = {}
    path = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, *rest = line.split(maxsplit=5)
        if not name.endswith(":"):  # addresses, rights, offset, device, inode, path
            path = rest[4] if len(rest) == 5 and rest[4].startswith("/") else ""
        elif path and name in ("Rss:", "Anonymous:"):
            found[path] = found.get(path, 0) + int(rest[0]) * (1 if name == "Rss:" else -1)
    return found


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
