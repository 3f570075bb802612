"""The connection to an API server. The one user of the Kubernetes client.

The client brings kubeconfig and service account, and TLS. Its generated models are left aside, since they take most of
the time of a request, and what it does before it hands a request to aiohttp, since that takes a quarter.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlencode
from urllib.request import getproxies

import aiohttp
import msgspec
from kubernetes.aio import client, config

from cooper_crds.kubernetes import FIELD_MANAGER
from cooper_operator.cluster.port import Unavailable

# The client is typed in parts only.
_client: Final[Any] = client
_config: Final[Any] = config

Verb = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
#: Fills a configuration of the client in. Raises Unavailable.
Loader = Callable[[Any], Awaitable[None]]

JSON: Final = "application/json"

CONNECT_TIMEOUT: Final = 5.0  # seconds
#: Bytes of an event that are read at a time.
_READ_BUFFER: Final = 2 << 20
#: A session that is replaced is closed after this many seconds: what was begun on it is over by then, or begun anew.
_GRACE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request for JSON."""

    verb: Verb
    path: str
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    query: Mapping[str, str] | None = None
    content_type: str = JSON
    accept: str = JSON


def from_kubeconfig(path: Path, context: str | None = None) -> Loader:
    """Reach the API server that a kubeconfig names."""

    async def load(configuration: Any) -> None:
        try:
            await _config.load_kube_config(str(path), context, configuration, persist_config=False)
        except Exception as error:  # the client raises whatever it stumbles over in a file that is none
            said = str(error) if isinstance(error, _config.ConfigException) else "it is no kubeconfig"
            raise Unavailable(f"the kubeconfig {path} cannot be used: {said}") from None

    return load


def from_service_account() -> Loader:
    """Reach the API server of the cluster whose pod this is. The token is read anew before it expires."""

    async def load(configuration: Any) -> None:
        try:
            _config.load_incluster_config(configuration)
        except (_config.ConfigException, OSError) as error:
            raise Unavailable(f"the pod's service account cannot be used: {error}") from None

    return load


def default_loader(environ: Mapping[str, str] = os.environ) -> Loader:
    """What `kubectl` would use: $KUBECONFIG, else the pod's service account, else ~/.kube/config."""
    if environ.get("KUBECONFIG"):
        return from_kubeconfig(Path(environ["KUBECONFIG"]))
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return from_service_account()
    return from_kubeconfig(Path.home() / ".kube" / "config")


def loader_of(kubeconfig: Path | None) -> Loader:
    """By that file; without one as `default_loader` finds out."""
    return default_loader() if kubeconfig is None else from_kubeconfig(kubeconfig)


@dataclass(frozen=True, slots=True)
class Access:
    """How another client reaches the same API server: its address, paths of certificates, a bearer token."""

    server: str
    ca_path: str | None
    insecure: bool
    certificate_path: str | None
    private_key_path: str | None
    token: str | None = field(repr=False)


async def access(load: Loader) -> Access:
    """Read address and credentials now. Raises Unavailable."""
    settings = _client.Configuration()
    await load(settings)
    scheme, _, token = (await _authorization(settings)).get("authorization", "").partition(" ")
    if scheme.lower() not in ("", "bearer"):  # the client writes it so in a pod, and otherwise so
        raise Unavailable(f"the API server is to be reached with {scheme} authentication, and only tokens can be used")
    return Access(
        server=settings.host,
        ca_path=settings.ssl_ca_cert,
        insecure=not settings.verify_ssl,
        certificate_path=settings.cert_file,
        private_key_path=settings.key_file,
        token=token or None,
    )


@dataclass(frozen=True, slots=True)
class _Session:
    """Connections to one API server, and how requests get there."""

    settings: Any
    http: aiohttp.ClientSession
    way: Mapping[str, Any]


class Connection:
    """One session with keep-alive, begun at the first request."""

    def __init__(self, load: Loader) -> None:
        self._load = load
        self._connecting = asyncio.Lock()
        self._session: _Session | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, request: Request, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send a request. Raises Unavailable, and what aiohttp raises."""
        session = await self._connected()
        headers = {"Accept": request.accept, "Content-Type": request.content_type, "User-Agent": FIELD_MANAGER}
        headers |= await _authorization(session.settings)
        url = f"{session.settings.host}{request.path}"
        if request.query:
            url = f"{url}?{urlencode(request.query)}"
        body = None if request.body is None else msgspec.json.encode(request.body)
        way = session.way
        return await session.http.request(request.verb, url, headers=headers, data=body, timeout=timeout, **way)

    def renew(self) -> None:
        """Read address and credentials anew before the next request: they may have been replaced."""
        if self._session is not None:
            task = asyncio.create_task(_close_after(_GRACE, self._session.http))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._session = None

    async def close(self) -> None:
        """End the session. The next request would begin another."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.http.close()

    async def _connected(self) -> _Session:
        async with self._connecting:
            if self._session is None:
                settings = _client.Configuration()
                await self._load(settings)
                try:
                    self._session = _session(settings)
                except (OSError, ValueError) as error:
                    raise Unavailable(f"a certificate for the API server cannot be used: {error}") from None
            return self._session


def _session(settings: Any) -> _Session:
    tls = _client.rest.RESTClientObject(settings).ssl_context
    way = {
        "proxy": settings.proxy,
        "proxy_headers": settings.proxy_headers,
        "server_hostname": settings.tls_server_name,
    }
    http = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls),  # no limit: callers have slots
        # Without a proxy nothing of the environment matters, and a .netrc would be read at each request.
        trust_env=bool(getproxies()),
        read_bufsize=_READ_BUFFER,
    )
    return _Session(settings, http, {name: value for name, value in way.items() if value})


async def _authorization(settings: Any) -> dict[str, str]:
    """The header that authorizes a request; a service account's token is read anew now and then."""
    try:
        return {each["key"]: each["value"] for each in (await settings.auth_settings()).values()}
    except (_config.ConfigException, OSError) as error:
        raise Unavailable(f"the token for the API server cannot be read: {error}") from None


async def _close_after(seconds: float, http: aiohttp.ClientSession) -> None:
    try:
        await asyncio.sleep(seconds)
    finally:
        await http.close()
