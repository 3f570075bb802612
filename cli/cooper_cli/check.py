"""`cooper check`: whether the credentials in the environment do what they are for."""

import hashlib
import http.client
import os
import re
import secrets
import ssl
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

import click

from cooper_crds.pem import is_bundle
from cooper_operator.gateways.sign import query_string, sign

_NAMES: Final = ("ACCESS_KEY", "SECRET_KEY", "ENDPOINT", "REGION", "BUCKET")
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9]+)</Code>.*?<Message>([^<]*)</Message>", re.DOTALL)
_TIMEOUT: Final = 30.0  # seconds


@click.command()
def check() -> None:
    """Try the credentials in the environment.

    They are ACCESS_KEY, SECRET_KEY, ENDPOINT, REGION and BUCKET, and CA_BUNDLE where there is one. Sends an object,
    fetches it, lists it and deletes it, as a Pod does that has a Bucket's Secret by envFrom.
    """
    missing = [name for name in _NAMES if not os.environ.get(name)]
    if missing:
        raise click.ClickException(
            f"the environment lacks {', '.join(missing)}: link the Secret of a Bucket with envFrom"
        )
    bucket = _Bucket(*(os.environ[name] for name in _NAMES))
    name, body = f"cooper-check-{secrets.token_hex(8)}", secrets.token_bytes(4096)
    bucket.ask("PUT", name, body=body)
    click.echo(f"sent {name} to bucket {bucket.name} at {bucket.endpoint}")
    if bucket.ask("GET", name) != body:
        raise click.ClickException(f"{name} was fetched, and is not what was sent")
    click.echo("fetched it, identical")
    if name.encode() not in bucket.ask("GET", "", query={"list-type": "2", "prefix": name}):
        raise click.ClickException(f"{name} was sent, and is not listed")
    click.echo("listed it")
    bucket.ask("DELETE", name)
    click.echo("deleted it")


@dataclass(frozen=True, slots=True)
class _Bucket:
    access_key_id: str
    secret_key: str
    endpoint: str
    region: str
    name: str

    def __repr__(self) -> str:
        return f"_Bucket({self.name})"

    def ask(self, method: str, key: str, *, query: dict[str, str] | None = None, body: bytes = b"") -> bytes:
        """The answer's body. Raises ClickException for what is no success."""
        url = urlsplit(self.endpoint)
        path = f"/{quote(self.name, safe='')}/{quote(key)}"
        headers = sign(
            method,
            path,
            query or {},
            {"host": url.netloc},
            access_key_id=self.access_key_id,
            secret_key=self.secret_key,
            region=self.region,
            now=time.time(),
            payload=hashlib.sha256(body).hexdigest(),
        )
        connection = _connection(url.scheme, url.netloc)
        try:
            connection.request(method, f"{path}?{query_string(query)}" if query else path, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise click.ClickException(f"{self.endpoint} cannot be reached: {error}") from error
        finally:
            connection.close()
        if response.status >= 300:
            found = _CODE.search(content)
            said = f"{found[1].decode()}: {found[2].decode()}" if found else f"status {response.status}"
            raise click.ClickException(f"{method} {path} is refused: {said}")
        return content


def _connection(scheme: str, host: str) -> http.client.HTTPConnection:
    """Without CA_BUNDLE the system says whom to trust."""
    if scheme != "https":
        return http.client.HTTPConnection(host, timeout=_TIMEOUT)
    trusted = os.environ.get("CA_BUNDLE", "")
    try:
        # A Secret holds the certificates; where they are in a file, the variable names it.
        if is_bundle(trusted):
            context = ssl.create_default_context(cadata=trusted)
        else:
            context = ssl.create_default_context(cafile=trusted or None)
    except OSError as error:
        raise click.ClickException(f"CA_BUNDLE cannot be used: {error}") from error
    return http.client.HTTPSConnection(host, timeout=_TIMEOUT, context=context)
