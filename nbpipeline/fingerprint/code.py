"""The code part of a fingerprint: cells as normalised syntax, declarations by what they mean."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from nbpipeline.content import digest_text, source_version
from nbpipeline.encoding import canonical
from nbpipeline.fingerprint.facts import ANYTHING, Facts, FactsCache, NotebookFacts
from nbpipeline.masking.secrets import SHORTEST, Masker
from nbpipeline.model import Artifact, Cell, Check, Parameter, SavedCells, StageInstance, StageSpec
from nbpipeline.reading import syntax
from nbpipeline.reading.syntax import ImportedModule

NEVER_RUN = frozenset({"skip", "test"})
DECLARING = frozenset({"inputs", "outputs", "dependencies", "expectations"})
"""Tags whose cells hold declarations alone (in `parameters`, other statements may stand beside)."""

EFFECTIVE = frozenset({"metrics", "raises-exception", "skip-execution"})
"""Tags that change what running a cell does: with them it is another cell."""
PLACE = "place"
"""Marks a declaring cell whose names another cell binds too: the order matters."""


def notebook_facts(spec: StageSpec, facts: FactsCache) -> NotebookFacts:
    """Give what a fingerprint needs of the cells that count; where the cache has it, none is looked at."""
    cells = spec.notebook.cells
    if not isinstance(cells, SavedCells):
        return _gathered(spec, facts)
    groups: tuple[Sequence[Parameter | Artifact], ...] = (spec.parameters, spec.inputs, spec.outputs)
    declared = [[(one.name, one.cell) for one in group] for group in groups]
    key = f"{_scheme()} {cells.digest} {spec.notebook.language} {declared}"
    return facts.of_notebook_cells(spec.notebook.path, key, lambda: _gathered(spec, facts))


@cache
def _scheme() -> str:
    """Tell the version of what decides here which cells count, and as what."""
    return source_version(Path(__file__).parent, Path(syntax.__file__).parent)


def _gathered(spec: StageSpec, facts: FactsCache) -> NotebookFacts:
    counted = list(counted_cells(spec, facts))
    needs = Facts(
        imports=tuple(one for _, found in counted for one in found.imports),
        runs=tuple(one for _, found in counted for one in found.runs),
        paths=tuple(one for _, found in counted for one in found.paths),
    )
    return NotebookFacts({cell.index: found.digest for cell, found in counted}, needs)


def with_checks(needs: Facts, spec: StageSpec) -> Facts:
    """Add the modules of the project that its checks are written in: schemas, as `MODULE:NAME`."""
    named = [module for checks in spec.expect.values() for one in checks for module in _schema_module(one)]
    more = tuple(ImportedModule(module=one) for one in dict.fromkeys(named))
    return replace(needs, imports=(*needs.imports, *more)) if more else needs


def _schema_module(check: Check) -> Iterator[str]:
    given = check.arguments
    schema = given.get("schema") if isinstance(given, Mapping) else given
    if check.name == "pandera" and isinstance(schema, str):
        yield schema.partition(":")[0]


def counted_cells(spec: StageSpec, facts: FactsCache) -> Iterator[tuple[Cell, Facts]]:
    """Give the code cells that count, with their facts; what is left of a declaring cell."""
    language = spec.notebook.language
    cells = [one for one in spec.notebook.cells if one.kind == "code" and not one.tags & NEVER_RUN]
    places = _places(spec, cells, facts) if language == "python" else {}
    for cell in cells:
        if language != "python" or not cell.tags:
            found = facts.of_cell(cell.source, language)
        elif "parameters" in cell.tags:
            found = facts.of_rest(cell.source, declared_names(spec, cell.index))
        elif cell.tags & DECLARING:
            found = Facts()
        else:
            found = facts.of_cell(cell.source, language)
        if found.digest and cell.tags & EFFECTIVE:
            found = replace(found, digest=_digest(*sorted(cell.tags & EFFECTIVE), found.digest))
        if cell.index in places:
            found = replace(found, digest=_digest(PLACE, places[cell.index], found.digest))
        if found.digest:
            yield cell, found


def _digest(*parts: str) -> str:
    return digest_text(" ".join(parts))[:32]


def _places(spec: StageSpec, cells: list[Cell], facts: FactsCache) -> Mapping[int, str]:
    """Say for declaring cells, by index, which of their names another cell binds too."""
    declared = {one.index: _held_names(spec, one, facts) for one in cells if _declares(one)}
    names = frozenset().union(*declared.values())
    checks = {one.index for one in cells if "expectations" in one.tags}
    bound = {
        one.index: facts.bound_by(one.source)
        for one in cells
        if one.index not in checks and _may_bind(one.source, names)
    }
    found = {}
    for index, own in declared.items():
        others = frozenset().union(*(binds for other, binds in bound.items() if other != index))
        shared = own if index in checks or ANYTHING in others else own & others
        if shared:
            found[index] = " ".join(sorted(shared))
    return found


def _declares(cell: Cell) -> bool:
    return bool(cell.tags & DECLARING) or "parameters" in cell.tags


def _held_names(spec: StageSpec, cell: Cell, facts: FactsCache) -> frozenset[str]:
    """Names that a declaring cell assigns; of `after` and `dependencies` no code takes notice."""
    if "expectations" in cell.tags:
        return facts.bound_by(cell.source)
    return declared_names(spec, cell.index)


def _may_bind(source: str, names: frozenset[str]) -> bool:
    """Look at the text first: few cells speak of the declared names, or could bind any."""
    return any(one in source for one in names) or any(one in source for one in _BINDERS)


_BINDERS = ("import *", "%run", "exec", "globals(", "locals(", "vars(")


def declared_names(spec: StageSpec, cell: int) -> frozenset[str]:
    """Names that the cell at the index declares: their values count elsewhere."""
    parameters = {one.name for one in spec.parameters if one.cell == cell}
    artifacts = {one.name for one in (*spec.inputs, *spec.outputs) if one.cell == cell}
    return frozenset(parameters | artifacts)


def declarations(instance: StageInstance) -> dict[str, str]:
    """Say what the instance declares, by meaning: `output model` -> its value as canonical JSON."""
    spec = instance.spec
    found = {f"input {one.name}": canonical(one.value) for one in instance.inputs}
    found.update((f"output {one.name}", canonical(one.value)) for one in instance.outputs)
    for name, checks in spec.expect.items():
        if checks:
            found[f"expect {name}"] = canonical([_said(one) for one in checks])
    if spec.cwd != "notebook":
        found["working folder"] = canonical(spec.cwd)
    if spec.executed:
        found["executed notebook"] = canonical(spec.executed)
    return found


def _said(check: Check) -> list[Any]:
    """Say what a check asks for; what is seldom written counts where it is."""
    beside = {"mostly": check.mostly, "table": check.table or None}
    beside["severity"] = None if check.severity == "fail" else check.severity
    given = {name: value for name, value in beside.items() if value is not None}
    return [check.name, check.arguments, *([given] if given else [])]


def parameters(instance: StageInstance) -> dict[str, str]:
    """Every parameter's value as canonical JSON; an opaque one that nothing overrides by its source."""
    found = {name: canonical(value) for name, value in instance.parameters.items()}
    for name, value in instance.axes:
        found.setdefault(name, canonical(value))
    for one in instance.spec.parameters:
        if one.opaque and one.name not in found:
            found[one.name] = f"{OPAQUE}{one.source}"
    return found


def sealed(values: dict[str, str], secrets: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Put a digest in the place of each value that holds a secret: records are kept, and shared."""
    hidden = tuple(environ[name] for name in secrets if len(environ.get(name, "")) >= SHORTEST)
    if not hidden:
        return values
    masker = _masker(hidden)
    return {
        name: text if masker.text(text) == text else canonical(f"[masked {digest_text(text)[:16]}]")
        for name, text in values.items()
    }


_masker = lru_cache(8)(Masker)  # stages ask for the same secrets, and their forms are many

OPAQUE = "source: "
"""Marks a parameter that counts by its source; no JSON text begins so."""
