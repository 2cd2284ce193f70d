"""How cells and declarations count, and how differences between them are told."""

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from builders import code, header, write_notebook
from test_modules import fingerprint

from nbpipeline.encoding import canonical
from nbpipeline.fingerprint import differences, state_digest
from nbpipeline.fingerprint.code import sealed
from nbpipeline.model import Fingerprint, ReasonKind


def of(root: Path, *cells: dict, head: str = "stage: it") -> Fingerprint:
    write_notebook(root / "notebooks/it.ipynb", header(head), *cells)
    return fingerprint(root)


def told(before: Fingerprint, after: Fingerprint) -> list[str]:
    return [f"{one.kind.value} {one.subject} {one.detail}".strip() for one in differences(before, after)]


def cells(*digests: str, first: int = 2) -> Fingerprint:
    return Fingerprint(code={f"cell {number}": one for number, one in enumerate(digests, start=first)})


SEQUENCES = {
    "inserted": (cells("a", "b", "c"), cells("a", "x", "b", "c"), ["code cell 3 added"]),
    "removed": (cells("a", "b", "c"), cells("a", "c"), ["code cell 3 removed"]),
    "changed": (cells("a", "b", "c"), cells("a", "x", "c"), ["code cell 3 changed"]),
    "changed and one more": (
        cells("a", "b", "c"),
        cells("a", "x", "y", "c"),
        ["code cell 3 changed", "code cell 4 added"],
    ),
    "only moved down": (cells("a", "b"), cells("a", "b", first=9), []),
    "swapped": (cells("a", "b"), cells("b", "a"), ["code cell 2 added", "code cell 3 removed"]),
    "all new": (Fingerprint(), cells("a"), ["code cell 2 added"]),
}


@pytest.mark.parametrize(("before", "after", "expected"), SEQUENCES.values(), ids=SEQUENCES)
def test_cells_are_matched_by_what_they_are(before, after, expected) -> None:
    assert told(before, after) == expected
    assert (state_digest(before) == state_digest(after)) == (expected == [])


def test_a_reason_carries_the_digests_of_both_cells() -> None:
    (one,) = differences(cells("a", "b"), cells("a", "x"))
    assert (one.before, one.after) == ("b", "x")


def test_what_is_not_known_yet_is_no_difference() -> None:
    before = Fingerprint(inputs={"a": "1"}, upstream={"s": "2"})
    after = Fingerprint(inputs={"a": None}, upstream={"s": None})
    assert differences(before, after) == ()
    assert before.complete
    assert not after.complete


def test_every_part_in_order() -> None:
    before = Fingerprint(
        code={"cell 1": "a", "output m": '"x"'},
        modules={"f.py": "1 build:a clean:b"},
        parameters={"C": "1.0", "opaque": "source: f()"},
        inputs={"d.csv": "1", "gone.csv": "2"},
        upstream={"s": "1"},
        environment={"python": "3.11", "pandas": "3.0.6", "env TZ": "1", "lock r.lock": "1"},
        kernel="python (ipykernel_launcher)",
    )
    after = Fingerprint(
        code={"cell 1": "b", "output m": '"y"'},
        modules={"f.py": "2 build:a clean:c"},
        parameters={"C": "0.5", "opaque": "source: g()"},
        inputs={"d.csv": "missing", "new.csv": "3"},
        upstream={"s": "2"},
        environment={"python": "3.12", "pandas": "3.1.1", "env TZ": "2", "lock r.lock": "2"},
        kernel="python (xpython)",
    )
    found = differences(before, after)
    assert [(one.kind.value, one.subject, one.before, one.after, one.detail) for one in found] == [
        ("code", "cell 1", "a", "b", "changed"),
        ("code", "output m", "x", "y", "changed"),
        ("module", "f.py", "1", "2", "changed (clean)"),
        ("parameter", "C", 1.0, 0.5, "changed"),
        ("parameter", "opaque", "f()", "g()", "changed"),
        ("input", "d.csv", "1", "missing", "missing"),
        ("input", "new.csv", None, "3", "added"),
        ("input", "gone.csv", "2", None, "removed"),
        ("upstream", "s", "1", "2", "changed"),
        ("environment", "python", "3.11", "3.12", ""),
        ("environment", "pandas", "3.0.6", "3.1.1", ""),
        ("environment", "TZ", "1", "2", "variable"),
        ("environment", "r.lock", "1", "2", "lock file"),
        ("kernel", "kernel", "python (ipykernel_launcher)", "python (xpython)", ""),
    ]


