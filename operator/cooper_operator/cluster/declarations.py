"""What the resources folder declares, all files together: one document for each resource.

The file that a resource was made from stays its source while it declares it: a file that comes later is a duplicate,
wherever it stands in order of path. A file that cannot be used counts as declaring what it did when it last could.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cooper_operator.cluster.declaration import Declaration
from cooper_operator.cluster.manifest_files import Broken, Declared, Scan
from cooper_operator.cluster.port import Ref
from cooper_operator.cluster.problems import Problem

#: Of each file that was good once, what it declared then.
LastGood = dict[str, tuple[Declared, ...]]


@dataclass(slots=True)
class Declarations:
    """What the folder declares, and what is wrong with it."""

    by_ref: dict[Ref, Declaration] = field(default_factory=dict[Ref, Declaration])
    problems: list[Problem] = field(default_factory=list[Problem])
    #: Why the file of a resource cannot be used: the resource stays as the file last declared it.
    unapplied: dict[Ref, Problem] = field(default_factory=dict[Ref, Problem])


def gather(scan: Scan, last_good: LastGood, sources: Mapping[Ref, str]) -> Declarations:
    """One declaration of each resource: of its source (a path) if that declares it, else the first in order of path."""
    found = Declarations(problems=list(scan.unreadable))
    files: LastGood = {}
    for path in sorted(scan.files.keys() | last_good.keys()):
        broken = _broken(path, scan)
        if broken is None:
            content = scan.files.get(path)
            files[path] = content if isinstance(content, tuple) else ()
            continue
        found.problems += broken
        files[path] = last_good.get(path, ())
        for declared in files[path]:
            found.unapplied.setdefault(declared.ref, broken[0])
    for path in files:
        for declared in files[path]:
            if sources.get(declared.ref) == path:
                found.by_ref.setdefault(declared.ref, declared.declaration)
    for path in files:
        for declared in files[path]:
            _add(found, path, declared)
    for ref in [ref for ref in found.unapplied if _broken(found.by_ref[ref].path, scan) is None]:
        del found.unapplied[ref]
    return found


def remembered(scan: Scan, last_good: LastGood) -> LastGood:
    """The last good content of every file that is there or hidden; files that are gone are forgotten."""
    kept = {path: held for path, held in last_good.items() if _hidden(path, scan.unreadable) is not None}
    for path, content in scan.files.items():
        if not isinstance(content, Broken):
            kept[path] = content
        elif path in last_good:
            kept[path] = last_good[path]
    return kept


def blocker(ref: Ref, path: str, scan: Scan) -> str | None:
    """The place that may still declare a resource, or to which its document may have been moved, if unreadable."""
    if scan.unreadable:
        return scan.unreadable[0].file
    broken = ((each, content) for each, content in scan.files.items() if isinstance(content, Broken))
    return next((each for each, content in broken if each == path or content.may_declare(ref.name)), None)


def _add(found: Declarations, path: str, declared: Declared) -> None:
    first = found.by_ref.setdefault(declared.ref, declared.declaration)
    if first is not declared.declaration:
        where = f"{first.path}:{first.line}"
        reason = f"{declared.ref} is declared already in {where}: that one counts, remove one of them"
        found.problems.append(Problem(path, declared.declaration.line, reason))


def _broken(path: str, scan: Scan) -> tuple[Problem, ...] | None:
    """Why a file cannot be used; None when it can, or is gone."""
    content = scan.files.get(path)
    if isinstance(content, Broken):
        return content.problems
    hidden = _hidden(path, scan.unreadable)
    return None if hidden is None else (hidden,)


def _hidden(path: str, folders: Iterable[Problem]) -> Problem | None:
    return next((folder for folder in folders if path.startswith(folder.file + "/")), None)
