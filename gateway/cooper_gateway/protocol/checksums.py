"""Checksums of SDKs, Content-MD5 and ETags: declared, computed, compared, composed over parts.

Specification: "Checking object integrity in Amazon S3" (Amazon S3 User Guide).
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, cast

from awscrt import checksums as crt
from cryptography.hazmat.primitives import hashes
from isal import isal_zlib

from cooper_gateway.protocol.errors import S3Error

_isal_crc32 = cast("Any", isal_zlib.crc32)  # pyright: ignore[reportUnknownMemberType]

_MD5: Final = hashes.MD5()  # noqa: S303 - an ETag, no proof of anything

Kind = Literal["FULL_OBJECT", "COMPOSITE"]
Buffer = bytes | bytearray | memoryview


class Hash(Protocol):
    """What computes one digest."""

    def update(self, data: Buffer, /) -> None:
        """Take in bytes."""
        ...

    def digest(self) -> bytes:
        """The digest of all bytes so far, big-endian for CRCs."""
        ...


class _Crc:
    """A CRC behind the interface of hashlib."""

    __slots__ = ("_function", "_size", "_value")

    def __init__(self, function: Callable[[Buffer, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class _Md5:
    """MD5 as `cryptography` has it: of a small body in half of hashlib's time, of a large one in 0.95 of it."""

    __slots__ = ("_hash",)

    def __init__(self) -> None:
        self._hash = hashes.Hash(_MD5)

    def update(self, data: Buffer, /) -> None:
        self._hash.update(data)

    def digest(self) -> bytes:
        return self._hash.copy().finalize()


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One checksum algorithm: how it is computed, and how it goes together over the parts of an upload."""

    name: str  # as in x-amz-checksum-algorithm
    size: int  # of the digest, in bytes
    new: Callable[[], Hash]
    kinds: tuple[Kind, ...]  # what a multipart upload may ask for; the first is the default
    combine: Callable[[int, int, int], int] | None = None  # CRCs of two neighbours and the second's length

    @property
    def header(self) -> str:
        """Name of the header or trailer that carries the value."""
        return f"x-amz-checksum-{self.name.lower()}"


def _crc(function: Any, size: int) -> Callable[[], Hash]:  # the libraries take any buffer; their types say less
    return lambda: _Crc(function, size)


def _sha(name: str) -> Callable[[], Hash]:
    return lambda: hashlib.new(name, usedforsecurity=False)


#: "For CRC64NVME only full object, for SHA-1 and SHA-256 only composite, for CRC32 and CRC32C both."
ALGORITHMS: Final[dict[str, Algorithm]] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("CRC32", 4, _crc(_isal_crc32, 4), ("COMPOSITE", "FULL_OBJECT"), crt.combine_crc32),
        Algorithm("CRC32C", 4, _crc(crt.crc32c, 4), ("COMPOSITE", "FULL_OBJECT"), crt.combine_crc32c),
        Algorithm("CRC64NVME", 8, _crc(crt.crc64nvme, 8), ("FULL_OBJECT",), crt.combine_crc64nvme),
        Algorithm("SHA1", 20, _sha("sha1"), ("COMPOSITE",)),
        Algorithm("SHA256", 32, _sha("sha256"), ("COMPOSITE",)),
    )
}
_BY_HEADER: Final = {algorithm.header: algorithm for algorithm in ALGORITHMS.values()}
_PREFIX: Final = "x-amz-checksum-"
_WRONG_MD5: Final = "The Content-MD5 that you sent does not match the body that arrived."
#: Headers of that prefix that carry no value of a checksum.
_NOT_VALUES: Final = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"})


@dataclass(frozen=True, slots=True)
class Declared:
    """The checksum a request announces. `value` None: it comes in a trailer, or is only asked to be computed."""

    algorithm: Algorithm
    value: str | None = None  # base64
    in_trailer: bool = False


def declared_checksum(headers: Mapping[str, str]) -> Declared | None:
    """The SDK checksum that a request's headers declare of its body, at most one. Raises S3Error InvalidRequest."""
    declared = _declared(headers)
    if declared is not None and declared.value is not None:
        _decode_value(declared.algorithm, declared.value, declared.algorithm.header)
    return declared


