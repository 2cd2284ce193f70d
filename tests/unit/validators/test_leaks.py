"""Leak checks: splits that share nothing pass, and each kind of leak is found, word for word."""

from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_tables import write, write_sqlite

from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.validators import arguments as arguments_
from nbpipeline.validators import columns, overlaps
from nbpipeline.validators.leaks import key_part


def check(name, arguments, table: str = "", **others: Path) -> Check:
    paths = {other: (str(path),) for other, path in others.items()}
    return Check(name=name, arguments=arguments, where=Location(path="n.ipynb"), table=table, others=paths)


def message(path: Path, name: str, arguments, **others) -> str:
    (found,) = columns.validate((path,), (check(name, arguments, **others),))
    return found.message


def split(folder: Path, name: str, ids, suffix: str = "csv", day: str = "2013-01-0") -> Path:
    records = [{"id": one, "day": f"{day}{place % 9 + 1}"} for place, one in enumerate(ids)]
    return write(folder / f"{name}.{suffix}", records)


DAY = datetime(2020, 1, 1)  # noqa: DTZ001 - tables mostly know no zones
KINDS = ["csv", "json", "parquet", "feather", "xlsx", "sqlite", "duckdb"]


@pytest.mark.parametrize("mine", KINDS)
@pytest.mark.parametrize("theirs", ["csv", "parquet", "xlsx"])
def test_shared_keys_are_found_between_all_kinds(tmp_path, mine, theirs):
    train = split(tmp_path, "train", [1, 2, 3, 4], mine)
    good, bad = split(tmp_path, "good", [5, 6], theirs), split(tmp_path, "bad", [9, 3, 1], theirs)
    arguments = {"other": "valid", "columns": ["id"]}
    assert message(train, "disjoint_from", arguments, valid=good) == ""
    words = "'id' is also in 'valid' in 2 of 4 rows: row 1 (1), row 3 (3)"
    assert message(train, "disjoint_from", arguments, valid=bad) == words


def test_several_others_and_several_columns(tmp_path):
    train = write(tmp_path / "train.csv", [{"a": one, "b": one % 2} for one in range(9)])
    valid = write(tmp_path / "valid.csv", [{"a": one, "b": one % 2} for one in range(4)])
    test = write(tmp_path / "test.csv", [{"a": 8, "b": 0}, {"a": 7, "b": 0}])
    arguments = {"other": ["valid", "test"], "columns": ["a", "b"]}
    assert message(train, "disjoint_from", arguments, valid=valid, test=test) == (
        "'a', 'b' is also in 'valid' in 4 of 9 rows: row 1 (0, 0), row 2 (1, 1), row 3 (2, 0), ...; "
        "'a', 'b' is also in 'test' in 1 of 9 rows: row 9 (8, 0)"
    )
    assert message(test, "disjoint_from", {"other": "valid", "columns": ["a", "b"]}, valid=valid) == ""


def test_rows_without_a_key_leak_nothing(tmp_path):
    train, valid = split(tmp_path, "train", [1, None]), split(tmp_path, "valid", [None, 2])
    assert message(train, "disjoint_from", {"other": "valid", "column": "id"}, valid=valid) == ""


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (17, "17", True),
        (17, 17.0, True),
        ("17.0", "17", True),
        ("017", "17", False),
        ("-017", "-17", False),
        ("0.5", 0.5, True),
        ("0", 0, True),
        (True, 1, False),
        ("a", "A", False),
        ("2020-01-01", DAY, True),
        (date(2020, 1, 1), DAY, True),
        ("N1", "N1 ", False),
        (None, "None", False),
    ],
)
def test_which_keys_are_one(first, second, same):
    assert (key_part(first) == key_part(second)) is same


def test_keys_that_pandas_made_floats_are_still_found(tmp_path):
    train = tmp_path / "train.parquet"
    pq.write_table(pa.table({"id": pa.array([1.0, None, 3.0])}), train)
    valid = tmp_path / "valid.parquet"
    pq.write_table(pa.table({"id": pa.array([3, 4])}), valid)
    assert message(train, "disjoint_from", {"other": "valid", "columns": "id"}, valid=valid) == (
        "'id' is also in 'valid' in 1 of 3 rows: row 3 (3.0)"
    )


def test_time_order(tmp_path):
    train, valid = split(tmp_path, "train", range(5)), split(tmp_path, "valid", [1, 2], day="2013-02-0")
    arguments = {"other": "valid", "column": "day"}
    assert message(train, "earlier_than", arguments, valid=valid) == ""
    assert message(valid, "earlier_than", {"other": "train", "column": "day"}, train=train) == (
        "'day' is not earlier than the first of 'train' (2013-01-01) in 2 of 2 rows: "
        "row 1 (2013-02-01), row 2 (2013-02-02)"
    )
    late = split(tmp_path, "late", range(3), "parquet", day="2013-01-0")
    assert message(
        train, "earlier_than", {"other": ["valid", "late"], "column": "day"}, valid=valid, late=late
    ) == (
        "'day' is not earlier than the first of 'late' (2013-01-01) in 5 of 5 rows: "
        "row 1 (2013-01-01), row 2 (2013-01-02), row 3 (2013-01-03), ..."
    )


def test_the_border_itself(tmp_path):
    train = write(tmp_path / "train.csv", [{"year": 2011}, {"year": 2012}, {"year": None}])
    valid = write(tmp_path / "valid.csv", [{"year": 2012}, {"year": 2013}])
    assert message(train, "earlier_than", {"other": "valid", "column": "year"}, valid=valid) == (
        "'year' is not earlier than the first of 'valid' (2012) in 1 of 3 rows: row 2 (2012)"
    )
    arguments = {"other": "valid", "column": "year", "or_equal": True}
    assert message(train, "earlier_than", arguments, valid=valid) == ""
    early = write(tmp_path / "early.csv", [{"year": 2010}])
    assert message(train, "earlier_than", arguments | {"other": "early"}, early=early) == (
        "'year' is not earlier than or at the first of 'early' (2010) in 2 of 3 rows: row 1 (2011), row 2 (2012)"
    )


