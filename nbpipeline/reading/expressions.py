"""Right-hand sides of declaring cells as values: what can be known without running anything.

Literals, f-strings, names, `Path(...)`, `/`, `+`, `os.path.join`, lists, tuples and dicts. The same
values come out as Python itself would make of them; nothing is ever evaluated by Python.
"""

import ast
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import PurePosixPath

from nbpipeline.model import Expression, PathValue, Value
from nbpipeline.patterns import regex
from nbpipeline.reading.syntax import MAX_DEPTH, is_too_deep, written

MAX_LENGTH = 65_536
"""Characters of a text, items of a list: more is refused, so that sums of sums stay small."""

ALLOWED = "literals, f-strings, names declared before, Path(...), /, +, os.path.join, lists, tuples and dicts"

_MOST_BITS = 13_000
"""Of a sum of whole numbers: what Python still writes in decimals."""
_SHOWN = 60
"""Characters of code that a message shows."""
_PATHS = frozenset({"Path", "PurePath", "pathlib.Path", "pathlib.PurePath"})
_JOINS = frozenset({"os.path.join", "posixpath.join"})
_FIELD = regex(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SPEC = regex(r"[^\d]{0,3}\d{0,3}[,_]?(?:\.\d{1,3})?[a-zA-Z%]?")
_CONVERSIONS = {-1: "", ord("s"): "s", ord("r"): "r", ord("a"): "a"}
_CONVERT: Mapping[str, Callable[[object], str]] = {"s": str, "r": repr, "a": ascii}
_SCALARS = (str, bool, int, float, type(None))


def parse(node: ast.expr, aliases: Mapping[str, str] | None = None) -> Expression:
    """Read a syntax tree as an expression.

    `aliases` maps imported names to what they stand for (`osp` to `os.path`). Raises ValueError
    with what stands there instead.
    """
    if is_too_deep(node):
        raise ValueError(f"the expression is nested deeper than {MAX_DEPTH} levels")
    return _read(node, aliases or {})


def _read(node: ast.expr, aliases: Mapping[str, str]) -> Expression:
    for kinds, read in _READERS:
        if isinstance(node, kinds):
            return read(node, aliases)
    raise ValueError(f"{_described(node)} cannot be read without running the notebook")


def _described(node: ast.expr) -> str:
    text = written(node)
    return f"`{text if len(text) <= _SHOWN else f'{text[:_SHOWN]} ...'}`"


def _constant(node: ast.Constant, _: Mapping[str, str]) -> Expression:
    if not isinstance(node.value, _SCALARS):
        kind = type(node.value).__name__
        raise ValueError(f"{_described(node)} is of type {kind}, which has no place here")  # noqa: TRY004 - one kind of error
    try:
        repr(node.value)
    except ValueError as error:  # 0xfff... parses at any length, but nobody can show it or keep it
        raise ValueError("a number has too many digits") from error
    return Expression("literal", (node.value,), node.lineno)


def _name(node: ast.Name, _: Mapping[str, str]) -> Expression:
    return Expression("name", (node.id,), node.lineno)


def _sign(node: ast.UnaryOp, aliases: Mapping[str, str]) -> Expression:
    inner = _read(node.operand, aliases)
    number = inner.args[0] if inner.kind == "literal" else None
    if isinstance(number, int | float) and isinstance(node.op, ast.USub | ast.UAdd):
        return Expression("literal", (-number if isinstance(node.op, ast.USub) else +number,), node.lineno)
    raise ValueError(f"{_described(node)} cannot be read without running the notebook")


def _operation(node: ast.BinOp, aliases: Mapping[str, str]) -> Expression:
    kind = {ast.Div: "div", ast.Add: "add"}.get(type(node.op))
    if kind is None:
        raise ValueError(f"{_described(node)} cannot be read without running the notebook")
    return Expression(kind, (_read(node.left, aliases), _read(node.right, aliases)), node.lineno)


def _joined(node: ast.JoinedStr, aliases: Mapping[str, str]) -> Expression:
    return Expression("text", tuple(_read(part, aliases) for part in node.values), node.lineno)


def _formatted(node: ast.FormattedValue, aliases: Mapping[str, str]) -> Expression:
    inner = _read(node.value, aliases)
    conversion = _CONVERSIONS.get(node.conversion, "")
    spec = _format_spec(node)
    if not conversion and not spec:
        return inner
    return Expression("format", (inner, conversion, spec), node.lineno)


def _format_spec(node: ast.FormattedValue) -> str:
    if node.format_spec is None:
        return ""
    parts = node.format_spec.values if isinstance(node.format_spec, ast.JoinedStr) else []
    if not all(isinstance(part, ast.Constant) for part in parts):
        raise ValueError(f"{_described(node.value)} has a format that is itself computed")
    spec = "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))
    return _checked_spec(spec)


def _checked_spec(spec: str) -> str:
    if not _SPEC.fullmatch(spec):
        raise ValueError(f"the format {spec!r} is not one for text or numbers")
    return spec


def _call(node: ast.Call, aliases: Mapping[str, str]) -> Expression:
    called = _dotted(node.func, aliases)
    kind = "path" if called in _PATHS else "join" if called in _JOINS else None
    if kind is None or node.keywords or (kind == "join" and not node.args):
        raise ValueError(f"{_described(node)} cannot be read without running the notebook")
    return Expression(kind, tuple(_read(item, aliases) for item in node.args), node.lineno)


def _dotted(node: ast.expr, aliases: Mapping[str, str]) -> str:
    """Write `os.path.join` for the attribute chain; empty for anything else."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (left := _dotted(node.value, aliases)):
        return f"{left}.{node.attr}"
    return ""


def _series(node: ast.List | ast.Tuple, aliases: Mapping[str, str]) -> Expression:
    kind = "list" if isinstance(node, ast.List) else "tuple"
    return Expression(kind, tuple(_read(item, aliases) for item in node.elts), node.lineno)


def _mapping(node: ast.Dict, aliases: Mapping[str, str]) -> Expression:
    items: list[Expression] = []
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            raise ValueError(f"{_described(node)} unpacks another mapping")
        items += [_read(key, aliases), _read(value, aliases)]
    return Expression("dict", tuple(items), node.lineno)


_READERS: tuple[tuple[type | tuple[type, ...], Callable[..., Expression]], ...] = (
    (ast.Constant, _constant),
    (ast.Name, _name),
    (ast.JoinedStr, _joined),
    (ast.FormattedValue, _formatted),
    (ast.BinOp, _operation),
    (ast.Call, _call),
    ((ast.List, ast.Tuple), _series),
    (ast.Dict, _mapping),
    (ast.UnaryOp, _sign),
)


def template(text: str, line: int = 1) -> Expression:
    """Read a header's string: `{axis}` and `{profile}` stand for values, `{{` for a brace.

    Raises ValueError with the reason.
    """
    parts: list[Expression] = []
    position = 0
    for match in _FIELD.finditer(text):
        parts += _piece(text[position : match.start()], line)
        position = match.end()
        if match.group() in {"{{", "}}"}:
            parts += _piece(match.group()[0], line)
        else:
            parts.append(_field(match, text, line))
    parts += _piece(text[position:], line)
    if all(part.kind == "literal" for part in parts):
        return Expression("literal", ("".join(part.args[0] for part in parts),), line)
    return Expression("text", tuple(parts), line)


def _piece(text: str, line: int) -> list[Expression]:
    return [Expression("literal", (text,), line)] if text else []


def _field(match: "re.Match[str]", text: str, line: int) -> Expression:
    inside = match.group(1)
    if inside is None:
        raise ValueError(f"{text!r} has a single {match.group()!r}")
    name, _, spec = inside.partition(":")
    if not name.isidentifier():
        raise ValueError(f"{text!r} has {match.group()!r}, which is no name in braces")
    inner = Expression("name", (name,), line)
    return Expression("format", (inner, "", _checked_spec(spec)), line) if spec else inner


# --- values ----------------------------------------------------------------------------------


def names_in(expression: Expression) -> set[str]:
    """Collect the names that the value depends on."""
    return {one.args[0] for one in _walk(expression) if one.kind == "name"}


def _walk(expression: Expression) -> Iterator[Expression]:
    yield expression
    for one in expression.args:
        if isinstance(one, Expression):
            yield from _walk(one)


def evaluate(expression: Expression, names: Mapping[str, Value]) -> Value:
    """Work out the value under `names`.

    Raises KeyError for a name that is not there, ValueError for what Python would refuse too
    (a sum of text and number) and for values past MAX_LENGTH.
    """
    if expression.kind == "literal":
        return expression.args[0]
    if expression.kind == "name":
        return names[expression.args[0]]
    if expression.kind == "format":
        inner, conversion, spec = expression.args
        return _bounded(_formatted_text(evaluate(inner, names), conversion, spec))
    values = [evaluate(one, names) for one in expression.args]
    return _bounded(_COMPUTE[expression.kind](values))


def _bounded(value: Value) -> Value:
    if isinstance(value, str | list | tuple) and len(value) > MAX_LENGTH:
        raise ValueError(f"the value is longer than {MAX_LENGTH:,}")
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError("a number has too many digits")
    return value


def _formatted_text(value: Value, conversion: str, spec: str) -> str:
    if isinstance(value, PathValue) and conversion in {"", "s"}:
        value = value.text
    _in_text(value)
    if conversion:
        value = _CONVERT[conversion](value)
    try:
        return format(value, spec)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{value!r} cannot be written in the format {spec!r}") from error


def _in_text(value: Value) -> str:
    if isinstance(value, PathValue):
        return value.text
    if not isinstance(value, _SCALARS):
        raise ValueError(f"a {type(value).__name__} cannot stand in a text")  # noqa: TRY004
    return str(value)


def _text(values: list[Value]) -> str:
    return "".join(map(_in_text, values))


def _path(values: list[Value]) -> PathValue:
    return PathValue(_joined_path(*map(_segment, values)))


@lru_cache(maxsize=4096)
def _joined_path(*segments: str) -> str:
    """Join segments as `Path` does; the same folder and the same file are asked for again and again."""
    return str(PurePosixPath(*segments))


def _segment(value: Value) -> str:
    if isinstance(value, str | PathValue):
        return str(value)
    raise ValueError(f"{value!r} cannot be part of a path: it is neither text nor a path")


def _divide(values: list[Value]) -> PathValue:
    if not any(isinstance(value, PathValue) for value in values):
        raise ValueError("one side of `/` must be a Path")
    return _path(values)


def _join(values: list[Value]) -> str:
    first, *others = map(_segment, values)
    return posixpath.join(first, *others)


def _add(values: list[Value]) -> Value:
    left, right = values
    numbers = all(isinstance(value, int | float) for value in values)
    if numbers or (type(left) is type(right) and isinstance(left, str | list | tuple)):
        return _sum(left, right)
    names = " and ".join(type(value).__name__.replace("PathValue", "Path") for value in values)
    raise ValueError(f"`+` cannot add {names}")


def _sum(left: Value, right: Value) -> Value:
    try:
        return left + right
    except OverflowError as error:  # of a whole number and one with a point
        raise ValueError("a number is too great") from error


def _dict(values: list[Value]) -> dict[Value, Value]:
    keys = values[::2]
    if not all(isinstance(key, (*_SCALARS, PathValue)) for key in keys):
        raise ValueError("a key of a dict must be text or a number")
    return dict(zip(keys, values[1::2], strict=True))


_COMPUTE: Mapping[str, Callable[[list[Value]], Value]] = {
    "text": _text,
    "path": _path,
    "div": _divide,
    "join": _join,
    "add": _add,
    "list": list,
    "tuple": tuple,
    "dict": _dict,
}
