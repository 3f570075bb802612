"""`cooper up` in this process, its gateway and operator played: how all of it ends."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cooper_cli import up
from cooper_cli.places import Places
from cooper_gateway.config import GatewayConfig
from cooper_gateway.crypto.keyring import Keyring


class Folder:
    """As much of a folder of resources, empty, as is asked of it."""

    def __init__(self) -> None:
        self.closed = False
        self.remarks: dict[Any, Any] = {}
        self.problems: list[Any] = []

    def open(self) -> None:
        pass

    async def close(self) -> None:
        self.closed = True

    async def list_kind(self, kind: str) -> list[Any]:
        return []

    def events(self) -> list[Any]:
        return []


class Operator:
    """Works until it is stopped, or fails at once."""

    def __init__(self, fault: Exception | None) -> None:
        self._fault = fault

    async def run(self) -> None:
        if self._fault is not None:
            raise self._fault
        await asyncio.Event().wait()

    async def stop(self) -> None:
        pass

    def hurry(self) -> None:
        pass


def played(monkeypatch: pytest.MonkeyPatch, folder: Folder, operator: Operator) -> Any:
    """The supervisor of a gateway that runs, beside this folder and operator."""
    monkeypatch.setattr(up, "Keyring", SimpleNamespace(load=lambda _: Keyring(b"k" * 32)))
    monkeypatch.setattr(up, "FolderCluster", lambda *_: folder)
    monkeypatch.setattr(up, "compose", lambda *_, **__: operator)
    config = GatewayConfig("local", "data", "run", "records", "kek")
    return SimpleNamespace(config=config, port=9000, metrics_port=9100, alive=lambda: True)


async def test_what_fails_is_told_and_all_the_rest_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder, before = Folder(), asyncio.all_tasks()
    supervisor = played(monkeypatch, folder, Operator(RuntimeError("a fault")))
    with pytest.raises(RuntimeError, match="a fault"):
        await up._operate(tmp_path, Places(tmp_path), supervisor, asyncio.Event())
    assert folder.closed
    assert asyncio.all_tasks() == before


async def test_a_stop_ends_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder, before, stop = Folder(), asyncio.all_tasks(), asyncio.Event()
    supervisor = played(monkeypatch, folder, Operator(None))
    stop.set()
    await up._operate(tmp_path, Places(tmp_path), supervisor, stop)
    assert folder.closed
    assert asyncio.all_tasks() == before
