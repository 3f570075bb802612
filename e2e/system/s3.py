"""S3 requests one by one, signed by botocore: as boto3 sends them, without the 50 ms that making one takes."""

import asyncio
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from support.rig import KEY_REFUSED

#: A Pod that is gone does not answer: who sends to it is not to wait for long.
_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=2)
_PATIENCE = 60.0  # seconds


#: Statuses of a gateway that is not there, or has not read its records yet: nothing was done.
AWAY = (0, 503)


@dataclass(frozen=True)
class Answer:
    """Status 0: none came, and `code` says why."""

    status: int
    code: str
    body: bytes


class S3:
    """A key, as a Secret has it, at one gateway."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, credentials: Mapping[str, str]) -> None:
        self._session = session
        self._endpoint = endpoint
        self._key = Credentials(credentials["ACCESS_KEY"], credentials["SECRET_KEY"])
        self._region = credentials["REGION"]

    async def ask(self, method: str, target: str, body: bytes = b"") -> Answer:
        """One request, sent once."""
        url = self._endpoint + target
        request = AWSRequest(method, url, {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}, body)
        S3SigV4Auth(self._key, "s3", self._region).add_auth(request)
        sent = self._session.request(
            method, URL(url, encoded=True), headers=dict(request.headers), data=body, timeout=_TIMEOUT
        )
        try:
            async with sent as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return Answer(0, f"no answer: {type(error).__name__}: {error}", b"")
        found = re.search(rb"<Code>(\w+)</Code>", content) if response.status >= 300 else None
        return Answer(response.status, found[1].decode() if found else "", content)

    async def problem(self, buckets: list[str]) -> str:
        """What the key is told that is not as it should be when it lists itself and these buckets; empty: nothing."""
        for target in ("/", *(f"/{bucket}?list-type=2&max-keys=1" for bucket in buckets)):
            answer = await self.ask("GET", target)
            if answer.status != 200:
                return f"{self._key.access_key} gets {answer.status} {answer.code} from {self._endpoint} for {target}"
        return ""

    async def accepted(self) -> bool:
        """Whether the key is told anything but that it is no key (any more)."""
        return (await self.ask("GET", "/")).code not in KEY_REFUSED


class PatientS3(S3):
    """Asks again where nobody answers, or one who cannot yet: as SDKs do, and for longer."""

    async def ask(self, method: str, target: str, body: bytes = b"") -> Answer:
        """One request, sent until it is answered; the last answer after a minute."""
        deadline = time.monotonic() + _PATIENCE
        while (answer := await super().ask(method, target, body)).status in AWAY and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        return answer
