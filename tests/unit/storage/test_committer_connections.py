"""What workers do to the committer's connections must not end it, nor fill its memory."""

import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage import committer as committer_module
from cooper_gateway.storage import wire
from cooper_gateway.storage.committer import Committer
from cooper_gateway.storage.port import Conditions, Guard
from support.store_process import config_in


class FailingListener:
    """A listener whose accept fails a few times, as when a process has no descriptor left."""

    def __init__(self, listener: socket.socket, numbers: list[int]) -> None:
        self._listener = listener
        self.numbers = numbers

    def accept(self):
        if self.numbers:
            number = self.numbers.pop()
            raise OSError(number, os.strerror(number))
        return self._listener.accept()

    def __getattr__(self, name: str):
        return getattr(self._listener, name)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Errors that the committer's accept is going to meet."""
    numbers: list[int] = []
    listen = committer_module._listen
    monkeypatch.setattr(committer_module, "_listen", lambda path: FailingListener(listen(path), numbers))
    return numbers


@pytest.fixture
def running(tmp_path: Path, listener: list[int]) -> Iterator[Committer]:
    config = config_in(tmp_path)
    committer = Committer(config, Keyring.load_or_create(config.kek_file, True), lambda *_: "KeyAccessRevoked")
    ready = threading.Event()
    thread = threading.Thread(target=committer.run, args=(ready.set,))
    thread.start()
    assert ready.wait(5)
    yield committer
    committer.stop()
    thread.join(10)
    assert not thread.is_alive()


def connect(committer: Committer) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.settimeout(5)
    link.connect(committer._path)
    return link


def refused_put(number: int, size: int = 1) -> wire.Put:
    return wire.Put(number, bytes(16), b"n" * size, b"", b"", Conditions(), Guard("AKIA", "s3:PutObject"))


def ask(link: socket.socket, number: int) -> wire.Reply:
    for packet in wire.packets([refused_put(number)]):
        wire.send(link, packet)
    (reply,) = wire.decode_replies(link.recv(wire.PACKET))
    return reply


def test_a_connection_that_cannot_be_accepted_ends_nothing(running: Committer, listener: list[int]) -> None:
    before = connect(running)
    assert ask(before, 1).detail == "KeyAccessRevoked"
    listener += [errno.EMFILE, errno.ECONNABORTED, errno.ENFILE]
    after = connect(running)
    assert ask(after, 2).detail == "KeyAccessRevoked"
    assert ask(before, 3).detail == "KeyAccessRevoked"
    assert listener == []
    before.close()
    after.close()


def test_a_worker_that_takes_no_replies_is_dropped(
    running: Committer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(committer_module, "_MOST_UNSENT", 1 << 16)
    silent, other = connect(running), connect(running)
    with pytest.raises(OSError) as caught:
        for start in range(0, 10_000_000, 1000):
            for packet in wire.packets([refused_put(start + number) for number in range(1000)]):
                wire.send(silent, packet)
    assert caught.value.errno in (errno.EPIPE, errno.ECONNRESET)
    assert "does not take its replies" in caplog.text
    assert ask(other, 1).detail == "KeyAccessRevoked"
    silent.close()
    other.close()
