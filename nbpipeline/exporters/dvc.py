"""DVC: a dvc.yaml with a stage a task, and a params.yaml.

Written after the documentation of DVC 3 ("dvc.yaml files"; templating, outputs, params).
"""

import posixpath
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from nbpipeline.errors import UsageError
from nbpipeline.exporters.rendering import places
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
    "fresh": "DVC calls a stage when its files or parameters change, each time where it reads a URL; "
    "`run-stage` skips it if it is fresh",
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


class _Plan(NamedTuple):
    """What is settled before stages are written, once for all of them."""

    workflow: Workflow
    names: Mapping[str, str]
    """Names in dvc.yaml by task."""
    place: str
    """The file of parameters, as seen from the project."""
    to_root: str
    settings: Mapping[str, Setting]
    stages: Collection[str]
    updated: Collection[str]
    """Files that several write on in."""
    waited: Mapping[str, tuple[str, ...]]
    """By task: the tasks that it waits for with no file of DVC between."""
    marked: Collection[str]
    """The tasks that one waits for so."""


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give `dvc.yaml` and the file of parameters."""
    place = _place(given)
    plan = _plan(workflow, posixpath.join(_folder(given), place), given.to_root)
    head = made_by("dvc", workflow.profile)
    stages = {plan.names[task.id]: _stage(task, plan) for task in workflow.tasks}
    files = {"dvc.yaml": head + yaml_text({"stages": stages})}
    if workflow.settings:
        files[place] = head + yaml_text(_nested(workflow.settings, plan.stages))
    return files


def _plan(workflow: Workflow, place: str, to_root: str) -> _Plan:
    updated = {path for one in workflow.tasks for path in one.updated}
    waited = _waited(workflow, updated)
    return _Plan(
        workflow=workflow,
        names=identifiers((task.id for task in workflow.tasks), snake),
        place=place,
        to_root=to_root,
        settings={one.name: one for one in workflow.settings},
        stages={task.stage for task in workflow.tasks},
        updated=updated,
        waited=waited,
        marked={one for found in waited.values() for one in found},
    )


def _folder(given: ExportGiven) -> str:
    """Give the export's folder as seen from the project; empty: the project itself.

    Raises UsageError for one beside the project: DVC would look for its files in another repository's.
    """
    if given.folder or given.to_root == ".":
        return given.folder
    steps = given.to_root.split("/")
    if ".." in steps or given.to_root.startswith("/"):
        raise UsageError.of(
            "The folder to export to is neither in the project nor above it.",
            mend="name one inside, -o deploy/dvc, or the repository's root",
        )
    return "/".join(".." for _ in steps)


def _place(given: ExportGiven) -> str:
    return places.named(
        "params",
        "params.yaml",
        given,
        what="parameters",
        mend="name a file in the project's folder",
        others=["dvc.yaml"],
    )


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


def _stage(task: Task, plan: _Plan) -> dict[str, Any]:
    workflow, name = plan.workflow, plan.names[task.id]
    words = [*argv(workflow, task), *(["--params", f"@{plan.place}"] if workflow.settings else [])]
    words += ["--executed", f"{STATE_FOLDER}/executed/{name}.ipynb"]
    outs = [_out(path, task) for path in task.outputs if not is_url(path) and path not in task.updated]
    if task.id in plan.marked or not outs:
        words += ["--mark", f"{_MARKS}/{name}"]
        outs.append({f"{_MARKS}/{name}": {"cache": False, "persist": True}})
    # All of a stage's paths are seen from its folder, the file of parameters, too.
    wdir = {"wdir": _literal(plan.to_root)} if plan.to_root != "." else {}
    stage: dict[str, Any] = {**wdir, "cmd": _literal(shlex.join(words))}
    if task.description:
        stage["desc"] = _literal(task.description)
    deps = [task.notebook, *task.modules, *_files(task, plan.updated)]
    stage["deps"] = [_literal(one) for one in dict.fromkeys(deps)]
    stage["deps"] += [f"{_MARKS}/{plan.names[one]}" for one in plan.waited[task.id]]
    if task.settings:
        stage["params"] = _params(task, plan)
    stage["outs"] = outs
    if task.always:
        stage["always_changed"] = True
    return stage


def _files(task: Task, updated: Collection[str]) -> Iterator[str]:
    """Name what it reads, without what several write on in."""
    return (path for path in task.inputs if not is_url(path) and path not in updated)


def _waited(workflow: Workflow, updated: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    outputs = {one.id: frozenset(one.outputs) for one in workflow.tasks}
    found: dict[str, tuple[str, ...]] = {}
    for task in workflow.tasks:
        read = frozenset(_files(task, updated))
        found[task.id] = tuple(
            one for one in task.upstream if one in task.stale_with or read.isdisjoint(outputs[one])
        )
    return found


def _out(path: str, task: Task) -> Value:
    # DVC removes outputs before a stage runs unless they persist; `run-stage` keeps the last good ones.
    settings: dict[str, Any] = {"persist": True}
    if path in task.unstored or path.startswith(("/", "../")):  # its cache takes none from outside
        settings["cache"] = False
    return {_literal(path): settings}


def _params(task: Task, plan: _Plan) -> list[Value]:
    keys = [
        ".".join(key)
        for name in task.settings
        for key in _keys(plan.settings[name], plan.stages)
        if _is_of(key, task)
    ]
    return list(keys) if plan.place == "params.yaml" else [{_literal(plan.place): keys}]


def _is_of(key: tuple[str, ...], task: Task) -> bool:
    return len(key) == 1 or key[0] == task.stage


def _literal(text: str) -> str:
    """Keep DVC from reading `${...}` as a template."""
    return text.replace("${", "\\${")
