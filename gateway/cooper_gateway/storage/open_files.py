"""How many files a worker's readers may hold open: connections and writes need descriptors, too.

An object of many parts costs a descriptor for each, and a public one is open to anybody.
"""

from cooper_gateway.storage.port import Overloaded


class OpenFiles:
    """Counts what readers hold. For one thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0

    def take(self, count: int) -> None:
        """Count `count` more files. Raises Overloaded when they are too many; one object alone may always be tried."""
        if count and self._open and self._open + count > self._most:
            raise Overloaded("too many files are open")
        self._open += count

    def give_back(self, count: int) -> None:
        """`count` files were closed."""
        self._open -= count
