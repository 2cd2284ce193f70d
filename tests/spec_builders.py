"""StageSpecs by hand, for tests of what comes after reading.

Paths are templates as in a header: relative to the notebook's folder `notebooks/`, axes in braces.
A reference is `train.model` or `train[*].model` behind an `@`: `"@train.model"`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nbpipeline.location import Location
from nbpipeline.model import (
    Artifact,
    Cell,
    Expression,
    Notebook,
    Parameter,
    ProjectSpec,
    Reference,
    StageLink,
    StageSpec,
)
from nbpipeline.reading import expressions

FOLDER = "notebooks"


def artifact(name: str, value: Any, where: Location, *, base: str = FOLDER, **more: Any) -> Artifact:
    """An artifact as a header declares it; a list makes a list of paths."""
    if isinstance(value, str) and value.startswith("@"):
        stage, _, output = value[1:].rpartition(".")
        collect = stage.endswith("[*]")
        reference = Reference(stage=stage.removesuffix("[*]"), output=output, collect=collect)
        return Artifact(name=name, where=where, reference=reference, base=base, **more)
    return Artifact(name=name, where=where, value=expression(value), base=base, **more)


def expression(value: Any) -> Expression:
    """Text is a template, a list one of templates, an Expression itself."""
    if isinstance(value, Expression):
        return value
    if isinstance(value, list):
        return Expression("list", tuple(expression(item) for item in value))
    return expressions.template(value) if isinstance(value, str) else Expression("literal", (value,))


def stage(
    name: str,
    *,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    after: Sequence[str] = (),
    dependencies: Sequence[str] = (),
    matrix: Mapping[str, Sequence[Any]] | None = None,
    modes: Mapping[str, str] | None = None,
    **more: Any,
) -> StageSpec:
    """A stage whose header is cell 1 and whose parameters are the literals in `params`, in cell 2."""
    path = f"{FOLDER}/{name}.ipynb"
    where = Location(path=path, cell=1)
    parameters = tuple(
        Parameter(
            name=key,
            where=Location(path=path, cell=2, line=line),
            default=Expression("literal", (value,), line),
            type=type(value).__name__ if value is not None else None,
            cell=2,
        )
        for line, (key, value) in enumerate((params or {}).items(), start=1)
    )
    cells = (Cell(index=1, kind="raw", source="---\nnbpipeline: {}\n---"),)
    if parameters:
        cells += (Cell(index=2, kind="code", source="...", tags=frozenset({"parameters"})),)
    links = [(one, False) for one in after] + [(one, True) for one in dependencies]
    return StageSpec(
        **{
            "name": name,
            "notebook": Notebook(path=path, cells=cells, kernel="python3", language="python"),
            "where": where,
            "parameters": parameters,
            "inputs": tuple(artifact(key, value, where) for key, value in (inputs or {}).items()),
            "outputs": tuple(
                artifact(key, value, where, mode=(modes or {}).get(key, "write"))
                for key, value in (outputs or {}).items()
            ),
            "links": tuple(StageLink(stage=one, where=where, stale_with=stale) for one, stale in links),
            "matrix": {axis: tuple(values) for axis, values in (matrix or {}).items()},
            **more,
        }
    )


def project(*stages: StageSpec, root: str = "/nowhere/project", **more: Any) -> ProjectSpec:
    """A project of these stages; its root need not exist."""
    return ProjectSpec(**{"root": root, "name": "test", "file": None, "stages": tuple(stages), **more})
