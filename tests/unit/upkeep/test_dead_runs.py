"""`doctor` marks the runs that died, and only these; a damaged journal is told, and its outputs come back."""

import os
from pathlib import Path

import pytest
from builders import code, header, write_files, write_notebook

from nbpipeline import Project
from nbpipeline.run.folder import close_run, open_run, read_control
from nbpipeline.stage import entries, journal, processes
from nbpipeline.upkeep import doctor


@pytest.fixture
def run(root: Path):
    write_files(root, {"pipeline.yaml": "name: p\n"})
    return open_run(root, {"stages": []}, now=1.0)


def runs_of(root: Path) -> list[tuple[str, str]]:
    return [(one.state, one.what) for one in Project(root).doctor() if one.subject == "runs"]


def test_a_run_that_goes_on_is_left_alone(root: Path, run) -> None:
    assert runs_of(root) == [("good", "1 kept")]
    assert read_control(run.path)["pid"] == os.getpid()


def test_a_run_that_died_is_marked(root: Path, run, monkeypatch) -> None:
    monkeypatch.setattr("nbpipeline.run.folder.is_alive", lambda _pid, _started: False)
    assert runs_of(root) == [("mended", f"died without an end, now marked so: {run.run}")]
    assert read_control(run.path)["status"] == "interrupted"
    assert runs_of(root) == [("good", "1 kept")]


def test_a_run_that_ends_while_it_is_looked_at_did_not_die(root: Path, run, monkeypatch) -> None:
    def ends(_control, _now) -> bool:
        close_run(run, now=2.0, status="succeeded")
        return False

    monkeypatch.setattr(doctor, "is_running", ends)
    assert runs_of(root) == [("good", "1 kept")]
    assert read_control(run.path)["status"] == "succeeded"


DAMAGED = (
    ".nbpipeline/journals/train.json cannot be read: a run died in the middle of its stage; the stage's next run "
    "or `nbpipeline doctor` brings back what waits beside the outputs, and keeps what stands there"
)


def test_a_damaged_journal_is_told_by_plan_and_check_and_doctor_does_what_they_say(root: Path, run) -> None:
    write_notebook(root / "notebooks/train.ipynb", code("model = '../model.txt'", "outputs"), code("x = 1"))
    (root / "model.txt").write_text("previous")
    project = Project(root)
    train = project.pipeline.instances["train"]
    left = journal.begin(
        train, root, run=run.run, state="s", token="none-has-this", rejected=root / "rejected"
    )
    (root / "model.txt").write_text("half")
    left.file.write_text("{")
    assert DAMAGED in project.plan().notices
    assert project.check().notices == (DAMAGED,)
    assert (root / "model.txt").read_text() == "half"
    project.doctor()
    assert (root / "model.txt").read_text() == "previous"
    assert project.plan().notices == project.check().notices == ()


@pytest.mark.parametrize("many", [8, 32])
def test_doctor_reads_each_of_many_journals_a_few_times_and_all_processes_once(
    root: Path, run, monkeypatch, many: int
) -> None:
    axis = ", ".join(map(str, range(many)))
    write_notebook(
        root / "notebooks/train.ipynb",
        header(f"matrix: {{k: [{axis}]}}\noutputs: {{model: '../out/{{k}}.txt'}}"),
        code("x = 1"),
    )
    project = Project(root)
    (root / "out").mkdir()
    for one in project.pipeline:
        (root / one.outputs[0].paths[0]).write_text("previous")
        journal.begin(one, root, run=run.run, state="s", token=one.id, rejected=root / f"rejected/{one.slug}")
    read, others = entries._is_ours, processes._others
    reads, looks = [], []
    monkeypatch.setattr(entries, "_is_ours", lambda found: reads.append(found) or read(found))
    monkeypatch.setattr(processes, "_others", lambda: looks.append(1) or others())
    findings = project.doctor()
    assert sum(one.state == "mended" and "previous outputs are back" in one.what for one in findings) == many
    assert len(reads) == 5 * many
    assert len(looks) == 1
