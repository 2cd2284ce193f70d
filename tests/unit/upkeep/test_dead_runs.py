"""`doctor` marks the runs that died, and only these."""

import os
from pathlib import Path

import pytest
from builders import write_files

from nbpipeline import Project
from nbpipeline.run.folder import close_run, open_run, read_control
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
