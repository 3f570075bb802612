"""An object of 1 GiB in parts of 64 MiB, four at a time."""

import hashlib
import time
from dataclasses import dataclass, replace
from typing import Final

from bench.peers.generator import Measured, WrongAnswers
from bench.peers.loads import Under
from bench.peers.servers import client_of

PARTS: Final = 16
_NAME: Final = "multipart"


@dataclass(frozen=True)
class Multipart:
    """The load: one object is one request of it."""

    name: str = "multipart-1g"
    connections: int = 4
    plain: bool = False

    def prepare(self, under: Under) -> None:
        """Nothing is there before."""

    def measure(self, under: Under) -> Measured:
        """From the first byte of the first part until the object is there. Raises WrongAnswers."""
        client, bucket = client_of(under.server), under.server.bucket
        upload = client.create_multipart_upload(Bucket=bucket, Key=_NAME)["UploadId"]
        numbers = range(1, PARTS + 1)
        requests = [under.maker.part(_NAME, upload, number, "large") for number in numbers]
        measured = under.send(requests, self.connections, once=True)
        etags = {
            part["PartNumber"]: part["ETag"]
            for part in client.list_parts(Bucket=bucket, Key=_NAME, UploadId=upload)["Parts"]
        }
        parts = [{"PartNumber": number, "ETag": etags[number]} for number in numbers]
        began = time.perf_counter()
        done = client.complete_multipart_upload(
            Bucket=bucket, Key=_NAME, UploadId=upload, MultipartUpload={"Parts": parts}
        )
        taken = measured.seconds + time.perf_counter() - began
        self._check(under, done["ETag"].strip('"'))
        client.delete_object(Bucket=bucket, Key=_NAME)
        return replace(measured, requests=1, seconds=taken)

    def _check(self, under: Under, etag: str) -> None:
        """Raise WrongAnswers unless it is the object that was sent."""
        size = PARTS * under.bodies.sizes["large"]
        client = client_of(under.server)
        found = client.head_object(Bucket=under.server.bucket, Key=_NAME)["ContentLength"]
        if found != size:
            raise WrongAnswers(f"the object has {found} bytes, not {size}")
        digests = hashlib.md5(bytes.fromhex(under.bodies.md5["large"]) * PARTS, usedforsecurity=False).hexdigest()
        if under.server.md5_etags and etag != f"{digests}-{PARTS}":
            raise WrongAnswers(f"the object's ETag is {etag}, not {digests}-{PARTS}")
        reads = [under.maker.range(_NAME, "large", 0, under.bodies.sizes["large"])]
        under.send(reads, 1, once=True)
