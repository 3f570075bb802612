import socket

import pytest

from cooper_gateway.processes.errors import AddressUnusable, PortInUse
from cooper_gateway.processes.listening import close_all, listen


def test_all_sockets_share_one_free_port_and_all_get_connections() -> None:
    sockets = listen("127.0.0.1", 0, 2)
    port = sockets[0].getsockname()[1]
    assert [opened.getsockname() for opened in sockets] == [("127.0.0.1", port)] * 2
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    accepted = [0, 0]
    for index, opened in enumerate(sockets):
        try:
            while True:
                opened.accept()[0].close()
                accepted[index] += 1
        except BlockingIOError:
            pass
    assert sum(accepted) == 40
    assert min(accepted) > 0
    for client in clients:
        client.close()
    close_all(sockets)


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_port_in_use_is_named(reuse_port: bool) -> None:
    with socket.socket() as other:
        if reuse_port:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} on 127.0.0.1 is in use"):
            listen("127.0.0.1", port, 2)


def test_a_port_just_left_can_be_taken_again() -> None:
    sockets = listen("127.0.0.1", 0, 1)
    port = sockets[0].getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    sockets[0].setblocking(True)
    sockets[0].accept()[0].close()  # the server closes first: its side stays in TIME_WAIT
    client.close()
    close_all(sockets)
    close_all(listen("127.0.0.1", port, 2))


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_said(host: str) -> None:
    with pytest.raises(
        AddressUnusable, match=f"the address {host} cannot be listened on: .*Choose one of this machine's"
    ):
        listen(host, 0, 1)
