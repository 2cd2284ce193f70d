"""Makes the copy of a notebook that is executed: injected cells, no outputs, who runs and who stays."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from nbpipeline.errors import ReadingError
from nbpipeline.model import Cell, Injection, PathValue, StageInstance, Value
from nbpipeline.patterns import regex
from nbpipeline.stage.places import staged_value

INJECTED_TAG = "injected-parameters"
MARK = "nbpipeline"
"""Key of a cell's metadata: `{"cell": index in the source, 0 for an injected cell, "run": bool}`."""
_CELL_ID = regex(r"[A-Za-z0-9_-]{1,64}")


def executed_copy(instance: StageInstance, *, test: bool, run: str = "") -> dict[str, Any]:
    """Give the notebook to execute as nbformat 4.5 JSON; the source stays as it is.

    `run` names the hidden paths of outputs that are published atomically. Raises `ReadingError` where
    papermill cannot write values in the notebook's language.
    """
    notebook = instance.spec.notebook
    injections = _merged(instance, run)
    cells: list[dict[str, Any]] = []
    seen: set[str] = set()
    if 0 in injections:
        cells.append(_injected(instance, 0, injections[0]))
    for cell in notebook.cells:
        cells.append(_copied(cell, seen, test=test))
        if cell.index in injections:
            cells.append(_injected(instance, cell.index, injections[cell.index]))
    return {"cells": cells, "metadata": _metadata(instance), "nbformat": 4, "nbformat_minor": 5}


def _metadata(instance: StageInstance) -> dict[str, Any]:
    notebook = instance.spec.notebook
    metadata = {key: value for key, value in notebook.metadata.items() if key not in ("papermill", "widgets")}
    name = instance.spec.kernel or notebook.kernel or "python3"
    kernelspec = {"name": name, "display_name": name, "language": notebook.language}
    return {**metadata, "kernelspec": {**kernelspec, **(metadata.get("kernelspec") or {}), "name": name}}


def runs(cell: Cell, *, test: bool) -> bool:
    """Whether a run executes the cell: code that is neither empty nor `skip` nor (outside tests) `test`."""
    if cell.kind != "code" or not cell.source.strip() or "skip" in cell.tags:
        return False
    return test or "test" not in cell.tags


def _copied(cell: Cell, seen: set[str], *, test: bool) -> dict[str, Any]:
    tags = cell.metadata.get("tags") or sorted(cell.tags)
    mark = {"cell": cell.index, "run": runs(cell, test=test)}
    copied: dict[str, Any] = {
        "id": _cell_id(cell, seen),
        "cell_type": cell.kind,
        "metadata": {**cell.metadata, "tags": list(tags), MARK: mark},
        "source": cell.source,
    }
    if cell.kind == "code":
        copied |= {"outputs": [], "execution_count": None}
    elif cell.attachments:
        copied["attachments"] = dict(cell.attachments)
    return copied


def _cell_id(cell: Cell, seen: set[str]) -> str:
    """Keep the author's id; a missing or doubled one is made from the cell's place."""
    wanted = cell.id if _CELL_ID.fullmatch(cell.id or "") and cell.id not in seen else f"cell-{cell.index}"
    while wanted in seen:
        wanted += "-again"
    seen.add(wanted)
    return wanted


def _injected(instance: StageInstance, after: int, values: Mapping[str, Value]) -> dict[str, Any]:
    return {
        "id": f"injected-after-{after}",
        "cell_type": "code",
        "metadata": {"tags": [INJECTED_TAG], MARK: {"cell": 0, "run": True}},
        "source": assignments(instance, values),
        "outputs": [],
        "execution_count": None,
    }


# --- which names where -----------------------------------------------------------------------


def _merged(instance: StageInstance, run: str) -> dict[int, dict[str, Value]]:
    """All values by the cell that they follow, with the hidden paths of atomic outputs."""
    merged: dict[int, dict[str, Value]] = {}
    for injection in instance.injections:
        merged.setdefault(injection.after, {}).update(injection.values)
    for injection in _staged(instance, run):
        merged.setdefault(injection.after, {}).update(injection.values)
    return {after: values for after, values in merged.items() if values}


def _staged(instance: StageInstance, run: str) -> Iterator[Injection]:
    """Where atomic outputs get the path that they are written under."""
    places = {name: one.after for one in instance.injections for name in one.values}
    for output in instance.outputs:
        if output.spec.publish != "atomic":
            continue
        after = places.get(output.name, output.spec.cell)
        values = {output.name: staged_value(output.value, run)}
        yield Injection(after=_last_declaration(instance) if after is None else after, values=values)


def _last_declaration(instance: StageInstance) -> int:
    """Find the cell that names of the header alone follow: the last declaring one, else the header."""
    spec = instance.spec
    artifacts = [one.cell or 0 for one in (*spec.inputs, *spec.outputs)]
    parameters = [one.cell or 0 for one in spec.parameters]
    return max([*artifacts, *parameters], default=0) or (spec.where.cell or 0)


# --- how values are written ------------------------------------------------------------------


def assignments(instance: StageInstance, values: Mapping[str, Value]) -> str:
    """Write values as code of the notebook's language. Raises `ReadingError`."""
    language = instance.spec.notebook.language.lower()
    if language in ("python", "ipython", ""):
        return python_assignments(values)
    return _translated(instance, values)


def python_assignments(values: Mapping[str, Value]) -> str:
    """Write values as Python assignments that give back equal values."""
    lines = ["# Injected by nbpipeline"]
    if any(_holds_path(value) for value in values.values()):
        lines.append("from pathlib import Path\n")
    lines += [f"{name} = {literal(value)}" for name, value in values.items()]
    return "\n".join(lines)


def _holds_path(value: Value) -> bool:
    if isinstance(value, PathValue):
        return True
    if isinstance(value, Mapping):
        return any(_holds_path(one) for one in value.values())
    return isinstance(value, (list, tuple, set, frozenset)) and any(_holds_path(one) for one in value)


def literal(value: Value) -> str:
    """Write one value as a Python expression."""
    if isinstance(value, PathValue):
        return f"Path({value.text!r})"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(key)}: {literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(literal(one) for one in value) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(literal(one) for one in value) + ("," if len(value) == 1 else "") + ")"
    return repr(value)


def _plain(value: Value) -> Value:
    """Give a value as papermill's translators take it."""
    if isinstance(value, PathValue):
        return value.text
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def _translated(instance: StageInstance, values: Mapping[str, Value]) -> str:
    from papermill.exceptions import PapermillException  # noqa: PLC0415 - papermill costs half a second
    from papermill.translators import translate_parameters  # noqa: PLC0415 - the same

    notebook = instance.spec.notebook
    plain = {name: _plain(value) for name, value in values.items()}
    kernel = instance.spec.kernel or notebook.kernel or ""
    try:
        text: str = translate_parameters(kernel, notebook.language, plain, "Injected by nbpipeline")
    except PapermillException as error:
        raise ReadingError.of(
            f"values cannot be injected into a notebook in '{notebook.language}'.",
            where=instance.spec.where,
            known=f"papermill says: {error}",
            mend="declare no parameters, inputs and outputs that differ from what the cells give",
        ) from error
    return text
