"""What `runs`, `show`, `log` and `diff` tell of runs that were really made."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))

from pipelines import MAYBE, RUN, SKIP, Decisions, Worker, do, plan_of

from nbpipeline.errors import UsageError
from nbpipeline.fingerprint import state_digest
from nbpipeline.location import Location
from nbpipeline.model import (
    CellProfile,
    Failure,
    Fingerprint,
    Reason,
    ReasonKind,
    StageRecord,
    StageResult,
    Status,
    StoredOutput,
)
from nbpipeline.report import comparison, history, results, wording
from nbpipeline.state.memory import MemoryState
from nbpipeline.stores.local import LocalStore

MB = 1_000_000


class Training(Worker):
    """Writes what a stage's life writes: a record, a log, a notebook; or a failure."""

    def __init__(self, state, fingerprint, auc=0.7, finished=1000.0, fail=()):
        super().__init__(fail=fail)
        self.state, self.fingerprint, self.auc, self.finished = state, fingerprint, auc, finished

    def __call__(self, job, _emit, _cancel):
        name = job.instance.id
        folder = Path(job.folder)
        (folder / "log").write_text(f"{name} in {job.run}\n")
        (folder / "attempt-1.ipynb").write_text('{"cells": []}')
        cells = (
            CellProfile(cell=0, seconds=0.01),
            CellProfile(cell=2, seconds=61.0, peak_memory=200 * MB),
        )
        result = StageResult(instance=name, status=Status.SUCCEEDED, attempts=1, seconds=61.5, cells=cells)
        if name in self.fail:
            failure = Failure(
                kind="cell",
                what="ValueError: boom",
                mend="correct the cell",
                known="the data has 3 rows",
                where=Location(path="notebooks/train.ipynb", cell=2, line=1),
            )
            return replace(result, status=Status.FAILED, failure=failure)
        kept = StageRecord(
            instance=name,
            state=state_digest(self.fingerprint),
            fingerprint=self.fingerprint,
            outputs=(StoredOutput(path="models/delay.joblib", digest=f"digest of {self.auc}", size=2500),),
            run=job.run,
            finished=self.finished,
            seconds=61.1,
            metrics={"auc": self.auc},
        )
        self.state.add_record(kept)
        return replace(result, record=kept)


OLD = Fingerprint(
    code={"cell 2": "x"}, parameters={"C": "1.0"}, inputs={"data/a.csv": "1"}, environment={"pandas": "2"}
)
NEW = Fingerprint(
    code={"cell 2": "y"}, parameters={"C": "0.5"}, inputs={"data/a.csv": "2"}, environment={"pandas": "3"}
)


class Found(Decisions):
    """Knows one step as it turns out."""

    def __init__(self, plan, step):
        super().__init__(plan)
        self.step = step

    def decide(self, name):
        return self.step if name == self.step.instance.id else super().decide(name)


def train_plan(fingerprint, action=RUN):
    plan = plan_of({"clean": SKIP, "train": action})
    reason = Reason(kind=ReasonKind.PARAMETER, subject="C", before=1.0, after=0.5)
    clean, train = plan.steps
    return replace(plan, steps=(clean, replace(train, fingerprint=fingerprint, reasons=(reason,))))


@pytest.fixture
def state():
    return MemoryState()


@pytest.fixture
def store(root):
    return LocalStore(root / ".nbpipeline" / "store")


@pytest.fixture
def two_runs(root, state):
    """The same pipeline twice: another parameter, cell, input and pandas, and a better score."""
    first = do(
        train_plan(OLD), Training(state, OLD, 0.7, 1000.0), root, state=state, command="nbpipeline run"
    )
    second = do(train_plan(NEW), Training(state, NEW, 0.75, 2000.0), root, state=state)
    return first.run, second.run


STAGES = ("clean", "train")


def test_runs(root, state, two_runs):
    page = history.runs(state, root)
    assert page.data["version"] == 1
    newest = {one["run"]: one for one in page.data["runs"]}[two_runs[0]]
    assert (newest["status"], newest["counts"]) == ("succeeded", {"fresh": 1, "succeeded": 1})
    assert newest["command"] == "nbpipeline run"
    assert newest["seconds"] >= 0
    assert Path(newest["folder"]).is_dir()
    lines = page.text.splitlines()
    assert lines[0].split() == ["run", "started", "took", "status", "stages"]
    assert lines[1].endswith("succeeded  1 fresh, 1 succeeded")
    assert len(lines) == 3
    assert newest["stage"] is None


def test_runs_name_the_stage_of_one_that_had_but_one(root, state):
    plan = train_plan(OLD)
    alone = replace(plan, steps=tuple(one for one in plan.steps if one.instance.id == "train"))
    do(alone, Training(state, OLD, 0.7, 1000.0), root, state=state)
    page = history.runs(state, root)
    assert page.data["runs"][0]["stage"] == "train"
    assert page.text.splitlines()[1].endswith("succeeded  1 succeeded: train")


def test_no_runs(root, state):
    assert history.runs(state, root).text == "no runs yet"
    with pytest.raises(UsageError, match="there are no runs yet"):
        history.show(state, root, None, STAGES)
    state.add_record(StageRecord(instance="a", state="s", fingerprint=Fingerprint()))
    with pytest.raises(UsageError, match="were pulled: runs stay where they ran"):
        history.show(state, root, None, [])


def test_a_killed_run_is_told_from_one_that_goes_on(root, state):
    state.add_run("20260101-000000-abcd", started=1.0, data={})
    assert history.runs(state, root).data["runs"][0]["status"] == "killed"


def test_show_a_run(root, state, two_runs):
    page = history.show(state, root, two_runs[0], STAGES)
    (train,) = page.data["stages"]
    assert (train["stage"], train["status"], train["peak_memory"]) == ("train", "succeeded", 200 * MB)
    assert train["metrics"] == {"auc": 0.7}
    assert train["cells"][1] == {"cell": 2, "seconds": 61.0, "peak_memory": 200 * MB}
    assert train["reasons"] == [{"kind": "parameter", "subject": "C", "before": 1.0, "after": 0.5}]
    assert [Path(one).name for one in train["notebooks"]] == ["attempt-1.ipynb"]
    lines = page.text.splitlines()
    assert lines[0] == f"run {two_runs[0]}: succeeded, 1 fresh, 1 succeeded"
    assert lines[1].endswith(", nbpipeline run")
    assert lines[3:5] == [
        "stage  status     took       memory    why",
        "train  succeeded  1 min 2 s  200.0 MB  parameter C: 1.0 -> 0.5",
    ]
    assert lines[6:8] == ["stage  metric  value", "train  auc     0.7"]
    assert lines[-1] == f"folder: {root / '.nbpipeline' / 'runs' / two_runs[0]}"


def test_show_the_last_run_by_default(root, state, two_runs):
    assert history.show(state, root, None, STAGES).data["run"] == two_runs[1]


def test_show_a_failure_in_its_three_parts(root, state):
    result = do(train_plan(OLD), Training(state, OLD, fail=["train"]), root, state=state)
    text = history.show(state, root, result.run, STAGES).text
    assert (
        "train: notebooks/train.ipynb, cell 2, line 1: ValueError: boom\n"
        "  the data has 3 rows\n"
        "  mend: correct the cell" in text
    )
    stage = history.show(state, root, "train", STAGES)
    assert stage.data["stages"][0]["last"]["failure"]["kind"] == "cell"
    assert "no success on record" in stage.text


def test_show_a_stage_with_its_metrics_change_and_cells(root, state, two_runs):
    page = history.show(state, root, "train", STAGES)
    (train,) = page.data["stages"]
    assert train["metrics"] == [{"name": "auc", "before": 0.7, "value": 0.75}]
    assert train["record"]["run"] == two_runs[1]
    assert len(train["attempts"]) == 2
    assert "models/delay.joblib  2.5 kB" in page.text
    assert "metric  value  change\nauc     0.75   +0.05" in page.text
    assert "cell      took       memory\ninjected  0.0 s\n2         1 min 1 s  200.0 MB" in page.text


def cut_out(text, before, after):
    """What stands between two lines' beginnings."""
    return text.partition(before)[2].partition(after)[0]


