"""Makes of a pipeline the workflow that exporters render."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from nbpipeline.location import is_url
from nbpipeline.model import (
    BoundArtifact,
    Expression,
    Parameter,
    Pipeline,
    StageInstance,
    StageSpec,
    Value,
)
from nbpipeline.model.exported import Schedule, Setting, Task, TaskCheck, Workflow
from nbpipeline.pipeline.parameters import as_json
from nbpipeline.reading.parameters import choices, kinds

Modules = Callable[[StageInstance], tuple[str, ...]]
"""Names the project's own modules that an instance's code imports."""

_TYPES: Mapping[type, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    list: "list",
    tuple: "list",
    dict: "dict",
}

_LOCAL = frozenset({"file", "local", "memory"})
"""Protocols of URLs that mean something else on each machine, or are gone with a process."""


def workflow_of(pipeline: Pipeline, modules: Modules) -> Workflow:
    """Give the workflow that a pipeline is."""
    project = pipeline.project
    settings = _settings(pipeline)
    reached = _reached(settings)
    store, folder = _store(str(project.store.get("path") or ""))
    return Workflow(
        name=project.name,
        tasks=tuple(_task(one, pipeline, reached, modules) for one in pipeline),
        settings=settings,
        schedule=_schedule(project.schedule),
        profile=project.profile,
        store=store,
        store_folder=folder,
        trackers=tuple(project.tracking),
    )


def _schedule(said: Mapping[str, Value]) -> Schedule | None:
    cron = said.get("cron")
    return Schedule(cron=cron, timezone=said.get("timezone") or "UTC") if cron else None


def _store(path: str) -> tuple[str, str]:
    """Give the URL that machines share, or else the folder: `file://` is one, whatever is mounted there."""
    if not is_url(path):
        return "", path
    protocol, _, place = path.partition("://")
    if protocol in _LOCAL:
        return "", place if protocol != "memory" else ""
    return path, ""


def _task(
    instance: StageInstance, pipeline: Pipeline, reached: Mapping[str, tuple[str, ...]], modules: Modules
) -> Task:
    spec = instance.spec
    edges = pipeline.upstream(instance.id)
    before = {edge.upstream for edge in edges}
    stale_with = {edge.upstream for edge in edges if edge.kind == "dependency"}
    return Task(
        id=instance.id,
        stage=spec.name,
        axes={name: as_json(value) for name, value in instance.axes},
        description=spec.description,
        notebook=spec.notebook.path,
        upstream=tuple(one for one in pipeline.instances if one in before),
        stale_with=tuple(one for one in pipeline.instances if one in stale_with),
        inputs=tuple(dict.fromkeys(path for one in instance.inputs for path in one.paths)),
        outputs=_outputs(instance, lambda _one: True),
        unstored=_outputs(instance, lambda one: not one.spec.store),
        updated=_outputs(instance, lambda one: one.spec.mode == "update"),
        modules=modules(instance),
        settings=reached.get(spec.name, ()),
        retries=spec.retries,
        retry_delay=spec.retry_delay,
        retry_backoff=spec.retry_backoff,
        timeout=spec.timeout,
        resources=spec.resources,
        secrets=spec.secrets,
        env=spec.env,
        tags=spec.tags,
        checks=tuple(
            TaskCheck(artifact=name, name=check.name, severity=check.severity)
            for name, checks in spec.expect.items()
            for check in checks
        ),
        always=not spec.cache or spec.fresh_for is not None or _reads_url(instance),
        frozen=spec.frozen,
    )


def _reads_url(instance: StageInstance) -> bool:
    return any(is_url(path) for one in instance.inputs for path in one.paths)


def _outputs(instance: StageInstance, wants: Callable[[BoundArtifact], bool]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for one in instance.outputs if wants(one) for path in one.paths))


# --- parameters ------------------------------------------------------------------------------


def _settings(pipeline: Pipeline) -> tuple[Setting, ...]:
    """Gather what may be set: under its bare name where all stages that declare it agree."""
    found: dict[str, list[Setting]] = {}
    seen: set[str] = set()
    for instance in pipeline:
        if instance.spec.name not in seen:
            seen.add(instance.spec.name)
            for setting in _of_stage(instance):
                found.setdefault(setting.name, []).append(setting)
    axes = {name for instance in pipeline for name, _ in instance.axes}  # `-p` would mean these, too
    return tuple(one for same in found.values() for one in _merged(same, apart=same[0].name in axes))


def _of_stage(instance: StageInstance) -> Iterator[Setting]:
    spec = instance.spec
    axes = {name for name, _ in instance.axes}
    for parameter in spec.parameters:
        if (
            parameter.name in axes
            or not _is_free(parameter, spec)
            or parameter.name not in instance.parameters
        ):
            continue
        default = as_json(instance.parameters[parameter.name])
        yield Setting(
            name=parameter.name,
            stages=(spec.name,),
            types=_types(parameter, default),
            default=default,
            choices=tuple(as_json(one) for one in parameter.choices or choices(parameter.type)),
            min=parameter.min,
            max=parameter.max,
            help=parameter.help,
        )


def _types(parameter: Parameter, default: Value) -> tuple[str, ...]:
    """Name what a value may be; where the default is None, that too, whatever the annotation says."""
    if not parameter.type:
        return _types_of(default)
    found = kinds(parameter.type)
    return (*found, "None") if found and default is None and "None" not in found else found


def _merged(same: list[Setting], *, apart: bool) -> Iterator[Setting]:
    """One setting for all stages that mean the same by a name; else, or if `apart`, one a stage."""
    first = same[0]
    alike = not apart and all(
        (one.types, one.default, one.choices, one.min, one.max)
        == (first.types, first.default, first.choices, first.min, first.max)
        and type(one.default) is type(first.default)
        for one in same
    )
    if alike:
        stages = tuple(stage for one in same for stage in one.stages)
        yield replace(first, stages=stages, help=next((one.help for one in same if one.help), ""))
        return
    for one in same:
        yield replace(one, name=f"{one.stages[0]}.{one.name}")


def _reached(settings: tuple[Setting, ...]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for setting in settings:
        for stage in setting.stages:
            found[stage] = (*found.get(stage, ()), setting.name)
    return found


def _is_free(parameter: Parameter, spec: StageSpec) -> bool:
    """Whether the value stands by itself; one worked out from others follows them, so it is not given."""
    if parameter.name in spec.settings:
        return True
    return parameter.default is not None and not _uses_names(parameter.default)


def _uses_names(expression: Expression) -> bool:
    if expression.kind == "name":
        return True
    return any(_uses_names(one) for one in _parts(expression.args))


def _parts(args: Any) -> Iterator[Expression]:
    for one in args:
        if isinstance(one, Expression):
            yield one
        elif isinstance(one, tuple | list):
            yield from _parts(one)


def _types_of(value: Value) -> tuple[str, ...]:
    """Say of what type a default is; None, and what no type is known for, may become anything."""
    name = _TYPES.get(type(value))
    return (name,) if name else ()
