"""Parameters: values from the command line by declared type, and the `parameters` cell."""

import ast
import io
import tokenize
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from nbpipeline.location import Location
from nbpipeline.model import Cell, Expression, Parameter, PathValue, Value
from nbpipeline.patterns import regex
from nbpipeline.reading import expressions, syntax, yaml12

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_TYPE_COMMENT = regex(r"^type:\s*(\S+)\s*")
_NOTHING = ast.Constant(value=None)


# --- types -----------------------------------------------------------------------------------


def parse_value(text: str, type: str | None) -> Value:  # noqa: A002 - the model's own word
    """Read a value from the command line by a declared type; without one, as YAML's core schema does.

    A type that is not known (a class of the user's) is read as if there were none. Raises
    ValueError that says what the type wants.
    """
    node = _type_node(type)
    if node is None:
        return _untyped(text)
    for member in sorted(_members(node), key=_takes_anything):
        try:
            return _parse(member, text)
        except ValueError:
            continue
    raise ValueError(f"{text!r} is no {type}")


def accepts(type: str | None, value: Value) -> bool:  # noqa: A002 - the model's own word
    """Whether a value is of a declared type; no type, and a type that is not known, accept all.

    A whole number is a float, but true is no number. A text is a Path.
    """
    node = _type_node(type)
    return node is None or _accepts(node, value)


def kinds(type: str) -> tuple[str, ...]:  # noqa: A002 - the model's own word
    """Name what JSON may hold for a declared type: of `bool int float str list dict None`, in their order.

    Empty where it may be anything: for a type that is not known, or a union with one.
    """
    node = _type_node(type)
    found = {kind for member in _members(node) for kind in _kinds_of(member)} if node is not None else {""}
    return () if "" in found else tuple(one for one in _KINDS if one in found)


def choices(type: str | None) -> tuple[Value, ...]:  # noqa: A002 - the model's own word
    """Give the values that a declared type names, in its order; empty where it takes others, too."""
    node = _type_node(type)
    if node is None:
        return ()
    members = list(_members(node))
    if any(_base(one) not in {"Literal", "None"} for one in members):
        return ()
    found = [
        value
        for one in members
        for value in (_literals(one.slice) if isinstance(one, ast.Subscript) else [None])
    ]
    return tuple(found) if found != [None] else ()


_KINDS = ("bool", "int", "float", "str", "list", "dict", "None")
_KIND_OF: Mapping[str, str] = {
    **{one: one for one in _KINDS},
    **dict.fromkeys(("List", "tuple", "Tuple", "Sequence"), "list"),
    **dict.fromkeys(("Dict", "Mapping"), "dict"),
    "Path": "str",
}


def _kinds_of(node: ast.expr) -> Iterator[str]:
    base = _base(node)
    if base == "Literal" and isinstance(node, ast.Subscript):
        yield from (_KIND_OF.get(type(one).__name__, "None") for one in _literals(node.slice))
    else:
        yield _KIND_OF.get(base, "")


def _type_node(text: str | None) -> ast.expr | None:
    if text is None:
        return None
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return None if syntax.is_too_deep(node) else node


def _members(node: ast.expr) -> Iterator[ast.expr]:
    """Flatten `int | None`, `Optional[int]`, `Union[int, str]` and quoted types."""
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            yield from _members(left)
            yield from _members(right)
        case ast.Subscript(value=value, slice=inner) if _base(value) == "Optional":
            yield from _members(inner)
            yield _NOTHING
        case ast.Subscript(value=value, slice=ast.Tuple(elts=many)) if _base(value) == "Union":
            for one in many:
                yield from _members(one)
        case ast.Constant(value=str() as quoted) if (inner_node := _type_node(quoted)) is not None:
            yield from _members(inner_node)
        case _:
            yield node


def _base(node: ast.expr) -> str:
    """Name `list` for `list`, `List` for `typing.List`, `None` for None."""
    if isinstance(node, ast.Subscript):
        return _base(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Constant) and node.value is None:
        return "None"
    return node.id if isinstance(node, ast.Name) else ""


def _takes_anything(node: ast.expr) -> int:
    """Sort a union's members: those that take any text last."""
    return {"str": 2, "Path": 1}.get(_base(node), 0)


def _parse(node: ast.expr, text: str) -> Value:
    read = _PARSERS.get(_base(node))
    if read is not None:
        return read(text)
    value = _untyped(text)
    if _base(node) == "Literal" and not _accepts(node, value):
        value = text
    if not _accepts(node, value):
        raise ValueError(text)
    return tuple(value) if _base(node).lower() == "tuple" else value


def _untyped(text: str) -> Value:
    try:
        return yaml12.load(text).value if text[:1] in {"[", "{", '"', "'"} else yaml12.plain(text)
    except ValueError:
        return text


def _flag(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


def _none(text: str) -> None:
    if text not in {"None", "null", "~", ""}:
        raise ValueError(text)


_PARSERS: Mapping[str, Callable[[str], Value]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": _flag,
    "None": _none,
    "Path": PathValue,
    "PurePath": PathValue,
}
_CLASSES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "float": (int, float),
    "int": (int,),
    "bool": (bool,),
    "None": (type(None),),
    "Path": (str, PathValue),
    "PurePath": (str, PathValue),
    "list": (list,),
    "List": (list,),
    "Sequence": (list, tuple),
    "tuple": (list, tuple),
    "Tuple": (list, tuple),
    "dict": (dict,),
    "Dict": (dict,),
    "Mapping": (dict,),
}


