"""No runner: the code of all stages in one Python process, imports paid once. What the work itself costs."""

from pathlib import Path

from benchmarks import work
from benchmarks.runners.runner import Runner


def write(project: Path, dag: work.Dag) -> None:
    """Write a script that takes the code from the notebooks, so that the change is the same too."""
    declare: dict[str, list[work.Cell]] = {}
    for stage in dag:
        sources = [work.data(name) for name in stage.upstream]
        declare[stage.name] = [(f"sources = {sources!r}\noutput = {stage.output!r}\n", ())]
    work.write_notebooks(project, dag, declare)
    names = [stage.notebook for stage in dag]
    program = f"""\
import json

for notebook in {names!r}:
    with open(notebook) as stream:
        cells = json.load(stream)["cells"]
    exec("\\n".join("".join(cell["source"]) for cell in cells), {{}})
"""
    (project / "all.py").write_text(program, encoding="utf-8")


def runners(jobs: int) -> list[Runner]:
    """Give the script; it runs one stage at a time."""
    del jobs
    return [
        Runner(
            name="one script",
            environment="papermill",
            distribution="pandas",
            write=write,
            command=("python", "all.py"),
            incremental=False,
            peer=False,
        )
    ]
