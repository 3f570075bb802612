"""Who waits for a worker, so that nobody waits for the many of another."""

from collections import OrderedDict, deque

from cooper_operator.cluster.port import Ref


class Line:
    """Resources in the order in which they are served: each namespace in its turn, and within one who came first.

    However many one tenant's are, and however often they change, another's come next. What has a right that another
    one takes away goes before all else of its namespace: nobody keeps that for longer by filling a line of his own.
    """

    def __init__(self) -> None:
        self._by_namespace: OrderedDict[str, deque[Ref]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, ref: Ref) -> None:
        """Have it served after all of its namespace that wait already."""
        self._by_namespace.setdefault(ref.namespace, deque()).append(ref)
        self._length += 1

    def put_first(self, ref: Ref) -> None:
        """Have it served before all of its namespace that wait already."""
        self._by_namespace.setdefault(ref.namespace, deque()).appendleft(ref)
        self._length += 1

    def popleft(self) -> Ref:
        """The next one. Raises LookupError when nobody waits."""
        if not self._length:
            raise LookupError("nobody waits")
        namespace, line = self._by_namespace.popitem(last=False)
        ref = line.popleft()
        if line:
            self._by_namespace[namespace] = line
        self._length -= 1
        return ref
