"""The built-in checks: each with data that passes and data that it must refuse, word for word."""

import json
import math
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written_tables import write

from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.validators import columns, duplicates, frames
from nbpipeline.validators.tables import UnreadableTableError, delimited, open_table, records
from nbpipeline.validators.values import hashed, is_member, number

RECORDS = [
    {"id": 1, "origin": "EWR", "distance": 1400.5, "on": "2013-01-01", "late": True},
    {"id": 2, "origin": "JFK", "distance": 200.0, "on": "2013-01-02", "late": False},
    {"id": 3, "origin": "LGA", "distance": 733.0, "on": "2013-01-03", "late": True},
]
FORMATS = ["csv", "tsv", "csv.gz", "json", "jsonl", "parquet", "feather", "arrow", "xlsx", "sqlite", "duckdb"]


def check(name, arguments=None):
    return Check(name=name, arguments=arguments, where=Location(path="n.ipynb"))


def message(path: Path, name: str, arguments=None) -> str:
    (found,) = columns.validate((path,), (check(name, arguments),))
    assert found.passed is (found.message == "")
    return found.message


@pytest.fixture(params=FORMATS)
def path(request, tmp_path) -> Path:
    return tmp_path / f"flights.{request.param}"


def changed(**values):
    """The records with the second one changed."""
    return [RECORDS[0], {**RECORDS[1], **values}, RECORDS[2]]


# --- every check in every format ---------------------------------------------------------------


def test_exists(path):
    assert message(path, "exists") == f"{path.name} is not there"
    write(path, RECORDS)
    assert message(path, "exists") == ""


def test_rows(path):
    write(path, RECORDS)
    assert message(path, "rows", {"min": 3, "max": 3}) == ""
    assert message(path, "rows", {"min": 4}) == "3 rows, at least 4 wanted"
    assert message(path, "rows", {"max": 2}) == "3 rows, at most 2 wanted"


def test_columns(path):
    write(path, RECORDS)
    assert message(path, "columns", ["id", "late"]) == ""
    assert message(path, "columns", {"only": ["id", "origin", "distance", "on", "late", "more"]}) == ""
    assert (
        message(path, "columns", ["id", "orign"])
        == "column 'orign' missing; known columns: id, origin, distance, on, late; did you mean 'origin'?"
    )
    assert (
        message(path, "columns", {"only": ["id", "origin"]})
        == "columns 'distance', 'on', 'late' not allowed; allowed: id, origin"
    )


def test_not_null(path):
    write(path, RECORDS)
    assert message(path, "not_null", ["id", "origin"]) == ""
    write(path, changed(origin=None))
    assert message(path, "not_null", "origin") == "'origin' is null in 1 of 3 rows: row 2"
    assert message(path, "not_null", ["id", "origin"]) == "'origin' is null in 1 of 3 rows: row 2"


def test_nan_counts_as_null(path):
    write(path, changed(distance=math.nan))
    assert message(path, "not_null", "distance") == "'distance' is null in 1 of 3 rows: row 2"


def test_a_missing_column_names_those_known(path):
    write(path, RECORDS)
    words = (
        "column 'distanse' missing; known columns: id, origin, distance, on, late; did you mean 'distance'?"
    )
    assert message(path, "not_null", "distanse") == words
    assert message(path, "between", {"column": "distanse", "min": 0}) == words
    assert message(path, "in_set", {"column": "distanse", "values": [1]}) == words
    assert message(path, "unique", "distanse") == words
    assert message(path, "types", {"distanse": "float"}) == words


def test_between(path):
    write(path, RECORDS)
    low, high = (
        ("200", "733") if path.suffix == ".xlsx" else ("200.0", "733.0")
    )  # a workbook knows one kind of numbers
    assert message(path, "between", {"column": "distance", "min": 200, "max": 1400.5}) == ""
    assert (
        message(path, "between", {"column": "distance", "min": 201})
        == f"'distance' is not at least 201 in 1 of 3 rows: row 2 ({low})"
    )
    assert (
        message(path, "between", {"column": "distance", "max": 700})
        == f"'distance' is not at most 700 in 2 of 3 rows: row 1 (1400.5), row 3 ({high})"
    )
    assert (
        message(path, "between", {"column": "distance", "min": 300, "max": 800})
        == f"'distance' is not between 300 and 800 in 2 of 3 rows: row 1 (1400.5), row 2 ({low})"
    )


