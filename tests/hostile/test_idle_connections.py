"""Ten thousand connections that say nothing: others are served meanwhile, and memory stays small."""

import contextlib
import resource
import selectors
import socket
from collections.abc import Iterator

import pytest

from support.attack_field import Field
from support.process_tree import descriptors, memory_of, tree_of
from support.rig import eventually

pytestmark = pytest.mark.usefixtures("lives_and_holds_what_it_held")

MANY = 10_000
SPARE = 1_000  # descriptors for all else
WORKERS = 2
#: Bytes that one of them may cost the gateway: the kernel's buffers are not counted, its objects are.
EACH = 24 << 10
AT_A_TIME = 256


@pytest.fixture
def many() -> Iterator[int]:
    """As many as are to be there; where a process may have fewer descriptors, nearly as many as it may."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY + SPARE if most == resource.RLIM_INFINITY else min(MANY + SPARE, most)
    assert wanted >= 2 * SPARE, f"a process may have {most} descriptors only: ulimit -Hn {MANY + SPARE}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, wanted), most))
    # Of its descriptors a worker keeps five eighths for other things than connections.
    yield min(wanted - SPARE, MANY if most == resource.RLIM_INFINITY else WORKERS * most * 3 // 8 - SPARE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def connected(port: int, count: int, say: bytes) -> list[socket.socket]:
    """So many connections, each of which has said that and no more."""
    opened: list[socket.socket] = []
    with selectors.DefaultSelector() as waiting:
        while len(opened) < count:
            some = [socket.socket() for _ in range(min(AT_A_TIME, count - len(opened)))]
            for each in some:
                each.setblocking(False)
                each.connect_ex(("127.0.0.1", port))
                waiting.register(each, selectors.EVENT_WRITE)
            left = set(some)
            while left:
                ready = waiting.select(30)
                assert ready, f"{len(opened)} connections, and no more within 30 s"
                for key, _ in ready:
                    opening = key.fileobj
                    assert isinstance(opening, socket.socket)
                    assert opening.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
                    opening.send(say)
                    waiting.unregister(opening)
                    left.discard(opening)
            opened += some
    return opened


@pytest.mark.parametrize("say", [b"", b"GET /mine/a HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"])
def test_ten_thousand_connections_that_wait_hold_nobody_up(field: Field, many: int, say: bytes) -> None:
    assert field.rig.process is not None
    before = memory_of(field.rig.process.pid)
    with contextlib.ExitStack() as opened:
        for each in connected(field.rig.port, many, say):
            opened.callback(each.close)
        gateway = field.rig.process.pid
        eventually("all of them at the workers", lambda: sum(map(descriptors, tree_of(gateway))) >= many, pause=0.1)
        for _ in range(20):
            assert field.mine.ask("GET", "/mine/a").body == b"mine"
        assert memory_of(field.rig.process.pid) - before < many * EACH
