"""What pandera complains of, in few words and bounded memory, however much fails."""

import sys
import tracemalloc

import pandas as pd
import pytest

from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.validators import pandera

SCHEMA = """
import pandas as pd
import pandera.pandas as pa

class Positive(pa.DataFrameModel):
    a: float = pa.Field(ge=0, coerce=True)
    b: int

class Whole(pa.DataFrameModel):
    a: float = pa.Field(coerce=True)
    b: int

class Once(pa.DataFrameModel):
    b: int = pa.Field(unique=True)

class Number(pa.DataFrameModel):
    word: int = pa.Field(coerce=True)

class Rows(pa.DataFrameModel):
    a: float = pa.Field(nullable=True, coerce=True)
    b: int

    @pa.dataframe_check
    def b_is_small(cls, data: pd.DataFrame) -> pd.Series:
        return data["b"] < 5

few = pa.DataFrameSchema({"a": pa.Column(float, pa.Check.ge(0, n_failure_cases=2), coerce=True)})
both = pa.DataFrameSchema({"a": pa.Column(float, [pa.Check.ge(0), pa.Check.le(-2)], coerce=True)})
lacking = pa.DataFrameSchema({"c": pa.Column(float)})
"""


@pytest.fixture
def tried(tmp_path, monkeypatch):
    (tmp_path / "cases_schema.py").write_text(SCHEMA)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cases_schema", raising=False)

    def validate(data: pd.DataFrame, schema: str):
        path = tmp_path / "t.parquet"
        data.to_parquet(path, index=False)
        check = Check(name="pandera", arguments=f"cases_schema:{schema}", where=Location(path="n.ipynb"))
        (found,) = pandera.validate((path,), (check,))
        return found

    return validate


COUNT = 1_000
CASES = [
    (
        "Positive",
        {"a": range(-COUNT, 0)},
        "'a' fails greater_than_or_equal_to(0) in 1000 rows: row 1 (-1000.0), row 2 (-999.0), row 3 (-998.0), ...",
    ),
    (
        "few",
        {"a": range(-COUNT, 0)},
        "'a' fails greater_than_or_equal_to(0) in 1000 rows: row 1 (-1000.0), row 2 (-999.0), ...",
    ),
    (
        "Whole",
        {"a": [None] * COUNT},
        "'a' fails not_nullable in 1000 rows: row 1 (nothing), row 2 (nothing), row 3 (nothing), ...",
    ),
    (
        "Once",
        {"b": [7] * COUNT},
        "'b' fails field_uniqueness in 1000 rows: row 1 (7), row 2 (7), row 3 (7), ...",
    ),
    (
        "Number",
        {"word": ["x"] * COUNT},
        "'word' fails coerce_dtype('int64') in 1000 rows: row 1 (x), row 2 (x), row 3 (x), ...",
    ),
]


@pytest.mark.parametrize(("schema", "values", "words"), CASES, ids=[one[0] for one in CASES])
def test_all_rows_are_counted_and_the_first_ones_shown(tried, schema, values, words):
    data = pd.DataFrame({"b": range(COUNT), **values})
    found = tried(data, schema)
    assert found.message.startswith(words)
    assert (found.details["rows"], found.details["failed"]) == (COUNT, COUNT)
    assert [one["row"] for one in found.details["examples"]] == list(range(1, 21))
    data = pd.DataFrame({"b": range(COUNT), **{name: range(COUNT) for name in values}})
    assert tried(data, schema).passed, "a negative control"


def test_a_row_that_fails_several_checks_is_one_failing_row(tried):
    found = tried(pd.DataFrame({"a": [-3.0, -1.0, 1.0, 2.0]}), "both")
    assert found.message == (
        "'a' fails greater_than_or_equal_to(0) in 2 rows: row 1 (-3.0), row 2 (-1.0); "
        "'a' fails less_than_or_equal_to(-2) in 3 rows: row 2 (-1.0), row 3 (1.0), row 4 (2.0)"
    )
    assert found.details["failed"] == 4


def test_a_check_on_whole_rows(tried):
    found = tried(pd.DataFrame({"a": [1.0, None, 3.0], "b": [9, 1, 8]}), "Rows")
    assert found.message == (
        "'a' fails b_is_small in 2 rows: row 1 (1.0), row 3 (3.0); "
        "'b' fails b_is_small in 2 rows: row 1 (9.0), row 3 (8.0)"
    )
    assert found.details["failed"] == 2
    assert found.details["examples"][1] == {"row": 3, "a": 3.0, "b": 8}


def test_what_is_about_no_row(tried):
    found = tried(pd.DataFrame({"a": [1.0]}), "lacking")
    assert found.message == "DataFrameSchema: column_in_dataframe: found c"
    assert (found.details["failed"], found.details["examples"]) == (0, [])


@pytest.mark.parametrize("schema", ["Positive", "Whole", "Once"])
def test_memory_does_not_follow_the_number_of_failing_values(tried, schema):
    """pandera's own lists took some 700 bytes a failing value."""
    rows = 200_000
    values = {"Positive": {"a": range(-rows, 0)}, "Whole": {"a": [None] * rows}, "Once": {"b": [1] * rows}}
    data = pd.DataFrame({"b": range(rows), **values[schema]})
    tried(data.head(10), schema)
    tracemalloc.start()
    try:
        assert tried(data, schema).details["failed"] == rows
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150 * rows
