"""The checks one by one: each takes batches and says at the end what it found."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from nbpipeline.errors import did_you_mean
from nbpipeline.validators.duplicates import Duplicates
from nbpipeline.validators.tables import Batch, Table
from nbpipeline.validators.values import ALSO, TYPES, hashed, is_member, moment, number

SHOWN_ROWS = 3
"""The first failing rows that a message shows; it counts all."""
_SHOWN_NAMES = 40
_REMEMBERED = 10_000
"""So many texts are remembered as members or not, since columns repeat them."""


class Condition(Protocol):
    """One check while it is tried."""

    columns: frozenset[str]
    """What it must see."""

    def take(self, batch: Batch, table: Table) -> None:
        """Look at some rows, all of whose wanted columns are there (or known to be missing)."""

    def complaint(self, table: Table) -> str:
        """Say what was found instead of what was wanted; empty where all is well."""


def missing(wanted: Iterable[str], table: Table) -> str:
    """Say which columns are not there, what is known, and what may have been meant."""
    lost = [name for name in wanted if name not in table.names]
    if not lost:
        return ""
    listed = ", ".join(f"'{name}'" for name in lost)
    known = ", ".join(table.names[:_SHOWN_NAMES]) or "none"
    more = f", and {len(table.names) - _SHOWN_NAMES} more" if len(table.names) > _SHOWN_NAMES else ""
    near = [one for one in (did_you_mean(name, table.names) for name in lost) if one]
    guess = f"; did you mean '{near[0]}'?" if near else ""
    return f"{_noun('column', len(lost))} {listed} missing; known columns: {known}{more}{guess}"


def _noun(word: str, count: int) -> str:
    return f"{word}{'' if count == 1 else 's'}"


class Rows:
    """`rows: {min: 1, max: 100}`."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        """Count from 0."""
        self.columns: frozenset[str] = frozenset()
        self._min = arguments.get("min")
        self._max = arguments.get("max")
        self._count = 0

    def take(self, batch: Batch, table: Table) -> None:  # noqa: ARG002 - as all conditions
        """Count."""
        self._count += batch.size

    def complaint(self, table: Table) -> str:  # noqa: ARG002 - as all conditions
        """Compare with the bounds."""
        found = f"{self._count} {_noun('row', self._count)}"
        if self._min is not None and self._count < self._min:
            return f"{found}, at least {self._min} wanted"
        if self._max is not None and self._count > self._max:
            return f"{found}, at most {self._max} wanted"
        return ""


class Columns:
    """`columns: [a, b]`, or `{required: [a], only: [a, b]}`."""

    def __init__(self, arguments: Any) -> None:
        """Both forms alike."""
        self.columns: frozenset[str] = frozenset()
        given = arguments if isinstance(arguments, Mapping) else {"required": arguments}
        self._required = tuple(given.get("required") or ())
        self._only = given.get("only")

    def take(self, batch: Batch, table: Table) -> None:
        """See nothing: names are the table's."""

    def complaint(self, table: Table) -> str:
        """Compare names."""
        lost = missing(self._required, table)
        if lost or self._only is None:
            return lost
        further = [name for name in table.names if name not in self._only]
        if not further:
            return ""
        listed = ", ".join(f"'{name}'" for name in further[:_SHOWN_NAMES])
        return f"{_noun('column', len(further))} {listed} not allowed; allowed: {', '.join(self._only)}"


class EachValue:
    """A check that each value passes or fails by itself."""

    def __init__(
        self, names: Iterable[str], *, wrong: Callable[[str, Any, bool], bool], said: Callable[[str], str]
    ) -> None:
        """`wrong(column, value, text)` tells; `said(column)` is what is true of wrong ones: `is null`."""
        self._names = tuple(names)
        self.columns = frozenset(self._names)
        self._wrong = wrong
        self._said = said
        self._counts = dict.fromkeys(self._names, 0)
        self._shown: dict[str, list[str]] = {name: [] for name in self._names}
        self._rows = 0

    def take(self, batch: Batch, table: Table) -> None:
        """Try every value."""
        self._rows += batch.size
        for name in self._names:
            for row, value in enumerate(batch.columns.get(name, ()), start=batch.first):
                if self._wrong(name, value, table.text):
                    self._counts[name] += 1
                    if len(self._shown[name]) < SHOWN_ROWS:
                        self._shown[name].append(_row(row, value))

    def complaint(self, table: Table) -> str:
        """Count by column, with the first rows."""
        lost = missing(self._names, table)
        found = [
            f"'{name}' {self._said(name)} in {count} of {self._rows} {_noun('row', self._rows)}: "
            f"{', '.join(self._shown[name])}{', ...' if count > SHOWN_ROWS else ''}"
            for name, count in self._counts.items()
            if count and name in table.names
        ]
        return "; ".join([lost, *found] if lost else found)


def _row(row: int, value: Any) -> str:
    return f"row {row}" if value is None else f"row {row} ({brief(value)})"


def brief(value: Any) -> str:
    """Cut what would fill a line."""
    words = str(value)
    return words if len(words) <= 40 else f"{words[:37]}..."  # noqa: PLR2004 - what fits a line twice


