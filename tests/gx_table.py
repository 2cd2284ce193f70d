"""Writes the table of Great Expectations' expectations: `python tests/gx_table.py`.

It is shipped, so that a misspelt expectation is told without importing Great Expectations, which takes seconds; a
test compares it with what is installed. Of each argument it holds which kinds of values are taken, found out by trying.
"""

import inspect
import json
import re
import typing
import warnings
from typing import Any

from nbpipeline.validators import expectations

LEFT_OUT = frozenset(
    [
        "id",
        "meta",
        "notes",
        "result_format",
        "description",
        "catch_exceptions",
        "rendered_content",
        "windows",
        "batch_id",
        "severity",
        "library_metadata",
        "expectation_type",
        "mostly",
    ]
)
PROBES: tuple[tuple[str, Any], ...] = (
    ("null", None),
    ("boolean", True),
    ("integer", 3),
    ("number", 0.5),
    ("text", "some text"),
    ("date", "2013-01-31"),
    ("list", ["some text"]),
    ("mapping", {"column": "a"}),
)
"""Kinds of values as YAML has them, each with one."""
SQL = "expect_(query_results|table_row_count_to_equal_other_table).*"


def classes() -> dict[str, Any]:
    """Give the expectations of the installed Great Expectations, by their full name."""
    from great_expectations.expectations import core

    found = {name: one for name, one in vars(core).items() if name.startswith("Expect")}
    plain = {name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in found}
    return {getattr(one, "expectation_type", "") or plain[name]: one for name, one in sorted(found.items())}


def words(annotation: Any) -> list[str]:
    """Find the texts that a `Literal` somewhere in an annotation allows."""
    if typing.get_origin(annotation) is typing.Literal:
        return [one for one in typing.get_args(annotation) if isinstance(one, str)]
    return [word for one in typing.get_args(annotation) for word in words(one)]


def same(found: Any, probe: Any) -> bool:
    """Whether a value was taken as it is, and not made another: `True` a 1, 0.5 a 0."""
    if isinstance(probe, str):
        return found == probe or not isinstance(found, str)
    kinds = (list, tuple, set) if isinstance(probe, list) else type(probe)
    return isinstance(found, kinds) or (found == probe and not isinstance(probe, bool))


def argument(field: Any, annotation: Any) -> dict[str, Any]:
    """Describe one argument."""
    taken = []
    for kind, probe in PROBES:
        found, wrong = field.validate(probe, {}, loc="probe")
        if not wrong and same(found, probe):
            taken.append(kind)
    if set(taken) - {"null", "mapping"}:  # then a mapping stands for a suite's parameter, which we have not
        taken = [one for one in taken if one != "mapping"]
    described: dict[str, Any] = {"kinds": taken}
    if words(annotation):
        described["words"] = words(annotation)
        described["kinds"] = [*taken, "text"]
    if field.required:
        described["required"] = True
    return described


def described(one: Any) -> dict[str, Any]:
    """Describe one expectation: its arguments, and whether `mostly` is one."""
    hints = {name: one.__annotations__.get(name) for name in one.__fields__}
    for base in one.__mro__:
        for name in one.__fields__:
            hints[name] = hints[name] or inspect.get_annotations(base).get(name)
    arguments = {
        name: argument(field, field.annotation if hasattr(field, "annotation") else hints[name])
        for name, field in one.__fields__.items()
        if name not in LEFT_OUT
    }
    return {"mostly": "mostly" in one.__fields__, "arguments": arguments}


def made() -> str:
    """Give the text of the table."""
    from importlib.metadata import version

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = {name: described(one) for name, one in classes().items()}
    for name, entry in table.items():
        if re.fullmatch(SQL, name):
            entry["databases"] = True
    data = {"great_expectations": version("great-expectations"), "expectations": table}
    return json.dumps(data, indent=1) + "\n"


if __name__ == "__main__":
    expectations.TABLE.write_text(made(), encoding="utf-8")
