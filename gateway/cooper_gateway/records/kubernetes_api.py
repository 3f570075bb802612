"""GET requests to the Kubernetes API: connecting, credentials, what can go wrong, and reading as it arrives.

The only module of the gateway that has the Kubernetes client.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the client has few annotations)

import errno
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from os import environ
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from kubernetes.aio import config as client_config
from kubernetes.aio.client import ApiClient, Configuration

_CONNECT_SECONDS: Final = 5.0
#: More of an answer than this is not quoted.
_LONGEST_MESSAGE: Final = 300


class ApiFailed(Exception):
    """A request did not get what it asked for; the message is a clause that says what and where."""


class Gone(ApiFailed):
    """The version asked for is too old (410): list anew."""


class Forbidden(ApiFailed):
    """The credentials do not have the right (403)."""


class Unusable(ApiFailed):
    """The settings or credentials for the API cannot be used: the reason, and what to do."""


class Status(msgspec.Struct, frozen=True):
    """How the API says no."""

    code: int = 0
    reason: str = ""
    message: str = ""

    def error(self, doing: str) -> ApiFailed:
        """The same as an error; `doing` is a verb and its resource, as in a Role."""
        if self.code == 410:
            return Gone(f"the Kubernetes API cannot {doing} from a version that old")
        message = self.message[:_LONGEST_MESSAGE] or self.reason or f"status {self.code}"
        if self.code == 403:
            return Forbidden(f"the Kubernetes API does not let this gateway {doing} ({message}): grant it that")
        return ApiFailed(f"the Kubernetes API does not {doing}: {message}")


class Answer:
    """A response whose head has arrived."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def found(self) -> bool:
        """Whether what was asked for exists."""
        return self._response.status == 200

    @property
    def date(self) -> float | None:
        """The API server's clock in Unix seconds, cut to the second; None when it does not say."""
        try:
            return parsedate_to_datetime(self._response.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return None

    async def read(self) -> bytes:
        """The whole body."""
        return await self._response.read()

    async def lines(self) -> AsyncGenerator[list[bytes], None]:
        """Whole lines, as many at a time as have arrived."""
        rest = b""
        while data := await self._response.content.readany():
            *lines, rest = (rest + data).split(b"\n")
            if lines:
                yield lines


class Api:
    """A connection to the API, with one process's credentials. For one event loop; `close` it."""

    def __init__(self, kubeconfig: str, scratch: str) -> None:
        """`kubeconfig` as in the gateway's settings; `scratch`: a private folder for certificates, best in memory."""
        self._kubeconfig = kubeconfig
        self._scratch = scratch
        self._client: ApiClient | None = None

    async def connect(self) -> ApiClient:
        """Read settings and credentials if that is not done; nothing is sent. Raises Unusable."""
        if self._client is None:
            where = self._kubeconfig or "from the service account, KUBECONFIG or ~/.kube/config"
            try:
                self._client = ApiClient(await self._settings())
            except (client_config.ConfigException, OSError) as error:
                raise Unusable(f"the Kubernetes settings {where} cannot be used: {_reason(error)}") from None
            except Exception as error:  # the client lets out whatever a malformed file makes happen
                raise Unusable(f"the Kubernetes settings {where} are malformed: {type(error).__name__}") from None
        return self._client

    async def close(self) -> None:
        """Close all connections. The next request reads the settings anew."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def get(
        self, doing: str, path: str, query: Mapping[str, str], seconds: float, silence: float | None = None
    ) -> AsyncGenerator[Answer]:
        """GET `path` below /api/v1. The answer is one of status 200 or 404.

        `doing` names it in errors. It takes at most `seconds`, and no pause of it more than `silence`. Raises
        ApiFailed, also for what goes wrong while the answer is read.
        """
        client = await self.connect()
        host = str(client.configuration.host)
        timeout = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=silence, total=seconds)
        try:
            method, url, headers, _, _ = await client.param_serialize(
                "GET", f"/api/v1/{path}", query_params=[*query.items()], auth_settings=["BearerToken"]
            )
            raw = await client.call_api(method, url, headers, _request_timeout=timeout)
            async with raw.response as response:
                if response.status not in (200, 404):
                    raise await self._refusal(doing, response)
                yield Answer(response)
        except TimeoutError:
            raise ApiFailed(f"the Kubernetes API at {host} does not answer") from None
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, aiohttp.ClientSSLError):
                await self.close()  # certificates may have been renewed
            raise ApiFailed(f"the Kubernetes API at {host} cannot be reached: {_reason(error)}") from None

    async def _settings(self) -> Configuration:
        settings = Configuration()
        if not self._kubeconfig and environ.get("KUBERNETES_SERVICE_HOST"):
            client_config.load_incluster_config(settings)
            return settings
        if self._kubeconfig:
            _check_readable(self._kubeconfig)
        await client_config.load_kube_config(
            self._kubeconfig or None, None, settings, persist_config=False, temp_file_path=self._scratch
        )
        return settings

    async def _refusal(self, doing: str, response: aiohttp.ClientResponse) -> ApiFailed:
        if response.status == 401:
            await self.close()  # a token may have been renewed
            return ApiFailed("the Kubernetes API does not accept this gateway's credentials (401)")
        try:
            said = msgspec.json.decode(await response.read(), type=Status)
        except msgspec.MsgspecError:
            said = Status(reason=response.reason or "")
        return Status(response.status, said.reason, said.message).error(doing)


def _check_readable(path: str) -> None:
    """Raise OSError unless the file is there to be read: the client's own message would not say why."""
    Path(path).open("rb").close()


def _reason(error: Exception) -> str:
    """In a few words, the same ones for the same reason."""
    if isinstance(error, OSError) and error.strerror and error.errno not in (errno.ECONNRESET, errno.EPIPE):
        return error.strerror
    if isinstance(error, aiohttp.ClientSSLError | client_config.ConfigException):
        return str(error)
    return "the connection was cut"
