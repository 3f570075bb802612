"""Requests built byte by byte, signed by hand, over raw sockets: for what no S3 client would send."""

import hashlib
import hmac
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes


@dataclass(frozen=True)
class Answer:
    """All that came back before the server closed."""

    raw: bytes

    @property
    def status(self) -> int:
        """Of the first answer; 0 when there was none."""
        found = re.match(rb"HTTP/1\.[01] (\d{3}) ", self.raw)
        return int(found[1]) if found else 0

    @property
    def code(self) -> str:
        """S3's error code, or an empty text."""
        found = re.search(rb"<Code>(\w+)</Code>", self.raw)
        return found[1].decode() if found else ""

    @property
    def body(self) -> bytes:
        """Everything behind the first header section."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def answers(self) -> int:
        """How many answers there are, interim ones not counted."""
        return self.raw.count(b"\r\nServer: Cooper\r\n")

    def element(self, name: str) -> str:
        """The text of the first XML element of that name."""
        found = re.search(f"<{name}>(.*?)</{name}>".encode(), self.raw)
        assert found is not None, self.raw
        return found[1].decode()


def amz_date(shift: float = 0) -> str:
    """Now, or `shift` seconds from now."""
    return datetime.fromtimestamp(time.time() + shift, UTC).strftime("%Y%m%dT%H%M%SZ")


@dataclass
class RawS3:
    """One key at one gateway; `key_id` empty for a stranger."""

    port: int
    key_id: str = ""
    secret: str = ""
    region: str = "local"
    timeout: float = 10  # seconds
    host: str = field(init=False)

    def __post_init__(self) -> None:
        self.host = f"127.0.0.1:{self.port}"

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """A connection; a small `receive_buffer` makes a slow reader of it."""
        opened = socket.socket()
        if receive_buffer is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        opened.settimeout(self.timeout)
        opened.connect(("127.0.0.1", self.port))
        return opened

    def send(self, data: bytes) -> Answer:
        """Send these bytes, and nothing after them."""
        with self.connect() as connection:
            received = bytearray()
            try:
                connection.sendall(data)
                while piece := connection.recv(1 << 16):
                    received += piece
            except (BrokenPipeError, ConnectionResetError):
                pass
            return Answer(bytes(received))

    def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """One request, signed in the header when there is a key."""
        return self.send(self.request(method, target, headers, body))

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        payload: str = "UNSIGNED-PAYLOAD",
        close: bool = True,
    ) -> bytes:
        """The bytes of a request, signed in the header when there is a key."""
        fields = self.sign(method, target, headers, payload) if self.key_id else {"host": self.host, **(headers or {})}
        if body is not None:
            fields.setdefault("content-length", str(len(body)))
        if close:
            fields["connection"] = "close"
        return render(method, target, fields) + (body or b"")

    def sign(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        payload: str = "UNSIGNED-PAYLOAD",
        *,
        shift: float = 0,
        unsigned: tuple[str, ...] = (),
        service: str = "s3",
    ) -> dict[str, str]:
        """Headers with a signature. Those in `unsigned` are sent and left out of it."""
        date = amz_date(shift)
        fields = {"host": self.host, "x-amz-date": date, "x-amz-content-sha256": payload, **(headers or {})}
        never = ("content-length", "transfer-encoding", "expect", *unsigned)
        names = sorted(name for name in fields if name not in never)
        lines = "".join(f"{name}:{fields[name]}\n" for name in names)
        path, _, query = target.partition("?")
        scope = f"{date[:8]}/{self.region}/{service}/aws4_request"
        canonical = f"{method}\n{_path(path)}\n{_query(query)}\n{lines}\n{';'.join(names)}\n{payload}"
        fields["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.key_id}/{scope}, SignedHeaders={';'.join(names)}, "
            f"Signature={self._signature(date, scope, canonical, service)}"
        )
        return fields

    def presign(self, method: str, target: str, expires: str = "600", shift: float = 0) -> str:
        """The target with a signature in its query."""
        date = amz_date(shift)
        scope = f"{date[:8]}/{self.region}/s3/aws4_request"
        path, _, query = target.partition("?")
        parameters = (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={quote(f'{self.key_id}/{scope}', safe='')}"
            f"&X-Amz-Date={date}&X-Amz-Expires={quote(expires)}&X-Amz-SignedHeaders=host"
        )
        query = f"{query}&{parameters}" if query else parameters
        canonical = f"{method}\n{_path(path)}\n{_query(query)}\nhost:{self.host}\n\nhost\nUNSIGNED-PAYLOAD"
        return f"{path}?{query}&X-Amz-Signature={self._signature(date, scope, canonical)}"

    def follow(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Ask for a presigned target, without any other signature."""
        return RawS3(self.port).ask(method, target, headers, body)

    def _signature(self, date: str, scope: str, canonical: str, service: str = "s3") -> str:
        key = f"AWS4{self.secret}".encode()
        for part in (date[:8], self.region, service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode('latin-1')).hexdigest()}"
        return hmac.digest(key, text.encode(), "sha256").hex()


def render(method: str, target: str, fields: Mapping[str, str]) -> bytes:
    """A header section."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def _path(path: str) -> str:
    return quote(unquote_to_bytes(path), safe="/-._~")


def _query(query: str) -> str:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ")), safe="-._~")
