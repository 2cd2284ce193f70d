"""Prefect: a flow with a task an instance, a deployment, the image for pools that run containers.

Written after the documentation of Prefect 3.8 ("Write flows", "Define deployments with YAML", "Global
concurrency limits", "Artifacts") and its sources of `ThreadPoolTaskRunner` and `capture_sigterm`.
"""

import keyword
import math
from collections.abc import Iterable, Mapping
from unicodedata import normalize

from nbpipeline.exporters import prefect_deployment, prefect_task
from nbpipeline.exporters.rendering import limits
from nbpipeline.exporters.rendering.command import argv
from nbpipeline.exporters.rendering.names import PYDANTIC, identifiers, labels, snake
from nbpipeline.exporters.rendering.source import lines, made_by, python, text
from nbpipeline.model.exported import ExportGiven, Loss, Setting, Task, Workflow

TITLE = "Prefect 3.8"
FOLDER = "deploy/prefect"
OPTIONS: Mapping[str, str] = {
    "work-pool": "the work pool of the deployment; by default `nbpipeline`",
    "limits": "NAME: tasks also take slots of the global concurrency limits `NAME-cores`, `NAME-memory-mb`, "
    "`NAME-gpus`, which hold for all flow runs together",
    "image": "the image that a Docker or Kubernetes work pool runs the flow in",
}
_INSIDE = "by `run-stage`"
_LIMITED = "with `--set limits=NAME`: slots of a global concurrency limit"
KEEPS: Mapping[str, str] = {
    "order": "`submit(wait_for=...)`; other branches go on after a failure, and the flow ends Failed",
    "parameters": "typed parameters of the flow, validated by Prefect; `train.C` is `train_C`",
    "matrix": "a task an instance",
    "retries": "`retries` of the task; a failed check is not tried again (`retry_condition_fn`)",
    "backoff": "`retry_delay_seconds`, each wait as the stage says; by `run-stage` past 50 of them",
    "timeout": "by `run-stage`; the task ends a command that outlives it by far",
    "cpus": "tasks of a flow run take no more cores together than the machine has; "
    "with `--set limits=NAME`, all flow runs together no more than a global concurrency limit",
    "memory": _LIMITED,
    "gpus": _LIMITED,
    "schedule": "`schedules` of the deployment",
    "timezone": "`timezone` of the schedule",
    "secrets": "from the worker's environment, or else from Secret blocks",
    "env": "from the worker's environment, or `job_variables: env` of the deployment",
    "checks": f"{_INSIDE}; results as a table artifact",
    "tracking": _INSIDE,
    "executed": "a link artifact of each task",
    "fresh": f"{_INSIDE}, by the same fingerprint; so Prefect's own cache is off",
    "files": "a flow run's tasks share one machine; `run-stage --fetch` brings what others made",
}
MOST_DELAYS = 50
"""Prefect refuses more."""
LONGEST_DELAY = 365 * 86400.0
_BANNED = frozenset("/%&><")
_USED = frozenset({"run_stage", "wait", "ended_with_the_flow", "settings", "stages"})
_RESERVED = frozenset({*keyword.kwlist, *_USED, "return_state", "wait_for", *PYDANTIC})
_TYPES: Mapping[str, str] = {"list": "list[Any]", "dict": "dict[str, Any]"}


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Name memory and GPUs, which only global concurrency limits can hold."""
    if given.options.get("limits"):
        return
    for name, title in (("memory", "memory a task"), ("gpus", "GPUs a task")):
        users = tuple(task.id for task in workflow.tasks if getattr(task.resources, name))
        if users:
            yield Loss(
                feature=name, tasks=users, what=f"{title}: nothing holds it without `--set limits=NAME`"
            )


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give `flow.py`, `prefect.yaml`, a README, and the files of the image."""
    function = function_name(workflow)
    parameters = parameter_names(workflow)
    return {
        "flow.py": _flow(workflow, given, function, parameters),
        **prefect_deployment.files(workflow, given, function, parameters),
    }


def function_name(workflow: Workflow) -> str:
    """Name the flow's function."""
    made = snake(workflow.name).strip("_").lower()
    return f"run_{made}" if not made[0].isalpha() or made in _RESERVED | prefect_task.NAMES else made


def parameter_names(workflow: Workflow) -> Mapping[str, str]:
    """Give each setting the flow's parameter: its own name, where that is an identifier."""

    def own(name: str) -> str:
        made = normalize("NFKC", name) if name.isidentifier() else snake(name)  # as Python reads it
        return made.strip("_") if made.strip("_").isidentifier() else f"p_{made.strip('_')}"

    return identifiers((one.name for one in workflow.settings), own, taken=_RESERVED)


def delays(task: Task) -> tuple[float, ...] | None:
    """Give the seconds before each further try; None where Prefect cannot wait so."""
    if task.retries > MOST_DELAYS:
        return None
    found = tuple(limits.wait(task, number) for number in range(task.retries))
    return found if all(one <= LONGEST_DELAY for one in found) else None


def _flow(workflow: Workflow, given: ExportGiven, function: str, parameters: Mapping[str, str]) -> str:
    names = identifiers(
        (task.id for task in workflow.tasks), snake, taken=_RESERVED | set(parameters.values())
    )
    keys = labels((f"{workflow.name} {task.id}" for task in workflow.tasks), longest=90)
    name = "".join("-" if one in _BANNED else one for one in workflow.name)
    stages = [names[task.id] for task in workflow.tasks]
    return lines(
        [
            '"""The pipeline as a Prefect flow: a task an instance, each by `nbpipeline run-stage`."""',
            "",
            made_by("prefect", workflow.profile).rstrip("\n"),
            *prefect_task.source(workflow, given, _imports(workflow)),
            "",
            "",
            f"@flow(name={text(name)})",
            *_signature(workflow, function, parameters),
            *_docstring(workflow, parameters),
            *_settings(workflow, parameters),
            "    with ended_with_the_flow():",
            *(
                row
                for task in workflow.tasks
                for row in _submitted(workflow, task, names, keys[f"{workflow.name} {task.id}"])
            ),
            f"        stages = {_listed(stages, 8)}",
            "        wait(stages)",
            "    return stages  # the flow fails when one of them did",
            "",
            "",
            'if __name__ == "__main__":',
            f"    {function}()",
        ]
    )


