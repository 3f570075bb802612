"""`python -m e2e.image`: build the image of this clone; its name goes to standard output."""

import sys

from e2e.image.build import image
from e2e.kind.steps import StepFailed, output


def main() -> int:
    """Do it; the exit status."""
    try:
        name = image()
        size = int(output(["docker", "image", "inspect", "--format", "{{.Size}}", name]))
    except StepFailed as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    print(f"image: {size / 1e6:.0f} MB", file=sys.stderr)
    print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
