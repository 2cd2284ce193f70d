"""Expectations as they are written: `exists`, `{between: {...}}`, Great Expectations' own form."""

from collections.abc import Mapping
from typing import Any, Final

from nbpipeline.model import Check, Value
from nbpipeline.reading.place import Place, mend_by_name
from nbpipeline.reading.shapes import shown

BESIDE: Final = ("mostly", "severity", "table")
"""What may stand beside a check's name."""
INSIDE: Final = ("mostly", "severity")
"""What may as well stand among its arguments."""
COLUMNS_ALONE: Final = "types"
"""The check whose arguments are columns, so that none of them is `mostly` or `severity`."""
SEVERITIES: Final[Mapping[str, str]] = {
    "fail": "fail",
    "warn": "warn",
    "critical": "fail",
    "warning": "warn",
    "info": "warn",
}
"""Ours, and Great Expectations' words for them."""
_NAMED_BY: Final = ("type", "expectation_type")
_UNREAD: Final = frozenset({"id", "meta", "notes", "description", "rendered_content", "windows"})
"""What Great Expectations writes beside an expectation and nothing depends on."""


class _Checks:
    """The expectations on one artifact: `exists`, or `{between: {...}}`, in a list or alone."""

    def read(self, value: Value, place: Place) -> Value:
        """Give a `Check` for each that is one."""
        items = value if isinstance(value, list) else [value]
        at = [place.child(number) for number in range(len(items))] if isinstance(value, list) else [place]
        read = [_check(item, one) for item, one in zip(items, at, strict=True)]
        return tuple(item for item in read if item is not None)

    def schema(self) -> dict[str, Any]:
        """Describe a check by its form; its arguments are the validator's."""
        beside = {
            "mostly": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            "severity": {"enum": list(SEVERITIES)},
            "table": {"type": "string"},
        }
        one = {"anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "properties": beside}]}
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one}]}


CHECKS: Final = _Checks()


def _check(value: Value, place: Place) -> Check | None:
    if isinstance(value, str) and value:
        return Check(name=value, arguments=None, where=place.where)
    parts = _parts(value) if isinstance(value, dict) else None
    if parts is None:
        place.complain(
            f"{place.key} is {shown(value)}; a check is one name with its arguments.",
            mend="write each check as its own item: `- not_null: column`.",
        )
        return None
    name, arguments, beside = parts
    if isinstance(arguments, dict) and name != COLUMNS_ALONE:
        beside = {**beside, **{key: arguments[key] for key in INSIDE if key in arguments}}
        arguments = {key: one for key, one in arguments.items() if key not in INSIDE}
    before = len(place.findings)
    found = Check(
        name=name,
        arguments=arguments,
        where=place.where,
        mostly=_mostly(beside.get("mostly"), place),
        severity=severity(beside.get("severity"), place),
        table=table(beside.get("table"), place),
    )
    return found if len(place.findings) == before else None


def _parts(value: dict[Any, Value]) -> tuple[str, Value, dict[str, Value]] | None:
    """Take a check's item apart: its name, its arguments, what stands beside; None where it is none."""
    beside = {key: value[key] for key in BESIDE if key in value}
    rest = {key: one for key, one in value.items() if key not in beside}
    named = next((rest[key] for key in _NAMED_BY if key in rest), None)
    if isinstance(named, str) and rest.keys() - {*_NAMED_BY, "kwargs"} <= _UNREAD:
        return named, rest.get("kwargs") or {}, beside
    if len(rest) != 1 or not isinstance(next(iter(rest)), str):
        return None
    return (*next(iter(rest.items())), beside)


def _mostly(value: Value, place: Place) -> float | None:
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1:
        return None if value == 1 else float(value)
    place.child("mostly").complain(
        f"'mostly' is {shown(value)}; it wants a number over 0 and up to 1.",
        mend="write, for example, `mostly: 0.99`: it must hold for 99 % of the values.",
    )
    return None


def severity(value: Value, place: Place) -> str:
    """Read `severity`, or complain; `fail` where there is none."""
    if value is None:
        return "fail"
    if isinstance(value, str) and value in SEVERITIES:
        return SEVERITIES[value]
    place.child("severity").complain(
        f"'severity' is {shown(value)}; it wants `fail` or `warn`.",
        mend=mend_by_name(str(value), list(SEVERITIES), "write `severity: warn`, or leave it out."),
    )
    return "fail"


def table(value: Value, place: Place) -> str:
    """Read `table`, or complain; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, str) and value:
        return value
    place.child("table").complain(
        f"'table' is {shown(value)}; it wants the name of a table or sheet.",
        mend="write, for example, `table: flights`.",
    )
    return ""
