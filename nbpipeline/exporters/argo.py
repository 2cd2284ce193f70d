"""Argo Workflows: a WorkflowTemplate, and a CronWorkflow where there is a schedule.

Written after the documentation of Argo Workflows 3.6 ("Fields", "Retries", "Workflow Variables").
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from nbpipeline.exporters.rendering import cluster, cluster_readme, container, limits
from nbpipeline.exporters.rendering.command import argv
from nbpipeline.exporters.rendering.names import identifiers, labels, snake
from nbpipeline.exporters.rendering.parameters import masked_json
from nbpipeline.exporters.rendering.schedule import cron_of
from nbpipeline.exporters.rendering.source import lines, made_by, yaml_text
from nbpipeline.model import Value, at_name
from nbpipeline.model.exported import ExportGiven, Loss, Schedule, Setting, Task, Workflow
from nbpipeline.patterns import regex

TITLE = "Argo Workflows 3.6 or later"
FOLDER = "deploy/argo"
OPTIONS = cluster.OPTIONS
_INSIDE = "by `run-stage`, inside the task's container"
KEEPS: Mapping[str, str] = {
    "order": "`depends`",
    "parameters": "`arguments.parameters`; what is no text is JSON, and `run-stage` holds it to its type",
    "matrix": "a task an instance, of one template a stage",
    "retries": "`retryStrategy`, whose expression spares failed checks and faulty pipelines",
    "backoff": "`retryStrategy.backoff`; by `run-stage` where waits do not grow by a whole number",
    "timeout": f"{_INSIDE}; `activeDeadlineSeconds` stands behind it",
    "cpus": "`resources`, requested and limited",
    "memory": "`resources`, requested and limited",
    "gpus": "`resources.limits`, `nvidia.com/gpu`",
    "schedule": "`CronWorkflow`",
    "timezone": "`CronWorkflow.spec.timezone`",
    "secrets": "`secretKeyRef`",
    "env": "`configMapKeyRef`",
    "checks": _INSIDE,
    "tracking": _INSIDE,
    "executed": "output artifact `executed`; `result` has outputs, checks and metrics",
    "fresh": "`run-stage` skips what is fresh",
    "files": "`run-stage --fetch` brings inputs from the store",
}
_API = "argoproj.io/v1alpha1"
_ENTRY = "pipeline"
_LEFT = "/tmp/nbpipeline"  # noqa: S108 - a path in the container, which is the task's alone
_FINAL = ("2", "3", "4", "5", "130")
"""Exit codes that another try would give again, or that somebody wants: see docs/reference/exit-codes.md."""
_VOLUME = "project"
_INSTANCE = "instance"
_TAG = regex(r"\{(?=\{)")
"""The first half of what begins a tag, as Argo calls what it puts values in."""


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Find whether tasks could hand files over."""
    return cluster.unshared(workflow, given)


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give `workflow-template.yaml`, `cron-workflow.yaml`, a README, and the files of the image."""
    head = made_by("argo", workflow.profile)
    files = {"workflow-template.yaml": head + yaml_text(_template(workflow, given))}
    if workflow.schedule is not None:
        files["cron-workflow.yaml"] = head + yaml_text(_cron(workflow, workflow.schedule))
    return {**files, "README.md": _readme(workflow, given), **container.files("argo", workflow, given)}


def _template(workflow: Workflow, given: ExportGiven) -> dict[str, Any]:
    parameters = identifiers((one.name for one in workflow.settings), snake)
    arguments = [_parameter(one, parameters[one.name]) for one in workflow.settings]
    claim = cluster.volume(given)
    volumes = [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": claim}}]
    patterns: dict[str, Task] = {}
    for task in workflow.tasks:
        patterns.setdefault(_pattern(task), task)
    names = labels(patterns, taken=[_ENTRY])
    return {
        "apiVersion": _API,
        "kind": "WorkflowTemplate",
        "metadata": {"name": cluster.name_of(workflow), "annotations": {"nbpipeline/name": workflow.name}},
        "spec": {
            "entrypoint": _ENTRY,
            **({"arguments": {"parameters": arguments}} if arguments else {}),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": cluster.USER,
                "fsGroup": cluster.USER,
            },
            **({"volumes": volumes} if claim else {}),
            "templates": [
                {"name": _ENTRY, "dag": {"failFast": False, "tasks": _tasks(workflow, names)}},
                *(_task(patterns[one], names[one], workflow, given, parameters) for one in names),
            ],
        },
    }


def _pattern(task: Task) -> str:
    """Name whose template a task takes: its stage's; its own, where Argo would read a tag in its name."""
    return task.id if _TAG.search(task.id) else task.stage


