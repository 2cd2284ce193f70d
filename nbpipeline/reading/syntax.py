"""Python cells as syntax trees: parsed with IPython's own transformer where there are magics.

The canonical text of a tree is the same on every supported Python, so that fingerprints made
under one are good under the next.
"""

import ast
import copy
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from nbpipeline.patterns import regex
from nbpipeline.values import dataclass

PYTHON_BODIES = frozenset({"capture", "memit", "mprun", "prun", "scalene", "time", "timeit"})
"""Magics (line and cell) whose text is Python that runs in the notebook."""

MAX_DEPTH = 100
"""Levels of an expression that is read, as of one level for each term of a sum."""

_MOST_WORK = 300_000
"""Characters that IPython may look at, those of the cell counted for each magic: about a second."""

# None of these looks at a run of blanks more than once for each of its characters.
_ESCAPES = regex(r"^[^\S\n]*(?:[%!?,;/>]|In \[)|=\s*[%!]|\?[^\S\n]*$|\A\s", re.MULTILINE)
_LONG_TEXTS = regex(r'"""(?:[^"]|"(?!""))*"""|\'\'\'(?:[^\']|\'(?!\'\'))*\'\'\'')
"""SQL and the like, whose lines may begin with what only looks like magics."""
_BLANKS = regex(r"[ \t\f]{500}")
"""For such a run Python's tokenizer takes the square of its length, where a quote is not closed before it."""
_CELL_MAGIC = regex(r"%%([A-Za-z]\w*)(?: ([^\n]*))?(?:\n|\Z)")
_LINE_MAGIC = regex(
    r"^(?:%([A-Za-z]\w*)(?: ([^\n]*[^?\s]))?|!([A-Za-z.~/{$][^\n]*[^?\s]))[ \t]*$", re.MULTILINE
)
_SEVERAL_LINES = regex(r"\"\"\"|'''|\\\s*$|\r", re.MULTILINE)
_IGNORED = frozenset({"ctx", "type_comment", "kind", "type_ignores"})
_MAGIC_CALLS = frozenset({"run_line_magic", "run_cell_magic"})
_OPTION = regex(r"(?:-{1,2}[A-Za-z][\w-]*(?:\s*=?\s*[\d.]+)?\s+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModule:
    """One import: `from ..a import b, c` is module `a`, level 2, names `b` and `c`."""

    module: str
    """Dotted; empty for `from . import x`."""
    level: int = 0
    names: tuple[str, ...] = ()
    """What is taken from it: attributes or submodules, which only the files can tell; `*` for all."""
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Magic:
    """A use of `%name text` or `%%name text` with a body."""

    name: str
    text: str
    body: str | None = None
    line: int = 1


def parse_cell(source: str) -> ast.Module:
    """Parse a cell; bodies of magics such as `%%time` stand in the tree as the code that they are.

    Raises SyntaxError, also for text that no Python can parse for its depth or its null bytes.
    """
    try:
        return _parse(source)
    except SyntaxError:
        if not _ESCAPES.search(source):
            raise
    tree = _quickly(source) or _parse(_transform(source))
    tree.body = list(_expanded(tree.body))
    return tree


def _parse(source: str) -> ast.Module:
    """Run `ast.parse` without its warnings, and with one kind of error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error) or "nested too deeply") from error


def _quickly(source: str) -> ast.Module | None:
    """Parse the plain cases (`%%time`, `%magic`, `!command`) without IPython.

    Its transformer takes 3 ms a cell, 100 times as long. None for all else, such as a magic in a
    block, in an assignment, or near a text of several lines.
    """
    cell_magic = _CELL_MAGIC.match(source)
    if cell_magic:
        name, text = cell_magic.groups()
        body = source[cell_magic.end() :]
        body += "" if body.endswith("\n") or not body else "\n"
        return _parse(f"get_ipython().run_cell_magic({name!r}, {(text or '').rstrip()!r}, {body!r})\n")
    if _SEVERAL_LINES.search(source):
        return None
    try:
        return _parse(_LINE_MAGIC.sub(_line_call, source))
    except SyntaxError:
        return None


def _line_call(match: re.Match[str]) -> str:
    name, text, command = match.groups()
    if command is not None:
        return f"get_ipython().system({command!r})"
    return f"get_ipython().run_line_magic({name!r}, {text or ''!r})"


@lru_cache(maxsize=64)
def _transform(source: str) -> str:
    """Turn magics, shell escapes and help requests into the calls that IPython makes of them.

    Raises SyntaxError where that would take long: IPython goes through the whole cell for each of them.
    """
    if len(_ESCAPES.findall(_LONG_TEXTS.sub("", source))) * len(source) > _MOST_WORK:
        raise SyntaxError("it has too many magics for its length")
    if _BLANKS.search(source):
        raise SyntaxError("it has a magic, and hundreds of blanks in a row")
    # IPython takes 75 ms to import, so only a cell that needs it pays.
    from IPython.core.inputtransformer2 import TransformerManager  # noqa: PLC0415

    text: str = TransformerManager().transform_cell(source)
    return text


def _expanded(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Put the Python of known magics beside their calls (at the top level, where they mostly stand)."""
    for statement in body:
        found = _magic_call(statement.value) if isinstance(statement, ast.Expr | ast.Assign) else None
        code = _python_of(found) if found else None
        if found is None or code is None:
            yield statement
            continue
        yield _without_code(statement, found)
        offset = statement.lineno if found.body is not None else statement.lineno - 1
        for inner in code.body:
            yield ast.increment_lineno(inner, offset)


def _python_of(magic: Magic) -> ast.Module | None:
    """Parse what a magic runs as Python; None where it is none, or cannot be parsed."""
    if magic.name not in PYTHON_BODIES:
        return None
    text = magic.body if magic.body is not None else _OPTION.sub("", f"{magic.text} ", count=1)
    try:
        return parse_cell(text.strip(" "))
    except SyntaxError:
        return None


def _without_code(statement: ast.stmt, magic: Magic) -> ast.stmt:
    """Keep the magic's call as a mark, less the code that is now beside it."""
    text = magic.text if magic.body is not None else ""
    mark = ast.parse(f"get_ipython().run_line_magic({magic.name!r}, {text!r})").body[0]
    return ast.increment_lineno(mark, statement.lineno - 1)


def _magic_call(node: ast.expr) -> Magic | None:
    """Read `get_ipython().run_line_magic('name', 'text')` back as the magic that it was."""
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr=attr), args=args
        ) if attr in _MAGIC_CALLS:
            texts = [item.value for item in args if isinstance(item, ast.Constant)]
            # A call with computed arguments is no magic as written in a cell.
            if len(texts) == len(args) and all(isinstance(text, str) for text in texts) and len(texts) > 1:
                name, text, body = (*texts, None)[:3]
                return Magic(name=str(name), text=str(text), body=body, line=node.lineno)  # type: ignore[arg-type]
    return None


