"""A run shows which files it takes code from; the plans after it follow them, whatever way they find its record."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import code, header
from workbench import Workbench

from nbpipeline.fingerprint import Fingerprinter, state_digest
from nbpipeline.model import Action, Failure, StageRecord, StageResult, Status
from nbpipeline.state.memory import MemoryState

HELPER, SETTINGS = "notebooks/helper.py", "notebooks/settings.py"


@pytest.fixture
def bench(root: Path) -> Workbench:
    bench = Workbench(root)
    bench.write("pipeline.yaml", "name: followed\n")
    bench.write(HELPER, "V = 1\n")
    bench.write(SETTINGS, "V = 10\n")
    bench.notebook("a", *stage("help" + "er"))
    return bench


def stage(module: str) -> list[dict]:
    """A stage whose import only a run can show: the name is put together."""
    return [
        header("outputs: {made: ../out/made.txt}"),
        code(f"V = __import__({module[:4]!r} + {module[4:]!r}).V"),
        code("with open(made, 'w') as file:\n    file.write(str(V))"),
    ]


def ran(bench: Workbench, *followed: str) -> StageRecord:
    """Run the stage, which was seen to take code from these files; recorded as a stage's life does."""
    step = bench.planner().decide("a")
    state = bench.fingerprinter.following(step.fingerprint, step.instance, followed)
    record = bench.execute(replace(step, fingerprint=state), followed=followed)
    bare = state_digest(bench.fingerprinter.following(state, step.instance, ()))
    bench.store.put_record(replace(record, state=bare))
    return record


def forget(bench: Workbench) -> None:
    """Leave what another machine has that shares the store: no history."""
    bench.state = MemoryState()


def made(bench: Workbench) -> str:
    return (bench.root / "out/made.txt").read_text()


def test_a_file_that_the_last_run_took_code_from_makes_stale(bench: Workbench) -> None:
    ran(bench, HELPER)
    assert bench.reasons() == {}
    bench.write(HELPER, "V = 2\n")
    assert bench.reasons() == {"a": ["module helper.py changed (V)"]}
    step = bench.planner().decide("a")
    assert (step.action, step.reasons) == (Action.RUN, bench.plan().steps[0].reasons)
    bench.write(HELPER, "V = 1  # a comment\n")
    assert bench.reasons() == {}
    assert bench.planner().decide("a").fresh


def test_the_present_state_is_that_of_the_last_run_with_what_it_followed(bench: Workbench) -> None:
    planner = bench.planner()
    (instance,) = planner.plan().pipeline
    assert planner.fingerprint(instance).modules == {}
    record = ran(bench, HELPER)
    planner = bench.planner()
    (instance,) = planner.plan().pipeline
    assert planner.fingerprint(instance) == record.fingerprint
    assert list(record.fingerprint.modules) == [HELPER]


def test_going_back_restores_what_was_made_with_the_file_as_it_was(bench: Workbench) -> None:
    ran(bench, HELPER)
    bench.write(HELPER, "V = 2\n")
    ran(bench, HELPER)
    assert made(bench) == "2"
    bench.write(HELPER, "V = 1\n")
    assert bench.run() == {"a": "restore"}
    assert made(bench) == "1"


def test_a_machine_without_history_learns_from_the_store_which_files_count(bench: Workbench) -> None:
    ran(bench, HELPER)
    (bench.root / "out/made.txt").unlink()
    forget(bench)
    assert bench.actions() == {"a": "restore"}
    bench.write(HELPER, "V = 2\n")
    assert bench.actions() == {"a": "run"}
    bench.write(HELPER, "V = 1\n")
    assert bench.run() == {"a": "restore"}
    assert made(bench) == "1"
    assert bench.reasons() == {}
    bench.write(HELPER, "V = 2\n")
    assert bench.reasons() == {"a": ["module helper.py changed (V)"]}


def test_code_that_went_back_finds_what_it_followed_then_not_what_is_followed_now(bench: Workbench) -> None:
    ran(bench, HELPER)
    bench.notebook("a", *stage("settings"))
    ran(bench, SETTINGS)
    assert made(bench) == "10"
    bench.notebook("a", *stage("helper"))
    bench.write(SETTINGS, "V = 20\n")  # the code of now takes nothing from it
    assert bench.actions() == {"a": "restore"}
    bench.write(HELPER, "V = 2\n")
    assert bench.actions() == {"a": "run"}
    bench.write(HELPER, "V = 1\n")
    assert bench.run() == {"a": "restore"}
    assert made(bench) == "1"


def test_code_that_never_ran_is_found_nowhere_whatever_was_followed(bench: Workbench) -> None:
    ran(bench, HELPER)
    bench.notebook("a", *stage("settings"))
    assert bench.actions() == {"a": "run"}


def test_a_success_before_the_last_counts_with_what_it_followed_alone(bench: Workbench) -> None:
    """The first run took its code from the notebook, the second from a file beside it."""
    bench.notebook("a", *stage("helper")[:1], code("V = 5"), *stage("helper")[2:])
    ran(bench)
    bench.notebook("a", *stage("helper"))
    ran(bench, HELPER)
    bench.write(HELPER, "V = 3\n")
    bench.notebook("a", *stage("helper")[:1], code("V = 5"), *stage("helper")[2:])
    assert bench.run() == {"a": "restore"}
    assert made(bench) == "5"


# --- one look for all ------------------------------------------------------------------------


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, ...]]]:
    """What is followed, of each time that a notebook's code was looked at."""
    seen: list[tuple[str, ...]] = []
    look = Fingerprinter._look_at

    def counted(self, spec, followed, glance):
        seen.append(followed)
        return look(self, spec, followed, glance)

    monkeypatch.setattr(Fingerprinter, "_look_at", counted)
    return seen


def matrix(bench: Workbench) -> None:
    bench.notebook(
        "a",
        header("matrix: {region: [eu, us, asia]}\noutputs: {made: '../out/{region}.txt'}"),
        code("with open(made, 'w') as file:\n    file.write(region)"),
    )


def test_a_plan_looks_at_a_notebook_once_for_all_its_instances(bench: Workbench, looks: list) -> None:
    matrix(bench)
    planner = bench.planner()
    assert [one.action for one in planner.plan().steps] == [Action.RUN] * 3
    assert looks == [()]
    planner.plan()
    assert looks == [(), ()], "the next plan looks anew"


def test_a_search_for_earlier_successes_looks_no_second_time(bench: Workbench, looks: list) -> None:
    ran(bench, HELPER)
    bench.write(HELPER, "V = 2\n")
    looks.clear()
    assert bench.actions() == {"a": "run"}
    assert sorted(looks) == [(), (HELPER,)]


def test_what_is_loaded_ahead_is_looked_at_once_for_all_instances(bench: Workbench, looks: list) -> None:
    matrix(bench)
    planner = bench.planner()
    planner.plan()
    looks.clear()
    assert {planner.imports(one) for one in planner._pipeline} == {()}
    assert looks == [()]


def test_a_stage_that_failed_in_this_very_state_is_decided_to_run_once_more(bench: Workbench) -> None:
    ran(bench, HELPER)
    step = bench.planner().decide("a")
    assert step.fresh
    failure = Failure(kind="cell", what="a cell raised", mend="mend it")
    result = StageResult(
        instance="a", status=Status.FAILED, failure=failure, state=state_digest(step.fingerprint)
    )
    bench.state.add_result("r1", result, finished=1.0)
    assert bench.planner().decide("a") == bench.plan().steps[0]
    assert bench.actions() == {"a": "run"}
    assert bench.reasons() == {"a": ["last attempt failed"]}
