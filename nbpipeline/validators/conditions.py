"""The checks one by one: each takes batches and says at the end what it found."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from nbpipeline.errors import did_you_mean
from nbpipeline.validators.arguments import columns_of
from nbpipeline.validators.duplicates import Duplicates
from nbpipeline.validators.examples import EXAMPLES, beside, brief, plain
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
    mostly: float | None
    """The share of values for which it must hold; None: all."""

    def take(self, batch: Batch, table: Table) -> None:
        """Look at some rows, all of whose wanted columns are there (or known to be missing)."""

    def complaint(self, table: Table) -> str:
        """Say what was found instead of what was wanted; empty where all is well."""

    def facts(self) -> Mapping[str, Any]:
        """Give `Verdict.details`, once all rows were shown."""


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

    mostly: float | None = None

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

    def facts(self) -> Mapping[str, Any]:
        """Tell how many there are."""
        return {"rows": self._count, "observed": self._count}


class Columns:
    """`columns: [a, b]`, or `{required: [a], only: [a, b]}`."""

    mostly: float | None = None

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

    def facts(self) -> Mapping[str, Any]:
        """Tell nothing beside the message."""
        return {}


class EachValue:
    """A check that each value passes or fails by itself."""

    mostly: float | None = None

    def __init__(
        self,
        names: Iterable[str],
        *,
        wrong: Callable[[str, Any, bool], bool],
        said: Callable[[str], str],
        of_all: bool = False,
    ) -> None:
        """`wrong(column, value, text)` tells; `said(column)` is what is true of wrong ones: `is null`.

        `of_all`: missing values count among those of which most must pass.
        """
        self._names = tuple(names)
        self.columns = frozenset(self._names)
        self._wrong = wrong
        self._said = said
        self._of_all = of_all
        self._counts = dict.fromkeys(self._names, 0)
        self._missing = dict.fromkeys(self._names, 0)
        self._shown: dict[str, list[tuple[int, Any]]] = {name: [] for name in self._names}
        self._rows = 0

    def take(self, batch: Batch, table: Table) -> None:
        """Try every value."""
        self._rows += batch.size
        for name in self._names:
            values = batch.columns.get(name, ())
            if self.mostly is not None and not self._of_all:
                self._missing[name] += values.count(None)
            for row, value in enumerate(values, start=batch.first):
                if self._wrong(name, value, table.text):
                    self._counts[name] += 1
                    if len(self._shown[name]) < EXAMPLES:
                        self._shown[name].append((row, value))

    def complaint(self, table: Table) -> str:
        """Count by column, with the first rows."""
        lost = missing(self._names, table)
        found = [
            f"'{name}' {self._said(name)} in {count} of {self._rows} {_noun('row', self._rows)}"
            f"{wanted(self.mostly)}: {shown_rows(self._shown[name], count)}"
            for name, count in self._counts.items()
            if name in table.names and too_many(count, self._rows - self._missing[name], self.mostly)
        ]
        return "; ".join([lost, *found] if lost else found)

    def facts(self) -> Mapping[str, Any]:
        """Give counts and the first rows of all columns."""
        shown = [(row, name, value) for name, rows in self._shown.items() for row, value in rows]
        return {
            "rows": self._rows,
            "failed": sum(self._counts.values()),
            "examples": [{"row": row, beside(name): plain(value)} for row, name, value in shown[:EXAMPLES]],
        }


def too_many(failed: int, tried: int, mostly: float | None) -> bool:
    """Whether more fail than may."""
    if mostly is None:
        return failed > 0
    return tried > 0 and (tried - failed) / tried < mostly


def wanted(mostly: float | None) -> str:
    """Say how many must pass, where that is not all."""
    return "" if mostly is None else f" (at least {100 * mostly:g} % must hold)"


def shown_rows(rows: Sequence[tuple[int, Any]], count: int) -> str:
    """Name the first failing rows with their values."""
    shown = ", ".join(_row(row, value) for row, value in rows[:SHOWN_ROWS])
    return f"{shown}{', ...' if count > SHOWN_ROWS else ''}"


def _row(row: int, value: Any) -> str:
    return f"row {row}" if value is None else f"row {row} ({brief(value)})"


def not_null(arguments: Any) -> Condition:
    """`not_null: dep_delay`, or a list."""
    return EachValue(
        names_of(arguments),
        wrong=lambda _name, value, _text: value is None,
        said=lambda _name: "is null",
        of_all=True,
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

    mostly: float | None = None

    def __init__(self, arguments: Mapping[str, str]) -> None:
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
        self._each.mostly = self.mostly
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

    def facts(self) -> Mapping[str, Any]:
        """Give counts and rows, where values were looked at."""
        found = self._each.facts()
        return found if found["rows"] else {}


class Unique:
    """`unique: id`, or a list that is unique together. Rows with a null in it pass."""

    mostly: float | None = None

    def __init__(self, arguments: Any) -> None:
        """Hold no keys yet."""
        self._names = names_of(arguments)
        self.columns = frozenset(self._names)
        self._found = Duplicates(shown=EXAMPLES)
        self._rows = 0
        self._whole = 0
        """Rows without a null in the key."""

    def take(self, batch: Batch, table: Table) -> None:
        """Take the keys; only JSON may mix 1 and 1.0 in a column, so only there are values made alike."""
        self._rows += batch.size
        if any(name not in batch.columns for name in self._names):
            return
        mixed = not (table.text or table.types)
        keys = zip(*(batch.columns[name] for name in self._names), strict=True)
        for row, key in enumerate(keys, start=batch.first):
            if None not in key:
                self._whole += 1
                self._found.add(row, repr([hashed(one) for one in key] if mixed else key))

    def complaint(self, table: Table) -> str:
        """Count what came again. Raises StoppedError."""
        self._found.close(table.stop)
        lost = missing(self._names, table)
        if lost or not too_many(self._found.count, self._whole, self.mostly):
            return lost
        shown = ", ".join(f"row {row}" for row, _words in self._found.rows[:SHOWN_ROWS])
        more = ", ..." if self._found.count > SHOWN_ROWS else ""
        what = ", ".join(f"'{name}'" for name in self._names)
        found = f"{self._found.count} of {self._rows} rows{wanted(self.mostly)}"
        return f"{what} repeats an earlier row in {found}: {shown}{more}"

    def facts(self) -> Mapping[str, Any]:
        """Give counts and the first rows, with the key where it is still known."""
        rows = [{"row": row, **({"key": words} if words else {})} for row, words in self._found.rows]
        return {"rows": self._rows, "failed": self._found.count, "examples": rows}


def names_of(arguments: Any) -> tuple[str, ...]:
    """Take one name or several, in the short form or the long one."""
    given = columns_of(arguments)
    return (given,) if isinstance(given, str) else tuple(given)


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
