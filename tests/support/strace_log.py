"""What strace writes of calls (-f -y -xx): their arguments, and how they ended."""

import os
import re
from dataclasses import dataclass
from typing import Final

_HEX: Final = r"((?:\\x[0-9a-f]{2})*)"
_STRING: Final = re.compile(f'"{_HEX}"')
_DESCRIPTOR: Final = re.compile(rf"^(AT_FDCWD|\d+)<{_HEX}>")
_ARGUMENT: Final = re.compile(rf'(?:(?:AT_FDCWD|\d+)<{_HEX}>(?:\(deleted\))?, )?"{_HEX}"')
_ENTRY: Final = re.compile(rf'd_name="{_HEX}"')
_BEGUN: Final = re.compile(r"^(\d+) +(\w+)\((.*)$", re.DOTALL)
_RESUMED: Final = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$", re.DOTALL)
_RESULT: Final = re.compile(r"\)\s+= (-?\d+)(?: (E\w+))?")
_UNFINISHED: Final = " <unfinished ...>"


@dataclass(slots=True)
class Call:
    """A call that began, and how far it is known. `began`: where the log was that it is for."""

    name: str
    arguments: str
    began: int
    noted: bool = False  # what it does is in the log already

    @property
    def unfinished(self) -> bool:
        """Whether its end comes in another line."""
        return self.arguments.endswith(_UNFINISHED)

    def go_on(self, rest: str) -> None:
        """Its end has come."""
        self.arguments = self.arguments.removesuffix(_UNFINISHED) + rest

    def result(self) -> tuple[int, str] | None:
        """What it returned, and the error. None: its thread was killed within it; nobody knows whether it is done."""
        found = _RESULT.search(self.arguments)
        return None if found is None else (int(found[1]), found[2] or "")


def begun(line: str) -> tuple[str, str, str] | None:
    """Thread, name and the rest of a call that begins in this line."""
    found = _BEGUN.match(line)
    return None if found is None else (found[1], found[2], found[3])


def resumed(line: str) -> tuple[str, str] | None:
    """Thread and the rest of a call that began in an earlier line and ends in this one."""
    found = _RESUMED.match(line)
    return None if found is None else (found[1], found[2])


def escaped(text: str) -> str:
    """As strace writes it."""
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(text))


def paths(arguments: str) -> list[str]:
    """All that are named."""
    return [os.path.normpath(os.path.join(_text(base), _text(name))) for base, name in _ARGUMENT.findall(arguments)]


def descriptor(arguments: str) -> tuple[str, str]:
    """The number of the descriptor that is the first argument, and its path."""
    found = _DESCRIPTOR.match(arguments)
    return ("", "") if found is None else (found[1], _text(found[2]))


def data(arguments: str) -> bytes:
    """All bytes that are given."""
    return b"".join(map(_bytes, _STRING.findall(arguments)))


def entries(arguments: str) -> set[str]:
    """Names in a folder that are told."""
    return set(map(_text, _ENTRY.findall(arguments)))


def _bytes(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal.replace("\\x", ""))


def _text(hexadecimal: str) -> str:
    return os.fsdecode(_bytes(hexadecimal))
