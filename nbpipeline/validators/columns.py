"""The built-in validator: exists, rows, columns, types, not_null, between, in_set, unique, leaks.

For tables of all kinds in `tables`, in one pass and bounded memory. Fills `ports.Validator`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipeline.errors import did_you_mean
from nbpipeline.model import Check, Verdict
from nbpipeline.validators import arguments
from nbpipeline.validators.arguments import ARGUMENTS
from nbpipeline.validators.conditions import CONDITIONS, Condition
from nbpipeline.validators.examples import beside, plain
from nbpipeline.validators.gathering import Gathering, Outcome, interrupted
from nbpipeline.validators.leaks import RELATIONS
from nbpipeline.validators.tables import (
    Stop,
    StoppedError,
    Table,
    UnreadableTableError,
    never,
    open_table,
)

_BESIDE = 8
"""Columns of a failing row that are shown beside those checked: the first ones."""
_READ_AGAIN = 1_000_000
"""Rows up to which a table is read once more for them, some seconds; past that a row's number has to do."""


def knows(check: Check) -> bool:
    """Whether the check's name is one of ours."""
    return check.name in ARGUMENTS


def complaints(check: Check) -> tuple[str, ...]:
    """Say what is wrong with the check as written."""
    if not knows(check):
        near = did_you_mean(check.name, ARGUMENTS)
        guess = f"; did you mean '{near}'?" if near else ""
        return (f"no check is called '{check.name}'; known checks: {', '.join(ARGUMENTS)}{guess}",)
    return arguments.complaints(check)


def validate(paths: tuple[Path, ...], checks: tuple[Check, ...], stop: Stop = never) -> tuple[Verdict, ...]:
    """Try the checks on the files, each file by itself; one verdict a check, in order.

    A folder counts as one table of all its files. A check that is written wrongly fails with what is wrong;
    all fail where `stop` says that nobody waits any more: it is asked all the time.
    Raises MissingPluginError where the library that reads a file is not installed.
    """
    found = Gathering(paths, checks, complaints)
    try:
        for numbers in found.tables().values():
            found.each(numbers, lambda path, some: _one_file(path, some, stop))
    except StoppedError:
        return interrupted(checks)
    return found.verdicts()


def _one_file(path: Path, checks: Sequence[Check], stop: Stop) -> list[Outcome]:
    """Try checks about one table of a file or folder, in one pass."""
    if not path.exists():
        return [(f"{path.name} is not there", {})] * len(checks)
    found: list[Outcome] = [("", {})] * len(checks)
    conditions: dict[int, Condition] = {}
    for number, check in enumerate(checks):
        try:
            condition = _condition(check, stop)
        except UnreadableTableError as error:  # of another artifact
            found[number] = (str(error), {})
            continue
        if condition is not None:
            conditions[number] = condition
    try:
        said = _try(path, checks[0].table, list(conditions.values()), stop) if conditions else []
    except UnreadableTableError as error:
        said = [(str(error), {})] * len(conditions)
    for number, outcome in zip(conditions, said, strict=True):
        found[number] = outcome
    return found


def _condition(check: Check, stop: Stop) -> Condition | None:
    """Make what is tried; None for what opens no table."""
    if check.name in RELATIONS:
        return RELATIONS[check.name](check.arguments, check.others, stop)
    if check.name not in CONDITIONS:
        return None
    condition = CONDITIONS[check.name](check.arguments)
    condition.mostly = check.mostly
    return condition


def _try(path: Path, name: str, conditions: Sequence[Condition], stop: Stop) -> list[Outcome]:
    """Show every condition the whole table once."""
    table = open_table(path, name, stop)
    wanted = frozenset[str]().union(*(one.columns for one in conditions))
    for batch in table.batches(wanted):
        for one in conditions:
            one.take(batch, table)
    outcomes = [(one.complaint(table), one.facts()) for one in conditions]
    return _with_their_rows(path, name, table, outcomes, stop)


def _with_their_rows(
    path: Path, name: str, table: Table, outcomes: Sequence[Outcome], stop: Stop
) -> list[Outcome]:
    """Add to failing rows what else stands in them: some first columns, read again as far as they go."""
    shown = [one for told, facts in outcomes if told for one in facts.get("examples", ()) if "row" in one]
    wanted = {one["row"] for one in shown if one["row"] <= _READ_AGAIN}
    others = table.names[:_BESIDE]
    if not wanted or not others:
        return list(outcomes)
    rows = _rows(open_table(path, name, stop), frozenset(others), wanted)
    return [
        (told, {**facts, "examples": [_whole(one, rows) for one in facts["examples"]]})
        if told and "examples" in facts
        else (told, facts)
        for told, facts in outcomes
    ]


def _rows(table: Table, names: frozenset[str], wanted: set[int]) -> dict[int, Mapping[str, Any]]:
    found: dict[int, Mapping[str, Any]] = {}
    last = max(wanted)
    for batch in table.batches(names):
        for row in range(batch.first, batch.first + batch.size):
            if row in wanted:
                values = {
                    one: batch.columns[one][row - batch.first] for one in table.names if one in batch.columns
                }
                found[row] = {beside(one): plain(value) for one, value in values.items()}
        if batch.first + batch.size > last:
            break
    return found


def _whole(example: Mapping[str, Any], rows: Mapping[int, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Put what was checked first, then the other columns."""
    return {
        **example,
        **{key: one for key, one in rows.get(example.get("row", 0), {}).items() if key not in example},
    }
