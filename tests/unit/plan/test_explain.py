"""Reasons in words, word for word, and the difference of a cell or module."""

from dataclasses import replace
from pathlib import Path

import pytest
from builders import code, header
from workbench import Workbench

from nbpipeline.encoding import plan_data
from nbpipeline.fingerprint.texts import module_texts
from nbpipeline.model import PathValue, Reason, ReasonKind
from nbpipeline.plan.explain import diff, words

K = ReasonKind
WORDS = [
    (Reason(kind=K.NEVER_RUN), "never run"),
    (Reason(kind=K.CODE, subject="cell 4", before="a", after="b", detail="changed"), "code: cell 4 changed"),
    (Reason(kind=K.CODE, subject="cell 4", after="b", detail="added"), "code: cell 4 added"),
    (
        Reason(kind=K.CODE, subject="output m", before="a", after=PathValue("b"), detail="changed"),
        "code: output m a -> b",
    ),
    (
        Reason(kind=K.MODULE, subject="features.py", detail="changed (build)"),
        "module features.py changed (build)",
    ),
    (
        Reason(kind=K.PARAMETER, subject="C", before=1.0, after=0.5, detail="changed"),
        "parameter C: 1.0 -> 0.5",
    ),
    (
        Reason(kind=K.PARAMETER, subject="C", before="a", after=None, detail="changed"),
        "parameter C: a -> null",
    ),
    (Reason(kind=K.PARAMETER, subject="C", after=[1, "a"], detail="added"), 'parameter C added ([1,"a"])'),
    (Reason(kind=K.PARAMETER, subject="C", before=1, detail="removed"), "parameter C removed"),
    (Reason(kind=K.INPUT, subject="../data/raw.csv", detail="changed"), "input ../data/raw.csv changed"),
    (Reason(kind=K.OUTPUT, subject="../m", detail="missing"), "output ../m missing"),
    (Reason(kind=K.ENVIRONMENT, subject="pandas", before="3.0.6", after="3.1.1"), "pandas 3.0.6 -> 3.1.1"),
    (Reason(kind=K.ENVIRONMENT, subject="pandas", after="3.1.1"), "pandas 3.1.1 is new"),
    (Reason(kind=K.ENVIRONMENT, subject="pandas", before="3.1.1"), "pandas 3.1.1 is gone"),
    (
        Reason(kind=K.ENVIRONMENT, subject="TZ", before="1", after="2", detail="variable"),
        "environment variable TZ changed",
    ),
    (
        Reason(kind=K.ENVIRONMENT, subject="r.lock", before="1", after="2", detail="lock file"),
        "lock file r.lock changed",
    ),
    (
        Reason(kind=K.KERNEL, subject="kernel", before="R (R)", after="python (x)"),
        "kernel R (R) -> python (x)",
    ),
    (Reason(kind=K.UPSTREAM, subject="clean"), "upstream clean"),
    (Reason(kind=K.UNDECLARED_IO, subject="data/x.csv"), "undeclared file data/x.csv"),
    (Reason(kind=K.FAILED, subject="20260101-000000-abcd"), "last attempt failed"),
    (Reason(kind=K.EXPIRED, detail="older than 24h"), "expired (older than 24h)"),
    (Reason(kind=K.ALWAYS), "always runs"),
    (Reason(kind=K.FORCED), "forced"),
]


@pytest.mark.parametrize(("reason", "expected"), WORDS)
def test_words(reason: Reason, expected: str) -> None:
    assert words(reason) == expected


def changed(kind: K, subject: str, before: object, after: object) -> str:
    return words(Reason(kind=kind, subject=subject, before=before, after=after, detail="changed"))


def test_values_of_two_kinds_are_shown_whole() -> None:
    many = "[" + ",".join(str(one) for one in range(60)) + "]"
    assert changed(K.PARAMETER, "C", {"a": 1}, [1, 2]) == 'parameter C: {"a":1} -> [1,2]'
    assert changed(K.PARAMETER, "C", [1, 2], {"a": 1}) == 'parameter C: [1,2] -> {"a":1}'
    assert changed(K.PARAMETER, "C", [*range(60)], "text") == f"parameter C: {many} -> text"
    assert changed(K.PARAMETER, "C", "text", [*range(60)]) == f"parameter C: text -> {many}"


@pytest.mark.parametrize("place", [1, 2, 3])
def test_of_several_checks_of_one_name_the_right_one_is_told(place: int) -> None:
    before = [["between", {"column": one}] for one in "abc"]
    after = [one if number != place else ["between", {"column": "d"}] for number, one in enumerate(before, 1)]
    name = "between" if place == 1 else f"between #{place}"
    was = "abc"[place - 1]
    told = f'code: expect x: changed {name} ({{"column":"{was}"}} -> {{"column":"d"}})'
    assert changed(K.CODE, "expect x", before, after) == told


@pytest.mark.parametrize(
    ("number", "rest"),
    [(4, ""), (5, ", added k4"), (6, ", added k4 and 1 more"), (8, ", added k4 and 3 more")],
)
def test_five_changes_are_told(number: int, rest: str) -> None:
    after = {f"k{one}": one for one in range(number)}
    told = f"parameter C: added k0, added k1, added k2, added k3{rest}"
    assert changed(K.PARAMETER, "C", {}, after) == told


def test_every_kind_has_words() -> None:
    assert {reason.kind for reason, _ in WORDS} == set(ReasonKind)