def not_null(arguments: Any) -> Condition:
    """`not_null: dep_delay`, or a list."""
    return EachValue(
        names_of(arguments), wrong=lambda _name, value, _text: value is None, said=lambda _name: "is null"
    )


def between(arguments: Mapping[str, Any]) -> Condition:
    """`between: {column: distance, min: 0, max: 5000}`; dates as ISO text. Nulls pass."""
    low, high = arguments.get("min"), arguments.get("max")
    dated = isinstance(low if low is not None else high, str)
    read: Callable[[Any, bool], Any] = (
        (lambda value, _text: moment(value)) if dated else (lambda value, text: number(value, text=text))
    )
    first, last = (None if one is None else read(one, False) for one in (low, high))  # of one kind

    def wrong(_name: str, value: Any, text: bool) -> bool:  # noqa: FBT001 - as all tests of values
        if value is None:
            return False
        found = read(value, text)
        if found is None:
            return True
        return bool((first is not None and not first <= found) or (last is not None and not found <= last))

    return EachValue([arguments["column"]], wrong=wrong, said=lambda _name: f"is not {_bounds(low, high)}")


def _bounds(low: Any, high: Any) -> str:
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"between {low} and {high}"


def in_set(arguments: Mapping[str, Any]) -> Condition:
    """`in_set: {column: origin, values: [EWR, JFK, LGA]}`. Nulls pass."""
    values = arguments["values"]
    members = frozenset(hashed(one) for one in values)
    shown = ", ".join(str(one) for one in values[:_SHOWN_NAMES])

    seen: dict[Any, bool] = {}

    def wrong(_name: str, value: Any, text: bool) -> bool:  # noqa: FBT001 - as all tests of values
        if value is None:
            return False
        if not isinstance(value, str):
            return not is_member(value, members, text=text)
        if value not in seen:
            if len(seen) > _REMEMBERED:
                seen.clear()
            seen[value] = not is_member(value, members, text=text)
        return seen[value]

    return EachValue([arguments["column"]], wrong=wrong, said=lambda _name: f"is none of {shown}")


class Types:
    """`types: {distance: float, when: datetime}`. Nulls pass; a typed file's own types decide."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        """Test values only where the file does not type its columns."""
        self._wanted: Mapping[str, str] = dict(arguments)
        self._each = EachValue(
            self._wanted,
            wrong=lambda name, value, text: value is not None and not TYPES[self._wanted[name]](value, text),
            said=lambda name: f"is no {self._wanted[name]}",
        )
        self.columns = self._each.columns

    def take(self, batch: Batch, table: Table) -> None:
        """Test values."""
        if not table.types:
            self._each.take(batch, table)

    def complaint(self, table: Table) -> str:
        """Compare with the file's types, else count."""
        if not table.types:
            return self._each.complaint(table)
        lost = missing(self._wanted, table)
        found = [
            f"'{name}' is {table.types[name]}, {wanted} wanted"
            for name, wanted in self._wanted.items()
            if name in table.types and table.types[name] not in {*ALSO.get(wanted, {wanted}), "null"}
        ]
        return "; ".join([lost, *found] if lost else found)


class Unique:
    """`unique: id`, or a list that is unique together. Rows with a null in it pass."""

    def __init__(self, arguments: Any) -> None:
        """Hold no keys yet."""
        self._names = names_of(arguments)
        self.columns = frozenset(self._names)
        self._found = Duplicates(shown=SHOWN_ROWS)
        self._rows = 0

    def take(self, batch: Batch, table: Table) -> None:
        """Take the keys; only JSON may mix 1 and 1.0 in a column, so only there are values made alike."""
        self._rows += batch.size
        if any(name not in batch.columns for name in self._names):
            return
        mixed = not (table.text or table.types)
        keys = zip(*(batch.columns[name] for name in self._names), strict=True)
        for row, key in enumerate(keys, start=batch.first):
            if None not in key:
                self._found.add(row, repr([hashed(one) for one in key] if mixed else key))

    def complaint(self, table: Table) -> str:
        """Count what came again."""
        self._found.close()
        lost = missing(self._names, table)
        if lost or not self._found.count:
            return lost
        shown = ", ".join(f"row {row}" for row, _words in self._found.rows)
        more = ", ..." if self._found.count > SHOWN_ROWS else ""
        what = ", ".join(f"'{name}'" for name in self._names)
        return f"{what} repeats an earlier row in {self._found.count} of {self._rows} rows: {shown}{more}"


def names_of(arguments: Any) -> tuple[str, ...]:
    """Take one name or several, alone or as `column` or `columns`."""
    if isinstance(arguments, Mapping):
        return names_of(arguments["column"] if "column" in arguments else arguments["columns"])
    return (arguments,) if isinstance(arguments, str) else tuple(arguments)


CONDITIONS: Mapping[str, Callable[[Any], Condition]] = {
    "rows": Rows,
    "columns": Columns,
    "types": Types,
    "not_null": not_null,
    "between": between,
    "in_set": in_set,
    "unique": Unique,
}
"""Every check but `exists`, which opens no table."""
