"""PostObject: an upload by HTML form. What the form says becomes what PutObject is told; the answer is a browser's."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from cooper_gateway.operations.call import Call
from cooper_gateway.operations.get_object import checksum_headers
from cooper_gateway.operations.limits import least_file
from cooper_gateway.operations.markup import document, name_text, quoted, text
from cooper_gateway.operations.put_object import store_object
from cooper_gateway.protocol.messages import Response

#: What may stand in a Location header and nowhere else than in one.
_URL: Final = re.compile(r"https?://[!-~]+", re.IGNORECASE)


async def post_object(call: Call) -> Response:
    """Store the form's file as an object. Raises what PutObject raises, and EntityTooSmall."""
    info = await store_object(call, least_file(call))
    fields: Mapping[str, str] = {} if call.form is None else call.form.fields
    headers = {"ETag": f'"{info.etag}"', "Location": call.location, **checksum_headers(info)}
    following = _following(fields, call, info.etag)
    if following is not None:
        return Response(303, {**headers, "Location": following})
    # "If the value is not set to one of these values, Amazon S3 returns an empty document with a 204 status code."
    wanted = fields.get("success_action_status")
    if wanted != "201":
        return Response(200 if wanted == "200" else 204, headers)
    answer = document(
        "PostResponse",
        f"<Location>{text(call.location)}</Location><Bucket>{text(call.record.name)}</Bucket>"
        f"<Key>{name_text(call.name)}</Key>{quoted(info.etag)}",
        headers,
    )
    answer.status = 201
    return answer


def _following(fields: Mapping[str, str], call: Call, etag: str) -> str | None:
    """Where the form sends the browser, with bucket, key and ETag in the query.

    "If Amazon S3 cannot interpret the URL, it acts as if the field is not present." One of another scheme would run as
    a script in some browsers.
    """
    url = fields.get("success_action_redirect", fields.get("redirect", ""))
    if not _URL.fullmatch(url):
        return None
    try:
        scheme, host, path, query, fragment = urlsplit(url)
    except ValueError:
        return None
    if not host:
        return None
    told = f"bucket={call.record.name}&key={quote(call.name, safe='')}&etag=%22{etag}%22"
    return urlunsplit((scheme, host, path, f"{query}&{told}" if query else told, fragment))
