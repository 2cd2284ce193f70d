"""Texts of files: names and values stand in them as data of the file's own language, never as code."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from nbpipeline.errors import UsageError
from nbpipeline.model import Value
from nbpipeline.reading import yaml12

_WIDTH = 88
_SHOWN = 30


def python(value: Value, indent: int = 0) -> str:
    """Write a JSON-like value as a Python literal, over several lines where one is too short."""
    flat = _flat(value)
    if len(flat) + indent <= _WIDTH or not isinstance(value, Mapping | list | tuple) or not value:
        return flat
    inner = " " * (indent + 4)
    if isinstance(value, Mapping):
        rows = [f"{inner}{_flat(key)}: {python(one, indent + 4)},\n" for key, one in value.items()]
        return "{\n" + "".join(rows) + " " * indent + "}"
    rows = [f"{inner}{python(one, indent + 4)},\n" for one in value]
    opened, closed = ("[", "]") if isinstance(value, list) else ("(", ")")
    return f"{opened}\n" + "".join(rows) + " " * indent + closed


def _flat(value: Value) -> str:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flat(key)}: {_flat(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flat(one) for one in value) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(_flat(one) for one in value) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def text(value: str) -> str:
    """Write a text as a Python literal in double quotes."""
    body = repr("'" + value)[2:-1]  # the quote in front makes repr choose double quotes where it can
    if repr("'" + value)[0] == '"':
        return f'"{body}"'
    return json.dumps(value) if value.isascii() else repr(value)


def comment(value: str, sign: str = "# ") -> str:
    """Write a text as lines of comment, whatever lines it has."""
    lines = ["".join(one if one.isprintable() else " " for one in line) for line in value.splitlines()] or [
        ""
    ]
    return "".join(f"{sign}{line}".rstrip() + "\n" for line in lines)


class _Dumper(yaml.SafeDumper):
    """Indents lists in mappings, writes long texts as blocks, and knows no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _block(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    refuse_halves(data)
    plain = all(one.isprintable() or one == "\n" for one in data)  # PyYAML loses U+0085 in other styles
    reads_as_text = isinstance(yaml12.plain(data), str)  # PyYAML quotes by YAML 1.1, where 12e4567 is a text
    style = ("|" if "\n" in data else None) if plain and reads_as_text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


def refuse_halves(value: str) -> None:
    """Raise UsageError for half of a surrogate pair: PyYAML writes and reads it, as nobody else does."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        shown = value[max(0, error.start - _SHOWN) : error.start + _SHOWN]
        raise UsageError.of(
            f"{shown!a} holds half of a surrogate pair, which the target's files cannot hold.",
            mend="take it out of the notebook, or of pipeline.yaml",
        ) from error


_Dumper.add_representer(str, _block)


def yaml_text(value: Any) -> str:
    """Write YAML as people write it: keys in the order given, lists indented, no anchors."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def made_by(target: str, profile: str | None = None, sign: str = "# ") -> str:
    """Give the lines that stand at the head of a rendered file."""
    how = f"nbpipeline export {target}" + (f" --profile {profile}" if profile else "")
    return comment(f"Made by `{how}` from the pipeline's notebooks; change those, and export again.", sign)


def lines(parts: Iterable[str]) -> str:
    """Join lines to a file's text."""
    return "\n".join(parts).rstrip("\n") + "\n"
