"""DuckDB's databases, read only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbpipeline.validators.tables.libraries import lacking
from nbpipeline.validators.tables.table import BATCH, Piece, Table, UnreadableTableError, chosen, turned

MAGIC = b"DUCK"
MAGIC_AT = 8
_TABLES = """
    SELECT CASE table_schema WHEN 'main' THEN table_name ELSE table_schema || '.' || table_name END,
           table_schema, table_name, table_type
    FROM information_schema.tables WHERE table_catalog = current_database() ORDER BY 2, 3
"""
_SETTINGS: dict[str, Any] = {
    "threads": 2,
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
_TYPES = {
    "BOOLEAN": "bool",
    "TINYINT": "int",
    "SMALLINT": "int",
    "INTEGER": "int",
    "BIGINT": "int",
    "HUGEINT": "int",
    "UTINYINT": "int",
    "USMALLINT": "int",
    "UINTEGER": "int",
    "UBIGINT": "int",
    "UHUGEINT": "int",
    "FLOAT": "float",
    "DOUBLE": "float",
    "DECIMAL": "float",
    "VARCHAR": "str",
    "ENUM": "str",
    "DATE": "date",
}


def read(table: Table, path: Path, wanted: frozenset[str]) -> Iterator[Piece]:
    """Read the table named (`SCHEMA.TABLE` beside `main`), or the only one."""
    try:
        import duckdb  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise lacking("duckdb", path) from error
    log = path.with_name(f"{path.name}.wal")
    if log.is_file() and log.stat().st_size:
        raise UnreadableTableError(
            f"{path.name} is not whole: {log.name} holds changes that are not yet in it; "
            "close the connection when all is written, or `CHECKPOINT`"
        )
    try:
        with duckdb.connect(str(path), read_only=True, config=_SETTINGS) as base:
            yield from _rows(base, table, path, wanted)
    except (duckdb.Error, OverflowError, ValueError) as error:  # the last two: moments Python cannot hold
        raise UnreadableTableError(f"{path.name} cannot be read as a DuckDB database: {error}") from error


def _rows(base: Any, table: Table, path: Path, wanted: frozenset[str]) -> Iterator[Piece]:
    listed = base.execute(_TABLES).fetchall()
    places = {shown: (schema, name) for shown, schema, name, _ in listed}
    tables = [shown for shown, _, _, kind in listed if kind == "BASE TABLE"]
    name = ".".join(
        map(_quoted, places[chosen(path, "table", table.name, list(places) if table.name else tables)])
    )
    types = {one[0]: _type_name(str(one[1])) for one in base.execute(f"DESCRIBE {name}").fetchall()}
    table.meet_all(path, list(types), types)
    picked = [column for column in types if column in wanted]
    if not picked:
        yield base.execute(f"SELECT count(*) FROM {name}").fetchone()[0], {}  # noqa: S608 - quoted
        return
    rows = base.execute(f"SELECT {', '.join(map(_quoted, picked))} FROM {name}")  # noqa: S608 - quoted
    while held := rows.fetchmany(BATCH):
        yield len(held), turned(held, picked)


def _type_name(kind: str) -> str:
    """Say a type in the words of the check `types`; others by DuckDB's own name."""
    if kind.endswith("]"):
        return kind
    return "datetime" if kind.startswith("TIMESTAMP") else _TYPES.get(kind.partition("(")[0], kind)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
