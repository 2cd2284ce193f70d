"""Folders that code adds to the import path, worked out without running it.

Expressions are followed as far as they hang on the kernel's folder and literals alone; what a cell computes
otherwise is found by what its run was seen to open.
"""

import ast
import posixpath
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

from nbpipeline.reading.syntax import written

_HERE = "/" + "/".join(f"@{number}" for number in range(40))
"""Stands for the kernel's folder; deep enough for any `parent`."""

_SAME = frozenset({"str", "fspath", "expanduser", "as_posix", "Path", "PurePath", "PosixPath"})
_ABSOLUTE = frozenset({"resolve", "absolute", "abspath", "realpath"})
_MODULES = frozenset({"os", "os.path", "path", "pathlib", "Path", "pathlib.Path"})
_CONSTANTS = {"pardir": "..", "curdir": ".", "sep": "/"}
_DEEPEST = 30


def added_paths(tree: ast.Module) -> tuple[str, ...]:
    """List what the code adds to `sys.path`, as paths from the kernel's folder, or absolute ones."""
    names = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
    }
    given = (one for node in ast.walk(tree) for one in _given(node))
    found = (_evaluated(one, names) for one in given)
    return tuple(dict.fromkeys(_from_here(one) for one in found if one is not None))


def _from_here(path: str) -> str:
    whole = _absolute(path)
    return posixpath.relpath(whole, _HERE) if whole.startswith("/@0") else whole


def _absolute(path: str) -> str:
    return posixpath.normpath(posixpath.join(_HERE, path))


def _given(node: ast.AST) -> Iterator[ast.expr]:
    """Give the expressions that a node puts on the path."""
    match node:
        case ast.Call(func=ast.Attribute(attr="append" | "extend", value=path), args=[given]) if _is_path(
            path
        ):
            yield from _listed(given)
        case ast.Call(func=ast.Attribute(attr="insert", value=path), args=[_, given]) if _is_path(path):
            yield given
        case ast.Call(func=ast.Attribute(attr="addsitedir") | ast.Name(id="addsitedir"), args=[given, *_]):
            yield given
        case ast.AugAssign(target=target, value=value) if _is_path(target):
            yield from _listed(value)
        case ast.Assign(targets=[target], value=value) if _is_path(target):
            yield from _listed(value)
        case _:
            return


def _is_path(node: ast.expr) -> bool:
    """Whether it is `sys.path`, or a slice of it."""
    if isinstance(node, ast.Subscript):
        node = node.value
    return isinstance(node, ast.Attribute) and node.attr == "path" and getattr(node.value, "id", "") == "sys"


def _listed(node: ast.expr) -> Iterator[ast.expr]:
    """Take `[a] + sys.path` and `[a, *sys.path]` apart."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = (node.left, node.right)
        if any(isinstance(one, ast.List | ast.Tuple) for one in sides):
            for one in sides:
                yield from _listed(one)
            return
    if isinstance(node, ast.List | ast.Tuple):
        yield from node.elts
    elif not _is_path(node):
        yield node


def _evaluated(node: ast.expr, names: Mapping[str, ast.expr], depth: int = 0) -> str | None:
    """Work out a path as text; None where only a kernel could."""
    if depth > _DEEPEST:
        return None

    def value(one: ast.expr) -> str | None:
        return _evaluated(one, names, depth + 1)

    found = None
    match node:
        case ast.Constant(value=str(text)):
            found = text
        case ast.Name(id=name) if name in names:
            found = value(names[name])
        case ast.BinOp(left=left, op=ast.Div() | ast.Add() as sign, right=right):
            found = _combined(value(left), value(right), is_path=isinstance(sign, ast.Div))
        case ast.Attribute() | ast.Subscript():
            found = _attribute(node, value)
        case ast.Call(func=ast.Attribute(value=inner, attr=attr), args=args):
            owner = [] if written(inner) in _MODULES else [inner]
            found = _called(attr, [value(one) for one in (*owner, *args)])
        case ast.Call(func=ast.Name(id=name), args=args):
            found = _called(name, [value(one) for one in args])
    return found


def _attribute(node: ast.expr, value: Callable[[ast.expr], str | None]) -> str | None:
    """Work out `p.parent`, `p.parents[1]` and the names that `os` has for parts of paths."""
    match node:
        case ast.Attribute(value=inner, attr="parent"):
            return _parent(value(inner), 0)
        case ast.Attribute(attr=attr):
            return _CONSTANTS.get(attr)
        case ast.Subscript(value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=up)):
            return _parent(value(inner), up) if isinstance(up, int) else None
        case _:
            return None


def _combined(left: str | None, right: str | None, *, is_path: bool) -> str | None:
    if left is None or right is None:
        return None
    return posixpath.join(left, right) if is_path else left + right


def _parent(path: str | None, up: int) -> str | None:
    parents = () if path is None else PurePosixPath(path).parents
    return str(parents[up]) if up < len(parents) else path


def _called(name: str, arguments: list[str | None]) -> str | None:
    """Give what a function of paths gives; a method's own path comes first."""
    given = [one for one in arguments if one is not None]
    if len(given) != len(arguments):
        return None
    if not given:
        return _HERE if name in {"cwd", "getcwd"} else "." if name in _SAME else None
    if name in _ABSOLUTE:
        return _absolute(given[0])
    if name == "dirname":
        return posixpath.dirname(given[0])
    if name == "normpath":
        return posixpath.normpath(given[0])
    return posixpath.join(*given) if name in {"join", "joinpath"} | _SAME else None
