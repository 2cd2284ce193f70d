"""Components of Azure Machine Learning: one a stage, the inputs that they take, the program that they run."""

import json
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from nbpipeline.exporters.rendering import cluster
from nbpipeline.exporters.rendering import program as pieces
from nbpipeline.exporters.rendering.names import identifiers, snake
from nbpipeline.exporters.rendering.parameters import Given, about, is_beyond, masked_json
from nbpipeline.exporters.rendering.source import made_by, python
from nbpipeline.model import Value
from nbpipeline.model.exported import ExportGiven, Setting, Task, Workflow

OPENED = "${{"
"""What begins an expression: Azure would put something else there."""
INSTANCE = "instance"
"""The input of each component that says which instance to run."""
RESULTS = "results"
"""The output of each component, a folder: the executed notebook, and what became of the task as JSON."""
_SCHEMA = "https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json"
_TYPES: Mapping[tuple[str, ...], tuple[str, str]] = {
    ("bool",): ("boolean", "bool"),
    ("int",): ("integer", "int"),
    ("float",): ("number", "float"),
    ("int", "float"): ("number", "number"),
    ("str",): ("string", "str"),
}
"""What a value may be -> Azure's type, and what the program has to make of its text."""
_AS_JSON = ("string", "JSON")
_PROGRAM = '''"""What a job's container runs: `nbpipeline run-stage`, with the inputs that Azure gives to it.

Azure puts the value of an input that a command names into it as text, which a shell then reads as code. So
the command names none: values come from the environment, where Azure leaves each as AZUREML_PARAMETER_NAME,
and go to `run-stage` as JSON. Exit codes are those of `nbpipeline run-stage`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = {command}
PARAMETERS = {parameters}
"""Name in Azure -> the pipeline's name, and its type; JSON: a text that holds it."""
PROJECT = Path(__file__).resolve().parent / {to_root}


def main() -> int:
    results = Path(sys.argv[1]).resolve()
    words = [*COMMAND, as_text(given("{instance}")), "--params", json.dumps(settings())]
    os.chdir(PROJECT)
    with tempfile.TemporaryDirectory() as folder:  # the output is a mounted one, which may know no renaming
        left = {{"executed": Path(folder, "executed.ipynb"), "result": Path(folder, "result.json")}}
        code = run([*words, *(word for name, path in left.items() for word in (f"--{{name}}", str(path)))])
        results.mkdir(parents=True, exist_ok=True)
        for path in left.values():
            if path.exists():
                shutil.copyfile(path, results / path.name)
    return code


{run}

def settings():
    """Give the values by the pipeline's names."""
    return {{setting: typed(name, kind) for name, (setting, kind) in PARAMETERS.items()}}


def typed(name, kind):
    """Make a value of the text that Azure made of it."""
    text = given(name)
    try:
        if kind == "str":
            return text
        return float(text) if kind == "float" else json.loads(text.lower() if kind == "bool" else text)
    except ValueError:
        refuse(f"input {{name}} is {{text!r}}, which is no {{kind}}", "give it another value")


def given(name):
    """Give the text of an input."""
    variable = f"AZUREML_PARAMETER_{{name}}"
    if variable not in os.environ:  # as of a text that was set to be empty, which Azure drops
        refuse(f"Azure gave no value for input {{name}} ({{variable}} is not set)", "give it one")
    return os.environ[variable]


def refuse(what, mend):
    print(f"component.py: {{what}}.\\n  mend: {{mend}}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
'''


class Component(NamedTuple):
    """What the jobs of a stage use; of a part of them, where they wait for different numbers of others."""

    name: str
    task: Task
    """One of those that use it."""

    @property
    def path(self) -> str:
        """Where it stands in the export's folder."""
        return f"components/{self.name}.yml"


def node_name(text: str) -> str:
    """Make a name of small letters, digits and `_`: Azure's are the same in whatever case."""
    return snake(text.lower())


