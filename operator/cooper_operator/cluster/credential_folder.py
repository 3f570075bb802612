"""The credentials folder: of each credentials a `.env` file, and beside it files for values of several lines.

`<name>.env` has all values of one line; `<name>.credentials`, `<name>.rclone.conf` and `<name>.ca.crt` one value each,
as it is (see docs/decisions/0013). Certificates under any other key are in `<name>.ca-bundle.pem`, and the `.env` file
has that file's path, which is what programs want of them. Together they are read, written and removed as one. Each is
ours or foreign by itself, and the `.env` file says it of the whole; a foreign file is never written to. It is written
last: who waits for it finds all.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Final

from cooper_crds.pem import is_bundle
from cooper_operator.cluster import env_text
from cooper_operator.cluster.credential_files import CredentialFiles, Form
from cooper_operator.cluster.env_text import Owner
from cooper_operator.cluster.port import AlreadyExists, Conflict, Credentials, Invalid, Ref

#: Keys whose values have files of their own when they have several lines.
_TEXTS: Final = ("credentials", "rclone.conf", "ca.crt")
#: What the file is called that the path of certificates leads to. No Secret has such a key of ours.
_BUNDLE: Final = "ca-bundle.pem"
_ENV: Final = Form(".env", env_text.render, env_text.parse)


def _text_form(key: str) -> Form:
    return Form(
        f".{key}",
        lambda owner, data: env_text.render_text(owner, data[key]),
        lambda text: {key: env_text.parse_text(text)},
    )


class CredentialFolder:
    """All raise Unavailable when the folder, or the notes in the state folder, cannot be read."""

    def __init__(self, root: Path, state: Path) -> None:
        self._root = root
        self._env = CredentialFiles(root, state / "credentials", _ENV)
        self._notes = state / "credential-files"
        keys = (*_TEXTS, _BUNDLE)
        self._texts = {key: CredentialFiles(root, self._notes / key, _text_form(key)) for key in keys}
        self._every = (*self._texts.values(), self._env)

    def open(self) -> None:
        """Make the folders, read the notes, remove what a crash left."""
        self._notes.mkdir(mode=0o700, parents=True, exist_ok=True)
        for files in self._every:
            files.open()

    def get(self, namespace: str, name: str) -> Credentials | None:
        """Read credentials, live, whoever made them. Files beside a `.env` file that is not ours are no part of it."""
        env = self._env.get(namespace, name)
        if env is not None and env.owner_uid is None:
            return env
        found = [env, *(files.get(namespace, name) for files in self._texts.values())]
        ours = [each for each in found if each is not None and each.owner_uid is not None]
        if not ours:
            return None
        joined = _joined([each for each in ours if each.owner_uid == ours[0].owner_uid], found)
        return replace(joined, data=self._with_bundle(namespace, name, joined.data))

    def owned(self, namespace: str, uid: str) -> list[Credentials]:
        """The credentials that were made for an owner, live."""
        names = sorted({each.name for files in self._every for each in files.owned(namespace, uid)})
        every = (self.get(namespace, name) for name in names)
        return [each for each in every if each is not None and each.owner_uid == uid]

    def create(self, namespace: str, name: str, data: Mapping[str, str], owner: Owner, access_key_id: str) -> None:
        """Create-only. Raises AlreadyExists, Invalid."""
        if self.get(namespace, name) is not None:
            raise AlreadyExists(f"credentials {namespace}/{name} exist already")
        self._write(namespace, name, data, owner, access_key_id)

    def update(self, current: Credentials, data: Mapping[str, str], owner: Owner, access_key_id: str) -> None:
        """Replace those that are `owner`'s. Raises Conflict, Invalid."""
        if current.owner_uid != owner.uid or self._current(current) is None:
            raise Conflict(f"credentials {current.namespace}/{current.name} are gone, or not those of {owner.ref}")
        self._write(current.namespace, current.name, data, owner, access_key_id)

    def delete(self, current: Credentials) -> Ref | None:
        """Delete those that are ours; returns whose they were. Raises Conflict; absent already is success."""
        live = self._current(current)
        if live is None:
            return None
        found = [(files, files.get(live.namespace, live.name)) for files in self._every]
        owners = [files.delete(each) for files, each in found if each is not None and each.owner_uid == live.owner_uid]
        return next((owner for owner in owners if owner is not None), None)

    def collect(self, uids: Set[str]) -> None:
        """Remove what belongs to owners that are gone."""
        for files in self._every:
            files.collect(uids)

    def changed(self) -> tuple[set[Ref], set[str]]:
        """Owners whose files somebody else changed since the last call, and namespaces where foreign files changed."""
        told = [files.changed() for files in self._every]
        return set[Ref]().union(*(owners for owners, _ in told)), set[str]().union(*(names for _, names in told))

    def folders(self) -> set[str]:
        """Absolute paths to be watched."""
        return self._env.folders()

    def _write(self, namespace: str, name: str, data: Mapping[str, str], owner: Owner, access_key_id: str) -> None:
        """Bring every file to what it is to be, once nothing stands against any. Raises Invalid."""
        data = self._with_path(namespace, name, data)
        texts = {key: {key: value} for key, value in data.items() if key in self._texts and "\n" in value}
        values = {key: value for key, value in data.items() if key not in texts}
        _ENV.render(owner, values)
        for key in texts:
            found = self._texts[key].get(namespace, name)
            if found is not None and found.owner_uid != owner.uid:
                raise Invalid(
                    f"credentials {namespace}/{name}: the file {name}.{key} is not Cooper's and is left alone: move it "
                    "away"
                )
        for key, files in self._texts.items():
            _bring(files, namespace, name, texts.get(key), owner, access_key_id)
        _bring(self._env, namespace, name, values, owner, access_key_id)

    def _with_path(self, namespace: str, name: str, data: Mapping[str, str]) -> dict[str, str]:
        """Certificates as a file of their own, and its path under their keys."""
        keys = [key for key, value in data.items() if key not in _TEXTS and is_bundle(value)]
        if not keys:
            return dict(data)
        return {**data, **dict.fromkeys(keys, self._bundle(namespace, name)), _BUNDLE: data[keys[0]]}

    def _with_bundle(self, namespace: str, name: str, data: Mapping[str, str]) -> dict[str, str]:
        """The other way round. Where the file is gone its path stays, which is not what was delivered."""
        path, bundle = self._bundle(namespace, name), data.get(_BUNDLE)
        values = {key: value for key, value in data.items() if key != _BUNDLE}
        return values if bundle is None else {k: bundle if v == path else v for k, v in values.items()}

    def _bundle(self, namespace: str, name: str) -> str:
        return str(self._root / namespace / f"{name}.{_BUNDLE}")

    def _current(self, current: Credentials) -> Credentials | None:
        """The credentials as they were read, and ours; None when they are gone. Raises Conflict."""
        live = self.get(current.namespace, current.name)
        if live is not None and (live.owner_uid is None or live.version != current.version):
            raise Conflict(
                f"credentials {current.namespace}/{current.name} changed since they were read, or are foreign"
            )
        return live


def _bring(
    files: CredentialFiles, namespace: str, name: str, data: Mapping[str, str] | None, owner: Owner, access_key_id: str
) -> None:
    """Write one file, or (None) remove it where it is the owner's."""
    found = files.get(namespace, name)
    if data is None:
        if found is not None and found.owner_uid == owner.uid:
            files.delete(found)
    elif found is None:
        files.create(namespace, name, data, owner, access_key_id)
    elif dict(found.data) != data or found.access_key_id != access_key_id:
        files.update(found, data, owner, access_key_id)


def _joined(ours: list[Credentials], found: list[Credentials | None]) -> Credentials:
    """Several files as one. A file that comes, goes or changes makes another version."""
    data = dict(_items(ours))
    version = "+".join("" if each is None else each.version for each in found)
    first = ours[0]
    return Credentials(first.namespace, first.name, data, first.owner_uid, version, first.access_key_id)


def _items(ours: list[Credentials]) -> Iterator[tuple[str, str]]:
    for each in ours:
        yield from each.data.items()