def object_checksum(headers: Mapping[str, str]) -> tuple[Algorithm, str] | None:
    """The checksum that CompleteMultipartUpload declares of the whole object: its headers are not about its own body.

    A composite value ends in `-` and the number of parts. Raises S3Error InvalidRequest.
    """
    declared = _declared(headers)
    return None if declared is None or declared.value is None else (declared.algorithm, declared.value)


def _declared(headers: Mapping[str, str]) -> Declared | None:
    if not any(name.startswith((_PREFIX, "x-amz-trailer", "x-amz-sdk-checksum")) for name in headers):
        return None
    carried = [name for name in headers if name.startswith(_PREFIX) and name not in _NOT_VALUES]
    in_trailer = trailer_names(headers)
    if len(carried) + len(in_trailer) > 1:
        raise S3Error("InvalidRequest", "Expecting a single x-amz-checksum- header or trailer. Send one only.")
    wanted = headers.get("x-amz-sdk-checksum-algorithm")
    if not carried and not in_trailer:
        return Declared(named_algorithm(wanted)) if wanted else None
    name = (carried or in_trailer)[0]
    algorithm = _BY_HEADER.get(name)
    if algorithm is None:
        raise S3Error("InvalidRequest", f"{name:.64} is not known; the algorithms are {', '.join(ALGORITHMS)}.")
    if wanted and wanted.upper() != algorithm.name:
        raise S3Error("InvalidRequest", f"x-amz-sdk-checksum-algorithm says {wanted:.32}, but {name} was sent.")
    return Declared(algorithm, headers[name]) if carried else Declared(algorithm, None, True)


def named_algorithm(name: str) -> Algorithm:
    """The algorithm of that name, in any case. Raises S3Error InvalidRequest."""
    algorithm = ALGORITHMS.get(name.upper())
    if algorithm is None:
        raise S3Error("InvalidRequest", f"No checksum algorithm {name!r:.32}; there are {', '.join(ALGORITHMS)}.")
    return algorithm


def multipart_kind(algorithm: Algorithm, wanted: str | None) -> Kind:
    """The checksum type of a multipart upload, from x-amz-checksum-type. Raises S3Error InvalidRequest."""
    if not wanted:
        return algorithm.kinds[0]
    for kind in algorithm.kinds:
        if kind == wanted.upper():
            return kind
    raise S3Error(
        "InvalidRequest", f"{algorithm.name} of a multipart upload is {' or '.join(algorithm.kinds)}, not {wanted:.32}."
    )


def trailer_names(headers: Mapping[str, str]) -> list[str]:
    """Names of the trailers that x-amz-trailer announces, lower case. Raises S3Error InvalidRequest.

    Only checksums may come in trailers; anything else would be a header that escaped its checks.
    """
    names = [name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name.strip()]
    for name in names:
        if name not in _BY_HEADER:
            raise S3Error("InvalidRequest", f"x-amz-trailer: {name!r:.64} is not one of {', '.join(_BY_HEADER)}.")
    if len(set(names)) != len(names):
        raise S3Error("InvalidRequest", "x-amz-trailer names a trailer twice.")
    return names


def content_md5(headers: Mapping[str, str]) -> bytes | None:
    """The digest of Content-MD5, or None without one. Raises S3Error InvalidDigest."""
    text = headers.get("content-md5")
    if text is None:
        return None
    digest = _from_base64(text)
    if digest is None or len(digest) != 16:
        raise S3Error("InvalidDigest", "Content-MD5 must be the base64 form of a 16-byte MD5.")
    return digest


