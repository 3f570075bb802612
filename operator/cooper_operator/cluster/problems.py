"""What is wrong in the resources folder, as people are told it."""

import msgspec


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """A file, the line where known, and the reason: what to do about it included."""

    file: str  # relative to the resources folder; "" for the folder itself
    line: int | None
    reason: str

    def __str__(self) -> str:
        where = self.file or "resources folder"
        return printable(f"{where}:{self.line}: {self.reason}" if self.line else f"{where}: {self.reason}")


def printable(text: str) -> str:
    """The text with everything escaped that could move a terminal's cursor or break a line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )
