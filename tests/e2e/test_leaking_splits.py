"""A stage that writes splits which leak fails with the rows named; what it wrote before stands."""

from pathlib import Path

import pytest
from builders import code, header, write_notebook

import nbpipeline
from nbpipeline.errors import ReadingError
from nbpipeline.model import Status

EXPECT = """
expect:
  train:
    - disjoint_from: {other: [valid], columns: [id]}
    - earlier_than: {other: valid, column: day}
"""


def write_split(root: Path, first_valid: int, expect: str = EXPECT, publish: str = "direct") -> None:
    write_notebook(
        root / "notebooks" / "split.ipynb",
        header(
            f"outputs: {{train: {{path: ../train.csv, publish: {publish}}}, valid: {{path: ../valid.csv, "
            f"publish: {publish}}}}}{expect}"
        ),
        code("import nbpipeline\nstage = nbpipeline.stage()\nheads = 'id,day\\n'\n"),
        code("rows = [f'{n},2013-01-{n:02}\\n' for n in range(1, 20)]"),
        code("open(stage.outputs.train, 'w').write(heads + ''.join(rows[:10]))"),
        code(f"open(stage.outputs.valid, 'w').write(heads + ''.join(rows[{first_valid - 1}:]))"),
    )


@pytest.mark.parametrize("publish", ["direct", "atomic"])
def test_a_leak_fails_the_stage_and_names_the_rows(root: Path, publish: str) -> None:
    write_split(root, 11, publish=publish)
    project = nbpipeline.Project(root)
    assert [one.status for one in project.run().results] == [Status.SUCCEEDED]
    good = (root / "valid.csv").read_bytes()
    write_split(root, 10, publish=publish)
    (failed,) = project.run().results
    assert failed.status is Status.CHECK_FAILED
    assert failed.failure is not None
    assert failed.failure.what == (
        "output 'train' fails a check: disjoint_from: 'id' is also in 'valid' in 1 of 10 rows: row 10 (10)"
    )
    assert (
        "it also fails earlier_than: 'day' is not earlier than the first of 'valid' (2013-01-10) in 1 of 10 rows: "
        "row 10 (2013-01-10)"
    ) in failed.failure.known.splitlines()
    assert (root / "valid.csv").read_bytes() == good


def test_a_reader_of_the_splits_checks_its_inputs(root: Path) -> None:
    (root / "train.csv").write_text("id\n1\n2\n")
    (root / "valid.csv").write_text("id\n2\n")
    write_notebook(
        root / "notebooks" / "fit.ipynb",
        header(
            "inputs: {train: ../train.csv, valid: ../valid.csv}\noutputs: {score: ../score.txt}\n"
            "expect: {train: [{disjoint_from: {other: valid, columns: id}}]}"
        ),
        code("import nbpipeline\nopen(nbpipeline.stage().outputs.score, 'w').write('1')"),
    )
    project = nbpipeline.Project(root)
    (failed,) = project.run().results
    assert (failed.status, failed.attempts) == (Status.CHECK_FAILED, 0)
    assert not (root / "score.txt").exists()
    (root / "valid.csv").write_text("id\n3\n")
    assert [one.status for one in project.run().results] == [Status.SUCCEEDED]


def test_names_of_no_artifact_are_refused_before_anything_runs(root: Path) -> None:
    write_split(root, 11, EXPECT.replace("[valid]", "[vald]"))
    with pytest.raises(ReadingError) as error:
        nbpipeline.Project(root).run()
    assert str(error.value).partition(": ")[2] == (
        "check 'disjoint_from': 'vald' is no artifact of the stage that is there when it is tried.\n"
        "  known names: train, valid\n"
        "  mend: did you mean 'valid'?"
    )


def test_a_check_on_an_input_cannot_name_an_output(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "fit.ipynb",
        header(
            "inputs: {train: ../train.csv}\noutputs: {score: ../score.csv}\n"
            "expect: {train: [{disjoint_from: {other: score, columns: id}}]}"
        ),
        code("1"),
    )
    errors = nbpipeline.Project(root).check().errors
    assert [one.what for one in errors] == [
        "check 'disjoint_from': 'score' is no artifact of the stage that is there when it is tried."
    ]
    assert errors[0].known == "known names: train"
