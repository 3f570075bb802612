"""What workers and the committer say to each other: msgpack over a local packet socket.

A packet is a list of requests (worker to committer) or of replies. Kernel limits make packets small; a list that is
larger travels in a memory file, whose descriptor comes with an empty packet.
"""

import array
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from cooper_gateway.storage.port import NO_CONDITIONS, Conditions, Guard, Wish

#: Bytes of the largest packet. Linux' default limit for a socket's buffer is 212,992.
PACKET: Final = 96 * 1024
_DESCRIPTORS: Final = socket.CMSG_SPACE(array.array("i", [0]).itemsize)


class _Request(msgspec.Struct, array_like=True):
    id: int  # of this connection; its reply carries it
    data_id: bytes


class EnsureBucket(_Request, tag=1):
    """Make the bucket's key and row if it has none."""


class Put(_Request, tag=2):
    """Make an entry the object of that name."""

    name: bytes
    entry: bytes
    body: bytes  # inline ciphertext; empty when the entry is a file
    conditions: Conditions
    guard: Guard


class Replace(_Request, tag=3):
    """Exchange the record of an object that is still the one that `header` begins."""

    name: bytes
    header: bytes
    entry: bytes
    conditions: Conditions
    guard: Guard


class Delete(_Request, tag=4):
    """Delete names, those that exist; none where the conditions do not hold for one."""

    names: list[bytes]
    guard: Guard
    conditions: Conditions = NO_CONDITIONS


class CreateUpload(_Request, tag=5):
    """Begin a multipart upload."""

    name: bytes
    upload_id: bytes
    upload: bytes
    guard: Guard


class PutPart(_Request, tag=6):
    """Store a part."""

    name: bytes
    upload_id: bytes
    number: int
    part: bytes
    body: bytes
    guard: Guard


class Complete(_Request, tag=7):
    """Make the object of an upload's parts that the manifest lists."""

    name: bytes
    upload_id: bytes
    entry: bytes
    manifest: bytes
    result: bytes
    conditions: Conditions
    guard: Guard


class Abort(_Request, tag=8):
    """Drop an upload."""

    name: bytes
    upload_id: bytes
    guard: Guard


class Close(_Request, tag=9):
    """Close a bucket if it is empty, or `with_content`."""

    intent: bytes
    guard: Guard | None
    with_content: bool = False


class Reopen(_Request, tag=10):
    """Open a closed bucket."""


class Destroy(_Request, tag=11):
    """Drop some of a closed bucket's uploads; when none is left, its key. Replies with "more" until then."""


class Abandon(_Request, tag=12):
    """A file that no commit will refer to. Not answered."""

    directory_id: bytes
    segment_id: bytes


class Retire(_Request, tag=13):
    """A directory that its worker has no more use for. Not answered."""

    directory_id: bytes


class Purge(_Request, tag=14):
    """Close a bucket and drop some of its uploads and objects. Replies with "more" while there may be others."""


class Expire(_Request, tag=15):
    """Drop an upload if nothing was added to it since `before`, in Unix ms."""

    name: bytes
    upload_id: bytes
    before: int


class Ask(_Request, tag=16):
    """Keep a wish for a bucket. `data_id` is empty: there is none yet."""

    wish: Wish
    guard: Guard


class Settle(_Request, tag=17):
    """Note the outcome of a wish, or forget it."""

    bucket: str
    wish_id: str
    outcome: str


class Hold(_Request, tag=18):
    """Remove nothing that a commit drops from now on, until this connection ends."""


class Rewrap(_Request, tag=19):
    """Have the newest key-encryption key, which is to be `kek`, wrap some of the bucket keys that others wrap. Replies
    with "more", and how many are known to be left, until a look at all has found none; then with nothing. `last`: and
    note then that nothing needs another one.
    """

    kek: str
    last: bool = False


Request = (
    EnsureBucket
    | Put
    | Replace
    | Delete
    | CreateUpload
    | PutPart
    | Complete
    | Abort
    | Expire
    | Close
    | Reopen
    | Destroy
    | Purge
    | Ask
    | Settle
    | Abandon
    | Retire
    | Hold
    | Rewrap
)


class Reply(msgspec.Struct, array_like=True):
    """The outcome of one request: `error` names a StoreError and is empty when it was done."""

    id: int
    error: str = ""
    detail: str = ""


_encode = msgspec.msgpack.Encoder().encode
decode_requests = msgspec.msgpack.Decoder(list[Request]).decode
decode_replies = msgspec.msgpack.Decoder(list[Reply]).decode


def packets(messages: Sequence[Request] | Sequence[Reply]) -> Iterator[bytes]:
    """Messages as packets, in order. One that is larger than PACKET holds a single message."""
    batch: list[bytes] = []
    size = 0
    for message in messages:
        encoded = _encode(message)
        if batch and (size + len(encoded) > PACKET or len(batch) == 1024):
            yield _join(batch)
            batch, size = [], 0
        batch.append(encoded)
        size += len(encoded)
    if batch:
        yield _join(batch)


def _join(batch: list[bytes]) -> bytes:
    # msgpack's array 16: 0xdc, then the count in two bytes.
    return b"".join((b"\xdc", len(batch).to_bytes(2, "big"), *batch))


def ask(connection: socket.socket, request: Request) -> Reply | None:
    """Send one request over a blocking connection and wait for its reply; None when the connection ends. Raises
    OSError, msgspec.MsgspecError.
    """
    for packet in packets([request]):
        send(connection, packet)
    answer = receive(connection, bytearray(PACKET + 4096))
    replies = [] if answer is None else decode_replies(answer)
    return replies[0] if len(replies) == 1 and replies[0].id == request.id else None


def enlarge(connection: socket.socket) -> None:
    """Ask for large buffers; the kernel gives what its limits allow."""
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        connection.setsockopt(socket.SOL_SOCKET, option, 4 << 20)


def send(connection: socket.socket, packet: bytes) -> None:
    """Send a packet. Raises BlockingIOError when the socket's buffer is full, else OSError."""
    if len(packet) <= PACKET + 1024:
        connection.send(packet, socket.MSG_NOSIGNAL)
        return
    descriptor = os.memfd_create("cooper-packet", os.MFD_CLOEXEC)
    try:
        view = memoryview(packet)
        while view:
            view = view[os.write(descriptor, view) :]
        socket.send_fds(connection, [b"\0"], [descriptor], socket.MSG_NOSIGNAL)
    finally:
        os.close(descriptor)


def receive(connection: socket.socket, buffer: bytearray) -> bytes | None:
    """Receive a packet into `buffer` (at least PACKET + 1,024 bytes); None at the end. Raises BlockingIOError."""
    size, ancillary, _, _ = connection.recvmsg_into([buffer], _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
    if not size:
        return None
    if not ancillary:
        return bytes(memoryview(buffer)[:size])
    descriptors = array.array("i", ancillary[0][2][: array.array("i").itemsize])
    try:
        return os.pread(descriptors[0], os.fstat(descriptors[0]).st_size, 0)
    finally:
        os.close(descriptors[0])
