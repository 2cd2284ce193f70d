"""Right-hand sides: the same values as Python's own, and nothing evaluated."""

import ast
import os
import textwrap
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline.model import Expression, PathValue
from nbpipeline.reading import expressions

NAMES = {"region": "eu", "year": 2013, "half": 0.5, "flag": True, "folder": PathValue("../data")}


def read(text):
    return expressions.parse(ast.parse(text, mode="eval").body)


def as_python(value):
    """What Python itself holds where we hold a PathValue."""
    if isinstance(value, PathValue):
        return PurePosixPath(value.text)
    if isinstance(value, list | tuple):
        return type(value)(map(as_python, value))
    if isinstance(value, dict):
        return {as_python(key): as_python(item) for key, item in value.items()}
    return value


TEXTS = st.sampled_from(
    [
        "'a'",
        "'../data'",
        "'x/y.csv'",
        "'/abs'",
        "''",
        "'ü b'",
        "region",
        "f'{region}-{year}'",
        "f'{year:04d}.csv'",
        "f'{half:.2f}'",
        "f'{region!r}'",
        "f'{folder}/{flag}'",
    ]
)
NUMBERS = st.sampled_from(["1", "-2", "0.5", "year", "half", "True"])
PATHS = st.recursive(
    st.sampled_from(
        ["Path('../data')", "Path()", "folder", "pathlib.Path('a', 'b')", "Path('a') / '..' / 'b'"]
    ),
    lambda inner: st.builds("{} / {}".format, inner, TEXTS) | st.builds("Path({}, {})".format, inner, TEXTS),
    max_leaves=4,
)
STRINGS = st.recursive(
    TEXTS,
    lambda inner: (
        st.builds("{} + {}".format, inner, inner)
        | st.builds("os.path.join({}, {})".format, inner, inner)
        | st.builds("os.path.join({}, {})".format, PATHS, inner)
    ),
    max_leaves=4,
)
VALUES = st.recursive(
    PATHS | STRINGS | NUMBERS | st.just("None"),
    lambda inner: (
        st.builds("[{}, {}]".format, inner, inner)
        | st.builds("({},)".format, inner)
        | st.builds("{{'k': {}}}".format, inner)
    ),
    max_leaves=6,
)


@given(VALUES)
def test_values_are_those_of_python(text):
    ours = as_python(expressions.evaluate(read(text), NAMES))
    # S307: the very thing that the package never does; here it says what is right.
    theirs = eval(  # noqa: S307
        text,
        {"os": os, "Path": PurePosixPath, "pathlib": type("p", (), {"Path": PurePosixPath})},
        {n: as_python(v) for n, v in NAMES.items()},
    )
    assert (ours, type(ours)) == (theirs, type(theirs))


@given(VALUES)
def test_names_in_are_those_needed(text):
    expression = read(text)
    needed = expressions.names_in(expression)
    expressions.evaluate(expression, {name: NAMES[name] for name in needed})
    for name in needed:
        with pytest.raises(KeyError):
            expressions.evaluate(expression, {other: NAMES[other] for other in needed - {name}})


HUGE = "0x" + "f" * 5000
"""Parses, though Python writes no number of so many decimal digits."""

