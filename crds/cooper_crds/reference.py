"""The reference page of the resources, written from the same schemas as the CRDs. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cooper_crds.fields import TIME_PATTERN
from cooper_crds.patterns import is_pattern, pattern_of

_HEAD: Final = """\
# Resources

<!-- Generated from crds/cooper_crds by `make generate`. -->

Group `cooper.dev`, version `v1alpha1`. On Kubernetes `kubectl get cooper -A` lists all of them and
`kubectl explain bucket.spec` shows what stands here. Without a cluster, `cooper up` reads the same manifests from a
folder. A manifest with a mistake is refused with the path of the field and the reason.

Sizes are Kubernetes quantities (`500Mi`, `2Gi`), durations hours, minutes and seconds (`1h30m`, `45s`; 90 days are
`2160h`), times RFC 3339 (`2030-01-31T12:00:00Z`).
"""


def reference_page(crds: Mapping[str, dict[str, Any]]) -> str:
    """The whole page (Markdown) for CRDs by kind."""
    return "\n".join([_HEAD, *(_kind(crd["spec"]) for crd in crds.values())])


def _kind(spec: Mapping[str, Any]) -> str:
    version = spec["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    names = spec["names"]
    scope = "one namespace" if spec["scope"] == "Namespaced" else "the whole cluster"
    short = f"; short name `{names['shortNames'][0]}`" if names.get("shortNames") else ""
    shown = version["additionalPrinterColumns"]
    columns = ", ".join(each["name"] for each in shown if "priority" not in each)
    wide = "with `-o wide` also " + ", ".join(each["name"] for each in shown if "priority" in each)
    rows = [f"## {names['kind']}", "", schema["description"], ""]
    rows += [f"Belongs to {scope}{short}. Columns of `kubectl get {names['plural']}`: {columns}; {wide}.", ""]
    for part in ("spec", "status"):
        titles = ("field", "type", "default", "meaning") if part == "spec" else ("field", "type", "meaning")
        rows += [f"### {names['kind']}.{part}", "", _row(titles), _row(["---"] * len(titles))]
        rows += [_row(cells if part == "spec" else (*cells[:2], cells[3])) for cells in _fields(schema, part)]
        rows.append("")
        # What is about one field says that it is: its message is told there, and needs no telling of the whole.
        whole = [rule for rule in _rules(schema["properties"][part]) if "fieldPath" not in rule]
        rows += [f"Rules of the whole: {_said(whole)}.", ""] if whole else []
    return "\n".join(rows)


def _fields(schema: Mapping[str, Any], part: str) -> Iterator[tuple[str, str, str, str]]:
    """Path, type, default and meaning of each field below a part of a resource, parents first."""
    stack = [(part, schema["properties"][part], part in schema.get("required", ()))]
    while stack:
        path, node, required = stack.pop()
        inner = node.get("items", node)
        if path != part:
            yield f"`{path.removeprefix(part + '.')}`", _type(node), _default(node, required), _meaning(node)
        below = path + ("[]" if "items" in node else "")
        children = [
            (f"{below}.{name}", field, name in inner.get("required", ()))
            for name, field in inner.get("properties", {}).items()
        ]
        stack += reversed(children)


def _type(node: Mapping[str, Any]) -> str:
    if node.get("x-kubernetes-int-or-string"):
        return "quantity"
    if "items" in node:
        return f"list of {_type(node['items'])}s"
    if pattern_of(node) == TIME_PATTERN:
        return "time"
    return str(node["type"])


def _default(node: Mapping[str, Any], required: bool) -> str:
    if required:
        return "required"
    default = node.get("default")
    if default is None or isinstance(default, list | dict):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _meaning(node: Mapping[str, Any]) -> str:
    inner = node.get("items", node)
    text = str(node.get("description", ""))
    if choices := inner.get("enum"):
        text += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    rules = [*_rules(node), *(_rules(inner) if inner is not node else ())]
    return f"{text} Rules: {_said(rules)}." if rules else text


def _rules(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    # What the text of a type looks like says the page's head, and whoever refuses another one.
    return [rule for rule in node.get("x-kubernetes-validations", ()) if not is_pattern(rule)]


def _said(rules: list[Mapping[str, Any]]) -> str:
    """Messages of rules, each once."""
    return "; ".join(dict.fromkeys(rule["message"] for rule in rules))


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
