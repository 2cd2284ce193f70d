"""What is found out of a table: word for word on small ones, and against a plain count on random ones."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_tables import write, write_sqlite

from nbpipeline.validators import measuring
from nbpipeline.validators.duplicates import Duplicates
from nbpipeline.validators.profile import ColumnProfile, profile
from nbpipeline.validators.tables import UnreadableTableError

KINDS = ["csv", "json", "parquet", "feather", "xlsx", "duckdb"]
RECORDS = [
    {
        "id": n,
        "origin": "EWR" if n % 2 else "JFK",
        "share": n / 2 + 0.25,
        "day": f"2013-01-{n:02}",
        "empty": None,
    }
    for n in range(1, 9)
]


@pytest.fixture(params=KINDS)
def path(request, tmp_path) -> Path:
    return write(tmp_path / f"a.{request.param}", RECORDS)


def test_the_same_is_found_in_every_format(path):
    found = profile(path)
    assert (found.rows, found.looked, found.sampled) == (8, 8, False)
    columns = found.columns
    assert list(columns) == ["id", "origin", "share", "day", "empty"]
    assert columns["id"] == ColumnProfile(type="int", nulls=0, low=1, high=8, mean=4.5, unique=True)
    assert columns["origin"] == ColumnProfile(
        type="str", nulls=0, categories={"EWR": 4, "JFK": 4}, unique=False
    )
    assert columns["share"] == ColumnProfile(type="float", nulls=0, low=0.75, high=4.25, mean=2.5)
    assert columns["empty"].nulls == 8
    assert found.null_share("empty") == 1.0
    day = columns["day"]
    if path.suffix in (".csv", ".json", ".xlsx"):
        assert (day.type, day.low, day.high) == (
            "date",
            datetime(2013, 1, 1, tzinfo=UTC),
            datetime(2013, 1, 8, tzinfo=UTC),
        )
    else:
        assert (day.type, day.low) == ("str", None), "the file says that it is text"
    assert day.unique is True


@pytest.mark.parametrize(
    ("values", "kind", "low", "high"),
    [
        (["1", "2.5"], "float", 1, 2.5),
        (["1", "x"], "str", None, None),
        (["01234", "12"], "str", None, None),
        (["0.5", "0"], "float", 0, 0.5),
        (["1_000", "2"], "str", None, None),
        (["true", "False"], "bool", None, None),
        (["true", "1"], "str", None, None),
        (["20130101", "20130102"], "int", 20130101, 20130102),
        (
            ["2013-01-01", "2013-01-02T10:00:00"],
            "datetime",
            datetime(2013, 1, 1, tzinfo=UTC),
            datetime(2013, 1, 2, 10, tzinfo=UTC),
        ),
        (
            ["2013-01-01T00:00:00+01:00"],
            "datetime",
            datetime(2012, 12, 31, 23, tzinfo=UTC),
            datetime(2012, 12, 31, 23, tzinfo=UTC),
        ),
        (["2013-01-01", "soon"], "str", None, None),
        (["9007199254740993", "0.5"], "float", 0.5, 9007199254740993),
        (["", "NA"], "", None, None),
    ],
)
def test_types_of_text(tmp_path, values, kind, low, high):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(f"{one},x\n" for one in values))
    found = profile(path).columns["a"]
    assert (found.type, found.low, found.high) == (kind, low, high)


def test_types_of_values_that_a_format_does_not_settle(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [
        {"mixed": 1, "number": 1, "truth": True, "odd": 1, "list": [1], "late": None},
        {"mixed": "x", "number": 2.5, "truth": False, "odd": True, "list": [1]},
        {"mixed": 3, "number": 3, "truth": None, "odd": 2, "list": {"a": 1}, "later": "x"},
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    columns = profile(path).columns
    assert {name: one.type for name, one in columns.items()} == {
        "mixed": "", "number": "float", "truth": "bool", "odd": "", "list": "", "late": "", "later": "str",
    }  # fmt: skip
    assert (columns["number"].low, columns["number"].high) == (1, 3)
    assert (columns["later"].nulls, columns["truth"].nulls) == (2, 1)


def test_one_and_one_point_zero_are_one_value_in_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}, {"a": 1.0}]')
    assert profile(path).columns["a"].unique is None, "floats are no keys"
    path.write_text('[{"a": "1"}, {"a": "2"}]')
    assert profile(path).columns["a"].unique is True


def test_a_column_that_changes_its_type_late(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n" + "".join(f"{n}\n" for n in range(12_000)) + "x\n")
    found = profile(path).columns["a"]
    assert (found.type, found.low, found.unique) == ("str", None, True)


def test_categories_end_where_there_are_too_many(tmp_path):
    path = tmp_path / "a.csv"
    few = [f"c{n % 50}" for n in range(200)]
    path.write_text("a,b\n" + "".join(f"{one},d{n}\n" for n, one in enumerate(few)))
    columns = profile(path).columns
    assert len(columns["a"].categories or ()) == 50
    assert columns["b"].categories is None
    path.write_text("a\n" + "".join(f"{'x' * 100}\n" for _ in range(9)))
    assert profile(path).columns["a"].categories is None, "texts of that length are no categories"


def test_a_sample_counts_all_rows_and_covers_the_whole(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "id,part\n" + "".join(f"{n},{'first' if n < 50_000 else 'last'}\n" for n in range(100_000))
    )
    found = profile(path, sample=1000)
    assert found.rows == 100_000
    assert found.sampled
    assert found.looked < 20_000
    assert found.columns["part"].categories is not None
    assert found.columns["part"].categories.keys() == {"first", "last"}
    assert found.columns["id"].unique is None, "a part cannot tell"
    assert profile(path, sample=1000) == found


def test_keys_past_what_is_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "KEYS", 1)
    names = "abcdef"
    path = tmp_path / "a.csv"
    rows = [",".join(f"{name}{n}" for name in names) for n in range(12_000)]
    path.write_text("\n".join([",".join(names), *rows]) + "\n")
    found = [profile(path).columns[name].unique for name in names]
    assert found == [True] * 4 + [None] * 2, "of four columns keys go to disk, of the others it stays unknown"
    path.write_text("\n".join([",".join(names), *rows, rows[0]]) + "\n")
    assert [profile(path).columns[name].unique for name in names][:4] == [False] * 4


def test_columns_share_what_keys_may_take(tmp_path, monkeypatch):
    held = []
    add = Duplicates.add

    def seen(self, *given):
        held.append(self.in_memory)
        return add(self, *given)

    monkeypatch.setattr(Duplicates, "add", seen)
    monkeypatch.setattr(measuring, "KEYS", 8_000)
    path = tmp_path / "wide.csv"
    path.write_text("a,b,c,d\n1,2,3,4\n2,3,4,5\n")
    profile(path)
    assert set(held) == {2_000}


def test_tables_of_a_database(tmp_path):
    path = tmp_path / "a.sqlite"
    write_sqlite(path, {"one": (["a"], [[1], [2]]), "two": (["b"], [["x"]])})
    assert profile(path, "two").columns["b"].type == "str"
    with pytest.raises(UnreadableTableError, match="holds 2 tables: one, two"):
        profile(path)


def test_no_rows_at_all(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n")
    found = profile(path)
    assert (found.rows, list(found.columns), found.null_share("a")) == (0, ["a", "b"], 0.0)


VALUES = st.one_of(st.none(), st.integers(-50, 50), st.floats(-50, 50, width=32))


@given(st.lists(VALUES, min_size=1, max_size=60), st.sampled_from(["csv", "jsonl"]))
def test_figures_agree_with_a_plain_count(tmp_path_factory, values, suffix):
    path = write(
        tmp_path_factory.mktemp("p") / f"a.{suffix}", [{"a": one, "row": n} for n, one in enumerate(values)]
    )
    known = [one for one in values if one is not None]
    found = profile(path).columns["a"]
    assert found.nulls == len(values) - len(known)
    if known:
        assert (found.low, found.high) == (min(known), max(known))
        assert found.mean == pytest.approx(sum(known) / len(known), abs=1e-9)
        assert found.type == ("int" if all(isinstance(one, int) for one in known) else "float")