def components(workflow: Workflow) -> Mapping[str, Component]:
    """Give each task's component, by the tasks' ids."""
    counts: dict[str, set[int]] = {}
    for task in workflow.tasks:
        counts.setdefault(task.stage, set()).add(len(task.upstream))
    keys = {
        task.id: task.stage
        if len(counts[task.stage]) == 1
        else f"{task.stage} after {len(task.upstream)}"  # an input that may be missing would order nothing
        for task in workflow.tasks
    }
    names = identifiers(dict.fromkeys(keys.values()), node_name)
    first = {keys[task.id]: task for task in reversed(workflow.tasks)}
    return {task.id: Component(names[keys[task.id]], first[keys[task.id]]) for task in workflow.tasks}


def before(task: Task) -> list[str]:
    """Name the inputs that make a task wait for others."""
    return [f"after_{number}" for number in range(1, len(task.upstream) + 1)]


def shown(text: str) -> str:
    """Write a text that is only read, so that Azure sees no expression in it."""
    return text.replace(OPENED, "$ {{")


# --- parameters ------------------------------------------------------------------------------


def parameters(workflow: Workflow) -> Mapping[str, Given]:
    """Give what may be set, by the settings' own names."""
    most = max((before(task) for task in workflow.tasks), key=len, default=[])
    names = identifiers((one.name for one in workflow.settings), node_name, taken=[INSTANCE, RESULTS, *most])
    return {
        one.name: Given(one, names[one.name], *(_AS_JSON if _as_json(one) else _TYPES[one.types]))
        for one in workflow.settings
    }


def value(one: Given) -> Value:
    """Give the value that the pipeline's input has unless it is set."""
    default = one.setting.default
    return masked_json(default) if one.kind == "JSON" else default


def _as_json(setting: Setting) -> bool:
    """Whether none of Azure's types holds all that it may be, or its default."""
    default = setting.default
    return (
        setting.types not in _TYPES
        or default is None
        or default == ""  # Azure's clients drop an empty text, but not what refers to it
        or is_beyond(default)
        or OPENED in json.dumps(default, ensure_ascii=False)
    )


def _definition(one: Given) -> dict[str, Any]:
    setting = one.setting
    number = one.type in {"integer", "number"}
    return {
        "type": one.type,
        **({"description": shown(text)} if (text := about(one)) else {}),
        **({"min": setting.min} if number and setting.min is not None else {}),
        **({"max": setting.max} if number and setting.max is not None else {}),
        **({"enum": list(setting.choices)} if setting.choices and one.kind == "str" else {}),
    }


# --- files -----------------------------------------------------------------------------------


def definition(
    component: Component, workflow: Workflow, given: ExportGiven, environment: Any
) -> dict[str, Any]:
    """Give a component. It takes all parameters: which result of another task is fetched hangs on them."""
    task = component.task
    inputs = {
        INSTANCE: {"type": "string", "description": "what to run"},
        **{name: {"type": "uri_folder", "description": "waits for who makes it"} for name in before(task)},
        **{one.name: _definition(one) for one in parameters(workflow).values()},
    }
    program = shlex.quote(f"{cluster.PROJECT}/{cluster.inside(given)}component.py")
    return {
        "$schema": _SCHEMA,
        "type": "command",
        "name": f"{node_name(workflow.name)[:100]}_{component.name}",
        "display_name": task.stage,
        **({"description": shown(task.description)} if task.description else {}),
        "is_deterministic": False,
        "inputs": inputs,
        "outputs": {RESULTS: {"type": "uri_folder"}},
        "environment": environment,
        "command": f'exec python3 {program} "${{{{outputs.{RESULTS}}}}}"',
    }


def program(workflow: Workflow, given: ExportGiven) -> str:
    """Give `component.py`."""
    known = parameters(workflow)
    body = _PROGRAM.format(
        command=pieces.command(workflow),
        parameters=pieces.table(known),
        to_root=python(given.to_root),
        instance=INSTANCE,
        run=pieces.RUN_NAMED,
    )
    return made_by("azureml", workflow.profile) + body
