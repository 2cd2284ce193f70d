"""The types of a StageSpec as JSON and back, exactly: tuples stay tuples, and 1 is not 1.0.

What is written here is for this very nbpipeline alone to read, so unlike `encoding` it has no version. It
is JSON: reading a damaged or a strange text back makes a ValueError, and never anything but these types.
"""

import json
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

from nbpipeline.errors import Complaint, ExitCode
from nbpipeline.location import Location
from nbpipeline.model import (
    Artifact,
    Check,
    Expression,
    Parameter,
    PathValue,
    Reference,
    Resources,
    StageLink,
    StageSpec,
    TestCase,
)

_TYPES: dict[str, type[Any]] = {
    one.__name__: one
    for one in (
        Artifact,
        Check,
        Complaint,
        Parameter,
        PathValue,
        Reference,
        Resources,
        StageLink,
        TestCase,
    )
}
_TYPE, _TUPLE, _PAIRS, _CODE, _EXPRESSION, _PLACE = "@", "(", ":", "!", "=", "#"
_IN_CELL, _SAME = "cell_value", "value"
"""Of an artifact that its cell alone declares, both are one expression."""
_MARKS = frozenset({_TYPE, _TUPLE, _PAIRS, _CODE, _EXPRESSION, _PLACE})
_PLAIN = frozenset({str, int, float, bool, type(None)})


class SpellingError(ValueError):
    """There is no writing down a value, or no making sense of a text."""


def spelled(value: Any) -> str:
    """Write a value down. Raises SpellingError for one that these types do not make up."""
    try:
        return json.dumps(_spelled(value), separators=(",", ":"))
    except RecursionError as error:
        raise SpellingError("it is nested too deeply") from error


def spoken(text: str) -> Any:
    """Read the value back. Raises SpellingError."""
    try:
        return _DECODER.decode(text)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SpellingError(str(error)) from error


def fields_of(value: Any) -> dict[str, Any]:
    """Give the fields of a dataclass that are not at their default; equal values of other types are not."""
    found = {}
    for name, default in _defaults(type(value)):
        held = getattr(value, name)
        if type(held) is not type(default) or held != default:
            found[name] = held
    return found


def _spelled(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [_spelled(one) for one in value]
    if kind is tuple:
        return {_TUPLE: [_spelled(one) for one in value]}
    if kind is dict:
        return _mapping(value)
    if kind in _SHORT:
        return _SHORT[kind](value)
    if _TYPES.get(kind.__name__) is kind:
        return {_TYPE: kind.__name__, **{name: _spelled(one) for name, one in _parts(value).items()}}
    raise SpellingError(f"{kind.__name__} has no spelling")


def _parts(value: Any) -> dict[str, Any]:
    found = fields_of(value)
    if type(value) is Artifact and value.cell_value is not None and value.cell_value is value.value:
        found[_IN_CELL] = _SAME
    return found


_SHORT: dict[type, Callable[[Any], Any]] = {
    ExitCode: lambda one: {_CODE: int(one)},
    Expression: lambda one: {_EXPRESSION: [one.kind, one.line, *map(_spelled, one.args)]},
    Location: lambda one: {_PLACE: [one.path, one.cell, one.line]},
}
"""The spelling of what stands most often, which is the quickest to read."""


def _mapping(value: dict[Any, Any]) -> Any:
    if all(type(key) is str for key in value) and _MARKS.isdisjoint(value):
        return {key: _spelled(one) for key, one in value.items()}
    return {_PAIRS: [[_spelled(key), _spelled(one)] for key, one in value.items()]}


def _made(found: dict[str, Any]) -> Any:
    """Make what a JSON object stands for; its parts are made already."""
    kind = found.pop(_TYPE, None)
    if kind is not None:
        if found.get(_IN_CELL) == _SAME:
            found[_IN_CELL] = found["value"]
        return _TYPES[kind](**found)
    if len(found) != 1:
        return found
    ((mark, held),) = found.items()
    if mark == _EXPRESSION:
        kind, line, *args = held
        return Expression(kind, tuple(args), line)
    if mark == _PLACE:
        return Location(path=held[0], cell=held[1], line=held[2])
    if mark == _TUPLE:
        return tuple(held)
    return _rarer(mark, held, found)


def _rarer(mark: str, held: Any, found: dict[str, Any]) -> Any:
    if mark == _PAIRS:
        return dict(held)
    return ExitCode(held) if mark == _CODE else found


_DECODER = json.JSONDecoder(object_hook=_made)

_KNOWN: dict[type, tuple[tuple[str, Any], ...]] = {}


def _defaults(kind: type) -> tuple[tuple[str, Any], ...]:
    if kind not in _KNOWN:
        _KNOWN[kind] = tuple(
            (one.name, one.default_factory() if one.default_factory is not MISSING else one.default)
            for one in fields(kind)
        )
    return _KNOWN[kind]


def stage_fields(spec: StageSpec) -> dict[str, Any]:
    """Give the fields of a stage that do not go without saying, but for its notebook."""
    return {name: one for name, one in fields_of(spec).items() if name != "notebook"}
