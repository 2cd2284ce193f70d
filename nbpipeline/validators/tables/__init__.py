"""Tables of every kind that a check can read: one module a format."""

from pathlib import Path

from nbpipeline.validators.tables import delimited, duckdb, excel, feather, parquet, records, sqlite
from nbpipeline.validators.tables.table import (
    Batch,
    Reader,
    Stop,
    StoppedError,
    Table,
    UnreadableTableError,
    never,
)

__all__ = [
    "FORMATS",
    "Batch",
    "Stop",
    "StoppedError",
    "Table",
    "UnreadableTableError",
    "never",
    "open_table",
    "suffix_of",
]


FORMATS: dict[str, Reader] = {
    ".csv": delimited.read,
    ".tsv": delimited.read,
    ".json": records.read,
    ".jsonl": records.read,
    ".ndjson": records.read,
    ".parquet": parquet.read,
    ".pq": parquet.read,
    ".feather": feather.read,
    ".arrow": feather.read,
    ".xlsx": excel.read,
    ".sqlite": sqlite.read,
    ".sqlite3": sqlite.read,
    ".db": sqlite.read,
    ".duckdb": duckdb.read,
}
"""By the end of a file's name, `.gz` aside."""
COMPRESSED = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
"""What is also read with `.gz` at the end."""
_TEXT = (".csv", ".tsv")


def suffix_of(path: Path) -> str:
    """Tell the kind of a file by its name, compression aside: `.csv` of `flights.csv.gz`."""
    name = path.name.lower()
    whole = next((one for one in FORMATS if name.endswith(one)), "")
    return whole or next((one for one in COMPRESSED if name.endswith(f"{one}.gz")), "")


def open_table(path: Path, name: str = "", stop: Stop = never) -> Table:
    """Find what is to be read: the table `name` of a database, the sheet of a workbook; until `stop` says so.

    Raises UnreadableTableError where it is no table by its name.
    """
    files: tuple[Path, ...] = (path,)
    if path.is_dir():
        files = tuple(sorted(one for one in path.rglob("*") if one.is_file() and suffix_of(one)))
    if not files or not suffix_of(files[0]):
        raise UnreadableTableError(
            f"{path.name} is no table that can be read; known kinds: {', '.join(FORMATS)}, "
            f".gz of {', '.join(COMPRESSED)}"
        )
    kinds = {suffix_of(one) for one in files}
    if len(kinds) > 1:
        raise UnreadableTableError(f"{path.name} holds several kinds of tables: {', '.join(sorted(kinds))}")
    kind = kinds.pop()
    read = FORMATS[kind]
    if kind == ".db" and _is_duckdb(files[0]):
        read = duckdb.read
    return Table(files=files, read=read, text=kind in _TEXT, name=name, stop=stop)


def _is_duckdb(path: Path) -> bool:
    """Tell by its first bytes whose database a file is whose name says only that it is one."""
    try:
        with path.open("rb") as file:
            return file.read(duckdb.MAGIC_AT + len(duckdb.MAGIC)).endswith(duckdb.MAGIC)
    except OSError:
        return False
