"""Tables of all kinds as frames, in bounded memory."""

import gzip
import sqlite3
import tracemalloc

import duckdb
import numpy as np
import openpyxl
import pandas as pd
import pytest

from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.validators import columns, frames, great_expectations
from nbpipeline.validators.frames import read_frame
from nbpipeline.validators.tables import UnreadableTableError, delimited
from nbpipeline.validators.tables.table import NULLS

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
    with pytest.raises(UnreadableTableError, match=name):
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
    with pytest.raises(UnreadableTableError, match=words):
        read_frame(tmp_path / name)


def test_a_table_or_sheet_is_named_where_there_are_several(tmp_path):
    path = tmp_path / "t.sqlite"
    database(path)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE planes (n INT)")
    connection.close()
    with pytest.raises(UnreadableTableError, match="2 tables: flights, planes; name one"):
        read_frame(path)
    with pytest.raises(UnreadableTableError, match="no table 'plane'; known: flights, planes"):
        read_frame(path, "plane")
    assert list(read_frame(path, "planes").data.columns) == ["n"]


def test_of_a_workbook_the_first_sheet_is_read_as_it_stands(tmp_path):
    book = openpyxl.Workbook()
    for row in (["a", None, "c"], [1, 2, 3], [4, 5, 6], [None, None, None]):
        book.active.append(row)
    book.create_sheet("planes").append(["n"])
    book.save(tmp_path / "t.xlsx")
    found = read_frame(tmp_path / "t.xlsx")
    assert {name: list(found.data[name]) for name in found.data} == {
        "a": [1, 4],
        "column 2": [2, 5],
        "c": [3, 6],
    }
    assert list(read_frame(tmp_path / "t.xlsx", "planes").data.columns) == ["n"]


@pytest.mark.parametrize("text", ["a,b\n1,2,\n3,4,\n", "a,b\n1,2\n3\n"])
def test_rows_of_another_length_than_the_header_are_damage(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(
        UnreadableTableError, match=r"t.csv is cut or damaged: the row that ends in line \d has"
    ):
        read_frame(tmp_path / "t.csv")


def test_a_word_far_down_makes_the_whole_column_text(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "ROWS", 2)
    (tmp_path / "t.csv").write_text("a,b\n1,1\n,2\n5,3\n5,4\nx,5\n5,6\n")
    found = read_frame(tmp_path / "t.csv").data
    assert list(found["a"].dropna()) == ["1", "5", "5", "x", "5"]
    assert list(found["b"]) == [1, 2, 3, 4, 5, 6]


def test_such_a_column_stands_as_it_is_written_also_in_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "ROWS", 2)
    written = ["1.50", "007", "", "1e3", "0x", "2"]
    text = "a,b\n" + "".join(f"{one},1\n" for one in written)
    (tmp_path / "t.csv").write_text(text)
    assert list(read_frame(tmp_path / "t.csv").data["a"].fillna("")) == written
    sample = read_frame(tmp_path / "t.csv", limit=500)
    assert sample.step > 1
    assert list(sample.data["a"].fillna("")) == written[:: sample.step]


def test_truth_values_and_numbers_are_no_one_column(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "ROWS", 2)
    (tmp_path / "t.csv").write_text("a,b\n1,1\n0,2\nTrue,3\nFalse,4\n")
    assert list(read_frame(tmp_path / "t.csv").data["a"]) == ["1", "0", "True", "False"]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_text_file_is_read_once_and_only_a_mixed_column_makes_it_twice(tmp_path, monkeypatch, name):
    monkeypatch.setattr(frames, "ROWS", 1_000)
    opened = []
    real = frames.open_text
    monkeypatch.setattr(frames, "open_text", lambda path: opened.append(path) or real(path))
    monkeypatch.setattr(delimited, "open_text", lambda path: opened.append(path) or real(path))
    path = tmp_path / name
    plain = "n,empty,word\n" + "".join(f"{n},,w{n}\n" for n in range(3_000))
    for text, times in ((plain, 1), (plain.replace("2999,", "x,"), 2)):
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
        opened.clear()
        assert read_frame(path).rows == 3_000
        assert len(opened) == times


def test_damage_far_down_is_found_in_the_same_reading(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "ROWS", 1_000)
    rows = "".join(f"{n},1\n" for n in range(12_000))
    for last, words in (
        ("5\n", "the row that ends in line 12002 has 1 fields, the header 2"),
        ('5,"x\n', "t.csv is"),
    ):
        (tmp_path / "t.csv").write_text(f"a,b\n{rows}{last}")
        with pytest.raises(UnreadableTableError, match=words):
            read_frame(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"a,b\n" + rows.encode() + b"\xff,1\n")
    with pytest.raises(UnreadableTableError, match=r"t\.csv cannot be read: 'utf-8' codec"):
        read_frame(tmp_path / "t.csv")
    whole = gzip.compress(f"a,b\n{rows}".encode())
    (tmp_path / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableTableError, match=r"t.csv.gz cannot be read: "):
        read_frame(tmp_path / "t.csv.gz")