def test_tables_of_one_database(tmp_path):
    path = tmp_path / "splits.sqlite"
    write_sqlite(path, {"train": (["id"], [[1], [2]]), "test": (["id"], [[2], [3]])})
    arguments = {"other": "splits", "columns": "id", "other_table": "test"}
    words = "'id' is also in 'splits' in 1 of 2 rows: row 2 (2)"
    assert message(path, "disjoint_from", arguments, splits=path, table="train") == words
    arguments = {"other": "splits", "column": "id", "other_table": "test", "or_equal": True}
    assert message(path, "earlier_than", arguments, splits=path, table="train") == ""


def test_what_cannot_be_compared(tmp_path):
    train, valid = split(tmp_path, "train", [1, 2]), split(tmp_path, "valid", [3])
    arguments = {"other": "valid", "columns": ["id"]}
    gone = tmp_path / "gone.csv"
    assert message(train, "disjoint_from", arguments, valid=gone) == "'valid' (gone.csv) is not there"
    cut = tmp_path / "cut.csv"
    cut.write_text("id,day\n1\n")
    words = "'valid': cut.csv is cut or damaged: the row that ends in line 2 has 1 fields, the header 2"
    assert message(train, "disjoint_from", arguments, valid=cut) == words
    assert message(train, "disjoint_from", {"other": "valid", "columns": "ID"}, valid=valid) == (
        "'valid': column 'ID' missing; known columns: id, day"
    )
    other = write(tmp_path / "other.csv", [{"key": 1}])
    words = "column 'key' missing; known columns: id, day"
    assert message(train, "disjoint_from", {"other": "other", "columns": "key"}, other=other) == words
    assert message(train, "earlier_than", {"other": "other", "column": "key"}, other=other) == words
    text = write(tmp_path / "text.csv", [{"day": "soon"}])
    words = "'day' of 'text' is no number or time: row 1 (soon)"
    assert message(train, "earlier_than", {"other": "text", "column": "day"}, text=text) == words
    figures = write(tmp_path / "figures.csv", [{"day": 1}])
    words = "'day' holds numbers in one of the others and times in another"
    arguments = {"other": ["valid", "figures"], "column": "day"}
    assert message(train, "earlier_than", arguments, valid=valid, figures=figures) == words
    assert message(train, "earlier_than", arguments) == "there is no artifact 'valid' to compare with"


def test_the_rest_is_checked_where_the_other_is_gone(tmp_path):
    train = split(tmp_path, "train", [1, 2])
    given = (
        check("disjoint_from", {"other": "valid", "columns": "id"}, valid=tmp_path / "gone.csv"),
        check("rows", {"min": 1}),
    )
    assert [one.passed for one in columns.validate((train,), given)] == [False, True]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        (
            "disjoint_from",
            "valid",
            "'disjoint_from' wants a mapping with other, column, columns, other_table, not 'valid'",
        ),
        (
            "disjoint_from",
            {"columns": "id"},
            "'disjoint_from' wants the name of another artifact or a list of them as other, not None",
        ),
        (
            "disjoint_from",
            {"other": "valid"},
            "'disjoint_from' wants a column's name or a list of them, not None",
        ),
        (
            "earlier_than",
            {"other": "valid"},
            "'earlier_than' wants the name of one column, as `column: NAME`",
        ),
        (
            "earlier_than",
            {"other": "valid", "column": "a", "or_equal": 1},
            "'earlier_than' wants true or false as or_equal, not 1",
        ),
        (
            "earlier_than",
            {"othr": "valid", "other": "x", "column": "a"},
            "'earlier_than' has no 'othr'; known: other, column, or_equal, other_table; did you mean 'other'?",
        ),
        (
            "earlier_than",
            {"other": "x", "column": "a", "other_table": 3},
            "'earlier_than' wants the name of a table or sheet as other_table, not 3",
        ),
    ],
)
def test_wrong_arguments(name, arguments, words):
    assert columns.complaints(check(name, arguments)) == (words,)
    assert arguments_.compared_with(check(name, arguments)) == ()


def test_which_artifacts_are_looked_at():
    sound = check("disjoint_from", {"other": ["valid", "test"], "columns": "id"})
    assert arguments_.compared_with(sound) == ("valid", "test")
    assert arguments_.compared_with(check("earlier_than", {"other": "valid", "column": "day"})) == ("valid",)
    assert arguments_.compared_with(check("rows", {"min": 1})) == ()


@given(
    st.lists(st.integers(0, 30), max_size=60), st.lists(st.integers(0, 30), max_size=60), st.integers(0, 40)
)
def test_overlaps_are_the_same_in_memory_and_on_disk(others, own, in_memory):
    found = overlaps.Overlap(shown=3, in_memory=in_memory)
    for place, key in enumerate(others):
        found.hold(300 * (place % 2), str(key))
    for row, key in enumerate(own, start=1):
        found.add(row, str(key), (key,))
    found.close()
    rows = [row for row, key in enumerate(own, start=1) if key in others]
    assert sum(found.counts.values()) == len(rows)
    shown = sorted(row for some in found.rows.values() for row, _ in some)
    assert shown[:3] == rows[:3]
    assert all(words in ("", str(own[row - 1])) for some in found.rows.values() for row, words in some)
