"""A request that is over, as metrics and the access log are told of it."""

import msgspec

from cooper_gateway.protocol.messages import Request


class Finished(msgspec.Struct, frozen=True):
    """Of bytes that never became a request there is no `request`."""

    request: Request | None
    request_id: str
    status: int
    error: str  # S3's code; empty: none
    seconds: float  # from the request's head to the end of its answer
    received: int  # bytes of its body
    sent: int  # bytes of the answer's body
    peer: str  # address of who was connected

    @property
    def operation(self) -> str:
        """What was asked for; `-` where that was not understood."""
        return "-" if self.request is None else self.request.operation
