"""Whether the schema that a check names is there, told from the module's text: nothing of it is imported."""

import ast
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from nbpipeline.errors import did_you_mean
from nbpipeline.model import Check
from nbpipeline.patterns import regex
from nbpipeline.validators import schemas

Lack = tuple[str, str]
"""What is not there, and the mend."""


def lack(check: Check, roots: Sequence[Path]) -> Lack | None:
    """Say what is not there of a `pandera` check that is written rightly; None where nothing is missed.

    `roots` are the folders that the notebook imports from. Of modules that are installed it is asked alone
    whether they are.
    """
    module, name = schemas.schema_of(check)
    parts = module.split(".")
    if not any(_is_here(root, parts[0]) for root in roots):
        return None if _is_installed(parts[0]) else _no_module(module, roots)
    file = next((found for root in roots for found in _files(root, parts) if found.is_file()), None)
    if file is None:
        folder = any(root.joinpath(*parts).is_dir() for root in roots)
        return None if folder else _no_module(module, roots)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # the import will say so
        return None
    if regex(rf"(?m)^(class )?{name}\b").search(text):
        return None
    known = _names(text)
    if known is None or name in known:
        return None
    near = did_you_mean(name, known)
    return (
        f"the module {module} ({file.name}) has no {name}.",
        f"did you mean '{near}'?" if near else f"define the schema {name} in {file.name}",
    )


def _is_here(root: Path, top: str) -> bool:
    return (root / f"{top}.py").is_file() or (root / top).is_dir()


def _files(root: Path, parts: Sequence[str]) -> Iterator[Path]:
    place = root.joinpath(*parts)
    yield place / "__init__.py"
    yield place.with_name(f"{place.name}.py")


def _is_installed(top: str) -> bool:
    try:
        return find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _no_module(module: str, roots: Sequence[Path]) -> Lack:
    known = sorted({one.stem for root in roots for one in root.glob("*.py")})
    near = did_you_mean(module, known)
    file = f"{module.replace('.', '/')}.py"
    mend = f"put {file} beside the notebook, or into a folder of `pythonpath`"
    return f"there is no module {module}.", f"did you mean '{near}'? Else {mend}" if near else mend


def _names(text: str) -> set[str] | None:
    """Name what a module defines; None where only an import can tell."""
    try:
        nodes = [*ast.walk(ast.parse(text))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
    return None if found & {"*", "__getattr__", "globals"} else found
