"""Two runs at once in one project: the second always sees the first, however close they begin."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from builders import code, header, write_files, write_notebook

from nbpipeline import Project
from nbpipeline.api import planning
from nbpipeline.errors import BusyError
from nbpipeline.model import Event, RunResult
from nbpipeline.run.cancel import CancelSwitch
from nbpipeline.run.claim import claim, turn
from nbpipeline.upkeep import byhand


@pytest.fixture
def project(root: Path) -> Project:
    """`maker` makes what `reader` reads; `apart` has nothing in common with them."""
    write_files(root, {"pipeline.yaml": "name: pair\nkernels: plain\n"})

    def stage(name: str, head: str, body: str) -> None:
        given = code('word: str = "one"', "parameters")
        write_notebook(root / "notebooks" / f"{name}.ipynb", header(head), given, code(body))

    stage("maker", "outputs: {made: ../out/made.txt}", "open(made, 'w').write(word)")
    copy = "open(copy, 'w').write(open(made).read())"
    stage("reader", "inputs: {made: ../out/made.txt}\noutputs: {copy: ../out/copy.txt}", copy)
    stage("apart", "outputs: {other: ../out/other.txt}", "open(other, 'w').write(word)")
    return Project(root)


def changed(project: Project) -> Project:
    """The same project, with another word for `maker`."""
    return Project(project.root, params={"maker.word": "two"})


def statuses(result: RunResult) -> dict[str, str]:
    return {one.instance: str(one.status) for one in result.results}


def folders(project: Project) -> list[str]:
    return sorted(one.name for one in Path(project.root, ".nbpipeline", "runs").iterdir())


def refused(work) -> str:
    with pytest.raises(BusyError) as caught:
        work()
    return str(caught.value)


def test_a_run_that_is_about_to_begin_is_seen(project: Project) -> None:
    told = []
    project.run(on_plan=lambda _plan: told.append(refused(project.run)))
    assert told[0].startswith("stage 'apart' is held by another run.\n  holder: process ")
    assert folders(project)[0] in told[0]
    assert len(folders(project)) == 1, "what was refused leaves no run"


def test_two_tasks_of_an_orchestrator_one_reading_what_the_other_makes(project: Project) -> None:
    project.run()
    told = []

    def meanwhile(_plan) -> None:
        told.append(refused(lambda: project.run_stage("reader", force=True)))
        told.append(statuses(project.run_stage("apart", force=True)))

    changed(project).run_stage("maker", on_plan=meanwhile)
    assert told[0].startswith("stage 'maker' is held by another run.")
    assert told[1] == {"apart": "succeeded"}, "what has nothing in common goes on"
    told.clear()
    project.run_stage("reader", force=True, on_plan=lambda _plan: told.append(refused(project.run)))
    assert told[0].startswith("stage 'maker' is held by another run."), "nor is made what is about to be read"


def test_a_run_waits_for_one_that_is_about_to_begin_and_plans_anew(project: Project) -> None:
    noticed = threading.Event()
    heard: list[Event] = []
    results: list[RunResult] = []

    def hear(event: Event) -> None:
        heard.append(event)
        noticed.set()

    second = threading.Thread(target=lambda: results.append(project.run(wait=True, on_event=hear)))

    def meanwhile(_plan) -> None:
        second.start()
        assert noticed.wait(60)

    first = project.run(on_plan=meanwhile)
    second.join(60)
    assert heard[0].data["text"].startswith(f"waiting for run {first.run} (process ")
    assert heard[0].data["text"].endswith("which holds apart, maker, reader")
    assert set(statuses(results[0]).values()) == {"fresh"}


@pytest.mark.parametrize("running", ["maker", "reader"])
def test_what_a_run_makes_or_reads_is_neither_restored_nor_removed_by_hand(
    project: Project, running: str
) -> None:
    project.run()
    Path(project.root, "out/made.txt").unlink()
    told, unchanged = [], []

    def meanwhile(_plan) -> None:
        told.append(refused(lambda: project.restore("maker")))
        told.append(refused(lambda: project.clean(project.cleanable("maker", "reader"))))
        unchanged.extend(project.restore("apart").unchanged)

    project.restore("maker")
    project.run_stage(running, force=True, on_plan=meanwhile)
    assert [one.splitlines()[0] for one in told] == [
        "stage 'maker' is held by another run.",
        "stage 'maker' is held by another run.",
    ]
    assert unchanged == ["out/other.txt"]
    assert Path(project.root, "out/copy.txt").read_text() == "one"


def test_no_run_begins_while_outputs_are_restored_by_hand(project: Project, monkeypatch) -> None:
    project.run()
    put_back, told = byhand.bring_back, []

    def asked_meanwhile(*given):
        with pytest.raises(BusyError) as caught, turn(Path(project.root), longest=0):
            raise AssertionError("a run could have begun")
        told.append(caught.value)
        return put_back(*given)

    monkeypatch.setattr(byhand, "bring_back", asked_meanwhile)
    project.restore("maker")
    assert len(told) == 1
    project.run(force=True)


class Meanwhile:
    """Makes plans as ever, and lets another run come and go after the first one."""

    def __init__(self, monkeypatch, work) -> None:
        self.plans = []
        self._made, self._work = planning.plan_wanted, work
        monkeypatch.setattr(planning, "plan_wanted", self)

    def __call__(self, *given):
        planner, plan = self._made(*given)
        self.plans.append(plan)
        work, self._work = self._work, None
        if work:
            work()
            self.plans = self.plans[:1]
        return planner, plan


@pytest.mark.parametrize("wait", [False, True])
def test_a_plan_is_made_anew_where_another_run_came_and_went_meanwhile(
    project: Project, monkeypatch, wait: bool
) -> None:
    project.run()
    seen = Meanwhile(monkeypatch, lambda: changed(project).run("maker"))
    result = changed(project).run(wait=wait)
    first, second = ({one.instance.id: str(one.action) for one in plan.steps} for plan in seen.plans)
    assert first == {"maker": "run", "reader": "maybe", "apart": "skip"}
    assert second == {"maker": "skip", "reader": "run", "apart": "skip"}
    assert statuses(result) == {"maker": "fresh", "reader": "succeeded", "apart": "fresh"}
    assert Path(project.root, "out/copy.txt").read_text() == "two"


def test_a_plan_that_another_run_does_not_touch_is_not_made_anew(project: Project, monkeypatch) -> None:
    seen = Meanwhile(monkeypatch, lambda: project.run("apart"))
    assert statuses(project.run("maker")) == {"maker": "succeeded"}
    assert len(seen.plans) == 1


@pytest.mark.parametrize("wait", [False, True])
def test_ctrl_c_while_no_run_may_begin(project: Project, monkeypatch, wait: bool) -> None:
    switch = CancelSwitch()

    def claimed(*given, give_up, **how):
        return claim(*given, give_up=lambda: switch.raise_to(1) or give_up(), **how)

    monkeypatch.setattr(planning, "claim", claimed)
    with turn(Path(project.root)):
        result = project.run(wait=wait, cancel=switch)
    assert set(statuses(result).values()) == {"cancelled"}


# --- runs that end before they begin -----------------------------------------------------------

BEGINS = """
import os, sys
from nbpipeline import Project
def stop(_plan):
    print("about to begin", flush=True)
    sys.stdin.read()
Project(sys.argv[1]).run(on_plan=stop)
"""


def test_one_that_was_killed_before_it_began_holds_nobody_up(project: Project) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BEGINS, project.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "about to begin\n"
    assert f"holder: process {process.pid}" in refused(project.run)
    process.kill()
    process.communicate()
    assert set(statuses(project.run()).values()) == {"succeeded"}


def test_one_that_gives_up_before_it_began_holds_nobody_up(project: Project) -> None:
    def give_up(_plan) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        project.run(on_plan=give_up)
    assert folders(project) == []
    assert set(statuses(project.run()).values()) == {"succeeded"}
