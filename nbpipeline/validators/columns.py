"""The built-in validator: exists, rows, columns, types, not_null, between, in_set, unique, leaks.

For tables of all kinds in `tables`, in one pass and bounded memory. Fills `ports.Validator`.
"""

from collections.abc import Sequence
from pathlib import Path

from nbpipeline.errors import did_you_mean
from nbpipeline.model import Check, Verdict
from nbpipeline.validators import arguments
from nbpipeline.validators.arguments import ARGUMENTS
from nbpipeline.validators.conditions import CONDITIONS, Condition
from nbpipeline.validators.gathering import Gathering, Outcome, interrupted
from nbpipeline.validators.leaks import RELATIONS
from nbpipeline.validators.tables import Stop, StoppedError, UnreadableTableError, never, open_table


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
    return [(one.complaint(table), one.facts()) for one in conditions]
