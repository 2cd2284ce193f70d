"""What cannot go well is refused before the first stage runs."""

import importlib.util
from pathlib import Path

import pytest
from builders import code, header, write_notebook

from nbpipeline import Project
from nbpipeline.__main__ import main
from nbpipeline.stage import journal


@pytest.fixture
def chain(root: Path) -> Path:
    """Two stages, the second of which wants its executed notebook as a page."""
    write_notebook(
        root / "notebooks" / "a.ipynb",
        code("made = '../made.txt'", "outputs"),
        code("open(made, 'w').write('1')"),
    )
    write_notebook(
        root / "notebooks" / "b.ipynb",
        header("executed: ../pages/b.html"),
        code("made = '../made.txt'", "inputs"),
        code("print(open(made).read())"),
    )
    return root


def test_a_copy_that_cannot_be_made_is_refused_before_the_run(
    chain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "nbconvert" else found(name)
    )
    assert main(["run", "--project", str(chain)]) == 5
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        "",
        (
            "notebooks/b.ipynb, cell 1: `executed: pages/b.html` needs nbconvert.\n"
            "  mend: pip install 'nbconvert>=7.16', "
            "or in a clone of nbpipeline: pip install -e '.[convert]'\n"
        ),
    )
    assert not (chain / "made.txt").exists()
    assert not (chain / ".nbpipeline/runs").exists()
    assert main(["run", "a", "--project", str(chain)]) == 0, "what is left out refuses nothing"


@pytest.fixture
def by_year(root: Path) -> Path:
    """Two stages, an instance a year of each: a file that nobody makes, cleaned, and counted."""
    matrix = "matrix: {year: [1, 2]}\n"
    write_notebook(
        root / "notebooks" / "clean.ipynb",
        header(f"{matrix}inputs: {{raw: '../raw/{{year}}.txt'}}\noutputs: {{made: '../made/{{year}}.txt'}}"),
        code("open(made, 'w').write(open(raw).read())"),
    )
    write_notebook(
        root / "notebooks" / "count.ipynb",
        header(f"{matrix}inputs: {{made: '../made/{{year}}.txt'}}"),
        code("print(open(made).read())"),
    )
    return root


def test_a_left_out_maker_is_told_once_for_a_whole_matrix(
    by_year: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "count", "--project", str(by_year)]) == 3
    assert capsys.readouterr().err == (
        "notebooks/count.ipynb, cell 1, line 4: input 'made' of 'count' is not there: made/1.txt, made/2.txt\n"
        "  made by: clean[year=1], clean[year=2], which are not part of this run\n"
        "  mend: run them too: `nbpipeline run +count`\n"
    )
    assert main(["run", "count@year=2", "--project", str(by_year)]) == 3
    assert capsys.readouterr().err.splitlines()[1:] == [
        "  made by: clean[year=2], which is not part of this run",
        "  mend: run it too: `nbpipeline run +count@year=2`",
    ]


def test_a_plan_says_that_its_run_will_be_refused(by_year: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--project", str(by_year)]) == 0
    told = (
        "note: this run would be refused: notebooks/clean.ipynb, cell 1, line 4: input 'raw' is made by no "
        "stage, and raw/1.txt, raw/2.txt are not there; put the files there, or declare them as outputs of "
        "the stage that makes them\n"
    )
    assert capsys.readouterr().err == told
    assert main(["run", "--dry-run", "--project", str(by_year)]) == 0
    assert capsys.readouterr().err == told
    (by_year / "raw").mkdir()
    for year in "12":
        (by_year / f"raw/{year}.txt").write_text(year)
    assert main(["plan", "--project", str(by_year)]) == 0
    assert capsys.readouterr().err == ""
    assert main(["plan", "count", "--project", str(by_year)]) == 0
    assert "this run would be refused: notebooks/count.ipynb, cell 1, line 4: " in capsys.readouterr().err


def test_many_missing_inputs_are_counted_in_a_plan(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ", ".join(f"in{number}: ../raw/{number}.txt" for number in range(5))
    write_notebook(root / "notebooks" / "a.ipynb", header(f"inputs: {{{names}}}"), code("x = 1"))
    assert main(["plan", "--project", str(root)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert [one.startswith("note: this run would be refused: ") for one in told] == [True, True, True, True]
    assert told[-1] == "note: this run would be refused: 2 more inputs are not there: see `nbpipeline check`"


def test_a_plan_refuses_nothing_for_what_stands_aside(
    chain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maker = Project(chain).pipeline.instances["a"]
    (chain / "made.txt").write_text("1")
    run = "20261123-060000-abcd"
    aside = journal.begin(
        maker, chain, run=run, state="s", token="none-has-this", rejected=chain / "rejected"
    )
    assert not (chain / "made.txt").exists()
    assert main(["plan", "b", "--project", str(chain)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert [one for one in told if run in one] == [
        (
            f"note: run {run} died in the middle of a; 1 output stands aside (made.txt); the next run or "
            "`nbpipeline doctor` brings it back"
        )
    ]
    assert not [one for one in told if "refused" in one]
    journal.roll_back(aside)
    (chain / "made.txt").unlink()
    assert main(["plan", "b", "--project", str(chain)]) == 0
    assert "note: this run would be refused: " in capsys.readouterr().err
