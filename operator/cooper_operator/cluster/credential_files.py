"""Credentials as files `<namespace>/<name><suffix>`, mode 0600, in a folder where others may have files of their own.

A file is ours when our note of that path says so *and* the file's first line names the owner that the note has. A
copied first line makes no file ours (there is no note of its path), and an edit does not make ours foreign. A note is
written before the file, as pending, with the digest of what is to be written: after a crash in between, only exactly
that content is ours.
"""

import os
from collections.abc import Callable, Mapping, Set
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from cooper_crds.names import DNS_LABEL, DNS_SUBDOMAIN
from cooper_operator.cluster import safe_files
from cooper_operator.cluster.env_text import Owner, owner_uid
from cooper_operator.cluster.port import AlreadyExists, Conflict, Credentials, Invalid, Ref, Unavailable

_NOTE: Final = ".json"
_MAX_FILE_NAME: Final = 255  # bytes
_MAX_SIZE: Final = 1 << 20
Key = tuple[str, str]  # namespace, name


@dataclass(frozen=True, slots=True)
class Form:
    """What one kind of files is called, and how it holds values. `render` raises Invalid."""

    suffix: str
    render: Callable[[Owner, Mapping[str, str]], bytes]
    parse: Callable[[bytes], dict[str, str]]


class _Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That we wrote a file, for whom, with which key, and what."""

    owner: Owner
    digest: str
    pending: bool
    version: Literal[1] = 1
    access_key_id: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """What is at a path; `text` is None when it is no regular file."""

    text: bytes | None
    version: str


class CredentialFiles:
    """Files of one form in the credentials folder, and our notes about them. All raise Unavailable when unreadable."""

    def __init__(self, root: Path, notes: Path, form: Form) -> None:
        self._form = form
        self._root = root
        self._notes_root = notes
        self._notes: dict[Key, _Note] = {}
        self._seen: dict[Key, safe_files.Signature] = {}

    def open(self) -> None:
        """Make the folders, read the notes, remove what a crash left."""
        for root in (self._root, self._notes_root):
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in _folders(root):
                # A folder that we may not read is nobody's namespace that we ever wrote to.
                with suppress(PermissionError), safe_files.opened(root, name) as folder:
                    safe_files.remove_temporaries(folder)
        self._notes = self._load_notes()
        self._settle_notes()
        self._seen = self._signatures()

    def get(self, namespace: str, name: str) -> Credentials | None:
        """Read a file, live, whoever made it."""
        if not self._valid(namespace, name):
            return None  # no file can have this name
        found = self._find(namespace, name)
        if found is None:
            return None
        uid = self._owner_uid((namespace, name), found)
        key_id = self._notes[namespace, name].access_key_id if uid is not None else ""
        data = self._form.parse(found.text or b"")
        return Credentials(namespace, name, data, uid, found.version, key_id or None)

    def owned(self, namespace: str, uid: str) -> list[Credentials]:
        """The files that were made for an owner, live."""
        noted = sorted(key for key, note in self._notes.items() if key[0] == namespace and note.owner.uid == uid)
        return [found for key in noted if (found := self.get(*key)) is not None and found.owner_uid == uid]

    def create(self, namespace: str, name: str, data: Mapping[str, str], owner: Owner, access_key_id: str) -> None:
        """Create-only. Raises AlreadyExists, Invalid."""
        if not self._valid(namespace, name):
            raise Invalid(f"credentials {namespace[:63]!r}/{name[:60]!r}: not a name that a file can be given")
        text = self._form.render(owner, data)
        if self._find(namespace, name) is not None:
            raise AlreadyExists(f"credentials {namespace}/{name} exist already")
        key = (namespace, name)
        note = _Note(owner, safe_files.digest(text), pending=True, access_key_id=access_key_id)
        self._write_note(key, note)
        try:
            self._root.mkdir(mode=0o700, exist_ok=True)  # somebody may have removed all credentials, folder included
            with self._opened(namespace, create=True) as folder:
                safe_files.create(folder, self._file(name), text)
        except FileExistsError:
            self._drop_note(key)
            raise AlreadyExists(f"credentials {namespace}/{name} exist already") from None
        except OSError as error:
            self._drop_note(key)
            raise _unavailable(namespace, name, "written", error) from None
        self._wrote(key, note)

    def update(self, current: Credentials, data: Mapping[str, str], owner: Owner, access_key_id: str) -> None:
        """Replace one that is `owner`'s. Raises Conflict."""
        if current.owner_uid != owner.uid or not self._is_current(current):
            raise Conflict(f"credentials {current.namespace}/{current.name} are gone, or not those of {owner.ref}")
        text = self._form.render(owner, data)
        try:
            with self._opened(current.namespace) as folder:
                safe_files.replace(folder, self._file(current.name), text)
        except OSError as error:
            raise _unavailable(current.namespace, current.name, "written", error) from None
        note = _Note(owner, safe_files.digest(text), pending=False, access_key_id=access_key_id)
        self._wrote((current.namespace, current.name), note)

    def delete(self, current: Credentials) -> Ref | None:
        """Delete one that is ours; returns whose it was. Raises Conflict; absent already is success."""
        key = (current.namespace, current.name)
        if not self._is_current(current):
            return None
        try:
            with self._opened(current.namespace) as folder:
                safe_files.remove(folder, self._file(current.name))
        except OSError as error:
            raise _unavailable(*key, "removed", error) from None
        owner = self._notes[key].owner.ref
        self._drop_note(key)
        self._seen.pop(key, None)
        return owner

    def collect(self, uids: Set[str]) -> None:
        """Remove what belongs to owners that are gone."""
        for key, note in list(self._notes.items()):
            if note.owner.uid in uids:
                continue
            current = self.get(*key)
            if current is not None and current.owner_uid is not None:
                self.delete(current)
            else:
                self._drop_note(key)

    def changed(self) -> tuple[set[Ref], set[str]]:
        """Owners whose files somebody else changed since the last call, and namespaces where foreign files changed."""
        before, self._seen = self._seen, self._signatures()
        keys = {key for key in before.keys() | self._seen.keys() if before.get(key) != self._seen.get(key)}
        owners = {self._notes[key].owner.ref for key in keys if key in self._notes}
        return owners, {namespace for namespace, name in keys if (namespace, name) not in self._notes}

    def folders(self) -> set[str]:
        """Absolute paths to be watched."""
        return {str(self._root), *(str(self._root / name) for name in _folders(self._root))}

    def _find(self, namespace: str, name: str) -> _Found | None:
        try:
            with self._opened(namespace) as folder:
                found = safe_files.read(folder, self._file(name), _MAX_SIZE)
        except FileNotFoundError:
            return None
        except (safe_files.NotRegular, NotADirectoryError, PermissionError):
            return _Found(None, "not a file")
        except OSError as error:
            if os.path.islink(self._root / namespace):
                return _Found(None, "not a file")
            raise _unavailable(namespace, name, "read", error) from None
        return found and _Found(found[0], f"{found[1].st_size}-{safe_files.digest(found[0])}")

    def _owner_uid(self, key: Key, found: _Found) -> str | None:
        note = self._notes.get(key)
        if note is None or found.text is None or owner_uid(found.text) != note.owner.uid:
            return None
        if note.pending and safe_files.digest(found.text) != note.digest:
            return None
        return note.owner.uid

    def _is_current(self, current: Credentials) -> bool:
        """Whether the file is there as it was read, and ours; False when it is gone. Raises Conflict."""
        live = self.get(current.namespace, current.name)
        if live is not None and (live.owner_uid is None or live.version != current.version):
            raise Conflict(
                f"credentials {current.namespace}/{current.name} changed since they were read, or are foreign"
            )
        return live is not None

    def _wrote(self, key: Key, note: _Note) -> None:
        self._write_note(key, msgspec.structs.replace(note, pending=False))
        try:
            status = os.lstat(self._root / key[0] / self._file(key[1]))
        except OSError:
            return
        self._seen[key] = safe_files.signature(status)

    def _write_note(self, key: Key, note: _Note) -> None:
        try:
            with safe_files.opened(self._notes_root, key[0], create=True) as folder:
                safe_files.replace(folder, key[1] + _NOTE, msgspec.json.encode(note))
        except OSError as error:
            raise _unavailable(*key, "noted", error) from None
        self._notes[key] = note

    def _drop_note(self, key: Key) -> None:
        try:
            with safe_files.opened(self._notes_root, key[0]) as folder:
                safe_files.remove(folder, key[1] + _NOTE)
        except OSError as error:
            raise _unavailable(*key, "noted", error) from None
        self._notes.pop(key, None)

    def _settle_notes(self) -> None:
        """Decide now whether a file is ours that a crash came before or after: once it was edited nothing tells."""
        for key, note in list(self._notes.items()):
            found = self._find(*key) if note.pending else None
            if found is not None and self._owner_uid(key, found) is not None:
                self._write_note(key, msgspec.structs.replace(note, pending=False))

    def _load_notes(self) -> dict[Key, _Note]:
        notes: dict[Key, _Note] = {}
        try:
            for namespace in _folders(self._notes_root):
                with safe_files.opened(self._notes_root, namespace) as folder:
                    for name in os.listdir(folder):
                        found = safe_files.read(folder, name, _MAX_SIZE)
                        if found and name.endswith(_NOTE):
                            notes[namespace, name.removesuffix(_NOTE)] = msgspec.json.decode(found[0], type=_Note)
        except (OSError, safe_files.NotRegular, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unavailable(f"state: notes of credentials cannot be read: {error}") from None
        return notes

    def _file(self, name: str) -> str:
        return name + self._form.suffix

    def _valid(self, namespace: str, name: str) -> bool:
        """Whether there can be files of that name: one here, and a note of it."""
        longest = len(name) + max(len(self._form.suffix), len(_NOTE))
        return bool(DNS_LABEL.fullmatch(namespace) and DNS_SUBDOMAIN.fullmatch(name) and longest <= _MAX_FILE_NAME)

    def _opened(self, namespace: str, create: bool = False) -> AbstractContextManager[int]:
        return safe_files.opened(self._root, namespace, create=create)

    def _signatures(self) -> dict[Key, safe_files.Signature]:
        """Signatures of all files of this form, ours and others'."""
        suffix = self._form.suffix
        found: dict[Key, safe_files.Signature] = {}
        for namespace in _folders(self._root):
            try:
                with self._opened(namespace) as folder, os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name.endswith(suffix):
                            status = entry.stat(follow_symlinks=False)
                            found[namespace, entry.name.removesuffix(suffix)] = safe_files.signature(status)
            except OSError:
                continue  # gone or replaced while we looked: the next call sees what is there then
        return found


def _folders(root: Path) -> list[str]:
    """Names of the namespaces' folders; none while the root is gone."""
    try:
        with os.scandir(root) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _unavailable(namespace: str, name: str, done: str, error: OSError) -> Unavailable:
    return Unavailable(f"credentials {namespace}/{name} cannot be {done}: {error.strerror}")
