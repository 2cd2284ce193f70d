"""YAML 1.2 (core schema) with the line of every key.

`no`, `on`, `12:30` and `2013-01-01` are text, `1e-3` is a number. Duplicate keys, several documents,
and documents that are too large, too deep or that aliases blow up are refused. Nothing of the parser is
loaded before there is something to parse.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from importlib import import_module
from typing import Any, TypeAlias

from nbpipeline.model import Value
from nbpipeline.patterns import regex
from nbpipeline.values import dataclass

MAX_SIZE = 4_000_000
"""Characters of a document."""
MAX_DEPTH = 60
MAX_VALUES = 200_000
"""Values of a document, those of an alias counted at every use."""

KeyPath: TypeAlias = tuple[Any, ...]
"""Keys and positions from the root: `("stages", 0, "name")`."""

_INTEGER = regex(r"[-+]?[0-9]+")
_OTHER_INTEGER = regex(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = regex(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = regex(r"[-+]?\.(inf|Inf|INF)")
_WORDS: Mapping[str, Value] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


class YamlError(ValueError):
    """The text is no YAML 1.2 that can be used; `line` counts from 1 where it is known."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        """Keep the reason in one line, without a full stop."""
        super().__init__(reason)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A value and where its parts stand."""

    value: Value
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    """Line (from 1) of each key, or of each item of a list."""

    def line(self, path: KeyPath) -> int:
        """Line of the key or item, else that of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def load(text: str) -> Document:
    """Read one document. Raises YamlError."""
    if len(text) > MAX_SIZE:
        raise YamlError(f"the text is longer than {MAX_SIZE:,} characters")
    parser: Any = import_module("nbpipeline.reading.yaml_parser")
    value, lines = parser.parse(text)
    return Document(value=value, lines=lines)


def is_too_deep(value: Value) -> bool:
    """Whether a value that was not read by `load` is nested deeper than it lets through."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for one in level for inner in _inside(one)]
    return bool(level)


def _inside(value: Value) -> Iterable[Value]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def plain(text: str) -> Value:
    """Resolve a plain scalar as the core schema does: `1e-3` a number, `no` a text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_INTEGER.fullmatch(text):
        return _writable(int(text, 0))
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _writable(value: int) -> int:
    """Refuse a number of more decimal digits than Python writes. Raises ValueError."""
    str(value)
    return value
