"""A Bucket's own host names with real processes: what is served there, who has them, and what hostile bytes get."""

import http.client
import json
import time
from pathlib import Path
from typing import Any

from support.rig import Rig, bucket, eventually

NAME, OTHER = "photos.example.com", "other.example.com"


def region(*suffixes: dict[str, Any], **spec: Any) -> str:
    wanted = {"tag": "local", "default": True, "domainSuffixes": list(suffixes), **spec}
    meta = {"name": "local"}
    return json.dumps({"apiVersion": "cooper.dev/v1alpha1", "kind": "Region", "metadata": meta, "spec": wanted})


EXAMPLE = region({"suffix": "example.com"})


def public(name: str, *domains: str, **spec: Any) -> str:
    return bucket(name, visibility="Public", **({"domains": list(domains)} if domains else {}), **spec)


def ask(
    rig: Rig, host: str, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=5)
    connection.request(method, path, headers={"Host": host, **(headers or {})})
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def until_said(rig: Rig, name: str, status: str, reason: str) -> None:
    rig.wait_condition("Bucket", name, "DomainsReady", status=status, reason=reason)


def serves(rig: Rig, host: str, body: bytes | None) -> None:
    """Wait until the object `a` is read there, or (None) nothing is."""

    def right() -> bool:
        status, found = ask(rig, host, "/a")
        return status in (400, 403) if body is None else (status, found) == (200, body)

    began = time.monotonic()
    eventually(f"{host} with {body!r}", right)
    print(f"\n{host} is right after {(time.monotonic() - began) * 1000:.0f} ms")


def test_own_host_names(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    cors = [{"allowedOrigins": ["https://app.example.com"], "allowedMethods": ["GET"]}]
    rig.apply("all.yaml", EXAMPLE, public("photos", NAME, cors=cors), public("other"), bucket("secrets"))
    with rig:
        for name in ("photos", "other", "secrets"):
            rig.client(name).put_object(Bucket=name, Key="a", Body=name.encode())
        serves(rig, NAME, b"photos")
        until_said(rig, "photos", "True", "DomainsClaimed")

        # That bucket and nothing else, for reading, by anybody.
        assert ask(rig, f"{NAME.upper()}:{rig.port}", "/a?v=1") == (200, b"photos")
        assert ask(rig, NAME, "/a", "HEAD") == (200, b"")
        assert ask(rig, NAME, "/a", headers={"Range": "bytes=1-2"}) == (206, b"ho")
        for path in ("/", "/secrets/a", "/public/photos/a", "/photos/a", "/b", "/?list-type=2", "/..%2Fsecrets/a"):
            assert ask(rig, NAME, path)[0] == 403, path
        for method, status in (("PUT", 403), ("DELETE", 403), ("POST", 405), ("PATCH", 405)):
            assert ask(rig, NAME, "/a", method, {"Content-Length": "0"})[0] == status
        link = rig.client("photos").generate_presigned_url("get_object", {"Bucket": "photos", "Key": "a"})
        refused = ask(rig, NAME, "/a?" + link.partition("?")[2])
        assert refused[0] == 400 and b"Region's endpoint" in refused[1]
        asks = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
        assert ask(rig, NAME, "/a", "OPTIONS", asks)[0] == 200
        assert ask(rig, NAME, "/a", "OPTIONS", {**asks, "Origin": "https://evil.example"})[0] == 403

        # Another host is none in particular.
        for host in (OTHER, f"127.0.0.1:{rig.port}", f"x.{NAME}", f"{NAME}.evil.org", "localhost", f"{NAME}.."):
            assert ask(rig, host, "/public/other/a") == (200, b"other"), host
            assert ask(rig, host, "/a")[0] in (400, 403), host

        # Bytes that no browser sends.
        start, end = b"GET /a HTTP/1.1\r\n", b"Connection: close\r\n\r\n"
        own = f"Host: {NAME}\r\n".encode()
        hostile = {
            start + own + b"Host: other.example.com\r\n" + end: b"400",
            start + own + b"X-Forwarded-Host: other.example.com\r\n" + end: b"200",
            start + f"Host: {NAME}, other\r\n".encode() + end: b"400",
            start + f"Host: {NAME}\0\r\n".encode() + end: b"400",
            start + f"Host: {NAME}/\r\n".encode() + end: b"400",
            start + f"Host: x@{NAME}\r\n".encode() + end: b"400",
            start + f"Host: {'a.' * 120}com\r\n".encode() + end: b"400",
            f"GET http://{NAME}/a HTTP/1.1\r\nHost: x\r\n".encode() + end: b"400",
            b"GET /secrets/a HTTP/1.0\r\n" + own + end: b"403",
        }
        for data, status in hostile.items():
            assert rig.raw(data).split(b" ", 2)[1] == status, data

        # Two that want it: the first has it until it gives it up.
        rig.apply("all.yaml", EXAMPLE, public("photos", NAME), public("other", NAME, OTHER), bucket("secrets"))
        serves(rig, OTHER, b"other")
        until_said(rig, "other", "False", "DomainTaken")
        assert ask(rig, NAME, "/a") == (200, b"photos")
        rig.apply("all.yaml", EXAMPLE, public("photos"), public("other", NAME, OTHER), bucket("secrets"))
        serves(rig, NAME, b"other")
        until_said(rig, "other", "True", "DomainsClaimed")

        # Private, and let no more.
        rig.apply("all.yaml", EXAMPLE, public("photos"), bucket("other", domains=[NAME]), bucket("secrets"))
        serves(rig, NAME, None)
        until_said(rig, "other", "False", "DomainsNotPublic")
        rig.apply("all.yaml", region(), public("photos"), public("other", NAME), bucket("secrets"))
        until_said(rig, "other", "False", "DomainNotAllowed")
        serves(rig, NAME, None)
        assert ask(rig, NAME, "/public/other/a") == (200, b"other")
