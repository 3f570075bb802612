"""Builds the native module, where a C compiler, Python's headers and OpenSSL's are; the package is made without it
elsewhere, or with COOPER_PURE set. With COOPER_NATIVE set it is an error when it cannot be built."""

import hashlib
import os
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.errors import BaseError, CCompilerError

_FOLDER: Final = "gateway/cooper_gateway/native"
_NAME: Final = "_native.abi3.so"  # as it says itself: good for Python 3.11 and all later ones
_TAG: Final = "cp311-abi3"
_FLAGS: Final = ("-O2", "-g0", "-Wall", "-Wextra", "-fvisibility=hidden", "-fstack-protector-strong")


class NativeModule(BuildHookInterface[Any]):
    """Hatch calls it for each wheel, also for the editable one, beside whose source the module is laid."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and say what goes into the wheel."""
        if self.target_name != "wheel":
            return
        beside = Path(self.root, _FOLDER, _NAME)
        if version == "editable":
            beside.unlink(missing_ok=True)  # of an earlier source
        if os.environ.get("COOPER_PURE"):
            return
        self._scratch = tempfile.TemporaryDirectory()
        try:
            built = build(Path(self.root), Path(self._scratch.name))
        except BaseError as error:
            if os.environ.get("COOPER_NATIVE"):
                raise
            self.app.display_warning(f"the native module cannot be built, so this is slower without it: {error}")
            return
        if version == "editable":
            shutil.copy2(built, partial := beside.with_suffix(".new"))  # nobody finds half of one
            partial.replace(beside)
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data.update(pure_python=False, tag=f"{_TAG}-{platform}")
        build_data["force_include"][str(built)] = f"{_FOLDER.partition('/')[2]}/{_NAME}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The wheel has it."""
        if hasattr(self, "_scratch"):
            self._scratch.cleanup()


def build(root: Path, scratch: Path) -> Path:
    """Compile it. Raises BaseError with the reason when that cannot be done."""
    source = f"{_FOLDER}/_native.c"
    extension = Extension(
        "_native",
        [source],
        define_macros=[("SOURCE", f'"{hashlib.sha256((root / source).read_bytes()).hexdigest()}"')],
        libraries=["crypto"],
        extra_compile_args=list(_FLAGS),
        py_limited_api=True,
    )
    command = Distribution({"name": "native", "ext_modules": [extension]}).get_command_obj("build_ext")
    command.build_temp = command.build_lib = str(scratch)
    before = Path.cwd()
    os.chdir(root)  # distutils has the source's path in its own
    try:
        command.ensure_finalized()
        command.run()
    except CCompilerError as error:  # no BaseError for setuptools
        raise BaseError(str(error)) from error
    finally:
        os.chdir(before)
    return next(scratch.rglob("_native*.so"))
