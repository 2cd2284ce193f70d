"""Which names the executed copy of a notebook must assign anew, and after which cells.

The notebook is followed as its kernel would run it: what a declaring cell gives under what was
injected before it, against what the pipeline wants; only what differs is injected.
"""

from collections.abc import Iterable, Mapping

from nbpipeline.model import Artifact, Expression, Injection, Parameter, StageSpec, Value
from nbpipeline.pipeline.drafts import Draft
from nbpipeline.pipeline.parameters import NO_PROFILE
from nbpipeline.reading import expressions
from nbpipeline.values import dataclass

_DECLARING = frozenset({"parameters", "inputs", "outputs", "dependencies"})


@dataclass(frozen=True, slots=True)
class _Assignment:
    """A name that a cell assigns; `expression` is None where only the kernel knows what."""

    name: str
    expression: Expression | None

    @property
    def line(self) -> int:
        return self.expression.line if self.expression else 0


def find_injections(draft: Draft) -> tuple[Injection, ...]:
    """One injection for each declaring cell that gives something else, and one for the header's names."""
    wanted = _wanted(draft)
    cells = _assignments(draft.spec)
    held: dict[str, Value] = {"profile": draft.scope.names.get("profile", NO_PROFILE)}
    found: dict[int, dict[str, Value]] = {}
    for index in sorted(cells):
        values = _differing(cells[index], held, wanted)
        if values:
            found[index] = values
    assigned = {one.name for in_cell in cells.values() for one in in_cell}
    header_only = {name: value for name, value in wanted.items() if name not in assigned}
    if header_only:
        found.setdefault(_after_all(draft.spec), {}).update(header_only)
    return tuple(Injection(after=index, values=found[index]) for index in sorted(found))


def _wanted(draft: Draft) -> Mapping[str, Value]:
    wanted = dict(draft.parameters)
    for bound in (*draft.inputs.values(), *draft.outputs.values()):
        wanted[bound.name] = bound.value
    return wanted


def _assignments(spec: StageSpec) -> Mapping[int, tuple[_Assignment, ...]]:
    """List what every declaring cell assigns, by the cell's index, in the order of its lines."""
    cells: dict[int, dict[str, _Assignment]] = {}
    declared: tuple[Parameter | Artifact, ...] = (*spec.parameters, *spec.inputs, *spec.outputs)
    for one in declared:
        if one.cell is not None:
            cells.setdefault(one.cell, {})[one.name] = _Assignment(one.name, _in_cell(one))
    return {index: tuple(sorted(found.values(), key=lambda one: one.line)) for index, found in cells.items()}


def _in_cell(declared: Parameter | Artifact) -> Expression | None:
    if isinstance(declared, Artifact):
        return declared.cell_value
    return declared.default if declared.default_in_cell and not declared.opaque else None


def _differing(
    assignments: Iterable[_Assignment], held: dict[str, Value], wanted: Mapping[str, Value]
) -> dict[str, Value]:
    """Run one cell in thought; afterwards `held` is what the kernel holds, the injected values included."""
    names = []
    for one in assignments:
        names.append(one.name)
        try:
            if one.expression is None:
                raise KeyError(one.name)  # noqa: TRY301 - as for a name that is not known
            held[one.name] = expressions.evaluate(one.expression, held)
        except (KeyError, ValueError):
            held.pop(one.name, None)
    values = {
        name: wanted[name]
        for name in names
        if name in wanted and not (name in held and _same(held[name], wanted[name]))
    }
    held.update(values)
    return values


def _same(one: Value, other: Value) -> bool:
    """Equal and of the same types: `1`, `1.0` and `True` are three values to a notebook."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)


def _after_all(spec: StageSpec) -> int:
    """Choose the last declaring cell, else the header's, else the place before everything."""
    declaring = [cell.index for cell in spec.notebook.cells if cell.kind == "code" and cell.tags & _DECLARING]
    if declaring:
        return declaring[-1]
    return (spec.where.cell or 0) if spec.where.path == spec.notebook.path else 0