def test_show_a_stage_tells_of_the_run_that_made_its_outputs(root, state, two_runs):
    first, second = two_runs
    state.add_record(next(one.record for one in state.results(first)))  # as `run` restores it
    page = history.show(state, root, "train", STAGES)
    runs = root / ".nbpipeline" / "runs"
    own, other = page.data["stages"][0], page.text
    head = other.partition("\nlast attempt (")[0]
    assert f", took 1 min 2 s, run {first}\n" in head
    assert f"notebook: {runs / first}/train/attempt-1.ipynb" in head
    assert second not in head
    assert (own["made"]["run"], own["last"]["run"]) == (first, second)
    assert (
        f"\n\nlast attempt (not that success): run {second}, succeeded, took 1 min 2 s\n"
        "\ncell      took       memory\n" in other
    )
    assert f"notebook: {runs / second}/train/attempt-1.ipynb" in cut_out(other, "last attempt (", "run   ")


def test_show_a_stage_whose_last_attempt_failed_keeps_the_two_apart(root, state):
    good = do(train_plan(OLD), Training(state, OLD), root, state=state).run
    bad = do(train_plan(NEW), Training(state, NEW, fail=["train"]), root, state=state).run
    text = history.show(state, root, "train", STAGES).text
    head, label, rest = text.partition(f"last attempt (not that success): run {bad}, failed, took ")
    assert label
    assert f"run {good}\n" in head
    assert "boom" not in head
    assert "notebooks/train.ipynb, cell 2, line 1: ValueError: boom" in rest


def test_show_a_stage_recorded_by_hand_says_so_and_labels_what_ran(root, state, two_runs):
    last = state.last_record("train")
    state.add_record(replace(last, origin="recorded", run="", seconds=0.0, finished=3000.0))
    page = history.show(state, root, "train", STAGES)
    lines = page.text.splitlines()
    assert lines[1].endswith(", recorded by hand")
    assert "took" not in lines[1]
    assert page.data["stages"][0]["made"] is None
    assert f"last attempt (not that success): run {two_runs[1]}, succeeded" in page.text


def test_show_a_stage_lists_the_notebook_of_each_attempt(root, state, two_runs):
    own = root / ".nbpipeline" / "runs" / two_runs[1] / "train"
    (own / "attempt-2.ipynb").write_text("{}")
    text = history.show(state, root, "train", STAGES).text
    assert (
        f"\n\nnotebook of attempt 1 of 2: {own}/attempt-1.ipynb\n"
        f"notebook of attempt 2 of 2: {own}/attempt-2.ipynb\n" in text
    )


def test_names_of_instances_and_typos(root, state, two_runs):
    stages = ("train[region=eu]", "train[region=us]")
    assert history.resolve(MemoryState(), "train", stages) == stages
    assert history.resolve(MemoryState(), "train@region=us", stages) == ("train[region=us]",)
    with pytest.raises(UsageError) as caught:
        history.show(state, root, "trian", STAGES)
    assert str(caught.value) == (
        "no run and no stage is called 'trian'.\n  known stages: clean, train\n  mend: did you mean 'train'?"
    )


def test_log(root, state, two_runs):
    assert history.log(state, root, "train", None, STAGES) == f"train in {two_runs[1]}\n"
    assert history.log(state, root, "train", two_runs[0], STAGES) == f"train in {two_runs[0]}\n"
    with pytest.raises(UsageError) as caught:
        history.log(state, root, "clean", None, STAGES)
    assert str(caught.value) == (
        "there is no log of 'clean'.\n  runs with one: none\n  mend: run it: `nbpipeline run clean`"
    )


def test_log_of_several_instances(root, state):
    plan = plan_of({"a[r=1]": RUN, "a[r=2]": RUN})
    run = do(plan, Training(state, OLD), root, state=state).run
    assert history.log(state, root, "a", None, ("a[r=1]", "a[r=2]")) == (
        f"=== a[r=1]\na[r=1] in {run}\n=== a[r=2]\na[r=2] in {run}\n"
    )


# --- diff ----------------------------------------------------------------------------------------


def test_diff_names_every_part_that_differs(root, state, store, two_runs):
    page = comparison.diff(state, store, root, *two_runs)
    (train,) = page.data["stages"]
    assert [one["kind"] for one in train["changes"]] == ["code", "parameter", "input", "environment"]
    assert train["metrics"] == [{"name": "auc", "before": 0.7, "after": 0.75}]
    assert train["outputs"][0]["path"] == "models/delay.joblib"
    assert page.data["same"] == 1
    assert page.text == (
        f"{two_runs[0]} -> {two_runs[1]}\n"
        "\n"
        "train\n"
        "  code: cell 2 changed\n"
        "  parameter C: 1.0 -> 0.5\n"
        "  input data/a.csv changed\n"
        "  pandas 2 -> 3\n"
        "  output models/delay.joblib: digest of 0. -> digest of 0.\n"
        "  metric auc: 0.7 -> 0.75 (+0.05)\n"
        "  took 1 min 2 s -> 1 min 2 s\n"
        "\n"
        "1 other stage is the same"
    )


def test_diff_of_a_run_with_itself_finds_nothing(root, state, store, two_runs):
    page = comparison.diff(state, store, root, two_runs[0], two_runs[0])
    assert page.data["stages"] == []
    assert page.text.endswith(
        "no difference in code, parameters, inputs, outputs, environment, metrics or plots"
    )


def test_diff_knows_what_was_fresh_by_its_record(root, state, store):
    ran = do(train_plan(OLD), Training(state, OLD), root, state=state).run
    kept = state.last_record("train")
    fresh = train_plan(OLD, SKIP)
    fresh = replace(fresh, steps=(fresh.steps[0], replace(fresh.steps[1], record=kept)))
    idle = do(fresh, Worker(), root, state=state).run
    assert comparison.diff(state, store, root, ran, idle).data["stages"] == []
    store.put_record(kept)
    later = do(train_plan(NEW), Training(state, NEW, 0.75), root, state=state).run
    (train,) = comparison.diff(state, store, root, idle, later).data["stages"]
    assert train["metrics"] == [{"name": "auc", "before": 0.7, "after": 0.75}]


def test_diff_knows_what_turned_out_fresh_while_the_run_went_on(root, state, store):
    ran = do(train_plan(OLD), Training(state, OLD), root, state=state).run
    store.put_record(state.last_record("train"))
    plan = plan_of({"clean": RUN, "train": MAYBE})
    settled = replace(plan.steps[1], action=SKIP, record=state.last_record("train"))
    idle = do(plan, Worker(), root, state=state, planner=Found(plan, settled)).run
    later = do(train_plan(NEW), Training(state, NEW, 0.75), root, state=state).run
    assert comparison.diff(state, store, root, ran, idle).data["stages"] == []
    (train,) = comparison.diff(state, store, root, idle, later).data["stages"]
    assert [one["kind"] for one in train["changes"]] == ["code", "parameter", "input", "environment"]
    assert train["metrics"] == [{"name": "auc", "before": 0.7, "after": 0.75}]


def test_diff_says_what_it_cannot_compare(root, state, store):
    failed = do(train_plan(OLD), Training(state, OLD, fail=["train"]), root, state=state)
    (Path(failed.folder) / "train" / "step.json").unlink()
    again = do(train_plan(OLD), Training(state, OLD, fail=["train"]), root, state=state).run
    page = comparison.diff(state, store, root, failed.run, again)
    assert [page.data["stages"], page.data["unknown"], page.data["same"]] == [[], ["train"], 1]
    assert page.text == (
        f"{failed.run} -> {again}\n\n"
        "not compared, what they ran with is not on record: train\n\n"
        "1 other stage is the same"
    )


def test_diff_with_a_failed_run_compares_what_it_tried(root, state, store):
    good = do(train_plan(OLD), Training(state, OLD), root, state=state).run
    bad = do(train_plan(NEW), Training(state, NEW, fail=["train"]), root, state=state).run
    (train,) = comparison.diff(state, store, root, good, bad).data["stages"]
    assert train["status"] == ["succeeded", "failed"]
    assert [one["kind"] for one in train["changes"]] == ["code", "parameter", "input", "environment"]


def test_diff_of_other_stages_and_unknown_runs(root, state, store, two_runs):
    other = do(plan_of({"report": MAYBE}), Training(state, NEW), root, state=state).run
    page = comparison.diff(state, store, root, two_runs[0], other)
    assert page.data["only_before"] == ["clean", "train"]
    assert page.data["only_after"] == ["report"]
    assert page.text == (
        f"{two_runs[0]} -> {other}\n"
        "\n"
        "nothing was compared: the two runs have no stage in common\n"
        "\n"
        "only before: clean, train\n"
        "\n"
        "only after: report"
    )
    with pytest.raises(UsageError, match=r"no run is called '1999'\."):
        comparison.diff(state, store, root, "1999", None)
    with pytest.raises(UsageError, match="there are no two runs to compare yet"):
        comparison.diff(MemoryState(), store, root / "nowhere", None, None)


