"""Parameters of SageMaker Pipelines: their types, and how values travel to a step: as environment variables.

There they are texts that nothing reads but the step's own program. A definition's `Std:Join` could put them
into an argument, too, but would quote none of them.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from nbpipeline.exporters.rendering.names import identifiers, snake
from nbpipeline.model.exported import Loss, Setting, Workflow

ROLE, IMAGE, OUTPUTS = "Role", "Image", "Outputs"
"""Parameters of the deployment, which `submit.py` fills in."""
PREFIX = "NBPIPELINE_PARAMETER_"
"""How the names of the environment variables begin."""
LONGEST = 256
"""Characters of an environment variable's value in CreateProcessingJob."""
_MOST = 100
"""Environment variables of a job."""
_GREATEST = 2**31 - 1
"""Nothing says how long SageMaker's integers are: greater ones travel as texts."""


class Given(NamedTuple):
    """A parameter as SageMaker knows it."""

    name: str
    source: str
    """The setting's name, or the variable's."""
    type: str
    kind: str
    """Of `bool int float number text`; `JSON`: a text that holds it; `env`: a variable, `null` if not set."""
    default: str | float
    choices: tuple[str, ...] = ()


def given(workflow: Workflow) -> tuple[Given, ...]:
    """Give what may be set when the pipeline is started: its parameters, and variables that count."""
    settings = {one.name: one for one in _kept(workflow)}
    variables = {f"env {one}": one for one in workflow.env}  # no setting's name has a space
    names = identifiers([*settings, *variables], snake, taken=[ROLE, IMAGE, OUTPUTS])
    return (
        *(_setting(one, names[key]) for key, one in settings.items()),
        *(Given(names[key], one, "String", "env", "null") for key, one in variables.items()),
    )


def losses(workflow: Workflow) -> Iterator[Loss]:
    """Find the parameters that cannot be set when the pipeline is started."""
    kept = {one.name for one in _kept(workflow)}
    for setting in workflow.settings:
        if setting.name not in kept:
            yield Loss(
                feature="parameters",
                tasks=(),
                what=f"parameter {setting.name}: a step takes {_MOST} values of {LONGEST} characters; "
                "this one keeps the notebook's",
            )


def definition(one: Given) -> dict[str, Any]:
    """Write a parameter of the pipeline."""
    return {
        "Name": one.name,
        "Type": one.type,
        "DefaultValue": one.default,
        **({"EnumValues": list(one.choices)} if one.default in one.choices else {}),
    }


def environment(all_given: tuple[Given, ...]) -> dict[str, Any]:
    """Write a job's environment, whose values have to be texts: all but texts are made ones by a join."""
    return {
        f"{PREFIX}{one.name}": reference(one.name)
        if one.type == "String"
        else {"Std:Join": {"On": "", "Values": [reference(one.name)]}}
        for one in all_given
    }


def reference(name: str) -> dict[str, str]:
    """Refer to a parameter's value."""
    return {"Get": f"Parameters.{name}"}


def _kept(workflow: Workflow) -> list[Setting]:
    fitting = [one for one in workflow.settings if len(_written(one, one.default)) <= LONGEST]
    return fitting[: max(0, _MOST - len(workflow.env))]


def _setting(setting: Setting, name: str) -> Given:
    type_, kind = _type(setting)
    default = setting.default
    if type_ != "String" and isinstance(default, int | float):
        return Given(name, setting.name, type_, kind, float(default) if type_ == "Float" else default)
    choices = tuple(_written(setting, one) for one in setting.choices)
    return Given(name, setting.name, type_, kind, _written(setting, default), choices)


def _type(setting: Setting) -> tuple[str, str]:
    """Find SageMaker's type that holds all that a value may be, and what becomes of it."""
    default = setting.default
    short = type(default) is int and abs(default) <= _GREATEST
    match setting.types:
        case ("bool",) if isinstance(default, bool):
            return "Boolean", "bool"
        case ("int",) if short:
            return "Integer", "int"
        case ("float",) if isinstance(default, float) and math.isfinite(default):
            return "Float", "float"
        case ("float",) if short:
            return "Float", "number"  # it comes back as the notebook has it: 1, not 1.0
        case _:
            return "String", "text" if _is_text(setting) else "JSON"


def _is_text(setting: Setting) -> bool:
    """Whether the value is the text itself. SageMaker takes no empty one; no environment holds a NUL."""
    default = setting.default
    return setting.types == ("str",) and isinstance(default, str) and default != "" and "\0" not in default


def _written(setting: Setting, value: Any) -> str:
    if isinstance(value, str) and _is_text(setting):
        return value
    return json.dumps(value, ensure_ascii=False)
