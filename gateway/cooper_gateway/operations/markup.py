"""How answers are written as XML: one document form, quoted ETags, checksum elements."""

from functools import lru_cache
from typing import Final

from cooper_gateway.protocol.dates import to_timestamp
from cooper_gateway.protocol.messages import Response
from cooper_gateway.protocol.xml import NAMESPACE
from cooper_gateway.protocol.xml import escape as text
from cooper_gateway.storage.port import Checksum

__all__ = [
    "OWNER",
    "OWNER_ID",
    "checksum_elements",
    "checksum_values",
    "document",
    "iso_time",
    "name_text",
    "quoted",
    "text",
]

#: All objects of a gateway have one owner: who may do what is a matter of keys, not of accounts.
OWNER_ID: Final = "cooper"
OWNER: Final = f"<Owner><ID>{OWNER_ID}</ID><DisplayName>{OWNER_ID}</DisplayName></Owner>"


def name_text(name: bytes) -> str:
    """An object's name as XML text."""
    return text(name.decode())


def iso_time(milliseconds: int) -> str:
    """Unix milliseconds in whole seconds, as S3 tells them: `.000Z`. So a listing and a HEAD agree."""
    return _iso_time(milliseconds // 1000)


@lru_cache(maxsize=4096)
def _iso_time(seconds: int) -> str:
    return to_timestamp(seconds * 1000)


def quoted(etag: str) -> str:
    """An ETag element. S3 quotes ETags also inside XML."""
    return f"<ETag>&quot;{etag}&quot;</ETag>"


def checksum_values(checksum: Checksum | None) -> str:
    """The element with a checksum's value, or nothing."""
    if checksum is None:
        return ""
    return f"<Checksum{checksum.algorithm}>{checksum.value}</Checksum{checksum.algorithm}>"


def checksum_elements(checksum: Checksum | None) -> str:
    """The elements that show a checksum and its kind, or nothing."""
    return f"{checksum_values(checksum)}<ChecksumType>{checksum.kind}</ChecksumType>" if checksum is not None else ""


def document(root: str, content: str, headers: dict[str, str] | None = None) -> Response:
    """A 200 answer with one XML document; `content` is XML already."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{content}</{root}>'
    return Response(headers={"Content-Type": "application/xml", **(headers or {})}, body=body.encode())
