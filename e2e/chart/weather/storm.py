"""Somebody who edits everything of a tenant without end, so that whoever else writes meets conflicts."""

import asyncio
import base64
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cooper_operator.cluster.kubernetes_objects import core_path, kind_path
from e2e.system.server import Server

_KEY = "storm.example.com/serial"
_JUNK = "JUNK"


@dataclass(frozen=True)
class Edit:
    """What was written last to an object: its UID, and the value of label and annotation."""

    uid: str
    serial: str


@dataclass
class Storm:
    """Runs from entering to leaving it. One task for each kind: edits of an object follow one another."""

    server: Server
    namespace: str
    dice: random.Random
    edits: dict[str, Edit] = field(default_factory=dict)  # by path
    count: Counter[str] = field(default_factory=Counter)  # by plural

    async def __aenter__(self) -> "Storm":
        self._ends = False
        of = self.namespace
        paths = (kind_path("Bucket", of), kind_path("AccessKey", of), core_path("secrets", of))
        self._tasks = [asyncio.create_task(self._blow(each)) for each in paths]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ends = True
        await asyncio.gather(*self._tasks)

    async def lost(self) -> list[str]:
        """Edits that somebody undid, of objects that are still there."""
        found: list[str] = []
        for path, edit in self.edits.items():
            metadata = (await self.server.get(path) or {}).get("metadata", {})
            serials = {metadata.get(part, {}).get(_KEY) for part in ("labels", "annotations")}
            if metadata.get("uid") == edit.uid and serials != {edit.serial}:
                found.append(f"{path}: {edit.serial} was written, and there is {serials}")
        return found

    async def junk(self) -> list[str]:
        """Secrets that hold what was put into them."""
        secrets = await self.server.list(core_path("secrets", self.namespace))
        return [each["metadata"]["name"] for each in secrets if _JUNK in (each.get("data") or {})]

    async def _blow(self, path: str) -> None:
        while not self._ends:
            objects = await self.server.list(path)
            for each in self.dice.sample(objects, min(len(objects), 20)):
                if not self._ends:
                    await self._edit(path.rpartition("/")[2], f"{path}/{each['metadata']['name']}")
            await asyncio.sleep(0.01)

    async def _edit(self, plural: str, path: str) -> None:
        self.count[plural] += 1
        serial = f"{self.count[plural]}"
        body: dict[str, Any] = {"metadata": {part: {_KEY: serial} for part in ("labels", "annotations")}}
        if plural == "secrets" and self.dice.random() < 0.1:
            body["data"] = {_JUNK: base64.b64encode(serial.encode()).decode()}
        if plural == "buckets":
            body["spec"] = {"maxObjectSize": (1 << 30) + self.count[plural]}
        if (written := await self.server.patch(path, body)) is not None:
            self.edits[path] = Edit(written["metadata"]["uid"], serial)
