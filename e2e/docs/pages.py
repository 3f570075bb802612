"""Pages of the documentation as scripts: their commands and manifests, in order, as they stand there."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SECTION = re.compile(r"^## ", re.MULTILINE)
_BLOCK = re.compile(r"^```(yaml|)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: A manifest that is saved for later begins with its name.
_SAVED = re.compile(r"# (\S+\.yaml)\n")
#: Any other begins so; what does not is a part of one. Not of kinds that the tests' cluster does not have.
_MANIFEST = re.compile(r"apiVersion: (?!servicebinding\.io/)")


def script(page: str, *sections: str, registry: str, but: tuple[str, ...] = ()) -> str:
    """One bash script, of some sections or of all. `registry` stands for REGISTRY; no line begins with one of `but`."""
    text = (ROOT / "docs" / page).read_text().replace("REGISTRY", registry)
    found = {part.partition("\n")[0]: part for part in _SECTION.split(text)}
    blocks = _BLOCK.findall("".join(found[each] for each in sections) if sections else text)
    lines = "".join(map(_commands, *zip(*blocks, strict=True))).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(but))


def _commands(language: str, block: str) -> str:
    if language != "yaml":
        return block
    if saved := _SAVED.match(block):
        return f"cat > {saved[1]} <<'END'\n{block}END\n"
    return f"kubectl apply -f - <<'END'\n{block}END\n" if _MANIFEST.match(block) else ""


def run(text: str, folder: Path, environment: Mapping[str, str], seconds: float) -> str:
    """What a script prints; it stops at the first command that fails."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
