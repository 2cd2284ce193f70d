"""What a pandera schema complains of: all failing rows counted, the first ones kept.

pandera makes a line of text and a row of a list for each failing value, which of ten million are gigabytes
and minutes; so it is told to list the first ones of each check alone, and rows are counted from what it
compared.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from nbpipeline.validators.examples import EXAMPLES, brief, plain, rows_said
from nbpipeline.validators.frames import Frame

_SHOWN = 3
_ROWS = "_nbpipeline_rows"
"""An error's attribute: the numbers of all rows that it is about, once its list was cut."""


def listing_few(schema: Any) -> Any:
    """Give a schema (of a model's class, the one that it stands for) whose failures are listed in part."""
    _cut_lists()
    whole = schema.to_schema() if hasattr(schema, "to_schema") else schema
    index = whole.index
    for part in (whole, *whole.columns.values(), *(getattr(index, "indexes", None) or [index])):
        for check in getattr(part, "checks", None) or ():
            if getattr(check, "n_failure_cases", EXAMPLES) is None:
                check.n_failure_cases = EXAMPLES
    return whole


@cache
def _cut_lists() -> None:
    """Cut what pandera lists of nulls, duplicates and other types, for which it has no setting.

    Where a later pandera has no such function, it takes more memory.
    """
    from pandera.backends.pandas import base  # noqa: PLC0415 - a second

    listed = getattr(base, "consolidate_failure_cases", None)
    if listed is None:
        return

    def few(errors: Sequence[Any]) -> Any:
        for one in errors:
            cases = one.failure_cases
            if hasattr(cases, "columns") and "column" not in cases and len(cases) > EXAMPLES:
                setattr(one, _ROWS, cases["index"].to_numpy())
                one.failure_cases = cases.head(EXAMPLES)
        return listed(errors)

    base.consolidate_failure_cases = few


def outcome(error: Any, frame: Frame) -> tuple[str, Mapping[str, Any]]:
    """Give the message of what `validate` raised, and the number of failing rows with the first ones."""
    import numpy as np  # noqa: PLC0415 - it came with pandera

    wrong = np.zeros(len(frame.data), dtype=bool)
    told: list[str] = []
    columns: list[str] = []
    errors = getattr(error, "schema_errors", None) or [error]
    for one in sorted(errors, key=lambda each: type(each.schema).__name__, reverse=True):
        rows = _rows(one, np)
        places = (rows - 1) // frame.step
        wrong[places[(places >= 0) & (places < len(wrong))]] = True
        groups = _cases(one)
        told += [_told(column, _check(one), cases, len(rows)) for column, cases in groups.items()]
        columns += [name for name in groups if name in frame.data.columns]
    first = frame.data.index[wrong][:EXAMPLES]
    facts = {
        "failed": int(wrong.sum()),
        "examples": rows_said(frame.data, list(first), list(dict.fromkeys(columns))),
    }
    return "; ".join(told), facts


def _rows(error: Any, np: Any) -> Any:
    """Find the numbers of all rows that an error is about."""
    cases = error.failure_cases
    if not hasattr(cases, "columns"):
        return np.array([], dtype=int)
    output: Any = getattr(error, "check_output", None)
    if hasattr(output, "index"):
        bad = ~output.astype(bool)
        found = output.index[bad.any(axis=1) if hasattr(output, "columns") else bad].to_numpy()
    else:
        found = getattr(error, _ROWS, cases["index"].dropna().unique())
    return np.asarray(found, dtype=int)


def _check(error: Any) -> str:
    """Name the check that failed."""
    check = error.check
    if check is None or isinstance(check, str):
        return str(check)
    return str(check.error if check.error is not None else check.name if check.name is not None else check)


Cases = list[tuple[int | None, Any]]
"""The first failing values of a column, with their rows."""


def _cases(error: Any) -> Mapping[str, Cases]:
    """Give the first failing values by column: of a check on the whole table there are several."""
    cases = error.failure_cases
    name = error.schema.name if error.column_name is None else error.column_name
    own = type(error.schema).__name__ if name is None else str(name)
    if not hasattr(cases, "columns"):
        return {own: [(None, plain(cases))]}
    found: dict[str, Cases] = {}
    for one in cases.to_dict("records"):
        row = plain(one["index"])
        listed = found.setdefault(str(one.get("column", own)), [])
        listed.append((int(row) if isinstance(row, (int, float)) else None, plain(one["failure_case"])))
    return found


def _told(column: str, check: str, cases: Cases, rows: int) -> str:
    """Say failures of a column with the first rows."""
    known = [(row, value) for row, value in cases if row is not None]
    if not known:
        return f"{column}: {check}: found {brief(cases[0][1])}"
    shown = ", ".join(f"row {row} ({brief(value)})" for row, value in known[:_SHOWN])
    more = ", ..." if rows > _SHOWN else ""
    return f"'{column}' fails {check} in {rows} row{'' if rows == 1 else 's'}: {shown}{more}"
