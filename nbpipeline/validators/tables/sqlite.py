"""SQLite's databases, read only and leaving no file beside them."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from nbpipeline.validators.tables.table import (
    BATCH,
    Piece,
    Table,
    UnreadableTableError,
    chosen,
    go_on,
    turned,
)

MAGIC = b"SQLite format 3\x00"
_JOURNAL = bytes.fromhex("d9d505f920a163d7")
_BOOLS = {0: False, 1: True}
_STEPS = 100_000
"""Of SQLite's machine, some milliseconds, after which it asks whether to go on."""


def read(table: Table, path: Path, wanted: frozenset[str]) -> Iterator[Piece]:
    """Read the table named, or the only one."""
    _refuse_unfinished(path)
    try:
        # Immutable: nothing is locked, no -wal, -shm or -journal is made; what such a file would hold was
        # refused above.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as base:
            base.set_progress_handler(lambda: int(table.stop()), _STEPS)
            yield from _rows(base, table, path, wanted)
    except (sqlite3.Error, OverflowError) as error:
        go_on(table.stop)
        raise UnreadableTableError(f"{path.name} cannot be read as a SQLite database: {error}") from error


def _refuse_unfinished(path: Path) -> None:
    """Refuse a database part of which stands in the file beside it. Raises UnreadableTableError."""
    log = path.with_name(f"{path.name}-wal")
    if log.is_file() and log.stat().st_size:
        raise UnreadableTableError(
            f"{path.name} is not whole: {log.name} holds changes that are not yet in it; "
            "close the connection when all is written, or `PRAGMA wal_checkpoint(TRUNCATE)`"
        )
    journal = path.with_name(f"{path.name}-journal")
    if journal.is_file():
        with journal.open("rb") as file:
            if file.read(len(_JOURNAL)) == _JOURNAL:
                raise UnreadableTableError(
                    f"{path.name} is not whole: {journal.name} was left by a writer that died or has not "
                    "committed; commit, and close the connection"
                )


def _rows(base: sqlite3.Connection, table: Table, path: Path, wanted: frozenset[str]) -> Iterator[Piece]:
    listed = base.execute(
        "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY rowid"
    )
    kinds = {name: kind for name, kind in listed if not name.startswith("sqlite_")}
    tables = [name for name, kind in kinds.items() if kind == "table"]
    name = _quoted(chosen(path, "table", table.name, list(kinds) if table.name else tables))
    declared = {one[1]: str(one[2] or "") for one in base.execute(f"PRAGMA table_info({name})")}
    table.meet_all(path, list(declared))
    picked = [column for column in declared if column in wanted]
    if not picked:
        yield base.execute(f"SELECT count(*) FROM {name}").fetchone()[0], {}  # noqa: S608 - quoted
        return
    flags = [place for place, column in enumerate(picked) if declared[column].upper().startswith("BOOL")]
    rows = base.execute(f"SELECT {', '.join(map(_quoted, picked))} FROM {name}")  # noqa: S608 - quoted
    while held := rows.fetchmany(BATCH):
        yield len(held), turned([_with_bools(row, flags) for row in held] if flags else held, picked)


def _with_bools(row: Sequence[Any], places: Sequence[int]) -> Sequence[Any]:
    """Read the 0 and 1 of columns declared BOOLEAN as what they stand for."""
    made = list(row)
    for place in places:
        value = made[place]
        made[place] = _BOOLS.get(value, value) if isinstance(value, int) else value
    return made


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
