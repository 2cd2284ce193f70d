"""Vertex AI Pipelines: the IR YAML of Kubeflow Pipelines, and a script that submits or schedules it.

Written after Google's documentation of `PipelineJob` ("Run a pipeline", "Schedule a pipeline run with
scheduler API", "Specify machine types for a pipeline step").
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nbpipeline.exporters import kubeflow, kubeflow_component, kubeflow_parameters
from nbpipeline.exporters.rendering import cluster, cluster_readme, container
from nbpipeline.exporters.rendering.schedule import cron_of
from nbpipeline.exporters.rendering.source import lines, made_by, text, yaml_text
from nbpipeline.model.exported import ExportGiven, Loss, Task, Workflow

TITLE = "Vertex AI Pipelines"
FOLDER = "deploy/vertex"
OPTIONS: Mapping[str, str] = {
    "image": cluster.OPTIONS["image"],
    "accelerator": "the type of GPUs, in place of `NVIDIA_TESLA_T4`",
}
_GONE = {"secrets", "env"}
KEEPS: Mapping[str, str] = {
    **{name: how for name, how in kubeflow.KEEPS.items() if name not in _GONE},
    "timeout": kubeflow.INSIDE,
    "cpus": "`resources.cpuLimit`",
    "memory": "`resources.memoryLimit`",
    "gpus": "`resources.accelerator`",
    "schedule": "`submit.py --schedule`",
    "timezone": "`submit.py --schedule`",
}
_SUBMIT = '''"""Submit the pipeline to Vertex AI, or have it run by its schedule: see README.md."""

import argparse
import json
from pathlib import Path

from google.cloud import aiplatform

NAME = {name}
CRON = {cron}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--root", required=True, metavar="gs://BUCKET/PREFIX")
    parser.add_argument("--service-account")
    parser.add_argument("--params", type=json.loads, default={{}}, metavar="JSON")
    parser.add_argument("--schedule", action="store_true", help="run it by its schedule")
    given = parser.parse_args()
    aiplatform.init(project=given.project, location=given.region)
    job = aiplatform.PipelineJob(
        display_name=NAME,
        template_path=str(Path(__file__).with_name("vertex.yaml")),
        pipeline_root=given.root,
        parameter_values=given.params,
        enable_caching=False,
    )
    if not given.schedule:
        job.submit(service_account=given.service_account)
        return
    if not CRON:
        parser.error("the pipeline has no schedule")
    job.create_schedule(
        display_name=NAME, cron=CRON, max_concurrent_run_count=1, service_account=given.service_account
    )


if __name__ == "__main__":
    main()
'''


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Find whether tasks could hand files over."""
    return cluster.unshared(workflow, given, takes_volume=False)


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give `vertex.yaml`, the program of its tasks, `submit.py`, a README, and the files of the image."""
    parameters = kubeflow_parameters.given(workflow)
    accelerator = given.options.get("accelerator", "NVIDIA_TESLA_T4")
    head = made_by("vertex", workflow.profile)
    schedule = workflow.schedule
    cron = f"TZ={schedule.timezone} {cron_of(schedule)}" if schedule else ""
    pipeline = kubeflow.pipeline(workflow, given, parameters, lambda task: _resources(task, accelerator))
    return {
        "vertex.yaml": head + yaml_text(pipeline),
        "component.py": kubeflow_component.program("vertex", workflow, parameters),
        "submit.py": head + _SUBMIT.format(name=text(cluster.name_of(workflow)), cron=text(cron)),
        "README.md": _readme(workflow, given),
        **container.files("vertex", workflow, given),
    }


def _resources(task: Task, accelerator: str) -> dict[str, Any]:
    """Give limits, of which Vertex chooses the machine: cores, and 10^9 bytes."""
    asked = task.resources
    return {
        **({"cpuLimit": asked.cpus} if asked.cpus != 1 else {}),
        **({"memoryLimit": asked.memory / 10**9} if asked.memory else {}),
        **({"accelerator": {"type": accelerator, "count": str(asked.gpus)}} if asked.gpus else {}),
    }


def _readme(workflow: Workflow, given: ExportGiven) -> str:
    where = "--project PROJECT --region REGION --root gs://BUCKET/PREFIX"
    scheduled = [f"$ python submit.py {where} --schedule"] if workflow.schedule else []
    return lines(
        [
            f"<!-- {made_by('vertex', workflow.profile, sign='').strip()} -->",
            f"# Pipeline `{cluster.name_of(workflow)}` for Vertex AI Pipelines",
            "",
            "`vertex.yaml` is the pipeline: a task an instance, each `nbpipeline run-stage`, which",
            "`component.py` in the image calls.",
            "",
            *cluster_readme.image_lines(workflow, given),
            "",
            *cluster_readme.storage_lines(workflow, given),
            "",
            "Submit it, with other parameters where you like:",
            "",
            "```console",
            "$ pip install google-cloud-aiplatform",
            f"$ python submit.py {where} --params '{{}}'",
            *scheduled,
            "```",
            "",
            "Every task leaves `executed` (the notebook), `result` (JSON: outputs, checks, parameters) and",
            "`metrics`. These files were validated offline, and never run on the service.",
        ]
    )