def test_between_passes_nulls_and_refuses_text(path):
    write(path, changed(distance=None))
    assert message(path, "between", {"column": "distance", "min": 700}) == ""
    assert (
        message(path, "between", {"column": "origin", "min": 0})
        == "'origin' is not at least 0 in 3 of 3 rows: row 1 (EWR), row 2 (JFK), row 3 (LGA)"
    )


def test_between_dates(path):
    write(path, RECORDS)
    assert message(path, "between", {"column": "on", "min": "2013-01-01", "max": "2013-12-31T23:59"}) == ""
    assert (
        message(path, "between", {"column": "on", "min": "2013-01-02"})
        == "'on' is not at least 2013-01-02 in 1 of 3 rows: row 1 (2013-01-01)"
    )


def test_in_set(path):
    write(path, RECORDS)
    assert message(path, "in_set", {"column": "origin", "values": ["EWR", "JFK", "LGA"]}) == ""
    assert message(path, "in_set", {"column": "id", "values": [1, 2, 3.0]}) == ""
    assert message(path, "in_set", {"column": "late", "values": [True, False]}) == ""
    assert (
        message(path, "in_set", {"column": "origin", "values": ["EWR", "LGA"]})
        == "'origin' is none of EWR, LGA in 1 of 3 rows: row 2 (JFK)"
    )
    assert message(path, "in_set", {"column": "late", "values": [True]}) == (
        "'late' is none of True in 1 of 3 rows: row 2 (False)"
    )


def test_unique(path):
    write(path, RECORDS)
    assert message(path, "unique", "id") == ""
    assert message(path, "unique", ["late", "id"]) == ""
    assert message(path, "unique", "late") == "'late' repeats an earlier row in 1 of 3 rows: row 3"
    write(path, [*RECORDS, RECORDS[1]])
    assert (
        message(path, "unique", ["id", "origin"])
        == "'id', 'origin' repeats an earlier row in 1 of 4 rows: row 4"
    )


def test_types(path):
    write(path, RECORDS)
    sound = {"id": "int", "origin": "str", "distance": "float", "late": "bool"}
    assert message(path, "types", sound) == ""
    assert message(path, "types", {"id": "float"}) == ""
    refused = message(path, "types", {"origin": "int"})
    if path.suffix in (".parquet", ".feather", ".arrow", ".duckdb"):
        assert refused == "'origin' is str, int wanted"
    else:
        assert refused == "'origin' is no int in 3 of 3 rows: row 1 (EWR), row 2 (JFK), row 3 (LGA)"
    assert message(path, "types", {"distance": "int"})
    assert message(path, "types", {"distance": "bool"})


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_dates_in_text(tmp_path, name):
    path = write(tmp_path / f"a.{name}", RECORDS)
    assert message(path, "types", {"on": "date"}) == ""
    assert message(path, "types", {"on": "datetime"}) == ""
    assert message(path, "types", {"origin": "date"}).startswith("'origin' is no date in 3 of 3 rows")
    assert message(path, "types", {"origin": "datetime"}).startswith("'origin' is no datetime in 3 of 3 rows")


def test_types_of_parquet_are_the_files_own(tmp_path):
    table = pa.table(
        {
            "when": pa.array([1], pa.timestamp("us")),
            "day": pa.array([1], pa.date32()),
            "code": pa.array(["a"]).dictionary_encode(),
            "nothing": pa.nulls(1),
        }
    )
    path = tmp_path / "t.parquet"
    pq.write_table(table, path)
    assert message(path, "types", {"when": "datetime", "day": "date", "code": "str", "nothing": "int"}) == ""
    assert message(path, "types", {"day": "datetime"}) == ""
    assert message(path, "types", {"when": "date"}) == "'when' is datetime, date wanted"
    assert message(path, "between", {"column": "when", "min": "1970-01-01", "max": "1970-01-02"}) == ""
    assert message(path, "between", {"column": "day", "min": "1970-01-03"}).startswith(
        "'day' is not at least"
    )


