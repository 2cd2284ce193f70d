"""Static checks of one notebook's names: undefined, unused, saved in an impossible order.

Only what is certain is told: a cell whose magics or star imports may define anything silences the
rest of the notebook.
"""

import ast
import builtins
import itertools
import symtable
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from nbpipeline.errors import Complaint, did_you_mean
from nbpipeline.location import Location
from nbpipeline.model import Artifact, Cell, StageSpec
from nbpipeline.patterns import regex
from nbpipeline.reading import syntax
from nbpipeline.reading.tagged_cells import DECLARING
from nbpipeline.values import dataclass

_GIVEN = frozenset(dir(builtins)) | {
    *("In", "Out", "_", "__", "___", "_i", "_ii", "_iii", "_dh", "_oh", "_ih", "_exit_code"),
    *("exit", "quit", "get_ipython", "display", "open", "__annotations__", "__builtin__", "__builtins__"),
    *("__session__", "__vsc_ipynb_file__", "PythonFinalizationError", "WindowsError"),
}
_NUMBERED = regex(r"_i?\d+")
_QUIET_MAGICS = frozenset(
    {
        *("autoreload", "bash", "cd", "conda", "config", "dhist", "env", "html", "javascript", "js", "latex"),
        *(
            "ls",
            "lsmagic",
            "markdown",
            "matplotlib",
            "nbpipeline",
            "pdb",
            "pinfo",
            "pinfo2",
            "pip",
            "precision",
        ),
        *("psource", "pwd", "reload_ext", "script", "set_env", "sh", "svg", "system", "sx", "who", "whos"),
        *("writefile", "xmode"),
        *syntax.PYTHON_BODIES,
    }
)
"""Magics that define no name but those that their options spell."""
_QUIET_EXTENSIONS = frozenset({"autoreload", "line_profiler", "memory_profiler", "nbpipeline", "tensorboard"})
_OPAQUE_CALLS = frozenset({"exec", "globals", "locals", "vars"})
_TARGET_OPTION = regex(r"--(?:out|err|proc)\s+(\w+)")
_WORD = regex(r"[^\W\d]\w*")
_MOST_TOLD = 100
"""Undefined names that are told of one notebook; for each one a name that was meant is looked for."""
_NOT_RUN = frozenset({"skip", "test"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _CellNames:
    """What one code cell binds and uses."""

    cell: Cell
    bound: frozenset[str] = frozenset()
    now: Mapping[str, int] = field(default_factory=dict)
    """Names that the cell itself needs when it runs, with their first line."""
    later: Mapping[str, int] = field(default_factory=dict)
    """Names that functions defined in it need when they are called."""
    opaque: bool = False
    """Whether it may define names that cannot be seen."""
    mentions: frozenset[str] = frozenset()
    """Names, attributes and whole texts, to tell what is used."""
    error: SyntaxError | None = None

    @property
    def runs(self) -> bool:
        """Whether the pipeline executes it."""
        return self.cell.tags.isdisjoint(_NOT_RUN)


def check_stage(spec: StageSpec) -> tuple[Complaint, ...]:
    """Warn of undefined names, of inputs and outputs that no cell uses, of an impossible order.

    Cells of other languages than Python are not read.
    """
    found = list(_out_of_order(spec))
    if spec.notebook.language == "python":
        cells = [_names_of(cell) for cell in spec.notebook.cells if cell.kind == "code"]
        running = [one for one in cells if one.runs]
        found += _unparsable(running, spec)
        idle = [one for one in cells if not one.runs]
        found += itertools.islice(_undefined(running, idle, spec), _MOST_TOLD)
        found += _unused(running, spec)
    return tuple(found)


def header_only_names(spec: StageSpec) -> tuple[str, ...]:
    """List the names that cells use and only the header declares: by hand they need `%nbpipeline`."""
    if spec.notebook.language != "python":
        return ()
    running = [one for one in map(_names_of, spec.notebook.cells) if one.cell.kind == "code" and one.runs]
    bound = frozenset[str]().union(*(one.bound for one in running))
    used = {name for one in running for name in (*one.now, *one.later)}
    return tuple(sorted((used & _declared(spec)) - bound))


def _declared(spec: StageSpec) -> frozenset[str]:
    """Collect the names that the pipeline puts into the namespace."""
    artifacts = frozenset(one.name for one in (*spec.inputs, *spec.outputs))
    return artifacts | frozenset(one.name for one in spec.parameters) | frozenset(spec.matrix)


# --- one cell --------------------------------------------------------------------------------


def _names_of(cell: Cell) -> _CellNames:
    if cell.kind != "code":
        return _CellNames(cell=cell)
    try:
        tree = syntax.parse_cell(cell.source)
        table = _symbols(cell.source, tree)
    except (SyntaxError, RecursionError, ValueError) as error:
        problem = error if isinstance(error, SyntaxError) else SyntaxError(str(error))
        mentions = frozenset(_WORD.findall(cell.source))
        return _CellNames(cell=cell, opaque=True, mentions=mentions, error=problem)
    magics = syntax.magics(tree)
    lines = _lines(tree)
    now, later, bound = _scopes(table)
    return _CellNames(
        cell=cell,
        bound=frozenset(bound) | _bound_by_magics(magics),
        now={name: lines[name] for name in now if name in lines},
        later={name: lines[name] for name in later - now if name in lines},
        opaque=_is_opaque(tree, magics, now),
        mentions=_mentions(tree),
    )


def _symbols(source: str, tree: ast.Module) -> symtable.SymbolTable:
    """Give the scopes of a cell; where there are magics, those of the code that IPython makes of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return symtable.symtable(source, "<cell>", "exec")
        except SyntaxError:
            return symtable.symtable(syntax.written(tree), "<cell>", "exec")


def _scopes(table: symtable.SymbolTable) -> tuple[set[str], set[str], set[str]]:
    """Give the global names that are needed at once, needed by functions, and bound."""
    now: set[str] = set()
    later: set[str] = set()
    bound: set[str] = set()
    for symbol in table.get_symbols():
        if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
            bound.add(symbol.get_name())
        if symbol.is_referenced():
            now.add(symbol.get_name())
    for inner, deferred in _nested(table):
        needs = later if deferred else now
        for symbol in inner.get_symbols():
            if symbol.is_global() and symbol.is_referenced():
                needs.add(symbol.get_name())
            if symbol.is_declared_global() and symbol.is_assigned():
                bound.add(symbol.get_name())
    return now, later, bound


def _nested(table: symtable.SymbolTable) -> Iterator[tuple[symtable.SymbolTable, bool]]:
    """Walk the scopes within, however deep; True for those that run only when something is called."""
    waiting = [(table, False)]
    while waiting:
        outer, called = waiting.pop()
        for inner in outer.get_children():
            found = (inner, called or inner.get_type() != "class")
            yield found
            waiting.append(found)


def _lines(tree: ast.AST) -> dict[str, int]:
    """Give each name's first line; annotations, which may never be looked up, are left out."""
    found: dict[str, int] = {}
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name):
            found[node.id] = min(node.lineno, found.get(node.id, node.lineno))
        for name, value in ast.iter_fields(node):
            if name not in {"annotation", "returns"}:
                waiting += [
                    one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST)
                ]
    return found