def _takes_instance(task: Task) -> bool:
    return bool(task.axes) and _pattern(task) == task.stage


def _tasks(workflow: Workflow, templates: Mapping[str, str]) -> list[dict[str, Any]]:
    names = labels(task.id for task in workflow.tasks)
    return [
        {
            "name": names[task.id],
            "template": templates[_pattern(task)],
            **(
                {"arguments": {"parameters": [{"name": _INSTANCE, "value": at_name(task.id)}]}}
                if _takes_instance(task)
                else {}
            ),
            **({"depends": " && ".join(names[one] for one in task.upstream)} if task.upstream else {}),
        }
        for task in workflow.tasks
    ]


def _cron(workflow: Workflow, schedule: Schedule) -> dict[str, Any]:
    name = cluster.name_of(workflow)
    return {
        "apiVersion": _API,
        "kind": "CronWorkflow",
        "metadata": {"name": name},
        "spec": {
            "schedules": [cron_of(schedule)],
            "timezone": schedule.timezone,
            "concurrencyPolicy": "Forbid",
            "workflowSpec": {"workflowTemplateRef": {"name": name}},
        },
    }


# --- parameters ------------------------------------------------------------------------------


def _is_text(setting: Setting) -> bool:
    """Whether the value is the text itself; others, and one in which Argo would read tags, are JSON."""
    return setting.types == ("str",) and isinstance(setting.default, str) and "{{" not in setting.default


def _parameter(setting: Setting, name: str) -> dict[str, Any]:
    text = _is_text(setting)

    def written(value: Value) -> str:
        return str(value) if text else masked_json(value)

    parts = [*([setting.help] if setting.help else []), *([] if text else ["as JSON"])]
    return {
        "name": name,
        "value": written(setting.default),
        **({"description": _TAG.sub("{ ", "; ".join(parts))} if parts else {}),
        **({"enum": [written(one) for one in setting.choices]} if setting.choices else {}),
    }


def _params(workflow: Workflow, names: Mapping[str, str]) -> str:
    """Write the JSON of `--params`, into which Argo puts the values: JSON, or texts that it quotes itself.

    Every task is told all of them: which result of another task it fetches hangs on that one's, too.
    """
    pairs = []
    for one in workflow.settings:
        place = f"workflow.parameters.{names[one.name]}"
        tag = f"{{{{=toJson({place})}}}}" if _is_text(one) else f"{{{{{place}}}}}"
        pairs.append(f"{json.dumps(one.name)}: {tag}")
    return "{" + ", ".join(pairs) + "}"


# --- a task ----------------------------------------------------------------------------------


def _task(
    task: Task, name: str, workflow: Workflow, given: ExportGiven, parameters: Mapping[str, str]
) -> dict[str, Any]:
    strategy = _retries(task)
    end = limits.whole(task, tries=1 if strategy else task.retries + 1, most=limits.PODS)
    words = [
        *argv(workflow, task, retries_elsewhere=strategy is not None),
        *(["--params", _params(workflow, parameters)] if workflow.settings else []),
        *("--executed", f"{_LEFT}/executed.ipynb", "--result", f"{_LEFT}/result.json"),
    ]
    return {
        "name": name,
        "metadata": {"annotations": {"nbpipeline/stage": task.stage}},
        **({"inputs": {"parameters": [{"name": _INSTANCE}]}} if _takes_instance(task) else {}),
        **({"activeDeadlineSeconds": end} if end is not None else {}),
        **({"retryStrategy": strategy} if strategy else {}),
        "container": _container(task, words, workflow, given),
        "outputs": {
            "artifacts": [
                _artifact("executed", f"{_LEFT}/executed.ipynb"),
                _artifact("result", f"{_LEFT}/result.json"),
            ]
        },
    }


def _artifact(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "path": path, "optional": True, "archive": {"none": {}}}


