"""What is wrong with a built-in check as it is written, before any data is read."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nbpipeline.errors import did_you_mean
from nbpipeline.model import Check
from nbpipeline.validators.values import TYPES, moment


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(one, str) for one in value)


def _keys(name: str, arguments: Any, known: tuple[str, ...]) -> Iterator[str]:
    """Complain of a form that is no mapping, and of keys that nobody knows."""
    if not isinstance(arguments, Mapping):
        yield f"'{name}' wants a mapping with {', '.join(known)}, not {arguments!r}"
        return
    for key in arguments:
        if key not in known:
            near = did_you_mean(str(key), known)
            guess = f"; did you mean '{near}'?" if near else ""
            yield f"'{name}' has no '{key}'; known: {', '.join(known)}{guess}"


def _exists(arguments: Any) -> Iterator[str]:
    if arguments not in (None, True, {}):
        yield f"'exists' wants nothing or true, not {arguments!r}"


def _rows(arguments: Any) -> Iterator[str]:
    yield from _keys("rows", arguments, ("min", "max"))
    if not isinstance(arguments, Mapping):
        return
    given = {key: arguments[key] for key in ("min", "max") if arguments.get(key) is not None}
    if not given:
        yield "'rows' wants min, max or both"
    for key, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            yield f"'rows' wants a whole number from 0 as {key}, not {value!r}"
            return
    if len(given) > 1 and given["min"] > given["max"]:
        yield f"'rows' can never pass: min {given['min']} is more than max {given['max']}"


def _columns(arguments: Any) -> Iterator[str]:
    if not isinstance(arguments, Mapping):
        if not _is_names(arguments):
            yield f"'columns' wants a list of names, or a mapping with required, only, not {arguments!r}"
        return
    yield from _keys("columns", arguments, ("required", "only"))
    if not any(arguments.get(key) for key in ("required", "only")):
        yield "'columns' wants required, only or both"
    for key in ("required", "only"):
        if arguments.get(key) and not _is_names(arguments[key]):
            yield f"'columns' wants a list of names as {key}, not {arguments[key]!r}"


def _types(arguments: Any) -> Iterator[str]:
    if not isinstance(arguments, Mapping) or not arguments:
        yield f"'types' wants a mapping of column: type, not {arguments!r}"
        return
    for column, kind in arguments.items():
        if not isinstance(column, str):
            yield f"'types' wants names of columns as text, not {column!r}: put it in quotes"
        if not isinstance(kind, str) or kind not in TYPES:
            near = did_you_mean(str(kind), TYPES)
            guess = f"; did you mean '{near}'?" if near else ""
            yield f"'types' knows no type {kind!r} (column '{column}'); known: {', '.join(TYPES)}{guess}"


def _names(name: str) -> Callable[[Any], Iterator[str]]:
    def complain(arguments: Any) -> Iterator[str]:
        if isinstance(arguments, Mapping):
            yield from _keys(name, arguments, ("column", "columns"))
            arguments = columns_of(arguments)
        if not (isinstance(arguments, str) and arguments) and not _is_names(arguments):
            yield f"'{name}' wants a column's name or a list of them, not {arguments!r}"

    return complain


def _column(name: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(arguments.get("column"), str):
        yield f"'{name}' wants the name of one column, as `column: NAME`"


def _between(arguments: Any) -> Iterator[str]:
    yield from _keys("between", arguments, ("column", "min", "max"))
    if not isinstance(arguments, Mapping):
        return
    yield from _column("between", arguments)
    given = {key: arguments[key] for key in ("min", "max") if arguments.get(key) is not None}
    if not given:
        yield "'between' wants min, max or both"
    bad = [key for key, value in given.items() if not _is_number(value) and _moment(value) is None]
    for key in bad:
        yield f"'between' wants a number or an ISO date as {key}, not {given[key]!r}"
    if bad or len(given) < 2:  # noqa: PLR2004 - both bounds
        return
    low, high = (value if _is_number(value) else _moment(value) for value in given.values())
    if _is_number(low) != _is_number(high):
        yield f"'between' wants min and max of one kind, not {given['min']!r} and {given['max']!r}"
    elif low > high:
        yield f"'between' can never pass: min {given['min']} is more than max {given['max']}"


def _moment(value: Any) -> Any:
    return moment(value) if isinstance(value, str) else None


def _in_set(arguments: Any) -> Iterator[str]:
    yield from _keys("in_set", arguments, ("column", "values"))
    if not isinstance(arguments, Mapping):
        return
    yield from _column("in_set", arguments)
    values = arguments.get("values")
    if not isinstance(values, (list, tuple)) or not values:
        yield f"'in_set' wants a list with at least one entry as values, not {values!r}"


def _other(name: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    """Check which artifact, and which table of it, a check compares with."""
    other = arguments.get("other")
    if not (isinstance(other, str) and other) and not _is_names(other):
        yield f"'{name}' wants the name of another artifact or a list of them as other, not {other!r}"
    table = arguments.get("other_table", "x")
    if not (isinstance(table, str) and table):
        yield f"'{name}' wants the name of a table or sheet as other_table, not {table!r}"


def _disjoint_from(arguments: Any) -> Iterator[str]:
    yield from _keys("disjoint_from", arguments, ("other", "column", "columns", "other_table"))
    if not isinstance(arguments, Mapping):
        return
    yield from _other("disjoint_from", arguments)
    keys = {key: one for key, one in arguments.items() if key in ("column", "columns")}
    yield from _names("disjoint_from")(keys)


def _earlier_than(arguments: Any) -> Iterator[str]:
    yield from _keys("earlier_than", arguments, ("other", "column", "or_equal", "other_table"))
    if not isinstance(arguments, Mapping):
        return
    yield from _other("earlier_than", arguments)
    yield from _column("earlier_than", arguments)
    if not isinstance(arguments.get("or_equal", False), bool):
        yield f"'earlier_than' wants true or false as or_equal, not {arguments['or_equal']!r}"


def columns_of(arguments: Any) -> Any:
    """Give the column, or the list of them, that a check is about, in the short form or the long one."""
    if not isinstance(arguments, Mapping):
        return arguments
    return arguments.get("column", arguments.get("columns"))


ARGUMENTS: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "exists": _exists,
    "rows": _rows,
    "columns": _columns,
    "types": _types,
    "not_null": _names("not_null"),
    "between": _between,
    "in_set": _in_set,
    "unique": _names("unique"),
    "disjoint_from": _disjoint_from,
    "earlier_than": _earlier_than,
}
"""Every check of `columns`, by name."""
OF_VALUES = frozenset({"types", "not_null", "between", "in_set", "unique"})
"""Checks of single values, which may hold for most of them."""


def complaints(check: Check) -> tuple[str, ...]:
    """Say what is wrong with a built-in check as it is written."""
    found = tuple(ARGUMENTS[check.name](check.arguments))
    if check.mostly is not None and check.name not in OF_VALUES:
        return (*found, f"'{check.name}' is about the table as a whole and has no 'mostly'")
    return found


def names_of_others(arguments: Any) -> tuple[str, ...]:
    """Give the artifacts that a sound check compares with."""
    other = arguments["other"]
    return (other,) if isinstance(other, str) else tuple(other)


def compared_with(check: Check) -> tuple[str, ...]:
    """Name the artifacts beside its own that a check looks at; none where it is written wrongly."""
    if check.name not in ("disjoint_from", "earlier_than") or complaints(check):
        return ()
    return names_of_others(check.arguments)
