"""Edits to a project, and what each makes stale: the table that SPEC section 4 promises."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import code, header, markdown, write_notebook
from workbench import Workbench

HELPER = '''
"""Makes features."""
LIMIT = 3


def build(text):
    # a comment
    return text[:LIMIT]


def unused(text):
    return text
'''

FETCH = [
    code('raw = "../data/raw.txt"', "inputs"),
    code('copy = "../data/copy.txt"', "outputs"),
    code("text = open(raw).read()"),
    code("with open(copy, 'w') as file:\n    file.write(text.strip())"),
]

FEATURES = [
    markdown("# Features"),
    code("rows: int = 10\nword = 'a'", "parameters"),
    code('copy = "../data/copy.txt"', "inputs"),
    code('features = "../data/features.txt"', "outputs"),
    code("from features_of import build\n\nmade = build(open(copy).read())"),
    code("with open(features, 'w') as file:\n    file.write(made * rows)"),
    code("print(features)", "skip"),
    code("assert made", "test"),
]

REPORT = [
    header("inputs: {features: ../data/features.txt}\noutputs: {report: ../out/report.txt}"),
    code("import os\nwith open(report, 'w') as file:\n    file.write(str(os.path.getsize(features)))"),
]

OTHER = [
    header("outputs: {alone: ../out/alone.txt}\nenv: [NBPIPELINE_TEST_TZ]"),
    code("with open(alone, 'w') as file:\n    file.write('x')"),
]


@pytest.fixture
def bench(root: Path) -> Workbench:
    bench = Workbench(root)
    bench.environ["NBPIPELINE_TEST_TZ"] = "UTC"
    bench.write("pipeline.yaml", "name: edits\n")
    bench.write("data/raw.txt", "abcdef")
    bench.write("notebooks/features_of.py", HELPER)
    bench.notebook("fetch", *FETCH)
    bench.notebook("features", *FEATURES)
    bench.notebook("report", *REPORT)
    bench.notebook("other", *OTHER)
    assert bench.run() == {"fetch": "run", "features": "run", "report": "run", "other": "run"}
    assert bench.reasons() == {}
    return bench


def edit(bench: Workbench, name: str, change: Callable[[dict], None]) -> None:
    path = bench.root / "notebooks" / f"{name}.ipynb"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def replace(bench: Workbench, name: str, old: str, new: str) -> None:
    path = bench.root / "notebooks" / f"{name}.ipynb"
    text = path.read_text()
    assert json.dumps(old)[1:-1] in text
    path.write_text(text.replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1]))


def insert(bench: Workbench, name: str, at: int, cell: dict) -> None:
    edit(bench, name, lambda data: data["cells"].insert(at, {"id": "new", **cell}))


def executed(data: dict) -> None:
    for number, cell in enumerate(data["cells"]):
        cell["metadata"]["collapsed"] = True
        if cell["cell_type"] == "code":
            cell["execution_count"] = number + 7
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "hello"}]
    data["metadata"]["language_info"] = {"name": "python", "version": "3.99"}


HARMLESS = {
    "a markdown cell inserted": lambda b: insert(b, "features", 0, markdown("more prose")),
    "a comment": lambda b: replace(b, "features", "made = build", "# why\nmade = build"),
    "reformatted": lambda b: replace(b, "features", "file.write(made * rows)", "file.write( made*rows )"),
    "a cell of comments alone": lambda b: insert(b, "features", 3, code("# nothing")),
    "an empty cell": lambda b: insert(b, "features", 3, code("")),
    "outputs, counts and metadata": lambda b: edit(b, "features", executed),
    "the skip cell": lambda b: replace(b, "features", "print(features)", "print(1)"),
    "the test cell": lambda b: replace(b, "features", "assert made", "assert 1"),
    "a declaration written otherwise": lambda b: replace(
        b, "features", 'copy = "../data/copy.txt"', 'import os\ncopy = os.path.join("..", "data", "copy.txt")'
    ),
    "a default written otherwise": lambda b: replace(b, "features", "rows: int = 10", "rows: int = (10)"),
    "a helper's comment": lambda b: b.write(
        "notebooks/features_of.py", HELPER.replace("# a comment", "# another")
    ),
    "touched without a change": lambda b: (b.root / "data/raw.txt").touch(),
    "an unrelated module": lambda b: b.write("notebooks/elsewhere.py", "x = 1"),
    "retries and a description": lambda b: replace(
        b, "report", "outputs:", "retries: 3\n  description: text\n  tags: [weekly]\n  outputs:"
    ),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_changes_nothing(bench: Workbench, change: Callable[[Workbench], None]) -> None:
    change(bench)
    assert bench.reasons() == {}
    assert bench.actions() == {}


STALE = {
    "a code cell": (
        lambda b: replace(b, "features", "made * rows", "made * rows + word"),
        {"features": ["code: cell 6 changed"], "report": ["upstream features"]},
    ),
    "a code cell inserted": (
        lambda b: insert(b, "features", 4, code("extra = 1")),
        {"features": ["code: cell 5 added"], "report": ["upstream features"]},
    ),
    "a code cell removed": (
        lambda b: edit(b, "fetch", lambda data: data["cells"].pop(2)),
        {
            "fetch": ["code: cell 3 removed"],
            "features": ["upstream fetch"],
            "report": ["upstream features"],
        },
    ),
    "a parameter": (
        lambda b: replace(b, "features", "rows: int = 10", "rows: int = 20"),
        {"features": ["parameter rows: 10 -> 20"], "report": ["upstream features"]},
    ),
    "a parameter from pipeline.yaml": (
        lambda b: b.write("pipeline.yaml", "name: edits\nparams: {word: b}\n"),
        {"features": ["parameter word: a -> b"], "report": ["upstream features"]},
    ),
    "a parameter more": (
        lambda b: replace(b, "features", "word = 'a'", "word = 'a'\nmore = 1.5"),
        {"features": ["parameter more added (1.5)"], "report": ["upstream features"]},
    ),
    "the helper's function": (
        lambda b: b.write("notebooks/features_of.py", HELPER.replace("text[:LIMIT]", "text[1:LIMIT]")),
        {"features": ["module features_of.py changed (build)"], "report": ["upstream features"]},
    ),
    "the helper's names": (
        lambda b: b.write(
            "notebooks/features_of.py", HELPER.replace("LIMIT = 3", "LIMIT = 4").replace("unused", "idle")
        ),
        {
            "features": ["module features_of.py changed (LIMIT, idle, unused)"],
            "report": ["upstream features"],
        },
    ),
    "the helper's docstring": (
        lambda b: b.write("notebooks/features_of.py", HELPER.replace("Makes features", "Makes columns")),
        {"features": ["module features_of.py changed"], "report": ["upstream features"]},
    ),
    "a docstring in the helper": (
        lambda b: b.write(
            "notebooks/features_of.py", HELPER.replace("    # a comment", "    'What it is for.'")
        ),
        {"features": ["module features_of.py changed (build)"], "report": ["upstream features"]},
    ),
    "a data file": (
        lambda b: b.write("data/raw.txt", "xyz"),
        {
            "fetch": ["input ../data/raw.txt changed"],
            "features": ["upstream fetch"],
            "report": ["upstream features"],
        },
    ),
    "a data file gone": (
        lambda b: (b.root / "data/raw.txt").unlink(),
        {
            "fetch": ["input ../data/raw.txt missing"],
            "features": ["upstream fetch"],
            "report": ["upstream features"],
        },
    ),
    "an output altered": (
        lambda b: b.write("out/report.txt", "by hand"),
        {"report": ["output ../out/report.txt changed"]},
    ),
    "an output gone": (
        lambda b: (b.root / "out/report.txt").unlink(),
        {"report": ["output ../out/report.txt missing"]},
    ),
    "where an output goes": (
        lambda b: replace(b, "report", "../out/report.txt", "../out/other.txt"),
        {"report": ["code: output report ../out/report.txt -> ../out/other.txt"]},
    ),
    "a check": (
        lambda b: replace(b, "report", "outputs:", "expect: {report: [{exists: true}]}\n  outputs:"),
        {"report": ["code: expect report added"]},
    ),
    "an environment variable": (
        lambda b: b.environ.update(NBPIPELINE_TEST_TZ="CET"),
        {"other": ["environment variable NBPIPELINE_TEST_TZ changed"]},
    ),
    "an environment variable unset": (
        lambda b: b.environ.pop("NBPIPELINE_TEST_TZ"),
        {"other": ["environment variable NBPIPELINE_TEST_TZ changed"]},
    ),
    "the kernel's folder": (
        lambda b: replace(
            b,
            "other",
            "outputs: {alone: ../out/alone.txt}",
            "cwd: project\n  outputs: {alone: out/alone.txt}",
        ),
        {"other": ["code: working folder added", "code: output alone ../out/alone.txt -> out/alone.txt"]},
    ),
}


@pytest.mark.parametrize(("change", "expected"), STALE.values(), ids=STALE)
def test_what_makes_stale(bench: Workbench, change: Callable, expected: dict[str, list[str]]) -> None:
    change(bench)
    found = bench.reasons()
    assert {name: sorted(reasons) for name, reasons in found.items()} == {
        name: sorted(reasons) for name, reasons in expected.items()
    }


def test_descendants_may_run_and_bystanders_do_not(bench: Workbench) -> None:
    replace(bench, "features", "made * rows", "made * (rows + 1)")
    assert bench.actions() == {"features": "run", "report": "maybe"}


def test_early_cut_off(bench: Workbench) -> None:
    bench.write("data/raw.txt", "abcdef   \n")  # fetch strips it: it writes the same bytes
    assert bench.actions() == {"fetch": "run", "features": "maybe", "report": "maybe"}
    assert bench.run() == {"fetch": "run"}
    assert bench.reasons() == {}


def test_reverting_restores_without_running(bench: Workbench) -> None:
    before = (bench.root / "out/report.txt").read_bytes()
    replace(bench, "features", "made * rows", "made * 7")
    assert bench.run() == {"features": "run", "report": "run"}
    assert (bench.root / "out/report.txt").read_bytes() != before
    replace(bench, "features", "made * 7", "made * rows")
    assert bench.actions() == {"features": "restore", "report": "restore"}
    assert bench.reasons() == {
        "features": ["code: cell 6 changed"],
        "report": ["input ../data/features.txt changed"],
    }
    assert bench.run() == {"features": "restore", "report": "restore"}
    assert (bench.root / "out/report.txt").read_bytes() == before
    assert bench.reasons() == {}


def test_what_was_lost_from_disk_comes_back(bench: Workbench) -> None:
    (bench.root / "data/features.txt").unlink()
    (bench.root / "out/report.txt").unlink()
    assert bench.actions() == {"features": "restore", "report": "restore"}


def test_what_the_store_lost_too_is_made_again(bench: Workbench) -> None:
    (bench.root / "data/features.txt").unlink()
    bench.store.trim(0)
    assert bench.actions() == {"features": "run", "report": "maybe"}


def test_a_lost_history_is_won_back_from_the_store(bench: Workbench) -> None:
    again = Workbench(bench.root, environ=bench.environ)
    assert again.actions() == {}
    (bench.root / "data/features.txt").unlink()
    assert again.reasons() == {"features": ["never run"]}
    assert again.actions() == {"features": "restore"}


def test_a_fresh_clone_with_the_same_store(bench: Workbench, tmp_path: Path) -> None:
    import shutil

    clone = tmp_path / "clone"
    shutil.copytree(bench.root, clone)
    shutil.rmtree(clone / "out")
    for one in ("copy", "features"):
        (clone / "data" / f"{one}.txt").unlink()
    other = Workbench(clone, environ=bench.environ)
    for folder in ("notebooks", "out"):
        (clone / folder).mkdir(exist_ok=True)
    assert set(other.run().values()) == {"restore"}
    assert (clone / "out/report.txt").read_bytes() == (bench.root / "out/report.txt").read_bytes()


def test_a_new_stage_is_all_that_runs(bench: Workbench) -> None:
    write_notebook(
        bench.root / "notebooks/late.ipynb",
        code('features = "../data/features.txt"', "inputs"),
        code('late = "../out/late.txt"', "outputs"),
        code("open(late, 'w').write(open(features).read())"),
    )
    assert bench.reasons() == {"late": ["never run"]}
    assert bench.run() == {"late": "run"}
