"""What every validator must do, whichever library it uses."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.stage.failures import failed_checks
from nbpipeline.validators import columns, great_expectations, pandera

HERE = Location(path="notebooks/train.ipynb", cell=1, line=4)
SCHEMA = """
import pandera.pandas as pa

class Table(pa.DataFrameModel):
    a: float = pa.Field(nullable=False, coerce=True)

NUMBER = 5
"""


def check(name, arguments=None, **beside):
    return Check(name=name, arguments=arguments, where=HERE, **beside)


VALIDATORS = {
    "columns": (columns, check("not_null", "a"), check("not_null", 5)),
    "great_expectations": (
        great_expectations,
        check("expect_column_values_to_not_be_null", {"column": "a"}),
        check("expect_column_values_to_not_be_null", {"colunm": "a"}),
    ),
    "pandera": (pandera, check("pandera", "contract_schema:Table"), check("pandera", "no module")),
}
"""Each with a sound check of its own on the column `a`, which wants no nulls, and one that is written wrongly."""


@pytest.fixture(params=VALIDATORS)
def validator(request, tmp_path, monkeypatch) -> tuple[ModuleType, Check, Check]:
    (tmp_path / "contract_schema.py").write_text(SCHEMA)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "contract_schema", raising=False)
    return VALIDATORS[request.param]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.csv"
    path.write_text("a,b\n1,x\n,y\n")
    return path


def test_knows_its_own_checks_and_no_others(validator):
    module, sound, _ = validator
    assert module.knows(sound)
    assert not module.knows(check("no_such_check_anywhere"))


def test_complains_of_wrong_arguments_before_any_data(validator):
    module, sound, wrong = validator
    assert module.complaints(sound) == ()
    assert module.complaints(wrong)


def test_passes_good_data_and_refuses_bad(validator, good, bad):
    module, sound, _ = validator
    (passed,) = module.validate((good,), (sound,))
    assert (passed.check, passed.passed, passed.message) == (sound, True, "")
    (failed,) = module.validate((bad,), (sound,))
    assert (failed.check, failed.passed) == (sound, False)
    assert failed.message


def test_the_failing_row_is_named_and_given(validator, bad):
    module, sound, _ = validator
    (failed,) = module.validate((bad,), (sound,))
    assert "row 2" in failed.message
    assert failed.details["rows"] == 2
    assert failed.details["failed"] == 1
    (row,) = failed.details["examples"]
    assert (row["row"], row["a"]) == (2, None)


def test_one_verdict_a_check_in_order(validator, good):
    module, sound, wrong = validator
    verdicts = module.validate((good,), (wrong, sound, wrong))
    assert [one.check for one in verdicts] == [wrong, sound, wrong]
    assert [one.passed for one in verdicts] == [False, True, False]


def test_every_file_must_pass(validator, good, bad):
    module, sound, _ = validator
    (verdict,) = module.validate((good, bad), (sound,))
    assert not verdict.passed
    assert verdict.message.startswith("bad.csv: ")
    assert verdict.details["rows"] == 4
    assert [one["file"] for one in verdict.details["examples"]] == ["bad.csv"]
    assert [one.passed for one in module.validate((good, good), (sound,))] == [True]


def test_a_missing_or_cut_file_is_a_failed_verdict(validator, tmp_path):
    module, sound, _ = validator
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(b"PAR1 and then nothing")
    for path in (tmp_path / "nowhere.csv", cut):
        (verdict,) = module.validate((path,), (sound,))
        assert not verdict.passed
        assert path.name in verdict.message


def test_a_missing_column_is_a_failed_verdict(validator, tmp_path):
    module, sound, _ = validator
    other = tmp_path / "other.csv"
    other.write_text("aa,b\n1,x\n")
    (verdict,) = module.validate((other,), (sound,))
    assert not verdict.passed
    assert "'a'" in verdict.message or "found a" in verdict.message


def test_a_schema_that_cannot_be_imported_says_nothing_of_the_data(good, monkeypatch, tmp_path):
    (tmp_path / "broken_schema.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    wrong = check("pandera", "broken_schema:Table")
    (verdict,) = pandera.validate((good,), (wrong,))
    failure = failed_checks("output", "out", (verdict,))
    assert (failure.kind, failure.where) == ("input", wrong.where)
    assert "could not be tried: pandera: the module broken_schema cannot be imported" in failure.what
    (verdict,) = pandera.validate((good, good), (wrong,))
    assert failed_checks("output", "out", (verdict,)).kind == "input"


# --- what is Great Expectations' or pandera's alone --------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "passes", "words"),
    [
        ("mean_between", {"column": "a", "min": 0, "max": 2}, True, ""),
        (
            "mean_between",
            {"column": "a", "max": 1},
            False,
            "column a, max_value 1: does not hold, found 1.5",
        ),
        ("match_regex", {"column": "b", "regex": "^[xy]$"}, True, ""),
        (
            "match_regex",
            {"column": "b", "regex": "^x$"},
            False,
            "column b, regex ^x$: does not hold in 1 of 2 rows: row 2 (b y, a 2)",
        ),
        (
            "match_regex",
            {"column": "b", "regex": "["},
            False,
            "Great Expectations could not try it: Invalid regular expression: missing ]: [",
        ),
        (
            "match_regex",
            {"column": "bb", "regex": "x"},
            False,
            "column 'bb' missing; known columns: a, b; did you mean 'b'?",
        ),
        (
            "distinct_values_in_set",
            {"column": "b", "values": ["x"]},
            False,
            "column b, value_set ['x']: does not hold, found ['y']",
        ),
        ("table_row_count_equal", {"value": 3}, False, "value 3: does not hold, found 2"),
        ("compound_unique", ["a", "b"], True, ""),
        ("pair_a_greater_than_b", {"column_A": "a", "column_B": "a", "or_equal": True}, True, ""),
    ],
)
def test_expectations_say_what_they_found(good, name, arguments, passes, words):
    (verdict,) = great_expectations.validate((good,), (check(name, arguments),))
    assert (verdict.passed, verdict.message) == (passes, words)


def test_expectations_may_hold_for_most_values(bad):
    checks = [check("expect_column_values_to_not_be_null", "a", mostly=one) for one in (0.5, 0.6)]
    assert [one.passed for one in great_expectations.validate((bad,), tuple(checks))] == [True, False]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("contract_schema:Tabel", "Tabel in the module contract_schema is not there; did you mean 'Table'?"),
        ("contract_schema:NUMBER", "NUMBER in the module contract_schema is no schema"),
        (
            "nowhere_at_all:Table",
            "the module nowhere_at_all cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all'",
        ),
    ],
)
def test_a_schema_that_is_not_there_fails_the_check(good, tmp_path, monkeypatch, schema, words):
    (tmp_path / "contract_schema.py").write_text(SCHEMA)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "contract_schema", raising=False)
    (verdict,) = pandera.validate((good,), (check("pandera", schema),))
    assert (verdict.passed, verdict.message) == (False, words)
