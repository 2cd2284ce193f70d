"""Snakemake: a Snakefile with a rule a stage that calls papermill."""

import shlex
from pathlib import Path

from benchmarks import work
from benchmarks.runners import papermill
from benchmarks.runners.runner import Runner

RULE = """
rule {name}:
    input: {inputs}
    output: {output!r}
    shell: {command!r}
"""


def write(project: Path, dag: work.Dag) -> None:
    """Write notebooks and Snakefile."""
    papermill.write_notebooks(project, dag)
    rules = [f"rule everything:\n    input: {', '.join(repr(stage.output) for stage in dag)}\n"]
    for stage in dag:
        inputs = ", ".join(map(repr, (stage.notebook, *map(work.data, stage.upstream))))
        command = shlex.join(papermill.command(stage))
        rules.append(RULE.format(name=stage.name, inputs=inputs, output=stage.output, command=command))
    (project / "Snakefile").write_text("".join(rules), encoding="utf-8")


def runners(jobs: int) -> list[Runner]:
    """Give `snakemake -jN`."""
    return [
        Runner(
            name=f"Snakemake -j{jobs}",
            environment="snakemake",
            distribution="snakemake",
            write=write,
            command=("snakemake", f"-j{jobs}"),
            status=("snakemake", "-n"),
        )
    ]
