"""Columns of tables with their types, as far as they can be read at once: CSV, TSV and Parquet."""

import csv
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from nbpipeline.trackers.settings import is_installed
from nbpipeline.values import dataclass

HEAD = 65_536
"""Bytes of a CSV file that are looked at."""
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What a table holds."""

    types: tuple[tuple[str, str], ...]
    """Name and type of each column."""
    rows: int | None = None
    """How many there are, where the file says so."""


def columns_of(path: Path, before: float) -> Columns | None:
    """Read a table's columns; None for what is none, or was written after `before` (Unix time)."""
    with suppress(OSError, ValueError, csv.Error):
        if not path.is_file() or path.stat().st_mtime > before:
            return None
        if path.suffix in _SEPARATORS:
            return _of_text(path, _SEPARATORS[path.suffix])
        if path.suffix == ".parquet" and is_installed("pyarrow.parquet"):
            return _of_parquet(path)
    return None


def _of_parquet(path: Path) -> Columns:
    import pyarrow.parquet as pq  # noqa: PLC0415 - for tables of this kind alone

    with pq.ParquetFile(path) as file:
        types = tuple((one.name, str(one.type)) for one in file.schema_arrow)
        return Columns(types=types, rows=file.metadata.num_rows)


def _of_text(path: Path, separator: str) -> Columns | None:
    with path.open("rb") as file:
        head = file.read(HEAD)
    if len(head) == HEAD:
        head = head[: head.rfind(b"\n") + 1]
    names, *rows = [*csv.reader(head.decode("utf-8-sig").splitlines(), delimiter=separator)] or [[]]
    if not all(names) or len(set(names)) < len(names) or not names:
        return None
    cells = [[row[number] for row in rows if number < len(row)] for number in range(len(names))]
    return Columns(types=tuple((name, _type(one)) for name, one in zip(names, cells, strict=True)))


def _type(texts: Sequence[str]) -> str:
    """Name the narrowest type that all non-empty texts have."""
    held = [text for text in texts if text]
    return next((name for name, reads in _TYPES if held and _all_read(held, reads)), "string")


def _all_read(texts: Sequence[str], reads: Callable[[str], object]) -> bool:
    try:
        for text in texts:
            reads(text)
    except ValueError:
        return False
    return True


def _flag(text: str) -> None:
    if text.lower() not in {"true", "false"}:
        raise ValueError(text)


_TYPES: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("boolean", _flag),
    ("integer", int),
    ("number", float),
    ("timestamp", datetime.fromisoformat),
)
