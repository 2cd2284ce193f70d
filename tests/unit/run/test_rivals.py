"""Two runs at once: what they have in common, and what each may do beside the other."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pipelines import MAYBE, RESTORE, RUN, SKIP, plan_of
from stages import artifact

from nbpipeline.model import Plan
from nbpipeline.run.folder import RunFolder, close_run, drop_old_runs, open_run, withdraw_run
from nbpipeline.run.rivals import look, outdated, rivals
from nbpipeline.run.summary import plan_to_keep

CHAIN = ["a>b", "b>c"]


def opened(root: Path, plan: Plan) -> RunFolder:
    return open_run(root, plan_to_keep(plan), now=time.time())


def sharing(plan: Plan, *names: str) -> Plan:
    """The plan, with one place that several of its instances write."""
    shared = artifact("ledger", "out/ledger.json", mode="update")
    changed = {name: replace(plan.pipeline.instances[name], outputs=(shared,)) for name in names}
    instances = {**plan.pipeline.instances, **changed}
    steps = tuple(replace(one, instance=instances[one.instance.id]) for one in plan.steps)
    return replace(plan, pipeline=replace(plan.pipeline, instances=instances), steps=steps)


def disturbed(root: Path, plan: Plan, *, done: set[str] = frozenset()) -> list[tuple[str, ...]]:
    return [one.stages for one in rivals(plan, root, lambda run: done, time.time())]


@pytest.mark.parametrize(
    ("mine", "common"),
    [
        ({"a": RUN, "b": SKIP, "c": SKIP}, "a"),  # what the other's b reads
        ({"a": SKIP, "b": MAYBE, "c": SKIP}, "b"),
        ({"a": SKIP, "b": SKIP, "c": RUN}, "b"),  # what the other makes is read
        ({"a": SKIP, "b": SKIP, "c": SKIP}, ""),
    ],
)
def test_what_two_runs_have_in_common(root: Path, mine: dict, common: str) -> None:
    theirs = plan_of({"a": SKIP, "b": RUN, "c": SKIP}, CHAIN)
    folder = opened(root, theirs)
    plan = plan_of(mine, CHAIN)
    assert disturbed(root, plan) == ([(common,)] if common else [])
    assert disturbed(root, plan, done={"b"}) == []
    close_run(folder, now=time.time(), status="succeeded")
    assert disturbed(root, plan) == []


def test_apart_on_other_branches(root: Path) -> None:
    edges = ["a>b", "a>c"]
    opened(root, plan_of({"a": SKIP, "b": RUN, "c": SKIP}, edges))
    assert disturbed(root, plan_of({"a": SKIP, "b": SKIP, "c": RUN}, edges)) == []


def test_who_it_is_is_told(root: Path) -> None:
    folder = opened(root, plan_of({"a": RUN, "b": RUN}, ["a>b"]))
    (one,) = rivals(plan_of({"a": RUN, "b": RUN}, ["a>b"]), root, lambda run: (), time.time())
    assert one.notice == f"waiting for run {folder.run} (process {one.pid}), which holds a, b"
    assert str(one.refusal).startswith(
        f"stage 'a' is held by another run.\n  holder: process {one.pid}, run {folder.run}, since 20"
    )


@pytest.mark.parametrize(("kind", "common"), [("dependency", ["a"]), ("after", [])])
def test_a_stage_that_counts_on_another_s_result_and_one_that_only_comes_after(
    root: Path, kind: str, common: list[str]
) -> None:
    opened(root, plan_of({"a": RUN, "b": SKIP}, ["a>b"], kind=kind))
    assert disturbed(root, plan_of({"a": SKIP, "b": RUN}, ["a>b"], kind=kind)) == (
        [tuple(common)] if common else []
    )


@pytest.mark.parametrize("mine", ["c", "d"])
def test_what_writes_to_one_place_or_reads_it_has_that_in_common(root: Path, mine: str) -> None:
    def plan(name: str) -> Plan:
        stages = {one: RUN if one == name else SKIP for one in "abcd"}
        return sharing(plan_of(stages, ["a>b", "b>c", "c>d"]), "a", "b", "c")

    opened(root, plan("a"))
    (common,) = disturbed(root, plan(mine))
    assert "a" in common


def test_what_builds_on_a_restore_may_run_where_that_fails(root: Path) -> None:
    stages = {"a": RESTORE, "b": SKIP, "c": SKIP, "x": SKIP}
    theirs = plan_of(stages, [*CHAIN, "x>a"])
    opened(root, theirs)
    only_c = replace(theirs, steps=plan_of({"c": RUN}).steps)
    assert disturbed(root, only_c) == [("b", "c")]
    only_x = replace(theirs, steps=plan_of({"x": RUN}).steps)
    assert disturbed(root, only_x) == [("x",)]


# --- what has changed since a plan was made ----------------------------------------------------

DONE_BEFORE, DONE_SINCE = {"a"}, {"a", "b"}


@pytest.mark.parametrize(
    ("name", "since", "old"),
    [
        ("b", DONE_SINCE, True),
        ("c", DONE_SINCE, True),  # which reads what b made
        ("a", DONE_SINCE, False),  # the plan knows of it
        ("b", DONE_BEFORE, False),  # it goes on: a rival, but the plan is right
        ("d", DONE_SINCE, False),
    ],
)
def test_a_plan_is_outdated_by_what_was_done_since(root: Path, name: str, since: set[str], old: bool) -> None:
    whole = plan_of({**dict.fromkeys("abc", RUN), "d": SKIP}, CHAIN)
    opened(root, whole)
    seen = look(root, lambda _run: DONE_BEFORE, time.time())
    mine = replace(whole, steps=plan_of({name: RUN}).steps)
    assert outdated(mine, seen, root, lambda _run: since, time.time()) is old


@pytest.mark.parametrize("end", ["succeeded", "killed", "removed"])
def test_a_plan_is_outdated_by_a_run_that_is_no_longer_there(root: Path, end: str, monkeypatch) -> None:
    plan = plan_of({"a": RUN, "b": RUN, "c": SKIP}, CHAIN)
    folder = opened(root, plan)
    seen = look(root, lambda _run: {"a"}, time.time())
    if end == "killed":
        monkeypatch.setattr("nbpipeline.run.folder.is_alive", lambda _pid, _started: False)
    elif end == "removed":
        shutil.rmtree(folder.path)
    else:
        close_run(folder, now=time.time(), status=end)
    assert outdated(plan, seen, root, lambda _run: {"a"}, time.time())
    only_a = replace(plan, steps=plan_of({"a": RUN}).steps)
    assert outdated(only_a, seen, root, lambda _run: {"a"}, time.time()) is (end == "removed")
    later = look(root, lambda _run: {"a"}, time.time())
    assert not outdated(plan, later, root, lambda _run: {"a"}, time.time())


def test_a_plan_is_outdated_by_a_run_that_came_since(root: Path) -> None:
    seen = look(root, lambda _run: (), time.time())
    plan = plan_of({"a": RUN, "b": SKIP})
    close_run(opened(root, plan), now=time.time(), status="failed")
    assert outdated(plan, seen, root, lambda _run: (), time.time())
    assert not outdated(plan_of({"b": RUN}), seen, root, lambda _run: (), time.time())


# --- runs that end before they begin -----------------------------------------------------------


def test_a_run_that_told_nothing_is_withdrawn(root: Path) -> None:
    plan = plan_of({"a": RUN})
    folder = opened(root, plan)
    withdraw_run(folder, now=time.time())
    assert not folder.path.exists()
    withdraw_run(folder, now=time.time())
    told = opened(root, plan)
    told.events.touch()
    withdraw_run(told, now=time.time())
    assert told.path.exists(), "what was told is kept"
    assert disturbed(root, plan) == []
    drop_old_runs(root, now=time.time())
    assert [one.name for one in (root / ".nbpipeline/runs").iterdir()] == [told.run]
