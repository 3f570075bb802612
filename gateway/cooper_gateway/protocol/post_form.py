"""An upload by HTML form: from the bytes of a multipart/form-data body to the form's fields, and then to its file.

    --boundary CRLF  headers CRLF CRLF  value  CRLF --boundary CRLF  …  the file  CRLF --boundary-- [CRLF]

Specification: "POST Object" (Amazon S3 API Reference), RFC 7578, and RFC 2046, 5.1.1. Stricter than these: what two
readers could take for different forms is refused. What comes before the file is kept and bounded; of the file nothing
is kept but what may be the beginning of a boundary.

    FormReader:  first delimiter ──> its end ──> headers ──> value ──> its end …         until a field is named `file`
    FormFile:    the file ──delimiter──> what follows, which is ignored and bounded
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from cooper_gateway.protocol.errors import S3Error

#: "The form data and boundaries (excluding the contents of the file) cannot exceed 20 KB." Here so much may come before
#: the file, and as much after it.
MAX_FORM: Final = 20 << 10
#: Fields before the file. S3 knows about thirty, and metadata may have as many more.
MAX_FIELDS: Final = 100
_FILE: Final = "file"
_FILENAME: Final = "${filename}"

_MULTIPART: Final = "multipart/form-data"
# RFC 2046, 5.1.1: 1 to 70 characters of these; a space is one of them, not at the end.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=?\- ]{0,69}[0-9A-Za-z'()+_,./:=?\-]")
_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
#: What may follow the media type, and what may follow `form-data`: a name with a token or a quoted string.
_PARAMETER: Final = re.compile(rf'[ \t]*;[ \t]*({_WORD})=(?:"((?:[^"\\]|\\.)*)"|({_WORD}))')
_HEADER: Final = re.compile(rf"({_WORD}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_NAME: Final = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?")
#: Encodings of a part that leave its bytes as they are; nobody sends others since RFC 7578.
_AS_IT_IS: Final = frozenset({"binary", "8bit", "7bit"})

#: Fields that the answer is made by.
_FOR_ANSWER: Final = frozenset({"success_action_status", "success_action_redirect", "redirect"})
#: Fields that mean what a header of that name means to PutObject.
_HEADERS: Final = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-md5",
        "content-type",
        "expires",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-server-side-encryption",
    }
)
_HEADER_PREFIXES: Final = ("x-amz-meta-", "x-amz-checksum-")


@dataclass(frozen=True, slots=True)
class Form:
    """What stands before a form's file."""

    boundary: str
    #: Names in lower case, which S3 takes in any; values with `${filename}` replaced. They are as good as a link.
    fields: Mapping[str, str] = field(repr=False)
    before: int  # bytes of the body before the file's first

    def for_answer(self) -> "Form":
        """The form with what is still needed of its fields once it is decided: it is held while its file comes."""
        kept = {name: value for name, value in self.fields.items() if name in _FOR_ANSWER}
        return replace(self, fields=kept)


def is_form(content_type: str) -> bool:
    """Whether a request's Content-Type is that of a form with a file."""
    return content_type.partition(";")[0].strip(" \t").lower() == _MULTIPART


def form_boundary(content_type: str) -> str:
    """The boundary that a Content-Type names. Raises S3Error MalformedPOSTRequest."""
    boundary = _parameters(content_type, len(content_type.partition(";")[0])).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise malformed("the Content-Type needs a boundary of 1 to 70 characters, once")
    return boundary


def malformed(message: str) -> S3Error:
    """The answer to a body that is not one form, or could be two."""
    return S3Error("MalformedPOSTRequest", f"The body is not well-formed multipart/form-data: {message}.")


def missing(name: str) -> S3Error:
    """The answer to a form without this field, in S3's words."""
    return S3Error(
        "InvalidArgument",
        f"Bucket POST must contain a field named '{name}'. If it is specified, please check the order of the fields.",
    )


