"""Ploomber: pipeline.yaml, and notebooks that name their upstream; one at a time and side by side."""

from functools import partial
from pathlib import Path

import yaml

from benchmarks import work
from benchmarks.runners.runner import Runner

PATHS = 'sources = [upstream[name]["data"] for name in upstream or ()]\noutput = product["data"]\n'
QUIET = "stats_enabled: false\nversion_check_enabled: false\n"
PARALLEL = "ploomber.executors.Parallel"


def write(project: Path, dag: work.Dag, executor: str | dict[str, object]) -> None:
    """Write notebooks and pipeline.yaml."""
    declare: dict[str, list[work.Cell]] = {}
    for stage in dag:
        upstream = list(stage.upstream) or None
        declare[stage.name] = [(f"upstream = {upstream!r}\nproduct = None\n", ("parameters",)), (PATHS, ())]
    work.write_notebooks(project, dag, declare)
    tasks = [
        {
            "source": stage.notebook,
            "name": stage.name,
            "product": {"nb": stage.executed, "data": stage.output},
        }
        for stage in dag
    ]
    text = yaml.safe_dump({"executor": executor, "tasks": tasks}, sort_keys=False)
    (project / "pipeline.yaml").write_text(text, encoding="utf-8")


def runners(jobs: int) -> list[Runner]:
    """Give both executors."""
    executors: dict[str, str | dict[str, object]] = {
        "serial": "serial",
        f"parallel -j{jobs}": {"dotted_path": PARALLEL, "processes": jobs},
    }
    return [
        Runner(
            name=f"Ploomber {name}",
            environment="ploomber",
            distribution="ploomber",
            write=partial(write, executor=executor),
            command=("ploomber", "build"),
            status=("ploomber", "status"),
            variables={"PLOOMBER_STATS_ENABLED": "false"},
        )
        for name, executor in executors.items()
    ]
