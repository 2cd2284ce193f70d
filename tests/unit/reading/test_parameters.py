"""Values by declared type: from the command line, and in pipeline.yaml."""

import pytest

from nbpipeline.model import PathValue
from nbpipeline.reading.parameters import accepts, choices, parse_value


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("0.5", None, 0.5),
        ("1e-3", None, 0.001),
        ("2014", None, 2014),
        ("no", None, "no"),
        ("[1, a]", None, [1, "a"]),
        ("[1, a", None, "[1, a"),
        ("1", "int", 1),
        ("1", "float", 1.0),
        ("1", "str", "1"),
        ("true", "bool", True),
        ("No", "bool", False),
        ("1", "bool", True),
        ("None", "int | None", None),
        ("3", "int | None", 3),
        ("3", "Optional[int]", 3),
        ("x", "Union[int, str]", "x"),
        ("3", "str | int", 3),
        ("a", "Literal['a', 'b']", "a"),
        ("1", "Literal[1, 2]", 1),
        ("1", "Literal['1']", "1"),
        ("[1, 2]", "list[int]", [1, 2]),
        ("[1, 2]", "tuple[int, int]", (1, 2)),
        ("{a: 1}", "dict[str, float]", {"a": 1}),
        ("a/b", "Path", PathValue("a/b")),
        ("a/b", "pathlib.Path", PathValue("a/b")),
        ("x", "MyType", "x"),
        ("3", "'int'", 3),
        ("3", "not a type at all", 3),
        ("9" * 5000, None, "9" * 5000),
        ("0x" + "f" * 5000, None, "0x" + "f" * 5000),
    ],
)
def test_values(text, kind, value):
    found = parse_value(text, kind)
    assert (found, type(found)) == (value, type(value))
    assert accepts(kind, found)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1.5", "int"),
        ("a", "float"),
        ("maybe", "bool"),
        ("c", "Literal['a', 'b']"),
        ("x", "int | None"),
        ("[a]", "list[int]"),
        ("[1]", "tuple[int, int]"),
        ("{a: b}", "dict[str, int]"),
        ("1", "list"),
    ],
)
def test_refused(text, kind):
    with pytest.raises(ValueError) as caught:
        parse_value(text, kind)
    assert str(caught.value) == f"{text!r} is no {kind}"


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("float", 1, True),
        ("float", True, False),
        ("int", True, False),
        ("int", 1.0, False),
        ("bool", 1, False),
        ("str", 1, False),
        ("Path", "x", True),
        ("Path", 1, False),
        ("list[int]", [1, "a"], False),
        ("tuple[int, ...]", [1, 2, 3], True),
        ("tuple[int, ...]", [1, "a"], False),
        ("dict[str, list[int]]", {"a": [1]}, True),
        ("dict[str, list[int]]", {"a": 1}, False),
        ("int | None", None, True),
        ("int", None, False),
        ("Literal['a']", "b", False),
        ("Literal[1]", True, False),
        ("pd.Timestamp", object(), True),
        (None, object(), True),
    ],
)
def test_accepts(kind, value, fits):
    assert accepts(kind, value) is fits


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Literal['b', 'a']", ("b", "a")),
        ("typing.Literal['a'] | Literal[1]", ("a", 1)),
        ("Optional[Literal['a', 'b']]", ("a", "b", None)),
        ("'Literal[1]'", (1,)),
        ("Literal['a'] | int", ()),
        ("None", ()),
        ("str", ()),
        (None, ()),
        ("no type", ()),
    ],
)
def test_the_values_that_a_type_names(kind: str | None, expected: tuple[object, ...]) -> None:
    assert choices(kind) == expected
    for one in expected:
        assert accepts(kind, one)