class FormReader:
    """Reads a form up to its file. Feed it as bytes come, until it returns the form."""

    __slots__ = ("_at", "_boundary", "_buffer", "_delimiter", "_fields", "_name", "_searched", "_step")

    def __init__(self, boundary: str) -> None:
        self._boundary = boundary
        self._delimiter = f"\r\n--{boundary}".encode()
        self._buffer = bytearray(b"\r\n")  # so that the first delimiter is like the others
        self._at = 0  # where what is not understood yet begins
        self._searched = 0  # up to where the end of that was searched for: a byte at a time costs no more than all
        self._fields: dict[str, str] = {}
        self._name = ""
        self._step: Callable[[FormReader], Form | bool] = FormReader._first

    @property
    def rest(self) -> bytes:
        """What of the bytes fed belongs to the file, once there is a form."""
        return bytes(self._buffer[self._at :])

    def feed(self, data: bytes | bytearray) -> Form | None:
        """Take in bytes; the form once its file begins. Raises S3Error."""
        self._buffer += data
        while (done := self._step(self)) is True:
            pass
        return done or None

    def _until(self, end: bytes) -> bytes | None:
        """What comes before `end`; None when that is still to come. Where pieces end makes no difference."""
        most = MAX_FORM + 2
        found = self._buffer.find(end, max(self._at, self._searched - len(end) + 1), most)
        if found >= 0:
            taken = bytes(self._buffer[self._at : found])
            self._at = self._searched = found + len(end)
            return taken
        if len(self._buffer) >= most:
            raise S3Error("MaxPostPreDataLengthExceededError")
        self._searched = len(self._buffer)
        return None

    def _first(self) -> bool:
        before = self._until(self._delimiter)
        if before:
            raise malformed("it does not begin with its boundary")
        return self._go_on(before, FormReader._delimited)

    def _delimited(self) -> bool:
        end = bytes(self._buffer[self._at : self._at + 2])
        if len(end) < 2:
            return False
        if end == b"--":
            raise S3Error("InvalidArgument", "POST requires exactly one file upload per request.")
        if end != b"\r\n":
            raise malformed("its boundary stands within a field")
        self._at += 2
        return self._go_on(end, FormReader._headers)

    def _headers(self) -> Form | bool:
        section = self._until(b"\r\n\r\n")
        if section is None:
            return False
        self._name, filename = _disposition(section)
        if self._name == _FILE:
            return Form(self._boundary, _expanded(self._fields, filename), self._at - 2)
        if self._name in self._fields:
            raise S3Error("InvalidArgument", f"The form's field {self._name:.100} is there more than once.")
        if len(self._fields) == MAX_FIELDS:
            raise S3Error("InvalidArgument", f"A form may have at most {MAX_FIELDS} fields before its file.")
        return self._go_on(section, FormReader._value)

    def _value(self) -> bool:
        value = self._until(self._delimiter)
        if value is not None:
            self._fields[self._name] = _text(value)
        return self._go_on(value, FormReader._delimited)

    def _go_on(self, found: bytes | None, step: "Callable[[FormReader], Form | bool]") -> bool:
        if found is None:
            return False
        self._step = step
        return True


class FormFile:
    """The file of a form as a payload (`protocol.payload.PayloadDecoder`): ends only with the form.

    It has `least` to `most` bytes, or it is refused: as soon as there are more, and at its end when there are fewer.
    """

    __slots__ = ("_after", "_delimiter", "_held", "_least", "_most", "_received", "size", "trailers")

    def __init__(self, boundary: str, least: int = 0, most: int | None = None) -> None:
        self.size: int | None = None  # nothing says it: other fields may follow
        self.trailers: Mapping[str, str] = {}
        self._delimiter = f"\r\n--{boundary}".encode()
        self._held = b""  # what may be the beginning of the delimiter
        self._after: bytearray | None = None  # the delimiter and all that follows, once it has come
        self._least = least
        self._most = most
        self._received = 0

    def feed(self, data: bytes | bytearray) -> list[bytes]:
        """Bytes of the file in the next bytes of the body. Raises S3Error as soon as something is wrong."""
        data = bytes(data)
        if self._after is not None:
            self._follow(data)
            return []
        if self._held:
            data = self._held + data
        end = data.find(self._delimiter)
        if end >= 0:
            self._held = b""
            self._after = bytearray()
            self._follow(data[end:])
            data = data[:end]
        else:
            self._held = self._begun(data)
            if self._held:
                data = data[: -len(self._held)]
        self._received += len(data)
        if self._most is not None and self._received > self._most:
            raise too_long(self._most)
        return [data] if data else []

    def finish(self) -> None:
        """The body has ended. Raises S3Error unless the form ended with it, and the file is long enough."""
        if self._after is None:
            raise S3Error("IncompleteBody", "The body ended before the form's final boundary.")
        after = bytes(self._after).removesuffix(b"\r\n")
        final = self._delimiter + b"--"
        # Fields after the file "are ignored"; what is no field must not be there.
        if after != final and not (after.startswith(self._delimiter + b"\r\n") and after.endswith(final)):
            raise malformed("something else than fields follows the file, or the final boundary is missing")
        if self._received < self._least:
            raise S3Error(
                "EntityTooSmall", f"The file has {self._received} bytes, and the policy wants {self._least} at least."
            )

    def _begun(self, data: bytes) -> bytes:
        """The end of `data` if the delimiter may begin there: its only carriage return is its first byte."""
        at = data.rfind(b"\r", max(0, len(data) - len(self._delimiter) + 1))
        return data[at:] if at >= 0 and self._delimiter.startswith(data[at:]) else b""

    def _follow(self, data: bytes) -> None:
        assert self._after is not None
        if len(self._after) + len(data) > MAX_FORM:
            raise malformed(f"over {MAX_FORM} bytes follow the file, or its boundary stands within the file")
        self._after += data


