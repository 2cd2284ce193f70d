"""The program of Kubeflow's tasks, and README.md: texts with a place or two that is filled in."""

from collections.abc import Mapping

from nbpipeline.exporters import kubeflow_parameters
from nbpipeline.exporters.kubeflow_parameters import INSTANCE
from nbpipeline.exporters.rendering import cluster, cluster_readme
from nbpipeline.exporters.rendering import program as pieces
from nbpipeline.exporters.rendering.parameters import Given
from nbpipeline.exporters.rendering.schedule import cron_of
from nbpipeline.exporters.rendering.source import lines, made_by
from nbpipeline.model.exported import ExportGiven, Workflow

_PROGRAM = '''"""What a task's container runs: `nbpipeline run-stage`, with the parameters that it is given.

It follows the protocol of `kfp.dsl.executor_main`, and needs no kfp in the image: the executor's input comes
as JSON, metrics go to the file that it names. Exit codes are those of `nbpipeline run-stage`.
"""

import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path

COMMAND = {command}
PARAMETERS = {parameters}
"""Name in Kubeflow -> the pipeline's name, and its type; JSON: a text that holds it."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--like", choices=["kfp.dsl.executor_main"])
    parser.add_argument("--executor_input", type=json.loads, required=True)
    parser.add_argument("--executed", required=True)
    parser.add_argument("--result", required=True)
    parser.add_argument("--metrics", required=True)
    given = parser.parse_args()
    values = given.executor_input["inputs"]["parameterValues"]
    words = [*COMMAND, as_text(values["{instance}"]), "--params", json.dumps(settings(values))]
    code = run([*words, "--executed", given.executed, "--result", given.result])
    if Path(given.result).exists():
        result = json.loads(Path(given.result).read_text("utf-8"))
        hand_over(given.executor_input["outputs"], given.metrics, result)
    return code


{run}

def settings(values):
    """Give the values by the pipeline's names; what is not given keeps the notebook's default."""
    return {{
        setting: typed(values[name], kind)
        for name, (setting, kind) in PARAMETERS.items()
        if values.get(name) is not None
    }}


def typed(value, kind):
    """Undo what became of a value on its way: numbers travel as doubles, and some clients send texts."""
    if kind != "str" and isinstance(value, str):
        value = json.loads(value)
    return float(value) if kind == "float" else value if kind == "JSON" else whole(value)


def whole(value):
    """Make whole numbers of doubles without a fraction, also deep inside."""
    if isinstance(value, dict):
        return {{name: whole(one) for name, one in value.items()}}
    if isinstance(value, list):
        return [whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def hand_over(outputs, metrics_file, result):
    """Leave the metrics where Kubeflow shows them."""
    metrics = {{name: value for name, value in result["metrics"].items() if type(value) in (int, float)}}
    Path(metrics_file).parent.mkdir(parents=True, exist_ok=True)
    Path(metrics_file).write_text(json.dumps(metrics), "utf-8")
    (artifact,) = outputs["artifacts"]["metrics"]["artifacts"]
    left = {{"artifacts": {{"metrics": {{"artifacts": [{{**artifact, "metadata": metrics}}]}}}}}}
    target = Path(outputs["outputFile"])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(left), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
'''


def program(target: str, workflow: Workflow, parameters: Mapping[str, Given]) -> str:
    """Give `component.py`."""
    body = _PROGRAM.format(
        command=pieces.command(workflow),
        parameters=pieces.table(parameters),
        instance=INSTANCE,
        run=pieces.RUN_NAMED,
    )
    return made_by(target, workflow.profile) + body


def readme(workflow: Workflow, given: ExportGiven) -> str:
    """Give `README.md` for Kubeflow."""
    name = cluster.name_of(workflow)
    parameters = [f"{one.name}=..." for one in [*kubeflow_parameters.given(workflow).values()][:1]]
    run = ["$ kfp run create --experiment-name", name, "--package-file kubeflow.yaml", *parameters]
    return lines(
        [
            f"<!-- {made_by('kubeflow', workflow.profile, sign='').strip()} -->",
            f"# Pipeline `{name}` for Kubeflow Pipelines",
            "",
            "`kubeflow.yaml` is the pipeline: a task an instance, each `nbpipeline run-stage`, which",
            "`component.py` in the image calls.",
            "",
            *cluster_readme.image_lines(workflow, given),
            "",
            *cluster_readme.storage_lines(workflow, given),
            "",
            *cluster_readme.needed_lines(workflow, given),
            "Upload it, and run it, in the UI or with kfp's own command:",
            "",
            "```console",
            f"$ kfp pipeline create --pipeline-name {name} kubeflow.yaml",
            " ".join(run),
            *_recurring(workflow, name),
            "```",
            "",
            "Every task leaves `executed` (the notebook), `result` (JSON: outputs, checks, parameters) and",
            "`metrics`. Retries and the skipping of fresh stages are the command's; Kubeflow's are off.",
        ]
    )


def _recurring(workflow: Workflow, name: str) -> list[str]:
    if workflow.schedule is None:
        return []
    when = f"--cron-expression '0 {cron_of(workflow.schedule)}'"
    what = f"--experiment-name {name} --job-name {name} --pipeline-package-path kubeflow.yaml"
    return [f"$ kfp recurring-run create {what} {when}"]
