"""An image with stock aws-cli and boto3 and nothing of Cooper's, as an application has them.

Their versions are those of the other tests with clients.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from e2e.image import base, build
from e2e.kind import host
from e2e.kind.steps import step
from support.artefacts import cached, digest, locked

#: Lock, and what is taken of it.
_FROM: Final = (
    (
        build.ROOT / "tests" / "clients" / "requirements.lock",
        "awscli colorama docutils jmespath pyasn1 python-dateutil pyyaml rsa six urllib3",
    ),
    (build.ROOT / "requirements.lock", "boto3 botocore s3transfer"),
)
_DOCKERFILE: Final = """
ARG BASE_IMAGE=python:3.13-slim-bookworm
FROM ${BASE_IMAGE}
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PATH=/opt/clients/bin:${PATH}
COPY requirements.txt wheels* /wheels/
RUN python3 -m venv /opt/clients && \\
    pip install --quiet --no-deps --require-hashes --find-links /wheels/ -r /wheels/requirements.txt
USER 65532:65532
"""


def image() -> str:
    """Its name, known to Docker, which runs. Raises StepFailed."""
    with locked("kind"), tempfile.TemporaryDirectory() as scratch:
        context = Path(scratch)
        (context / "Dockerfile").write_text(_DOCKERFILE)
        (context / "requirements.txt").write_text("".join(map(_requirements, *zip(*_FROM, strict=True))))
        images = base.debian_base() if host.docker_is_ours() else None
        name = f"cooper/clients:{digest(sorted(context.iterdir()), images.build if images else '')}"
        if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode:
            with step(f"building {name}"):
                _build_offline(name, context, images) if images else build.build(name, context)
        return name


def _requirements(lock: Path, names: str) -> str:
    """The lines of a lock that are about these packages, with their hashes."""
    blocks = re.split(r"(?m)^(?=[a-z])", lock.read_text())
    return "".join(each for each in blocks if each.partition("==")[0] in names.split())


def _build_offline(name: str, context: Path, images: base.Base) -> None:
    requirements = context / "requirements.txt"
    wheels = cached("client-wheels", [requirements], lambda folder: build.download(folder, requirements), base.PYTHON)
    shutil.copytree(wheels, context / "wheels", ignore=shutil.ignore_patterns("complete"))
    given = {"BASE_IMAGE": images.build, "PIP_NO_INDEX": "1"}
    options = [word for argument, value in given.items() for word in ("--build-arg", f"{argument}={value}")]
    build.build(name, context, *options, environment={"DOCKER_BUILDKIT": "0"})
