"""The checks that look at another artifact too: what a model is trained on and tried on is kept apart."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from nbpipeline.patterns import regex
from nbpipeline.validators.arguments import names_of_others
from nbpipeline.validators.conditions import SHOWN_ROWS, Condition, EachValue, missing, names_of
from nbpipeline.validators.examples import brief
from nbpipeline.validators.overlaps import Overlap
from nbpipeline.validators.tables import Batch, Stop, Table, UnreadableTableError, never, open_table
from nbpipeline.validators.values import hashed, moment, number

Others = Mapping[str, Sequence[str]]
"""Paths of other artifacts, by name."""

_LEADING_ZERO = regex(r"[+-]?0\d")


class Disjoint:
    """`disjoint_from: {other: [valid, test], columns: flight_id}`. Rows with a null in the key pass."""

    mostly: float | None = None

    def __init__(self, arguments: Mapping[str, Any], others: Others, stop: Stop = never) -> None:
        """Take the keys of the others. Raises UnreadableTableError, StoppedError."""
        self._names = names_of(arguments)
        self.columns = frozenset(self._names)
        self._others = names_of_others(arguments)
        self._found = Overlap(shown=SHOWN_ROWS)
        self._rows = 0
        for number_, other in enumerate(self._others):
            for _, batch in _batches(other, arguments, others, self._names, stop):
                for _, _, key in _keys(batch, self._names):
                    self._found.hold(number_, key)

    def take(self, batch: Batch, table: Table) -> None:  # noqa: ARG002 - as all conditions
        """Look up the keys."""
        self._rows += batch.size
        if all(name in batch.columns for name in self._names):
            for row, values, key in _keys(batch, self._names):
                self._found.add(row, key, values)

    def complaint(self, table: Table) -> str:
        """Count what is shared, by the other artifact. Raises StoppedError."""
        self._found.close(table.stop)
        lost = missing(self._names, table)
        if lost:
            return lost
        what = ", ".join(f"'{name}'" for name in self._names)
        return "; ".join(
            f"{what} is also in '{self._others[other]}' in {count} of {self._rows} "
            f"{'row' if self._rows == 1 else 'rows'}: {self._shown(other)}"
            for other, count in sorted(self._found.counts.items())
        )

    def facts(self) -> Mapping[str, Any]:
        """Tell how many rows there are, and how many share their key."""
        shown = sorted(row for rows in self._found.rows.values() for row, _ in rows)
        return {
            "rows": self._rows,
            "failed": sum(self._found.counts.values()),
            "examples": [{"row": row} for row in shown],
        }

    def _shown(self, other: int) -> str:
        count, rows = self._found.counts[other], self._found.rows[other]
        shown = [f"row {row} ({brief(words)})" if words else f"row {row}" for row, words in rows]
        return f"{', '.join(shown)}{', ...' if count > SHOWN_ROWS else ''}"


def earlier_than(arguments: Mapping[str, Any], others: Others, stop: Stop = never) -> Condition:
    """`earlier_than: {other: [valid, test], column: time}`: all before the first of the others. Nulls pass.

    Raises UnreadableTableError, StoppedError.
    """
    column = arguments["column"]
    equal = bool(arguments.get("or_equal"))
    firsts = [
        (first, shown, other)
        for other in names_of_others(arguments)
        for first, shown in [_first(other, arguments, others, stop)]
        if first is not None
    ]
    kinds = {first[0] for first, _, _ in firsts}
    if len(kinds) > 1:
        raise UnreadableTableError(f"'{column}' holds numbers in one of the others and times in another")
    if not firsts:
        return EachValue([column], wrong=lambda *_: False, said=lambda _name: "")
    limit, shown, name = min(firsts, key=lambda one: one[0][1])

    def wrong(_name: str, value: Any, text: bool) -> bool:  # noqa: FBT001 - as all tests of values
        if value is None:
            return False
        found = _ordered(value, text=text)
        if found is None or found[0] != limit[0]:
            return True
        return not (found[1] < limit[1] or (equal and found[1] == limit[1]))

    than = "earlier than or at" if equal else "earlier than"
    return EachValue(
        [column], wrong=wrong, said=lambda _name: f"is not {than} the first of '{name}' ({brief(shown)})"
    )


def _first(
    other: str, arguments: Mapping[str, Any], others: Others, stop: Stop
) -> tuple[tuple[str, Any] | None, Any]:
    """Find the least value of a column, and how it is written; None where all are null."""
    column = arguments["column"]
    least: tuple[str, Any] | None = None
    shown: Any = None
    for table, batch in _batches(other, arguments, others, (column,), stop):
        for row, value in enumerate(batch.columns[column], start=batch.first):
            if value is None:
                continue
            found = _ordered(value, text=table.text)
            if found is None:
                raise UnreadableTableError(
                    f"'{column}' of '{other}' is no number or time: row {row} ({brief(value)})"
                )
            if least is not None and found[0] != least[0]:
                raise UnreadableTableError(f"'{column}' of '{other}' holds both numbers and times: row {row}")
            if least is None or found[1] < least[1]:
                least, shown = found, value
    return least, shown


def _ordered(value: Any, *, text: bool) -> tuple[str, Any] | None:
    figure = number(value, text=text)
    if figure is not None:
        return ("number", figure)
    when = moment(value)
    return None if when is None else ("time", when)


def _batches(
    other: str, arguments: Mapping[str, Any], others: Others, columns: Sequence[str], stop: Stop
) -> Iterator[tuple[Table, Batch]]:
    """Read another artifact's columns. Raises UnreadableTableError, with the artifact's name."""
    if other not in others:
        raise UnreadableTableError(f"there is no artifact '{other}' to compare with")
    if not others[other]:
        raise UnreadableTableError(f"'{other}' is at a URL, which checks do not read")
    for path in map(Path, others[other]):
        if not path.exists():
            raise UnreadableTableError(f"'{other}' ({path.name}) is not there")
        try:
            table = open_table(path, str(arguments.get("other_table") or ""), stop)
            for batch in table.batches(frozenset(columns)):
                _refuse_missing(columns, batch.columns, table)
                yield table, batch
            _refuse_missing(columns, table.names, table)
        except UnreadableTableError as error:
            raise UnreadableTableError(f"'{other}': {error}") from error


def _refuse_missing(columns: Sequence[str], present: Collection[str], table: Table) -> None:
    if any(name not in present for name in columns):
        raise UnreadableTableError(missing(columns, table))


def _keys(batch: Batch, names: Sequence[str]) -> Iterator[tuple[int, tuple[Any, ...], str]]:
    """Give each row's number, values and key, but for those with a null in it."""
    columns = zip(*(batch.columns[name] for name in names), strict=True)
    for row, values in enumerate(columns, start=batch.first):
        if None not in values:
            yield row, values, repr(tuple(map(key_part, values)))


def key_part(value: Any) -> Any:
    """Make a key's part comparable between files of different kinds.

    17, 17.0 and the text `17` are one (a column with a null in it is written as floats), `017` is another;
    a day is its midnight.
    """
    if isinstance(value, str) and not _LEADING_ZERO.match(value):
        figure = number(value, text=True)
        if figure is not None:
            return hashed(figure)
    if isinstance(value, (str, date)):  # a datetime is a date
        when = moment(value)
        if when is not None:
            return ("time", when.isoformat())
    kind, made = hashed(value)
    return (kind, float(made)) if isinstance(made, Decimal) else (kind, made)


RELATIONS: Mapping[str, Callable[[Any, Others, Stop], Condition]] = {
    "disjoint_from": Disjoint,
    "earlier_than": earlier_than,
}
"""The checks that are made with the paths of other artifacts."""
