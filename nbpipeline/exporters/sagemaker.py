"""Amazon SageMaker Pipelines: a pipeline definition of Processing steps, and a script that deploys it.

Written after the API reference (`CreatePipeline`, `CreateProcessingJob`, EventBridge Scheduler's
`CreateSchedule`), "Build your own processing container", and what `sagemaker-mlops` 1.27 writes.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from nbpipeline.errors import UsageError
from nbpipeline.exporters import sagemaker_machines, sagemaker_parameters, sagemaker_programs
from nbpipeline.exporters.rendering import cluster, cluster_readme, container, limits
from nbpipeline.exporters.rendering.command import argv
from nbpipeline.exporters.rendering.names import labels
from nbpipeline.exporters.rendering.source import lines, made_by, refuse_halves
from nbpipeline.exporters.sagemaker_parameters import IMAGE, OUTPUTS, ROLE, reference
from nbpipeline.model import shell_name
from nbpipeline.model.exported import ExportGiven, Loss, Task, Workflow

TITLE = "Amazon SageMaker Pipelines"
FOLDER = "deploy/sagemaker"
OPTIONS: Mapping[str, str] = {"image": cluster.OPTIONS["image"], **sagemaker_machines.OPTIONS}
_INSIDE = "by `run-stage`, inside the step's container"
KEEPS: Mapping[str, str] = {
    "order": "`DependsOn`",
    "parameters": "`Parameters`, typed; JSON in a String where no type of SageMaker holds all",
    "matrix": "a Processing step an instance",
    "retries": f"{_INSIDE}; `RetryPolicies` for machines that fail or lack, never for a failed check",
    "backoff": _INSIDE,
    "timeout": f"{_INSIDE}; `StoppingCondition` stands behind it",
    "cpus": "the instance type: the smallest that has them",
    "memory": "the instance type: the smallest that has it",
    "gpus": "the instance type: the smallest that has them",
    "schedule": "`submit.py --schedule`, by EventBridge Scheduler",
    "timezone": "`submit.py --schedule`, by EventBridge Scheduler",
    "env": "a parameter each, given when it is started or scheduled",
    "checks": _INSIDE,
    "tracking": _INSIDE,
    "executed": "`executed.ipynb` of the step's output; `result.json` beside it is its property file",
    "fresh": "`run-stage` skips what is fresh; SageMaker's cache, which sees no file, is off",
    "files": "`run-stage --fetch` brings inputs from the store",
}
_LEFT = "/opt/ml/processing/output"
_OUTPUT, _RESULT = "output", "result"
_LONGEST_WORD = 256
_LONGEST_RUN = 777_600
_UNLIMITED = 432_000
"""Seconds that accounts allow a job unless they asked for more. Left out, a day would be the end."""
_MOST_ATTEMPTS = 20
_LARGEST = 2**20


def losses(workflow: Workflow, given: ExportGiven) -> Iterator[Loss]:
    """Find files without a store, values and runs that are too long, and schedules that EventBridge lacks."""
    yield from cluster.unshared(workflow, given, takes_volume=False)
    yield from sagemaker_parameters.losses(workflow)
    long = tuple(
        task.id for task in workflow.tasks if (limits.longest(task, task.retries + 1) or 0.0) > _LONGEST_RUN
    )
    if long:
        yield Loss(
            feature="timeout",
            tasks=long,
            what="time limits: a job is ended after nine days, all tries together",
        )
    if workflow.schedule and not sagemaker_programs.expression(workflow.schedule):
        yield Loss(
            feature="schedule",
            tasks=(),
            what="schedule: EventBridge takes days of the month or of the week, not both",
            mend="name one of them, and write * for the other",
        )


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give `pipeline.json`, the program of its steps, `submit.py`, a README, and the files of the image."""
    definition = _definition(workflow, given)
    text = json.dumps(definition, indent=2, ensure_ascii=False) + "\n"
    refuse_halves(text)
    if len(json.dumps(definition)) > _LARGEST:
        raise UsageError.of(
            "The pipeline's definition is longer than the 1,048,576 characters that SageMaker takes.",
            mend="make several pipelines of it, or fewer instances",
        )
    return {
        "pipeline.json": text,
        "step.py": sagemaker_programs.step(workflow, given),
        "submit.py": sagemaker_programs.submit(workflow),
        "README.md": _readme(workflow, given),
        **container.files("sagemaker", workflow, given, user="root"),
    }


def _definition(workflow: Workflow, given: ExportGiven) -> dict[str, Any]:
    names = labels(task.id for task in workflow.tasks)
    clusters = sagemaker_machines.resources(workflow, given)
    environment = sagemaker_parameters.environment(workflow)  # which result is fetched hangs on all of it
    own: list[dict[str, Any]] = [
        {"Name": ROLE, "Type": "String"},
        {"Name": IMAGE, "Type": "String", "DefaultValue": cluster.image(workflow, given)},
        {"Name": OUTPUTS, "Type": "String"},
    ]
    return {
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [*own, *sagemaker_parameters.definitions(workflow)],
        "Steps": [
            {
                **_step(task, names),
                "Arguments": {
                    **_container(task, workflow, given),
                    "RoleArn": reference(ROLE),
                    "ProcessingResources": {"ClusterConfig": clusters[task.stage]},
                    "StoppingCondition": {"MaxRuntimeInSeconds": _deadline(task)},
                    "ProcessingOutputConfig": {"Outputs": [_output(names[task.id])]},
                    **({"Environment": environment} if environment else {}),
                },
            }
            for task in workflow.tasks
        ],
    }


