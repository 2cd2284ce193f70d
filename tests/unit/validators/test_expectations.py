"""Great Expectations' names and arguments, told without the library; and who tries which check."""

import subprocess
import sys

import gx_table
import pytest

from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.validators import choice, expectations


def check(name, arguments=None, **beside):
    return Check(name=name, arguments=arguments, where=Location(path="n.ipynb"), **beside)


def test_the_table_is_that_of_the_installed_library():
    made = gx_table.made()
    assert expectations.TABLE.read_text(encoding="utf-8") == made, "run: python tests/gx_table.py"


def test_every_expectation_has_a_short_name_of_its_own():
    assert len(expectations.table()) == 59
    assert set(expectations.short_names().values()) == set(expectations.table())
    assert "null" not in expectations.short_names()  # YAML reads it as nothing


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("not_null", "expect_column_values_to_not_be_null"),
        ("is_null", "expect_column_values_to_be_null"),
        ("between", "expect_column_values_to_be_between"),
        ("mean_between", "expect_column_mean_to_be_between"),
        ("match_regex", "expect_column_values_to_match_regex"),
        ("not_in_set", "expect_column_values_to_not_be_in_set"),
        ("column_exists", "expect_column_to_exist"),
        ("compound_unique", "expect_compound_columns_to_be_unique"),
        ("table_row_count_between", "expect_table_row_count_to_be_between"),
    ],
)
def test_short_names(short, full):
    assert expectations.full_name(short) == full
    assert expectations.full_name(full) == full


@pytest.mark.parametrize(
    ("written", "keywords"),
    [
        (
            check("mean_between", {"column": "a", "min": 1, "max": 2}),
            {"column": "a", "min_value": 1, "max_value": 2},
        ),
        (check("not_in_set", {"column": "a", "values": [1]}), {"column": "a", "value_set": [1]}),
        (check("is_null", "a"), {"column": "a"}),
        (check("compound_unique", ["a", "b"], mostly=0.5), {"column_list": ["a", "b"], "mostly": 0.5}),
        (check("of_type", {"column": "a", "type": "int"}), {"column": "a", "type_": "int"}),
        (check("in_type_list", {"column": "a", "types": ["int"]}), {"column": "a", "type_list": ["int"]}),
        (check("table_columns_match_set", {"columns": ["a"]}), {"column_set": ["a"]}),
    ],
)
def test_short_arguments(written, keywords):
    assert expectations.keywords(written) == keywords
    assert expectations.complaints(written) == ()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (check("mean_betwen", {}), "did you mean 'mean_between'?"),
        (check("expect_column_mean_to_be_betwen", {}), "did you mean 'expect_column_mean_to_be_between'?"),
        (check("panderra", "a:B"), "did you mean 'pandera'?"),
        (check("not_nul", "a"), "did you mean 'not_null'?"),
        (
            check("mean_between", {"colunm": "a", "min": 1}),
            "'mean_between' has no 'colunm'; known: column, row_condition, condition_parser, min, max, strict_min, strict_max; did you mean 'column'?",
        ),
        (check("mean_between", {"min": 1}), "'mean_between' wants column"),
        (check("mean_between", {"column": "a"}), "'mean_between' wants min, max or both"),
        (
            check("mean_between", {"column": "a", "min": "much"}),
            "'mean_between' wants a number or an ISO date as min, not 'much'",
        ),
        (
            check("match_regex_list", {"column": "a", "regex_list": ["x"], "match_on": "al"}),
            "'match_regex_list' wants one of any, all (did you mean all?) as match_on, not 'al'",
        ),
        (
            check("mean_between", {"column": "a", "min": 1}, mostly=0.9),
            "'mean_between' is about the table or column as a whole and has no 'mostly'",
        ),
        (check("mean_between", 5), "'mean_between' wants a mapping with column, "),
        (
            check("table_row_count_equal_other_table", {"other_table_name": "b"}),
            "compares tables of a database, which Great Expectations cannot do with files",
        ),
        (check("rows", {"min": 1}, mostly=0.9), "'rows' is about the table as a whole and has no 'mostly'"),
        (
            check("pandera", {"shema": "a:B"}),
            "'pandera' has no 'shema'; known: schema; did you mean 'schema'?",
        ),
        (check("pandera", "a.B"), "'pandera' wants a schema as MODULE:CLASS"),
        (check("pandera", "a:B", mostly=0.5), "'pandera' has no 'mostly'"),
    ],
)
def test_complaints(written, words):
    assert words in "\n".join(choice.complaints(written))


@pytest.mark.parametrize(
    ("written", "validator"),
    [
        (check("not_null", "a"), "columns"),
        (check("not_null", ["a", "b"], mostly=0.5), "columns"),
        (check("between", {"column": "a", "min": 1}), "columns"),
        (check("between", {"column": "a", "min": 1, "strict_min": True}), "great_expectations"),
        (check("between", {"column": "a", "mim": 1}), "columns"),
        (check("expect_column_values_to_not_be_null", {"column": "a"}), "great_expectations"),
        (check("mean_between", {"column": "a", "min": 1}), "great_expectations"),
        (check("pandera", "a:B"), "pandera"),
        (check("no_such_check_anywhere"), ""),
    ],
)
def test_who_tries_a_check(written, validator):
    assert choice.validator_of(written) == validator


def test_who_knows_names_imports_no_library():
    source = (
        "import sys\nfrom nbpipeline.validators import choice\nfrom nbpipeline.model import Check\n"
        "from nbpipeline.location import Location\n"
        "one = Check(name='mean_between', arguments={'column': 'a', 'min': 1}, where=Location(path='n'))\n"
        "assert choice.complaints(one) == () and choice.apart([one]) == ('great_expectations',)\n"
        "print(sorted({'great_expectations', 'pandas', 'pandera', 'numpy', 'subprocess'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
