"""What is told: mends that every shell takes, drawings, what is no stage."""

from pathlib import Path

import pytest
from builders import code, write_notebook

from nbpipeline.__main__ import main
from nbpipeline.cli.summary import failure_lines
from nbpipeline.model import Failure, StageResult, Status, canonical_id, shell_name


@pytest.mark.parametrize(
    ("instance", "typed"),
    [
        ("train", "train"),
        ("train[region=eu,year=2013]", "train@region=eu,year=2013"),
        ("train[region=New York]", "'train@region=New York'"),
    ],
)
def test_an_instance_is_printed_as_shells_take_it(instance: str, typed: str) -> None:
    assert shell_name(instance) == typed
    assert canonical_id(typed.strip("'")) == instance


def test_a_mend_names_the_instance_as_shells_take_it(tmp_path: Path) -> None:
    failure = Failure(kind="cell", what="it broke", mend="see the log")
    result = StageResult(instance="fit[region=east]", status=Status.FAILED, failure=failure)
    assert list(failure_lines(result, failure, tmp_path)) == [
        "",
        "fit[region=east] failed",
        "it broke",
        "  mend: see the log",
        "        nbpipeline debug fit@region=east",
    ]


def test_a_drawing_in_a_format_that_is_none_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook(root / "notebooks" / "one.ipynb", code("x = 1", "parameters"))
    for name in ("g.png", "g.PDF"):
        target = root / name
        assert main(["graph", "--project", str(root), "-o", str(target)]) == 2
        assert capsys.readouterr().err == (
            f"no format goes with the name {target}.\n"
            "  known endings: .txt, .svg, .html, .htm, .mmd, .md, .json\n"
            "  mend: choose one of these, or add --format\n"
        )
        assert not target.exists()
    for arguments in (["-o", str(root / "g.png"), "--format", "text"], ["-o", str(root / "drawing")]):
        assert main(["graph", "--project", str(root), *arguments]) == 0


def test_check_names_the_notebooks_that_are_no_stages(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_notebook(root / "notebooks" / "one.ipynb", code("x = 1", "parameters"))
    write_notebook(root / "notebooks" / "nothing.ipynb", code("x = 1"))
    assert main(["check", "--project", str(root)]) == 0
    assert capsys.readouterr().out == (
        "note: notebooks/nothing.ipynb is no stage: it has no header, and no cell with a tag such as `parameters`\n"
        "1 stage: nothing to complain of\n"
    )
