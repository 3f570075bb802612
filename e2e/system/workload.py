"""What a busy tenant does: applies and deletions by lot. It knows what is to be there in the end."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cooper_operator.cluster.port import Kind, Ref
from e2e.system.server import Server
from e2e.system.system import manifest

_BASE = ("base-1", "base-2", "base-3")
_READ = ["s3:GetObject", "s3:ListBucket"]


@dataclass(frozen=True)
class Wanted:
    """An AccessKey that is to work: where its Secret is, and on which buckets (by their S3 names)."""

    secret: str
    buckets: list[str]


class Workload:
    """One tenant. Grants are on the base Buckets only, which are never deleted."""

    def __init__(self, server: Server, namespace: str, dice: random.Random) -> None:
        self.namespace = namespace
        self.buckets: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.done: Counter[str] = Counter()
        self._server = server
        self._dice = dice
        self._gone: set[tuple[Kind, str]] = set()
        self._serial = 0
        self._acts: dict[Callable[[], Awaitable[bool]], int] = {
            self.create_key: 6,
            self._create_bucket: 4,
            self._create_again: 3,
            self._edit_grants: 3,
            self._move_secret: 2,
            self._revoke: 3,
            self._activate: 2,
            self._switch_credentials: 2,
            self._delete_key: 5,
            self._delete_bucket: 3,
        }

    async def prepare(self) -> None:
        """The base Buckets, and some keys."""
        for name in _BASE:
            await self._make_bucket(name)
            await self.create_key()

    async def act(self) -> None:
        """Apply or delete something."""
        acts, weights = [*self._acts], [*self._acts.values()]
        for _ in range(100):
            act = self._dice.choices(acts, weights)[0]
            if await act():
                self.done[act.__name__.strip("_")] += 1
                return
        raise AssertionError("there was nothing to do")

    def wanted(self) -> dict[str, Wanted]:
        """The AccessKeys that are to work, by name: the Buckets' own, and others."""
        own = {
            name: Wanted(spec["credentials"].get("secretName", name), [spec["bucketName"]])
            for name, spec in self.buckets.items()
            if spec["credentials"]["enabled"]
        }
        others = {
            name: Wanted(spec.get("secretName", name), [self._s3_name(each["bucket"]) for each in spec["grants"]])
            for name, spec in self.keys.items()
            if spec["state"] == "Active"
        }
        return own | others

    def revoked(self) -> set[str]:
        """AccessKeys that are to be there and not to work."""
        return {name for name, spec in self.keys.items() if spec["state"] == "Revoked"}

    @property
    def closed(self) -> str:
        """S3 name of a bucket that no key with a single grant on another may use."""
        return self._s3_name(_BASE[0])

    # Acts: whether there was something to act on

    async def create_key(self) -> bool:
        spec = {"grants": self._grants(), "state": "Active"}
        return await self._make("AccessKey", self._fresh("key"), spec)

    async def _create_bucket(self) -> bool:
        return await self._make_bucket(self._fresh("bucket"))

    async def _create_again(self) -> bool:
        """Under a name that was in use, whose former holder may still be going."""
        if not self._gone:
            return False
        kind, name = self._dice.choice(sorted(self._gone))
        if kind == "Bucket":
            return await self._make_bucket(name)
        return await self._make("AccessKey", name, {"grants": self._grants(), "state": "Active"})

    async def _edit_grants(self) -> bool:
        return await self._edit_key("Active", {"grants": self._grants()})

    async def _move_secret(self) -> bool:
        return await self._edit_key("Active", {"secretName": self._fresh("secret")})

    async def _revoke(self) -> bool:
        return await self._edit_key("Active", {"state": "Revoked"})

    async def _activate(self) -> bool:
        return await self._edit_key("Revoked", {"state": "Active"})

    async def _switch_credentials(self) -> bool:
        name = self._pick(each for each in self.buckets if each not in _BASE)
        if name is None:
            return False
        self.buckets[name]["credentials"]["enabled"] ^= True
        await self._server.edit(self._ref("Bucket", name), {"credentials": self.buckets[name]["credentials"]})
        return True

    async def _delete_key(self) -> bool:
        return await self._delete("AccessKey", self.keys, self._pick(self.keys))

    async def _delete_bucket(self) -> bool:
        return await self._delete("Bucket", self.buckets, self._pick(set(self.buckets) - set(_BASE)))

    # Parts of them. What is wanted is noted before it is asked for: nobody may act on it before it is known.

    async def _make_bucket(self, name: str) -> bool:
        credentials: dict[str, Any] = {"enabled": True}
        if self._dice.random() < 0.3:
            credentials["secretName"] = f"{name}-credentials"
        return await self._make("Bucket", name, {"bucketName": self._s3_name(name), "credentials": credentials})

    async def _make(self, kind: Kind, name: str, spec: dict[str, Any]) -> bool:
        known = self.buckets if kind == "Bucket" else self.keys
        known[name] = spec
        if await self._server.create(manifest(kind, self.namespace, name, spec)):
            self._gone.discard((kind, name))
            return True
        del known[name]
        return False

    async def _edit_key(self, state: str, change: dict[str, Any]) -> bool:
        name = self._pick(name for name, spec in self.keys.items() if spec["state"] == state)
        if name is None:
            return False
        self.keys[name] |= change
        await self._server.edit(self._ref("AccessKey", name), change)
        return True

    async def _delete(self, kind: Kind, known: dict[str, Any], name: str | None) -> bool:
        if name is None:
            return False
        del known[name]
        self._gone.add((kind, name))
        await self._server.delete(self._ref(kind, name))
        return True

    def _pick(self, names: Any) -> str | None:
        return self._dice.choice(found) if (found := sorted(names)) else None

    def _grants(self) -> list[dict[str, Any]]:
        buckets = self._dice.sample(_BASE, self._dice.choice((1, 1, 2)))
        return [{"bucket": each, **({"actions": _READ} if self._dice.random() < 0.3 else {})} for each in buckets]

    def _fresh(self, what: str) -> str:
        self._serial += 1
        return f"{what}-{self._serial}"

    def _s3_name(self, bucket: str) -> str:
        return f"{self.namespace}-{bucket}"

    def _ref(self, kind: Kind, name: str) -> Ref:
        return Ref(kind, self.namespace, name)
