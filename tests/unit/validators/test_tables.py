"""Workbooks, databases and Arrow files: which table is read, what is refused, and that nothing is left or changed."""

import sqlite3
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import duckdb
import openpyxl
import pyarrow as pa
import pytest
from written_tables import write_arrow, write_duckdb, write_sheets, write_sqlite

from nbpipeline import plugins
from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.validators import columns
from nbpipeline.validators.tables import open_table

FLIGHTS = (["id", "origin"], [[1, "EWR"], [2, "JFK"]])
DAY = datetime(2020, 1, 2)  # noqa: DTZ001 - a workbook knows no zones
PLANES = (["tail", "year"], [["N1", 1999], ["N2", None], ["N3", 2004]])


def check(name: str, arguments=None, table: str = "") -> Check:
    return Check(name=name, arguments=arguments, where=Location(path="n.ipynb"), table=table)


def message(path: Path, name: str, arguments=None, table: str = "") -> str:
    (found,) = columns.validate((path,), (check(name, arguments, table),))
    return found.message


def as_arrow(table) -> pa.Table:
    names, rows = table
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})


@pytest.fixture(params=["sqlite", "duckdb", "db", "duckdb as db"])
def two_tables(request, tmp_path) -> Path:
    path = tmp_path / f"a.{request.param.split()[-1]}"
    if "duckdb" in request.param:
        write_duckdb(path, {"flights": as_arrow(FLIGHTS), "planes": as_arrow(PLANES)})
    else:
        write_sqlite(path, {"flights": FLIGHTS, "planes": PLANES})
    return path


def test_a_check_names_the_table(two_tables):
    assert message(two_tables, "rows", {"min": 3}, "planes") == ""
    assert message(two_tables, "rows", {"max": 2}, "planes") == "3 rows, at most 2 wanted"
    assert message(two_tables, "not_null", {"column": "id"}, "flights") == ""
    assert (
        message(two_tables, "not_null", {"columns": ["tail", "year"]}, "planes")
        == "'year' is null in 1 of 3 rows: row 2"
    )
    assert message(two_tables, "unique", {"columns": ["tail"]}, "planes") == ""
    assert message(two_tables, "types", {"id": "int", "origin": "str"}, "flights") == ""
    assert message(two_tables, "types", {"id": "str"}, "flights")
    assert message(two_tables, "columns", {"only": ["id", "origin"]}, "flights") == ""
    assert message(two_tables, "between", {"column": "year", "min": 1990}, "planes") == ""
    assert message(two_tables, "in_set", {"column": "origin", "values": ["EWR"]}, "flights") == (
        "'origin' is none of EWR in 1 of 2 rows: row 2 (JFK)"
    )


def test_a_database_of_several_tables_wants_a_name(two_tables):
    words = (
        f"{two_tables.name} holds 2 tables: flights, planes; name one beside the check, as `table: flights`"
    )
    assert message(two_tables, "rows", {"min": 1}) == words
    words = f"{two_tables.name} has no table 'plains'; known: flights, planes; did you mean 'planes'?"
    assert message(two_tables, "rows", {"min": 1}, "plains") == words
    assert message(two_tables, "exists") == ""


def test_checks_of_several_tables_fail_apart(two_tables):
    given = [
        check("rows", {"min": 3}, "planes"),
        check("rows", {"min": 1}, "nothing"),
        check("rows", {"min": 1}, "flights"),
    ]
    assert [one.passed for one in columns.validate((two_tables,), tuple(given))] == [True, False, True]


def test_only_databases_and_workbooks_have_tables_to_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    words = "a.csv is a text file, which holds one table; take `table: flights` out"
    assert message(path, "rows", {"min": 1}, "flights") == words


def test_views_are_read_by_name(tmp_path):
    path = tmp_path / "a.sqlite"
    write_sqlite(path, {"flights": FLIGHTS})
    with sqlite3.connect(path) as base:
        base.execute("CREATE VIEW late AS SELECT * FROM flights WHERE id > 1")
    base.close()
    assert message(path, "rows", {"max": 2, "min": 2}) == "", "the only table, the view aside"
    assert message(path, "rows", {"max": 1, "min": 1}, "late") == ""


def test_names_that_want_quotes(tmp_path):
    names = ['a "b"', "select"]
    for path, write in ((tmp_path / "a.sqlite", write_sqlite), (tmp_path / "a.duckdb", write_duckdb)):
        table = (names, [[1, 2], [3, 4]])
        write(path, {"my table": as_arrow(table) if path.suffix == ".duckdb" else table})
        assert message(path, "not_null", names) == ""
        assert message(path, "rows", {"max": 1}, "my table") == "2 rows, at most 1 wanted"


def test_schemas_of_duckdb(tmp_path):
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as base:
        base.execute("CREATE SCHEMA raw; CREATE TABLE raw.flights AS SELECT 1 AS a")
        base.execute("CREATE TABLE flights AS SELECT 1 AS a UNION ALL SELECT 2")
    assert message(path, "rows", {"max": 1}, "raw.flights") == ""
    assert message(path, "rows", {"min": 2}, "flights") == ""


