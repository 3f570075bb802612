"""What the image is built on where no image registry is asked: Debian with its Python, made once and kept."""

import shutil
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from e2e.kind import versions
from e2e.kind.steps import StepFailed, output, run, step
from support.artefacts import cached

#: The Python of that Debian.
PYTHON: Final = "3.11"
_PACKAGES: Final = ("ca-certificates", "python3")
_FOR_BUILDING: Final = ("python3-venv", "gcc", "libc6-dev", "libssl-dev", f"libpython{PYTHON}-dev")
#: Folders that get empty, as in Debian's own slim images.
_EMPTY: Final = (
    *("usr/share/doc", "usr/share/locale", "usr/share/man"),
    *("var/cache/apt", "var/cache/debconf", "var/lib/apt/lists", "var/log"),
)
_ENVIRONMENT: Final = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")
_ARCHIVE: Final = "images.tar"


class Base(NamedTuple):
    """Names of images: to run on, and to build with (the same Python, with venv, pip and a C compiler)."""

    run: str
    build: str


def debian_base() -> Base:
    """Both, known to Docker, which runs. Making them takes a minute. Raises StepFailed."""
    folder = cached("image-base", [Path(__file__)], _make, salt=versions.DEBIAN)
    base = _named(folder)
    if any(subprocess.run(["docker", "image", "inspect", each], capture_output=True).returncode for each in base):
        with step("loading the image's base"):
            run("image", ["docker", "load", "-i", folder / _ARCHIVE])
    return base


def _named(folder: Path) -> Base:
    tag = f"{versions.DEBIAN}-{folder.name.rpartition('-')[2]}"
    return Base(f"cooper/python:{tag}", f"cooper/python-build:{tag}")


def _make(folder: Path) -> None:
    base, rootfs, fetched = _named(folder), folder / "rootfs", folder / "fetched"
    fetched.mkdir()
    with step("making the image's base from Debian packages"):
        for name, packages in ((base.run, _PACKAGES), (base.build, (*_PACKAGES, *_FOR_BUILDING))):
            options = ["--variant=minbase", f"--cache-dir={fetched}", f"--include={','.join(packages)}"]
            run("image", ["debootstrap", *options, versions.DEBIAN, rootfs, *_mirror()])
            _import(rootfs, name)
            shutil.rmtree(rootfs)
        run("image", ["docker", "save", "-o", folder / _ARCHIVE, *base])
        shutil.rmtree(fetched)


def _mirror() -> list[str]:
    """Where this machine has its own packages from, if they are of that Debian: one, or debootstrap's own."""
    lines = output(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"])
    return [place for release, place in map(str.split, lines.splitlines()) if release == versions.DEBIAN][:1]


def _empty(folder: Path) -> None:
    """Remove what is in a folder, which stays: packages expect it."""
    for each in folder.iterdir():
        shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()


def _import(rootfs: Path, name: str) -> None:
    for each in _EMPTY:
        _empty(rootfs / each)
    changes = [word for each in _ENVIRONMENT for word in ("--change", f"ENV {each}")]
    # Names of users are this machine's, numbers are the image's.
    with subprocess.Popen(["tar", "--numeric-owner", "-C", rootfs, "-c", "."], stdout=subprocess.PIPE) as tar:
        done = subprocess.run(
            ["docker", "import", *changes, "-", name], stdin=tar.stdout, capture_output=True, text=True
        )
    if done.returncode or tar.returncode:
        raise StepFailed(f"docker import of {name}: {done.stderr}")