def test_a_run_is_named_by_its_id_the_beginning_of_it_or_as_the_last(root, state, store, two_runs):
    first, second = two_runs
    assert history.known_run(state, root, None) == history.known_run(state, root, "last") == second
    unique = next(first[:n] for n in range(1, 21) if not second.startswith(first[:n]))
    assert history.known_run(state, root, unique) == first
    page = comparison.diff(state, store, root, unique, "last")
    assert [page.data["before"], page.data["after"]] == [first, second]
    assert history.show(state, root, unique, ["train"]).data["run"] == first
    assert history.show(state, root, "last", ["train"]).data["run"] == second
    with pytest.raises(UsageError, match="'20' is the beginning of 2 runs"):
        history.known_run(state, root, "20")
    with pytest.raises(UsageError, match="no run is called ''"):
        history.known_run(state, root, "")
    with pytest.raises(UsageError, match="there are no runs yet"):
        history.known_run(MemoryState(), root / "nowhere", None)


def test_a_stage_that_is_called_last_is_shown_as_a_stage(root, state):
    do(plan_of({"last": RUN}), Training(state, NEW), root, state=state)
    assert "run" not in history.show(state, root, "last", ["last"]).data


def test_diff_takes_the_last_two_by_default(root, state, store, two_runs):
    page = comparison.diff(state, store, root, None, None)
    assert [page.data["before"], page.data["after"]] == list(two_runs)


# --- wording -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.44, "0.4 s"), (12.4, "12 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds, words):
    assert wording.duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(None, ""), (512, "512 B"), (1_400_000, "1.4 MB"), (3e15, "3000.0 TB")]
)
def test_sizes(count, words):
    assert wording.size(count) == words


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [(0.7, 0.75, "+0.05"), (3, 1, "-2"), (1, 1, ""), (None, 1, ""), ("a", "b", "")],
)
def test_changes(before, after, words):
    assert wording.change(before, after) == words


def test_tables_leave_out_empty_columns():
    assert wording.table(("a", "b", "c"), [("1", "", "x"), ("22", "", "")]) == "a   c\n1   x\n22"


def test_what_a_run_began_is_read_from_events_whose_last_line_is_cut(root):
    lines = [
        '{"kind": "stage_started", "stage": "a", "data": {}}',
        '{"kind": "stage_finished", "stage": "a", "data": {}}',
        '{"kind": "stage_started", "stage": "b", "data": {}}',
        '{"kind": "attempt_started", "stage": "b", "data": {"attempt": 2, "of": 3}}',
        '{"kind": "stage_started", "stage": "c", "data": {}}',
        '{"kind": "stage_fini',
    ]
    (root / "events.jsonl").write_text("\n".join(lines))
    assert results.begun_in(root) == {"b": 2, "c": 0}
    assert results.begun_in(root / "nowhere") == {}


@pytest.mark.parametrize(
    "odd",
    [
        "[" * 100_000, "null", "[]", '{"kind": "stage_finished"}',
        '{"kind": "stage_started", "stage": null, "data": {}}', '{"kind": "stage_started", "stage": ["x"], "data": {}}',
        '{"kind": "stage_finished", "stage": {}, "data": {}}', '{"kind": "attempt_started", "stage": "b", "data": null}',
        '{"kind": "attempt_started", "stage": "b", "data": [1]}',
        '{"kind": "attempt_started", "stage": "b", "data": {"attempt": "x"}}',
        '{"kind": "attempt_started", "stage": "b", "data": {"attempt": NaN}}',
    ],
)  # fmt: skip
def test_lines_of_events_that_are_none_end_no_look(root, odd):
    began = json.dumps(
        {"kind": "stage_started", "stage": "b", "data": {"said": "a\u2028b"}}, ensure_ascii=False
    )
    (root / "events.jsonl").write_text(f"{began}\n{odd}\n", encoding="utf-8")
    assert results.begun_in(root) == {"b": 0}
