"""What is installed, with a C compiler and without one: wheels as `pip` has them made, outside git."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

from clients.aws import clean_env
from hatch_build import BaseError
from support.compiler import need_compiler

ROOT = Path(__file__).parents[2]
FOLDER = "cooper_gateway/native"
SOURCES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "crds", "operator", "gateway", "cli")


@pytest.fixture
def compiler() -> None:
    need_compiler()


with_compiler = pytest.mark.usefixtures("compiler")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the sources, in which an old module lies that is of no use."""
    for variable in ("COOPER_PURE", "COOPER_NATIVE"):
        monkeypatch.delenv(variable, raising=False)
    made = tmp_path / "copy"
    made.mkdir()
    for name in SOURCES:
        each = ROOT / name
        if each.is_dir():
            shutil.copytree(each, made / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(each, made)
    (made / "gateway" / FOLDER / "_native.abi3.so").write_bytes(b"old")
    return made


def wheel(copy: Path, version: str = "standard") -> tuple[str, dict[str, bytes]]:
    """The end of its name, and what it has of the native module's folder."""
    path = Path(next(WheelBuilder(str(copy)).build(directory=str(copy / "dist"), versions=[version])))
    with ZipFile(path) as archive:
        return path.name.partition("0-")[2], {
            name.rpartition("/")[2]: archive.read(name) for name in archive.namelist() if FOLDER in name
        }


@with_compiler
def test_a_wheel_has_the_module_that_was_built_for_it(copy: Path) -> None:
    tag, files = wheel(copy)
    assert tag.startswith("cp311-abi3-")
    assert files.keys() == {"__init__.py", "_native.abi3.so"}
    assert files["_native.abi3.so"] != b"old"


def test_without_a_compiler_a_wheel_is_for_any_platform(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/bin/false")
    tag, files = wheel(copy)
    assert tag == "py3-none-any.whl"
    assert files.keys() == {"__init__.py"}


def test_without_a_compiler_there_is_no_wheel_that_has_to_have_it(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/bin/false")
    monkeypatch.setenv("COOPER_NATIVE", "1")
    with pytest.raises(BaseError, match="/bin/false"):
        wheel(copy)


@with_compiler
@pytest.mark.parametrize(("variable", "value"), [("CC", "/bin/false"), ("COOPER_PURE", "1")])
def test_no_old_module_stays_beside_the_source(
    copy: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    built = copy / "gateway" / FOLDER / "_native.abi3.so"
    wheel(copy, "editable")
    assert built.read_bytes() != b"old"
    monkeypatch.setenv(variable, value)
    wheel(copy, "editable")
    assert not built.exists()


@with_compiler
def test_a_module_of_another_source_is_not_used(copy: Path) -> None:
    def used() -> str:
        command = [sys.executable, "-c", "from cooper_gateway.native import kind; print(kind())"]
        done = subprocess.run(
            command, env=clean_env(PYTHONPATH=str(copy / "gateway")), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    wheel(copy, "editable")
    assert used() == "native"
    source = copy / "gateway" / FOLDER / "_native.c"
    source.write_text(source.read_text() + "\n")
    assert used() == "pure"