def _retries(task: Task) -> dict[str, Any] | None:
    """Say it to Argo; None where there are none, or where waits grow by what Argo has no word for."""
    factor = task.retry_backoff
    if not task.retries or (task.retry_delay and (factor != int(factor) or factor < 1)):
        return None
    codes = ", ".join(f'"{one}"' for one in _FINAL)
    seconds = f"{task.retry_delay:.3f}".rstrip("0").rstrip(".")
    wait = {"duration": f"{seconds}s", "factor": int(factor)}
    return {
        "limit": task.retries,
        "retryPolicy": "Always",
        "expression": f"lastRetry.exitCode not in [{codes}]",
        **({"backoff": wait} if task.retry_delay else {}),
    }


def _container(task: Task, words: list[str], workflow: Workflow, given: ExportGiven) -> dict[str, Any]:
    resources = _resources(task)
    env = [*_secrets(task, workflow, given), *_variables(workflow, given)]
    return {
        "image": cluster.image(workflow, given),
        **_command(words, takes_instance=_takes_instance(task)),
        **({"env": env} if env else {}),
        **({"resources": resources} if resources else {}),
        **(
            {"volumeMounts": [{"name": _VOLUME, "mountPath": cluster.PROJECT}]}
            if cluster.volume(given)
            else {}
        ),
    }


def _command(words: list[str], *, takes_instance: bool) -> dict[str, list[str]]:
    """Write the command; an instance in whose name Argo would read a tag is put together by a shell."""
    command, verb, stage, *rest = words
    if takes_instance:
        stage = f"{{{{inputs.parameters.{_INSTANCE}}}}}"
    elif _TAG.search(stage):
        quoted = _TAG.sub("{''", shlex.quote(stage))
        script = f'exec {command} {verb} {quoted} "$@"'
        return {"command": ["sh", "-c", script, command], "args": rest}
    return {"command": [command], "args": [verb, stage, *rest]}


def _secrets(task: Task, workflow: Workflow, given: ExportGiven) -> list[dict[str, Any]]:
    name = cluster.resource(workflow, "secret", given)
    return [{"name": one, "valueFrom": {"secretKeyRef": {"name": name, "key": one}}} for one in task.secrets]


def _variables(workflow: Workflow, given: ExportGiven) -> list[dict[str, Any]]:
    name = cluster.resource(workflow, "config", given)
    return [
        {"name": one, "valueFrom": {"configMapKeyRef": {"name": name, "key": one, "optional": True}}}
        for one in workflow.env  # of all tasks: by them it is found what others made
    ]


def _resources(task: Task) -> dict[str, Any]:
    asked = task.resources
    wanted = {
        **({"cpu": cluster.cpus(asked.cpus)} if asked.cpus != 1 else {}),
        **({"memory": cluster.memory(asked.memory)} if asked.memory else {}),
    }
    limits = {**wanted, **({cluster.GPU: str(asked.gpus)} if asked.gpus else {})}
    return {**({"requests": wanted} if wanted else {}), **({"limits": limits} if limits else {})}


# --- README.md -------------------------------------------------------------------------------


def _readme(workflow: Workflow, given: ExportGiven) -> str:
    name = cluster.name_of(workflow)
    names = identifiers((one.name for one in workflow.settings), snake)
    submit = [f"$ argo submit --from workflowtemplate/{name}", *(f"-p {one}=..." for one in names.values())]
    scheduled = ["$ kubectl apply -f cron-workflow.yaml"] if workflow.schedule else []
    return lines(
        [
            f"<!-- {made_by('argo', workflow.profile, sign='').strip()} -->",
            f"# WorkflowTemplate `{name}` for Argo Workflows",
            "",
            "`workflow-template.yaml` is the pipeline: a task an instance, each `nbpipeline run-stage` in a",
            "container of its own.",
            "",
            *cluster_readme.image_lines(workflow, given),
            "",
            *cluster_readme.storage_lines(workflow, given),
            "",
            *cluster_readme.needed_lines(workflow, given),
            "Deploy it, and submit it:",
            "",
            "```console",
            "$ argo template lint workflow-template.yaml",
            "$ kubectl apply -f workflow-template.yaml",
            *scheduled,
            " ".join(submit[:2]),
            "```",
            "",
            "Every task leaves the artifacts `executed` (the notebook) and `result` (JSON: outputs, checks,",
            "metrics), for which the namespace needs an artifact repository.",
            "",
            f"Exit codes {', '.join(_FINAL)} are not tried again.",
            "",
            "These files were validated offline, and never run on the service.",
        ]
    )
