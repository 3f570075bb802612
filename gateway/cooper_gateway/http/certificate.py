"""What S3 is served with over TLS: a certificate and its key, two PEM files, followed while the gateway serves.

Whoever renews them replaces the files. Connections that are made from then on get the new certificate, and those that
are there stay. Files that cannot be used are told of and change nothing: the former pair stays in use.
"""

import asyncio
import hashlib
import logging
import os
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, NoReturn

from cooper_gateway.http.handshakes import ServingContext

log = logging.getLogger(__name__)

#: Seconds between looks at the files. Their content is compared: a time of change tells too little, and they are small.
_LOOK_SECONDS: Final = 3.0
_LONGEST_FILE: Final = 1 << 20
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_PRIVATE_KEY: Final = b"PRIVATE KEY-----"


class CertificateError(Exception):
    """Files that are no certificate with its key: which, and why. Never carries what is in them."""


class ServingCertificate:
    """The pair in use, in a context for the listening socket."""

    expires_at: float | None  # end of the certificate in use, in seconds since the epoch, where that can be told

    def __init__(self, certificate: str, key: str) -> None:
        """Load the pair. Raises CertificateError."""
        self._files = (certificate, key)
        pair = self._read()
        self._check(*pair)
        self.context = _new_context()
        self._use(*pair)

    async def follow(self, seconds: float = _LOOK_SECONDS) -> None:
        """Take up what the files hold whenever that changes, until cancelled."""
        told = ""
        while True:
            await asyncio.sleep(seconds)
            try:
                if await self._take_up():
                    log.info("the certificate %s was renewed: new connections get the new one", self._files[0])
                problem = ""
            except CertificateError as error:
                problem = str(error)
            except OSError as error:  # as when no descriptor is left for a moment
                problem = f"the certificate {self._files[0]} cannot be taken up now: {error.strerror}"
            if problem not in ("", told):
                log.warning("%s. The former certificate stays in use", problem)
            told = problem

    async def _take_up(self) -> bool:
        """Whether there was another pair, which is in use now. Raises CertificateError."""
        pair = await asyncio.to_thread(self._read)
        if _digest(*pair) == self._digest:
            return False
        self._check(*pair)
        self._use(*pair)
        return True

    def _read(self) -> tuple[bytes, bytes]:
        certificate, key = (_content(path) for path in self._files)
        return certificate, key

    def _check(self, certificate: bytes, key: bytes) -> None:
        """Load the pair where nothing is served from. Raises CertificateError."""
        of_certificate, of_key = self._files
        if _CERTIFICATE not in certificate:
            raise CertificateError(f"the file {of_certificate} holds no certificate in PEM form")
        if _PRIVATE_KEY not in key:
            raise CertificateError(f"the file {of_key} holds no private key in PEM form")
        try:
            _load(_new_context(), certificate, key)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise CertificateError(
                    f"the key {of_key} does not belong to the certificate {of_certificate}"
                ) from None
            why = (error.reason or "damaged").lower().replace("_", " ")
            raise CertificateError(
                f"the certificate {of_certificate} and the key {of_key} cannot be used: {why}"
            ) from None
        except _Protected:
            raise CertificateError(
                f"the key {of_key} is protected by a password: give the file of one that is not"
            ) from None

    def _use(self, certificate: bytes, key: bytes) -> None:
        """Serve with a pair that was checked: nothing of it can fail half-way."""
        _load(self.context, certificate, key)
        self._digest = _digest(certificate, key)
        self.expires_at = _expires_at(certificate)


class _Protected(Exception):
    """OpenSSL asks for a password."""


def _no_password() -> NoReturn:
    raise _Protected


def _new_context() -> ServingContext:
    context = ServingContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    with _file_of(certificate) as of_certificate, _file_of(key) as of_key:
        context.load_cert_chain(of_certificate, of_key, _no_password)


@contextmanager
def _file_of(content: bytes) -> Generator[str]:
    """A file, in memory only, with what was read and checked: OpenSSL takes names, and there may be another by now."""
    with open(os.memfd_create("pem"), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _expires_at(certificate: bytes) -> float | None:
    from cryptography import x509  # 2 MiB of memory, in every process that loads it

    try:
        return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()
    except ValueError:  # OpenSSL, which serves with it, minds less
        return None


def _digest(certificate: bytes, key: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(certificate).digest() + hashlib.sha256(key).digest()).digest()


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise CertificateError(f"the file {path} cannot be read: {error.strerror}") from None
    if len(content) > _LONGEST_FILE:
        raise CertificateError(f"the file {path} is too long to be a certificate or a key")
    return content
