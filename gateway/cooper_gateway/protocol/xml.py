"""XML of the S3 protocol: strict readers of what clients send, and a fast renderer of what they get.

A reader takes UTF-8 only and refuses document types, entities, processing instructions, depth, and elements it does
not know: what could be misread is not read.
"""

import re
import string
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final
from urllib.parse import quote_from_bytes
from xml.parsers import expat

from cooper_gateway.protocol.checksums import ALGORITHMS
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.paths import check_name
from cooper_gateway.protocol.ranges import entity_tag

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
#: Largest document that a client may send, in bytes.
MAX_DOCUMENT: Final = 2 << 20
#: Attributes of an element. S3 has none but `xmlns`, and some libraries add theirs.
MAX_ATTRIBUTES: Final = 8
#: Bytes of a tag with the text that follows it; a key of 1,024 bytes needs 6,144 when every one is a reference.
MAX_TAG: Final = 16 << 10
#: "The request can contain a list of up to 1,000 keys" (DeleteObjects)
MAX_DELETES: Final = 1000
#: "Part number of part being uploaded. This is a positive integer between 1 and 10,000."
MAX_PARTS: Final = 10_000

#: What a document renders: element names with text, a number, a truth, bytes of a name, or elements of their own.
Value = str | int | bool | bytes | Sequence[tuple[str, "Value"]]
Elements = Sequence[tuple[str, Value]]


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """The body of DeleteObjects."""

    names: list[bytes]  # in the client's order; repeated ones stay
    quiet: bool = False
    etags: dict[bytes, str] = field(default_factory=dict[bytes, str])  # what an object must have to be deleted


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """One part that CompleteMultipartUpload names."""

    number: int
    etag: str  # without quotes
    checksums: dict[str, str] = field(default_factory=dict[str, str])  # algorithm: base64 value


# The parser reads a tag with all its attributes before it tells of it. A tag ends before the next "<", which no
# attribute may contain (XML 1.0, 2.3); a ">" it may.
_LONG_TAG: Final = re.compile(b"<[^<]{%d}" % MAX_TAG)


