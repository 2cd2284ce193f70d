"""What a table holds: types, ranges, categories, nulls, uniqueness; in one pass and bounded memory."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbpipeline.validators.measuring import Budget, Categories, Keys, Kind, Range
from nbpipeline.validators.tables import Batch, Table, open_table
from nbpipeline.values import dataclass

_KEYED = ("int", "str", "date", "datetime")
"""Types of keys; that measurements never come twice is chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """One column."""

    type: str
    """In the words of the check `types`, else the file's own; empty where no one type fits."""
    nulls: int
    low: Any = None
    """The least number, or time as a `datetime`; None where it has neither."""
    high: Any = None
    mean: float | None = None
    """Of numbers."""
    categories: Mapping[str, int] | None = None
    """How often each text comes; None where there are too many different ones, or other values."""
    unique: bool | None = None
    """Whether no value comes twice; None where that was not found out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One table."""

    rows: int
    looked: int
    """How many of the rows were looked at: all of them, but where a sample was asked for."""
    columns: Mapping[str, ColumnProfile]

    @property
    def sampled(self) -> bool:
        """Whether some rows were passed over."""
        return self.looked < self.rows

    def null_share(self, name: str) -> float:
        """Give the share of a column's values that are missing, of those looked at."""
        return self.columns[name].nulls / self.looked if self.looked else 0.0


def profile(path: Path, table: str = "", sample: int | None = None) -> Profile:
    """Read a file or folder once.

    With `sample`, every row is counted, but not every one looked at: evenly spread ones, about so many for
    each doubling of the table's length. Raises UnreadableTableError; MissingPluginError.
    """
    opened = open_table(path, table)
    columns: dict[str, _Column] = {}
    budget = Budget()
    rows = looked = 0
    for passed, batch in _thinned(opened.batches(None), sample):
        for name in opened.names:
            if name not in columns:
                columns[name] = _Column(name, opened, budget, before=looked)
        budget.share(len(columns))
        for column in columns.values():
            column.take(batch)
        rows, looked = passed, looked + batch.size
    for name in opened.names:
        columns.setdefault(name, _Column(name, opened, budget, before=looked))
    found = {name: one.found(whole=looked == rows) for name, one in columns.items()}
    return Profile(rows=rows, looked=looked, columns=found)


def _thinned(batches: Iterator[Batch], sample: int | None) -> Iterator[tuple[int, Batch]]:
    """Give the rows to be looked at, each time with how many rows there were so far."""
    passed = looked = 0
    stride = 1
    for batch in batches:
        start = -passed % stride
        passed += batch.size
        kept = range(start, batch.size, stride)
        columns = {name: values[start::stride] for name, values in batch.columns.items()}
        yield passed, Batch(first=batch.first, size=len(kept), columns=columns)
        looked += len(kept)
        if sample is not None and looked >= sample:
            stride, looked = stride * 2, 0


class _Column:
    """What is known of a column so far."""

    def __init__(self, name: str, table: Table, budget: Budget, *, before: int) -> None:
        """`before`: so many rows had no such column."""
        self._name = name
        self._text = table.text
        self._kind = Kind(table.types.get(name), text=table.text)
        self._nulls = before
        self._numbers = Range()
        self._moments = Range()
        self._categories = Categories()
        self._keys = Keys(budget, mixed=not (table.text or table.types))

    def take(self, batch: Batch) -> None:
        """Look at some rows."""
        known = [one for one in batch.columns.get(self._name, ()) if one is not None]
        self._nulls += batch.size - len(known)
        if not known:
            return
        self._kind.take(known)
        if self._kind.may_be("int", "float"):
            self._numbers.take_numbers(known, text=self._text)
        if self._kind.may_be("date", "datetime"):
            self._moments.take_moments(known)
        self._categories.take(known)
        if self._kind.may_be(*_KEYED):
            self._keys.take(known)
        else:
            self._keys.give_up()

    def found(self, *, whole: bool) -> ColumnProfile:
        """Say it; of a part of the rows nobody knows whether they are unique."""
        kind = self._kind.name
        unique = self._keys.unique()
        measured = {
            "int": self._numbers,
            "float": self._numbers,
            "date": self._moments,
            "datetime": self._moments,
        }
        span = measured.get(kind, Range())
        return ColumnProfile(
            type=kind,
            nulls=self._nulls,
            low=span.low,
            high=span.high,
            mean=span.mean,
            categories=self._categories.counts if kind == "str" else None,
            unique=unique if whole and kind in _KEYED else None,
        )
