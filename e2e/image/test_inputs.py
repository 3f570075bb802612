"""What goes into the build: exactly what the image's name follows from."""

from e2e.image.build import INPUTS, ROOT


def test_the_build_sees_what_the_images_name_follows_from_and_wheels() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    seen = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" in lines
    assert seen == {*INPUTS, "wheels"} - {"Dockerfile", ".dockerignore"}


def test_the_default_base_is_named_by_a_version() -> None:
    first = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("ARG"))
    name, _, tag = first.removeprefix("ARG BASE_IMAGE=").partition(":")
    assert name == "python"
    assert tag[0].isdigit()
