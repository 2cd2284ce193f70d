"""Parameters of SageMaker Pipelines: their types, and how values travel to a step: as environment variables.

There they are texts that nothing reads but the step's own program. A definition's `Std:Join` could put them
into an argument, too, but would quote none of them.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from nbpipeline.exporters.rendering.names import identifiers, snake
from nbpipeline.exporters.rendering.parameters import Given
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


def parameters(workflow: Workflow) -> Mapping[str, Given]:
    """Give what may be set when the pipeline is started, by the settings' own names."""
    names = _names(workflow)
    return {one.name: Given(one, names[one.name], *_type(one)) for one in _kept(workflow)}


def variables(workflow: Workflow) -> dict[str, str]:
    """Give the variables that count by their names as parameters; `null` stands for one that is not set."""
    names = _names(workflow)
    return {names[_key(one)]: one for one in workflow.env}


def _names(workflow: Workflow) -> Mapping[str, str]:
    known = [*(one.name for one in _kept(workflow)), *map(_key, workflow.env)]
    return identifiers(known, snake, taken=[ROLE, IMAGE, OUTPUTS])


def _key(variable: str) -> str:
    return f"env {variable}"  # no setting's name has a space


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


def definitions(workflow: Workflow) -> list[dict[str, Any]]:
    """Write the parameters of the pipeline."""
    unset = [{"Name": one, "Type": "String", "DefaultValue": "null"} for one in variables(workflow)]
    return [*map(_definition, parameters(workflow).values()), *unset]


def _definition(one: Given) -> dict[str, Any]:
    default: Any = one.setting.default
    if one.type == "String":
        default = _written(one.setting, default)
    choices = [_written(one.setting, each) for each in one.setting.choices]
    return {
        "Name": one.name,
        "Type": one.type,
        "DefaultValue": float(default) if one.type == "Float" else default,
        **({"EnumValues": choices} if default in choices else {}),
    }


def environment(workflow: Workflow) -> dict[str, Any]:
    """Write a job's environment, whose values have to be texts: all but texts are made ones by a join."""
    kinds = {one.name: one.type for one in parameters(workflow).values()}
    kinds |= dict.fromkeys(variables(workflow), "String")
    return {
        f"{PREFIX}{name}": reference(name)
        if kind == "String"
        else {"Std:Join": {"On": "", "Values": [reference(name)]}}
        for name, kind in kinds.items()
    }


def reference(name: str) -> dict[str, str]:
    """Refer to a parameter's value."""
    return {"Get": f"Parameters.{name}"}


def _kept(workflow: Workflow) -> list[Setting]:
    fitting = [one for one in workflow.settings if len(_written(one, one.default)) <= LONGEST]
    return fitting[: max(0, _MOST - len(workflow.env))]


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
            return "String", "str" if _is_text(setting) else "JSON"


def _is_text(setting: Setting) -> bool:
    """Whether the value is the text itself. SageMaker takes no empty one; no environment holds a NUL."""
    default = setting.default
    return setting.types == ("str",) and isinstance(default, str) and default != "" and "\0" not in default


def _written(setting: Setting, value: Any) -> str:
    if isinstance(value, str) and _is_text(setting):
        return value
    return json.dumps(value, ensure_ascii=False)
