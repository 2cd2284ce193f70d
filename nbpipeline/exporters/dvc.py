"""DVC: a dvc.yaml with a stage a task, and a params.yaml.

Written after the documentation of DVC 3 ("dvc.yaml files"; templating, outputs, params).
"""

import posixpath
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from nbpipeline.errors import UsageError
from nbpipeline.exporters.rendering.command import argv
from nbpipeline.exporters.rendering.names import identifiers, snake
from nbpipeline.exporters.rendering.source import made_by, yaml_text
from nbpipeline.location import STATE_FOLDER, is_url
from nbpipeline.model import Value
from nbpipeline.model.exported import ExportGiven, Loss, Setting, Task, Workflow

TITLE = "DVC 3"
FOLDER = "."
OPTIONS: Mapping[str, str] = {"params": "the file of parameters, in place of `params.yaml`"}
_INSIDE = "by `run-stage`, inside the stage's command"
KEEPS: Mapping[str, str] = {
    "order": "`deps` and `outs`; where only order is meant, a mark under `.nbpipeline/dvc/`",
    "parameters": "`params.yaml`; `dvc exp run -S train.C=0.5`",
    "matrix": "a stage an instance",
    "retries": _INSIDE,
    "backoff": _INSIDE,
    "timeout": _INSIDE,
    "cpus": "threads of the kernel, by `run-stage`; DVC runs one stage at a time",
    "memory": "DVC runs one stage at a time",
    "gpus": "DVC runs one stage at a time",
    "secrets": "from the environment of `dvc repro`",
    "env": "from the environment of `dvc repro`; a change there is seen by `run-stage`, when DVC calls it",
    "checks": _INSIDE,
    "tracking": _INSIDE,
    "executed": "`.nbpipeline/executed/TASK.ipynb`",
    "fresh": "DVC calls a stage when its files or parameters change; `run-stage` skips it if it is fresh",
    "files": "DVC's own remotes (`dvc push`, `dvc pull`), and `run-stage --fetch`",
}
_MARKS = f"{STATE_FOLDER}/dvc"


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Find files that several tasks write on in: each output of DVC has one maker."""
    del given
    users = tuple(task.id for task in workflow.tasks if task.updated)
    if users:
        yield Loss(
            feature="order",
            tasks=users,
            what="files that several stages update (`mode: update`): DVC knows one maker of a file, "
            "so they are not outputs there, and what reads them waits for a mark",
        )


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give `dvc.yaml` and the file of parameters."""
    place = _place(given)
    head = made_by("dvc", workflow.profile)
    names = identifiers((task.id for task in workflow.tasks), snake)
    stages = {names[task.id]: _stage(workflow, task, names, place) for task in workflow.tasks}
    files = {"dvc.yaml": head + yaml_text({"stages": stages})}
    if workflow.settings:
        files[place] = head + yaml_text(_nested(workflow.settings, _stages(workflow)))
    return files


def _place(given: ExportGiven) -> str:
    place = posixpath.normpath(given.options.get("params", "params.yaml"))
    if place in {"dvc.yaml", "."} or place.startswith(("/", "../")):
        raise UsageError.of(
            f"--set params={place}: that is no place for parameters.",
            mend="name a file in the project's folder",
        )
    return place


def _nested(settings: Iterable[Setting], stages: Collection[str]) -> dict[str, Any]:
    """Write `train.C` under `train`, as `dvc exp run -S` and `--params @FILE` name it."""
    found: dict[str, Any] = {}
    for one in settings:
        for keys in _keys(one, stages):
            inner = found
            for key in keys[:-1]:
                inner = inner.setdefault(key, {})
            inner[keys[-1]] = one.default
    return found


def _keys(setting: Setting, stages: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Give the keys of a setting; where it would be taken for a stage's it stands under each that has it."""
    if "." not in setting.name and (isinstance(setting.default, Mapping) or setting.name in stages):
        yield from ((stage, setting.name) for stage in setting.stages)
    else:
        yield tuple(setting.name.split("."))


def _stage(workflow: Workflow, task: Task, names: Mapping[str, str], place: str) -> dict[str, Any]:
    name = names[task.id]
    words = [*argv(workflow, task), *(["--params", f"@{place}"] if workflow.settings else [])]
    words += ["--executed", f"{STATE_FOLDER}/executed/{name}.ipynb"]
    marked = any(task.id in _waited(one, workflow) for one in workflow.tasks)
    outs = [_out(path, task) for path in task.outputs if not is_url(path) and path not in task.updated]
    if marked or not outs:
        words += ["--mark", f"{_MARKS}/{name}"]
        outs.append({f"{_MARKS}/{name}": {"cache": False, "persist": True}})
    stage: dict[str, Any] = {"cmd": _literal(shlex.join(words))}
    if task.description:
        stage["desc"] = _literal(task.description)
    deps = [task.notebook, *task.modules, *_files(task, workflow)]
    stage["deps"] = [_literal(one) for one in dict.fromkeys(deps)]
    stage["deps"] += [f"{_MARKS}/{names[one]}" for one in _waited(task, workflow)]
    if task.settings:
        stage["params"] = _params(workflow, task, place)
    stage["outs"] = outs
    if task.always:
        stage["always_changed"] = True
    return stage


def _files(task: Task, workflow: Workflow) -> Iterator[str]:
    """Name what it reads, without what several write on in."""
    updated = {path for one in workflow.tasks for path in one.updated}
    return (path for path in task.inputs if not is_url(path) and path not in updated)


def _waited(task: Task, workflow: Workflow) -> tuple[str, ...]:
    """Name the tasks that it waits for with no file of DVC between."""
    read = set(_files(task, workflow))
    outputs = {one.id: set(one.outputs) for one in workflow.tasks}
    return tuple(one for one in task.upstream if one in task.stale_with or not read & outputs[one])


def _out(path: str, task: Task) -> Value:
    # DVC removes outputs before a stage runs unless they persist; `run-stage` keeps the last good ones.
    settings: dict[str, Any] = {"persist": True}
    if path in task.unstored:
        settings["cache"] = False
    return {_literal(path): settings}


def _params(workflow: Workflow, task: Task, place: str) -> list[Value]:
    settings = {one.name: one for one in workflow.settings}
    keys = [
        ".".join(key)
        for name in task.settings
        for key in _keys(settings[name], _stages(workflow))
        if _is_of(key, task)
    ]
    return list(keys) if place == "params.yaml" else [{place: keys}]


def _is_of(key: tuple[str, ...], task: Task) -> bool:
    return len(key) == 1 or key[0] == task.stage


def _stages(workflow: Workflow) -> Collection[str]:
    return {task.stage for task in workflow.tasks}


def _literal(text: str) -> str:
    """Keep DVC from reading `${...}` as a template."""
    return text.replace("${", "\\${")
