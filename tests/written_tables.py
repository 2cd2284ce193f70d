"""Tables written for tests, in every format that checks read."""

import gzip
import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

QUOTE = '"'


def write(path: Path, records: list[dict]) -> Path:
    """Save records as the file's name says."""
    name = path.name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(records), path)
        return path
    if write_other(path, records):
        return path
    names = list(records[0]) if records else []
    between = "\t" if ".tsv" in name else ","

    def cell(value):
        return "" if value is None else str(value)

    lines = [between.join(names), *(between.join(cell(one[key]) for key in names) for one in records)]
    text = {
        "json": json.dumps(records, indent=1),
        "jsonl": "".join(json.dumps(one) + "\n" for one in records),
    }.get(name.split(".")[-1], "\n".join(lines) + "\n")
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def write_other(path: Path, records: list[dict]) -> bool:
    """Save records as a kind that is no text; False for others."""
    names = list(records[0]) if records else []
    rows = [[one[name] for name in names] for one in records]
    if path.suffix in (".feather", ".arrow"):
        write_arrow(path, pa.Table.from_pylist(records))
    elif path.suffix == ".xlsx":
        write_sheets(path, {"Sheet": [names, *rows]})
    elif path.suffix == ".sqlite":
        write_sqlite(path, {"flights": (names, rows)})
    elif path.suffix == ".duckdb":
        write_duckdb(path, {"flights": pa.Table.from_pylist(records)})
    return path.suffix in (".feather", ".arrow", ".xlsx", ".sqlite", ".duckdb")


def write_arrow(path: Path, table: pa.Table) -> None:
    """A file for `.feather`, a stream for `.arrow`: both are read by what is in them."""
    if path.suffix == ".feather":
        feather.write_feather(table, path)
        return
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def write_sheets(path: Path, sheets: dict[str, list[list]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append([None if isinstance(one, float) and math.isnan(one) else one for one in row])
    book.save(path)


def write_sqlite(path: Path, tables: dict[str, tuple[list[str], list[list]]]) -> None:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as base, base:
        for table, (names, rows) in tables.items():
            kinds = ["BOOLEAN" if name == "late" else "" for name in names]
            listed = ", ".join(
                f'"{name.replace(QUOTE, QUOTE * 2)}" {kind}' for name, kind in zip(names, kinds, strict=True)
            )
            base.execute(f'CREATE TABLE "{table}" ({listed})')
            base.executemany(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(names))})', rows)  # noqa: S608 - of the test


def write_duckdb(path: Path, tables: dict[str, pa.Table]) -> None:
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as base:
        for table, made in tables.items():
            base.register("made", made)
            base.execute(f'CREATE TABLE "{table}" AS SELECT * FROM made')  # noqa: S608 - of the test
            base.unregister("made")
