"""A shell script that calls papermill for one stage after the other: nothing is ever skipped."""

import shlex
from pathlib import Path

from benchmarks import work
from benchmarks.runners.runner import Runner

PARAMETERS = 'left = ""\nright = ""\noutput = ""\n'
SOURCES = "sources = [source for source in (left, right) if source]\n"


def command(stage: work.Stage) -> list[str]:
    """Give the command that runs one stage; DVC and Snakemake call the same."""
    paths = dict(zip(("left", "right"), map(work.data, stage.upstream), strict=False))
    words = ["papermill", stage.notebook, stage.executed]
    for name, path in (paths | {"output": stage.output}).items():
        words += ["-p", name, path]
    return words


def write_notebooks(project: Path, dag: work.Dag) -> None:
    """Write the notebooks with a parameters cell, as papermill wants it."""
    cells: list[work.Cell] = [(PARAMETERS, ("parameters",)), (SOURCES, ())]
    work.write_notebooks(project, dag, {stage.name: cells for stage in dag})


def write(project: Path, dag: work.Dag) -> None:
    """Write notebooks and script."""
    write_notebooks(project, dag)
    lines = ["set -e", *(shlex.join(command(stage)) for stage in dag)]
    (project / "run.sh").write_text("\n".join(lines) + "\n", encoding="utf-8")


def runners(jobs: int) -> list[Runner]:
    """Give the loop; it runs one stage at a time."""
    del jobs
    return [
        Runner(
            name="papermill loop",
            environment="papermill",
            distribution="papermill",
            write=write,
            command=("sh", "run.sh"),
            incremental=False,
        )
    ]
