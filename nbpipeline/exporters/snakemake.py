"""Snakemake: a Snakefile with a rule a task, and a config file for the parameters.

Written after the documentation of Snakemake 8 and 9 ("Snakefiles and Rules", "Configuration").
"""

import math
from collections.abc import Iterable, Mapping

from nbpipeline.exporters.rendering.command import argv
from nbpipeline.exporters.rendering.names import identifiers, snake
from nbpipeline.exporters.rendering.source import comment, lines, made_by, python, text, yaml_text
from nbpipeline.location import STATE_FOLDER, is_url
from nbpipeline.model.exported import ExportGiven, Loss, Task, Workflow

TITLE = "Snakemake 8 or 9"
FOLDER = "deploy/snakemake"
OPTIONS: Mapping[str, str] = {}
_INSIDE = "by `run-stage`, inside the rule's command"
KEEPS: Mapping[str, str] = {
    "order": "rules wait for the marks of the tasks before them",
    "parameters": "config.yaml; a further `--configfile` sets others",
    "matrix": "a rule an instance",
    "retries": _INSIDE,
    "backoff": _INSIDE,
    "timeout": _INSIDE,
    "cpus": "`threads`, rounded up",
    "memory": "`resources: mem_mb`",
    "gpus": "`resources: gpus`",
    "secrets": "from the environment of `snakemake`; `envvars` refuses to start without them",
    "env": "from the environment of `snakemake`",
    "checks": _INSIDE,
    "tracking": _INSIDE,
    "executed": "`.nbpipeline/executed/TASK.ipynb`",
    "fresh": "`run-stage` skips what is fresh; rules run as inputs change, each time where one is a URL",
    "files": "`run-stage --fetch` brings inputs from the store",
}
_RESERVED = frozenset({"all"})


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Find nothing: what it cannot say, `run-stage` does."""
    del workflow, given
    return ()


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give `Snakefile` and `config.yaml`."""
    return {"Snakefile": _snakefile(workflow, given), "config.yaml": _config(workflow)}


def _config(workflow: Workflow) -> str:
    head = made_by("snakemake", workflow.profile)
    return head + yaml_text({"params": {one.name: one.default for one in workflow.settings}})


def _snakefile(workflow: Workflow, given: ExportGiven) -> str:
    names = identifiers((task.id for task in workflow.tasks), snake, taken=_RESERVED)
    secrets = [*workflow.secrets]
    parts = [
        made_by("snakemake", workflow.profile).rstrip("\n"),
        "# Run it from here: snakemake --cores 2",
        "import json",
        "import os",
        *(["import time"] if any(task.always for task in workflow.tasks) else []),
        "",
        'configfile: os.path.join(workflow.basedir, "config.yaml")',
        "",
        f"PROJECT = os.path.normpath(os.path.join(workflow.basedir, {text(given.to_root)}))",
        'PARAMS = json.dumps(config["params"])',
        f'DONE = os.path.join(PROJECT, {text(STATE_FOLDER)}, "snakemake")',
        "",
        "workdir: PROJECT",
        "",
        *(["envvars:", *(f"    {text(one)}," for one in secrets), ""] if secrets else []),
        "rule all:",
        "    input:",
        *(f"        os.path.join(DONE, {text(names[task.id])})," for task in workflow.tasks),
    ]
    for task in workflow.tasks:
        parts += ["", *_rule(workflow, task, names)]
    return lines(parts)


def _rule(workflow: Workflow, task: Task, names: Mapping[str, str]) -> list[str]:
    name = names[task.id]
    makers = {path for one in workflow.tasks for path in one.outputs}
    raw = [one for one in task.inputs if one not in makers and not is_url(one)]
    watched = [task.notebook, *task.modules, *raw]
    memory = task.resources.memory
    words = [*argv(workflow, task), "--executed", f"{STATE_FOLDER}/executed/{name}.ipynb"]
    # A function's result is data; in a bare text braces would be wildcards.
    return [
        f"rule {name}:",
        *([comment(task.description, "    # ").rstrip("\n")] if task.description else []),
        "    input:",
        *(f"        os.path.join(DONE, {text(names[one])})," for one in task.upstream),
        f"        lambda wildcards: {python(watched, 8)},",
        "    output:",
        f"        touch(os.path.join(DONE, {text(name)})),",
        "    params:",
        f"        command=lambda wildcards: {python(words, 8)},",
        "        values=lambda wildcards: PARAMS,",
        *(
            ["        asked=lambda wildcards: time.time(),  # a value of its own: it is called every time"]
            if task.always
            else []
        ),
        f"    threads: {max(1, math.ceil(task.resources.cpus))}",
        *(["    resources:"] if memory or task.resources.gpus else []),
        *([f"        mem_mb={math.ceil(memory / 1_000_000)},"] if memory else []),
        *([f"        gpus={task.resources.gpus},"] if task.resources.gpus else []),
        "    shell:",
        '        "{params.command:q} --params {params.values:q}"',
    ]
