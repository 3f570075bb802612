"""Which handler answers which operation. A test proves that every row of `protocol/routes.py` has one."""

from typing import Final

from cooper_gateway.operations.call import Handler, NowHandler

#: operation -> its handler.
HANDLERS: Final[dict[str, Handler]] = {}

#: operation -> its synchronous handler; it answers None when the request has to take the asynchronous one.
NOW: Final[dict[str, NowHandler]] = {}
