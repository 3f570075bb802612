"""The shortest way: a read of a small object, of a known kind, whose answer follows from the object alone.

Nothing but its name is new, and nobody has to be waited for: no call, no exchange and no response are made for it. What
does not go so, for whichever reason, is asked anew by the short way (repeats.py), and by the whole one after that.
"""

import time
from typing import Final

from cooper_gateway.http.finished import Finished
from cooper_gateway.http.pipeline import Pipeline
from cooper_gateway.http.rendering import UnsafeHeader, object_lines, plain_answer
from cooper_gateway.http.repeats import Kind, Repeat
from cooper_gateway.http.request_ids import RequestIds
from cooper_gateway.operations.get_object import plain_headers
from cooper_gateway.storage.port import ObjectInfo

#: Objects whose header lines are kept, and bytes that these may have: a worker's store keeps as many entries opened, of
#: small ones.
_KEPT: Final = 2048
_LONGEST_KEPT: Final = 512


class PlainReads:
    """Answers them. One per worker, since it keeps header lines."""

    def __init__(self, pipeline: Pipeline, request_ids: RequestIds) -> None:
        self._pipeline = pipeline
        self._request_ids = request_ids
        #: By the identity of what they tell of, which is kept with them: so no other object can have it.
        self._lines: dict[int, tuple[ObjectInfo, bytes]] = {}

    def answer(self, kind: Kind, repeat: Repeat, common: bytes) -> bytes | None:
        """The whole answer, told to who observes; None when the request does not go this way. `common` are the header
        lines of every answer."""
        begun = time.perf_counter()
        found = self._pipeline.read_again(kind, repeat)
        if found is None:
            return None
        request, info, body = found
        try:
            lines = self._lines_of(info)
        except UnsafeHeader:  # the whole way meets it as well, and says so
            return None
        request_id = self._request_ids()
        answer = plain_answer(common, request_id, lines, body)
        seconds = time.perf_counter() - begun
        self._pipeline.observe(Finished(request, request_id, 200, "", seconds, 0, len(body), request.peer))
        return answer

    def _lines_of(self, info: ObjectInfo) -> bytes:
        known = self._lines.get(id(info))
        if known is not None:
            return known[1]
        lines = object_lines(plain_headers(info), info.size)
        if len(lines) > _LONGEST_KEPT:
            return lines
        if len(self._lines) >= _KEPT:
            self._lines.clear()
        self._lines[id(info)] = (info, lines)
        return lines