def _bound_by_magics(magics: Iterable[syntax.Magic]) -> frozenset[str]:
    """Collect what `%%capture out` and `%%bash --out x` assign."""
    found: set[str] = set()
    for magic in magics:
        if magic.name == "capture":
            found.update(word for word in magic.text.split() if word.isidentifier())
        found.update(_TARGET_OPTION.findall(magic.text))
    return frozenset(found)


def _is_opaque(tree: ast.AST, magics: Iterable[syntax.Magic], now: set[str]) -> bool:
    if any("*" in one.names for one in syntax.imported_modules(tree)) or not now.isdisjoint(_OPAQUE_CALLS):
        return True
    return any(not _is_quiet(magic) for magic in magics)


def _is_quiet(magic: syntax.Magic) -> bool:
    if magic.name == "load_ext":
        return magic.text.strip() in _QUIET_EXTENSIONS
    return magic.name in _QUIET_MAGICS


def _mentions(tree: ast.AST) -> frozenset[str]:
    """Collect what may be a use of a declared thing: names, attributes, whole texts, words in magics."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.Call) and _called(node) in {
            "system",
            "getoutput",
            "run_line_magic",
            "run_cell_magic",
        }:
            texts = (one.value for one in node.args if isinstance(one, ast.Constant))
            found.update(word for text in texts for word in _WORD.findall(str(text)))
    return frozenset(found)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


# --- the notebook ----------------------------------------------------------------------------


def _warning(
    spec: StageSpec, cell: int | None, line: int | None, what: str, mend: str, known: str = ""
) -> Complaint:
    where = Location(path=spec.notebook.path, cell=cell, line=line)
    return Complaint(where=where, what=what, mend=mend, known=known, warning=True)


def _unparsable(cells: Iterable[_CellNames], spec: StageSpec) -> Iterator[Complaint]:
    for one in cells:
        if one.error and one.cell.tags.isdisjoint(DECLARING):  # a declaring one is an error elsewhere
            yield _warning(
                spec,
                one.cell.index,
                one.error.lineno,
                f"the cell is no Python: {one.error.msg}.",
                "mend the cell, or tag it 'skip'.",
            )


def _undefined(running: list[_CellNames], idle: list[_CellNames], spec: StageSpec) -> Iterator[Complaint]:
    given = _GIVEN | _declared(spec)
    opaque = [number for number, one in enumerate(running) if one.opaque]
    everywhere = given.union(*(one.bound for one in running))
    before = set(given)
    for number, one in enumerate(running):
        if opaque and number >= opaque[0]:
            return
        before |= one.bound
        missing = {name: line for name, line in one.now.items() if name not in before}
        if not opaque:
            missing |= {name: line for name, line in one.later.items() if name not in everywhere}
        for name, line in sorted(missing.items(), key=lambda item: (item[1], item[0])):
            if not _NUMBERED.fullmatch(name):
                yield _no_such_name(spec, one.cell, line, name, [*running, *idle], before)
        before |= set(missing)


def _no_such_name(
    spec: StageSpec, cell: Cell, line: int, name: str, cells: Iterable[_CellNames], before: set[str]
) -> Complaint:
    what = f"the name {name!r} is undefined here."
    for other in cells:
        if name not in other.bound:
            continue
        if not other.runs:
            tag = next(iter(other.cell.tags & _NOT_RUN))
            known = f"known: cell {other.cell.index} assigns it, but is tagged {tag!r}"
            return _warning(
                spec,
                cell.index,
                line,
                what,
                f"take the tag off cell {other.cell.index}, or assign {name!r} elsewhere.",
                known,
            )
        known = f"known: cell {other.cell.index} assigns it, but comes later"
        return _warning(spec, cell.index, line, what, f"move cell {other.cell.index} up.", known)
    meant = did_you_mean(name, before - _GIVEN)
    mend = f"did you mean {meant!r}?" if meant else "assign or import it in a cell above."
    return _warning(spec, cell.index, line, what, mend)


def _unused(cells: list[_CellNames], spec: StageSpec) -> Iterator[Complaint]:
    if any(one.error for one in cells):
        return
    for word, artifacts in (("input", spec.inputs), ("output", spec.outputs)):
        for artifact in artifacts:
            mentions = frozenset[str]().union(*(one.mentions for one in cells))
            if mentions.isdisjoint(_signs(artifact)):
                verb = "reads" if word == "input" else "writes"
                yield Complaint(
                    where=artifact.where,
                    what=f"{word} {artifact.name!r} is declared, but no cell {verb} it by its name.",
                    mend=f"use `{artifact.name}` in the cell that {verb} it, or take the declaration out.",
                    warning=True,
                )


def _signs(artifact: Artifact) -> set[str]:
    """Collect what shows that an artifact is used: its name, or its path written out."""
    value = artifact.value
    written_elsewhere = artifact.cell is None and value is not None and value.kind == "literal"
    return {artifact.name, str(value.args[0])} if written_elsewhere and value else {artifact.name}


def _out_of_order(spec: StageSpec) -> Iterator[Complaint]:
    """Warn of the first cell that was last run before one that stands above it."""
    above: Cell | None = None
    for cell in spec.notebook.cells:
        count = cell.execution_count
        if cell.kind != "code" or count is None or not cell.tags.isdisjoint(_NOT_RUN):
            continue
        if above and count <= (above.execution_count or 0):
            yield _warning(
                spec,
                cell.index,
                None,
                f"the saved outputs were not made from top to bottom: cell {cell.index} is In [{count}], "
                f"cell {above.index} above it In [{above.execution_count}].",
                "restart the kernel, run all cells and save.",
            )
            return
        above = cell
