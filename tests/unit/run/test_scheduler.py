"""The scheduler: what starts when, what a failure and Ctrl-C leave, what a run with nothing to do costs."""

import json
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipelines import MAYBE, RESTORE, RUN, SKIP, Decisions, Worker, do, plan_of, read_events, statuses

from nbpipeline.errors import BusyError, MissingInputError, StorageError
from nbpipeline.executors.local import LocalExecutor
from nbpipeline.model import Failure, Fingerprint, Reason, ReasonKind, StageResult, Status
from nbpipeline.run import CancelSwitch, RunOptions, exit_code, run
from nbpipeline.run.claim import open_for
from nbpipeline.run.folder import RunFolder, read_control
from nbpipeline.run.preflight import refuse_held
from nbpipeline.stage.lock import hold
from nbpipeline.state.memory import MemoryState


def events_of(result) -> list:
    return list(read_events(Path(result.folder) / "events.jsonl"))


def test_ready_instances_run_side_by_side(root):
    meeting = threading.Barrier(2)
    worker = Worker(during=lambda name: meeting.wait(30) if name in "ab" else None)
    result = do(plan_of({"a": RUN, "b": RUN, "c": RUN}, ["a>c", "b>c"]), worker, root)
    assert statuses(result) == {"a": "succeeded", "b": "succeeded", "c": "succeeded"}
    assert worker.ran[-1] == "c"
    assert exit_code(result) == 0


