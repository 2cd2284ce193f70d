"""CSV and its like: one kind of separator, a header line, every value text."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    head = file.readline()
    file.seek(0)
    yield from pieces(table, path, file, delimiter_of(head), wanted)


def pieces(
    table: Table,
    path: Path,
    lines: Iterable[str],
    delimiter: str,
    wanted: frozenset[str] = frozenset(),
) -> Iterator[Piece]:
    """Read rows from the lines of a file. Raises UnreadableTableError for one that is not as the header."""
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    names = _header(path, reader)
    table.meet_all(path, names)
    places = [(name, place) for place, name in enumerate(names) if name in wanted]
    rows: list[list[str]] = []
    try:
        for row in reader:
            if not row and len(names) > 1:
                continue
            rows.append(row or [""])
            if len(row or [""]) != len(names):
                raise UnreadableTableError(
                    f"{path.name} is cut or damaged: the row that ends in line {reader.line_num} has "
                    f"{len(row)} fields, the header {len(names)}"
                )
            if len(rows) == BATCH:
                yield len(rows), _pick(rows, places)
                rows = []
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
