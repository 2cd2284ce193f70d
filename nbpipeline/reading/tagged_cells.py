"""Tagged cells -> declarations: parameters, inputs, outputs, dependencies, expectations."""

import ast
from collections.abc import Mapping
from dataclasses import field, replace

from nbpipeline.errors import did_you_mean
from nbpipeline.location import Location
from nbpipeline.model import Artifact, Cell, Expression, Notebook, Parameter, StageLink
from nbpipeline.reading import expressions, parameters, syntax
from nbpipeline.reading.place import Findings, Place, mend_by_name
from nbpipeline.values import dataclass

DECLARING = ("parameters", "inputs", "outputs", "dependencies", "expectations")
"""Tags that make a notebook a stage."""
TAGS = (*DECLARING, "metrics", "test", "skip")

_NEAR = 0.8
_MOST_TOLD = 100
"""Complaints about one cell: each names what is known, so all of them could grow with its square."""
_LINK_NAMES = ("after", "dependencies")
_IMPORTS: Mapping[str, str] = {
    "pathlib.Path": "Path",
    "pathlib.PurePath": "Path",
    "os.path": "os.path",
    "os.path.join": "os.path.join",
    "posixpath.join": "os.path.join",
}
_MODULES = frozenset({"os", "os.path", "pathlib", "posixpath"})