def _accepts(node: ast.expr, value: Value) -> bool:
    members = list(_members(node))
    if len(members) > 1 or members[0] is not node:
        return any(_accepts(member, value) for member in members)
    base = _base(node)
    if base == "Literal" and isinstance(node, ast.Subscript):
        return any(type(value) is type(one) and value == one for one in _literals(node.slice))
    if base not in _CLASSES:
        return True
    if isinstance(value, bool) and base != "bool":
        return False
    return isinstance(value, _CLASSES[base]) and _accepts_items(node, base.lower(), value)


def _literals(node: ast.expr) -> list[Value]:
    nodes = node.elts if isinstance(node, ast.Tuple) else [node]
    return [one.value for one in nodes if isinstance(one, ast.Constant)]


def _accepts_items(node: ast.expr, base: str, value: Value) -> bool:
    """Check the items of `list[int]`, `tuple[int, ...]`, `dict[str, float]`."""
    if not isinstance(node, ast.Subscript):
        return True
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if base in {"list", "sequence"}:
        return all(_accepts(inner[0], item) for item in value)
    if base in {"dict", "mapping"} and len(inner) > 1:
        return all(_accepts(inner[0], key) and _accepts(inner[1], item) for key, item in value.items())
    if base == "tuple" and not _open_ended(inner):
        return len(inner) == len(value) and all(map(_accepts, inner, value))
    return base != "tuple" or all(_accepts(inner[0], item) for item in value)


def _open_ended(inner: list[ast.expr]) -> bool:
    last = inner[-1]
    return isinstance(last, ast.Constant) and last.value is Ellipsis


# --- the cell --------------------------------------------------------------------------------


def read_cell(
    cell: Cell, tree: ast.Module, path: str, known: Mapping[str, Parameter]
) -> dict[str, Parameter]:
    """List the parameters that a `parameters` cell assigns; what is no plain assignment is opaque.

    `known` are those of earlier `parameters` cells, whose names may be used.
    """
    found: dict[str, Parameter] = {}
    comments = _comments(cell.source)
    for statement in tree.body:
        comment = comments.get(statement.end_lineno or 0, "")
        where = Location(path=path, cell=cell.index, line=statement.lineno)
        for name, annotation, value in _assigned(statement):
            found[name] = _parameter(name, value, {**known, **found}, where, cell.index)
            found[name] = _annotated(found[name], annotation, comment)
        for name in _rebound(statement) & set(found):
            found[name] = _opaque(found[name], [statement])
    return found


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None, ast.expr | None]]:
    """Give name, annotation and value of each plain assignment."""
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
            yield name, annotation, value
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _unpacked(target, value)
        case _:
            return


def _unpacked(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, None, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, None, value
        return
    items = [one.elts for one in (target, value) if isinstance(one, ast.Tuple | ast.List)]
    if len(items) == 2 and len(items[0]) == len(items[1]):  # noqa: PLR2004 - target and value
        for one, item in zip(*items, strict=True):
            yield from _unpacked(one, item)


def _rebound(statement: ast.stmt) -> set[str]:
    """Collect the names that a statement other than a plain assignment changes."""
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        return set()
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _parameter(
    name: str, value: ast.expr | None, known: Mapping[str, Parameter], where: Location, cell: int
) -> Parameter:
    plain = Parameter(name=name, where=where, cell=cell)
    if value is None:
        return plain
    default = _readable(value, known)
    return replace(plain, default=default) if default else _opaque(plain, [value])


def _readable(value: ast.expr, known: Mapping[str, Parameter]) -> Expression | None:
    try:
        default = expressions.parse(value)
    except ValueError:
        return None
    used = expressions.names_in(default)
    return default if all(name in known and known[name].default for name in used) else None


def _opaque(parameter: Parameter, nodes: list[ast.stmt] | list[ast.expr]) -> Parameter:
    source = parameter.source + syntax.canonical(nodes)
    return replace(parameter, default=None, opaque=True, source=source)


def _annotated(parameter: Parameter, annotation: ast.expr | None, comment: str) -> Parameter:
    """Add the annotation as type; papermill's `# type: int` and the rest of the comment as help."""
    declared = _TYPE_COMMENT.match(comment)
    kind = declared.group(1) if declared else None
    if annotation:
        kind = None if syntax.is_too_deep(annotation) else syntax.written(annotation)
    text = comment[declared.end() :] if declared else comment
    return replace(parameter, type=kind, help=text.strip())


def _comments(source: str) -> dict[int, str]:
    """Give the comment at the end of each line that has code and one."""
    if "#" not in source:
        return {}
    lines = source.splitlines()
    found = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            row, column = token.start
            if token.type == tokenize.COMMENT and lines[row - 1][:column].strip():
                found[row] = token.string.lstrip("#").strip()
    except (tokenize.TokenError, SyntaxError):  # magics; the comments before them count
        return found
    return found
