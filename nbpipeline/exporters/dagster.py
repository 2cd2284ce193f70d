"""Dagster: an asset for each output, made by a factory a stage; asset checks, a job, a schedule, the image.

Written after the documentation of Dagster 1.13 ("Asset factories", "Asset checks", "Op retries", "Schedules",
"Resources").
"""

import keyword
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from nbpipeline.exporters.dagster_texts import FACTORY, README
from nbpipeline.exporters.rendering import container, limits
from nbpipeline.exporters.rendering.command import argv
from nbpipeline.exporters.rendering.names import PYDANTIC, identifiers, snake
from nbpipeline.exporters.rendering.source import comment, lines, made_by, python, text, yaml_text
from nbpipeline.location import is_url
from nbpipeline.model.exported import ExportGiven, Loss, Setting, Task, Workflow

TITLE = "Dagster 1.13"
FOLDER = "deploy/dagster"
OPTIONS: Mapping[str, str] = {"executed": "folder for executed notebooks (default: `.nbpipeline/executed`)"}
_INSIDE = "by `run-stage`"
_PODS = (
    "the request of the step's pod (`dagster-k8s/config`); on one machine Dagster's own limits of concurrency"
)
KEEPS: Mapping[str, str] = {
    "order": "`deps` of the assets",
    "parameters": "typed fields of the resource `parameters`, set in the launchpad or by `--config-json`",
    "matrix": "assets of its own for an instance, in the group of the stage",
    "retries": "`RetryPolicy`; a failed check is not tried again (`allow_retries=False`)",
    "backoff": "equal waits: `RetryPolicy(delay=)`; growing ones by `run-stage`",
    "timeout": f"{_INSIDE}; a command that outlives it by far is ended",
    "cpus": _PODS,
    "memory": _PODS,
    "gpus": _PODS,
    "schedule": "`ScheduleDefinition`",
    "timezone": "`execution_timezone`",
    "secrets": "from the environment of the code location",
    "env": "from the environment of the code location",
    "checks": "asset checks, blocking; tried by `run-stage`, so that what fails one is never seen",
    "tracking": _INSIDE,
    "executed": "metadata of the materialization (`MetadataValue.notebook`)",
    "fresh": f"{_INSIDE}: a materialization that ran nothing says so",
    "files": "`run-stage --fetch` brings what others made",
}
_REFUSED = frozenset(
    {
        *keyword.kwlist,
        *("arg_dict", "bool", "conf", "config", "context", "dict", "float", "input", "input_arg_dict"),
        *("int", "meta", "output", "output_arg_dict", "str", "type"),
    }
)
"""What Dagster lets nothing be called (`DISALLOWED_NAMES` of its sources)."""
_RESERVED = frozenset(
    {
        *(_REFUSED | PYDANTIC),
        *("list", "Any", "as_json", "dg_field", "dg"),
        *("configure_at_launch", "create_resource", "from_resource_context", "from_resource_context_cm"),
        *("get_resource_context", "get_resource_definition", "nested_resources"),
        *("process_config_and_initialize", "process_config_and_initialize_cm", "setup_for_execution"),
        *("teardown_after_execution", "to_config_schema", "to_fields_dict", "with_replaced_resource_context"),
        *("with_resource_context", "yield_for_execution"),
    }
)
"""Names that a field of the resource cannot have: its own members, and what the class's text uses."""
_TYPES: Mapping[str, str] = {"list": "list[Any]", "dict": "dict[str, Any]"}


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Find nothing more."""
    del workflow, given
    return ()


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give `definitions.py`, `workspace.yaml`, a README, and the files of the image."""
    head = made_by("dagster", workflow.profile)
    return {
        "definitions.py": head + _definitions(workflow, given),
        "workspace.yaml": head + yaml_text({"load_from": [{"python_file": "definitions.py"}]}),
        "README.md": README.format(name=comment(workflow.name, "").strip() or "pipeline"),
        **container.files("dagster", workflow, given),
    }


def _definitions(workflow: Workflow, given: ExportGiven) -> str:
    parameters = identifiers((one.name for one in workflow.settings), snake, taken=_RESERVED)
    keys = _asset_keys(workflow)
    executed = given.options.get("executed", ".nbpipeline/executed")
    assets = [_stage(workflow, task, keys) for task in workflow.tasks]
    return lines(
        [
            "import json",
            "import os",
            "import subprocess",
            "import tempfile",
            "from collections.abc import Iterator",
            "from pathlib import Path",
            "from typing import Any",
            "",
            "import dagster as dg",
            "",
            f"PROJECT = (Path(__file__).parent / {text(given.to_root)}).resolve()",
            f"EXECUTED = PROJECT / {text(executed)}",
            "",
            "",
            *_parameters(workflow, parameters),
            "",
            "",
            FACTORY.strip("\n"),
            "",
            "",
            "assets = [",
            *assets,
            "]",
            "",
            "pipeline = dg.define_asset_job(",
            f"    {text(_job_name(workflow))}, selection=dg.AssetSelection.assets(*assets)",
            ")",
            "",
            "defs = dg.Definitions(",
            "    assets=assets,",
            "    jobs=[pipeline],",
            *_schedules(workflow),
            '    resources={"parameters": Parameters()},',
            ")",
        ]
    )


def _job_name(workflow: Workflow) -> str:
    """Name the job; Dagster keeps `pipeline` for none, and takes identifiers alone."""
    name = snake(workflow.name).strip("_") or "pipeline"
    return f"{name}_job" if name in _REFUSED else name