@pytest.mark.parametrize("value", [*sorted(NULLS - {""}), "n/a", "#N/A", "-nan", "1.#IND"])
def test_what_is_no_value_is_so_for_all_validators(tmp_path, value):
    (tmp_path / "t.csv").write_text(f"a,b\n{value},1\n")
    (own,) = columns.validate(
        (tmp_path / "t.csv",), (Check(name="not_null", arguments="a", where=Location(path="n.ipynb")),)
    )
    assert list(read_frame(tmp_path / "t.csv").data["a"].isna()) == [not own.passed]


def test_blank_lines_count_alike(tmp_path):
    (tmp_path / "one.csv").write_text("a\n1\n\n3\n")
    (tmp_path / "two.csv").write_text("a,b\n1,2\n\n3,4\n")
    assert list(read_frame(tmp_path / "one.csv").data["a"].fillna(0)) == [1, 0, 3]
    assert list(read_frame(tmp_path / "two.csv").data["a"]) == [1, 3]


def test_line_ends_and_line_breaks_in_fields(tmp_path):
    (tmp_path / "t.csv").write_bytes(b'a,b\r\n1,"x\r\ny"\r\n2,z\r\n')
    found = read_frame(tmp_path / "t.csv").data
    assert (list(found["a"]), list(found["b"])) == ([1, 2], ["x\r\ny", "z"])


def test_a_database_that_is_not_whole_is_damage(tmp_path):
    path = tmp_path / "t.sqlite"
    database(path)
    (tmp_path / "t.sqlite-wal").write_bytes(b"not yet in the database")
    with pytest.raises(UnreadableTableError, match=r"t\.sqlite"):
        read_frame(path)


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


def test_what_is_thinned_is_let_go_at_once():
    """Beside the rows that are kept stands no second copy of all of them."""
    limit = 8_000_000
    sampler = frames._Sampler(limit=limit)
    tracemalloc.start()
    try:
        for _ in range(60):
            sampler.take(pd.DataFrame(np.zeros((5_000, 4))))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (sampler.rows, sampler.step) == (300_000, 2)
    assert peak < 1.2 * limit


def sampled(tmp_path, monkeypatch, name, **arguments):
    monkeypatch.setattr(frames, "ROWS", 1_000)
    monkeypatch.setattr(great_expectations, "read_frame", lambda path, table: read_frame(path, table, 60_000))
    path = tmp_path / "t.csv"
    pd.DataFrame({"n": range(20_000)}).to_csv(path, index=False)
    (verdict,) = great_expectations.validate(
        (path,), (Check(name=name, arguments=arguments, where=Location(path="n.ipynb")),)
    )
    return verdict


def test_a_check_says_that_it_saw_a_sample(tmp_path, monkeypatch):
    between = "expect_column_values_to_be_between"
    verdict = sampled(tmp_path, monkeypatch, between, column="n", max=19_990)
    assert not verdict.passed
    assert "of 20000: the table is too large for memory" in verdict.message
    assert verdict.details["sampled"]["of"] == 20_000
    verdict = sampled(tmp_path, monkeypatch, between, column="n", max=20_000)
    assert verdict.passed
    assert verdict.details["sampled"]["of"] == 20_000


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("expect_table_row_count_to_equal", {"value": 20_000}),
        ("expect_column_values_to_be_unique", {"column": "n"}),
        ("expect_column_sum_to_be_between", {"column": "n", "min": 0, "max": 1e12}),
    ],
)
def test_what_is_about_all_rows_is_not_tried_on_some(tmp_path, monkeypatch, name, arguments):
    verdict = sampled(tmp_path, monkeypatch, name, **arguments)
    assert not verdict.passed
    assert verdict.message.startswith("it cannot be tried, for it is about all rows, and only every ")


def test_a_column_called_row_hides_no_row_s_number(tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame({"row": [9_007_199_254_740_993, 7], "n": [0.5, 2.5]}).to_csv(path, index=False)
    one = Check(
        name="expect_column_values_to_be_between",
        arguments={"column": "n", "min": 1},
        where=Location(path="n.ipynb"),
    )
    (verdict,) = great_expectations.validate((path,), (one,))
    assert verdict.details["examples"] == [{"row": 1, "n": 0.5, "row (column)": 9_007_199_254_740_993}]
    assert "row 1 (" in verdict.message


def test_a_folder_is_one_table(tmp_path):
    for number in (1, 2):
        TABLE.to_csv(tmp_path / f"{number}.csv", index=False)
    assert list(read_frame(tmp_path).data.index) == [1, 2, 3, 4, 5, 6]
    TABLE.to_parquet(tmp_path / "3.parquet")
    with pytest.raises(UnreadableTableError, match="several kinds"):
        read_frame(tmp_path)


def test_an_empty_table_has_its_columns(tmp_path):
    none = TABLE.iloc[:0]
    none.to_csv(tmp_path / "t.csv", index=False)
    none.to_parquet(tmp_path / "t.parquet", index=False)
    none.to_excel(tmp_path / "t.xlsx", index=False)
    for one in tmp_path.iterdir():
        found = read_frame(one)
        assert (found.rows, list(found.data.columns)) == (0, ["a", "b"])
