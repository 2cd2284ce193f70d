"""Synthetic projects of any size: a layered DAG of small notebooks, as an author might have written them.

Every stage reads two files of the layer above and writes one; its work is an addition. Besides notebooks,
the generator can write what running them all would leave, so that `record_all` makes the state of a project
in which everything ran, by the product's own `record`, without starting thousands of kernels.

    python benchmarks/projects.py /tmp/project --stages 1000 --recorded
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TAG = "synthetic"
"""Every stage has it: `nbpipeline record tag:synthetic` takes them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a project looks like."""

    stages: int
    width: int = 20
    """Stages in a layer."""
    cells: int = 10
    """Cells in a notebook, at least 6."""
    imports: tuple[str, ...] = ()
    """Modules that each notebook imports."""
    header: bool = True
    """Whether each has a front-matter cell with `tags`; tagged cells declare its files in any case."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One notebook: its number, and the numbers of those that it reads."""

    number: int
    reads: tuple[int, ...]

    @property
    def name(self) -> str:
        """`s00042`; sorted by name they are in run order."""
        return f"s{self.number:05d}"


def stages(shape: Shape) -> Iterator[Stage]:
    """Give the stages in run order; the first layer reads nothing."""
    for number in range(shape.stages):
        above = (number // shape.width - 1) * shape.width
        place = number % shape.width
        reads = (above + place, above + (place + 1) % shape.width) if above >= 0 else ()
        yield Stage(number, tuple(dict.fromkeys(reads)))


def write(folder: Path, shape: Shape, *, outputs: bool = False) -> list[Stage]:
    """Write the project; with `outputs`, also the files that running all its stages would leave."""
    made = list(stages(shape))
    notebooks, data = folder / "notebooks", folder / "data"
    notebooks.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.yaml").write_text("name: synthetic\n", encoding="utf-8")
    values: dict[int, int] = {}
    for one in made:
        text = json.dumps(notebook(one, shape), indent=1)
        (notebooks / f"{one.name}.ipynb").write_text(text, encoding="utf-8")
        values[one.number] = result(one, [values[number] for number in one.reads])
    if outputs:
        data.mkdir(exist_ok=True)
        for number, value in values.items():
            (data / f"{Stage(number, ()).name}.txt").write_text(str(value), encoding="utf-8")
    return made


def result(stage: Stage, read: Sequence[int]) -> int:
    """Work out what the notebook writes (see `work`)."""
    return (sum(read) + stage.number) % 1_000_003


def notebook(stage: Stage, shape: Shape) -> dict[str, Any]:
    """One notebook as JupyterLab saves it."""
    made = [*declaring(stage, shape), *work(stage, shape)]
    return {
        "cells": [{"id": f"c{number}", **cell} for number, cell in enumerate(made, start=1)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "version": "3.12"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def declaring(stage: Stage, shape: Shape) -> Iterator[dict[str, Any]]:
    """Give the cells that say what the stage is."""
    if shape.header:
        yield {
            "cell_type": "raw",
            "metadata": {},
            "source": f"---\nnbpipeline:\n  description: Stage {stage.number}\n  tags: [{TAG}]\n---",
        }
    yield {
        "cell_type": "markdown",
        "metadata": {},
        "source": f"# Stage {stage.number}\n\nAdds what it reads.",
    }
    yield code(f"offset: int = {stage.number}  # added to the sum\nmodulus: int = 1_000_003", "parameters")
    if stage.reads:
        lines = [f'part_{number} = "../data/s{number:05d}.txt"' for number in stage.reads]
        yield code("\n".join(lines), "inputs")
    yield code(
        f'total = Path("../data") / "{stage.name}.txt"', "outputs", before="from pathlib import Path\n\n"
    )


def work(stage: Stage, shape: Shape) -> Iterator[dict[str, Any]]:
    """Give the cells that do it, padded with small functions up to the number of cells."""
    yield code("\n".join([*(f"import {name}" for name in shape.imports), "from pathlib import Path"]))
    said = len([*declaring(stage, shape)]) + 3
    for number in range(max(shape.cells - said, 0)):
        yield code(PADDING.format(number=number))
    names = ", ".join(f"part_{number}" for number in stage.reads)
    yield code(
        f"values = [int(Path(one).read_text()) for one in [{names}]]\n"
        "value = (sum(values) + offset) % modulus"
    )
    yield code("Path(total).write_text(str(value))\nvalue")


PADDING = '''def describe_{number}(values, limit=10):
    """Say what a list holds, in words."""
    shown = [f"{{one:>8}}" for one in sorted(values)[:limit]]
    rest = len(values) - len(shown)
    if rest > 0:
        shown.append(f"and {{rest}} more")
    return ", ".join(shown) or "nothing"


described_{number} = describe_{number}([number ** 2 for number in range({number}, 20)])
'''


def code(source: str, *tags: str, before: str = "") -> dict[str, Any]:
    """Make a code cell."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "source": before + source,
    }


def record_all(folder: Path) -> int:
    """Put every stage's outputs on record as `nbpipeline record` does; gives how many."""
    from nbpipeline import Project  # noqa: PLC0415 - peers' environments lack it

    return len(Project(folder).record(f"tag:{TAG}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a project as the command line says."""
    parser = argparse.ArgumentParser(description="Write a synthetic project of notebooks.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stages", type=int, default=100)
    parser.add_argument("--width", type=int, default=20, help="stages in a layer")
    parser.add_argument("--cells", type=int, default=10, help="cells in a notebook")
    parser.add_argument("--imports", nargs="*", default=[], help="modules that each notebook imports")
    parser.add_argument("--recorded", action="store_true", help="put every stage's result on record")
    given = parser.parse_args(arguments)
    shape = Shape(stages=given.stages, width=given.width, cells=given.cells, imports=tuple(given.imports))
    write(given.folder, shape, outputs=given.recorded)
    recorded = record_all(given.folder) if given.recorded else 0
    print(f"{given.folder}: {given.stages} stages, {recorded} on record")
    return 0


if __name__ == "__main__":
    sys.exit(main())
