"""What GitOps tools do again and again finds nothing to do: they show no drift, and fight with nobody over fields."""

import json
import secrets
from typing import Any, Final

from e2e.kubectl import Kubectl

#: An operator that writes a status just then is no fault: so often the versions may differ.
_ATTEMPTS: Final = 3


async def assert_quiet(kubectl: Kubectl, *manifests: dict[str, Any]) -> None:
    """The manifests, as they were applied, are what is there: to kubectl diff, and to server-side apply by a newcomer.

    The newcomer then owns the manifests' fields too; nothing else is changed. Raises AssertionError with the diff, the
    conflict, or the versions.
    """
    applied = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    newcomer = f"--field-manager=gitops-{secrets.token_hex(4)}"
    for diff in (("diff",), ("diff", "--server-side", newcomer)):
        said = await kubectl(*diff, "-f", "-", manifest=applied)  # fails where anything differs
        assert said == "", said
    apply = ("apply", "--server-side", newcomer, "-f", "-")
    await kubectl(*apply, manifest=applied)  # fails where somebody else has set another value
    for _ in range(_ATTEMPTS):
        before = await _versions(kubectl, applied)
        await kubectl(*apply, manifest=applied)
        if (after := await _versions(kubectl, applied)) == before:
            return
    raise AssertionError(f"what is there already is written anew at each apply: from {before} to {after}")


async def _versions(kubectl: Kubectl, applied: dict[str, Any]) -> list[str]:
    found = json.loads(await kubectl("get", "-f", "-", "-o", "json", manifest=applied))
    return [each["metadata"]["resourceVersion"] for each in found.get("items", [found])]
