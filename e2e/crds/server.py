"""What an API server says to a manifest, over one connection. Nothing is stored unless a test asks for it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kubernetes import client

from cooper_crds.kubernetes import GROUP, VERSION
from cooper_crds.manifest import KINDS

#: Told beside other mistakes: what is broken so far keeps rules from being looked at.
_REMARK: Final = "some validation rules were not checked"
_UNKNOWN: Final = re.compile(r'unknown field "([^"]+)"')


@dataclass(frozen=True, slots=True)
class Verdict:
    """The object as the server has it, or its code, words and (path, reason) of each mistake."""

    obj: dict[str, Any]
    code: int
    message: str = ""
    mistakes: tuple[tuple[str, str], ...] = ()

    @property
    def accepted(self) -> bool:
        return self.code < 300

    def says(self, path: str, reason: str) -> bool:
        """Whether it was refused for a field (the whole, where the path is empty), with these words in the reason."""
        if not path:
            return not self.accepted and reason in self.message
        return any(at == path and reason in why for at, why in self.mistakes)


class Server:
    """Creates, updates and status writes, in dry runs unless `keep`; fields that are not known are refused."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._api = api
        self.namespace = namespace

    def create(self, kind: str, manifest: Any, *, keep: bool = False) -> Verdict:
        return self._send("POST", self.path(kind), manifest, keep)

    def update(self, obj: Mapping[str, Any], *, keep: bool = False) -> Verdict:
        return self._send("PUT", self.path(obj["kind"], obj["metadata"]["name"]), obj, keep)

    def update_status(self, obj: Mapping[str, Any], *, keep: bool = False) -> Verdict:
        return self._send("PUT", f"{self.path(obj['kind'], obj['metadata']['name'])}/status", obj, keep)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found = self._send("GET", self.path(kind, name), None, keep=True)
        assert found.accepted, found
        return found.obj

    def delete(self, kind: str, name: str) -> None:
        gone = self._send("DELETE", self.path(kind, name), None, keep=True)
        assert gone.accepted or gone.code == 404, gone

    def path(self, kind: str, name: str = "") -> str:
        within = "" if kind == "Region" else f"/namespaces/{self.namespace}"
        return f"/apis/{GROUP}/{VERSION}{within}/{KINDS[kind].plural}" + (f"/{name}" if name else "")

    def _send(self, verb: str, path: str, body: Any, keep: bool) -> Verdict:
        query = [] if verb in ("GET", "DELETE") else [("fieldValidation", "Strict"), ("fieldManager", "cooper-e2e")]
        query += [] if keep else [("dryRun", "All")]
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        method, url, sent, _, _ = self._api.param_serialize(
            verb, path, query_params=query, header_params=headers, auth_settings=["BearerToken"]
        )
        response = self._api.rest_client.request(method, url, headers=sent, body=body)
        return _verdict(response.status, json.loads(response.read()))


def _verdict(code: int, answer: dict[str, Any]) -> Verdict:
    if code < 300:
        return Verdict(answer, code)
    causes = (answer.get("details") or {}).get("causes") or ()
    mistakes = [(each.get("field", ""), each["message"]) for each in causes if _REMARK not in each["message"]]
    mistakes += [(path, "unknown field") for path in _UNKNOWN.findall(answer["message"])]
    return Verdict({}, code, answer["message"], tuple(mistakes))