def _imports(workflow: Workflow) -> Mapping[str, bool]:
    """Say which names the parameters' types need."""
    kinds = [_annotation(one) for one in workflow.settings]
    return {
        "Annotated": any(one.startswith("Annotated") for one in kinds),
        "Literal": any("Literal[" in one for one in kinds),
    }


def _signature(workflow: Workflow, function: str, parameters: Mapping[str, str]) -> list[str]:
    if not workflow.settings:
        return [f"def {function}() -> list[Any]:"]
    rows = [
        f"    {parameters[one.name]}: {_annotation(one)} = {python(one.default, 4)},"
        for one in workflow.settings
    ]
    return [f"def {function}(", *rows, ") -> list[Any]:"]


def _annotation(setting: Setting) -> str:
    types = setting.types
    if "float" in types and type(setting.default) is int:  # `count: float = 1`: pydantic would make it 1.0
        types = tuple(dict.fromkeys(("int", *types)))
    kind = " | ".join(_TYPES.get(one, one) for one in types) or "Any"
    if setting.choices and all(isinstance(one, str | int | None) for one in setting.choices):
        return f"Literal[{', '.join(python(one) for one in setting.choices)}]"
    bounds = [
        f"{word}={python(value)}"
        for word, value in (("ge", setting.min), ("le", setting.max))
        if value is not None and math.isfinite(value)
    ]
    if bounds and types and set(types) <= {"int", "float", "None"}:
        return f"Annotated[{kind}, Field({', '.join(bounds)})]"
    return kind


def _docstring(workflow: Workflow, parameters: Mapping[str, str]) -> list[str]:
    """Write what Prefect shows of the flow and its parameters."""
    helped = []
    for one in workflow.settings:
        name = parameters[one.name]
        told = [f"`{one.name}`" if name != one.name else "", _plain(one.help)]
        if any(told):
            helped.append(f"        {name}: {': '.join(word for word in told if word)}")
    first = f'    """Run the notebooks of {_plain(workflow.name)}.'
    if not helped:
        return [f'{first}"""']
    return [first, "", "    Args:", *helped, '    """']


def _plain(words: str) -> str:
    """Write a text on one line of a docstring: nothing in it ends that or is an escape."""
    flat = " ".join("".join(one if one.isprintable() else " " for one in words).split())
    return flat.replace("\\", "\\\\").replace('"', '\\"')


def _settings(workflow: Workflow, parameters: Mapping[str, str]) -> list[str]:
    if not workflow.settings:
        return ["    settings: dict[str, Any] = {}"]
    rows = [f"        {text(one.name)}: {parameters[one.name]}," for one in workflow.settings]
    return ["    settings: dict[str, Any] = {", *rows, "    }"]


def _submitted(workflow: Workflow, task: Task, names: Mapping[str, str], key: str) -> list[str]:
    waits = delays(task) if task.retries else None
    options: dict[str, str] = {"name": text(task.id)}
    if task.description:
        options["description"] = text(task.description)
    if task.tags:
        options["tags"] = python(list(task.tags), 12)
    if waits is not None:
        options["retries"] = str(task.retries)
        options["retry_delay_seconds"] = python([_number(one) for one in waits], 12)
    given: dict[str, str] = {
        "stage": text(task.id),
        "command": python(list(argv(workflow, task, retries_elsewhere=waits is not None)), 12),
        "settings": "settings",
        "key": text(key),
        **_asked(task, waits),
    }
    if task.upstream:
        given["wait_for"] = _listed([names[one] for one in task.upstream], 12)
    return [
        f"        {names[task.id]} = run_stage.with_options(",
        *(f"            {name}={value}," for name, value in options.items()),
        "        ).submit(",
        *(f"            {name}={value}," for name, value in given.items()),
        "        )",
    ]


def _asked(task: Task, waits: tuple[float, ...] | None) -> dict[str, str]:
    """Write what a task asks for beyond the usual: cores, memory, GPUs, a limit, secrets."""
    wanted = task.resources
    asked: dict[str, str] = {}
    if math.ceil(wanted.cpus) != 1:
        asked["cores"] = str(max(1, math.ceil(wanted.cpus)))
    if wanted.memory:
        asked["memory_mb"] = str(math.ceil(wanted.memory / 1_000_000))
    if wanted.gpus:
        asked["gpus"] = str(wanted.gpus)
    end = limits.behind(task, tries=1 if waits is not None else task.retries + 1, most=limits.TIMERS)
    if end is not None:
        asked["limit"] = python(_number(end))
    if task.secrets:
        blocks = labels(task.secrets)
        asked["secrets"] = python({one: blocks[one] for one in task.secrets}, 12)
    return asked


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def _listed(names: list[str], indent: int) -> str:
    """Write a list of variables, over several lines where one is too short."""
    flat = f"[{', '.join(names)}]"
    if len(flat) + indent <= 76:  # noqa: PLR2004 - leaves room for the longest word in front
        return flat
    inner = " " * (indent + 4)
    return "[\n" + "".join(f"{inner}{one},\n" for one in names) + " " * indent + "]"