def test_the_first_three_failing_rows_are_shown(tmp_path):
    path = write(tmp_path / "a.csv", [{"a": None, "b": 1}] * 30)
    rows = ", ".join(f"row {number}" for number in range(1, 4))
    assert message(path, "not_null", "a") == f"'a' is null in 30 of 30 rows: {rows}, ..."
    later = ", ".join(f"row {number}" for number in range(2, 5))
    assert message(path, "unique", "b") == f"'b' repeats an earlier row in 29 of 30 rows: {later}, ..."


# --- files that are no tables, or damaged ------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "", "a.csv has no header line"),
        (
            "a.csv",
            "a,b\n1,2\n3",
            "a.csv is cut or damaged: the row that ends in line 3 has 1 fields, the header 2",
        ),
        ("a.csv", 'a,b\n1,"2\n', "a.csv is cut or damaged: unexpected end of data"),
        ("a.csv", "a,a\n1,2\n", "a.csv names a column twice: a"),
        (
            "a.csv",
            b"a\n\xff\xfe\n",
            "a.csv cannot be read: 'utf-8' codec can't decode byte 0xff in position 2: invalid start byte",
        ),
        (
            "a.json",
            '[{"a": 1}, {"a"',
            "a.json is cut or damaged: Expecting ':' delimiter: line 1 column 16 (char 15)",
        ),
        ("a.json", '[{"a": 1}, ', "a.json is cut or damaged: a record is wanted after a comma"),
        ("a.json", '[{"a": 1}', "a.json is cut: the array has no end"),
        ("a.json", "[", "a.json is cut: the array has no end"),
        ("a.json", '[{"a": 1}] more', "a.json: text after the end of the array"),
        ("a.json", "[1, 2]", "a.json is no JSON array of records, nor JSON lines"),
        ("a.json", '"text"', "a.json is no JSON array of records, nor JSON lines"),
        (
            "a.jsonl",
            '{"a": 1}\n{"a": ',
            "a.jsonl is cut or damaged: Expecting value: line 2 column 7 (char 15)",
        ),
        (
            "a.joblib",
            "x",
            "a.joblib is no table that can be read; known kinds: .csv, .tsv, .json, .jsonl, .ndjson, .parquet, .pq, .feather, .arrow, .xlsx, .sqlite, .sqlite3, .db, .duckdb, .gz of .csv, .tsv, .json, .jsonl, .ndjson",
        ),
    ],
)
def test_damaged_files_fail_with_what_is_wrong(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message(path, "not_null", "a") == words
    assert message(path, "rows", {"min": 0}) == words
    assert message(path, "exists") == ""


def test_a_parquet_or_gzip_file_cut_in_half(tmp_path):
    for name in ("a.parquet", "a.csv.gz"):
        path = write(tmp_path / name, RECORDS)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert message(path, "rows", {"min": 1}).startswith(f"{name} ")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    import sys

    path = write(tmp_path / "a.parquet", RECORDS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Exception, match="needs pyarrow") as caught:
        message(path, "not_null", "id")
    assert str(caught.value) == (
        "checking a.parquet needs pyarrow, which is not installed.\n"
        "  mend: pip install 'pyarrow>=18' 'pandas>=2.2', "
        "or in a clone of nbpipeline: pip install -e '.[data]'"
    )
    assert caught.value.exit_code == 5
    assert message(path, "exists") == ""


# --- folders, several files, odd tables --------------------------------------------------------


def test_a_folder_is_one_table(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    write(folder / "1.parquet", RECORDS[:2])
    write(folder / "2.parquet", RECORDS[2:])
    (folder / "_SUCCESS").write_text("")
    assert message(folder, "rows", {"min": 3, "max": 3}) == ""
    assert message(folder, "unique", "id") == ""
    write(folder / "3.parquet", RECORDS[:1])
    assert message(folder, "unique", "id") == "'id' repeats an earlier row in 1 of 4 rows: row 4"
    write(folder / "4.parquet", [{"id": 9}])
    assert message(folder, "unique", "id") == "4.parquet has other columns than 1.parquet"


def test_several_files_are_told_apart(tmp_path):
    good, bad = write(tmp_path / "good.csv", RECORDS), write(tmp_path / "bad.csv", changed(id=None))
    (found,) = columns.validate((good, bad), (check("not_null", "id"),))
    assert found.message == "bad.csv: 'id' is null in 1 of 3 rows: row 2"


def test_semicolons_quotes_marks_and_blank_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeff"name; full";a\n"Müller;\nAnna";1\n\n"x";2\n'.encode())
    assert message(path, "columns", {"only": ["name; full", "a"]}) == ""
    assert message(path, "rows", {"min": 2, "max": 2}) == ""
    assert message(path, "types", {"a": "int"}) == ""


def test_a_single_json_object_is_one_record(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text('{"auc": 0.71, "by": {"eu": 1}}')
    assert message(path, "between", {"column": "auc", "min": 0.7}) == ""
    assert message(path, "between", {"column": "auc", "min": 0.8}) == (
        "'auc' is not at least 0.8 in 1 of 1 row: row 1 (0.71)"
    )


def test_json_records_longer_than_what_is_read_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "CHUNK", 7)
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"a": "ü" * number} for number in range(1, 60)]), encoding="utf-8")
    assert message(path, "rows", {"min": 59, "max": 59}) == ""
    assert message(path, "unique", "a") == ""


