"""Reads the numbers that `metrics` cells assign, without a trace in the notebook."""

import ast
import json
import math
from collections.abc import Mapping

from nbpipeline.model import Value
from nbpipeline.reading.syntax import parse_cell

TAG = "metrics"

_READER = (
    "(lambda v: (lambda w: __import__('json').dumps({{"
    "'type': type(v).__name__, "
    "'value': w if isinstance(w, float) else "
    "(w if abs(w) < 1 << 1023 else None) if isinstance(w, int) else "
    "float(w) if isinstance(w, __import__('numbers').Real) or type(w).__name__ == 'Decimal' else None"
    "}}))(v.item() if hasattr(v, 'item') and getattr(v, 'shape', None) == () else v))({name})"
)


def assigned_names(source: str) -> tuple[str, ...]:
    """Names that a cell assigns at its top level, in order; those with a leading underscore are private."""
    try:
        tree = parse_cell(source)
    except SyntaxError:
        return ()
    names: dict[str, None] = {}
    for node in _own_scope(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and not node.id.startswith("_"):
            names[node.id] = None
    return tuple(names)


def _own_scope(node: ast.AST) -> list[ast.AST]:
    """Every node whose names belong to the notebook: no bodies of functions, classes, comprehensions."""
    closed = (
        ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda,
        ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp,
    )  # fmt: skip
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, closed):
            found += [child, *_own_scope(child)]
    return found


def expressions(names: tuple[str, ...]) -> Mapping[str, str]:
    """Write what to ask the kernel for, by name: one self-contained expression each."""
    return {name: _READER.format(name=name) for name in names}


def read(replies: Mapping[str, Mapping[str, Value]]) -> tuple[dict[str, Value], tuple[str, ...]]:
    """Sort what the kernel answered into numbers, and words on what is no number."""
    numbers: dict[str, Value] = {}
    others: list[str] = []
    for name, reply in replies.items():
        try:
            found = json.loads(ast.literal_eval(reply["data"]["text/plain"]))
        except (KeyError, ValueError, SyntaxError, TypeError):
            if reply.get("ename", "NameError") != "NameError":
                others.append(f"{name} ({reply['ename']})")
            continue  # deleted again by the cell itself
        value = found["value"]
        if value is None and found["type"] == "int":
            others.append(f"{name} (an int past 1e308)")  # which no float, and no tracker, holds
        elif value is None or isinstance(value, bool):
            others.append(f"{name} ({found['type']})")
        elif not math.isfinite(value):
            others.append(f"{name} ({value})")
        else:
            numbers[name] = value
    return numbers, tuple(others)