def _schedules(workflow: Workflow) -> list[str]:
    if workflow.schedule is None:
        return []
    return [
        "    schedules=[",
        "        dg.ScheduleDefinition(",
        "            job=pipeline,",
        f"            cron_schedule={text(workflow.schedule.cron)},",
        f"            execution_timezone={text(workflow.schedule.timezone)},",
        "        )",
        "    ],",
    ]


# --- parameters ------------------------------------------------------------------------------


def _parameters(workflow: Workflow, names: Mapping[str, str]) -> list[str]:
    rows = [
        "class Parameters(dg.ConfigurableResource):",
        '    """What may be set when a run is launched; the defaults are the notebooks\' own."""',
    ]
    for one in workflow.settings:
        described = f", description={text(one.help)}" if one.help else ""
        bounds = "".join(
            f", {word}={value!r}"
            for word, value in (("ge", one.min), ("le", one.max))
            if value is not None and math.isfinite(value)
        )
        default = python(one.default, 8)
        rows += ["", f"    {names[one.name]}: {_annotation(one)} = dg_field({default}{bounds}{described})"]
    pairs = {names[one.name]: one.name for one in workflow.settings}
    rows += [
        "",
        "    def as_json(self) -> str:",
        '        """Give them as `run-stage --params` takes them."""',
        f"        names = {python(pairs, 8)}",
        "        return json.dumps({name: getattr(self, field) for field, name in names.items()})",
    ]
    return ["from pydantic import Field as dg_field", "", "", *rows] if workflow.settings else rows


def _annotation(setting: Setting) -> str:
    """Write a type that Dagster's config can say: one, or one that may be None; else anything."""
    types = [one for one in setting.types if one != "None"]
    if set(types) == {"int", "float"}:
        types = ["float"]
    if len(types) != 1:
        return "Any"
    name = _TYPES.get(types[0], types[0])
    return f"{name} | None" if "None" in setting.types else name


# --- assets ----------------------------------------------------------------------------------


def _asset_keys(workflow: Workflow) -> Mapping[str, Mapping[str, str]]:
    """Name the assets: of each task by the path of each output, or by itself where it has none."""
    paths = [path for task in workflow.tasks for path in task.outputs]
    count = Counter(paths)
    wanted: dict[tuple[str, str], str] = {}
    for task in workflow.tasks:
        for path in task.outputs or ("",):
            own = path if path and count[path] == 1 else f"{task.id} {path}".strip()
            wanted[task.id, path] = own
    names = identifiers(wanted.values(), snake, taken=_REFUSED)
    found: dict[str, dict[str, str]] = {}
    for (task_id, path), own in wanted.items():
        found.setdefault(task_id, {})[path] = names[own]
    return found


def _stage(workflow: Workflow, task: Task, keys: Mapping[str, Mapping[str, str]]) -> str:
    own = keys[task.id]
    growing = task.retries > 0 and task.retry_delay > 0 and task.retry_backoff != 1
    elsewhere = bool(task.retries) and not growing
    made = {path: key for one in task.upstream for path, key in keys[one].items()}
    read = [made[path] for path in task.inputs if path in made]
    waited = [
        key for one in task.upstream if not set(task.inputs) & set(keys[one]) for key in keys[one].values()
    ]
    first = next(iter(own.values()))
    checks = Counter[str]()
    listed: list[list[Any]] = []
    for one in task.checks:
        label = snake(f"{one.artifact}_{one.name}")
        checks[label] += 1
        name = label if checks[label] == 1 else f"{label}_{checks[label]}"
        listed.append([name, one.artifact, one.name, one.severity != "warn"])
    known: dict[str, Any] = {
        "name": snake(f"run {first}"),
        "command": list(argv(workflow, task, retries_elsewhere=elsewhere)),
        "outputs": {key: path for path, key in own.items()},
        "deps": list(dict.fromkeys([*read, *waited])),
        "group": _group(task),
    }
    if task.description:
        known["description"] = task.description
    if listed:
        known["checks"] = listed
    if elsewhere:
        known["retries"] = task.retries
        known["retry_delay"] = task.retry_delay
    end = limits.behind(task, tries=1 if elsewhere else task.retries + 1, most=limits.TIMERS)
    if end is not None:
        known["timeout"] = end
    resources = _resources(task)
    if resources:
        known["tags"] = {"dagster-k8s/config": {"container_config": {"resources": resources}}}
    raw = [one for one in task.inputs if one not in made and not is_url(one)]
    if raw:
        known["raw"] = raw
    rows = [f"        {name}={python(value, 8)},\n" for name, value in known.items()]
    return "    stage_assets(\n" + "".join(rows) + "    ),"


def _group(task: Task) -> str:
    name = snake(task.stage)
    return f"{name}_stage" if name in _REFUSED else name


def _resources(task: Task) -> dict[str, Any]:
    wanted: dict[str, str] = {}
    if task.resources.cpus != 1:
        wanted["cpu"] = f"{task.resources.cpus:g}"
    if task.resources.memory:
        wanted["memory"] = str(task.resources.memory)
    if task.resources.gpus:
        wanted["nvidia.com/gpu"] = str(task.resources.gpus)
    limits = {name: one for name, one in wanted.items() if name != "cpu"}
    return {"requests": wanted, **({"limits": limits} if limits else {})} if wanted else {}