# --- how checks are written ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        (
            "not_nul",
            "a",
            "no check is called 'not_nul'; known checks: exists, rows, columns, types, not_null, between, in_set, unique, disjoint_from, earlier_than; did you mean 'not_null'?",
        ),
        ("exists", False, "'exists' wants nothing or true, not False"),
        ("rows", 5, "'rows' wants a mapping with min, max, not 5"),
        ("rows", {}, "'rows' wants min, max or both"),
        ("rows", {"mim": 5, "max": 6}, "'rows' has no 'mim'; known: min, max; did you mean 'min'?"),
        ("rows", {"min": "5"}, "'rows' wants a whole number from 0 as min, not '5'"),
        ("rows", {"min": 5, "max": 4}, "'rows' can never pass: min 5 is more than max 4"),
        ("columns", "a", "'columns' wants a list of names, or a mapping with required, only, not 'a'"),
        ("columns", [1], "'columns' wants a list of names, or a mapping with required, only, not [1]"),
        ("columns", {"required": "a"}, "'columns' wants a list of names as required, not 'a'"),
        ("columns", {}, "'columns' wants required, only or both"),
        ("types", ["a"], "'types' wants a mapping of column: type, not ['a']"),
        (
            "types",
            {"a": ["int"]},
            "'types' knows no type ['int'] (column 'a'); known: int, float, str, bool, datetime, date; did you mean 'int'?",
        ),
        ("types", {1: "int"}, "'types' wants names of columns as text, not 1: put it in quotes"),
        (
            "types",
            {"a": "flot"},
            "'types' knows no type 'flot' (column 'a'); known: int, float, str, bool, datetime, date; did you mean 'float'?",
        ),
        ("not_null", None, "'not_null' wants a column's name or a list of them, not None"),
        ("unique", [], "'unique' wants a column's name or a list of them, not []"),
        ("between", {"min": 1}, "'between' wants the name of one column, as `column: NAME`"),
        ("between", {"column": "a"}, "'between' wants min, max or both"),
        ("between", {"column": "a", "min": True}, "'between' wants a number or an ISO date as min, not True"),
        (
            "between",
            {"column": "a", "min": 2, "max": 1},
            "'between' can never pass: min 2 is more than max 1",
        ),
        (
            "between",
            {"column": "a", "min": 2, "max": "2013-01-01"},
            "'between' wants min and max of one kind, not 2 and '2013-01-01'",
        ),
        (
            "in_set",
            {"column": "a", "values": []},
            "'in_set' wants a list with at least one entry as values, not []",
        ),
        ("in_set", ["a"], "'in_set' wants a mapping with column, values, not ['a']"),
    ],
)
def test_wrong_arguments_are_told_before_data_is_read(tmp_path, name, arguments, words):
    assert columns.complaints(check(name, arguments)) == (words,)
    assert message(tmp_path / "nowhere.csv", name, arguments).startswith(words)


