"""Kubeconfigs of service accounts: programs under test have the rights that they need, and no others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from e2e.kubectl import Kubectl


async def account_kubeconfig(kubectl: Kubectl, kubeconfig: Path, account: Mapping[str, Any], path: Path) -> Path:
    """Write a kubeconfig for a service account (its metadata), reaching the cluster that `kubeconfig` reaches."""
    content = yaml.safe_load(kubeconfig.read_text())
    token = await kubectl("create", "token", account["name"], "-n", account["namespace"], "--duration=4h")
    content["users"][0]["user"] = {"token": token.strip()}
    path.write_text(yaml.safe_dump(content))
    return path