def test_types_of_duckdb(tmp_path):
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as base:
        base.execute(
            "CREATE TABLE t AS SELECT 1::UTINYINT AS i, 1.5::DECIMAL(9, 2) AS d, 'x' AS s, true AS b, "
            "DATE '2020-01-01' AS day, TIMESTAMP '2020-01-01 12:00:00' AS at, [1, 2] AS list, "
            "'NaN'::DOUBLE AS nan, TIMESTAMPTZ '2020-01-01 12:00:00+00' AS zoned"
        )
    wanted = {
        "i": "int",
        "d": "float",
        "s": "str",
        "b": "bool",
        "day": "date",
        "at": "datetime",
        "zoned": "datetime",
    }
    assert message(path, "types", wanted) == ""
    assert message(path, "types", {"list": "int"}) == "'list' is INTEGER[], int wanted"
    assert message(path, "not_null", [*wanted, "list"]) == ""
    assert message(path, "not_null", "nan") == "'nan' is null in 1 of 1 row: row 1"


@pytest.mark.parametrize("suffix", ["sqlite", "duckdb", "feather", "xlsx"])
def test_reading_changes_nothing_and_leaves_nothing(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "sqlite":
        write_sqlite(path, {"flights": FLIGHTS})
        with sqlite3.connect(path) as base:
            base.execute("PRAGMA journal_mode=wal")
        base.close()
    elif suffix == "duckdb":
        write_duckdb(path, {"flights": as_arrow(FLIGHTS)})
    elif suffix == "feather":
        write_arrow(path, as_arrow(FLIGHTS))
    else:
        write_sheets(path, {"flights": [FLIGHTS[0], *FLIGHTS[1]]})
    before = (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir()))
    path.chmod(0o444)
    assert message(path, "unique", "id") == ""
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before


LEFT = {
    "a.sqlite": "import os, sqlite3; c = sqlite3.connect('a.sqlite'); c.execute('PRAGMA journal_mode=wal'); "
    "c.execute('CREATE TABLE t (a)'); c.execute('INSERT INTO t VALUES (1)'); c.commit(); os._exit(0)",
    "a.db": "import os, sqlite3; c = sqlite3.connect('a.db'); c.execute('CREATE TABLE t (a)'); c.commit(); "
    "c.execute('PRAGMA cache_size=1'); c.execute('PRAGMA cache_spill=1'); "
    "c.executemany('INSERT INTO t VALUES (?)', [('x' * 3000,)] * 500); os._exit(0)",
    "a.duckdb": "import os, duckdb; c = duckdb.connect('a.duckdb'); c.execute('CREATE TABLE t AS SELECT 1 AS a'); "
    "c.execute('CHECKPOINT'); c.execute('INSERT INTO t VALUES (2)'); os._exit(0)",
}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "a.sqlite",
            (
                "a.sqlite is not whole: a.sqlite-wal holds changes that are not yet in it; "
                "close the connection when all is written, or `PRAGMA wal_checkpoint(TRUNCATE)`"
            ),
        ),
        (
            "a.db",
            (
                "a.db is not whole: a.db-journal was left by a writer that died or has not committed; "
                "commit, and close the connection"
            ),
        ),
        (
            "a.duckdb",
            (
                "a.duckdb is not whole: a.duckdb.wal holds changes that are not yet in it; "
                "close the connection when all is written, or `CHECKPOINT`"
            ),
        ),
    ],
)
def test_a_database_that_its_writer_did_not_finish(tmp_path, name, words):
    subprocess.run([sys.executable, "-c", LEFT[name]], cwd=tmp_path, check=True, timeout=60)
    before = sorted((one.name, one.read_bytes()) for one in tmp_path.iterdir())
    assert message(tmp_path / name, "rows", {"min": 1}) == words
    assert sorted((one.name, one.read_bytes()) for one in tmp_path.iterdir()) == before


@pytest.mark.parametrize("suffix", ["xlsx", "sqlite", "db", "duckdb", "feather", "arrow"])
@pytest.mark.parametrize("content", [b"", b"no table at all, but some bytes of text" * 9])
def test_what_is_no_file_of_its_kind(tmp_path, suffix, content):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    found = message(path, "rows", {"min": 0})
    assert found.startswith("a."), found
    assert any(
        word in found for word in ("cannot be read", "cut or damaged", "is empty", "holds no table")
    ), found