# --- properties ------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(), st.integers(-1000, 1000), st.floats(allow_nan=True, allow_infinity=False, width=32)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(VALUES, min_size=1, max_size=50),
    st.integers(-1000, 1000),
    st.sampled_from(["csv", "json", "jsonl"]),
)
def test_counts_agree_with_a_plain_count(tmp_path, values, low, suffix):
    path = write(tmp_path / f"a.{suffix}", [{"a": one, "row": row} for row, one in enumerate(values)])
    known = [one for one in values if one is not None and not math.isnan(one)]
    nulls, small = len(values) - len(known), sum(one < low for one in known)
    told = message(path, "not_null", "a")
    assert (f" in {nulls} of {len(values)} " in told) if nulls else told == ""
    told = message(path, "between", {"column": "a", "min": low})
    assert (f" in {small} of {len(values)} " in told) if small else told == ""
    again = len(known) - len({str(one) for one in known} if suffix == "csv" else set(known))
    told = message(path, "unique", "a")
    assert (f" in {again} of {len(values)} " in told) if again else told == ""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=120), st.integers(0, 40))
def test_duplicates_are_the_same_in_memory_and_on_disk(keys, in_memory):
    found = duplicates.Duplicates(shown=5, in_memory=in_memory)
    for row, key in enumerate(keys, start=1):
        found.add(row, str(key))
    found.close()
    seen: set[int] = set()
    rows = [row for row, key in enumerate(keys, start=1) if key in seen or seen.add(key)]
    assert found.count == len(rows)
    assert [row for row, _ in found.rows] == rows[:5]


# --- most values, and what is kept beside the message ------------------------------------------


def verdict(path: Path, name: str, arguments=None, mostly=None):
    one = Check(name=name, arguments=arguments, where=Location(path="n.ipynb"), mostly=mostly)
    return columns.validate((path,), (one,))[0]


@pytest.mark.parametrize(
    ("name", "arguments", "share"),
    [
        ("not_null", "a", 0.75),  # 3 of 4 rows
        ("between", {"column": "a", "max": 2}, 2 / 3),  # 2 of the 3 that are there
        ("in_set", {"column": "a", "values": [1, 2]}, 2 / 3),
        ("types", {"b": "int"}, 0.5),
        ("unique", "c", 0.75),
    ],
)
def test_it_may_hold_for_most_values(tmp_path, name, arguments, share):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,1,1\n2,x,2\n3,2,3\n,y,1\n")
    assert verdict(path, name, arguments, share - 0.01).passed
    failed = verdict(path, name, arguments, share + 0.01)
    assert not failed.passed
    assert f"(at least {100 * (share + 0.01):g} % must hold)" in failed.message
    assert not verdict(path, name, arguments).passed


