"""A check that nobody waits for any more ends after the batch that it is at, whatever it reads."""

import sqlite3
from pathlib import Path

import pytest
from written_tables import write

from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.validators import columns, duplicates, overlaps
from nbpipeline.validators.tables import table

ROWS = [{"id": number, "day": f"2013-01-{1 + number % 28:02}"} for number in range(500)]
FORMATS = ["csv", "tsv", "csv.gz", "json", "jsonl", "parquet", "feather", "xlsx", "sqlite", "duckdb"]
ENDLESS = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n"


class After:
    """Says that nobody waits once it was asked so many times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked > self.left


def check(name, arguments=None, **beside):
    return Check(name=name, arguments=arguments, where=Location(path="n.ipynb"), **beside)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    for module in ("delimited", "records", "arrow", "excel", "sqlite", "duckdb", "parquet"):
        monkeypatch.setattr(f"nbpipeline.validators.tables.{module}.BATCH", 10)


@pytest.mark.parametrize("kind", FORMATS)
def test_of_every_kind_of_table(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    write(path, ROWS)
    every = (check("not_null", "id"), check("unique", "id"), check("nonsense"))
    stop = After(3)
    found = columns.validate((path,), every, stop)
    assert [(one.passed, one.message) for one in found] == [(False, "interrupted")] * 3
    assert stop.asked <= 5, "and no further"
    whole = After(10_000)
    assert [one.passed for one in columns.validate((path,), every, whole)] == [True, True, False]
    assert whole.asked >= 50, "it is asked before each batch"


def test_the_other_artifact_of_a_leak(tmp_path: Path) -> None:
    for name in ("train.csv", "valid.csv"):
        write(tmp_path / name, ROWS)
    others = {"valid": (str(tmp_path / "valid.csv"),)}
    for one in (
        check("disjoint_from", {"other": "valid", "columns": "id"}, others=others),
        check("earlier_than", {"other": "valid", "column": "day"}, others=others),
    ):
        stop = After(3)
        (found,) = columns.validate((tmp_path / "train.csv",), (one,), stop)
        assert found.message == "interrupted"
        assert stop.asked == 4


@pytest.mark.parametrize("one", [check("rows", {"min": 1}, table="v"), check("not_null", "id", table="v")])
def test_a_query_that_never_ends(tmp_path: Path, one: Check) -> None:
    """Of rows, and of their number, which the database gives at once."""
    path = tmp_path / "t.sqlite"
    with sqlite3.connect(path) as base:
        base.execute(f"CREATE VIEW v AS {ENDLESS}")
    base.close()
    (found,) = columns.validate((path,), (one,), After(20))
    assert found.message == "interrupted"


@pytest.mark.parametrize("kind", ["duplicates", "overlaps"])
def test_the_search_of_what_went_to_disk(kind: str) -> None:
    if kind == "duplicates":
        found = duplicates.Duplicates(shown=3, in_memory=1)
        for row in range(200):
            found.add(row, str(row % 100))
    else:
        found = overlaps.Overlap(shown=3, in_memory=1)
        for row in range(200):
            found.hold(0, str(row))
            found.add(row, str(row))
    with pytest.raises(table.StoppedError):
        found.close(After(5))


def test_of_rows_that_repeat_on_disk_the_first_are_shown_and_all_counted() -> None:
    found = duplicates.Duplicates(shown=3, in_memory=1)
    for row in range(1, 2001):
        found.add(row, str(row % 500))
    found.close()
    assert (found.count, [row for row, _ in found.rows]) == (1500, [501, 502, 503])