@pytest.mark.parametrize("suffix", ["xlsx", "sqlite", "duckdb", "feather", "arrow"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_files_that_are_cut(tmp_path, suffix, share):
    path = tmp_path / f"a.{suffix}"
    table = (["id", "text"], [[number, f"{number} {'x' * 50}"] for number in range(3000)])
    if suffix == "sqlite":
        write_sqlite(path, {"t": table})
    elif suffix == "duckdb":
        write_duckdb(path, {"t": as_arrow(table)})
    elif suffix == "xlsx":
        write_sheets(path, {"t": [table[0], *table[1]]})
    else:
        write_arrow(path, as_arrow(table))
    assert message(path, "not_null", ["id", "text"]) == ""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    found = message(path, "not_null", ["id", "text"])
    assert found.startswith(f"a.{suffix} "), found
    assert "cut or damaged" in found or "cannot be read" in found


@pytest.mark.parametrize(
    ("suffix", "library", "extra"),
    [("xlsx", "openpyxl", "tables"), ("duckdb", "duckdb", "tables"), ("feather", "pyarrow", "data")],
)
def test_a_missing_library_says_what_to_install(tmp_path, monkeypatch, suffix, library, extra):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(Exception, match=f"needs {library}, which is not installed") as caught:
        message(path, "rows", {"min": 1})
    assert plugins.install(extra) in str(caught.value)
    assert caught.value.exit_code == 5


# --- workbooks ---------------------------------------------------------------------------------------


def test_the_first_sheet_or_the_one_named(tmp_path):
    path = tmp_path / "a.xlsx"
    write_sheets(path, {"flights": [["id"], [1], [2]], "notes": [["text"], ["x"]]})
    assert message(path, "rows", {"min": 2, "max": 2}) == ""
    assert message(path, "columns", {"only": ["text"]}, "notes") == ""
    words = "a.xlsx has no sheet 'note'; known: flights, notes; did you mean 'notes'?"
    assert message(path, "rows", {"min": 1}, "note") == words


def test_what_cells_hold(tmp_path):
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["id", "day", "at", "flag", "share", "text", None])
    sheet.append([1.0, DAY, DAY.replace(hour=3), True, 0.5, "#N/A"])
    sheet.append([2, date(2020, 1, 3), DAY.replace(day=3, hour=4), False, 1, "x"])
    sheet.cell(row=9, column=1).fill = openpyxl.styles.PatternFill("solid", fgColor="00FF00")
    book.save(path)
    kinds = {"id": "int", "day": "date", "at": "datetime", "flag": "bool", "share": "float", "text": "str"}
    assert message(path, "types", kinds) == ""
    assert message(path, "rows", {"min": 2, "max": 2}) == "", "rows that are only coloured are none"
    assert message(path, "not_null", "text") == "'text' is null in 1 of 2 rows: row 1"
    assert message(path, "between", {"column": "day", "min": "2020-01-02", "max": "2020-01-03"}) == ""


def test_empty_rows_between_are_rows(tmp_path):
    path = tmp_path / "a.xlsx"
    write_sheets(path, {"a": [["id"], [1], [None], [3]]})
    assert message(path, "not_null", "id") == "'id' is null in 1 of 3 rows: row 2"


def test_sheets_that_are_no_tables(tmp_path):
    path = tmp_path / "a.xlsx"
    write_sheets(path, {"a": [[None], [1]]})
    assert message(path, "rows", {"min": 0}) == "a.xlsx: the sheet 'a' has no header row"
    write_sheets(path, {"a": [["id"], [1, 2]]})
    assert message(path, "rows", {"min": 0}) == "a.xlsx: row 2 has a cell beyond the 1 columns of the header"
    write_sheets(path, {"a": [["id", "id"], [1, 2]]})
    assert message(path, "rows", {"min": 0}) == "a.xlsx names a column twice: id"


def test_an_encrypted_workbook(tmp_path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600)
    assert message(path, "rows", {"min": 0}) == (
        "a.xlsx is encrypted (protected by a password), or of the old kind .xls; save it as .xlsx without a password"
    )


# --- Arrow -------------------------------------------------------------------------------------------


def test_long_batches_are_cut(tmp_path):
    table = pa.table({"a": list(range(45_000)), "b": pa.array(["x"] * 45_000).dictionary_encode()})
    for name in ("a.feather", "a.arrow"):
        path = tmp_path / name
        write_arrow(path, table)
        opened = open_table(path)
        batches = list(opened.batches(frozenset({"b"})))
        assert sum(one.size for one in batches) == 45_000
        assert max(one.size for one in batches) <= 20_000
        assert batches[0].columns.keys() == {"b"}
        assert opened.types == {"a": "int", "b": "str"}
        assert sum(one.size for one in open_table(path).batches(frozenset())) == 45_000
        assert next(iter(open_table(path).batches(None))).columns.keys() == {"a", "b"}


def test_feather_of_version_1(tmp_path):
    path = tmp_path / "a.feather"
    path.write_bytes(b"FEA1" + b"\0" * 50)
    words = "a.feather is Feather of version 1, which is no longer read; write it anew"
    assert message(path, "rows", {"min": 0}) == words


def test_a_folder_of_feather_files_is_one_table(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    for name in ("1.feather", "2.feather"):
        write_arrow(folder / name, as_arrow(FLIGHTS))
    assert message(folder, "rows", {"min": 4, "max": 4}) == ""
    assert message(folder, "unique", "id") == "'id' repeats an earlier row in 2 of 4 rows: row 3, row 4"
