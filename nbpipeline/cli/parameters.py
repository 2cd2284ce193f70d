"""`--params`: parameters as JSON, or from a file, beside `-p`."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from nbpipeline.errors import UsageError
from nbpipeline.reading import yaml12

Function = TypeVar("Function", bound=Callable[..., Any])

_MEND = """write --params '{"train.C": 0.5}', or --params @FILE"""


def params_option(function: Function) -> Function:
    """`--params JSON|@FILE`."""
    return click.option(
        "--params",
        "objects",
        multiple=True,
        metavar="JSON|@FILE",
        help="Parameters as a JSON object {NAME: VALUE}, or a YAML or JSON file, where {train: {C: 0.5}} "
        "means train.C; a later one counts more.",
    )(function)


def joined(texts: tuple[str, ...], objects: tuple[str, ...]) -> Any:
    """Join `-p` and `--params`; what stands in JSON has its type already. Raises UsageError."""
    if not objects:
        return texts
    if texts:
        raise UsageError.of("-p and --params are given.", mend="say all of it in one of them")
    found: dict[str, Any] = {}
    for one in objects:
        found.update(_flat(_of_file(one[1:])) if one.startswith("@") else _of_json(one))
    return found


def _of_json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError.of(f"--params is no JSON: {error}.", mend=_MEND) from error
    return _mapping(found, "--params is no JSON object.")


def _of_file(path: str) -> Mapping[str, Any]:
    try:
        found = yaml12.load(Path(path).read_text(encoding="utf-8")).value
    except OSError as error:
        raise UsageError.of(f"--params: {path}: {error.strerror or error}.", mend=_MEND) from error
    except (ValueError, RecursionError) as error:
        raise UsageError.of(f"--params: {path} is no YAML: {error}.", mend=_MEND) from error
    return _mapping(found, f"--params: {path} is no mapping of names to values.")


def _mapping(found: Any, otherwise: str) -> Mapping[str, Any]:
    """Take a mapping, or nothing; refuse the rest."""
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UsageError.of(otherwise, mend=_MEND)
    return {str(name): value for name, value in found.items()}


def _flat(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write what stands under a stage's name as `STAGE.NAME`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found.update({f"{name}.{inner}": one for inner, one in value.items()})
        else:
            found[name] = value
    return found
