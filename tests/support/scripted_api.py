"""A Kubernetes API server that answers by a script, over real HTTP: for what a real one cannot be made to say.

Answers have the form of those of Kubernetes 1.34.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiohttp import web

from cooper_crds.kubernetes import RECORD_TYPE, secret_name
from cooper_crds.records import Record, encode
from cooper_gateway.records.table import record_name

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def secret(record: Record, version: int, **changes: object) -> dict[str, Any]:
    """A record's Secret as the API shows it."""
    name = secret_name(record_name(record))
    return {
        "metadata": {"name": name, "namespace": "cooper", "uid": f"uid-{name}", "resourceVersion": str(version)},
        "data": {"record.json": base64.b64encode(encode(record)).decode()},
        "type": RECORD_TYPE,
        **changes,
    }


def page(version: int, *items: dict[str, Any], token: str = "") -> web.Response:
    """A page of a list."""
    meta = {"resourceVersion": str(version)} | ({"continue": token} if token else {})
    return web.json_response({"kind": "SecretList", "apiVersion": "v1", "metadata": meta, "items": list(items)})


def event(kind: str, item: dict[str, Any]) -> bytes:
    """A line of a watch."""
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    """The line that tells only how far a watch has come."""
    meta = {"resourceVersion": str(version)}
    return event("BOOKMARK", {"kind": "Secret", "apiVersion": "v1", "metadata": meta})


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    """How the API says no."""
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {**body, "message": message, "reason": reason, "code": code}


EXPIRED = status(410, "Expired", "too old resource version: 1 (2839)")
FORBIDDEN = status(403, "Forbidden", 'secrets is forbidden: User "u" cannot list resource "secrets" in API group ""')


class ScriptedApi:
    """Its answers are attributes that a test sets. `asked` names the requests, in order."""

    def __init__(self, folder: Path) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.version = 100
        self.last_write: str | None = None
        self.clock_ahead = 0.0
        self.asked: list[str] = []
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: the watch ends
        self.on_list: Handler = self._list
        self.on_watch: Handler = self._watch
        self.on_revision: Handler = self._revision
        self.namespace_status = 200
        self.kubeconfig = folder / "kubeconfig"

    def put(self, record: Record, version: int | None = None) -> bytes:
        """Write a record; the event of that."""
        self.version = version or self.version + 1
        item = secret(record, self.version)
        kind = "MODIFIED" if item["metadata"]["name"] in self.records else "ADDED"
        self.records[item["metadata"]["name"]] = item
        return event(kind, item)

    def delete(self, record: Record) -> bytes:
        """Remove a record; the event of that."""
        self.version += 1
        item = self.records.pop(secret_name(record_name(record)))
        return event("DELETED", {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}})

    def count(self, what: str) -> int:
        """How often that was asked."""
        return sum(asked.startswith(what) for asked in self.asked)

    @asynccontextmanager
    async def serving(self, app: web.Application | None = None) -> AsyncIterator["ScriptedApi"]:
        """Listen on a free port, and write a kubeconfig that leads there. `app` answers otherwise."""
        app = app or self._of_records()
        app.on_response_prepare.append(self._date)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self._write_kubeconfig(f"http://127.0.0.1:{port}")
        try:
            yield self
        finally:
            await runner.cleanup()

    def _of_records(self) -> web.Application:
        app, base = web.Application(), "/api/v1/namespaces/cooper"
        app.router.add_get(f"{base}/secrets", self._secrets)
        app.router.add_get(f"{base}/configmaps/records-revision", self._config_map)
        app.router.add_get(base, self._namespace)
        return app

    async def _secrets(self, request: web.Request) -> web.StreamResponse:
        assert request.query["fieldSelector"] == f"type={RECORD_TYPE}"
        if "watch" in request.query:
            self.asked.append(f"watch {request.query['resourceVersion']}")
            return await self.on_watch(request)
        self.asked.append(f"list {request.query.get('continue', '')}")
        return await self.on_list(request)

    async def _config_map(self, request: web.Request) -> web.StreamResponse:
        self.asked.append("revision")
        return await self.on_revision(request)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        return page(self.version, *self.records.values())

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while (line := await self.events.get()) is not None:
            await response.write(line)
        return response

    async def _revision(self, request: web.Request) -> web.StreamResponse:
        if self.last_write is None:
            return web.json_response(status(404, "NotFound", 'configmaps "records-revision" not found'), status=404)
        return web.json_response({"kind": "ConfigMap", "data": {"lastWrite": self.last_write}})

    async def _namespace(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=self.namespace_status)

    async def _date(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = formatdate(time.time() + self.clock_ahead, usegmt=True)

    def _write_kubeconfig(self, server: str) -> None:
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }
        self.kubeconfig.write_text(json.dumps(content))
