"""A worker that lost its committer gives up its directory, so that a sweep finds what nobody heard of."""

import asyncio
import os
import socket
from pathlib import Path

from cooper_gateway.storage import wire
from cooper_gateway.storage.client import CommitterClient
from cooper_gateway.storage.layout import Layout, try_lock
from cooper_gateway.storage.segments import SegmentDirectories


class Teller:
    def __init__(self) -> None:
        self.told: list[wire.Request] = []

    def tell(self, request: wire.Request) -> None:
        self.told.append(request)


def _locked(layout: Layout, directory_id: bytes) -> bool:
    descriptor = os.open(layout.directory(directory_id), os.O_RDONLY)
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def test_a_directory_that_is_given_up_is_locked_until_its_last_file_is_settled(tmp_path: Path) -> None:
    layout, teller = Layout(str(tmp_path)), Teller()
    layout.create()
    directories = SegmentDirectories(layout, teller)
    first = directories.current()
    os.close(first.open_file(b"f" * 16))
    directories.give_up()
    assert directories.current() is not first
    assert _locked(layout, first.directory_id)
    assert teller.told == []
    first.abandon(b"f" * 16)
    assert [type(request) for request in teller.told] == [wire.Abandon, wire.Retire]
    assert not _locked(layout, first.directory_id)
    directories.close()


async def test_what_is_told_without_a_connection_is_said_on_the_next_one(tmp_path: Path) -> None:
    client = CommitterClient(str(tmp_path / "committer.sock"), asyncio.get_running_loop())
    lost: list[bool] = []
    client.on_lost = lambda: lost.append(True)
    client.tell(wire.Retire(0, b"", b"d" * 8))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    listener.bind(str(tmp_path / "committer.sock"))
    listener.listen()
    loop = asyncio.get_running_loop()
    link, _ = await asyncio.wait_for(loop.sock_accept(listener), 5)
    packet = await asyncio.wait_for(loop.sock_recv(link, 65536), 5)
    assert b"d" * 8 in packet
    link.close()
    async with asyncio.timeout(5):
        while not lost:
            await asyncio.sleep(0.01)
    client.close()
    listener.close()
