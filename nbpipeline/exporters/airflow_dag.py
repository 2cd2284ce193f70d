"""The text of a DAG file: parameters, tasks, what they read and make, their order."""

import builtins
import keyword
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence

from nbpipeline.exporters import airflow_operator as operator
from nbpipeline.exporters.rendering import limits
from nbpipeline.exporters.rendering.command import argv
from nbpipeline.exporters.rendering.names import identifiers, snake
from nbpipeline.exporters.rendering.source import lines, made_by, python, text
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import Value
from nbpipeline.model.exported import Schedule, Setting, Task, Workflow
from nbpipeline.values import dataclass

EXECUTED = f"{STATE_FOLDER}/executed"
"""Hidden, so that no pattern takes an executed notebook for a stage."""
LONGEST = 100
"""Characters of a DAG's or a task's id; Airflow takes 250."""
_LONGEST_TAG = 100
_TYPES = {
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "str": "string",
    "list": "array",
    "dict": "object",
    "None": "null",
}
_ITEMS = ["string", "number", "boolean", "object", "array", "null"]
_RESERVED = frozenset({*keyword.kwlist, *dir(builtins), *operator.NAMES, "PARAMS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What is settled before the text is written."""

    dag_id: str
    awaited: tuple[str, ...]
    """Inputs whose updates start the DAG."""
    options: Mapping[str, str]
    to_root: str


def key(name: str) -> str:
    """Make an id of a DAG as near to the name as Airflow allows; one that is one stays."""
    kept = "".join(one if one.isascii() and (one.isalnum() or one in "_.-") else " " for one in name)
    return "_".join(kept.split())[:LONGEST] or "pipeline"


def is_json(value: Value) -> bool:
    """Whether JSON can say a value: no number in it is nan or infinite."""
    if isinstance(value, Mapping):
        return all(is_json(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(is_json(one) for one in value)
    return not isinstance(value, float) or math.isfinite(value)


def dag_file(workflow: Workflow, plan: Rendered) -> str:
    """Write the whole file."""
    ids = identifiers((task.id for task in workflow.tasks), snake, longest=LONGEST)
    variables = {one: f"{name}_" if name in _RESERVED else name for one, name in ids.items()}
    groups = _groups(workflow, ids)
    kind = plan.options.get("secrets", "environment")
    secrets = kind if workflow.secrets and kind != "environment" else ""
    parts = [
        made_by("airflow", workflow.profile).rstrip("\n"),
        *operator.head(
            timetable=bool(workflow.schedule),
            both=bool(workflow.schedule and plan.awaited),
            groups=bool(groups),
            pods="executor" in plan.options,
            durations=any(task.timeout or _retries_are_airflows(task) for task in workflow.tasks),
            secrets=secrets,
        ),
        *_constants(plan),
        *_params(workflow.settings),
        *("", "", *operator.body(secrets=secrets, pods="executor" in plan.options), "", ""),
        *_dag(workflow, plan),
    ]
    for stage, group in groups.items():
        named = "" if stage == group else f", group_display_name={text(stage)}"
        parts += [f"    {group}_group = TaskGroup({text(group)}{named}, prefix_group_id=False)", ""]
    for task in workflow.tasks:
        rows = list(_task(workflow, task, ids[task.id], variables[task.id], plan))
        if task.stage in groups:
            rows.insert(-1, f"        task_group={groups[task.stage]}_group,")
        parts += [*rows, ""]
    parts += [
        f"    {_upstream([variables[one] for one in task.upstream])} >> {variables[task.id]}"
        for task in workflow.tasks
        if task.upstream
    ]
    return lines(parts)


def _groups(workflow: Workflow, ids: Mapping[str, str]) -> Mapping[str, str]:
    """Name the groups that the UI folds, one a stage with a matrix; a task has none of these names."""
    stages = dict.fromkeys(task.stage for task in workflow.tasks if task.axes)
    taken = {*ids.values(), *(name.removesuffix("_group") for name in ids.values())}
    return identifiers(stages, snake, longest=LONGEST, taken=taken)


def _constants(plan: Rendered) -> Iterator[str]:
    options = plan.options
    if "project" in options:
        yield f"PROJECT = Path({text(options['project'])})"
    else:
        yield f"PROJECT = Path(os.path.normpath(Path(__file__).resolve().parent / {text(plan.to_root)}))"
    yield f"COMMAND = {python(shlex.split(options.get('command', 'nbpipeline')))}"
    yield f"EXECUTED = PROJECT / {text(options.get('executed', EXECUTED))}"
    yield "NOT_RETRIED = {2, 3, 4, 5, 6, 130}  # a failed check, wrong use, ...: another try ends the same"


# --- parameters ------------------------------------------------------------------------------


def _params(settings: tuple[Setting, ...]) -> Iterator[str]:
    yield ""
    yield "PARAMS = {" if settings else "PARAMS = {}"
    for setting in settings:
        if is_json(setting.default):
            yield from _param(setting)
    if settings:
        yield "}"


def _param(setting: Setting) -> Iterator[str]:
    yield f"    {text(setting.name)}: Param("
    yield f"        {python(setting.default, 8)},"
    types = [_TYPES[one] for one in setting.types]
    if types:
        yield f"        type={python(types[0] if len(types) == 1 else types)},"
    if "array" in types and not _is_texts(setting.default):
        yield f'        items={{"type": {python(_ITEMS)}}},  # the form asks for JSON, not for lines'
    if isinstance(setting.default, str) and "\n" in setting.default:
        yield '        format="multiline",'
    if setting.choices:
        yield f"        enum={python(list(setting.choices), 8)},"
    for name, bound in (("minimum", setting.min), ("maximum", setting.max)):
        if bound is not None and math.isfinite(bound):
            yield f"        {name}={python(bound)},"
    if setting.help:
        yield f"        description={text(setting.help)},"
    yield "    ),"


def _is_texts(value: Value) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


# --- the DAG ---------------------------------------------------------------------------------


def _dag(workflow: Workflow, plan: Rendered) -> Iterator[str]:
    tags = dict.fromkeys(tag[:_LONGEST_TAG] for task in workflow.tasks for tag in sorted(task.tags))
    defaults: dict[str, Value] = {"retries": 0, "trigger_rule": "none_failed"}
    if "pool" in plan.options:
        defaults["pool"] = plan.options["pool"]
    yield "with DAG("
    yield f"    dag_id={text(plan.dag_id)},"
    if workflow.name != plan.dag_id:
        yield f"    dag_display_name={text(workflow.name)},"
    yield f"    schedule={_schedule(workflow.schedule, plan.awaited)},"
    yield "    catchup=False,"
    yield "    max_active_runs=1,"
    yield f"    default_args={python(defaults, 4)},"
    yield "    params=PARAMS,"
    yield f"    tags={python(['nbpipeline', *tags], 4)},"
    yield f"    doc_md={text(_dag_doc(workflow))},"
    yield "):"


def _schedule(schedule: Schedule | None, awaited: tuple[str, ...]) -> str:
    clock = ""
    if schedule is not None:
        clock = f"CronTriggerTimetable({text(schedule.cron)}, timezone={text(schedule.timezone)})"
    assets = f"assets({', '.join(text(one) for one in awaited)})"
    if clock and awaited:
        return f"AssetOrTimeSchedule(timetable={clock}, assets={assets})"
    return assets if awaited else clock or "None"


def _dag_doc(workflow: Workflow) -> str:
    """Say in Markdown what the DAG is; it ends with a new line, as Airflow takes `x.md` for a file."""
    count = len({task.notebook for task in workflow.tasks})
    whole = f"{len(workflow.tasks)} tasks of {count} notebooks; each runs `nbpipeline run-stage`.\n"
    rows = [f"- `{task.id}`: {task.description}" for task in workflow.tasks if task.description]
    return whole + "".join(f"\n{' '.join(row.split())}" for row in rows) + ("\n" if rows else "")


def _task(workflow: Workflow, task: Task, name: str, variable: str, plan: Rendered) -> Iterator[str]:
    own = _retries_are_airflows(task)
    slots = max(1, math.ceil(task.resources.cpus))
    yield f"    {variable} = RunStage("
    yield f"        task_id={text(name)},"
    if name != task.id:
        yield f"        task_display_name={text(task.id)},"
    yield f"        arguments={python(list(argv(workflow, task, retries_elsewhere=own)[1:]), 8)},"
    for what, paths in (("inlets", task.inputs), ("outlets", task.outputs)):
        if paths:
            yield f"        {what}={_assets(paths)},"
    if own:
        yield f"        retries={task.retries},"
        yield f"        retry_delay=timedelta(seconds={python(task.retry_delay)}),"
    end = limits.behind(task, tries=1 if own else task.retries + 1, most=limits.TIMERS)
    if end is not None:
        yield f"        execution_timeout=timedelta(seconds={python(end)}),"
    if slots > 1:
        yield f"        pool_slots={slots},"
    if "executor" in plan.options:
        yield f"        executor_config=pod({', '.join(_pod(task))}),"
    if task.secrets and plan.options.get("secrets", "environment") != "environment":
        yield f"        secrets={python(list(task.secrets), 8)},"
    yield f"        doc_md={text(_task_doc(task))},"
    yield "    )"


def _pod(task: Task) -> Iterator[str]:
    """Say what a pod asks for, in the units of Kubernetes."""
    asked = task.resources
    yield f'cpu="{round(asked.cpus * 1000)}m"'
    if asked.memory:
        yield f'memory="{math.ceil(asked.memory)}"'
    if asked.gpus:
        yield f"gpus={asked.gpus}"


def _assets(paths: Sequence[str]) -> str:
    flat = f"assets({', '.join(text(one) for one in paths)})"
    if len(flat) <= 88:  # noqa: PLR2004 - a line's width
        return flat
    return "assets(\n" + "".join(f"            {text(one)},\n" for one in paths) + "        )"


def _upstream(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    flat = f"[{', '.join(names)}]"
    if len(flat) <= 88:  # noqa: PLR2004 - a line's width
        return flat
    return "[\n" + "".join(f"        {one},\n" for one in names) + "    ]"


def _retries_are_airflows(task: Task) -> bool:
    """Whether Airflow waits as the stage says: its growing waits are random, up to twice as long."""
    return bool(task.retries) and (task.retry_backoff == 1 or task.retries == 1 or not task.retry_delay)


def _task_doc(task: Task) -> str:
    rows = [
        f"Notebook: `{task.notebook}`",
        *([f"Tags: {', '.join(task.tags)}"] if task.tags else []),
        *(f"Check on `{one.artifact}`: {one.name} ({one.severity})" for one in task.checks),
        *([f"Secrets: {', '.join(task.secrets)}"] if task.secrets else []),
        *([f"Variables that count: {', '.join(task.env)}"] if task.env else []),
    ]
    listed = "".join(f"- {' '.join(row.split())}\n" for row in rows)
    return f"{task.description}\n\n{listed}" if task.description else listed