def test_another_scheme_is_one_difference() -> None:
    (one,) = differences(Fingerprint(scheme=1), Fingerprint(scheme=2, kernel="x"))
    assert (one.kind, one.subject, one.before, one.after) == (ReasonKind.CODE, "fingerprint scheme", 1, 2)


def test_the_state_does_not_depend_on_the_order_of_names() -> None:
    one = Fingerprint(inputs={"a": "1", "b": "2"}, code={"cell 1": "x", "output a": "1", "output b": "2"})
    two = Fingerprint(inputs={"b": "2", "a": "1"}, code={"output b": "2", "output a": "1", "cell 1": "x"})
    assert state_digest(one) == state_digest(two)


@pytest.mark.parametrize(
    "part", ["code", "modules", "parameters", "inputs", "upstream", "environment", "kernel", "scheme"]
)
def test_every_part_counts_in_the_state(part: str) -> None:
    value: object = {"cell 1": "x"}
    value = {"kernel": "k", "scheme": 2}.get(part, value)
    assert state_digest(Fingerprint(**{part: value})) != state_digest(Fingerprint())


def test_the_digests_of_states_and_cells_stay_what_they_are(root: Path) -> None:
    """A change here makes every project stale: raise SCHEME and say so in the changelog."""
    found = of(root, code("x = [i ** 2 for i in range(10)]\nprint(f'{x!r:>10}')"))
    assert found.code == {"cell 2": PINNED_CELL}
    assert state_digest(Fingerprint(code={"cell 1": "a"}, parameters={"C": "1.0"})) == PINNED_STATE


PINNED_CELL = "09128e09cd5919f72a6761661bb12cff"
PINNED_STATE = "824bf86aa1d1e607705554d1be7728659203185d"


def test_other_statements_of_a_parameters_cell_count(root: Path) -> None:
    first = of(root, code("import math\nC = 1.0", "parameters"))
    second = of(root, code("import math, os\nC = 1.0", "parameters"))
    third = of(root, code("import math, os\n\nC: float = 1.0  # help", "parameters"))
    assert told(first, second) == ["code cell 2 changed"]
    assert told(second, third) == []


def test_an_opaque_parameter_counts_by_its_source(root: Path) -> None:
    first = of(root, code("import math\nC = math.sqrt(2)", "parameters"))
    second = of(root, code("import math\nC = math.sqrt( 2 )", "parameters"))
    third = of(root, code("import math\nC = math.sqrt(3)", "parameters"))
    assert told(first, second) == []
    (one,) = differences(second, third)
    assert (one.kind, one.subject) == (ReasonKind.PARAMETER, "C")
    assert "3" in one.after


def test_another_languages_cells_count_as_text(root: Path) -> None:
    import json

    path = write_notebook(root / "notebooks/it.ipynb", header("stage: it"), code("x <- 1  "), kernel="ir")
    data = json.loads(path.read_text())
    data["metadata"]["kernelspec"]["language"] = "R"
    path.write_text(json.dumps(data))
    first = fingerprint(root)
    path.write_text(json.dumps(data).replace("x <- 1  ", "x <- 1"))
    second = fingerprint(root)
    path.write_text(json.dumps(data).replace("x <- 1  ", "x <- 1 # c"))
    third = fingerprint(root)
    assert told(first, second) == []
    assert told(second, third) == ["code cell 2 changed"]
    assert first.kernel.startswith("r (")
    assert first.environment == {}


def test_a_cell_that_cannot_be_parsed_counts_as_text(root: Path) -> None:
    first = of(root, code("x = ("))
    second = of(root, code("x = (  # why"))
    assert told(first, second) == ["code cell 2 changed"]


def test_magics_count(root: Path) -> None:
    first, second = of(root, code("%time f()")), of(root, code("%time g()"))
    assert told(first, second) == ["code cell 2 changed"]


def test_a_path_as_text_or_as_path_is_a_difference(root: Path) -> None:
    first = of(root, code('out = "../a.txt"', "outputs"))
    second = of(root, code('from pathlib import Path\nout = Path("../a.txt")', "outputs"))
    assert told(first, second) == ["code output out changed"]


# --- where a declaring cell stands -----------------------------------------------------------

ONE = code("C = 1", "parameters")
OUT = code('out = "../data/x.txt"', "outputs")
WRITE = code("open(out, 'w').write(str(C))")