def check_md5(headers: Mapping[str, str], body: bytes) -> None:
    """Compare a whole body with its Content-MD5, if there is one. Raises S3Error InvalidDigest, BadDigest."""
    expected = content_md5(headers)
    if expected is not None and expected != hashlib.md5(body, usedforsecurity=False).digest():
        raise S3Error("BadDigest", _WRONG_MD5)


class Checksummer:
    """Computes the MD5 (for the ETag) and the declared checksum of one body, and compares.

    With `default`, that algorithm is computed when the request declares none.
    """

    __slots__ = ("_declared", "_expected_md5", "_hash", "_md5", "algorithm")

    def __init__(self, headers: Mapping[str, str], default: str | None = None) -> None:
        self._declared = declared_checksum(headers)
        self._expected_md5 = content_md5(headers)
        self.algorithm = self._declared.algorithm if self._declared else ALGORITHMS[default] if default else None
        self._hash = self.algorithm.new() if self.algorithm else None
        self._md5 = _Md5()

    def update(self, data: Buffer) -> None:
        """Take in plaintext, in order."""
        self._md5.update(data)
        if self._hash is not None:
            self._hash.update(data)

    def verify(self, trailers: Mapping[str, str]) -> None:
        """Compare with what was declared. Raises S3Error BadDigest, XAmzContentChecksumMismatch, InvalidRequest."""
        if self._expected_md5 is not None and self._expected_md5 != self._md5.digest():
            raise S3Error("BadDigest", _WRONG_MD5)
        declared = self._declared
        if declared is None:
            return
        sent = trailers.get(declared.algorithm.header) if declared.in_trailer else declared.value
        if declared.in_trailer and sent is None:
            raise S3Error("InvalidRequest", f"The trailer {declared.algorithm.header} was announced and did not come.")
        if sent is not None and _decode_value(declared.algorithm, sent, declared.algorithm.header) != self._digest():
            raise S3Error(
                "XAmzContentChecksumMismatch",
                f"The {declared.algorithm.name} that you sent does not match the body that arrived.",
            )

    @property
    def etag(self) -> str:
        """MD5 of the bytes so far, 32 hex digits without quotes."""
        return self._md5.digest().hex()

    @property
    def result(self) -> tuple[str, str] | None:
        """Name of the algorithm and base64 value of what came so far; None when none was wanted."""
        if self.algorithm is None:
            return None
        return self.algorithm.name, base64.b64encode(self._digest()).decode()

    def _digest(self) -> bytes:
        return self._hash.digest() if self._hash is not None else b""


def compose(algorithm: Algorithm, kind: Kind, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of a completed multipart upload, from its parts' base64 values and sizes, in order.

    COMPOSITE: the checksum of the parts' digests one after the other, then `-` and how many there are. FULL_OBJECT:
    the checksum of the whole object, combined without reading it again. Raises S3Error InvalidRequest for an algorithm
    that cannot be of that kind.
    """
    digests = [(_decode_value(algorithm, value, algorithm.header), size) for value, size in parts]
    if kind == "COMPOSITE":
        whole = algorithm.new()
        whole.update(b"".join(digest for digest, _ in digests))
        return f"{base64.b64encode(whole.digest()).decode()}-{len(digests)}"
    if algorithm.combine is None:
        raise S3Error("InvalidRequest", f"{algorithm.name} cannot be combined into one of the full object.")
    total = 0
    for digest, size in digests:
        total = algorithm.combine(total, int.from_bytes(digest, "big"), size)
    return base64.b64encode(total.to_bytes(algorithm.size, "big")).decode()


def multipart_etag(etags: Sequence[str]) -> str:
    """The ETag of a completed multipart upload: MD5 of the parts' MD5s, `-`, how many. Without quotes."""
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"


def _decode_value(algorithm: Algorithm, text: str, header: str) -> bytes:
    digest = _from_base64(text)
    if digest is None or len(digest) != algorithm.size:
        raise S3Error("InvalidRequest", f"Value for {header} header is invalid: base64 of {algorithm.size} bytes.")
    return digest


def _from_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
