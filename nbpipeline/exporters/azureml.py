"""Azure Machine Learning: a pipeline job with its components, and a schedule, in the YAML of CLI v2.

Written after Microsoft's reference of CLI (v2): "pipeline job YAML schema", and those of command component,
environment and schedule.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from nbpipeline.errors import UsageError
from nbpipeline.exporters import azureml_component, azureml_readme
from nbpipeline.exporters.azureml_component import INSTANCE, OPENED, RESULTS, Component
from nbpipeline.exporters.azureml_zones import is_heard, windows_name
from nbpipeline.exporters.rendering import cluster, container, limits
from nbpipeline.exporters.rendering.names import identifiers
from nbpipeline.exporters.rendering.parameters import Given, masked_text
from nbpipeline.exporters.rendering.schedule import cron_of
from nbpipeline.exporters.rendering.source import comment, made_by, yaml_text
from nbpipeline.model import at_name
from nbpipeline.model.exported import ExportGiven, Loss, Schedule, Task, Workflow

TITLE = "Azure Machine Learning (CLI v2)"
FOLDER = "deploy/azureml"
OPTIONS: Mapping[str, str] = {
    "compute": "the compute of jobs, in place of `serverless`; needed where stages ask for cores or memory",
    "gpu_compute": "the compute of stages that ask for GPUs; needed by these",
    "image": "the image that jobs run in, with its registry; without it Azure builds one, of environment.yml",
    "nbpipeline": "where Azure's build of the image finds nbpipeline: a wheel in the project, or a URL",
    "variables": 'values of the stages\' `env`, as JSON: `{"TZ": "UTC"}`; null leaves one unset',
}
_INSIDE = "by `run-stage`, inside the job's container"
_NODE = "with `--set compute=`: a node of it a job, README.md says what stages ask for; else it is refused"
KEEPS: Mapping[str, str] = {
    "order": "a job's output `results` is an input of those that wait for it",
    "parameters": "inputs of the pipeline, typed by the components; JSON in a text where no type holds all",
    "matrix": "a job an instance, of one component a stage",
    "retries": f"{_INSIDE}: Azure tries no command job again",
    "backoff": _INSIDE,
    "timeout": f"{_INSIDE}; `limits.timeout` stands behind it",
    "cpus": _NODE,
    "memory": _NODE,
    "gpus": "with `--set gpu_compute=`: the compute of those jobs; else it is refused",
    "schedule": "`schedule.yml`; one with days of the month or months, which Azure ignores, is refused",
    "timezone": "`trigger.time_zone`, by its Windows name; a zone that Azure has no name for is refused",
    "env": "with `--set variables=`: `environment_variables`; else it is refused",
    "checks": _INSIDE,
    "tracking": _INSIDE,
    "executed": "output `results` of each job: `executed.ipynb`, and `result.json` with outputs and checks",
    "fresh": "`run-stage` skips what is fresh; Azure's reuse, which sees no file, is off (`force_rerun`)",
    "files": "`run-stage --fetch` brings inputs from the store",
}
_SCHEMAS = "https://azuremlschemas.azureedge.net/latest"


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Find what hangs on options that are not given, and what Azure's schedules cannot say."""
    yield from cluster.unshared(workflow, given, takes_volume=False)
    yield from _machines(workflow, given)
    known = {*_variables(workflow, given), *workflow.secrets}
    unset = [name for name in workflow.env if name not in known]
    if unset:
        yield Loss(
            feature="env",
            tasks=tuple(task.id for task in workflow.tasks if {*task.env} & {*unset}),
            what=f"variables that count: no value is known for {', '.join(unset)}",
            mend=f"say --set variables='{json.dumps(dict.fromkeys(unset, '...'))}'",
        )
    if workflow.schedule is not None:
        yield from _unscheduled(workflow.schedule)


def _machines(workflow: Workflow, given: ExportGiven) -> Iterator[Loss]:
    wanted: Mapping[str, tuple[str, Callable[[Task], object]]] = {
        "cpus": ("cores", lambda task: task.resources.cpus != 1),
        "memory": ("memory", lambda task: task.resources.memory),
        "gpus": ("GPUs", lambda task: task.resources.gpus),
    }
    for feature, (what, wants) in wanted.items():
        for option in ("compute", "gpu_compute"):
            tasks = [one.id for one in workflow.tasks if wants(one) and _compute(one) == option]
            if tasks and not cluster.option(option, "", given):
                yield Loss(
                    feature=feature,
                    tasks=tuple(tasks),
                    what=f"{what}: Azure's jobs ask for none, they get what a node of their compute has",
                    mend=f"say --set {option}=NAME, a compute whose nodes have as much",
                )


def _compute(task: Task) -> str:
    """Say which option names the task's compute."""
    return "gpu_compute" if task.resources.gpus else "compute"


def _unscheduled(schedule: Schedule) -> Iterator[Loss]:
    if not is_heard(schedule):
        yield Loss(
            feature="schedule",
            tasks=(),
            what=f"schedule '{schedule.cron}': Azure ignores days of the month and months",
            mend="leave both `*`, and have days of the week",
        )
    if windows_name(schedule.timezone) is None:
        yield Loss(
            feature="timezone",
            tasks=(),
            what=f"the schedule's time zone: Azure has no name for {schedule.timezone}",
            mend="name a zone with the same clock, or UTC",
        )