def test_a_secret_that_is_also_a_parameter_is_written_nowhere(root, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_TOKEN", "hush-hush-1234")
    plan = plan_of({"a": RUN})
    step = plan.steps[0]
    spec = replace(step.instance.spec, secrets=("WAREHOUSE_TOKEN",))
    given = replace(step.instance, spec=spec, parameters={"url": "https://x?token=hush-hush-1234"})
    reason = Reason(kind=ReasonKind.PARAMETER, subject="url", before="", after="hush-hush-1234")
    state = Fingerprint(parameters={"url": '"https://x?token=hush-hush-1234"'})
    plan = replace(plan, steps=(replace(step, instance=given, fingerprint=state, reasons=(reason,)),))
    heard = []
    result = do(plan, Worker(), root, emit=heard.append)
    started = next(one for one in heard if one.kind == "stage_started")
    assert started.data["parameters"] == {"url": "https://x?token=[masked]"}
    assert started.data["reasons"][0]["after"] == "[masked]"
    kept = [path for path in Path(result.folder).rglob("*") if path.is_file()]
    assert {"plan.json", "events.jsonl", "step.json"} <= {path.name for path in kept}
    assert not [path.name for path in kept if "hush-hush" in path.read_text()]


def test_no_more_than_the_jobs_allow(root):
    worker = Worker()
    do(plan_of(dict.fromkeys("abcdef", RUN)), worker, root, jobs=1)
    assert (worker.ran, worker.most_at_once) == (list("abcdef"), 1)


@pytest.mark.parametrize("needs", [{"cpus": 2}, {"memory": 600}, {"gpus": 1}])
def test_resources_keep_instances_apart(root, needs):
    worker = Worker()
    plan = plan_of(dict.fromkeys("abc", RUN), resources=dict.fromkeys("abc", needs))
    do(plan, worker, root, jobs=3, memory=1000, gpus=1)
    assert sorted(worker.ran) == list("abc")
    assert worker.most_at_once == 1


def test_one_that_asks_for_more_than_there_is_runs_alone(root):
    worker = Worker()
    plan = plan_of(dict.fromkeys("abc", RUN), resources={"b": {"cpus": 64, "memory": 10**15, "gpus": 8}})
    assert set(statuses(do(plan, worker, root, jobs=2)).values()) == {"succeeded"}


def test_a_failure_blocks_what_depends_on_it_and_stops_the_rest(root):
    worker = Worker(fail=["a"])
    plan = plan_of({"a": RUN, "b": RUN, "c": RUN, "d": RUN}, ["a>b", "b>c"])
    result = do(plan, worker, root, jobs=1)
    assert statuses(result) == {"a": "failed", "b": "blocked", "c": "blocked", "d": "blocked"}
    assert worker.ran == ["a"]
    assert [one.notices for one in result.results][1:] == [("not started: 'a' failed",)] * 3
    assert exit_code(result) == 1
    assert read_control(Path(result.folder))["status"] == "failed"


def test_keep_going_runs_what_does_not_depend_on_it(root):
    worker = Worker(fail=["a"])
    plan = plan_of({"a": RUN, "b": RUN, "c": RUN, "d": RUN}, ["a>b", "b>c"])
    result = do(plan, worker, root, jobs=1, keep_going=True)
    assert statuses(result) == {"a": "failed", "b": "blocked", "c": "blocked", "d": "succeeded"}
    assert worker.ran == ["a", "d"]


def test_order_only_edges_wait_and_block_too(root):
    worker = Worker(fail=["a"])
    result = do(plan_of({"a": RUN, "b": RUN}, ["a>b"], kind="after"), worker, root, keep_going=True)
    assert statuses(result) == {"a": "failed", "b": "blocked"}


def test_maybe_is_decided_when_its_upstream_is_done(root):
    worker = Worker()
    plan = plan_of({"a": RUN, "b": MAYBE, "c": MAYBE, "d": MAYBE}, ["a>b", "b>c", "a>d"])
    result = do(plan, worker, root, found={"b": SKIP, "c": SKIP, "d": RUN})
    assert statuses(result) == {"a": "succeeded", "b": "fresh", "c": "fresh", "d": "succeeded"}
    assert sorted(worker.ran) == ["a", "d"]
    told = {
        event.stage: event.data["status"] for event in events_of(result) if event.kind == "stage_finished"
    }
    assert told == statuses(result)


def test_a_step_whose_inputs_were_not_known_is_decided_again(root):
    worker = Worker()
    plan = plan_of({"a": RUN, "b": RUN}, ["a>b"], waiting=["b"])
    assert statuses(do(plan, worker, root, found={"b": RESTORE})) == {"a": "succeeded", "b": "restored"}
    assert worker.restored == ["b"]


def test_what_the_plan_knew_is_not_asked_again(root):
    plan = plan_of({"a": SKIP, "b": RESTORE, "c": SKIP, "d": RUN}, ["a>b", "b>c", "c>d"])
    decisions, worker = Decisions(plan), Worker()
    run(
        plan,
        decisions,
        LocalExecutor(worker, slots=2),
        open_for(plan, root),
        state=MemoryState(),
        root=root,
        restore=worker.restore,
        options=RunOptions(),
    )
    assert decisions.asked == []
    assert (worker.restored, worker.ran) == (["b"], ["d"])


def test_what_cannot_be_restored_runs_and_its_consumers_are_decided_again(root):
    worker = Worker()
    plan = plan_of({"b": RESTORE, "c": SKIP}, ["b>c"])
    worker.restore = lambda job, _kept, _cancel: _not_there(job)
    result = do(plan, worker, root, found={"c": RUN})
    assert statuses(result) == {"b": "succeeded", "c": "succeeded"}
    assert worker.ran == ["b", "c"]
    notices = [event.data["text"] for event in events_of(result) if event.kind == "notice"]
    assert notices == ["'b' runs instead of being restored: the store lacks it"]


def _not_there(job):
    failure = Failure(kind="storage", what="the store lacks it", mend="run it")
    return StageResult(instance=job.instance.id, status=Status.FAILED, failure=failure)


def test_steps_outside_the_plan_hold_nobody_up(root):
    plan = plan_of({"a": RUN, "b": RUN}, ["a>b"])
    (root / "data").mkdir()
    (root / "data" / "a").write_text("")
    only = type(plan)(pipeline=plan.pipeline, steps=plan.steps[1:])
    assert statuses(do(only, Worker(), root)) == {"b": "succeeded"}


# --- before anything runs --------------------------------------------------------------------


def test_an_input_whose_maker_is_left_out_is_refused(root):
    plan = plan_of({"a": RUN, "b": RUN}, ["a>b"])
    only = type(plan)(pipeline=plan.pipeline, steps=plan.steps[1:])
    worker = Worker()
    with pytest.raises(MissingInputError) as caught:
        do(only, worker, root)
    assert str(caught.value) == (
        "notebooks/b.ipynb: input 'data/a' of 'b' is not there: data/a\n"
        "  made by: a, which is not part of this run\n"
        "  mend: run it too: `nbpipeline run +b`"
    )
    assert worker.ran == []
    assert not (root / ".nbpipeline").exists()


def test_an_instance_that_another_run_holds_is_refused_before_anything_runs(root):
    refuse_held(plan_of({"a": RUN, "b": RUN}), root)
    with hold(root, "b", run="other"):
        with pytest.raises(BusyError, match="stage 'b' is held by another run") as caught:
            refuse_held(plan_of({"a": RUN, "b": RUN}), root)
        assert caught.value.exit_code == 7
        refuse_held(plan_of({"a": RUN, "b": SKIP}), root)
    refuse_held(plan_of({"a": RUN, "b": RUN}), root)


# --- trouble ---------------------------------------------------------------------------------


def test_trouble_around_a_stage_is_raised_when_the_rest_has_ended(root):
    entered, release = threading.Event(), threading.Event()

    def during(name):
        if name == "a":
            entered.set()
            release.wait(30)
        else:
            entered.wait(30)
            release.set()
            raise StorageError.of("the disk is full.", mend="make room")

    worker = Worker(during=during)
    state = MemoryState()
    with pytest.raises(StorageError, match="the disk is full"):
        do(plan_of({"a": RUN, "b": RUN, "c": RUN}, ["b>c"]), worker, root, state=state)
    assert sorted(worker.ended) == ["a", "b"]
    (kept,) = state.runs()
    assert kept["status"] == "failed"
    assert {one.instance: str(one.status) for one in state.results(kept["run"])} == {
        "a": "succeeded",
        "b": "failed",
        "c": "blocked",
    }


def test_our_own_bug_is_raised_and_the_run_is_closed(root):
    def during(_name):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        do(plan_of({"a": RUN}), Worker(during=during), root)
    (folder,) = (root / ".nbpipeline" / "runs").iterdir()
    assert read_control(folder)["status"] == "failed"


# --- cancelling ------------------------------------------------------------------------------


def test_ctrl_c_begins_no_further_restore(root):
    switch, cancelled = CancelSwitch(), threading.Event()
    full, handed_out = threading.Semaphore(0), threading.Semaphore(0)
    worker = Worker()
    begun = []

    def restore(job, _kept, _cancel):
        begun.append(job.instance.id)
        full.release()
        cancelled.wait(30)
        return StageResult(instance=job.instance.id, status=Status.RESTORED)

    def interrupt():
        for wanted in (full, full, full, full, *[handed_out] * 8):
            assert wanted.acquire(timeout=30)
        switch.raise_to(1)

    def hear(event):
        if event.kind == "stage_started":
            handed_out.release()
        if event.kind == "stage_finished" and event.data["status"] == "cancelled":
            cancelled.set()

    worker.restore = restore
    thread = threading.Thread(target=interrupt)
    thread.start()
    result = do(plan_of(dict.fromkeys("abcdefgh", RESTORE)), worker, root, cancel=switch, emit=hear)
    thread.join()
    assert result.interrupted
    assert Counter(statuses(result).values()) == {"restored": 4, "cancelled": 4}
    assert len(begun) == 4


@pytest.mark.parametrize("level", [1, 2])
def test_ctrl_c_starts_nothing_new_and_tells_who_was_not_started(root, level):
    switch, running = CancelSwitch(), threading.Event()
    cancelled = threading.Event()

    def during(_name):
        running.set()
        cancelled.wait(30)

    class Heard(Worker):
        def __call__(self, job, emit, cancel):
            cancel.on_raise(lambda _level: cancelled.set())
            return super().__call__(job, emit, cancel)

    def turn():
        running.wait(30)
        switch.raise_to(level)

    threading.Thread(target=turn).start()
    result = do(plan_of({"a": RUN, "b": RUN}, ["a>b"]), Heard(during=during), root, cancel=switch)
    assert result.interrupted
    assert exit_code(result) == 130
    assert statuses(result) == {"a": "cancelled", "b": "cancelled"}
    assert result.results[1].notices == ("not started: the run was interrupted",)
    assert read_control(Path(result.folder))["status"] == "interrupted"


def test_cancelled_before_anything_started(root):
    switch, worker = CancelSwitch(), Worker()
    switch.raise_to(1)
    result = do(plan_of({"a": RUN}), worker, root, cancel=switch)
    assert statuses(result) == {"a": "cancelled"}
    assert result.results[0].notices == ("not started: the run was interrupted",)
    assert worker.ran == []


# --- events and files ------------------------------------------------------------------------


def test_each_event_is_on_disk_before_it_is_told(root):
    heard = []

    def hear(event):
        (path,) = (root / ".nbpipeline" / "runs").glob("*/events.jsonl")
        assert list(read_events(path))[-1] == event
        heard.append(event)

    result = do(
        plan_of({"a": RUN, "b": SKIP, "c": RESTORE}, ["a>c"]), Worker(), root, emit=hear, command="run"
    )
    assert [event.seq for event in heard] == list(range(1, len(heard) + 1))
    assert [event.kind for event in heard] == [
        "run_started",
        "stage_started",
        "stage_finished",
        "stage_started",
        "stage_finished",
        "run_finished",
    ]
    assert heard[0].data["stages"] == [
        {"stage": "a", "action": "run", "expected": None, "upstream": []},
        {"stage": "c", "action": "restore", "expected": None, "upstream": ["a"]},
    ]
    assert heard[-1].data["counts"] == {"fresh": 1, "restored": 1, "succeeded": 1}
    assert events_of(result) == heard


def test_a_listener_that_fails_ends_nothing(root):
    def hear(_event):
        raise BrokenPipeError("gone")

    result = do(plan_of({"a": RUN}), Worker(), root, emit=hear)
    assert statuses(result) == {"a": "succeeded"}
    texts = [event.data["text"] for event in events_of(result) if event.kind == "notice"]
    assert texts == ["progress is no longer shown: BrokenPipeError: gone"]


def test_what_a_run_leaves(root):
    result = do(plan_of({"a": RUN, "b": SKIP}), Worker(), root)
    folder = RunFolder(run=result.run, path=Path(result.folder))
    assert sorted(one.name for one in folder.path.iterdir()) == [
        "a",
        "control.json",
        "events.jsonl",
        "plan.json",
    ]
    plan = json.loads(folder.plan.read_text())
    assert plan["run"] == result.run
    assert [(one["stage"], one["action"], one.get("state")) for one in plan["stages"]] == [
        ("a", "run", None),
        ("b", "skip", "state of b"),
    ]
    assert json.loads((folder.path / "a" / "step.json").read_text())["stage"] == "a"
    control = read_control(folder.path)
    assert (control["run"], control["status"]) == (result.run, "succeeded")
    assert control["finished"] >= control["started"]
    assert (root / ".nbpipeline" / ".gitignore").read_text() == "*\n"
    assert oct((root / ".nbpipeline").stat().st_mode & 0o777) == "0o700"


class Untouched:
    """An executor that a run with nothing to do has no business with."""

    def __enter__(self):
        raise AssertionError("entered")

    def __exit__(self, *_):
        raise AssertionError("left")


def test_nothing_to_do_is_near_free(root):
    plan = plan_of({f"s{number}": SKIP for number in range(50)}, [f"s{n}>s{n + 1}" for n in range(49)])
    before = threading.active_count()
    state = MemoryState()
    result = run(
        plan,
        Decisions(plan),
        Untouched(),
        open_for(plan, root),
        state=state,
        root=root,
        restore=Worker().restore,
    )
    assert threading.active_count() == before
    assert set(statuses(result).values()) == {"fresh"}
    assert [event.kind for event in events_of(result)] == ["run_started", "run_finished"]
    assert sorted(one.name for one in Path(result.folder).iterdir()) == [
        "control.json",
        "events.jsonl",
        "plan.json",
    ]
    assert state.results(result.run) == ()
    assert state.runs()[0]["status"] == "succeeded"


def test_the_scheduler_loads_nothing_heavy():
    code = (
        "import sys, nbpipeline.run\n"
        "heavy = {'papermill', 'nbformat', 'nbclient', 'jupyter_client', 'jupytext', 'psutil', 'rich', 'pandas', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


# --- any graph -------------------------------------------------------------------------------


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 9))
    names = [f"s{number}" for number in range(count)]
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    edges = (
        [f"s{a}>s{b}" for a, b in draw(st.lists(st.sampled_from(pairs), unique=True, max_size=16))]
        if pairs
        else []
    )
    actions = {name: draw(st.sampled_from([RUN, RUN, MAYBE])) for name in names}
    found = {name: draw(st.sampled_from([RUN, SKIP, RESTORE])) for name in names if actions[name] is MAYBE}
    return plan_of(actions, edges), found, frozenset(draw(st.lists(st.sampled_from(names), max_size=2)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs(), st.integers(1, 3))
def test_nothing_starts_before_its_upstream_and_only_failures_block(tmp_path_factory, made, jobs):
    plan, found, fail = made
    began: dict[str, frozenset] = {}
    worker = Worker(fail=fail)
    worker.during = lambda name: began.update({name: frozenset(worker.ended) | frozenset(worker.restored)})
    result = do(plan, worker, tmp_path_factory.mktemp("p"), found=found, jobs=jobs, keep_going=True)
    ended = statuses(result)
    assert set(ended) == set(plan.pipeline.instances)
    assert worker.most_at_once <= jobs
    for edge in plan.pipeline.edges:
        if edge.downstream in began and ended[edge.upstream] != "fresh":
            assert edge.upstream in began[edge.downstream]
    bad = {name for name, status in ended.items() if status == "failed"}
    for name, status in ended.items():
        above = {edge.upstream for edge in plan.pipeline.upstream(name)}
        assert (status == "blocked") == any(ended[one] in ("failed", "blocked") for one in above)
    assert bad <= fail


def test_a_caller_without_a_handler_may_interrupt_too(tmp_path):
    """Ctrl-C in a Python session, wherever the loop is, counts as the first level."""
    script = tmp_path / "session.py"
    script.write_text(
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from pipelines import RUN, Worker, do, plan_of, statuses\n"
        "import threading\n"
        "cancelled = threading.Event()\n"
        "class Heard(Worker):\n"
        "    def __call__(self, job, emit, cancel):\n"
        "        cancel.on_raise(lambda _level: cancelled.set())\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        cancelled.wait(30)\n"
        "        return super().__call__(job, emit, cancel)\n"
        f"result = do(plan_of({{'a': RUN, 'b': RUN}}, ['a>b']), Heard(), Path({str(tmp_path)!r}))\n"
        "print(result.interrupted, statuses(result))\n"
    )
    told = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout == "True {'a': 'cancelled', 'b': 'cancelled'}\n"


def test_what_failed_and_is_fresh_again_is_told_once(root):
    state = MemoryState()

    def told(worker=None, **stages) -> dict[str, str]:
        result = do(plan_of(stages), worker or Worker(), root, state=state)
        events = events_of(result)
        (begun,) = [one.data for one in events if one.kind == "run_started"]
        assert begun["fresh"] + len(begun["stages"]) == begun["total"]
        return {one.stage: one.data["status"] for one in events if one.kind == "stage_finished"}

    assert told(Worker(fail="a"), a=RUN, c=SKIP) == {"a": "failed"}
    assert told(b=RUN) == {"b": "succeeded"}, "another part of the pipeline"
    assert told(a=SKIP, b=SKIP, c=SKIP) == {"a": "fresh"}
    assert told(a=SKIP, b=SKIP, c=SKIP) == {}