UNREADABLE = [
    ("open('x')", "`open('x')` cannot be read without running the notebook"),
    ("Path.cwd()", "`Path.cwd()` cannot be read without running the notebook"),
    ("Path('a').parent", "`Path('a').parent` cannot be read without running the notebook"),
    ("x ** 2", "`x ** 2` cannot be read without running the notebook"),
    ("x if y else z", "`x if y else z` cannot be read without running the notebook"),
    ("-name", "`-name` cannot be read without running the notebook"),
    ("not 1", "`not 1` cannot be read without running the notebook"),
    ("os.path.join()", "`os.path.join()` cannot be read without running the notebook"),
    ("{**a}", "`{**a}` unpacks another mapping"),
    ("b'x'", "`b'x'` is of type bytes, which has no place here"),
    ("1j", "`1j` is of type complex, which has no place here"),
    ("f'{x:{y}}'", "`x` has a format that is itself computed"),
    ("f'{x:9999999999}'", "the format '9999999999' is not one for text or numbers"),
    (
        "__import__('os').system('touch /tmp/x')",
        "`__import__('os').system('touch /tmp/x')` cannot be read without running the notebook",
    ),
    ("[f() for f in x]", "`[f() for f in x]` cannot be read without running the notebook"),
    (HUGE, "a number has too many digits"),
    (f"f({HUGE})", "`f(...)` cannot be read without running the notebook"),
    ("a" * 80 + "()", "`" + "a" * 60 + " ...` cannot be read without running the notebook"),
]


@pytest.mark.parametrize(("text", "reason"), UNREADABLE)
def test_unreadable(text, reason):
    with pytest.raises(ValueError) as caught:
        read(text)
    assert str(caught.value) == reason


REFUSED = [
    ("'a' / 'b'", "one side of `/` must be a Path"),
    ("'a' + 1", "`+` cannot add str and int"),
    ("folder + 'x'", "`+` cannot add Path and str"),
    ("folder / 1", "1 cannot be part of a path: it is neither text nor a path"),
    ("f'{year:s}'", "2013 cannot be written in the format 's'"),
    ("{[1]: 2}", "a key of a dict must be text or a number"),
    ("f\"{['a']}\"", "a list cannot stand in a text"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_python_would_refuse_too(text, reason):
    with pytest.raises(ValueError) as caught:
        expressions.evaluate(read(text), NAMES)
    assert str(caught.value) == reason


def test_sums_of_sums_stay_small():
    names = {"a": "x" * 60_000}
    with pytest.raises(ValueError, match="longer than 65,536"):
        expressions.evaluate(read("a + a"), names)


def test_aliases():
    node = ast.parse("osp.join('a', P('b') / 'c')", mode="eval").body
    value = expressions.parse(node, {"osp": "os.path", "P": "Path"})
    assert expressions.evaluate(value, {}) == "a/b/c"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("a-{region}.csv", "a-eu.csv"),
        ("{year:06d}", "002013"),
        ("{{literal}}", "{literal}"),
        ("{{{region}}}", "{eu}"),
        ("", ""),
    ],
)
def test_templates(text, value):
    assert expressions.evaluate(expressions.template(text), NAMES) == value


def test_a_template_without_names_is_a_literal():
    assert expressions.template("a{{b}}", 3) == Expression("literal", ("a{b}",), 3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a{", "'a{' has a single '{'"),
        ("a}b", "'a}b' has a single '}'"),
        ("{}", "'{}' has '{}', which is no name in braces"),
        ("{a b}", "'{a b}' has '{a b}', which is no name in braces"),
        ("{x.__class__}", "'{x.__class__}' has '{x.__class__}', which is no name in braces"),
        ("{x:{y}}", "'{x:{y}}' has a single '{'"),
    ],
)
def test_templates_refused(text, reason):
    with pytest.raises(ValueError) as caught:
        expressions.template(text)
    assert str(caught.value) == reason


@given(st.text("a{}", max_size=12))
def test_templates_are_pythons_format_strings(text):
    try:
        theirs = text.format(a="1", aa="2", aaa="3")
    except (ValueError, KeyError, IndexError):
        return
    try:
        template = expressions.template(text)
    except ValueError:
        return
    names = {
        name: "1" if name == "a" else "2" if name == "aa" else "3" for name in expressions.names_in(template)
    }
    assert expressions.evaluate(template, names) == theirs


def test_nothing_is_evaluated(tmp_path):
    target = tmp_path / "made"
    text = textwrap.dedent(f"open({str(target)!r}, 'w')")
    with pytest.raises(ValueError):
        read(text)
    assert not target.exists()
    assert Path(tmp_path).is_dir()
