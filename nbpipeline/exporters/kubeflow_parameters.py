"""Parameters of Kubeflow Pipelines: their types, and what a task's program has to make of their values."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from nbpipeline.exporters.rendering.names import identifiers, snake
from nbpipeline.exporters.rendering.parameters import Given, about, is_beyond, masked_json
from nbpipeline.model import Value
from nbpipeline.model.exported import Setting, Workflow

INSTANCE = "instance"
"""The parameter of each component that says which instance to run."""
OPENED = "{{$"
"""What begins a placeholder: Kubeflow would put something else there, in whatever text."""
_TYPES: Mapping[tuple[str, ...], tuple[str, str]] = {
    ("bool",): ("BOOLEAN", "bool"),
    ("int",): ("NUMBER_INTEGER", "int"),
    ("float",): ("NUMBER_DOUBLE", "float"),
    ("int", "float"): ("NUMBER_DOUBLE", "number"),
    ("str",): ("STRING", "str"),
    ("list",): ("LIST", "list"),
    ("dict",): ("STRUCT", "dict"),
}
"""What a value may be -> Kubeflow's type, and what the program has to make of it."""
_AS_JSON = ("STRING", "JSON")


def given(workflow: Workflow) -> Mapping[str, Given]:
    """Give what may be set, by the settings' own names."""
    names = identifiers((one.name for one in workflow.settings), snake, taken=[INSTANCE])
    return {
        one.name: Given(one, names[one.name], *(_AS_JSON if _as_json(one) else _TYPES[_types(one)]))
        for one in workflow.settings
    }


def definition(one: Given) -> dict[str, Any]:
    """Write a parameter of the pipeline."""
    default = one.setting.default
    if one.kind == "JSON":
        default = masked_json(default)
    return {
        "parameterType": one.type,
        **({"defaultValue": default} if default is not None else {}),
        "isOptional": True,
        **({"description": text} if (text := about(one)) else {}),
    }


def has_placeholder(value: Value) -> bool:
    """Say whether Kubeflow would take a part of it for a placeholder."""
    return OPENED in json.dumps(value)


def _types(setting: Setting) -> tuple[str, ...]:
    return tuple(one for one in setting.types if one != "None")


def _as_json(setting: Setting) -> bool:
    """Whether none of Kubeflow's types holds all that it may be, or its default."""
    if _types(setting) not in _TYPES or has_placeholder(setting.default):
        return True
    default = setting.default
    return (
        any(_suffers(one) for one in _inside(default))
        if isinstance(default, list | dict)
        else is_beyond(default)
    )


def _suffers(value: Value) -> bool:
    """Whether a number within a list would come back as another one: 1.0 as 1."""
    return is_beyond(value) or (isinstance(value, float) and value.is_integer())


def _inside(value: Value) -> Iterator[Value]:
    if isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _inside(one)
    else:
        yield value
