"""Regions of the tests' own beside the default one, served by the same gateways."""

import secrets
from typing import Any

from e2e.system.system import System, manifest


class Regions:
    """Makes Regions; `remove` takes away those that are left."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._names: list[str] = []

    def name(self) -> str:
        """A name that no Region has yet."""
        name = f"north-{secrets.token_hex(4)}"
        self._names.append(name)
        return name

    def manifest(self, name: str, **spec: Any) -> dict[str, Any]:
        """The manifest of a Region that the gateways serve; a field given as None is left out."""
        endpoints = {"internal": self._system.gateways[0].endpoint}
        wanted = {"tag": "eu-north-1", "service": {"name": "gateways"}, "endpoints": endpoints, **spec}
        return manifest("Region", "", name, {field: value for field, value in wanted.items() if value is not None})

    async def make(self, **spec: Any) -> str:
        """Apply a new one; its name."""
        name = self.name()
        await self._system.apply(self.manifest(name, **spec))
        return name

    async def remove(self) -> None:
        """Delete all."""
        if self._names:
            await self._system.kubectl("delete", "region", *self._names, "--ignore-not-found")