NORTH, SOUTH, EAST = ({one: PathValue(f"../models/model-{one}.json")} for one in ("north", "south", "east"))
INNER = [
    (
        Reason(kind=K.CODE, subject="input models", before=NORTH | SOUTH, after=NORTH | EAST),
        "code: input models: added east, removed south",
    ),
    (
        Reason(kind=K.CODE, subject="input models", before={"a": "x", "b": "y"}, after={"a": "z", "b": "y"}),
        "code: input models: changed a (x -> z)",
    ),
    (
        Reason(kind=K.CODE, subject="input models", before={"a": "x" * 80}, after={"a": "y" * 80}),
        "code: input models: changed a",
    ),
    (
        Reason(kind=K.CODE, subject="input models", before={"a": 1, "b": 2}, after={"b": 2, "a": 1}),
        "code: input models: order changed",
    ),
    (
        Reason(
            kind=K.CODE,
            subject="expect clean",
            before=[["rows", {"at_least": 1}], ["not_null", ["a"]], ["unique", ["a"]]],
            after=[["rows", {"at_least": 5}], ["not_null", ["a"]], ["unique", ["a"]], ["unique", ["b"]]],
        ),
        'code: expect clean: changed rows ({"at_least":1} -> {"at_least":5}), added unique #2',
    ),
    (
        Reason(
            kind=K.PARAMETER, subject="xs", before=[*range(30)], after=[*range(1, 30), 99], detail="changed"
        ),
        "parameter xs: added 99, removed 0",
    ),
    (
        Reason(kind=K.PARAMETER, subject="xs", before=[*range(30)], after=[*range(40)], detail="changed"),
        "parameter xs: added 30, added 31, added 32, added 33, added 34 and 5 more",
    ),
    (
        Reason(kind=K.PARAMETER, subject="xs", before=[*range(30)], after=[*range(29, -1, -1)]),
        "parameter xs: order or repeated elements changed",
    ),
    (Reason(kind=K.PARAMETER, subject="xs", before=[1], after=[1, 2]), "parameter xs: [1] -> [1,2]"),
]


@pytest.mark.parametrize(("reason", "told"), INNER)
def test_mappings_and_long_lists_are_told_by_what_differs(reason: Reason, told: str) -> None:
    assert words(reason) == told


@pytest.fixture
def bench(root: Path) -> Workbench:
    bench = Workbench(root)
    bench.write("pipeline.yaml", "name: explaining\n")
    notebook(bench, "x = 1\ny = 2")
    bench.run()
    return bench


def notebook(bench: Workbench, text: str, *more: dict) -> None:
    bench.notebook(
        "one", header("outputs: {made: ../made.txt}"), code(text), *more, code("open(made, 'w').write('x')")
    )


def shown(bench: Workbench) -> str:
    (step,) = bench.plan().steps
    return diff(step, bench.store, bench.fingerprinter)


def test_the_difference_of_a_changed_cell(bench: Workbench) -> None:
    assert shown(bench) == ""
    notebook(bench, "x = 1\ny = 3")
    assert shown(bench).splitlines() == [
        "--- cell 2, last run",
        "+++ cell 2, now",
        "@@ -1,2 +1,2 @@",
        " x = 1",
        "-y = 2",
        "+y = 3",
    ]


def test_the_difference_of_a_new_cell(bench: Workbench) -> None:
    notebook(bench, "x = 1\ny = 2", code("z = 3"))
    assert shown(bench).splitlines() == ["--- cell 3, last run", "+++ cell 3, now", "@@ -0,0 +1 @@", "+z = 3"]


def test_the_difference_of_a_changed_module(bench: Workbench) -> None:
    bench.write("notebooks/lib.py", "# what it is for\nLIMIT = 3\n\n\ndef build(x):\n    return x\n")
    notebook(bench, "import lib\ny = 2")
    bench.run()
    bench.write("notebooks/lib.py", "# what it is for\nLIMIT = 3\n\n\ndef build(x):\n    return x + 1\n")
    assert bench.reasons() == {"one": ["module lib.py changed (build)"]}
    assert shown(bench).splitlines() == [
        "--- module lib.py, last run",
        "+++ module lib.py, now",
        "@@ -3,4 +3,4 @@",
        " ",
        " ",
        " def build(x):",
        "-    return x",
        "+    return x + 1",
    ]


def test_what_a_run_read_beside_code_is_not_kept_as_text(bench: Workbench) -> None:
    bench.write("notebooks/.env", "TOKEN=hidden\n")
    bench.write("notebooks/lib.py", "x = 1\n")
    modules = {"notebooks/.env": "d1", "notebooks/lib.py": "d2 x:1", "notebooks/gone.py": "d3"}
    assert module_texts(bench.root, modules) == {"d2": "x = 1\n"}


def test_a_module_that_is_no_text(bench: Workbench) -> None:
    reason = Reason(kind=K.MODULE, subject="fast.so", before="", after="b" * 32, detail="changed")
    step = replace(bench.plan().steps[0], reasons=(reason,))
    assert diff(step, bench.store, bench.fingerprinter).splitlines() == [
        "--- module fast.so",
        "(it is no text that can be shown)",
    ]


def test_a_text_that_the_store_has_lost(bench: Workbench) -> None:
    bench.store.trim(0)
    notebook(bench, "x = 1\ny = 3")
    assert shown(bench).splitlines() == ["--- cell 2", "(the earlier text is not in the store)"]


def test_a_plan_as_json(bench: Workbench) -> None:
    assert plan_data(bench.plan()) == {
        "version": 1,
        "stages": [{"stage": "one", "fresh": True, "action": "skip", "reasons": []}],
    }
    (bench.root / "made.txt").write_text("y")
    (stage,) = plan_data(bench.plan())["stages"]
    (reason,) = stage["reasons"]
    assert (stage["fresh"], stage["action"]) == (False, "restore")
    assert set(reason) == {"kind", "subject", "before", "after", "detail"}
    assert (reason["kind"], reason["subject"], reason["detail"]) == ("output", "../made.txt", "changed")
