"""GNU Make: a Makefile with a target a task."""

import json
import shlex

from nbpipeline.exporters.rendering.command import argv
from nbpipeline.exporters.rendering.names import identifiers, snake
from nbpipeline.exporters.rendering.source import lines, made_by
from nbpipeline.model.exported import Loss

TITLE = "GNU Make 4"
FOLDER = "deploy/make"
OPTIONS = {"shell": "the shell that runs the commands, in place of `/bin/sh`"}
INSIDE = "by `run-stage`"
KEEPS = {
    "order": "prerequisites; `make -j` runs side by side what may be",
    "parameters": "`params.json`; `make PARAMS=FILE` takes another",
    "matrix": "a target an instance",
    **dict.fromkeys(("retries", "backoff", "timeout", "checks", "tracking", "fresh", "files"), INSIDE),
    **dict.fromkeys(("secrets", "env"), "from the environment of `make`"),
    "executed": "`.nbpipeline/executed/TASK.ipynb`",
}


def losses(workflow, given):
    """Find tasks that no Makefile can call: a recipe's line ends where its text has a line break."""
    broken = tuple(task.id for task in workflow.tasks if len(task.id.splitlines()) > 1)
    if broken:
        yield Loss(feature="matrix", tasks=broken, what="a line break in a name")


def render(workflow, given):
    """Give the Makefile, and the parameters' defaults."""
    names = identifiers((task.id for task in workflow.tasks), snake, taken=["all"])
    every = " ".join(names.values())
    parts = [
        made_by("makefile", workflow.profile).rstrip("\n"),
        f"SHELL := {given.options.get('shell', '/bin/sh')}",
        "PARAMS ?= $(CURDIR)/params.json",
        f"all: {every}",
        f".PHONY: all {every}",
    ]
    for task in workflow.tasks:
        name = names[task.id]
        words = [*argv(workflow, task), "--executed", f".nbpipeline/executed/{name}.ipynb"]
        command = f"cd {shlex.quote(given.to_root)} && {shlex.join(words)}"
        parts += [
            "",
            f"{name}: {' '.join(names[one] for one in task.upstream)}".rstrip(),
            f'\t{command.replace("$", "$$")} --params @"$(PARAMS)"',
        ]
    defaults = {one.name: one.default for one in workflow.settings}
    return {"Makefile": lines(parts), "params.json": json.dumps(defaults, indent=1) + "\n"}
