"""What there is to say of a folder cluster beside its objects: kept in the state for who looks from another process."""

from typing import Literal

import msgspec

from cooper_operator.cluster.port import Kind, Ref
from cooper_operator.cluster.problems import Problem

#: Vanished: no file declares the resource any more, and its deletion begins within seconds. Held: the same, but its
#: document may be in a file that cannot be read, so it is kept. NotApplied: its manifest cannot be used as it is now.
RemarkType = Literal["Vanished", "Held", "NotApplied"]


class Remark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a resource's own status cannot say, since it is about its file."""

    kind: Kind
    namespace: str
    name: str
    type: RemarkType
    text: str

    @property
    def ref(self) -> Ref:
        """The resource."""
        return Ref(self.kind, self.namespace, self.name)


class FolderReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Problems in order of file and line, and at most one remark about each resource."""

    problems: list[Problem] = []
    remarks: list[Remark] = []


def remark(ref: Ref, type_: RemarkType, text: str) -> Remark:
    """A remark about a resource."""
    return Remark(ref.kind, ref.namespace, ref.name, type_, text)
