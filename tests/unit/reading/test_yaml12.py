"""YAML 1.2's core schema, lines, and what is refused."""

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline.reading import yaml12


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("1e-3", 0.001),
        ("12:30", "12:30"),
        ("12:30:00", "12:30:00"),
        ("2013-01-01", "2013-01-01"),
        ("0o17", 15),
        ("017", 17),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("~", None),
        ("null", None),
        ("", None),
        ("True", True),
        ("yes", "yes"),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
        ("<<", "<<"),
        ("=", "="),
        ("+1", 1),
        ("%TAG", "%TAG"),
    ],
)
def test_core_schema(text, value):
    if text == "%TAG":
        with pytest.raises(yaml12.YamlError):
            yaml12.load(text)
        return
    found = yaml12.load(f"a: {text}").value["a"]
    assert (found, type(found)) == (value, type(value))


def test_lines_of_keys_and_items():
    document = yaml12.load("a: 1\nb:\n  c: [1,\n      2]\n  d:\n    - x\n    - y\n")
    assert [document.line(path) for path in [("a",), ("b",), ("b", "c", 1), ("b", "d"), ("b", "d", 1)]] == [
        1,
        2,
        4,
        5,
        7,
    ]
    assert document.line(("b", "nowhere", "at all")) == 2


REFUSED = [
    ("a: 1\na: 2", "the key 'a' is given twice", 2),
    ("a: 1\n'a': 2", "the key 'a' is given twice", 2),
    ("true: 1\ntrue: 2", "the key true is given twice", 2),
    ("~: 1\n~: 2", "the key ~ is given twice", 2),
    ("1: 2\n\ntrue: x", "the keys 1 and true count as the same; put one of them in quotes", 3),
    ("1: 2\n0x1: x", "the keys 1 and 0x1 count as the same; put one of them in quotes", 2),
    ("~: 1\nnull: 2", "the keys ~ and null count as the same; put one of them in quotes", 2),
    ("a: [", "did not find expected node content, while parsing a flow node", 2),
    ("a: b: c", "mapping values are not allowed in this context", 1),
    ("\ta: 1", "found character that cannot start any token, while scanning for the next token", 1),
    ("x: !python/object 1", "the tag !python/object is not known; YAML's core schema has no such type", 1),
    (
        "x: !!python/name:os.system",
        "the tag !!python/name:os.system is not known; YAML's core schema has no such type",
        1,
    ),
    ("x: !!set {a}", "the tag !!set is not known; YAML's core schema has no such type", 1),
    ("x: !!int a", "'a' is no int", 1),
    ("a\n---\nb", "there is more than one document", 2),
    ("[a]: 1", "a key is a list or a mapping", 1),
    ("&a [*a]", "values are nested deeper than 60 levels", 1),
    ("x: *nobody", "the alias *nobody names no anchor", 1),
    ("a: " + "9" * 5000, "a number has too many digits", 1),
    ("a: 0x" + "f" * 5000, "a number has too many digits", 1),
    ("a: \x01", "unacceptable character #x0001: control characters are not allowed", None),
    ("- " * 70 + "x", "values are nested deeper than 60 levels", 1),
]


@pytest.mark.parametrize(("text", "reason", "line"), REFUSED)
def test_refused(text, reason, line):
    with pytest.raises(yaml12.YamlError) as caught:
        yaml12.load(text)
    assert (caught.value.reason, caught.value.line) == (reason, line)


def test_aliases_that_blow_up():
    rows = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    with pytest.raises(yaml12.YamlError, match="more than 200,000 values"):
        yaml12.load("\n".join(rows))


def test_size_and_depth_that_would_crash_a_parser():
    with pytest.raises(yaml12.YamlError, match="longer than"):
        yaml12.load("a" * 4_000_001)
    with pytest.raises(yaml12.YamlError):
        yaml12.load("[" * 100_000)
    with pytest.raises(yaml12.YamlError):
        yaml12.load("{a: " * 5_000 + "}" * 5_000)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cn", "Co"))),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc:#- ", max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_json_is_yaml(value):
    assert yaml12.load(json.dumps(value, ensure_ascii=False)).value == value


@given(st.text(max_size=40))
def test_any_text_loads_or_is_refused(text):
    with contextlib.suppress(yaml12.YamlError):
        yaml12.load(text)
