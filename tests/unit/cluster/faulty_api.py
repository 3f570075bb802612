"""An API server that answers by a script, over real HTTP: for what a real one cannot be made to say at will."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, from_kubeconfig

SECRETS = "/api/v1/namespaces/cooper/secrets"


#: The watch goes on, and there is nothing to show.
OPEN = b""


def status(code: int, reason: str, message: str = "so it is") -> dict[str, Any]:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {**body, "message": message, "reason": reason, "code": code}


class Script:
    """Answers in order, the last one for ever. A list of events is a watch that the server ends after them.

    It stays open instead where the last event is `OPEN`.
    """

    def __init__(self, folder: Path) -> None:
        self.answers: deque[tuple[int, Any] | list[bytes]] = deque()
        self.asked: list[str] = []  # verb, path without its beginning, and what matters of the query
        self.tokens: list[str] = []
        self.accepted: list[str] = []
        self.bodies: list[Any] = []
        self.headers: dict[str, str] = {}
        self.hold: asyncio.Event | None = None  # answers wait for it
        self.kubeconfig = folder / "kubeconfig"
        self.server = ""

    def write_kubeconfig(self, token: str) -> None:
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "current-context": "c",
                    "clusters": [{"name": "c", "cluster": {"server": self.server}}],
                    "users": [{"name": "u", "user": {"token": token}}],
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[KubernetesApi]:
        """Listen on a free port; an API on it."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.server = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self.write_kubeconfig("first")
        api = KubernetesApi(Connection(from_kubeconfig(self.kubeconfig)))
        try:
            yield api
        finally:
            await api.close()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        said = _query(request.query)
        self.asked.append(" ".join(filter(None, (request.method, request.path.rpartition("/")[2], said))))
        self.accepted.append(request.headers.get("accept", ""))
        self.tokens.append(request.headers.get("authorization", ""))
        self.bodies.append(await request.json() if request.can_read_body else None)
        if self.hold is not None:
            await self.hold.wait()
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, list):
            return await self._watch(request, answer)
        code, body = answer
        if isinstance(body, bytes):
            return web.Response(body=body, status=code, headers=self.headers)
        return web.json_response(body, status=code, headers=self.headers)

    async def _watch(self, request: web.Request, events: list[bytes]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for each in events:
            if each is OPEN:
                await asyncio.Event().wait()
            await response.write(each)
        return response


def _query(query: Mapping[str, str]) -> str:
    if "watch" in query:
        return f"watch {query['resourceVersion']}"
    return f"from {query['continue']}" if "continue" in query else ""
