"""A tenant: what he does in his namespace, and what he sees there.

He acts through kubectl. Looks that a test repeats until something holds go straight to the API server: a process for
each would take most of the time.
"""

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from cooper_crds.kubernetes import RECORD_OWNER, RECORD_SELECTOR
from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_objects import core_path, resource_path
from cooper_operator.cluster.port import Kind, NotFound, Ref
from cooper_operator.plan.reasons import REASONS
from e2e.system.system import System, manifest

_PAUSE: Final = 0.05
_LONG: Final = 20.0


class Tenant:
    """One namespace."""

    def __init__(self, system: System, api: KubernetesApi, namespace: str) -> None:
        self.system = system
        self.namespace = namespace
        self._api = api

    # What he does

    def bucket(self, name: str, **spec: Any) -> dict[str, Any]:
        """The manifest of a Bucket, whose S3 name nobody else has unless the spec says so."""
        return manifest("Bucket", self.namespace, name, {"bucketName": self.s3_name(name), **spec})

    def access_key(self, name: str, *buckets: str, **spec: Any) -> dict[str, Any]:
        """The manifest of an AccessKey that may do the usual on these Buckets."""
        grants = [{"bucket": each} for each in buckets]
        return manifest("AccessKey", self.namespace, name, {"grants": grants, **spec})

    def s3_name(self, name: str) -> str:
        """The S3 name of his Bucket `name`."""
        return f"{self.namespace}-{name}"

    async def apply(self, *manifests: dict[str, Any]) -> None:
        """`kubectl apply`."""
        await self.system.apply(*manifests)

    async def kubectl(self, *arguments: str, manifest: Any = None) -> str:
        """kubectl in his namespace."""
        return await self.system.kubectl("-n", self.namespace, *arguments, manifest=manifest)

    async def patch(self, kind: str, name: str, patch: dict[str, Any]) -> None:
        """`kubectl patch --type=merge`."""
        await self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(patch))

    async def change(self, kind: str, name: str, **spec: Any) -> None:
        """Change fields of a spec."""
        await self.patch(kind, name, {"spec": spec})

    async def delete(self, kind: str, name: str, *options: str) -> None:
        """`kubectl delete`, not waiting until it is gone."""
        await self.kubectl("delete", kind, name, "--wait=false", *options)

    async def make_secret(self, name: str, **data: str) -> None:
        """A Secret that has nothing to do with Cooper."""
        await self.kubectl("create", "secret", "generic", name, *(f"--from-literal={k}={v}" for k, v in data.items()))

    # What he sees

    async def get(self, kind: Kind, name: str) -> dict[str, Any] | None:
        """A resource; None when there is none."""
        ref = Ref(kind, "" if kind == "Region" else self.namespace, name)
        return await self._read(resource_path(ref))

    async def secret(self, name: str) -> dict[str, Any] | None:
        """A Secret as it is; None when there is none."""
        return await self._read(core_path("secrets", self.namespace, name))

    async def credentials(self, name: str) -> dict[str, str]:
        """The values of a Secret that is there."""
        found = await self.secret(name)
        assert found is not None, f"there is no Secret {name}"
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    async def config_map(self, name: str) -> dict[str, str] | None:
        """The data of a ConfigMap; None when there is none."""
        found = await self._read(core_path("configmaps", self.namespace, name))
        return None if found is None else found["data"]

    async def condition(self, kind: Kind, name: str, type_: str = "Ready") -> dict[str, Any]:
        """A condition, when it is of the resource's generation; else nothing."""
        found = await self.get(kind, name) or {}
        for each in found.get("status", {}).get("conditions", ()):
            if each["type"] == type_ and each["observedGeneration"] == found["metadata"]["generation"]:
                return each
        return {}

    async def events(self, kind: Kind, name: str) -> dict[str, str]:
        """Message by reason of what was told of a resource of that name, the latest for each reason."""
        of = Collection(core_path("events", self.namespace), "events", {"fieldSelector": f"involvedObject.name={name}"})
        found = [each for each in (await self._api.list(of)).items if each["involvedObject"]["kind"] == kind]
        found.sort(key=lambda each: each["lastTimestamp"])
        return {each["reason"]: each["message"] for each in found}

    async def records(self) -> set[str]:
        """Names of the records in the gateways' namespace that were written for his resources."""
        of = Collection(core_path("secrets", self.system.namespace), "records", {"fieldSelector": RECORD_SELECTOR})
        found = [each["metadata"] for each in (await self._api.list(of)).items]
        return {
            each["name"] for each in found if f"/{self.namespace}/" in each.get("annotations", {}).get(RECORD_OWNER, "")
        }

    # Waiting

    async def until(self, what: str, check: Callable[[], Awaitable[Any]], seconds: float = _LONG) -> Any:
        """The first truthy result of a check."""
        deadline = time.monotonic() + seconds
        while not (found := await check()):
            assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s"
            await asyncio.sleep(_PAUSE)
        return found

    async def until_said(
        self, kind: Kind, name: str, *expected: str, type_: str = "Ready", seconds: float = _LONG
    ) -> None:
        """Wait until a condition has these: status, reason, message without the advice that belongs to the reason."""
        last: tuple[str, ...] = ()

        async def holds() -> bool:
            nonlocal last
            found = await self.condition(kind, name, type_)
            last = (found["status"], found["reason"], _without_advice(found)) if found else ()
            return bool(last) and last[: len(expected)] == expected

        try:
            await self.until("it", holds, seconds)
        except AssertionError:
            raise AssertionError(f"{type_} of {kind} {name} is to be {expected} and is {last}") from None

    async def until_told(self, kind: Kind, name: str, reason: str) -> str:
        """The message of an event, once there is one: it comes after what it tells of."""

        async def message() -> str | None:
            return (await self.events(kind, name)).get(reason)

        return await self.until(f"an event {reason} about {kind} {name}", message)

    async def until_ready(self, *what: tuple[Kind, str], seconds: float = _LONG) -> None:
        """Wait until all are Ready."""
        for kind, name in what:
            await self.until_said(kind, name, "True", seconds=seconds)

    async def until_gone(self, kind: Kind, name: str, seconds: float = _LONG) -> None:
        """Wait until a resource is gone."""

        async def gone() -> bool:
            return await self.get(kind, name) is None

        await self.until(f"the end of {kind} {name}", gone, seconds)

    async def until_no_secret(self, name: str, seconds: float = _LONG) -> None:
        """Wait until a Secret is gone."""

        async def gone() -> bool:
            return await self.secret(name) is None

        await self.until(f"the end of Secret {name}", gone, seconds)

    async def _read(self, path: str) -> dict[str, Any] | None:
        try:
            return await self._api.get(path, path)
        except NotFound:
            return None


async def seconds_until(expected: Any, found: Callable[[], Awaitable[Any]]) -> float:
    """Seconds until something is as expected; ten at most."""
    began = time.monotonic()
    while (last := await found()) != expected:
        await asyncio.sleep(0.01)
        assert time.monotonic() - began < 10, f"{last} instead of {expected}"
    return time.monotonic() - began


def told(reason: str, text: str) -> str:
    """The whole message of an event or condition whose reason brings advice."""
    return f"{text}. {REASONS[reason].advice}"


def _without_advice(condition: dict[str, Any]) -> str:
    reason = REASONS[condition["reason"]]
    message: str = condition["message"]
    if reason.severity == "Warning":
        assert message.endswith(reason.advice), f"{reason.name} says not what to do: {message}"
    return message.removesuffix(f". {reason.advice}")
