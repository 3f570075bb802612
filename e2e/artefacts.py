"""What there is to look at after a test failed: the cluster's state, and logs. No secret is among it."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

#: Resources that are written down whole. Of Secrets only metadata is: their values are nobody's business.
_KINDS: Final = (
    "regions,buckets,bucketgrants,accesskeys",
    "events",
    "services,endpointslices",
    "leases",
    "configmaps",
    "namespaces,pods",
)
_LOG_TAIL: Final = 60  # lines


def collect(kubectl: Path, kubeconfig: Path, logs: Iterable[Path], folder: Path) -> str:
    """Write everything below `folder`; the ends of the logs, to be printed."""
    folder.mkdir(parents=True, exist_ok=True)
    for kinds in _KINDS:
        found = _get(kubectl, kubeconfig, kinds, "yaml")
        (folder / f"{kinds.replace(',', '-')}.yaml").write_text(found)
    (folder / "secrets.json").write_text(json.dumps(_secrets(_get(kubectl, kubeconfig, "secrets", "json")), indent=1))
    return "\n".join(_log(path, folder) for path in logs)


def _get(kubectl: Path, kubeconfig: Path, kinds: str, form: str) -> str:
    command = [kubectl, "--kubeconfig", kubeconfig, "--request-timeout=20s", "get", kinds, "-A", "-o", form]
    return subprocess.run(command, capture_output=True, text=True).stdout


def _secrets(listing: str) -> list[dict[str, Any]]:
    """Metadata, type and the names of keys. An annotation may have what was applied, values included."""
    items: list[dict[str, Any]] = json.loads(listing or "{}").get("items", [])
    for each in items:
        each["metadata"].pop("annotations", None)
    return [
        {"metadata": each["metadata"], "type": each["type"], "keys": sorted(each.get("data") or {})} for each in items
    ]


def _log(path: Path, folder: Path) -> str:
    """Keep a log under a name that tells where it was; its end."""
    name = "-".join(path.parts[-2:])
    shutil.copyfile(path, folder / name)
    tail = path.read_text(errors="replace").splitlines()[-_LOG_TAIL:]
    return "\n".join([f"--- {name}", *tail])