def magics(tree: ast.AST) -> tuple[Magic, ...]:
    """List the magics of a parsed cell, in order; shell escapes are not among them."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    found = [magic for magic in map(_magic_call, calls) if magic]
    return tuple(sorted(found, key=lambda magic: magic.line))


def imported_modules(tree: ast.AST) -> tuple[ImportedModule, ...]:
    """List what a tree imports, wherever it stands in it, in order of lines."""
    found: list[ImportedModule] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [ImportedModule(module=alias.name, line=node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            found.append(
                ImportedModule(module=node.module or "", level=node.level, names=names, line=node.lineno)
            )
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
            found.append(ImportedModule(module=name, line=node.lineno))
    return tuple(sorted(found, key=lambda one: one.line))


def _imported_by_call(node: ast.Call) -> str | None:
    """Name the module of `importlib.import_module("x")`, `import_module("x")` or `__import__("x")`."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in {"import_module", "__import__"} or not node.args:
        return None
    first = node.args[0]
    if isinstance(first, ast.Constant) and isinstance(first.value, str) and not first.value.startswith("."):
        return first.value
    return None


class _Shortened(ast.NodeTransformer):
    """Puts `...` in place of numbers with more digits than Python writes."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        try:
            repr(node.value)
        except ValueError:
            return ast.Constant(value=...)
        return node


def is_too_deep(node: ast.expr) -> bool:
    """Whether an expression has more levels than `MAX_DEPTH`: Python's own stack ends at some hundreds."""
    if node.lineno == node.end_lineno and (node.end_col_offset or 0) - node.col_offset < MAX_DEPTH:
        return False  # each level takes a character
    level: list[ast.AST] = [node]
    for _ in range(MAX_DEPTH):
        level = [inner for one in level for inner in ast.iter_child_nodes(one)]
        if not level:
            return False
    return True


