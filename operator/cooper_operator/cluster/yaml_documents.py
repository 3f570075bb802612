"""YAML as manifests need it: JSON types only, no aliases, no duplicate keys, no tags; says the line of what is wrong.

Times stay text, as they do in Kubernetes. Aliases are refused because a few hundred bytes of them can stand for
gigabytes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import yaml
from yaml.constructor import SafeConstructor

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


def read_documents(data: bytes) -> list[Document]:
    """The documents of a file; empty ones are left out. Raises YamlError."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError(data.count(b"\n", 0, error.start) + 1, "not UTF-8 text") from None
    loader = yaml.CSafeLoader(text)
    documents: list[Document] = []
    try:
        while loader.check_node():
            node = cast(yaml.Node, loader.get_node())
            content = _Reader().value(node, 0)
            if content is not None:
                documents.append(Document(_line(node), content))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else None, f"not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise YamlError(None, f"not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise YamlError(None, "nested too deeply") from None
    finally:
        loader.dispose()
    return documents


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


class _Reader:
    """Turns the nodes of one document into values."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, depth: int) -> Any:
        # The composer gives the very node of the anchor for an alias.
        if id(node) in self._seen:
            raise YamlError(_line(node), "anchors with aliases (& and *) are not supported: write the value out")
        self._seen.add(id(node))
        if depth > _MAX_DEPTH:
            raise YamlError(_line(node), f"nested more than {_MAX_DEPTH} deep")
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(each, depth + 1) for each in cast(list[yaml.Node], node.value)]
        read = _SCALARS.get(node.tag) if isinstance(node, yaml.ScalarNode) else None
        if read is None:
            raise YamlError(_line(node), f"the tag {node.tag.removeprefix(_TAG)!r} is not supported")
        try:
            return read(cast(yaml.ScalarNode, node))
        except (ValueError, OverflowError):
            raise YamlError(_line(node), f"not a value that can be used: {str(node.value)[:40]!r}") from None

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in cast(list[tuple[yaml.Node, yaml.Node]], node.value):
            key = self.value(key_node, depth + 1)
            if not isinstance(key, str):
                raise YamlError(_line(key_node), "keys must be text: put this one in quotes")
            if key in result:
                raise YamlError(_line(key_node), f"the key {key[:60]!r} is given twice")
            result[key] = self.value(value_node, depth + 1)
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
