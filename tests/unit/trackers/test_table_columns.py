"""Columns of tables, read at once or not at all."""

import os
import time

import pytest

from nbpipeline.trackers.columns import HEAD, columns_of


@pytest.fixture
def later():
    return time.time() + 60


def test_a_csv_has_names_and_the_narrowest_types(tmp_path, later):
    path = tmp_path / "a.csv"
    path.write_text(
        "\ufeffid,late,day,ok,name,empty,mixed\n1,0.5,2026-01-02,true,a,,1\n2,,2026-01-03T04:05:06,False,b,,x\n"
    )
    found = columns_of(path, later)
    assert found is not None
    assert found.types == (
        ("id", "integer"),
        ("late", "number"),
        ("day", "timestamp"),
        ("ok", "boolean"),
        ("name", "string"),
        ("empty", "string"),
        ("mixed", "string"),
    )
    assert found.rows is None


def test_of_a_large_one_only_the_head_is_read(tmp_path, later):
    path = tmp_path / "a.tsv"
    path.write_text("id\tname\n" + "1\tx\n" * HEAD + "no number\ty\n")
    found = columns_of(path, later)
    assert found is not None
    assert found.types == (("id", "integer"), ("name", "string"))


def test_parquet_says_how_many_rows(tmp_path, later):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(
        pa.table({"id": [1, 2], "at": pa.array([0, 1], pa.timestamp("us"))}), tmp_path / "a.parquet"
    )
    found = columns_of(tmp_path / "a.parquet", later)
    assert found is not None
    assert (found.types, found.rows) == ((("id", "int64"), ("at", "timestamp[us]")), 2)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b""),
        ("a.csv", b"a,a\n1,2\n"),
        ("a.csv", b"a,\n1,2\n"),
        ("a.csv", b"\xff\xfe\x00"),
        ("a.csv", b'"' + b"x" * 200_000),
        ("a.parquet", b"no Parquet"),
        ("a.txt", b"a,b\n"),
        ("a.bin", b"a"),
    ],
)
def test_what_is_no_table_has_none(tmp_path, later, name, data):
    (tmp_path / name).write_bytes(data)
    assert columns_of(tmp_path / name, later) is None


def test_what_was_written_since_is_not_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    os.utime(path, (1000.0, 1000.0))
    assert columns_of(path, 999.0) is None
    assert columns_of(path, 1001.0) is not None
    assert columns_of(tmp_path / "none.csv", 1001.0) is None
    assert columns_of(tmp_path, 1e12) is None
