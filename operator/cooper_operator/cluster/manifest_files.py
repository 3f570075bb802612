"""Reads the resources folder: every YAML file in it and its sub-folders. Never writes, never leaves the folder."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from cooper_crds.manifest import ManifestError, parse
from cooper_crds.meta import DELETION
from cooper_operator.cluster import safe_files
from cooper_operator.cluster.declaration import Declaration
from cooper_operator.cluster.port import Ref
from cooper_operator.cluster.problems import Problem
from cooper_operator.cluster.yaml_documents import MAX_FILE_SIZE, Document, YamlError, read_documents

_SUFFIXES: Final = (".yaml", ".yml")
_MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource that a document declares."""

    ref: Ref
    declaration: Declaration


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that cannot be used. `text` is what it holds; None when it could not be read at all."""

    problems: tuple[Problem, ...]
    text: bytes | None

    def may_declare(self, name: str) -> bool:
        """Whether a resource of that name may have been moved into this file."""
        return self.text is None or name.encode() in self.text


@dataclass(slots=True)
class Scan:
    """What one complete reading of the folder found. Paths are relative to it, in order."""

    files: dict[str, tuple[Declared, ...] | Broken] = field(default_factory=dict[str, tuple[Declared, ...] | Broken])
    unreadable: list[Problem] = field(default_factory=list[Problem])  # sub-folders: files in them are not known
    folders: set[str] = field(default_factory=set[str])  # absolute, to be watched


class ManifestFiles:
    """The resources folder. A file is read again only when its inode, size or times changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, tuple[safe_files.Signature, tuple[Declared, ...] | Broken]] = {}

    def scan(self) -> Scan:
        """Read everything. Raises OSError when the folder itself cannot be read."""
        scan = Scan()
        names: list[tuple[str, ...]] = []
        pending: list[tuple[str, ...]] = [()]
        while pending:
            folder = pending.pop()
            try:
                found = self._entries(folder)
            except FileNotFoundError:
                if not folder:
                    raise
                continue  # removed while we looked
            except OSError as error:
                if not folder:
                    raise
                reason = f"the folder cannot be read ({error.strerror}): what its files declared stays as it is"
                scan.unreadable.append(Problem(_shown(folder), None, reason))
                continue
            scan.folders.add(os.path.join(self._root, *folder))
            pending += [(*folder, name) for name, is_folder in found if is_folder]
            names += [(*folder, name) for name, is_folder in found if not is_folder and name.endswith(_SUFFIXES)]
        for parts in sorted(names):
            found_file = self._file(parts)
            if found_file is not None:
                scan.files[_shown(parts)] = found_file
        self._known = {path: known for path, known in self._known.items() if path in scan.files}
        return scan

    def _entries(self, folder: tuple[str, ...]) -> list[tuple[str, bool]]:
        with safe_files.opened(self._root, *folder) as descriptor, os.scandir(descriptor) as entries:
            return [
                (entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if not entry.name.startswith(".")
            ]

    def _file(self, parts: tuple[str, ...]) -> tuple[Declared, ...] | Broken | None:
        """What a file declares; None when it vanished while we looked."""
        path = _shown(parts)
        try:
            target = self._inside(parts)
            if target is None:
                return _broken(path, "is a symlink that leaves the resources folder: it is not followed")
            with safe_files.opened(self._root, *target[:-1]) as folder:
                status = os.stat(target[-1], dir_fd=folder, follow_symlinks=False)
                known = self._known.get(path)
                if known and known[0] == safe_files.signature(status):
                    return known[1]
                return self._read(path, folder, target[-1])
        except FileNotFoundError:
            return None if not self._is_link(parts) else _broken(path, "is a symlink to nothing")
        except safe_files.NotRegular:
            return _broken(path, "is not a regular file")
        except OSError as error:
            problem = Problem(path, None, f"cannot be read ({error.strerror}): what it declared stays as it is")
            return Broken((problem,), None)

    def _read(self, path: str, folder: int, name: str) -> tuple[Declared, ...] | Broken | None:
        found = safe_files.read(folder, name, MAX_FILE_SIZE + 1)
        if found is None:
            return None
        data, before = found
        content = declared_in(path, data)
        after = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if safe_files.signature(before) == safe_files.signature(after):
            self._known[path] = (safe_files.signature(before), content)
        elif not isinstance(content, Broken):
            # Half-written text can be valid and mean something else: it is not believed until it stays the same.
            return Broken((Problem(path, None, "is being written"),), data)
        return content

    def _inside(self, parts: tuple[str, ...]) -> tuple[str, ...] | None:
        """Where a name leads, as a path below the root; None when it leads out of it."""
        if not self._is_link(parts):
            return parts
        root = os.path.realpath(self._root)
        target = os.path.realpath(os.path.join(root, *parts))
        if not target.startswith(root.rstrip("/") + "/"):
            return None
        return tuple(os.path.relpath(target, root).split("/"))

    def _is_link(self, parts: tuple[str, ...]) -> bool:
        return os.path.islink(os.path.join(self._root, *parts))


def declared_in(path: str, data: bytes) -> tuple[Declared, ...] | Broken:
    """What a file's text declares: all of its documents, or none when there is a mistake in any."""
    if len(data) > MAX_FILE_SIZE:
        return Broken((Problem(path, None, f"is larger than {MAX_FILE_SIZE >> 20} MiB: split it"),), None)
    try:
        documents = read_documents(data)
    except YamlError as error:
        return Broken((Problem(path, error.line, error.reason),), data)
    declared: list[Declared] = []
    problems: list[Problem] = []
    for document in documents:
        try:
            declared.append(_declared(path, document))
        except ManifestError as error:
            problems += _problems(path, document, error)
    return Broken(tuple(problems), data) if problems else tuple(declared)


def _problems(path: str, document: Document, error: ManifestError) -> list[Problem]:
    """Each mistake by itself, at its field's line; so many, and how many more there are."""
    shown = [
        Problem(path, document.line_of(each.path), f"{error.subject}: {each}") for each in error.problems[:_MOST_SHOWN]
    ]
    more = len(error.problems) - len(shown)
    return [*shown, *([Problem(path, document.line, f"{error.subject}: {more} more mistakes")] if more else [])]


def _declared(path: str, document: Document) -> Declared:
    resource = parse(document.content)
    content = cast(dict[str, Any], document.content)
    metadata = resource.metadata
    spec = cast(dict[str, Any], content.get("spec") or {})
    ref = Ref(resource.kind, metadata.namespace, metadata.name)
    annotations = {key: value for key, value in metadata.annotations.items() if key != DELETION}
    return Declared(ref, Declaration(path, document.line, metadata.labels, annotations, spec))


def _broken(path: str, reason: str) -> Broken:
    return Broken((Problem(path, None, reason),), b"")


def _shown(parts: tuple[str, ...]) -> str:
    """A path as text that can be stored and printed, whatever bytes it has."""
    return "/".join(parts).encode("utf-8", "backslashreplace").decode()