def test_a_failing_row_is_shown_with_its_first_columns(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    names = [*(f"c{number}" for number in range(12)), "row", "late"]
    lines = [",".join(str(number * 100 + place) for place in range(14)) for number in range(3)]
    path.write_text("\n".join([",".join(["row", *names[:12], "late"]), *lines, ""]))
    (found,) = verdict(path, "between", {"column": "late", "max": 150}).details["examples"][:1]
    assert [*found] == ["row", "late", "row (column)", "c0", "c1", "c2", "c3", "c4", "c5", "c6"]
    assert (found["row"], found["late"], found["row (column)"], found["c6"]) == (3, "213", "200", "207")
    assert "examples" in verdict(path, "between", {"column": "late", "max": 999}).details
    monkeypatch.setattr(columns, "_READ_AGAIN", 2)
    assert verdict(path, "between", {"column": "late", "max": 150}).details["examples"] == [
        {"row": 3, "late": "213"}
    ]


def test_the_first_failing_rows_are_kept(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "-1,\n" * 30)
    found = verdict(path, "between", {"column": "a", "min": 0})
    assert (found.details["rows"], found.details["failed"]) == (30, 30)
    assert found.details["examples"] == [{"row": row, "a": "-1", "b": None} for row in range(1, 21)]
    assert verdict(path, "rows", {"max": 1}).details == {"rows": 30, "observed": 30}
    twice = verdict(path, "unique", {"column": "a"}).details
    assert (twice["failed"], twice["examples"][0]["row"]) == (29, 2)


@pytest.mark.parametrize("name", ["rows", "columns", "exists"])
def test_what_is_about_the_whole_has_no_mostly(tmp_path, name):
    arguments = {"rows": {"min": 1}, "columns": ["a"], "exists": None}[name]
    found = verdict(tmp_path / "t.csv", name, arguments, 0.5)
    assert f"'{name}' is about the table as a whole and has no 'mostly'" in found.message


# --- numbers past what floats and Python's reading of digits hold ------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [
        ("in_set", {"column": "a", "values": [1, 10**30]}, ""),
        ("in_set", {"column": "a", "values": [1]}, f"'a' is none of 1 in 1 of 2 rows: row 1 ({10**30})"),
        ("between", {"column": "a", "min": 0, "max": 10**30}, ""),
        ("unique", "a", ""),
    ],
)
def test_decimals_of_any_length(tmp_path, name, arguments, wanted):
    path = tmp_path / "t.parquet"
    numbers = pa.array([Decimal(10) ** 30, Decimal(1)], pa.decimal128(38, 0))
    pq.write_table(pa.table({"a": numbers}), path)
    assert message(path, name, arguments) == wanted


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "1E+999999", "1E-999999", "1.0"])
def test_decimals_of_any_kind_are_members_of_what_they_are_equal_to(value):
    members = frozenset([hashed(Decimal(value))])
    assert is_member(Decimal(1), members, text=False) is (value == "1.0")
    number(Decimal(value), text=False)


def test_a_number_of_5000_digits_is_one(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"a\n{'9' * 5000}\n1\n")
    for kind in ("int", "float"):
        assert message(path, "types", {"a": kind}) == ""
    assert message(path, "between", {"column": "a", "min": 0}) == ""
    assert "row 1" in message(path, "between", {"column": "a", "max": 5})
    path = tmp_path / "t.json"
    path.write_text(f'[{{"a": {"9" * 400}}}, {{"a": 1}}]')
    assert message(path, "types", {"a": "float"}) == ""
    assert "row 1" in message(path, "between", {"column": "a", "max": 5.5})
    assert message(path, "in_set", {"column": "a", "values": [1, int("9" * 400)]}) == ""


# --- what is too long to be held ----------------------------------------------------------------------


LONG = "t.csv is damaged, or no table: the row at line {line} has more than 1,000 characters"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n" + "x" * 5000, 2),
        ("a\n" + "x" * 5000 + "\n1\n", 2),
        ("a,b\n1," + "x," * 3000, 2),
        ('a\n1\n"' + "x\n" * 3000 + '"\n', 502),
        ("a" * 5000, 1),
    ],
)
def test_a_row_that_is_too_long_is_never_held_whole(tmp_path, monkeypatch, text, line):
    monkeypatch.setattr(delimited, "LONGEST_RECORD", 1000)
    path = tmp_path / "t.csv"
    path.write_text(text)
    for one in ("rows", "not_null"):
        assert message(path, one, {"min": 1} if one == "rows" else "a") == LONG.format(line=line)
    with pytest.raises(UnreadableTableError) as raised:
        frames.read_frame(path)
    assert str(raised.value) == LONG.format(line=line)


def test_a_line_without_an_end_takes_no_more_memory_than_a_row_may(tmp_path):
    path = tmp_path / "t.csv"
    with path.open("wb") as file:
        file.write(b"a\n")
        file.truncate(500_000_000)  # noughts, which take no room on disk
    tracemalloc.start()
    try:
        assert "has more than 16,777,216 characters" in message(path, "not_null", "a")
        assert tracemalloc.get_traced_memory()[1] < 150_000_000
    finally:
        tracemalloc.stop()


def test_long_rows_wait_for_no_full_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_HELD", 1000)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + f"{'x' * 300},1\n" * 20)
    sizes = [one.size for one in open_table(path).batches(frozenset(["a"]))]
    assert (sum(sizes), max(sizes)) == (20, 4)
