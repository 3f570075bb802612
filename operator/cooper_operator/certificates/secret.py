"""The Secrets of a gateway's certificate: kept as they are to be where the operator makes them, and read in any case.

`NAME` has what the gateway mounts: tls.crt, tls.key, and ca.crt for whom to trust. `NAME-ca` has the authority with its
key, which the gateway does not mount. A label says that they are the operator's; without it a Secret is left alone.
"""

import base64
import logging
from collections.abc import Sequence
from typing import Any, Final

from cooper_crds.kubernetes import GENERATED_LABEL, TLS_AUTHORITIES, TLS_CERTIFICATE, TLS_KEY, TLS_TYPE
from cooper_crds.pem import blocks_of, certificate_bundle
from cooper_operator.certificates.renewal import why_new_authority, why_new_certificate
from cooper_operator.certificates.x509 import Pair, found_in, new_authority, new_certificate, still_good, usual
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_objects import core_path
from cooper_operator.cluster.port import NotFound

log = logging.getLogger(__name__)

_CERTIFICATE: Final = "certificate"
_AUTHORITY: Final = "authority"

_Secret = dict[str, Any]


class ServingSecret:
    """`name`: the Secret that the gateway mounts. `hosts`: what the operator makes its certificate for; where there are
    none, somebody else brings it."""

    def __init__(self, name: str, hosts: Sequence[str] = ()) -> None:
        self._name = name
        self._hosts = tuple(dict.fromkeys(map(usual, hosts)))
        self._told = ""

    async def authorities(self, api: KubernetesApi, namespace: str, now: float) -> str:
        """Whom to trust for the certificate (PEM), once that is as it is to be; empty where nobody says so.

        `now`: Unix seconds. Raises ClusterError.
        """
        secrets = _Secrets(api, namespace)
        problem = await self._keep(secrets, now) if self._hosts else ""
        trusted, doubt = _trusted_in(await secrets.read(self._name))
        problem = problem or (doubt and f"{secrets.about(self._name)}: {TLS_AUTHORITIES} {doubt}, so it is not used")
        if problem not in ("", self._told):
            log.warning("%s", problem)
        self._told = problem
        return trusted

    async def _keep(self, secrets: "_Secrets", now: float) -> str:
        """Bring both Secrets to what they are to be; returns what stands against that."""
        name = f"{self._name}-ca"
        of_authority, found = await secrets.read(name), await secrets.read(self._name)
        for each, kind, of in ((name, _AUTHORITY, of_authority), (self._name, _CERTIFICATE, found)):
            if of is not None and _labels(of).get(GENERATED_LABEL) != kind:
                return f"{secrets.about(each)} is there and was not made by Cooper: it is left alone"
        pair, trusted = await self._authority(secrets, name, of_authority, now)
        await self._sign(secrets, found, pair, trusted, now)
        return ""

    async def _authority(
        self, secrets: "_Secrets", name: str, found: _Secret | None, now: float
    ) -> tuple[Pair, list[str]]:
        """The authority that signs, and those that are trusted: itself, and others that are."""
        pair, trusted = _pair(found), _blocks(found)
        if why := why_new_authority(found_in(pair), now):
            pair = new_authority(now)
            said = f"a new authority: {why}"
        elif set(blocks_of(pair.certificate)) <= set(trusted):
            return pair, trusted
        else:
            said = f"its own authority in {TLS_AUTHORITIES} again"
        trusted = [*blocks_of(pair.certificate), *(each for each in trusted if still_good(each, now))]
        await secrets.write(name, _AUTHORITY, found, _data(pair, trusted))
        log.info("%s has %s", secrets.about(name), said)
        return pair, trusted

    async def _sign(
        self, secrets: "_Secrets", found: _Secret | None, authority: Pair, trusted: Sequence[str], now: float
    ) -> None:
        pair = _pair(found)
        if why := why_new_certificate(found_in(pair, trusted), self._hosts, now):
            pair = new_certificate(authority, self._hosts, now)
        elif _blocks(found) == list(trusted):
            return
        await secrets.write(self._name, _CERTIFICATE, found, _data(pair, trusted))
        log.info("%s has a new certificate: %s", secrets.about(self._name), why or "others are trusted by now")


class _Secrets:
    """Those of one namespace. All raise ClusterError."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    def about(self, name: str) -> str:
        """What messages call one."""
        return f"Secret {self._namespace}/{name}"

    async def read(self, name: str) -> _Secret | None:
        """As it is now; None: it is not there."""
        try:
            return await self._api.get(core_path("secrets", self._namespace, name), self.about(name))
        except NotFound:
            return None

    async def write(self, name: str, kind: str, found: _Secret | None, data: dict[str, str]) -> None:
        """Make it, or change the one that was read. Raises AlreadyExists, Conflict when it is another one by now."""
        if found is not None:
            change = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "data": data}
            await self._api.patch(core_path("secrets", self._namespace, name), self.about(name), change)
            return
        metadata = {"name": name, "namespace": self._namespace, "labels": {GENERATED_LABEL: kind}}
        secret = {"apiVersion": "v1", "kind": "Secret", "type": TLS_TYPE, "metadata": metadata, "data": data}
        await self._api.create(core_path("secrets", self._namespace), self.about(name), secret)


def _labels(secret: _Secret) -> dict[str, str]:
    return secret["metadata"].get("labels") or {}


def _text(secret: _Secret | None, key: str) -> str:
    """A value; what is no text is read as none."""
    data: dict[str, str] = (secret or {}).get("data") or {}
    return base64.b64decode(data.get(key, "")).decode("ascii", "replace")


def _pair(secret: _Secret | None) -> Pair:
    return Pair(_text(secret, TLS_CERTIFICATE), _text(secret, TLS_KEY))


def _blocks(secret: _Secret | None) -> list[str]:
    return blocks_of(_text(secret, TLS_AUTHORITIES))


def _data(pair: Pair, trusted: Sequence[str]) -> dict[str, str]:
    values = {TLS_CERTIFICATE: pair.certificate, TLS_KEY: pair.key, TLS_AUTHORITIES: "".join(trusted)}
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def _trusted_in(secret: _Secret | None) -> tuple[str, str]:
    """The authorities in a Secret as a Region can have them, and what is wrong with them if they are of no use."""
    blocks = _blocks(secret)
    try:
        return (certificate_bundle("".join(blocks)) if blocks else ""), ""
    except ValueError as error:
        return "", str(error)
