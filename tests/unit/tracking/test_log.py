"""What a run's folder says, read as it grows."""

import json
import time

import pytest

from nbpipeline.model import StageRecord, StageResult, Status, StoredOutput
from nbpipeline.model.told import Commit
from nbpipeline.run.folder import close_run, open_run
from nbpipeline.state.memory import MemoryState
from nbpipeline.tracking.log import RunReader

FINGERPRINT = {"scheme": 1, "code": {"cell 1": "ab"}, "inputs": {"data/in.csv": "12"}}


@pytest.fixture
def folder(tmp_path):
    return open_run(tmp_path, {"version": 1, "stages": []}, now=1000.0)


@pytest.fixture
def state():
    return MemoryState()


class Writer:
    """Writes events as a run does, ten seconds apart."""

    def __init__(self, folder) -> None:
        self.file, self.time = folder.events, 1000.0

    def __call__(self, kind, stage="", *, end="\n", **data) -> None:
        self.time += 10
        event = {"version": 1, "time": self.time, "run": "r", "kind": kind, "stage": stage, "data": data}
        with self.file.open("a") as file:
            file.write(json.dumps(event) + end)


@pytest.fixture
def write(folder):
    return Writer(folder)


def reader(tmp_path, folder, state):
    return RunReader(tmp_path, folder, "flights", state, "/store")


def test_a_run_from_its_beginning_to_its_end(tmp_path, folder, state, write):
    own = folder.instance("train")
    own.mkdir()
    (own / "step.json").write_text(json.dumps({"stage": "train", "fingerprint": FINGERPRINT}))
    (own / "attempt-2.ipynb").write_text("{}")
    (own / "log").write_text("printed")
    output = StoredOutput(path="models/m.bin", digest="cd", size=7)
    write("run_started", total=3, fresh=2, command="nbpipeline run", slots=2, stages=[])
    write("stage_started", "train", action="run", reasons=[{"kind": "never_run"}], parameters={"C": 0.5})
    write("attempt_started", "train", attempt=1, of=2)
    write(
        "check_finished", "train", side="input", artifact="rows", check="unique", arguments="id", passed=True
    )
    write(
        "check_finished",
        "train",
        side="output",
        artifact="model",
        check="exists",
        arguments=None,
        passed=False,
    )
    write("cell_finished", "train", cell=1, n=1, of=2, seconds=0.5, peak_memory=100)
    write("attempt_started", "train", attempt=2, of=2)
    write("cell_finished", "train", cell=1, n=1, of=2, seconds=0.25, peak_memory=None)
    write("cell_finished", "train", cell=3, n=2, of=2, seconds=2.0, peak_memory=300)
    write(
        "check_finished",
        "train",
        side="output",
        artifact="model",
        check="exists",
        arguments=None,
        passed=True,
    )
    reading = reader(tmp_path, folder, state)
    (now,) = reading.read(time.time()).stages
    assert (now.status, now.finished, now.attempts) == ("", None, 2)
    assert [(one.cell, one.finished, one.seconds) for one in now.cells] == [
        (1, 1080.0, 0.25),
        (3, 1090.0, 2.0),
    ]
    assert [(one.side, one.artifact, one.check, one.passed) for one in now.checks] == [
        ("input", "rows", "unique", True),
        ("output", "model", "exists", True),
    ]

    record = StageRecord(
        instance="train", state="s", fingerprint=now.fingerprint, outputs=(output,), run=folder.run
    )
    result = StageResult(instance="train", status=Status.SUCCEEDED, record=record)
    state.add_result(folder.run, result, finished=1.0)
    write("stage_finished", "train", status="succeeded", seconds=60.0, attempts=2, metrics={"auc": 0.7})
    write("run_finished", status="succeeded", seconds=90.0, counts={"fresh": 2, "succeeded": 1})
    close_run(folder, now=1120.0, status="succeeded")
    run = reading.read(time.time())
    (train,) = run.stages
    assert (run.project, run.status, run.started, run.finished, run.seconds) == (
        "flights",
        "succeeded",
        1010.0,
        1120.0,
        90.0,
    )
    assert (run.command, run.fresh, run.counts) == ("nbpipeline run", 2, {"fresh": 2, "succeeded": 1})
    assert (run.commit, run.store) == (None, "/store")
    assert (train.status, train.started, train.finished) == ("succeeded", 1020.0, 1110.0)
    assert (train.metrics, train.parameters, train.peak_memory) == ({"auc": 0.7}, {"C": 0.5}, 300)
    assert train.outputs == (output,)
    assert train.fingerprint is not None
    assert train.fingerprint.inputs == {"data/in.csv": "12"}
    assert train.files == {"notebook": str(own / "attempt-2.ipynb"), "log": str(own / "log")}


