"""Tables of all kinds as frames, in bounded memory."""

import gzip
import sqlite3

import duckdb
import openpyxl
import pandas as pd
import pytest

from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.validators import frames, great_expectations
from nbpipeline.validators.frames import UnreadableFrameError, read_frame

TABLE = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"]})


def database(path):
    with sqlite3.connect(path) as connection:
        TABLE.to_sql("flights", connection, index=False)
    connection.close()


def duck(path):
    with duckdb.connect(str(path)) as connection:
        connection.sql("CREATE TABLE flights AS SELECT * FROM (VALUES (1, 'x'), (2, NULL), (3, 'z')) t(a, b)")


def workbook(path):
    TABLE.to_excel(path, sheet_name="flights", index=False)


WRITERS = {
    "t.csv": lambda path: TABLE.to_csv(path, index=False),
    "t.tsv": lambda path: TABLE.to_csv(path, index=False, sep="\t"),
    "t.csv.gz": lambda path: path.write_bytes(gzip.compress(TABLE.to_csv(index=False).encode())),
    "t.json": lambda path: TABLE.to_json(path, orient="records"),
    "t.jsonl": lambda path: TABLE.to_json(path, orient="records", lines=True),
    "t.parquet": lambda path: TABLE.to_parquet(path, index=False),
    "t.feather": TABLE.to_feather,
    "t.xlsx": workbook,
    "t.sqlite": database,
    "t.db": database,
    "t.duckdb": duck,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_is_read_alike(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    found = read_frame(path)
    assert (found.rows, found.step, found.said) == (3, 1, "")
    assert list(found.data.index) == [1, 2, 3]
    assert list(found.data["a"]) == [1, 2, 3]
    assert list(found.data["b"].isna()) == [False, True, False]
    assert list(found.data["b"].dropna()) == ["x", "z"]


@pytest.mark.parametrize("name", [one for one in WRITERS if one != "t.tsv"])
def test_what_is_damaged_is_no_table(tmp_path, name):
    """A negative control of each reader."""
    path = tmp_path / name
    path.write_bytes(b"\x00\x01 this is \xff no table")
    with pytest.raises(UnreadableFrameError, match=name):
        read_frame(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.csv", "nowhere.csv is not there"),
        ("t.txt", r"t.txt is no table that can be read; known kinds: .csv, .tsv"),
    ],
)
def test_what_is_no_table_by_its_name(tmp_path, name, words):
    (tmp_path / "t.txt").write_text("x")
    with pytest.raises(UnreadableFrameError, match=words):
        read_frame(tmp_path / name)


def test_a_table_or_sheet_is_named_where_there_are_several(tmp_path):
    path = tmp_path / "t.sqlite"
    database(path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE planes (n INT)")
    connection.close()
    book = openpyxl.Workbook()
    book.create_sheet("planes").append(["n"])
    book.save(tmp_path / "t.xlsx")
    for one, kind, first in ((path, "table", "flights"), (tmp_path / "t.xlsx", "sheet", "Sheet")):
        with pytest.raises(UnreadableFrameError, match=f"2 {kind}s: {first}, planes; name one with `table:`"):
            read_frame(one)
        with pytest.raises(UnreadableFrameError, match=f"no {kind} 'plane'; known: {first}, planes"):
            read_frame(one, "plane")
        assert list(read_frame(one, "planes").data.columns) == ["n"]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json", "t.parquet", "t.sqlite"])
def test_a_table_too_large_for_memory_is_sampled_all_over(tmp_path, monkeypatch, name):
    monkeypatch.setattr(frames, "ROWS", 1_000)
    large = pd.DataFrame({"n": range(20_000)})
    path = tmp_path / name
    if name == "t.sqlite":
        with sqlite3.connect(path) as connection:
            large.to_sql("large", connection, index=False)
        connection.close()
    else:
        writers = {
            "t.csv": lambda: large.to_csv(path, index=False),
            "t.json": lambda: large.to_json(path, orient="records"),
            "t.jsonl": lambda: large.to_json(path, orient="records", lines=True),
            "t.parquet": lambda: large.to_parquet(path, index=False),
        }
        writers[name]()
    found = read_frame(path, limit=60_000)
    assert found.rows == 20_000
    assert found.step in (4, 8)
    assert list(found.data["n"]) == list(range(0, 20_000, found.step))
    assert list(found.data.index[:2]) == [1, 1 + found.step]
    assert found.data.memory_usage(deep=True).sum() <= 70_000
    assert found.said == (
        f"only every {found.step}th row was looked at, {20_000 // found.step} of 20000: "
        "the table is too large for memory"
    )


def test_a_check_says_that_it_saw_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "ROWS", 1_000)
    monkeypatch.setattr(great_expectations, "read_frame", lambda path, table: read_frame(path, table, 60_000))
    path = tmp_path / "t.csv"
    pd.DataFrame({"n": range(20_000)}).to_csv(path, index=False)
    one = Check(
        name="expect_column_values_to_be_between",
        arguments={"column": "n", "max": 19_990},
        where=Location(path="n.ipynb"),
    )
    (verdict,) = great_expectations.validate((path,), (one,))
    assert not verdict.passed
    assert "of 20000: the table is too large for memory" in verdict.message
    assert verdict.details["sampled"]["of"] == 20_000


def test_a_folder_is_one_table(tmp_path):
    for number in (1, 2):
        TABLE.to_csv(tmp_path / f"{number}.csv", index=False)
    assert list(read_frame(tmp_path).data.index) == [1, 2, 3, 4, 5, 6]
    TABLE.to_parquet(tmp_path / "3.parquet")
    with pytest.raises(UnreadableFrameError, match="several kinds"):
        read_frame(tmp_path)


def test_an_empty_table_has_its_columns(tmp_path):
    none = TABLE.iloc[:0]
    none.to_csv(tmp_path / "t.csv", index=False)
    none.to_parquet(tmp_path / "t.parquet", index=False)
    none.to_excel(tmp_path / "t.xlsx", index=False)
    for one in tmp_path.iterdir():
        found = read_frame(one)
        assert (found.rows, list(found.data.columns)) == (0, ["a", "b"])