def written(node: ast.AST) -> str:
    """Write a tree as Python code; a hexadecimal number too long to be written in decimals as `...`."""
    try:
        return ast.unparse(node)
    except ValueError:
        return ast.unparse(_Shortened().visit(copy.deepcopy(node)))


# --- canonical text --------------------------------------------------------------------------


def normalised(source: str, language: str = "python") -> str:
    """Give the text by which two cells count as the same code.

    Of Python: its canonical syntax. Of another language, and of what cannot be parsed: the text
    without blanks at the end of its lines.
    """
    if language == "python":
        try:
            return canonical(parse_cell(source).body)
        except SyntaxError:
            pass
    lines = [line.rstrip() for line in source.splitlines()]
    return "text:" + "\n".join(lines).strip("\n")


def canonical(node: ast.AST | Sequence[ast.AST]) -> str:
    """Write a tree as text that is equal on Python 3.11 to 3.13 for equal code.

    Positions, contexts and empty fields are left out; docstrings are kept. Walks without
    recursion, so that a sum of ten thousand terms is no trouble.
    """
    out: list[str] = []
    waiting: list[object] = [node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, _Text):
            out.append(item)
        elif isinstance(item, ast.Constant):
            out.append(_constant(item.value))
        elif isinstance(item, ast.AST):
            waiting.extend(reversed(_pieces(item)))
        else:
            waiting.extend(reversed(_listed(item)))  # type: ignore[arg-type]
    return "".join(out)


class _Text(str):
    """A piece that is ready to be written."""

    __slots__ = ()


_OPEN, _CLOSE, _COMMA, _END = _Text("["), _Text("]"), _Text(","), _Text(")")


def _pieces(node: ast.AST) -> list[object]:
    """Split one node into text and parts still to be written."""
    pieces: list[object] = [_Text(f"{type(node).__name__}(")]
    for name in node._fields:
        if name in _IGNORED:
            continue
        value = getattr(node, name, None)
        if isinstance(node, ast.JoinedStr):  # Python 3.12 leaves empty texts in nested f-strings
            value = [one for one in node.values if getattr(one, "value", None) != ""]
        if value is None or value == [] or (name == "format_spec" and not getattr(value, "values", True)):
            continue
        pieces.append(_Text(f"{name}="))
        pieces.append(value if isinstance(value, ast.AST | list) else _Text(repr(value)))
        pieces.append(_COMMA)
    pieces.append(_END)
    return pieces


def _listed(items: Sequence[object]) -> list[object]:
    """Split a list of nodes; a None in it (a dict's `**`, a keyword without default) keeps its place."""
    pieces: list[object] = [_OPEN]
    for item in items:
        pieces.append(item if isinstance(item, ast.AST) else _Text(repr(item)))
        pieces.append(_COMMA)
    pieces.append(_CLOSE)
    return pieces


def _constant(value: object) -> str:
    """Write a constant by its type and value, so that 1, 1.0 and True stay apart.

    In ASCII: which characters `repr` shows as they are differs with the Unicode of each Python.
    """
    return f"={hex(value)}" if type(value) is int else f"={value!a}"
