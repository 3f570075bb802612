"""Uploads by form, made by hand: policies, their signatures, and multipart bodies, also such as no browser sends."""

import base64
import hmac
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

BOUNDARY = "----WebKitFormBoundaryWBEmfAwMFtPlhoey"
FILE = b"the file's bytes"


def iso_date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def encoded(document: object) -> str:
    """The field `policy` for a document, which may be none."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.b64encode(text).decode()


def signature(secret: str, scope: str, policy: str) -> str:
    """As the specification has it: the policy is the string to sign."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, policy.encode(), "sha256").hex()


@dataclass
class Signer:
    """Who signs policies. `at` in Unix seconds, now where it is None."""

    key_id: str
    secret: str
    region: str = "local"
    at: float | None = None

    def fields(
        self,
        bucket: str,
        key: str = "by-form",
        conditions: Iterable[object] = (),
        *,
        more: Mapping[str, str] | None = None,
        document: object = None,
        expires: float = 600,
        shift: float = 0,
        scope: str | None = None,
        own: bool = True,
    ) -> dict[str, str]:
        """Fields of a form that is right, with `more` of them that the policy names as they are.

        `conditions` come besides; without `own` there are no others. `document` is the policy in place of all that.
        """
        now = (time.time() if self.at is None else self.at) + shift
        date = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = scope or f"{date[:8]}/{self.region}/s3/aws4_request"
        signed = {
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": f"{self.key_id}/{scope}",
            "x-amz-date": date,
        }
        beginning = key.removesuffix("${filename}")
        place = {"key": key} if beginning == key else ["starts-with", "$key", beginning]  # as boto3 has it
        named = {"bucket": bucket, **signed, **(more or {})}
        all_of_them = [*([place, *({name: value} for name, value in named.items())] if own else []), *conditions]
        if document is None:
            document = {"expiration": iso_date(now + expires), "conditions": all_of_them}
        policy = encoded(document)
        return {
            "key": key,
            **signed,
            **(more or {}),
            "policy": policy,
            "x-amz-signature": signature(self.secret, scope, policy),
        }


@dataclass
class Multipart:
    """A body of multipart/form-data; `raw` pairs let names be there twice."""

    fields: Mapping[str, str] | Sequence[tuple[str, str | bytes]]
    file: bytes | None = FILE
    filename: str | None = "C:\\pictures\\cat.png"
    boundary: str = BOUNDARY
    after: Sequence[tuple[str, str]] = field(default_factory=tuple)
    end: bytes = b"--\r\n"

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    def part(self, head: str, content: bytes) -> bytes:
        return f"--{self.boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"

    def named(self, name: str, value: str | bytes) -> bytes:
        content = value.encode() if isinstance(value, str) else value
        return self.part(f'Content-Disposition: form-data; name="{name}"', content)

    def __bytes__(self) -> bytes:
        pairs = self.fields.items() if isinstance(self.fields, Mapping) else self.fields
        parts = [self.named(name, value) for name, value in pairs]
        if self.file is not None:
            called = "" if self.filename is None else f'; filename="{self.filename}"'
            head = f'Content-Disposition: form-data; name="file"{called}\r\nContent-Type: image/png'
            parts.append(self.part(head, self.file))
        parts += [self.named(name, value) for name, value in self.after]
        return b"".join(parts) + f"--{self.boundary}".encode() + self.end
