"""A process that dies between two steps that change the disk."""

import os
from typing import Any, Final

import pytest

STEPS: Final = ("open", "link", "rename", "unlink", "mkdir", "fsync")


class Crash(BaseException):
    """The process is gone: no handler of errors sees it."""


class CrashAfter:
    """Lets a number of steps that change the disk happen, and then none, not even those of clean-up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
        self.left = steps
        self.crashed = False
        for name in STEPS:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name), name))

    def _wrapped(self, real: Any, name: str) -> Any:
        def step(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **kwargs)
            if self.left <= 0:
                self.crashed = True
                raise Crash
            self.left -= 1
            return real(*args, **kwargs)

        return step
