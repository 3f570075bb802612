"""Bodies on their way into the store: hashed as they are written, counted, verified at their end.

Memory stays at a few chunks whatever the object's size: nothing is collected here.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from cooper_gateway.operations.call import Call
from cooper_gateway.operations.limits import too_large
from cooper_gateway.protocol.checksums import Checksummer, named_algorithm
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Piece
from cooper_gateway.protocol.xml import MAX_DOCUMENT
from cooper_gateway.storage.port import Checksum, OpenObject, Segment, SegmentWriter


@dataclass(frozen=True, slots=True)
class Received:
    """A body that arrived, verified, durable, and not yet visible."""

    segment: Segment
    etag: str
    checksum: Checksum | None


def requested_algorithm(headers: Mapping[str, str]) -> str | None:
    """The algorithm of x-amz-checksum-algorithm (copies, uploads). Raises InvalidRequest when it is not known."""
    wanted = headers.get("x-amz-checksum-algorithm")
    return named_algorithm(wanted).name if wanted else None


async def _write_all(chunks: AsyncIterator[Piece], writer: SegmentWriter, limit: int) -> Segment:
    """Write every chunk. Raises EntityTooLarge as soon as there are more than `limit` bytes."""
    total = 0
    async for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise too_large(limit)
        await writer.write(chunk)
    return await writer.finish()


async def _write_whole(chunks: Sequence[Piece], writer: SegmentWriter, limit: int) -> Segment:
    """The same for a body that is there. Raises EntityTooLarge."""
    if sum(map(len, chunks)) > limit:
        raise too_large(limit)
    for chunk in chunks:
        await writer.write(chunk)
    return await writer.finish()


def _checksum(sums: Checksummer) -> Checksum | None:
    result = sums.result
    return None if result is None else Checksum(*result)


async def receive(call: Call, writer: SegmentWriter, algorithm: str | None = None) -> Received:
    """Take in the request's body. `algorithm` is what the upload was created with: a part may declare no other.

    Raises EntityTooLarge, BadDigest, InvalidRequest, and what the body raises when it does not verify.
    """
    sums = Checksummer(call.request.headers, algorithm)
    if algorithm is not None and sums.algorithm is not None and sums.algorithm.name != algorithm:
        raise S3Error(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, "
            f"actual checksum Type: {sums.algorithm.name.lower()}",
        )
    writer.watch(sums.update)
    there = call.body.at_once()
    if there is not None:
        segment = await _write_whole(there, writer, call.max_object_size)
    else:
        segment = await _write_all(aiter(call.body), writer, call.max_object_size)
    sums.verify(call.body.trailers)
    return Received(segment, sums.etag, _checksum(sums))


async def copy_bytes(
    opened: OpenObject, start: int, end: int, writer: SegmentWriter, algorithm: str | None, with_etag: bool = True
) -> Received:
    """Copy bytes of an open object into a new segment. Nothing is hashed when neither ETag nor checksum is wanted."""
    sums = Checksummer({}, algorithm) if with_etag or algorithm is not None else None
    if sums is not None:
        writer.watch(sums.update)
    segment = await _write_all(opened.read(start, end), writer, end - start)
    if sums is None:
        return Received(segment, "", None)
    return Received(segment, sums.etag, _checksum(sums))


async def read_verified(call: Call) -> bytes:
    """A small body (an XML document), compared with the digests that the client sent with it."""
    body = await call.body.read(MAX_DOCUMENT)
    sums = Checksummer(call.request.headers)
    sums.update(body)
    sums.verify(call.body.trailers)
    return body
