"""The model as JSON and back."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline.encoding import canonical, dumps, plain, record_from_text, value_from
from nbpipeline.model import Fingerprint, PathValue, StageRecord, Status, Usage

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.builds(PathValue, st.text()),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text().filter(lambda one: not one.startswith("$")), inner)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_values_come_back(value: object) -> None:
    assert value_from(json.loads(dumps(value))) == value


def test_numbers_that_json_lacks() -> None:
    text = dumps({"a": math.nan, "b": -math.inf})
    assert text == '{"a":{"$float":"nan"},"b":{"$float":"-inf"}}'
    found = value_from(json.loads(text))
    assert math.isnan(found["a"])
    assert found["b"] == -math.inf


def test_canonical_text_of_equal_values_is_equal() -> None:
    assert canonical({"b": (1, 2), "a": PathValue("x")}) == canonical({"a": PathValue("x"), "b": [1, 2]})
    assert canonical(1) != canonical(1.0) != canonical(True)
    assert canonical("x") != canonical(PathValue("x"))


def test_what_json_has_no_word_for() -> None:
    assert plain(Status.FAILED) == "failed"
    assert plain({"b", "a"}) == ["a", "b"]
    assert plain(1j) == "1j"


def test_defaults_are_left_out_and_unknown_fields_passed_over() -> None:
    record = StageRecord(instance="a", state="s", fingerprint=Fingerprint(kernel="k"))
    assert dumps(record) == '{"instance":"a","state":"s","fingerprint":{"kernel":"k"}}'
    data = json.loads(dumps(record))
    data["new"] = data["fingerprint"]["new"] = 1
    assert record_from_text(json.dumps(data)) == record


def test_a_record_of_an_nbpipeline_that_did_not_watch_knows_nothing_of_usage() -> None:
    found = record_from_text('{"instance":"a","state":"s","fingerprint":{},"undeclared":["x"]}')
    assert found.usage == Usage()
    assert not found.usage.watched


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"instance": "a"}', "null", '{"instance":1,"state":2,"fingerprint":3}']
)
def test_text_that_is_no_record(text: str) -> None:
    assert record_from_text(text) is None