def test_a_line_is_taken_when_it_is_whole_and_a_damaged_one_passed_over(tmp_path, folder, state, write):
    reading = reader(tmp_path, folder, state)
    write("stage_started", "a", action="run", end="")
    assert reading.read(time.time()).stages == ()
    with folder.events.open("a") as file:
        file.write("\n{half\n[]\n" + '{"kind": "stage_started", "stage": "b"}\n')
    write("stage_started", "c", action="restore")
    assert [(one.stage, one.action) for one in reading.read(time.time()).stages] == [
        ("a", "run"),
        ("c", "restore"),
    ]


def test_what_is_no_event_of_ours_changes_nothing_and_hides_none(tmp_path, folder, state, write):
    reading = reader(tmp_path, folder, state)
    assert reading.read(time.time()).stages == ()  # before anything is told
    write("stage_started", ["a"], action="run")
    write("stage_started", "b", reasons=5, parameters="x")
    write("stage_started", "c", action="run")
    assert [one.stage for one in reading.read(time.time()).stages] == ["c"]


def test_a_run_that_died_before_it_told_anything(tmp_path, folder, state):
    control = json.loads(folder.control.read_text())
    folder.control.write_text(json.dumps({**control, "pid": 2**22 + 1}))
    run = reader(tmp_path, folder, state).read(time.time())
    assert (run.status, run.finished, run.stages) == ("interrupted", 1000.0, ())


def test_a_run_whose_process_is_gone_is_interrupted(tmp_path, folder, state, write):
    write("run_started", command="", fresh=0)
    write("stage_started", "a", action="run")
    reading = reader(tmp_path, folder, state)
    assert reading.read(time.time()).finished is None
    control = json.loads(folder.control.read_text())
    folder.control.write_text(json.dumps({**control, "pid": 2**22 + 1}))
    run = reading.read(time.time())
    assert (run.status, run.finished) == ("interrupted", 1020.0)
    assert run.stages[0].finished is None


def test_a_stage_that_was_never_handed_out_is_told_with_its_end(tmp_path, folder, state, write):
    write("stage_finished", "late", status="blocked", seconds=0.0, attempts=0, notices=["since 'a' failed"])
    (one,) = reader(tmp_path, folder, state).read(time.time()).stages
    assert (one.status, one.started, one.finished, one.outputs) == ("blocked", 1010.0, 1010.0, ())


def test_the_commit_and_the_profile_are_those_that_the_run_told(tmp_path, folder, state, write):
    write("run_started", total=1, fresh=0, command="", profile="prod", slots=2, stages=[])
    write("commit", id="ab12", dirty=True)
    write("commit", nonsense=1)
    log = reader(tmp_path, folder, state).read(time.time())
    assert (log.profile, log.commit) == ("prod", Commit(id="ab12", dirty=True))


def test_how_a_stage_ended_before_is_what_the_last_run_that_tried_it_says(tmp_path, folder, state, write):
    def earlier(run, *results):
        state.add_run(run, started=1.0, data={})
        for stage, status in results:
            state.add_result(run, StageResult(instance=stage, status=status), finished=2.0)

    earlier("19700101-000100-0000", ("a", Status.FAILED), ("b", Status.FAILED), ("c", Status.CHECK_FAILED))
    earlier("19700101-000200-0000", ("a", Status.BLOCKED), ("b", Status.RESTORED), ("c", Status.CANCELLED))
    earlier("29700101-000000-0000", ("a", Status.SUCCEEDED))  # begun after the run that is told of
    earlier(folder.run, ("a", Status.SUCCEEDED), ("d", Status.FAILED))
    for stage in "abcd":
        write("stage_finished", stage, status="succeeded")
    stages = reader(tmp_path, folder, state).read(time.time()).stages
    assert {one.stage: one.before for one in stages} == {
        "a": "failed",
        "b": "restored",
        "c": "check_failed",
        "d": "",
    }


def test_a_stage_says_what_it_declares(tmp_path, folder, state, write):
    declared = {"notebook": "n/a.ipynb", "inputs": {"x": ["d/x", "d/y"]}, "outputs": {"m": ["m.bin"]}}
    write("stage_started", "a", action="run", reasons=[], parameters={}, **declared)
    (one,) = reader(tmp_path, folder, state).read(time.time()).stages
    assert (one.notebook, one.reads, one.writes) == ("n/a.ipynb", {"x": ("d/x", "d/y")}, {"m": ("m.bin",)})
