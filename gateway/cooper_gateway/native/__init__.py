"""Classes that exist a second time in C (`_native.c`), for speed: where that could be built it stands in for them.

Wheels for a platform hold it; without a C compiler or OpenSSL's headers the package is made without (`hatch_build.py`).
The variable COOPER_PURE, whatever it is set to, has the classes in Python used in any case.
"""

import hashlib
import os
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

_Class = TypeVar("_Class", bound=type)


def _built() -> ModuleType | None:
    if os.environ.get("COOPER_PURE"):
        return None
    try:
        built = import_module("cooper_gateway.native._native")
    except ImportError:  # not built, or its OpenSSL is not on this machine
        return None
    return built if _is_of_this_source(built) else None


def _is_of_this_source(built: ModuleType) -> bool:
    """Not where a clone has been brought to another commit and nothing was built since. Wheels have no source."""
    source = Path(__file__).with_name("_native.c")
    return not source.exists() or getattr(built, "SOURCE", "") == hashlib.sha256(source.read_bytes()).hexdigest()


_NATIVE: Final = _built()
#: The classes in Python, by name. Tests compare both.
PURE: Final[dict[str, type]] = {}


def in_c(pure: _Class) -> _Class:
    """Decorates a class that `_native.c` has as well, with the same methods: the one to use."""
    PURE[pure.__name__] = pure
    return getattr(_NATIVE, pure.__name__, pure)


def kind() -> str:
    """Which of both are used: "native" or "pure"."""
    return "pure" if _NATIVE is None else "native"
