"""YAML as manifests need it: JSON types only, no aliases, no duplicate keys, no tags; says the line of what is wrong.

Times stay text, as they do in Kubernetes. Aliases are refused because a few hundred bytes of them can stand for
gigabytes.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

import yaml
from yaml.constructor import SafeConstructor

from cooper_crds.problems import path

#: Bytes of one file.
MAX_FILE_SIZE: Final = 1 << 20
_MAX_DEPTH: Final = 32
_TAG: Final = "tag:yaml.org,2002:"
_values = SafeConstructor()


class YamlError(ValueError):
    """Not YAML that can be used: the line (from 1) where known, and the reason."""

    def __init__(self, line: int | None, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Document:
    """One document and the line it begins at."""

    line: int
    content: Any
    node: yaml.Node = field(repr=False)

    def line_of(self, where: str) -> int:
        """The line of a field, given by its path such as `spec.grants[0].bucket`; of what it is to be in, if absent."""
        return _line_of(self.node, (), where) or self.line


def read_documents(data: bytes) -> list[Document]:
    """The documents of a file; empty ones are left out. Raises YamlError."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError(data.count(b"\n", 0, error.start) + 1, "not UTF-8 text") from None
    try:
        _check_structure(text)
        return list(_documents(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = "; YAML is indented with spaces, never with tabs" if mark and _has_tab(text, mark.line) else ""
        reason = f"not YAML: {error.problem or error.context}{hint}"
        raise YamlError(mark.line + 1 if mark else None, reason) from None
    except yaml.YAMLError as error:
        raise YamlError(None, f"not YAML: {str(error).splitlines()[0]}") from None


def _check_structure(text: str) -> None:
    """Refuse aliases and deep nesting by looking at events: the composer's recursion in C has no limit of its own."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            reason = "anchors with aliases (& and *) are not supported: write the value out"
            raise YamlError(_line(event), reason)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise YamlError(_line(event), f"nested more than {_MAX_DEPTH} deep")


def _documents(text: str) -> Iterator[Document]:
    for node in yaml.compose_all(text, Loader=yaml.CSafeLoader):
        content = _value(node)
        if content is not None:
            yield Document(_line(node), content, node)


def _has_tab(text: str, line: int) -> bool:
    """Whether a line (from 0) is indented with a tab."""
    lines = text.split("\n", line + 1)
    return line < len(lines) and "\t" in lines[line][: -len(lines[line].lstrip()) or None]


def _line_of(node: yaml.Node, at: tuple[str | int, ...], where: str) -> int | None:
    """The line of the innermost part of a node at `at` that `where` leads to or through; None: of no part."""
    for step, part, inner in _parts(node):
        found = path((*at, step))
        if where == found or where.startswith((found + ".", found + "[")):
            return _line_of(inner, (*at, step), where) or _line(part)
    return None


def _parts(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node, yaml.Node]]:
    """What a collection holds: key or index, the node that shows where it begins, and the value's node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in cast(list[tuple[yaml.Node, yaml.Node]], node.value):
            yield str(key.value), key, value
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(cast(list[yaml.Node], node.value)):
            yield index, value, value


def _line(part: yaml.Node | yaml.Event) -> int:
    return part.start_mark.line + 1 if part.start_mark else 1


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        return [_value(each) for each in cast(list[yaml.Node], node.value)]
    read = _SCALARS.get(node.tag) if isinstance(node, yaml.ScalarNode) else None
    if read is None:
        raise YamlError(_line(node), f"the tag {node.tag.removeprefix(_TAG)!r} is not supported")
    try:
        return read(cast(yaml.ScalarNode, node))
    except (ValueError, OverflowError, KeyError):
        raise YamlError(_line(node), f"not a value that can be used: {str(node.value)[:40]!r}") from None


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in cast(list[tuple[yaml.Node, yaml.Node]], node.value):
        key = _value(key_node)
        if not isinstance(key, str):
            raise YamlError(_line(key_node), "keys must be text: put this one in quotes")
        if key in result:
            raise YamlError(_line(key_node), f"the key {key[:60]!r} is given twice")
        result[key] = _value(value_node)
    return result


def _text(node: yaml.ScalarNode) -> str:
    return str(node.value)


def _integer(node: yaml.ScalarNode) -> int:
    if len(str(node.value)) > 40:
        raise ValueError("a number beyond reason")
    return int(_values.construct_yaml_int(node))


def _number(node: yaml.ScalarNode) -> float:
    number = float(_values.construct_yaml_float(node))
    if not math.isfinite(number):
        raise ValueError("JSON has no such number")
    return number


def _boolean(node: yaml.ScalarNode) -> bool:
    return bool(_values.construct_yaml_bool(node))


_SCALARS: Final[dict[str, Callable[[yaml.ScalarNode], Any]]] = {
    _TAG + "str": _text,
    _TAG + "timestamp": _text,
    _TAG + "value": _text,  # a plain `=`
    _TAG + "null": lambda _: None,
    _TAG + "bool": _boolean,
    _TAG + "int": _integer,
    _TAG + "float": _number,
}
