"""What a table is to a check: batches of columns, a bounded piece at a time."""

import gzip
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path
from typing import Any, TextIO

from nbpipeline.errors import did_you_mean
from nbpipeline.values import dataclass

BATCH = 5_000
"""Rows at a time."""
NULLS = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"})
"""What counts as no value where a value is text, as for pandas."""
_SHOWN = 40

Piece = tuple[int, Mapping[str, Sequence[Any]]]
"""How many rows, and those of their columns that are wanted."""
Reader = Callable[["Table", Path, frozenset[str]], Iterator[Piece]]
"""Reads a file of its format. Raises UnreadableTableError, or what a file that cannot be read raises."""


Stop = Callable[[], bool]
"""Whether whoever wanted to know something of a table no longer does."""


def never() -> bool:
    """Go on to the end."""
    return False


class UnreadableTableError(Exception):
    """The file is no table, or it is cut; the text says what was found."""


class StoppedError(Exception):
    """Reading was broken off, since nobody waits for it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some rows. Nulls and NaN are None; a column that some records lack holds None there."""

    first: int
    """Number of the first row, from 1."""
    size: int
    columns: Mapping[str, Sequence[Any]]


@dataclass(slots=True, kw_only=True)
class Table:
    """A file, or a folder of files of one kind, read once from start to end."""

    files: tuple[Path, ...]
    read: Reader
    text: bool
    """Whether every value is text that stands for something (CSV)."""
    name: str = ""
    """The table of a database, or the sheet of a workbook; empty: the only one, or the first sheet."""
    names: list[str] = field(default_factory=list)
    """Columns met so far: all of them once the batches are through."""
    types: dict[str, str] = field(default_factory=dict)
    """Types told by the file itself (Parquet), in the words of the check `types`."""
    stop: Stop = never
    """Asked before each batch, and while a database thinks."""

    def batches(self, wanted: frozenset[str] | None) -> Iterator[Batch]:
        """Read the wanted columns (None: all of each file). Raises UnreadableTableError, StoppedError."""
        first = 1
        for path in self.files:
            with readable(path):
                for size, columns in self.read(self, path, EVERY if wanted is None else wanted):
                    go_on(self.stop)
                    yield Batch(first=first, size=size, columns=columns)
                    first += size

    def meet_all(self, path: Path, names: Sequence[str], types: Mapping[str, str] | None = None) -> None:
        """Note a file's columns; the files of a folder must agree in them. Raises UnreadableTableError."""
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UnreadableTableError(f"{path.name} names a column twice: {', '.join(twice)}")
        if self.names and (set(self.names) != set(names) or self.types != (types or {})):
            raise UnreadableTableError(f"{path.name} has other columns than {self.files[0].name}")
        self.meet(names)
        self.types.update(types or {})

    def meet(self, names: Iterable[str]) -> None:
        """Note columns, in the order in which they come."""
        for name in names:
            if name not in self.names:
                self.names.append(name)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what a file raises that is damaged, or refuses, into UnreadableTableError."""
    try:
        yield
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, OSError) as error:
        raise UnreadableTableError(f"{path.name} cannot be read: {error}") from error


def go_on(stop: Stop) -> None:
    """Raise StoppedError where nobody waits any more."""
    if stop():
        raise StoppedError


class _Every(frozenset[str]):
    """Holds every name."""

    def __contains__(self, name: object) -> bool:
        return True


EVERY: frozenset[str] = _Every()
"""Where all columns are wanted, whatever they are called."""


def open_text(path: Path) -> TextIO:
    """Open a text file, compressed or not."""
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def not_nan(value: Any) -> Any:
    """Make NaN None."""
    return None if isinstance(value, float) and math.isnan(value) else value


def turned(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> Mapping[str, Sequence[Any]]:
    """Make columns of rows, each with a value for each name; NaN becomes None."""
    return {name: [not_nan(row[place]) for row in rows] for place, name in enumerate(names)}


def chosen(path: Path, noun: str, wanted: str, known: Sequence[str]) -> str:
    """Find the table that is named, or the only one. Raises UnreadableTableError."""
    listed = ", ".join(known[:_SHOWN]) or "none"
    more = f", and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    if wanted and wanted not in known:
        near = did_you_mean(wanted, known)
        guess = f"; did you mean '{near}'?" if near else ""
        raise UnreadableTableError(f"{path.name} has no {noun} '{wanted}'; known: {listed}{more}{guess}")
    if wanted or len(known) == 1:
        return wanted or known[0]
    if not known:
        raise UnreadableTableError(f"{path.name} holds no {noun}")
    raise UnreadableTableError(
        f"{path.name} holds {len(known)} {noun}s: {listed}{more}; "
        f"name one beside the check, as `table: {known[0]}`"
    )


def only_file(table: Table, path: Path, kind: str) -> None:
    """Refuse a table's name where files of that kind hold one only. Raises UnreadableTableError."""
    if table.name:
        raise UnreadableTableError(
            f"{path.name} is {kind}, which holds one table; take `table: {table.name}` out"
        )
