"""YAML 1.2 on PyYAML's parser: what `yaml12.load` does with a text of a sensible size."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from nbpipeline.model import Value
from nbpipeline.reading.yaml12 import MAX_DEPTH, MAX_VALUES, KeyPath, YamlError, plain

_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_PLAIN = "plain"
_TAG = "tag:yaml.org,2002:"


def parse(text: str) -> tuple[Value, Mapping[KeyPath, int]]:
    """Give the value of one document, and the line of each key or item. Raises YamlError."""
    try:
        node = _compose(text)
    except YamlError:
        raise
    except yaml.MarkedYAMLError as error:
        raise YamlError(_reason(error), _line(error)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(str(error).splitlines()[0]) from error
    if node is None:
        return None, {}
    builder = _Builder()
    value = builder.build(node, (), 0)
    return value, builder.lines


def _compose(text: str) -> yaml.Node | None:
    """Make nodes of the parser's events; PyYAML's own composer in C crashes on deep nesting."""
    events = iter(yaml.parse(text, Loader=_LOADER))
    next(events)  # the stream's start
    if isinstance(next(events), yaml.StreamEndEvent):
        return None
    node = _node(next(events), events, {}, 0)
    next(events)  # the document's end
    more = next(events)
    if not isinstance(more, yaml.StreamEndEvent):
        raise YamlError("there is more than one document", _row(more))
    return node


def _node(event: Any, events: Iterator[Any], anchors: dict[str, yaml.Node], depth: int) -> yaml.Node:
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            raise YamlError(f"the alias *{event.anchor} names no anchor", _row(event))
        return anchors[event.anchor]
    if depth > MAX_DEPTH:
        raise YamlError(f"values are nested deeper than {MAX_DEPTH} levels", _row(event))
    node = _empty(event)
    if event.anchor:
        anchors[event.anchor] = node
    if isinstance(node, yaml.SequenceNode):
        while not isinstance(inner := next(events), yaml.SequenceEndEvent):
            node.value.append(_node(inner, events, anchors, depth + 1))
    elif isinstance(node, yaml.MappingNode):
        while not isinstance(inner := next(events), yaml.MappingEndEvent):
            key = _node(inner, events, anchors, depth + 1)
            node.value.append((key, _node(next(events), events, anchors, depth + 1)))
    return node


def _empty(event: Any) -> yaml.Node:
    """Start the node of an event, with the tag that the core schema is to apply."""
    start: Any = event.start_mark
    if isinstance(event, yaml.ScalarEvent):
        untagged = _PLAIN if event.implicit[0] else f"{_TAG}str"
        return yaml.ScalarNode(event.tag or untagged, event.value, start)
    if isinstance(event, yaml.SequenceStartEvent):
        return yaml.SequenceNode(event.tag or f"{_TAG}seq", [], start)
    return yaml.MappingNode(event.tag or f"{_TAG}map", [], start)


class _Builder:
    """Turns nodes into values, and keeps count."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._count = 0

    def build(self, node: yaml.Node, path: KeyPath, depth: int) -> Value:
        """Give the value of a node. Raises YamlError."""
        self._count += 1
        if depth > MAX_DEPTH:
            raise YamlError(f"values are nested deeper than {MAX_DEPTH} levels", _row(node))
        if self._count > MAX_VALUES:
            raise YamlError(f"there are more than {MAX_VALUES:,} values, aliases counted at each use")
        self.lines.setdefault(path, _row(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            _require(node, "seq")
            return [self.build(item, (*path, number), depth + 1) for number, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[Any, Value]:
        _require(node, "map")
        found: dict[Any, Value] = {}
        written: dict[Any, yaml.ScalarNode] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError("a key is a list or a mapping", _row(key_node))
            key = _scalar(key_node)
            if key in found:
                raise YamlError(_twice(key, written[key], key_node), _row(key_node))
            written[key] = key_node
            self.lines.setdefault((*path, key), _row(key_node))
            found[key] = self.build(value_node, (*path, key), depth + 1)
        return found


def _twice(key: Value, first: yaml.ScalarNode, second: yaml.ScalarNode) -> str:
    """Say that two keys are equal; as they are written, since 1 and true are equal in Python too."""
    if isinstance(key, str):
        return f"the key {key!r} is given twice"
    one, other = (node.value or "null" for node in (first, second))
    if one == other:
        return f"the key {one} is given twice"
    return f"the keys {one} and {other} count as the same; put one of them in quotes"


_CASTS: Mapping[str, Callable[[Value], bool]] = {
    "null": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


def _scalar(node: yaml.Node) -> Value:
    text: str = node.value
    if node.tag in {f"{_TAG}str", "!"}:
        return text
    try:
        value = plain(text)
    except ValueError as error:
        raise YamlError("a number has too many digits", _row(node)) from error
    if node.tag == _PLAIN:
        return value
    name = node.tag.removeprefix(_TAG)
    if name not in _CASTS:
        raise YamlError(
            f"the tag {_shown(node.tag)} is not known; YAML's core schema has no such type", _row(node)
        )
    if not _CASTS[name](value):
        raise YamlError(f"{text!r} is no {name}", _row(node))
    return float(value) if name == "float" else value


def _require(node: yaml.Node, kind: str) -> None:
    if node.tag != _TAG + kind:
        raise YamlError(
            f"the tag {_shown(node.tag)} is not known; YAML's core schema has no such type", _row(node)
        )


def _shown(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag


def _row(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _line(error: yaml.MarkedYAMLError) -> int | None:
    mark = error.problem_mark or error.context_mark
    return None if mark is None else int(mark.line) + 1


def _reason(error: yaml.MarkedYAMLError) -> str:
    """Say the parser's problem in one line; with what it was about where that helps."""
    return ", ".join(part for part in (error.problem, error.context) if part)
