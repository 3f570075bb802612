"""Clients that need a program of the machine's own: no registry of packages has it at a version of ours."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from e2e.kind import host
from e2e.kind.steps import StepFailed
from support.artefacts import cached, locked

_JAVA: Final = Path(__file__).parent / "java"
_MAVEN_PLUGIN: Final = "3.11.0"


def of_the_machine(name: str, package: str) -> str:
    """A program of this machine; Debian's is installed where there is none.

    Raises StepFailed.
    """
    if (found := shutil.which(name)) is None:
        if not host.can_install():
            raise StepFailed(f"there is no {name}, and installing one takes root on Debian")
        with locked("kind"):
            host.install_packages((package,))
        found = shutil.which(name)
    if found is None:
        raise StepFailed(f"{package} was installed and {name} is not on PATH")
    return found


def java_matrix() -> list[str]:
    """Command that tries rows of the client matrix with the AWS SDK for Java; append their names.

    Maven and the JDK are the machine's own. Raises StepFailed.
    """
    jars = _jars()
    sources = [_JAVA / name for name in ("pom.xml", "jars.sha256", "Matrix.java")]

    def make(folder: Path) -> None:
        of_the_machine("javac", "default-jdk-headless")
        options = ["--release", "17", "-cp", f"{jars}/*", "-d", folder]
        subprocess.run(["javac", *options, _JAVA / "Matrix.java"], check=True)

    folder = cached("clients-java", sources, make)
    java = of_the_machine("java", "default-jdk-headless")
    return [java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{folder}:{jars}/*", "Matrix"]


def _jars() -> Path:
    """Folder with the SDK and all that it needs."""
    sums = _JAVA / "jars.sha256"

    def make(folder: Path) -> None:
        of_the_machine("mvn", "maven")
        goal = f"org.apache.maven.plugins:maven-dependency-plugin:{_MAVEN_PLUGIN}:copy-dependencies"
        options = [f"-Dmaven.repo.local={folder / 'repository'}", f"-DoutputDirectory={folder / 'jars'}"]
        command = ["mvn", "--batch-mode", "--quiet", "--file", _JAVA / "pom.xml", *options, goal]
        subprocess.run([*command, "-DincludeScope=runtime"], cwd=folder, check=True)
        shutil.rmtree(folder / "repository")
        check = ["sha256sum", "--check", "--strict", "--quiet", sums]
        subprocess.run(check, cwd=folder / "jars", check=True)
        listed = {line.split()[1] for line in sums.read_text().splitlines()}
        assert listed == set(os.listdir(folder / "jars")), "jars.sha256 does not have the jars that pom.xml brings"

    return cached("clients-java-jars", [_JAVA / "pom.xml", sums], make) / "jars"