MOVES = {
    "a parameter is assigned again": (
        [ONE, code("C = 2"), OUT, WRITE],
        [code("C = 2"), ONE, OUT, WRITE],
        True,
    ),
    "two declaring cells change sides": (
        [ONE, code("C = 2"), OUT, WRITE],
        [OUT, code("C = 2"), ONE, WRITE],
        True,
    ),
    "an output's name is bound in a loop": (
        [OUT, code("for out in ['a']:\n    pass"), WRITE],
        [code("for out in ['a']:\n    pass"), OUT, WRITE],
        True,
    ),
    "any name may be bound": (
        [ONE, code("from settings import *"), OUT, WRITE],
        [code("from settings import *"), ONE, OUT, WRITE],
        True,
    ),
    "a cell with more than declarations": (
        [code("C = 1\nprint()", "parameters"), code("C = 2"), code("D = 3\nprint()", "parameters"), OUT, WRITE],
        [code("D = 3\nprint()", "parameters"), code("C = 2"), code("C = 1\nprint()", "parameters"), OUT, WRITE],
        True,
    ),
    "a checked name holds the list of its checks": (
        [OUT, ONE, WRITE, code("out = [{'rows': {'min': 1}}]", "expectations")],
        [OUT, ONE, code("out = [{'rows': {'min': 1}}]", "expectations"), WRITE],
        True,
    ),
    "no other cell binds the names": ([ONE, OUT, WRITE], [OUT, WRITE, ONE], False),
    "a cell that is skipped binds them": (
        [ONE, code("C = 2", "skip"), OUT, WRITE],
        [code("C = 2", "skip"), ONE, OUT, WRITE],
        False,
    ),
    "order without staleness": (
        [OUT, code("after = []", "dependencies"), code("after = 1"), WRITE, ONE],
        [OUT, code("after = 1"), code("after = []", "dependencies"), WRITE, ONE],
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "expected"), MOVES.values(), ids=MOVES)
def test_the_place_of_a_declaring_cell_counts_where_its_names_are_bound_again(
    root: Path, before: list[dict], after: list[dict], expected: bool
) -> None:
    first, second = of(root, *before), of(root, *after)
    assert bool(told(first, second)) == expected
    assert (state_digest(first) != state_digest(second)) == expected


def test_a_parameter_assigned_twice_in_its_cell_counts_as_code(root: Path) -> None:
    first = of(root, code("C = 1\nD = round(C)\nC = 3", "parameters"))
    second = of(root, code("C = 2\nD = round(C)\nC = 3", "parameters"))
    assert told(first, second) == ["code cell 2 changed"]


def test_a_comment_about_a_declared_name_binds_nothing(root: Path) -> None:
    first = of(root, ONE, code("print(C)"))
    second = of(root, ONE, code("print(C)  # C = 2, import *, %run x"))
    assert told(first, second) == []


@pytest.mark.parametrize("tag", ["raises-exception", "metrics", "skip-execution"])
def test_a_tag_that_changes_what_running_a_cell_does_counts(root: Path, tag: str) -> None:
    plain = of(root, ONE, code("x = C"))
    assert told(plain, of(root, ONE, code("x = C", tag))) == ["code cell 3 changed"]
    assert told(plain, of(root, ONE, code("x = C", "a-tag-of-mine"))) == []


SECRET = 'p@ss/word "1"'
HIDDEN = {
    "as it is": SECRET,
    "within a URL": f"https://me:{quote(SECRET, safe='')}@host/db",
    "as base64": base64.b64encode(b"user:" + SECRET.encode()).decode(),
    "deep inside": {"headers": [{"key": f"Bearer {SECRET}"}]},
}


@pytest.mark.parametrize("value", HIDDEN.values(), ids=HIDDEN)
def test_a_parameter_that_holds_a_secret_counts_by_its_digest(value) -> None:
    given = {"url": canonical(value), "C": "1.0"}
    found = sealed(given, ["TOKEN"], {"TOKEN": SECRET})
    assert found["url"].startswith('"[masked ')
    assert found["C"] == "1.0"
    assert sealed(given, ["TOKEN"], {"TOKEN": SECRET}) == found
    assert sealed(given, [], {"TOKEN": SECRET}) == given
    assert sealed(given, ["TOKEN"], {"TOKEN": "another/" + SECRET}) == given