class _Reader:
    """Collects the leaves of a document, below its root and below each inner element.

    What is not expected is refused where it begins: a document full of it costs no more than its first element.
    """

    def __init__(self, root: str, leaves: Set[str], inner: str, inner_leaves: Set[str], most: int) -> None:
        self._root = root
        self._inner = inner  # the element that repeats below the root, at most `most` times
        self._most = most
        #: Elements that may begin, by depth.
        self._expected = ({root}, leaves | {inner}, inner_leaves)
        self._path: list[str] = []
        self._text: list[str] = []
        self._current: dict[str, str] = {}
        self.rows: list[dict[str, str]] = []
        self.leaves: dict[str, str] = {}  # directly below the root

    def read(self, body: bytes) -> None:
        """Parse the whole document. Raises S3Error MalformedXML."""
        if len(body) > MAX_DOCUMENT:
            raise S3Error("MalformedXML", f"The XML document is larger than {MAX_DOCUMENT} bytes.")
        if _LONG_TAG.search(body):
            raise S3Error("MalformedXML", f"A tag and the text after it may have at most {MAX_TAG} bytes together.")
        parser = expat.ParserCreate("UTF-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        parser.ProcessingInstructionHandler = _refuse
        parser.ExternalEntityRefHandler = _refuse
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        try:
            body.decode()  # a byte order mark would make expat read UTF-16, whatever the parser was told
            parser.Parse(body, True)
        except UnicodeDecodeError:
            raise S3Error("MalformedXML", "The XML document is not UTF-8.") from None
        except expat.ExpatError as error:
            raise S3Error(
                "MalformedXML", f"The XML is not well formed: line {error.lineno}, column {error.offset}."
            ) from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(attributes) > MAX_ATTRIBUTES:
            raise S3Error("MalformedXML", f"The element {name:.200} has more than {MAX_ATTRIBUTES} attributes.")
        self._path.append(name)
        depth = len(self._path)
        if (
            depth > len(self._expected)
            or name not in self._expected[depth - 1]
            or (depth == len(self._expected) and self._path[1] != self._inner)
        ):
            raise S3Error("MalformedXML", f"The element {'/'.join(self._path):.200} is not expected here.")
        self._no_text()

    def _end(self, name: str) -> None:
        depth = len(self._path)
        if depth == 2 and name == self._inner:
            self._no_text()
            if len(self.rows) == self._most:
                raise S3Error("MalformedXML", f"{self._root} may name at most {self._most}, this names more.")
            self.rows.append(self._current)
            self._current = {}
        elif depth > 1:
            leaves = self.leaves if depth == 2 else self._current
            if name in leaves:
                raise S3Error("MalformedXML", f"The element {'/'.join(self._path):.200} is there twice.")
            leaves[name] = "".join(self._text)
            self._text.clear()
        else:
            self._no_text()
        self._path.pop()

    def _no_text(self) -> None:
        """Between elements there may be white space only."""
        if "".join(self._text).strip(" \t\r\n"):
            raise S3Error("MalformedXML", f"There is text where elements are expected, in {'/'.join(self._path):.200}.")
        self._text.clear()


#: Elements of Delete/Object that make a deletion conditional, and that only directory buckets have.
_CONDITIONS: Final = frozenset({"LastModifiedTime", "Size"})


def read_delete(body: bytes) -> DeleteRequest:
    """Read the body of DeleteObjects. Raises S3Error MalformedXML, NotImplemented, KeyTooLongError."""
    reader = _Reader("Delete", {"Quiet"}, "Object", {"Key", "VersionId", "ETag"} | _CONDITIONS, MAX_DELETES)
    reader.read(body)
    if not reader.rows:
        raise S3Error("MalformedXML", f"Delete must name 1 to {MAX_DELETES} objects, this names none.")
    names: list[bytes] = []
    etags: dict[bytes, str] = {}
    for row in reader.rows:
        conditions = row.keys() & _CONDITIONS
        if conditions:
            raise S3Error("NotImplemented", f"Deleting on conditions ({', '.join(sorted(conditions))}) does not exist.")
        if row.get("VersionId", "null") not in ("", "null"):
            raise S3Error("NotImplemented", "There are no object versions here; leave out VersionId.")
        if not row.get("Key"):
            raise S3Error("MalformedXML", "Every Delete/Object needs a Key.")
        name = check_name(row["Key"].encode())
        if "ETag" in row:
            etag = entity_tag(row["ETag"].strip())
            if not etag or etags.setdefault(name, etag) != etag:
                raise S3Error("MalformedXML", "The ETag of a Delete/Object is empty, or the object is named with two.")
        names.append(name)
    return DeleteRequest(names, reader.leaves.get("Quiet", "").strip().lower() == "true", etags)


def read_location(body: bytes) -> str:
    """Read the body of CreateBucket: its LocationConstraint, empty where there is none. Raises S3Error MalformedXML,
    NotImplemented."""
    if not body:
        return ""
    reader = _Reader("CreateBucketConfiguration", {"LocationConstraint"}, "Location", {"Name", "Type"}, 1)
    reader.read(body)
    if reader.rows:
        raise S3Error("NotImplemented", "There are no directory buckets here; leave out Location.")
    return reader.leaves.get("LocationConstraint", "").strip()


_PART_CHECKSUMS: Final = {f"Checksum{name}": name for name in ALGORITHMS}


def read_complete(body: bytes) -> list[CompletedPart]:
    """Read the body of CompleteMultipartUpload. Raises S3Error MalformedXML, InvalidPartOrder."""
    known = {"PartNumber", "ETag", *_PART_CHECKSUMS}
    reader = _Reader("CompleteMultipartUpload", frozenset(), "Part", known, MAX_PARTS)
    reader.read(body)
    if not reader.rows:
        raise S3Error("MalformedXML", f"An upload has 1 to {MAX_PARTS} parts, this names none.")
    parts = [_part(row) for row in reader.rows]
    for before, after in pairwise(parts):
        if before.number >= after.number:
            raise S3Error("InvalidPartOrder")
    return parts


def _part(row: dict[str, str]) -> CompletedPart:
    number = row.get("PartNumber", "").strip()
    if not re.fullmatch("[0-9]{1,5}", number) or not 1 <= int(number) <= MAX_PARTS:
        raise S3Error("MalformedXML", f"PartNumber must be a number from 1 to {MAX_PARTS}.")
    etag = row.get("ETag", "").strip().strip('"')
    if not etag:
        raise S3Error("MalformedXML", f"Part {number} needs its ETag.")
    checksums = {_PART_CHECKSUMS[name]: value.strip() for name, value in row.items() if name in _PART_CHECKSUMS}
    return CompletedPart(int(number), etag, checksums)


def _refuse(*_: object) -> int:
    raise S3Error("MalformedXML", "Document types, entities and processing instructions are not allowed.")


# XML 1.0, 2.2: characters below a space other than tab, line feed and carriage return do not exist in XML, not even as
# references. Amazon S3 sends references all the same; clients that need such names ask for encoding-type=url.
_SPECIAL: Final = re.compile('[&<>"\x00-\x1f\x7f\ufffe\uffff]')
_NOT_ENCODED: Final = "/-._~"
_PLAIN: Final = f"{string.ascii_letters}{string.digits}{_NOT_ENCODED}".encode()
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def escape(text: str) -> str:
    """Text as it stands between tags. Line breaks and control characters become references."""
    return _SPECIAL.sub(_reference, text) if _SPECIAL.search(text) else text


def escape_each(texts: list[str]) -> list[str]:
    """The same of many, among which there is mostly nothing to replace."""
    return [escape(text) for text in texts] if _SPECIAL.search("".join(texts)) else texts


def url_encoded(name: bytes) -> str:
    """A name as encoding-type=url has it. A slash stays; a space is %20, which every client decodes."""
    return quote_from_bytes(name, safe=_NOT_ENCODED)


def url_encode_each(names: list[bytes]) -> list[str]:
    """The same of many, of which mostly nothing is to be encoded."""
    plain = not b"".join(names).translate(None, _PLAIN)
    return [name.decode() for name in names] if plain else [url_encoded(name) for name in names]


def document(root: str, elements: Elements, namespace: str | None = NAMESPACE) -> bytes:
    """A whole document: declaration, root element, and (name, value) pairs, nested as values nest."""
    opening = f'{root} xmlns="{namespace}"' if namespace else root
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n<', opening, ">"]
    _render(elements, parts)
    parts.append(f"</{root}>")
    return "".join(parts).encode()


def _render(elements: Elements, parts: list[str]) -> None:
    for name, value in elements:
        if isinstance(value, str):
            text = _SPECIAL.sub(_reference, value) if _SPECIAL.search(value) else value
        elif isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, int):
            text = str(value)
        elif isinstance(value, bytes):
            text = escape(value.decode())
        else:
            parts.append(f"<{name}>")
            _render(value, parts)
            text = ""
            parts.append(f"</{name}>")
            continue
        parts.append(f"<{name}>{text}</{name}>")


def _reference(match: re.Match[str]) -> str:
    character = match[0]
    return _NAMED.get(character) or f"&#x{ord(character):X};"