def _variables(workflow: Workflow, given: ExportGiven) -> dict[str, str | None]:
    """Read `--set variables=`. Raises UsageError for what is no value of such a variable."""
    text = given.options.get("variables", "{}")
    mend = 'write --set variables=\'{"NAME": "text"}\''
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(one, str | None) for one in found.values()):
        raise UsageError.of(f"--set variables={text}: that is no JSON of names and texts.", mend=mend)
    plain = {*workflow.env} - {*workflow.secrets}  # who sees a job sees its variables
    odd = [name for name, value in found.items() if name not in plain or OPENED in (value or "")]
    if odd:
        names = ", ".join(sorted(plain)) or "none"
        raise UsageError.of(
            f"--set variables: {odd[0]} is in no stage's `env`, a secret, or holds an expression.",
            known=f"variables: {names}",
            mend=mend,
        )
    return found


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give `pipeline.yml`, its components and their program, the environment, the schedule, and a README."""
    head = made_by("azureml", workflow.profile)
    name = cluster.name_of(workflow)
    image = cluster.option("image", "", given)
    environment: Any = {"image": image} if image else f"azureml:{name}@latest"
    used = azureml_component.components(workflow)
    files = {"pipeline.yml": head + yaml_text(_pipeline(workflow, given, used))}
    for one in {one.path: one for one in used.values()}.values():
        files[one.path] = head + yaml_text(azureml_component.definition(one, workflow, given, environment))
    if not image:
        files["environment.yml"] = head + yaml_text(_environment(name, given))
    if workflow.schedule is not None and is_heard(workflow.schedule):
        files["schedule.yml"] = head + _schedule(name, workflow.schedule)
    return {
        **files,
        "component.py": azureml_component.program(workflow, given),
        "README.md": azureml_readme.readme(workflow, given),
        **container.files(
            "azureml", workflow, given, source=cluster.option("nbpipeline", "", given), user="anyone"
        ),
    }


def _pipeline(workflow: Workflow, given: ExportGiven, used: Mapping[str, Component]) -> dict[str, Any]:
    parameters = azureml_component.parameters(workflow)
    names = identifiers((task.id for task in workflow.tasks), azureml_component.node_name)
    name = cluster.name_of(workflow)
    compute = cluster.option("compute", "", given)
    inputs = {one.name: azureml_component.value(one) for one in parameters.values()}
    return {
        "$schema": f"{_SCHEMAS}/pipelineJob.schema.json",
        "type": "pipeline",
        "display_name": name,
        "description": azureml_component.shown(workflow.name),
        "experiment_name": name,
        **({"inputs": inputs} if inputs else {}),
        "settings": {
            "default_compute": f"azureml:{compute}" if compute else "serverless",
            "force_rerun": True,
            "continue_on_step_failure": True,
        },
        "jobs": {
            names[task.id]: _job(task, used[task.id], names, parameters, workflow, given)
            for task in workflow.tasks
        },
    }


def _job(
    task: Task,
    component: Component,
    names: Mapping[str, str],
    parameters: Mapping[str, Given],
    workflow: Workflow,
    given: ExportGiven,
) -> dict[str, Any]:
    end = limits.whole(task, tries=task.retries + 1, most=limits.PODS)
    compute = cluster.option(_compute(task), "", given) if task.resources.gpus else ""
    variables = {
        name: value for name, value in _variables(workflow, given).items() if value is not None
    }  # of all tasks: by them it is found what others made
    waits = zip(azureml_component.before(task), task.upstream, strict=True)
    return {
        "type": "command",
        "component": f"./{component.path}",
        "display_name": azureml_component.shown(task.id),
        **({"compute": f"azureml:{compute}"} if compute else {}),
        **({"limits": {"timeout": end}} if end is not None else {}),
        **({"environment_variables": variables} if variables else {}),
        "inputs": {
            INSTANCE: masked_text(at_name(task.id), OPENED),
            **{name: f"${{{{parent.jobs.{names[one]}.outputs.{RESULTS}}}}}" for name, one in waits},
            **{one.name: f"${{{{parent.inputs.{one.name}}}}}" for one in parameters.values()},
        },
    }


def _environment(name: str, given: ExportGiven) -> dict[str, Any]:
    return {
        "$schema": f"{_SCHEMAS}/environment.schema.json",
        "name": name,
        "build": {"path": given.to_root, "dockerfile_path": f"{cluster.inside(given)}Dockerfile"},
    }


def _schedule(name: str, schedule: Schedule) -> str:
    zone = windows_name(schedule.timezone) or "UTC"
    text = yaml_text(
        {
            "$schema": f"{_SCHEMAS}/schedule.schema.json",
            "name": name,
            "display_name": name,
            "trigger": {"type": "cron", "expression": cron_of(schedule), "time_zone": zone},
            "create_job": "./pipeline.yml",
        }
    )
    return comment(f"{schedule.cron}, {schedule.timezone}") + text
