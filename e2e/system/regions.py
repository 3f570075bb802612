"""A Region of the tests' own beside the default one, with a gateway that serves it and nothing else."""

import secrets
from typing import Any

from e2e.system.system import System, manifest


class Regions:
    """Each test makes the Region as it needs it; `remove` takes it away. Its gateway stays: others' data lies there."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.name = f"north-{secrets.token_hex(4)}"
        self.service = f"{self.name}-gateways"
        self._gateway = system.gateway(self.name, self.name)

    async def serve(self) -> None:
        """Start the gateway."""
        await self._system.serve(self._gateway, self.service)

    async def publish(self, *, ready: bool = True) -> None:
        """Have the gateway's EndpointSlice say so."""
        await self._system.apply(self._system.slice(1, self._gateway, self.service, ready=ready))

    async def withdraw(self) -> None:
        """Take it away."""
        await self._system.kubectl("-n", self._system.namespace, "delete", "endpointslice", f"{self.service}-1")

    @property
    def address(self) -> str:
        """Where the gateway listens."""
        return f"{self._system.address}:{self._gateway.port}"

    def manifest(self, **spec: Any) -> dict[str, Any]:
        """The Region's manifest; a field given as None is left out."""
        endpoints = {"internal": self._gateway.endpoint}
        wanted = {"tag": "eu-north-1", "service": {"name": self.service}, "endpoints": endpoints, **spec}
        return manifest("Region", "", self.name, {field: value for field, value in wanted.items() if value is not None})

    async def make(self, **spec: Any) -> str:
        """Apply it; its name."""
        await self._system.apply(self.manifest(**spec))
        return self.name

    async def remove(self) -> None:
        """Delete it."""
        await self._system.kubectl("delete", "region", self.name, "--ignore-not-found")
