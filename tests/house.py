"""The numbers that hold the house together: `python tests/house.py` prints them and fails when one is broken.

Lines of a function are counted from `def` to its end, its docstring not counted: a function must not get away with
being long by being undocumented, nor be punished for saying what it is for.
"""

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nbpipeline"
MOST_LINES = 400
MEDIAN_BELOW = 10
LONG = 60
LONG_SHARE = 0.015
MOST_LAZY = 3
NO_NAMES = {"utils", "util", "core", "common", "helpers", "helper", "manager", "managers", "misc"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    """Walk every function of a module, nested ones and methods too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Count a function's lines without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def is_ours(node: ast.AST) -> bool:
    """Say whether a statement imports a module of the package."""
    if isinstance(node, ast.ImportFrom):
        return bool(node.level) or (node.module or "").split(".")[0] == "nbpipeline"
    return isinstance(node, ast.Import) and any(one.name.split(".")[0] == "nbpipeline" for one in node.names)


def lazy_imports(tree: ast.AST) -> set[int]:
    """Give the lines of the imports of our own modules that stand inside functions."""
    return {node.lineno for one in functions(tree) for node in ast.walk(one) if is_ours(node)}


def complaints() -> list[str]:
    """Measure the package; say what is broken, and print the figures."""
    found: list[str] = []
    lengths: dict[str, int] = {}
    lazy: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if "/templates/" in name:
            continue
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        lines = len(text.splitlines())
        if lines > MOST_LINES:
            found.append(f"{name}: {lines} lines, more than {MOST_LINES}")
        if path.stem in NO_NAMES or path.parent.name in NO_NAMES:
            found.append(f"{name}: a module is named after its work, not {path.stem!r}")
        lengths |= {f"{name}:{one.lineno} {one.name}": length(one) for one in functions(tree)}
        lazy |= {f"{name}:{line}" for line in lazy_imports(tree)}
    long = {where: lines for where, lines in lengths.items() if lines > LONG}
    median = statistics.median(lengths.values())
    print(
        f"{len(lengths)} functions, median {median:g} lines, {len(long)} over {LONG} lines "
        f"({len(long) / len(lengths):.1%}), {len(lazy)} lazy imports of our own"
    )
    if median >= MEDIAN_BELOW:
        found.append(f"the median function has {median:g} lines; it should have less than {MEDIAN_BELOW}")
    if len(long) > LONG_SHARE * len(lengths):
        found.append(f"too many functions over {LONG} lines: {', '.join(sorted(long))}")
    if len(lazy) > MOST_LAZY:
        found.append(f"more than {MOST_LAZY} lazy imports of our own modules: {', '.join(sorted(lazy))}")
    return found


if __name__ == "__main__":
    broken = complaints()
    print("\n".join(broken) or "the house stands")
    sys.exit(bool(broken))
