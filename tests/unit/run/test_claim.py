"""How a run begins: one at a time, and after what dead runs left has been settled."""

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pipelines import RUN, SKIP, instance, plan_of
from stages import artifact

from nbpipeline.errors import BusyError, StorageError
from nbpipeline.run import claim as beginning
from nbpipeline.run.claim import LOCK, claim, turn
from nbpipeline.run.folder import RunFolder, open_run
from nbpipeline.run.rivals import look
from nbpipeline.stage import journal
from nbpipeline.stage.lock import hold

PLAN = plan_of({"a": RUN, "b": RUN}, ["a>b"])


def ended(_run: str) -> set[str]:
    return set()


def claimed(root: Path, plan=PLAN, **how):
    return claim(plan, root, look(root, ended, time.time()), ended, **how)


def test_the_second_sees_the_first(root: Path) -> None:
    first = claimed(root)
    assert isinstance(first, RunFolder)
    (rival,) = claimed(root)
    assert (rival.run, rival.stages) == (first.run, ("a", "b"))
    assert isinstance(claimed(root, plan_of({"c": RUN})), RunFolder)


def test_what_ends_while_it_is_looked_for_is_not_overlooked(root: Path) -> None:
    claimed(root)
    seen = look(root, ended, time.time())
    answers = iter([set(), {"a", "b"}])
    assert claim(PLAN, root, seen, lambda _run: next(answers), wait=True) == (), "it is planned anew"


def test_of_many_at_once_one_begins(root: Path) -> None:
    together = threading.Barrier(8)
    got = []

    def begin() -> None:
        together.wait(30)
        got.append(claimed(root))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert sorted(type(one).__name__ for one in got) == ["RunFolder"] + ["tuple"] * 7


def test_a_run_with_nothing_to_do_waits_for_nobody(root: Path) -> None:
    with turn(root):
        assert isinstance(claimed(root, plan_of({"a": SKIP})), RunFolder)


def test_a_stage_that_is_held_is_refused_or_waited_for_later(root: Path) -> None:
    with hold(root, "b", run="by hand"):
        with pytest.raises(BusyError, match="stage 'b' is held by another run"):
            claimed(root)
        assert isinstance(claimed(root, wait=True), RunFolder)


HOLDS = """
import sys
from pathlib import Path
from nbpipeline.run.claim import turn
with turn(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_that_does_not_go_on_is_told_of_and_one_that_was_killed_holds_nobody_up(root: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(BusyError) as caught, turn(root, longest=0.1):
        raise AssertionError("it was held")
    assert str(caught.value) == (
        "another process has let no run begin for a minute.\n"
        "  it holds .nbpipeline/locks/.begin.lock: a `restore` or `clean` that takes long, or one that was stopped\n"
        "  mend: wait until it ends, or end it; then try again"
    )
    process.kill()
    process.communicate()
    with turn(root):
        pass


@pytest.mark.parametrize("wait", [False, True])
def test_who_waits_for_a_turn_can_give_up(root: Path, wait: bool) -> None:
    asked = []

    def give_up() -> bool:
        asked.append(1)
        return len(asked) == 2

    with turn(root), pytest.raises(BusyError):
        claimed(root, wait=wait, give_up=give_up)
    assert len(asked) == 2


def test_a_place_that_cannot_be_written(root: Path) -> None:
    (root / LOCK).mkdir(parents=True)
    with pytest.raises(StorageError) as caught, turn(root):
        raise AssertionError("there is no lock")
    assert str(caught.value).startswith(f"{LOCK}: cannot be written: ")


# --- what dead runs left ------------------------------------------------------------------------


def left_aside(root: Path, run: str, name: str = "a") -> journal.Journal:
    made = replace(instance(name), outputs=(artifact("made", f"out/{name}.txt"),))
    return journal.begin(made, root, run=run, state="s", token="none-has-this", rejected=root / "rejected")


@pytest.mark.parametrize("name", ["a", "b"])
def test_what_another_process_is_bringing_back_is_waited_for(root: Path, monkeypatch, name: str) -> None:
    """`b` reads what `a` makes: its plan was made while that was away."""
    aside = left_aside(root, "20260101-000000-abcd")
    waited, got = threading.Event(), []

    def heard(*given, **how):
        waited.set()
        return hold(*given, **how)

    monkeypatch.setattr(beginning, "hold", heard)
    plan = replace(PLAN, steps=plan_of({name: RUN}).steps)
    (root / "data").mkdir()
    (root / "data/a").touch()
    thread = threading.Thread(target=lambda: got.append(claimed(root, plan)))
    with hold(root, "a"):
        thread.start()
        assert waited.wait(30)
        assert got == []
        journal.roll_back(aside)
    thread.join(60)
    assert got == [()], "it is planned anew"
    assert isinstance(claimed(root, plan), RunFolder)


@pytest.mark.parametrize("run", ["test-20260101-000000", "20260101-000000-abcd"])
def test_what_has_not_to_do_with_the_plan_or_is_a_test_s_is_not_waited_for(root: Path, run: str) -> None:
    name = "a" if run.startswith("test-") else "c"
    left_aside(root, run, name)
    with hold(root, name, run=run):
        assert isinstance(claimed(root, wait=True), RunFolder)


def test_a_run_that_goes_on_is_not_waited_for_here(root: Path) -> None:
    run = open_run(root, {"stages": []}, now=time.time()).run
    left_aside(root, run)
    with hold(root, "a", run=run):
        assert isinstance(claimed(root, wait=True), RunFolder)


def test_what_could_not_be_brought_back_holds_nobody_up(root: Path) -> None:
    left_aside(root, "20260101-000000-abcd")
    assert isinstance(claimed(root), RunFolder)
