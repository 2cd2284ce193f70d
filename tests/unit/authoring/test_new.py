"""new: a notebook whose inputs are others' outputs."""

import json
from pathlib import Path

import pytest
from builders import code, command, header, write_notebook

from nbpipeline.__main__ import main


def sources(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]


def clean(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "clean.ipynb",
        code('rows = "../data/rows.csv"\nlog = "../data/log.txt"', "outputs"),
        code("open(rows, 'w').write('a')\nopen(log, 'w').write('b')"),
    )


def test_inputs_are_the_outputs_of_the_stages_before(root: Path) -> None:
    clean(root)
    write_notebook(
        root / "notebooks" / "other.ipynb",
        code('rows = "../data/more.csv"', "outputs"),
        code("open(rows, 'w').write('a')"),
    )
    write_notebook(root / "notebooks" / "warm-up.ipynb", code("x = 1", "parameters"))
    made = command("new", "compare", "--after", "clean", "--after", "other", "--after", "warm-up", cwd=root)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == [
        "made notebooks/compare.ipynb",
        "next: open it in JupyterLab; nbpipeline run +compare",
    ]
    cells = sources(root / "notebooks/compare.ipynb")
    assert 'rows = "../data/rows.csv"\nlog = "../data/log.txt"\nother_rows = "../data/more.csv"' in cells
    assert 'result = "../data/compare.json"' in cells
    assert "after = ['warm-up']" in cells
    done = command("run", "+compare", cwd=root)  # as it says: with what it needs, which has never run
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((root / "data/compare.json").read_text())["bytes"] == {
        "rows": 1,
        "log": 1,
        "other_rows": 1,
    }


def test_a_stage_after_a_matrix_has_the_matrix(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "train.ipynb",
        header("matrix: {region: [eu, us]}"),
        code("region: str = 'eu'", "parameters"),
        code('model = f"../models/{region}.txt"', "outputs"),
        code("open(model, 'w').write(region)"),
    )
    assert command("new", "score", "--after", "train", cwd=root).returncode == 0
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in (root / "data").iterdir()) == ["score-eu.json", "score-us.json"]


def test_a_name_that_is_none(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "2nd", "--project", str(root)]) == 2
    assert capsys.readouterr().err == (
        "'2nd' cannot name a stage.\n"
        "  a name has letters, digits, `_` and `-`, and does not begin with a digit\n"
        "  mend: choose such a name\n"
    )


def test_a_name_that_is_taken(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean(root)
    assert main(["new", "clean", "--project", str(root)]) == 2
    assert capsys.readouterr().err == "there is a stage 'clean' already.\n  mend: choose another name\n"


def test_an_unknown_stage_before(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean(root)
    assert main(["new", "x", "--after", "claen", "--project", str(root)]) == 2
    assert capsys.readouterr().err == (
        "there is no stage 'claen'.\n  stages: clean\n  mend: did you mean 'clean'?\n"
    )


def test_a_file_that_is_there_stays(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean(root)
    (root / "notebooks" / "x.ipynb").write_text(
        json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    assert main(["new", "x", "--project", str(root)]) == 2
    assert capsys.readouterr().err == (
        "notebooks/x.ipynb: is there already; nothing was written.\n"
        "  mend: move it away, or choose another folder or name\n"
    )
