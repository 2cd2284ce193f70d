"""Whose outputs stand aside: of a run at work, of one that died, of nobody."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from stages import artifact, instance

from nbpipeline.run import standing
from nbpipeline.run.folder import RunFolder, close_run, open_run
from nbpipeline.stage import journal
from nbpipeline.stage.lock import hold

NOW = 1_700_000_000.0


def begun(root: Path, run: str, name: str = "train", *, mode: str = "write", previous: str = "old"):
    """A stage of a run that has put its previous output aside."""
    target = root / f"models/{name}.txt"
    target.parent.mkdir(exist_ok=True)
    if previous:
        target.write_text(previous)
    made = instance(["x = 1"], outputs=[artifact("model", f"models/{name}.txt", mode=mode)])
    made = replace(made, spec=replace(made.spec, name=name))
    return journal.begin(made, root, run=run, state="s", token="none-has-this", rejected=root / "rejected-1")


def dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbpipeline.run.folder.is_alive", lambda _pid, _started: False)


@pytest.fixture
def run(root: Path) -> RunFolder:
    return open_run(root, {"stages": []}, now=NOW)


def notices(root: Path) -> list[str]:
    return [one.notice for one in standing.asides(root, NOW)]


def test_where_no_journal_stands_no_run_is_looked_at(root: Path, run, monkeypatch) -> None:
    monkeypatch.setattr(standing, "read_control", lambda _folder: pytest.fail("a file is read"))
    assert standing.asides(root, NOW) == ()
    settled = begun(root, run.run)
    journal.roll_back(settled)
    assert (root / ".nbpipeline/journals").is_dir()
    assert standing.asides(root, NOW) == ()


def test_a_run_at_work_is_told_with_its_process(root: Path, run) -> None:
    begun(root, run.run)
    assert notices(root) == [
        f"run {run.run} (process {os.getpid()}) is at work on train; models/train.txt stands aside while it is"
    ]


def test_one_notice_a_dead_run(root: Path, run, monkeypatch) -> None:
    begun(root, run.run)
    begun(root, run.run, "report")
    later = open_run(root, {"stages": []}, now=NOW + 1)
    begun(root, later.run, "last")
    dead(monkeypatch)
    assert notices(root) == [
        (
            f"run {run.run} died in the middle of report, train; 2 outputs stand aside (models/report.txt, "
            "models/train.txt); the next run or `nbpipeline doctor` brings them back"
        ),
        (
            f"run {later.run} died in the middle of last; 1 output stands aside (models/last.txt); the next run "
            "or `nbpipeline doctor` brings it back"
        ),
    ]


def test_what_stands_in_its_place_does_not_stand_aside(root: Path, run, monkeypatch) -> None:
    begun(root, run.run, "new", previous="")
    complete = begun(root, run.run, "complete")
    journal.enter(complete, "recorded")
    copied = begun(root, run.run, "copied", mode="update")
    journal.enter(copied, "moving")
    dead(monkeypatch)
    assert notices(root) == [
        (
            f"run {run.run} died in the middle of complete, copied, new; no output stands aside; the next run or "
            "`nbpipeline doctor` clears up after it"
        )
    ]
    journal.enter(copied, "running")
    assert standing.asides(root, NOW)[0].outputs == ("models/copied.txt",)


def test_a_stage_that_comes_to_its_end_meanwhile_is_nobodys(root: Path, run, monkeypatch) -> None:
    aside = begun(root, run.run)

    def ends(_control, _now) -> bool:
        journal.commit(aside)
        close_run(run, now=NOW, status="succeeded")
        return False

    monkeypatch.setattr(standing, "is_running", ends)
    assert standing.asides(root, NOW) == ()


def test_a_test_or_a_restore_has_no_folder_and_is_known_by_its_lock(root: Path) -> None:
    begun(root, "test-20261123-060000")
    with hold(root, "train", run="test-20261123-060000"):
        assert notices(root)[0].startswith(f"run test-20261123-060000 (process {os.getpid()}) is at work on ")
    assert notices(root)[0].startswith("run test-20261123-060000 died in the middle of train; ")
    holder = (
        "import os, pathlib, sys\nfrom nbpipeline.stage.lock import hold\n"
        "with hold(pathlib.Path(sys.argv[1]), 'train', run='test-20261123-060000'):\n    os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", holder, str(root)], check=True)
    assert (root / ".nbpipeline/locks/train.owner").exists()
    assert notices(root)[0].startswith("run test-20261123-060000 died in the middle of train; ")
    with hold(root, "train", run="another"):
        assert notices(root)[0].startswith("run test-20261123-060000 died in the middle of train; ")