@dataclass(slots=True, kw_only=True)
class Declarations:
    """What the cells of one notebook declare, gathered cell by cell."""

    parameters: dict[str, Parameter] = field(default_factory=dict)
    inputs: dict[str, Artifact] = field(default_factory=dict)
    outputs: dict[str, Artifact] = field(default_factory=dict)
    links: list[StageLink] = field(default_factory=list)
    expectations: dict[str, tuple[Expression, Location]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """Names whose declaration was complained about."""
    first: Location | None = None
    """The first declaring cell."""


def declares(notebook: Notebook) -> bool:
    """Whether a declaring tag makes the notebook a stage."""
    return any(cell.kind == "code" and not cell.tags.isdisjoint(DECLARING) for cell in notebook.cells)


def read_cells(
    notebook: Notebook, findings: Findings, header_names: frozenset[str] = frozenset()
) -> Declarations:
    """Read all tagged cells; `header_names` are those that only the header declares."""
    found = Declarations()
    for cell in notebook.cells:
        if cell.kind == "code" and cell.tags:
            _near_misses(cell, notebook.path, findings)
            _read_cell(cell, notebook, found, findings, header_names)
    return found


def _read_cell(
    cell: Cell, notebook: Notebook, found: Declarations, findings: Findings, header_names: frozenset[str]
) -> None:
    tags = [tag for tag in DECLARING if tag in cell.tags]
    if not tags:
        return
    place = Place(file=notebook.path, findings=findings, cell=cell.index)
    found.first = found.first or place.where
    if len(tags) > 1:
        place.complain(
            f"the cell has the tags {' and '.join(map(repr, tags))}; a cell declares one kind of thing.",
            mend="split it into one cell for each tag.",
        )
    elif notebook.language != "python":
        _foreign(tags[0], notebook.language, place)
    else:
        _CellReader(cell=cell, tag=tags[0], place=place, found=found, header_names=header_names).read()


def _foreign(tag: str, language: str, place: Place) -> None:
    """Papermill injects after a `parameters` cell of any language; other tags need Python."""
    if tag != "parameters":
        place.complain(
            f"a cell tagged {tag!r} is read in Python notebooks only; this one is in {language}.",
            mend=f"declare its {tag} in the header, and drop the tag.",
        )


def _near_misses(cell: Cell, path: str, findings: Findings) -> None:
    for tag in sorted(cell.tags - set(TAGS)):
        meant = did_you_mean(tag.lower(), TAGS)
        if meant and _similar(tag.lower(), meant):
            Place(file=path, findings=findings, cell=cell.index).complain(
                f"the tag {tag!r} means nothing here.",
                known=f"known tags: {', '.join(TAGS)}",
                mend=f"did you mean {meant!r}?",
                warning=True,
            )


def _similar(tag: str, meant: str) -> bool:
    import difflib  # noqa: PLC0415 - only a notebook with other tools' tags needs it

    return difflib.SequenceMatcher(None, tag, meant).ratio() >= _NEAR


@dataclass(slots=True, kw_only=True)
class _CellReader:
    """Reads one declaring cell into the declarations."""

    cell: Cell
    tag: str
    place: Place
    found: Declarations
    header_names: frozenset[str]
    aliases: dict[str, str] = field(default_factory=dict)

    def read(self) -> None:
        """Read every statement; complain about each that is none of ours."""
        try:
            tree = syntax.parse_cell(self.cell.source)
        except SyntaxError as error:
            self._at(error.lineno).complain(
                f"the cell is no Python: {error.msg}.",
                mend="mend the cell; it must run in the notebook as well.",
            )
            return
        if self.tag == "parameters":
            self._parameters(tree)
            return
        before = len(self.place.findings)
        for statement in tree.body:
            if len(self.place.findings) - before > _MOST_TOLD:
                self._at(statement.lineno).complain(
                    f"more than {_MOST_TOLD} things are wrong in the cell; the rest of it was not read.",
                    mend="mend those first.",
                )
                return
            self._statement(statement)

    def _at(self, line: int | None) -> Place:
        return replace(self.place, lines={(): line}) if line else self.place

    def _parameters(self, tree: ast.Module) -> None:
        path = self.place.file
        for name, parameter in parameters.read_cell(self.cell, tree, path, self.found.parameters).items():
            before = self.found.parameters.get(name)
            if before and (before.source, bare(before.default)) != (
                parameter.source,
                bare(parameter.default),
            ):
                self._twice(name, parameter.where.line, "parameter", before.where)
                continue
            self.found.parameters[name] = parameter

    def _statement(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Import() | ast.ImportFrom():
                self._import(statement)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._assignment(name, value, statement.lineno)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._assignment(name, value, statement.lineno)
            case ast.Pass() | ast.Expr(value=ast.Constant(value=str())):
                return
            case _:
                self._at(statement.lineno).complain(
                    f"a cell tagged {self.tag!r} holds assignments `name = value`; this is none.",
                    known=f"known right-hand sides: {expressions.ALLOWED}",
                    mend="move the statement to a cell without the tag.",
                )

    def _import(self, statement: ast.Import | ast.ImportFrom) -> None:
        for alias in statement.names:
            module = statement.module or "" if isinstance(statement, ast.ImportFrom) else alias.name
            target = f"{module}.{alias.name}" if isinstance(statement, ast.ImportFrom) else alias.name
            if module not in _MODULES or (isinstance(statement, ast.ImportFrom) and statement.level):
                self._at(statement.lineno).complain(
                    f"a cell tagged {self.tag!r} imports pathlib and os only, not {module or alias.name!r}.",
                    mend="move the import to a cell without the tag.",
                )
            elif alias.asname or isinstance(statement, ast.ImportFrom):
                self.aliases[alias.asname or alias.name] = _IMPORTS.get(target, target)

    def _assignment(self, name: str, value: ast.expr, line: int) -> None:
        try:
            expression = expressions.parse(value, self.aliases)
        except ValueError as error:
            self._at(value.lineno).complain(
                f"the value of {name!r} is not known before the run: {error}.",
                known=f"known right-hand sides: {expressions.ALLOWED}",
                mend="write it with these; what is computed has its place in a cell without the tag.",
            )
            self.found.refused.add(name)
            return
        if self._names_known(name, expression):
            self._declare(name, expression, line)
        else:
            self.found.refused.add(name)

    def _names_known(self, name: str, expression: Expression) -> bool:
        found = self.found
        known = {**found.parameters, **found.inputs, **found.outputs}
        for used in sorted(expressions.names_in(expression)):
            if used in found.parameters and not _usable(found.parameters[used]):
                self._at(expression.line).complain(
                    f"the value of {name!r} uses {used!r}, a parameter that only the run can work out.",
                    mend=f"give {used!r} a plain value, or a type and no value.",
                )
                return False
            if used not in known:
                if used not in found.refused:
                    self._unknown_name(name, used, expression.line, known)
                return False
        return True

    def _unknown_name(self, name: str, used: str, line: int, known: Mapping[str, object]) -> None:
        if used in self.header_names:
            mend = (
                f"assign {used!r} in a cell tagged 'parameters' above, so that the notebook runs by itself."
            )
            what = f"the value of {name!r} uses {used!r}, which only the header declares."
            self._at(line).complain(what, mend=mend)
            return
        self._at(line).complain(
            f"the value of {name!r} uses {used!r}, which is neither a parameter nor declared before.",
            known=f"known names: {', '.join(sorted(known)) or 'none'}",
            mend=mend_by_name(used, list(known), f"assign {used!r} in a cell tagged 'parameters' above."),
        )

    def _declare(self, name: str, expression: Expression, line: int) -> None:
        where = self._at(line).where
        if self.tag == "dependencies":
            self._links(name, expression, where)
        elif self.tag == "expectations":
            self.found.expectations[name] = (expression, where)
        else:
            self._artifact(name, expression, where)

    def _artifact(self, name: str, expression: Expression, where: Location) -> None:
        kind = self.tag.removesuffix("s")
        for other_kind, group in (("input", self.found.inputs), ("output", self.found.outputs)):
            before = group.get(name)
            if before and bare(before.cell_value) != bare(expression):
                self._twice(name, where.line, kind if kind == other_kind else other_kind, before.where)
                return
        if name in self.found.parameters:
            self._twice(name, where.line, "parameter", self.found.parameters[name].where)
            return
        group = self.found.inputs if kind == "input" else self.found.outputs
        group[name] = Artifact(
            name=name, where=where, value=expression, cell=self.cell.index, cell_value=expression
        )

    def _twice(self, name: str, line: int | None, kind: str, before: Location) -> None:
        self._at(line).complain(
            f"{name!r} is declared twice, and not alike.",
            known=f"known {kind}: {name} ({before})",
            mend="take one of the two out, or rename it.",
        )

    def _links(self, name: str, expression: Expression, where: Location) -> None:
        if name not in _LINK_NAMES:
            self._at(where.line).complain(
                f"a cell tagged 'dependencies' assigns {' and '.join(_LINK_NAMES)}; here is {name!r}.",
                mend=mend_by_name(name, list(_LINK_NAMES), "take the assignment out."),
            )
            return
        values = _stage_names(expression)
        if values is None:
            self._at(where.line).complain(
                f"{name!r} wants a list of stages' names.", mend=f'write, for example, `{name} = ["clean"]`.'
            )
            return
        stale_with = name == "dependencies"
        self.found.links += [StageLink(stage=stage, where=where, stale_with=stale_with) for stage in values]


def _usable(parameter: Parameter) -> bool:
    """Whether the value can be known: a default that is read, or one that must be given."""
    return not parameter.opaque


def _stage_names(expression: Expression) -> list[str] | None:
    try:
        value = expressions.evaluate(expression, {})
    except (KeyError, ValueError):
        return None
    values = [value] if isinstance(value, str) else value
    if isinstance(values, list | tuple) and all(isinstance(one, str) for one in values):
        return list(values)
    return None


def bare(expression: Expression | None) -> Expression | None:
    """Give the expression without its lines, to compare what it says."""
    if expression is None:
        return None
    args = tuple(bare(one) if isinstance(one, Expression) else one for one in expression.args)
    return Expression(expression.kind, args, 0)