def too_long(most: int) -> S3Error:
    """The answer to a file over `most` bytes."""
    return S3Error("EntityTooLarge", f"The file is larger than the form's policy allows ({most} bytes).")


def least_size(form: Form, length: int) -> int:
    """Bytes that a form's file has at least when the whole body has `length`: what follows it is bounded."""
    return max(0, length - form.before - MAX_FORM)


def as_headers(fields: Mapping[str, str]) -> dict[str, str]:
    """The headers of a PutObject that would say of its object what these fields say. Raises S3Error InvalidArgument.

    As headers come: UTF-8 read as Latin-1.
    """
    headers: dict[str, str] = {}
    for name, value in fields.items():
        if name not in _HEADERS and not name.startswith(_HEADER_PREFIXES):
            continue
        if not re.fullmatch(_WORD, name):
            raise S3Error("InvalidArgument", f"The form's field {name!r:.100} cannot be the name of a header.")
        headers[name] = value.encode().decode("latin-1")
    return headers


def _parameters(text: str, position: int) -> dict[str, str]:
    """The parameters that a header's value has from there on, names in lower case, each once."""
    found: dict[str, str] = {}
    end = len(text.rstrip(" \t"))
    while position < end:
        match = _PARAMETER.match(text, position)
        if match is None or match[1].lower() in found:
            raise malformed("parameters of a header are there twice, or cannot be read")
        # Browsers leave backslashes as they are, curl escapes with them: these two only.
        quoted = match[2]
        found[match[1].lower()] = match[3] if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted)
        position = match.end()
    return found


def _disposition(section: bytes) -> tuple[str, str]:
    """Name of a part, in lower case, and of its file; without one an empty text. Raises S3Error."""
    headers: dict[str, str] = {}
    for line in _text(section).split("\r\n"):
        match = _HEADER.fullmatch(line)
        if match is None or match[1].lower() in headers:
            raise malformed("a header of a field is there twice, or cannot be read")
        headers[match[1].lower()] = match[2].rstrip(" \t")
    if headers.get("content-transfer-encoding", "binary").lower() not in _AS_IT_IS:
        raise malformed("fields are sent as they are, without a Content-Transfer-Encoding")
    kind, semicolon, _ = headers.get("content-disposition", "").partition(";")
    if kind.strip(" \t").lower() != "form-data" or not semicolon:
        raise malformed("each field needs a Content-Disposition of form-data with its name")
    parameters = _parameters(headers["content-disposition"], len(kind))
    name = parameters.get("name", "")
    if not _NAME.fullmatch(name):
        raise malformed("a field's name is missing, too long, or not ASCII")
    return name.lower(), parameters.get("filename", "")


def _expanded(fields: Mapping[str, str], filename: str) -> dict[str, str]:
    """The fields with `${filename}` replaced.

    "If the browser or client provides a full or partial path to the file, only the text following the last slash (/)
    or backslash (\\) is used […]. If no file or file name is provided, the variable is replaced with an empty string."
    """
    last = re.split(r"[/\\]", filename)[-1]
    expanded: dict[str, str] = {}
    size = 0
    for name, value in fields.items():
        size += len(value) + value.count(_FILENAME) * len(last)
        if size > MAX_FORM:  # all together: they are held while the file comes
            raise S3Error("InvalidArgument", f"The form's field {name:.100} is too long with the file's name in it.")
        expanded[name] = value.replace(_FILENAME, last)
    return expanded


def _text(value: bytes) -> str:
    """ "The form and policy must be UTF-8 encoded." """
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise S3Error("InvalidArgument", "A field of the form is not valid UTF-8.") from None
