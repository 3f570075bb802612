"""The text of a `.env` file: what a POSIX shell, docker and python-dotenv all read as the same values.

Beside it, a file that holds one value of several lines, as it is: a configuration file in which `#` begins a comment.
The first line is a comment that names the owner: that, and a note of ours elsewhere, tells our files from others'.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from cooper_operator.cluster.port import Invalid, Kind, Ref

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Characters that no reader of `.env` files treats in any special way.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+=,-]*")
_HEADER: Final = re.compile(r"# Cooper credentials of (?:Bucket|AccessKey) \S+ uid (\S+); .*")
_LINE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(?:'([^']*)'|\"([^\"\\$`]*)\"|([^'\"\\$`\s]*))")


class Owner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The resource that a file belongs to."""

    kind: Kind
    namespace: str
    name: str
    uid: str

    @property
    def ref(self) -> Ref:
        """Its identity without the UID."""
        return Ref(self.kind, self.namespace, self.name)


def render(owner: Owner, data: Mapping[str, str]) -> bytes:
    """The file's text. Raises Invalid, which does not tell the value, for what readers would not read alike."""
    return "\n".join([_header(owner), *(line(key, data[key]) for key in data), ""]).encode()


def line(key: str, value: str) -> str:
    """One assignment. Raises Invalid, as `render`."""
    if not _KEY.fullmatch(key):
        raise Invalid(f"credentials: {key[:60]!r} cannot be the name of an environment variable")
    if _PLAIN.fullmatch(value):
        return f"{key}={value}"
    if not value.isprintable():
        raise Invalid(
            f"credentials: the value of {key} has a control character or a line break: no .env file can hold it"
        )
    if "'" not in value:
        return f"{key}='{value}'"
    if not any(char in value for char in '"\\$`'):
        return f'{key}="{value}"'
    raise Invalid(f"credentials: the value of {key} mixes quotes in a way that no .env file can hold")


def render_text(owner: Owner, text: str) -> bytes:
    """A file that holds one value as it is, below the first line."""
    return f"{_header(owner)}\n{text}".encode()


def _header(owner: Owner) -> str:
    return f"# Cooper credentials of {owner.kind} {owner.namespace}/{owner.name} uid {owner.uid}; edits are put back"


def owner_uid(text: bytes) -> str | None:
    """The UID that the first line names, or None when it is no line of ours."""
    match = _HEADER.fullmatch(text.split(b"\n", 1)[0].decode("utf-8", "replace"))
    return match[1] if match else None


def parse(text: bytes) -> dict[str, str]:
    """The values. A line that is neither an assignment nor a comment becomes a key of its own: it is an edit, too."""
    data: dict[str, str] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            data[line] = ""
        else:
            data[match[1]] = next((value for value in match.groups()[1:] if value is not None), "")
    return data


def parse_text(text: bytes) -> str:
    """The value below the first line, when that is one of ours; else all there is."""
    value = text.partition(b"\n")[2] if owner_uid(text) is not None else text
    return value.decode("utf-8", "replace")
