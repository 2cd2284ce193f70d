"""Excel's workbooks (.xlsx), by openpyxl in its read-only mode.

Rows are read one after another; the texts that cells share are held whole, as the format wants it.
"""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from nbpipeline.validators.tables.libraries import lacking
from nbpipeline.validators.tables.table import (
    BATCH,
    NULLS,
    Piece,
    Table,
    UnreadableTableError,
    chosen,
    turned,
)

_NULLS = NULLS | {"#N/A"}
_COMPOUND = bytes.fromhex("d0cf11e0a1b11ae1")
"""How old workbooks begin, and those that a password protects."""
_DAMAGE = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, SyntaxError, TypeError, AttributeError)
"""What openpyxl raises of archives and XML that are cut; XML's own error is a SyntaxError."""


def read(table: Table, path: Path, wanted: frozenset[str]) -> Iterator[Piece]:
    """Read a sheet: the one named, else the first; its first row names the columns."""
    try:
        import openpyxl  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise lacking("openpyxl", path) from error
    with path.open("rb") as file:
        if file.read(len(_COMPOUND)) == _COMPOUND:
            raise UnreadableTableError(
                f"{path.name} is encrypted (protected by a password), or of the old kind .xls; "
                "save it as .xlsx without a password"
            )
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except _DAMAGE as error:
        raise UnreadableTableError(f"{path.name} is cut or damaged: {error}") from error
    try:
        yield from _sheet(table, path, book, wanted)
    except _DAMAGE as error:
        raise UnreadableTableError(f"{path.name} is cut or damaged: {error}") from error
    finally:
        book.close()


def _sheet(table: Table, path: Path, book: Any, wanted: frozenset[str]) -> Iterator[Piece]:
    known = [one.title for one in book.worksheets]
    sheet = book[chosen(path, "sheet", table.name or (known[0] if known else ""), known)]
    sheet.reset_dimensions()  # some programs write wrong ones, and rows would be cut
    rows = sheet.iter_rows(values_only=True)
    head = _trimmed(next(rows, ()))
    if not head:
        raise UnreadableTableError(f"{path.name}: the sheet '{sheet.title}' has no header row")
    names = [f"column {place}" if one is None else str(one) for place, one in enumerate(head, start=1)]
    table.meet_all(path, names)
    places = [place for place, name in enumerate(names) if name in wanted]
    picked = [names[place] for place in places]
    held: list[Sequence[Any]] = []
    for row in _full(path, rows, len(names)):
        held.append([_value(row[place]) for place in places])
        if len(held) == BATCH:
            yield len(held), turned(held, picked)
            held = []
    yield len(held), turned(held, picked)


def _trimmed(row: Sequence[Any]) -> Sequence[Any]:
    """Leave out the empty cells at a row's end."""
    end = next((place for place in range(len(row), 0, -1) if row[place - 1] is not None), 0)
    return row[:end]


def _full(path: Path, rows: Iterator[Sequence[Any]], width: int) -> Iterator[Sequence[Any]]:
    """Make rows as wide as the header; empty ones at the end of the sheet are none."""
    empty: list[Sequence[Any]] = []
    for number, row in enumerate(rows, start=2):
        cells = _trimmed(row)
        if len(cells) > width:
            raise UnreadableTableError(
                f"{path.name}: row {number} has a cell beyond the {width} columns of the header"
            )
        full = [*cells, *[None] * (width - len(cells))]
        if not cells:
            empty.append(full)
            continue
        yield from empty
        empty.clear()
        yield full


def _value(value: Any) -> Any:
    """Undo what the format cannot tell apart: 1 and 1.0 are one number, a day is its midnight."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return None if value in _NULLS else value
    if isinstance(value, datetime) and value.time() == time.min:
        return date(value.year, value.month, value.day)
    return value
