"""The code part of a fingerprint: cells as normalised syntax, declarations by what they mean."""

from collections.abc import Iterator

from nbpipeline.encoding import canonical
from nbpipeline.fingerprint.facts import Facts, FactsCache
from nbpipeline.model import Cell, StageInstance, StageSpec

NEVER_RUN = frozenset({"skip", "test"})
DECLARING = frozenset({"inputs", "outputs", "dependencies", "expectations"})
"""Tags whose cells hold declarations alone (in `parameters`, other statements may stand beside)."""


def counted_cells(spec: StageSpec, facts: FactsCache) -> Iterator[tuple[Cell, Facts]]:
    """Give the code cells that count, with their facts; what is left of a declaring cell."""
    language = spec.notebook.language
    for cell in spec.notebook.cells:
        if cell.kind != "code" or cell.tags & NEVER_RUN:
            continue
        if language != "python" or not cell.tags:
            found = facts.of_cell(cell.source, language)
        elif "parameters" in cell.tags:
            found = facts.of_rest(cell.source, declared_names(spec, cell.index))
        elif cell.tags & DECLARING:
            continue
        else:
            found = facts.of_cell(cell.source, language)
        if found.digest:
            yield cell, found


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
            found[f"expect {name}"] = canonical([[one.name, one.arguments] for one in checks])
    if spec.cwd != "notebook":
        found["working folder"] = canonical(spec.cwd)
    if spec.executed:
        found["executed notebook"] = canonical(spec.executed)
    return found


def parameters(instance: StageInstance) -> dict[str, str]:
    """Every parameter's value as canonical JSON; an opaque one that nothing overrides by its source."""
    found = {name: canonical(value) for name, value in instance.parameters.items()}
    for name, value in instance.axes:
        found.setdefault(name, canonical(value))
    for one in instance.spec.parameters:
        if one.opaque and one.name not in found:
            found[one.name] = f"{OPAQUE}{one.source}"
    return found


OPAQUE = "source: "
"""Marks a parameter that counts by its source; no JSON text begins so."""
