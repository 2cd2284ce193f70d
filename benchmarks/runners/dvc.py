"""DVC: a dvc.yaml whose stages call papermill; its defaults, outputs in its cache."""

import shlex
from pathlib import Path

import yaml

from benchmarks import work
from benchmarks.runners import papermill
from benchmarks.runners.runner import Runner


def write(project: Path, dag: work.Dag) -> None:
    """Write notebooks and dvc.yaml."""
    papermill.write_notebooks(project, dag)
    stages = {
        stage.name: {
            "cmd": shlex.join(papermill.command(stage)),
            "deps": [stage.notebook, *map(work.data, stage.upstream)],
            "outs": [stage.output],
        }
        for stage in dag
    }
    text = yaml.safe_dump({"stages": stages}, sort_keys=False)
    (project / "dvc.yaml").write_text(text, encoding="utf-8")


def runners(jobs: int) -> list[Runner]:
    """Give `dvc repro`; it runs one stage at a time."""
    del jobs
    return [
        Runner(
            name="DVC",
            environment="dvc",
            distribution="dvc",
            write=write,
            prepare=(("dvc", "init", "--no-scm", "--quiet"),),
            command=("dvc", "repro"),
            status=("dvc", "status"),
            variables={"DVC_NO_ANALYTICS": "1"},
        )
    ]
