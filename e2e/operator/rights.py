"""The rights that operator and gateways have in the tests: those that they need, and the making of what tests need."""

from collections.abc import Sequence
from typing import Any, Final

from cooper_crds.kubernetes import GROUP

_KINDS: Final = ("regions", "buckets", "accesskeys")
_READ: Final = ("get", "list", "watch")

#: Rows: API group, resources, verbs. Everywhere, as long as no tenants' namespaces are named.
EVERYWHERE: Final = (
    (GROUP, _KINDS, (*_READ, "update")),
    (GROUP, ("bucketgrants",), (*_READ, "delete")),  # of a namespace that is gone
    (GROUP, tuple(f"{kind}/status" for kind in (*_KINDS, "bucketgrants")), ("update",)),
    (GROUP, ("regions",), ("create",)),  # the installation's own
    (GROUP, ("accesskeys",), ("create", "delete")),  # Buckets' own
    (GROUP, ("buckets",), ("delete",)),  # asked for over S3
    ("", ("secrets",), (*_READ, "create", "patch", "delete")),
    ("", ("configmaps",), (*_READ, "create", "patch", "delete")),  # beside Secrets of profile OBC
    ("", ("events",), ("get", "create", "patch")),
    ("", ("namespaces",), ("get",)),  # whose retained data is
)
#: Where tenants are, for `restart`: a role of its own that can be left out.
ROLL_OUTS: Final = (("apps", ("deployments", "statefulsets", "daemonsets"), ("get", "patch")),)
#: Where tenants are and a Region serves CreateBucket over S3.
CREATING: Final = ((GROUP, ("buckets",), ("create",)),)
#: In the gateways' namespace.
WITH_RECORDS: Final = (
    ("", ("configmaps",), ("get", "create", "patch")),
    ("coordination.k8s.io", ("leases",), ("get", "create", "update")),
    ("discovery.k8s.io", ("endpointslices",), ("list", "watch")),
)
#: A gateway's, in its own namespace.
GATEWAY: Final = (
    ("", ("secrets",), ("list", "watch")),
    ("", ("secrets",), ("get", "update")),  # the one with its key-encryption key
    ("", ("configmaps",), ("get",)),
)
#: The operator never makes or deletes these: the behaviour suite does, through its adapter.
_FOR_TESTS: Final = (
    (GROUP, ("regions",), ("delete",)),
    (GROUP, ("buckets",), ("create", "delete")),
)

Rows = Sequence[tuple[str, Sequence[str], Sequence[str]]]


def rights(namespace: str) -> dict[str, Any]:
    """The operator's account in the gateways' namespace with its roles and what the behaviour suite needs."""
    return _account("operator", namespace, (*EVERYWHERE, *ROLL_OUTS, *_FOR_TESTS), WITH_RECORDS)


def operator_rights(namespace: str) -> dict[str, Any]:
    """The operator's account with its roles, and nothing more."""
    return _account("operator", namespace, (*EVERYWHERE, *ROLL_OUTS, *CREATING), WITH_RECORDS)


def gateway_rights(namespace: str) -> dict[str, Any]:
    """The gateways' account with its role."""
    return _account("gateway", namespace, (), GATEWAY)


def _account(name: str, namespace: str, everywhere: Rows, here: Rows) -> dict[str, Any]:
    """A service account with its roles; the account is the first of the list."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
    roles = [
        *(_granted("ClusterRole", {"name": namespace}, everywhere, account) if everywhere else ()),
        *_granted("Role", {"name": name, "namespace": namespace}, here, account),
    ]
    return {"apiVersion": "v1", "kind": "List", "items": [account, *roles]}


def _granted(kind: str, metadata: dict[str, str], rows: Rows, account: dict[str, Any]) -> list[dict[str, Any]]:
    api = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    rules = [{"apiGroups": [group], "resources": [*what], "verbs": [*verbs]} for group, what, verbs in rows]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": metadata["name"]}
    subjects = [{"kind": "ServiceAccount", **account["metadata"]}]
    binding = {**api, "kind": f"{kind}Binding", "metadata": metadata, "roleRef": role, "subjects": subjects}
    return [{**api, "kind": kind, "metadata": metadata, "rules": rules}, binding]
