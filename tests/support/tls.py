"""Certificates for tests: an authority, and what it signs."""

import ssl
import tempfile
import time
from functools import cache
from pathlib import Path

from cooper_operator.certificates.x509 import Pair, new_authority, new_certificate


@cache
def authority(name: str = "") -> Pair:
    """The same one each time that it is asked for by a name."""
    return new_authority(time.time())


def serving(*names: str, by: Pair | None = None) -> Pair:
    """A server's certificate; by default for what listens on this machine."""
    return new_certificate(by or authority(), names or ("localhost", "127.0.0.1"), time.time())


def context_with(pair: Pair) -> ssl.SSLContext:
    """A server's context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write((pair.certificate + pair.key).encode())
        file.flush()
        context.load_cert_chain(file.name)
    return context


class Files:
    """A certificate and its key as files, replaced as a Secret's are: both at once, by a link."""

    def __init__(self, folder: Path, pair: Pair | None = None) -> None:
        self._folder = folder
        self._count = 0
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.authority = folder / "ca.crt"
        self.authority.write_text(authority().certificate)
        for path in (self.certificate, self.key):
            path.symlink_to(Path("current") / path.name)
        self.put(pair or serving())

    @property
    def options(self) -> tuple[str, ...]:
        """Of a command that serves with them."""
        return ("--tls-cert", str(self.certificate), "--tls-key", str(self.key))

    def put(self, pair: Pair) -> None:
        """Replace both."""
        self._count += 1
        version = self._folder / f"version-{self._count}"
        version.mkdir()
        (version / "tls.crt").write_text(pair.certificate)
        (version / "tls.key").write_text(pair.key)
        link = self._folder / "next"
        link.symlink_to(version.name)
        link.rename(self._folder / "current")
