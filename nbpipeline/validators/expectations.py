"""Great Expectations' names and arguments, by a table that is shipped: its own import takes seconds."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from nbpipeline.errors import did_you_mean
from nbpipeline.model import Check
from nbpipeline.patterns import regex
from nbpipeline.validators.values import moment

TABLE = Path(__file__).with_name("expectations.json")
"""Made by tests/gx_table.py."""
PREFIX = "expect_"
SHORT_ARGUMENTS: Mapping[str, str] = {
    "min": "min_value",
    "max": "max_value",
    "values": "value_set",
    "type": "type_",
    "types": "type_list",
    "columns": "column_list",
}
"""A short name of an argument -> Great Expectations' own."""
_SHORTENED = (
    ("column_values_to_be_null", "is_null"),  # YAML reads `null` as nothing
    ("column_values_to_", ""),
    ("column_to_exist", "column_exists"),
    ("column_type_to_be", "column_type"),
    ("column_pair_values_", "pair_"),
    ("compound_columns_to_", "compound_"),
    ("select_column_values_to_", ""),
    ("column_", ""),
)
_NEAR_WORDS = regex(r"_(to_)?be_|_to_")


@cache
def table() -> Mapping[str, Mapping[str, Any]]:
    """Every expectation by its full name: `mostly`, `arguments` with their kinds, `databases`."""
    found: Mapping[str, Mapping[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))["expectations"]
    return found


def short_name(full: str) -> str:
    """Shorten an expectation's name: `expect_column_values_to_not_be_null` is `not_null`."""
    name = full.removeprefix(PREFIX)
    for long, short in _SHORTENED:
        if name.startswith(long):
            name = short + name.removeprefix(long)
            break
    return str(_NEAR_WORDS.sub("_", f"_{name}")).strip("_")


@cache
def short_names() -> Mapping[str, str]:
    """Every short name with the full one."""
    return {short_name(full): full for full in table()}


def full_name(name: str) -> str | None:
    """Give the full name of an expectation as somebody may write it; None where it is none."""
    return name if name in table() else short_names().get(name)


def keywords(check: Check) -> dict[str, Any]:
    """Give a check's arguments as Great Expectations' class takes them."""
    full = full_name(check.name)
    known = table()[full]["arguments"] if full else {}
    given = check.arguments
    if isinstance(given, (list, tuple)) and "column_list" in known:
        given = {"column_list": list(given)}
    elif isinstance(given, str) and "column" in known:
        given = {"column": given}
    found = {
        _own(str(name), known): value for name, value in (given if isinstance(given, Mapping) else {}).items()
    }
    return found if check.mostly is None else {**found, "mostly": check.mostly}


def _own(name: str, known: Mapping[str, Any]) -> str:
    long = SHORT_ARGUMENTS.get(name, "")
    if name == "columns" and "column_set" in known:
        long = "column_set"
    return long if name not in known and long in known else name


def complaints(check: Check) -> tuple[str, ...]:
    """Say what is wrong with a check whose name is an expectation's."""
    full = full_name(check.name)
    if full is None:
        return (f"no expectation is called '{check.name}'",)
    return tuple(_complaints(check, table()[full]))


def _complaints(check: Check, entry: Mapping[str, Any]) -> Iterator[str]:
    known: Mapping[str, Mapping[str, Any]] = entry["arguments"]
    name = check.name
    if entry.get("databases"):
        yield f"'{name}' compares tables of a database, which Great Expectations cannot do with files"
        return
    if check.mostly is not None and not entry["mostly"]:
        yield f"'{name}' is about the table or column as a whole and has no 'mostly'"
    if check.arguments is not None and not isinstance(check.arguments, Mapping) and not keywords(check):
        yield f"'{name}' wants a mapping with {_listed(known)}, not {check.arguments!r}"
        return
    given = keywords(check)
    given.pop("mostly", None)
    for key, value in given.items():
        if key not in known:
            yield _unknown(name, key, known)
        elif wrong := _wrong(value, known[key]):
            yield f"'{name}' wants {wrong} as {_short(key, known)}, not {value!r}"
    for key, one in known.items():
        if one.get("required") and key not in given:
            yield f"'{name}' wants {_short(key, known)}"
    if {"min_value", "max_value"} <= known.keys() and not ({"min_value", "max_value"} & given.keys()):
        yield f"'{name}' wants min, max or both"


def _listed(known: Mapping[str, Any]) -> str:
    return ", ".join(_short(one, known) for one in known)


def _short(name: str, known: Mapping[str, Any]) -> str:
    """Say an argument by its short name where it has one that is not another's."""
    short = next((short for short, long in SHORT_ARGUMENTS.items() if long == name), name)
    return name if short in known else short


def _unknown(name: str, key: str, known: Mapping[str, Any]) -> str:
    words = [*known, *(_short(one, known) for one in known), "mostly", "severity"]
    near = did_you_mean(key, words)
    guess = f"; did you mean '{near}'?" if near else ""
    return f"'{name}' has no '{key}'; known: {_listed(known)}{guess}"


def _wrong(value: Any, wanted: Mapping[str, Any]) -> str:
    """Say what is wanted instead of a value; empty where it will do."""
    words = wanted.get("words")
    if words and isinstance(value, str):
        near = did_you_mean(value, words)
        guess = f" (did you mean {near}?)" if near else ""
        return "" if value in words else f"one of {', '.join(words)}{guess}"
    kinds = wanted["kinds"]
    return "" if _kinds_of(value) & set(kinds) else " or ".join(_said(kinds))


def _kinds_of(value: Any) -> frozenset[str]:
    if value is None:
        return frozenset({"null"})
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, str):
        return frozenset({"text", "date"} if moment(value) is not None else {"text"})
    if isinstance(value, (int, float)):
        whole = isinstance(value, int) or value.is_integer()
        return frozenset({"integer", "number"} if whole else {"number"})
    return frozenset({"mapping"} if isinstance(value, Mapping) else {"list"})


_WORDS = {
    "boolean": "true or false",
    "number": "a number",
    "integer": "a whole number",
    "text": "a text",
    "date": "an ISO date",
    "list": "a list",
    "mapping": "a mapping",
}


def _said(kinds: list[str]) -> list[str]:
    passed_over = {"integer", "boolean"} if "number" in kinds else set()
    if "text" in kinds:
        passed_over.add("date")
    return [words for kind, words in _WORDS.items() if kind in kinds and kind not in passed_over]
