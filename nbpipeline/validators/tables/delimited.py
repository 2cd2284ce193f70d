"""CSV and its like: one kind of separator, a header line, every value text."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from nbpipeline.validators.tables.table import (
    BATCH,
    NULLS,
    Piece,
    Table,
    UnreadableTableError,
    only_file,
    open_text,
)

LONGEST_FIELD = 1 << 24
"""Characters that one field may have."""
LONGEST_RECORD = 1 << 24
"""Characters that a line, or a row with lines in it, may have: what has more is never held whole."""
_HELD = 1 << 26
"""Characters of rows after which no further ones wait for a full batch."""
_DELIMITERS = ",;\t|"


def read(table: Table, path: Path, wanted: frozenset[str]) -> Iterator[Piece]:
    """Read rows; nulls are what pandas takes for none."""
    only_file(table, path, "a text file")
    with open_text(path) as file:
        yield from _rows(table, path, file, wanted)


def delimiter_of(head: str) -> str:
    """Find what separates the fields of a header line."""
    return max(_DELIMITERS, key=lambda one: (head.count(one), one == ","))


def _rows(table: Table, path: Path, file: TextIO, wanted: frozenset[str]) -> Iterator[Piece]:
    yield from pieces(table, path, Lines(file, path), delimiter_of(head_of(file)), wanted)


def head_of(file: TextIO) -> str:
    """Show the first line, or as much of it as is held."""
    head = file.readline(LONGEST_RECORD)
    file.seek(0)
    return head


class Lines:
    """The lines of a file. Raises UnreadableTableError where those of one row become too long."""

    def __init__(self, file: TextIO, path: Path, hear: Callable[[str], object] | None = None) -> None:
        """`hear` is told each line."""
        self._file, self._path, self._hear = file, path, hear
        self.taken = 0
        """Characters of the row that is being read; whoever has a whole row begins anew."""

    def __iter__(self) -> Iterator[str]:
        """Read no more at a time than may be held."""
        for number, line in enumerate(iter(partial(self._file.readline, LONGEST_RECORD + 1), ""), start=1):
            self.taken += len(line)
            if self.taken > LONGEST_RECORD:
                raise UnreadableTableError(
                    f"{self._path.name} is damaged, or no table: the row at line {number} has more than "
                    f"{LONGEST_RECORD:,} characters"
                )
            if self._hear is not None:
                self._hear(line)
            yield line


def pieces(
    table: Table,
    path: Path,
    lines: Lines,
    delimiter: str,
    wanted: frozenset[str] = frozenset(),
) -> Iterator[Piece]:
    """Read rows from the lines of a file. Raises UnreadableTableError for one that is not as the header."""
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    names = _header(path, reader)
    table.meet_all(path, names)
    places = [(name, place) for place, name in enumerate(names) if name in wanted]
    rows: list[list[str]] = []
    held = lines.taken = 0
    try:
        for row in reader:
            held += lines.taken
            lines.taken = 0
            if not row and len(names) > 1:
                continue
            rows.append(row or [""])
            if len(row or [""]) != len(names):
                raise UnreadableTableError(
                    f"{path.name} is cut or damaged: the row that ends in line {reader.line_num} has "
                    f"{len(row)} fields, the header {len(names)}"
                )
            if len(rows) == BATCH or held > _HELD:
                yield len(rows), _pick(rows, places)
                rows, held = [], 0
    except csv.Error as error:
        raise UnreadableTableError(f"{path.name} is cut or damaged: {error}") from error
    yield len(rows), _pick(rows, places)


def _header(path: Path, reader: Iterator[list[str]]) -> list[str]:
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise UnreadableTableError(f"{path.name} is cut or damaged: {error}") from error
    if not any(name.strip() for name in names):
        raise UnreadableTableError(f"{path.name} has no header line")
    return names


def _pick(rows: list[list[str]], places: list[tuple[str, int]]) -> Mapping[str, Sequence[Any]]:
    return {name: _with_nulls([row[place] for row in rows]) for name, place in places}


def _with_nulls(values: list[str]) -> Sequence[str | None]:
    """Look at all at once first, for most columns have none."""
    if NULLS.isdisjoint(values):
        return values
    return [None if one in NULLS else one for one in values]
