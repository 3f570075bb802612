"""Where key-encryption keys are kept: in a file, or in a Secret of a cluster."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cooper_cli.places import shown
from cooper_crds.kubernetes import KEK_KEY, KEK_TYPE
from cooper_gateway.crypto import key_file
from cooper_gateway.crypto.key_file import KeyFile, KeyringError

if TYPE_CHECKING:
    from cooper_operator.cluster.kubernetes_api import KubernetesApi


class KeyPlace(Protocol):
    """One of them."""

    @property
    def about(self) -> str:
        """What it is, in words."""
        ...

    def read(self) -> KeyFile:
        """The keys. Raises KeyringError."""
        ...

    def change(self, how: Callable[[KeyFile], KeyFile]) -> KeyFile:
        """Put there what `how` makes of them, unless somebody else changed them meanwhile: then it is asked again.
        Raises KeyringError, OSError, SyncFailed, or what `how` raises.
        """
        ...


@dataclass(frozen=True, slots=True)
class InFile:
    """A file."""

    path: Path

    @property
    def about(self) -> str:
        """See KeyPlace."""
        return shown(self.path)

    def read(self) -> KeyFile:
        """See KeyPlace."""
        try:
            return key_file.load(self.path)
        except FileNotFoundError:
            raise self._missing() from None

    def change(self, how: Callable[[KeyFile], KeyFile]) -> KeyFile:
        """See KeyPlace."""
        try:
            return key_file.change(self.path, how)
        except FileNotFoundError:
            raise self._missing() from None

    def _missing(self) -> KeyringError:
        return KeyringError(f"the key file {self.path} is not there: name it with --kek, as it is for the gateway")


def content_of(secret: dict[str, Any], about: str) -> bytes | None:
    """The content of a key file that a Secret holds; None where it holds none yet. Raises KeyringError where it is of
    another type.
    """
    if secret.get("type") != KEK_TYPE:
        raise KeyringError(f"{about} is of type {secret.get('type')}, and is to be of {KEK_TYPE}: name another one")
    data: dict[str, str] = secret.get("data") or {}
    encoded = data.get(KEK_KEY)
    return None if encoded is None else base64.b64decode(encoded)


@dataclass(frozen=True, slots=True)
class InSecret:
    """A Secret."""

    name: str
    namespace: str
    kubeconfig: Path | None

    @property
    def about(self) -> str:
        """See KeyPlace."""
        return f"Secret {self.namespace}/{self.name}"

    def read(self) -> KeyFile:
        """See KeyPlace."""

        async def read(api: "KubernetesApi", path: str) -> KeyFile:
            return self._keys(await api.get(path, self.about))

        return asyncio.run(self._asked(read))

    def change(self, how: Callable[[KeyFile], KeyFile]) -> KeyFile:
        """See KeyPlace."""

        async def change(api: "KubernetesApi", path: str) -> KeyFile:
            from cooper_operator.cluster.port import Conflict

            while True:
                secret = await api.get(path, self.about)
                changed = how(self._keys(secret))
                content = base64.b64encode(key_file.encode(changed)).decode()
                try:
                    await api.replace(path, self.about, {**secret, "data": {**secret["data"], KEK_KEY: content}})
                except Conflict:
                    continue
                return changed

        return asyncio.run(self._asked(change))

    def _keys(self, secret: dict[str, Any]) -> KeyFile:
        content = content_of(secret, self.about)
        if content is None:
            raise KeyringError(f"{self.about} holds no key yet: a gateway that starts makes it")
        return key_file.decode(content, self.about)

    async def _asked(self, work: Callable[["KubernetesApi", str], Awaitable[KeyFile]]) -> KeyFile:
        # Imported here: the Kubernetes client takes a second that no other command is to wait for.
        from cooper_operator.cluster.kubernetes_api import KubernetesApi
        from cooper_operator.cluster.kubernetes_connection import Connection, loader_of
        from cooper_operator.cluster.kubernetes_objects import core_path
        from cooper_operator.cluster.port import ClusterError

        api = KubernetesApi(Connection(loader_of(self.kubeconfig)))
        try:
            return await work(api, core_path("secrets", self.namespace, self.name))
        except ClusterError as error:
            raise KeyringError(str(error)) from error
        finally:
            await api.close()
