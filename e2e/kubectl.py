"""kubectl, as people use it."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

#: What to wait for after a CRD was applied. By its path: `condition=Established` fails while there is no status yet.
ESTABLISHED: Final = "--for=jsonpath={.status.conditions[?(@.type=='Established')].status}=True"


class Kubectl:
    """kubectl against one cluster."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self._command = (str(program), "--kubeconfig", str(kubeconfig))

    async def __call__(self, *arguments: str, manifest: Any = None) -> str:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self._command, *arguments, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate(None if manifest is None else json.dumps(manifest).encode())
        assert process.returncode == 0, f"kubectl {' '.join(arguments)}: {said.decode()}"
        return said.decode()

    async def define(self, kinds: Path) -> None:
        """Apply the CRDs of a folder, and wait until the API server has them."""
        await self("apply", "--server-side", "-f", str(kinds))
        await self("wait", ESTABLISHED, "-f", str(kinds))
