"""A key that was revoked or has expired, in the middle of everything: refused at once, streams cut, nothing stored."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from support.forms import Multipart, Signer
from support.raw_s3 import Answer, RawS3, render
from support.rig import REGION, Rig, access_key, bucket, eventually

MIB = 1 << 20
#: Streams are rechecked once a second.
CUT_SECONDS = 2.0
BIG = 64 * MIB
GRANTS = [{"bucket": "held"}]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("revocation"))
    rig.apply("all.yaml", REGION, bucket("held"))
    with rig:
        assert owner(rig).ask("PUT", "/held/big", body=os.urandom(MIB) * (BIG // MIB)).status == 200
        assert owner(rig).ask("PUT", "/held/a", body=b"small").status == 200
        yield rig


def owner(rig: Rig) -> RawS3:
    return key_of(rig, "held")


def key_of(rig: Rig, name: str) -> RawS3:
    env = rig.env(name)
    return RawS3(rig.port, env["ACCESS_KEY"], env["SECRET_KEY"])


def issue(rig: Rig, name: str) -> RawS3:
    rig.apply(f"{name}.yaml", access_key(name, grants=GRANTS))
    return key_of(rig, name)


def revoke(rig: Rig, name: str, key: RawS3) -> None:
    """Revoke, and wait until a new request is refused."""
    rig.apply(f"{name}.yaml", access_key(name, grants=GRANTS, state="Revoked"))
    eventually("the refusal", lambda: key.ask("GET", "/held/a").code == "KeyAccessRevoked")


def slow_download(key: RawS3) -> socket.socket:
    """A download that has begun, of which the kernel can hold only a little."""
    connection = key.connect(receive_buffer=4096)
    connection.sendall(key.request("GET", "/held/big"))
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def drained(connection: socket.socket, since: float) -> tuple[int, float]:
    """Read slowly until the end: bytes, and seconds since `since`."""
    received = 0
    try:
        while piece := connection.recv(1 << 16):
            received += len(piece)
            time.sleep(0.001)
    except ConnectionResetError:
        pass
    connection.close()
    return received, time.monotonic() - since


def test_a_download_is_cut(rig: Rig) -> None:
    key = issue(rig, "reader")
    connection = slow_download(key)
    revoke(rig, "reader", key)
    received, seconds = drained(connection, time.monotonic())
    assert received < BIG
    assert seconds < CUT_SECONDS + 1


def form_of(key: RawS3, file: bytes = b"evil", size: int | None = None) -> bytes:
    """An upload by form; of its body, which has `size` bytes, all but the end where that is named."""
    form = Multipart(Signer(key.key_id, key.secret).fields("held", "never"), file)
    body = bytes(form)
    length = len(body) if size is None else size
    headers = {"host": key.host, "content-type": form.content_type, "content-length": str(length)}
    end = len(body) if size is None else body.rindex(b"\r\n--")
    return render("POST", "/held", {**headers, "connection": "close"}) + body[:end]


@pytest.mark.parametrize("how", ["put", "form"])
def test_an_upload_is_refused_while_it_comes(rig: Rig, how: str) -> None:
    """It could never be committed: it must not fill the disk meanwhile."""
    name = f"sender-{how}"
    key = issue(rig, name)
    connection = key.connect()
    if how == "form":
        connection.sendall(form_of(key, b"x" * MIB, BIG))
    else:
        connection.sendall(key.request("PUT", "/held/never", {"content-length": str(BIG)}) + b"x" * MIB)
    connection.settimeout(0.3)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    revoke(rig, name, key)
    connection.settimeout(CUT_SECONDS)
    answer = Answer(connection.recv(1 << 16))
    connection.close()
    assert answer.code == "KeyAccessRevoked"
    assert owner(rig).ask("GET", "/held/never").code == "NoSuchKey"


def test_everything_begun_earlier_ends_with_its_key(rig: Rig) -> None:
    key = issue(rig, "worker")
    upload_id = key.ask("POST", "/held/parts?uploads", body=b"").element("UploadId")
    target = f"/held/parts?uploadId={upload_id}"
    assert key.ask("PUT", f"{target}&partNumber=1", body=b"part").status == 200
    link, upload_link = key.presign("GET", "/held/a"), key.presign("PUT", "/held/never")
    assert key.follow("GET", link).body == b"small"
    expecting = render("PUT", "/held/never", key.sign("PUT", "/held/never", {"content-length": "4"}))
    form = form_of(key)
    revoke(rig, "worker", key)
    complete = (
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>"
    )
    for answer in (
        key.ask("PUT", f"{target}&partNumber=2", body=b"part"),
        key.ask("POST", target, body=complete),
        key.ask("GET", target),
        key.ask("DELETE", target),
        key.follow("GET", link),
        key.follow("PUT", upload_link, body=b"evil"),
        key.send(expecting + b"evil"),
        key.send(form),
        key.ask("GET", "/"),
        key.ask("GET", "/held?list-type=2"),
        key.ask("GET", "/theirs/x"),
    ):
        assert answer.code == "KeyAccessRevoked", answer.raw
    # Only who holds the secret learns what became of its key.
    wrong = RawS3(rig.port, key.key_id, "wrong")
    assert wrong.ask("GET", "/held/a").code == "SignatureDoesNotMatch"
    assert wrong.send(form_of(wrong)).code == "SignatureDoesNotMatch"
    assert owner(rig).ask("GET", "/held/never").code == "NoSuchKey"
    assert owner(rig).ask("DELETE", target).status == 204


@pytest.mark.parametrize("how", ["put", "form", "form's fields"])
def test_a_key_that_is_revoked_before_its_body_ends_stores_nothing(rig: Rig, how: str) -> None:
    name = {"put": "late", "form": "late-form"}.get(how, "late-fields")
    key = issue(rig, name)
    connection = key.connect()
    data = key.request("PUT", "/held/never", body=b"evil") if how == "put" else form_of(key)
    end = -400 if how == "form's fields" else -1
    connection.sendall(data[:end])
    time.sleep(0.2)
    revoke(rig, name, key)
    connection.sendall(data[end:])
    answer = Answer(connection.recv(1 << 16))
    connection.close()
    assert answer.code == "KeyAccessRevoked", answer.raw
    assert owner(rig).ask("GET", "/held/never").code == "NoSuchKey"


def test_a_key_expires_without_the_operator(rig: Rig) -> None:
    end = int(time.time()) + 4
    at = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rig.apply("brief.yaml", access_key("brief", grants=GRANTS, expiresAt=at))
    key = key_of(rig, "brief")
    link = key.presign("GET", "/held/a")
    assert key.follow("GET", link).body == b"small"
    connection = slow_download(key)
    with stopped_operator(rig):
        eventually("the refusal", lambda: key.ask("GET", "/held/a").code == "KeyAccessRevoked")
        assert end - 0.1 <= time.time() < end + 1
        received, _ = drained(connection, 0)
        assert received < BIG
        assert time.time() < end + CUT_SECONDS + 1
        assert key.follow("GET", link).code == "KeyAccessRevoked"


@contextmanager
def stopped_operator(rig: Rig) -> Iterator[None]:
    """The process of operator and supervisor stands still; the gateway's others go on."""
    assert rig.process is not None
    os.kill(rig.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(rig.process.pid, signal.SIGCONT)
