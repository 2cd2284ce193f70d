"""The work that every runner is given: a generated DAG of notebooks, and what its outputs have to be.

A stage sums what it reads, adds its own step and writes twenty integers, so that a change of one step changes
the bytes of every stage downstream, and the right bytes can be computed here without a notebook. How a stage
is told its files differs from runner to runner; what it does with them is the same cell everywhere.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

Cell = tuple[str, tuple[str, ...]]  # source, tags

ROWS = 20
MODULUS = 1_000_003
TRACE = "BENCHMARK_TRACE"  # environment variable: the file in which a stage says that it ran

IMPORTS = """\
import os

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.linear_model import LinearRegression
"""

WORK = """\
with open(os.environ["{variable}"], "a") as trace:
    trace.write("{name}\\n")
step = {step}
total = sum(int(pd.read_csv(source)["value"].sum()) for source in sources)
values = [(total * row + step) % {modulus} for row in range(1, {rows} + 1)]
pd.DataFrame({{"value": values}}).to_csv(output, index=False)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One notebook: its name, what it reads, and the number that it adds."""

    name: str
    upstream: tuple[str, ...]
    step: int
    text: str = WORK  # of the cell that works

    @property
    def notebook(self) -> str:
        """Where the notebook is, from the project's folder."""
        return f"notebooks/{self.name}.ipynb"

    @property
    def output(self) -> str:
        """Where the output is, from the project's folder."""
        return data(self.name)

    @property
    def executed(self) -> str:
        """Where runners that keep the executed notebook put it."""
        return f"executed/{self.name}.ipynb"


Dag = tuple[Stage, ...]  # in topological order


def data(name: str) -> str:
    """Say where a stage's output is, from the project's folder."""
    return f"data/{name}.csv"


def generate(layers: int = 5, width: int = 4) -> Dag:
    """Make one source, then layers in which each stage reads two of the layer above."""
    stages = [Stage(name="source", upstream=(), step=5)]
    above = ["source"]
    for layer in range(1, layers + 1):
        names = [f"stage_{layer}_{place}" for place in range(width)]
        for place, name in enumerate(names):
            reads = dict.fromkeys((above[place % len(above)], above[(place + 1) % len(above)]))
            stages.append(Stage(name=name, upstream=tuple(reads), step=10 * layer + place))
        above = names
    return tuple(stages)


def middle(dag: Dag) -> str:
    """Name the stage that is changed: the first of the middle layer."""
    layers = max(int(stage.name.split("_")[1]) for stage in dag if stage.upstream)
    return f"stage_{(layers + 1) // 2}_0"


def downstream(dag: Dag, name: str) -> set[str]:
    """Give the stage and all that follow from it."""
    found = {name}
    for stage in dag:
        if found & set(stage.upstream):
            found.add(stage.name)
    return found


def changed(dag: Dag, name: str, step: int) -> Dag:
    """Give the DAG in which one stage adds another number."""
    return tuple(replace(stage, step=step) if stage.name == name else stage for stage in dag)


def expected(dag: Dag) -> dict[str, str]:
    """Compute the SHA-256 that each stage's output must have."""
    sums: dict[str, int] = {}
    digests = {}
    for stage in dag:
        total = sum(sums[name] for name in stage.upstream)
        values = [(total * row + stage.step) % MODULUS for row in range(1, ROWS + 1)]
        sums[stage.name] = sum(values)
        text = "".join(f"{line}\n" for line in ("value", *values))
        digests[stage.name] = hashlib.sha256(text.encode()).hexdigest()
    return digests


def body(stage: Stage) -> str:
    """Give the cell that works: it finds `sources` and `output` set by the cells before it."""
    return stage.text.format(variable=TRACE, name=stage.name, step=stage.step, modulus=MODULUS, rows=ROWS)


def write_notebook(path: Path, cells: Iterable[Cell]) -> None:
    """Write a notebook of code cells, as JupyterLab would save it."""
    document = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"cell-{number}",
                "metadata": {"tags": list(tags)} if tags else {},
                "outputs": [],
                "source": source.rstrip("\n").splitlines(keepends=True),
            }
            for number, (source, tags) in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def write_notebooks(project: Path, dag: Dag, declare: Mapping[str, list[Cell]]) -> None:
    """Write every stage: cells that declare its files in one runner's way, then those that all have."""
    for folder in ("data", "executed"):
        (project / folder).mkdir(parents=True, exist_ok=True)
    for stage in dag:
        cells = [*declare[stage.name], (IMPORTS, ()), (body(stage), ())]
        write_notebook(project / stage.notebook, cells)


def edit(project: Path, stage: Stage, step: int) -> None:
    """Make the one-line change, in the notebook's own text; nothing else in the file moves."""
    path = project / stage.notebook
    text = path.read_text(encoding="utf-8")
    line = f'"step = {stage.step}\\n"'
    if text.count(line) != 1:
        raise ValueError(f"{path}: {line} stands there {text.count(line)} times, not once")
    path.write_text(text.replace(line, f'"step = {step}\\n"'), encoding="utf-8")


def outputs(project: Path, dag: Dag) -> dict[str, str]:
    """Give the SHA-256 of each output that is there."""
    paths = {stage.name: project / stage.output for stage in dag}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items() if path.is_file()
    }


def wrong(project: Path, dag: Dag) -> list[str]:
    """Name the stages whose output is not there, or not what it has to be."""
    found = outputs(project, dag)
    return [name for name, digest in expected(dag).items() if found.get(name) != digest]
