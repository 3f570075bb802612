"""Handshakes of TLS, so many at a time: nobody needs a key to begin one, and each takes memory.

A connection is one of its worker's only when its handshake is over. Those that go on are counted here, where the event
loop asks for what it needs for one more: refused that, it closes the connection.
"""

import ssl
import time
import weakref
from typing import Any


class Handshake(ssl.SSLObject):
    """One end of a connection over TLS."""

    def do_handshake(self) -> None:
        """Go on with the handshake; it is over when this returns."""
        super().do_handshake()
        context = self.context
        assert isinstance(context, ServingContext)
        context.end(self)


class ServingContext(ssl.SSLContext):
    """A server's context. `most` and `seconds`: how many handshakes there are at a time, and how long one may take."""

    sslobject_class = Handshake  # pyright: ignore[reportAssignmentType] - None in the stubs: "defaults to SSLObject"
    most = 1
    seconds = 0.0

    def bound(self, most: int, seconds: float) -> None:
        """Set what the limits are, before the first connection."""
        self.most, self.seconds = most, seconds
        # Whoever leaves in the middle of one takes it along; what is kept alive longer than it can last counts no more.
        self._begun: weakref.WeakKeyDictionary[ssl.SSLObject, float] = weakref.WeakKeyDictionary()

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """What is needed for one more connection. Raises ConnectionAbortedError when there are too many."""
        now = time.monotonic()
        if len(self._begun) >= self.most:
            for each in [each for each, began in self._begun.items() if now - began > self.seconds]:
                del self._begun[each]
            if len(self._begun) >= self.most:
                raise ConnectionAbortedError("too many handshakes at a time")
        made = super().wrap_bio(*args, **options)
        self._begun[made] = now
        return made

    def end(self, handshake: ssl.SSLObject) -> None:
        """It is over."""
        self._begun.pop(handshake, None)