# --- a step ----------------------------------------------------------------------------------


def _step(task: Task, names: Mapping[str, str]) -> dict[str, Any]:
    description = " ".join(task.description.split())[:3072]
    return {
        "Name": names[task.id],
        "Type": "Processing",
        "DisplayName": task.id,
        **({"Description": description} if description else {}),
        **({"DependsOn": [names[one] for one in task.upstream]} if task.upstream else {}),
        "CacheConfig": {"Enabled": False},
        **({"RetryPolicies": [_retries(task)]} if task.retries else {}),
        "PropertyFiles": [
            {"PropertyFileName": _RESULT, "OutputName": _OUTPUT, "FilePath": f"{_RESULT}.json"}
        ],
    }


def _retries(task: Task) -> dict[str, Any]:
    """Try again where a machine was to blame; where a notebook was, the command does."""
    return {
        "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR"],
        "IntervalSeconds": max(1, math.ceil(task.retry_delay)),
        "BackoffRate": float(task.retry_backoff),
        "MaxAttempts": min(task.retries, _MOST_ATTEMPTS),
    }


def _deadline(task: Task) -> int:
    found = limits.whole(task, tries=task.retries + 1, most=_LONGEST_RUN)
    return _UNLIMITED if found is None else found


def _container(task: Task, workflow: Workflow, given: ExportGiven) -> dict[str, Any]:
    words = [
        *argv(workflow, task),
        *("--executed", f"{_LEFT}/executed.ipynb", "--result", f"{_LEFT}/{_RESULT}.json"),
    ]
    program = f"{cluster.PROJECT}/{cluster.inside(given)}step.py"
    for word in (*words, program, task.id):
        if len(word) > _LONGEST_WORD or word.splitlines() != [word] or "\0" in word:
            raise UsageError.of(
                f"{shell_name(task.id)}: SageMaker takes words of one line and {_LONGEST_WORD} characters.",
                mend="give the axis shorter values of one line, or another folder: -o deploy/NAME",
            )
    return {
        "AppSpecification": {
            "ImageUri": reference(IMAGE),
            "ContainerEntrypoint": ["python3", program],
            "ContainerArguments": words,
        }
    }


def _output(step: str) -> dict[str, Any]:
    """Say where the step's files go; continuously, since at the end only a good job's would."""
    place = [reference(OUTPUTS), {"Get": "Execution.PipelineExecutionId"}, step]
    return {
        "OutputName": _OUTPUT,
        "S3Output": {
            "S3Uri": {"Std:Join": {"On": "/", "Values": place}},
            "LocalPath": _LEFT,
            "S3UploadMode": "Continuous",
        },
    }


# --- README.md -------------------------------------------------------------------------------


def _readme(workflow: Workflow, given: ExportGiven) -> str:
    where = "--role ROLE_ARN --outputs s3://BUCKET/PREFIX"
    scheduled = [f"$ python submit.py {where} --schedule SCHEDULER_ROLE_ARN"] if workflow.schedule else []
    return lines(
        [
            f"<!-- {made_by('sagemaker', workflow.profile, sign='').strip()} -->",
            f"# Pipeline `{cluster.name_of(workflow)}` for Amazon SageMaker Pipelines",
            "",
            "`pipeline.json` is the pipeline: a Processing step an instance, each `nbpipeline run-stage`,",
            "which `step.py` in the image calls with the pipeline's parameters.",
            "",
            *cluster_readme.image_lines(workflow, given),
            "",
            *cluster_readme.storage_lines(
                workflow, given, "The execution role has to have\nthe right to read and write there."
            ),
            "",
            "Create or update it, then start it with other parameters where you like:",
            "",
            "```console",
            "$ pip install boto3",
            f"$ python submit.py {where}",
            f"$ python submit.py {where} --start --params '{{}}'",
            *scheduled,
            "```",
            "",
            "`--image URI` names another image in ECR, `--region` another region; `--params` takes the",
            "pipeline's names, and SageMaker's. The role pulls the image, and writes to `--outputs`, too.",
            *_schedule_lines(workflow),
            "",
            *_parameter_lines(workflow),
            f"Every step leaves `executed.ipynb` and `{_RESULT}.json` (outputs, checks, metrics) in",
            "`OUTPUTS/EXECUTION/STEP/`; why a job failed is its ExitMessage.",
            "",
            "These files were validated offline, and never run on the service.",
        ]
    )


def _schedule_lines(workflow: Workflow) -> list[str]:
    when = workflow.schedule
    if when is None:
        return []
    return [
        "",
        f"The schedule is `{when.cron}`, {when.timezone}. EventBridge Scheduler starts it as",
        "SCHEDULER_ROLE_ARN, which needs `sagemaker:StartPipelineExecution`.",
    ]


def _parameter_lines(workflow: Workflow) -> list[str]:
    rows = [
        f"| `{one.name}` | {one.type}{', JSON' if one.kind == 'JSON' else ''} | `{one.setting.name}` |"
        for one in sagemaker_parameters.parameters(workflow).values()
    ]
    rows += [
        f"| `{name}` | String | `{variable}`, a variable: `null` where it is not set |"
        for name, variable in sagemaker_parameters.variables(workflow).items()
    ]
    return ["| parameter | type | in the pipeline |", "|---|---|---|", *rows, ""] if rows else []
