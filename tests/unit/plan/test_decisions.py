"""Settings and circumstances that decide beside the state itself."""

from dataclasses import replace
from pathlib import Path

import pytest
from builders import code, header
from workbench import Workbench

from nbpipeline.errors import StorageError
from nbpipeline.fingerprint import state_digest
from nbpipeline.model import Action, Failure, StageRecord, StageResult, Status, StoredOutput
from nbpipeline.plan.decide import _failed


@pytest.fixture
def bench(root: Path) -> Workbench:
    bench = Workbench(root)
    bench.write("pipeline.yaml", "name: decisions\n")
    return bench


def writer(extra: str = "", name: str = "made", text: str = "'x'") -> list[dict]:
    return [
        header(f"outputs: {{{name}: ../out/{name}.txt}}\n{extra}"),
        code(f"with open({name}, 'w') as file:\n    file.write({text})"),
    ]


def failed(bench: Workbench, name: str, state: str = "") -> None:
    failure = Failure(kind="cell", what="a cell raised", mend="mend it")
    result = StageResult(instance=name, status=Status.FAILED, failure=failure, state=state)
    bench.state.add_result("r1", result, finished=1.0)


def test_cache_false_runs_every_time(bench: Workbench) -> None:
    bench.notebook("a", *writer("cache: false"))
    bench.run()
    assert bench.reasons() == {"a": ["always runs"]}
    assert bench.actions() == {"a": "run"}


def test_frozen_never_runs_whatever_changes(bench: Workbench) -> None:
    bench.notebook("a", *writer())
    bench.run()
    bench.notebook("a", *writer("frozen: true", text="'y'"))
    assert bench.actions() == {}
    assert bench.actions(forced=["a"]) == {}
    assert bench.reasons() == {}
    (bench.root / "out/made.txt").unlink()
    assert bench.actions() == {"a": "restore"}


def test_frozen_rests_on_its_last_success(bench: Workbench) -> None:
    bench.notebook("a", *writer("frozen: true"))
    (step,) = bench.plan().steps
    assert (step.action, step.reasons, step.record) == (Action.SKIP, (), None)
    bench.notebook("a", *writer())
    bench.run()
    bench.notebook("a", *writer("frozen: true", text="'y'"))
    (step,) = bench.plan().steps
    assert (step.action, step.reasons) == (Action.SKIP, ())
    assert step.record == bench.state.last_record("a")
    (bench.root / "out/made.txt").unlink()
    (step,) = bench.plan().steps
    assert (step.action, step.record) == (Action.RESTORE, bench.state.last_record("a"))
    assert bench.reasons() == {"a": ["output ../out/made.txt missing"]}


def test_fresh_for_expires(bench: Workbench) -> None:
    bench.clock = 1000.0
    bench.notebook("a", *writer("fresh_for: 24h"))
    bench.run()
    bench.clock = 1000.0 + 86399
    assert bench.reasons() == {}
    bench.clock = 1000.0 + 86400
    assert bench.reasons() == {"a": ["expired (older than 1d)"]}
    assert bench.actions() == {"a": "run"}


def test_fresh_for_does_not_trust_a_time_far_ahead(bench: Workbench) -> None:
    """The clock was wrong when it ran, or is now: without this it would stay fresh for years."""
    bench.clock = 1_000_000.0
    bench.notebook("a", *writer("fresh_for: 24h"))
    bench.run()
    bench.clock = 1_000_000.0 - 86399  # two machines' clocks may differ a little
    assert bench.reasons() == {}
    bench.clock = 1_000_000.0 - 86400
    told = "expired (recorded more than 1d ahead of this clock, so its age is not known)"
    assert bench.reasons() == {"a": [told]}
    assert bench.actions() == {"a": "run"}


@pytest.mark.parametrize(
    ("limit", "told"),
    [("48h", "2d"), ("2h", "2h"), ("60m", "1h"), ("5m", "5m"), ("90s", "90s"), ("25h", "25h")],
)
def test_an_age_is_told_in_the_largest_unit_that_it_fills(bench: Workbench, limit: str, told: str) -> None:
    bench.clock = 1000.0
    bench.notebook("a", *writer(f"fresh_for: {limit}"))
    bench.run()
    bench.clock = 1e6
    assert bench.reasons() == {"a": [f"expired (older than {told})"]}


def test_an_expired_result_is_not_restored(bench: Workbench) -> None:
    bench.clock = 1000.0
    bench.notebook("a", *writer("fresh_for: 60s"))
    bench.run()
    bench.notebook("a", *writer("fresh_for: 60s", text="'y'"))
    bench.run()
    bench.notebook("a", *writer("fresh_for: 60s"))
    assert bench.actions() == {"a": "restore"}
    bench.clock = 2000.0
    assert bench.actions() == {"a": "run"}


def test_forced(bench: Workbench) -> None:
    bench.notebook("a", *writer())
    bench.run()
    assert bench.reasons(forced=["a"]) == {"a": ["forced"]}
    assert bench.run(forced=["a"]) == {"a": "run"}


def test_never_run_and_failed(bench: Workbench) -> None:
    bench.notebook("a", *writer())
    failed(bench, "a")
    assert bench.reasons() == {"a": ["never run", "last attempt failed"]}


def test_a_failure_in_this_very_state_makes_stale(bench: Workbench) -> None:
    bench.notebook("a", *writer())
    bench.run()
    failed(bench, "a", state=bench.state.last_record("a").state)
    assert bench.reasons() == {"a": ["last attempt failed"]}
    assert bench.run() == {"a": "run"}
    assert bench.reasons() == {}


def test_a_failure_names_its_run_where_that_is_known(bench: Workbench) -> None:
    bench.notebook("a", *writer())
    failed(bench, "a")
    (step,) = bench.plan().steps
    assert [(one.kind.value, one.subject) for one in step.reasons] == [("never_run", ""), ("failed", "r1")]
    assert _failed({"state": ""}).subject == ""


def test_a_failure_in_another_state_is_over_when_that_is_reverted(bench: Workbench) -> None:
    bench.notebook("a", *writer())
    bench.run()
    bench.notebook("a", *writer(text="1 / 0"))
    planner = bench.planner()
    failed(bench, "a", state=state_digest(planner.plan().steps[0].fingerprint))
    assert bench.reasons() == {"a": ["last attempt failed", "code: cell 2 changed"]}
    bench.notebook("a", *writer())
    assert bench.reasons() == {}


def test_a_failure_is_told_only_in_the_state_in_which_it_was(bench: Workbench) -> None:
    bench.notebook("a", *writer(text="1 / 0"))
    failed(bench, "a", state=state_digest(bench.plan().steps[0].fingerprint))
    assert bench.reasons() == {"a": ["never run", "last attempt failed"]}
    bench.notebook("a", *writer(text="'x'"))
    assert bench.reasons() == {"a": ["never run"]}
    bench.run()
    bench.notebook("a", *writer(text="1 / 0"))
    failed(bench, "a", state=state_digest(bench.plan().steps[0].fingerprint))
    bench.notebook("a", *writer(text="str(0.91)"))
    assert bench.reasons() == {"a": ["code: cell 2 changed"]}
    assert bench.reasons(forced=["a"]) == {"a": ["forced", "code: cell 2 changed"]}


def test_a_failure_is_not_told_of_a_state_that_is_not_known_yet(bench: Workbench) -> None:
    bench.notebook("a", *writer(name="first"))
    bench.notebook(
        "b",
        header("inputs: {first: ../out/first.txt}\noutputs: {second: ../out/second.txt}"),
        code("open(second, 'w').write(open(first).read())"),
    )
    bench.run()
    failed(bench, "b", state="0" * 40)
    bench.notebook("a", *writer(name="first", text="str('x')"))
    assert bench.reasons() == {"a": ["code: cell 2 changed"], "b": ["upstream a"]}


def sampled(bench: Workbench, sample: str, profile: str, power: int = 2) -> None:
    bench.notebook(
        "a",
        header(f"outputs: {{made: ../out/{profile}.txt}}"),
        code(f"sample = {sample}", "parameters"),
        code(f"with open(made, 'w') as file:\n    file.write('x' * {power})"),
    )


def test_a_damaged_output_is_the_cause_where_the_state_has_a_record(bench: Workbench) -> None:
    sampled(bench, "0.5", "made")
    bench.run()
    sampled(bench, "0.0", "made")
    bench.run()
    sampled(bench, "0.5", "made")
    assert bench.reasons() == {}, "the same bytes"
    bench.write("out/made.txt", "junk")
    assert bench.reasons() == {"a": ["output ../out/made.txt changed"]}
    assert bench.actions() == {"a": "restore"}
    bench.store.trim(0)
    assert bench.reasons() == {"a": ["output ../out/made.txt changed"]}
    assert bench.actions() == {"a": "run"}


def test_what_the_last_run_left_is_told_by_what_changed_since(bench: Workbench) -> None:
    sampled(bench, "0.5", "made")
    bench.run()
    sampled(bench, "0.0", "made", power=3)
    bench.run()
    sampled(bench, "0.5", "made")
    assert bench.reasons() == {"a": ["code: cell 3 changed", "parameter sample: 0.0 -> 0.5"]}
    assert bench.actions() == {"a": "restore"}


def test_reasons_are_told_against_the_nearest_success(bench: Workbench) -> None:
    sampled(bench, "None", "default")
    bench.run()
    sampled(bench, "0.05", "dev")
    bench.run()
    sampled(bench, "None", "default", power=3)
    assert bench.reasons() == {"a": ["code: cell 3 changed"]}
    assert bench.reasons(forced=["a"]) == {"a": ["forced", "code: cell 3 changed"]}
    sampled(bench, "0.05", "dev", power=3)
    assert bench.reasons() == {"a": ["code: cell 3 changed"]}


def test_a_waiting_stage_is_told_against_the_nearest_success(bench: Workbench) -> None:
    def second(sample: str) -> None:
        bench.notebook(
            "b",
            header("inputs: {first: ../out/first.txt}\noutputs: {second: ../out/second.txt}"),
            code(f"sample = {sample}", "parameters"),
            code("open(second, 'w').write(open(first).read() + str(sample))"),
        )

    bench.notebook("a", *writer(name="first"))
    second("1")
    bench.run()
    second("2")
    bench.run()
    second("1")
    bench.notebook("a", *writer(name="first", text="str('x')"))
    assert bench.reasons() == {"a": ["code: cell 2 changed"], "b": ["upstream a"]}
    assert bench.run() == {"a": "run", "b": "restore"}
    assert (bench.root / "out/second.txt").read_text() == "x1"


def test_undeclared_io_is_stale_every_time(bench: Workbench) -> None:
    bench.notebook("a", *writer())
    bench.execute(bench.plan().steps[0], undeclared=("data/secret.csv",))
    assert bench.reasons() == {"a": ["undeclared file data/secret.csv"]}
    assert bench.actions() == {"a": "run"}


def test_one_output_that_cannot_be_read_stops_no_plan(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.notebook("a", *writer())
    bench.notebook("b", header("stage: b"))
    bench.run()
    made = bench.root / bench.state.last_record("a").outputs[0].path
    made.unlink()
    made.symlink_to(made.name)
    assert bench.actions() == {"a": "restore"}

    def refuse(path: Path) -> str:
        raise StorageError.of(f"{path} cannot be read.", mend="make it readable")

    monkeypatch.setattr(bench.digests, "of", refuse)
    ((reason,),) = [one.reasons for one in bench.plan().steps if one.reasons]
    assert (reason.kind.value, reason.after) == ("output", "unreadable")


def test_an_output_that_is_not_stored_is_made_again(bench: Workbench) -> None:
    bench.notebook(
        "a",
        header("outputs: {made: {path: ../out/made.txt, store: false}}"),
        code("with open(made, 'w') as file:\n    file.write('x')"),
    )
    bench.run()
    (bench.root / "out/made.txt").unlink()
    assert bench.actions() == {"a": "run"}


def test_the_executed_notebook_of_a_stage_without_outputs(bench: Workbench) -> None:
    bench.notebook("a", header("description: only looks"), code("1 + 1"))
    record = bench.execute(bench.plan().steps[0])
    kept = bench.root / ".nbpipeline/runs/r1/a/attempt-1.ipynb"
    bench.write(".nbpipeline/runs/r1/a/attempt-1.ipynb", "{}")
    digest = bench.digests.of(kept)
    output = StoredOutput(path=".nbpipeline/runs/r1/a/attempt-1.ipynb", digest=digest, kind="executed")
    bench.store.put(kept, output)
    bench.state.add_record(replace(record, outputs=(output,)))
    assert bench.reasons() == {}
    kept.unlink()
    assert bench.reasons() == {}
    bench.store.trim(0)
    assert bench.reasons() == {"a": ["output executed notebook missing"]}
    assert bench.actions() == {"a": "run"}


def test_dependencies_are_stale_with_their_upstream(bench: Workbench) -> None:
    bench.notebook("a", *writer(name="first"))
    bench.notebook("b", *writer("dependencies: [a]", name="second"))
    bench.notebook("c", *writer("after: [a]", name="third"))
    bench.run()
    assert bench.reasons() == {}
    bench.notebook("a", *writer(name="first", text="'x' ''"))
    assert bench.reasons() == {}, "two literals side by side are one"
    bench.notebook("a", *writer(name="first", text="str('x')"))
    assert bench.reasons() == {"a": ["code: cell 2 changed"], "b": ["upstream a"]}
    assert bench.actions() == {"a": "run", "b": "run"}
    assert bench.run() == {"a": "run", "b": "run"}
    assert bench.reasons() == {}


def test_dependencies_follow_a_stage_that_always_runs(bench: Workbench) -> None:
    bench.notebook("a", *writer("cache: false", name="first"))
    bench.notebook("b", *writer("dependencies: [a]", name="second"))
    bench.run()
    assert bench.actions() == {"a": "run", "b": "run"}
    assert bench.run() == {"a": "run", "b": "run"}


def test_a_forced_upstream_in_the_same_state_may_leave_its_dependents(bench: Workbench) -> None:
    bench.notebook("a", *writer(name="first"))
    bench.notebook("b", *writer("dependencies: [a]", name="second"))
    bench.run()
    assert bench.actions(forced=["a"]) == {"a": "run", "b": "maybe"}
    assert bench.run(forced=["a"]) == {"a": "run"}


def test_several_stages_that_update_one_file(bench: Workbench) -> None:
    bench.notebook(
        "a",
        header("outputs: {db: {path: ../out/db.txt}}"),
        code("with open(db, 'w') as file:\n    file.write('a')"),
    )
    for name, before in (("b", "a"), ("c", "b")):
        bench.notebook(
            name,
            header(f"outputs: {{db: {{path: ../out/db.txt, mode: update}}}}\nafter: [{before}]"),
            code(f"with open(db, 'a') as file:\n    file.write('{name}')"),
        )
    assert bench.run() == {"a": "run", "b": "run", "c": "run"}
    assert (bench.root / "out/db.txt").read_text() == "abc"
    assert bench.reasons() == {}
    bench.notebook(
        "a",
        header("outputs: {db: {path: ../out/db.txt}}"),
        code("with open(db, 'w') as file:\n    file.write('A')"),
    )
    assert bench.actions() == {"a": "run", "b": "maybe", "c": "maybe"}
    assert bench.run() == {"a": "run", "b": "run", "c": "run"}
    assert (bench.root / "out/db.txt").read_text() == "Abc"
    assert bench.reasons() == {}


def test_a_folder_as_output_and_a_file_in_it_as_input(bench: Workbench) -> None:
    bench.notebook(
        "a",
        header("outputs: {shards: {path: ../out/shards, kind: directory}}"),
        code(
            "import os\nos.makedirs(shards, exist_ok=True)\nfor n in 'xy':\n    open(f'{shards}/{n}', 'w').write(n)"
        ),
    )
    bench.notebook(
        "b",
        header("inputs: {x: ../out/shards/x}\noutputs: {copy: ../out/copy.txt}"),
        code("open(copy, 'w').write(open(x).read())"),
    )
    assert bench.run() == {"a": "run", "b": "run"}
    assert bench.reasons() == {}
    bench.write("out/shards/z", "more")
    assert bench.reasons() == {"a": ["output ../out/shards changed"], "b": ["upstream a"]}
    assert bench.actions() == {"a": "restore", "b": "maybe"}


def test_a_url_is_not_looked_at_and_the_plan_says_so(bench: Workbench) -> None:
    bench.notebook("a", *writer("inputs: {far: 'https://example.org/far.csv'}"))
    bench.run()
    plan = bench.plan()
    (notice,) = plan.notices
    assert notice == (
        "notebooks/a.ipynb, cell 1, line 4: input 'far' is at https://example.org/far.csv, which is not looked "
        "at: a change there makes nothing stale. Pin it with `digest:`, or say `fresh_for`."
    )
    assert bench.reasons() == {}
    bench.notebook("a", *writer("inputs: {far: {path: 'https://example.org/far.csv', digest: abc}}"))
    assert bench.reasons() == {"a": ["input https://example.org/far.csv changed"]}
    assert bench.plan().notices == ()


def test_decide_never_says_maybe(bench: Workbench) -> None:
    bench.notebook("a", *writer(name="first"))
    bench.notebook(
        "b",
        header("inputs: {first: ../out/first.txt}\noutputs: {second: ../out/second.txt}"),
        code("open(second, 'w').write(open(first).read())"),
    )
    bench.run()
    bench.notebook("a", *writer(name="first", text="'y'"))
    planner = bench.planner()
    assert [one.action for one in planner.plan().steps] == [Action.RUN, Action.MAYBE]
    assert planner.decide("b").action is Action.SKIP
    bench.write("out/first.txt", "by hand")
    assert planner.decide("b").action is Action.RUN


def test_instances_of_a_matrix_are_apart(bench: Workbench) -> None:
    bench.notebook(
        "a",
        header("matrix: {region: [eu, us]}\noutputs: {made: '../out/{region}.txt'}"),
        code("open(made, 'w').write(region)"),
    )
    assert bench.run() == {"a[region=eu]": "run", "a[region=us]": "run"}
    (bench.root / "out/us.txt").unlink()
    assert bench.actions() == {"a[region=us]": "restore"}


def test_all_reasons_are_told_in_order(bench: Workbench) -> None:
    bench.clock = 1000.0
    bench.notebook("a", *writer("fresh_for: 60s"))
    bench.run()
    bench.clock = 2000.0
    bench.notebook("a", *writer("fresh_for: 60s", text="'y'"))
    failed(bench, "a")
    bench.write("out/made.txt", "by hand")
    expected = [
        "last attempt failed",
        "code: cell 2 changed",
        "output ../out/made.txt changed",
        "expired (older than 1m)",
    ]
    assert bench.reasons() == {"a": expected}
    assert bench.reasons(forced=["a"]) == {"a": ["forced", *expected]}


def test_a_file_url_is_read(bench: Workbench) -> None:
    bench.write("a b.txt", "1")
    bench.notebook("a", *writer(f"inputs: {{far: 'file://{bench.root}/a%20b.txt'}}"))
    bench.run()
    assert bench.reasons() == {}
    assert bench.plan().notices == ()
    (digest,) = bench.plan().steps[0].fingerprint.inputs.values()
    assert digest == bench.digests.of(bench.root / "a b.txt")
    bench.write("a b.txt", "2")
    assert bench.actions() == {"a": "run"}


def test_an_output_at_a_url_is_not_looked_at_nor_restored(bench: Workbench) -> None:
    bench.notebook("a", header("outputs: {far: 's3://bucket/x'}"), code("x = 1"))
    record = bench.plan().steps[0]
    bench.state.add_record(
        StageRecord(
            instance="a",
            state=state_digest(record.fingerprint),
            fingerprint=record.fingerprint,
            outputs=(StoredOutput(path="s3://bucket/x", digest="", stored=False),),
        )
    )
    bench.store.put_record(bench.state.last_record("a"))
    assert bench.reasons() == {}
    other = Workbench(bench.root)
    assert other.actions() == {"a": "run"}, "nobody knows what stands at the URL by now"


def test_a_frozen_upstream_gives_what_is_on_disk(bench: Workbench) -> None:
    bench.notebook("a", *writer("frozen: true", name="first"))
    bench.write("out/first.txt", "by hand")
    bench.notebook(
        "b",
        header("inputs: {first: ../out/first.txt}\noutputs: {second: ../out/second.txt}\ndependencies: [a]"),
        code("open(second, 'w').write(open(first).read())"),
    )
    assert bench.run() == {"b": "run"}
    assert bench.reasons() == {}
    bench.write("out/first.txt", "again")
    assert bench.reasons() == {"b": ["input ../out/first.txt changed"]}


def test_a_selected_dependent_follows_the_record_of_what_is_not(bench: Workbench) -> None:
    bench.notebook("a", *writer(name="first"))
    bench.notebook("b", *writer("dependencies: [a]", name="second"))
    bench.run()
    assert bench.actions(selected=["b"]) == {}
    bench.notebook("a", *writer(name="first", text="'y'"))
    assert bench.actions(selected=["b"]) == {}
    bench.run(selected=["a"])
    assert bench.reasons(selected=["b"]) == {"b": ["upstream a"]}


@pytest.mark.parametrize("left", [True, False])
def test_a_notebook_that_moved_has_its_outputs_elsewhere(root: Path, left: bool) -> None:
    bench = Workbench(root)
    bench.write("pipeline.yaml", "notebooks: [notebooks/*.ipynb, notebooks/sub/*.ipynb]\n")
    bench.notebook(
        "make", code("a = '../out/a.txt'", "outputs"), code("with open(a, 'w') as file:\n    file.write('x')")
    )
    bench.run()
    (root / "notebooks/sub").mkdir()
    (root / "notebooks/make.ipynb").rename(root / "notebooks/sub/make.ipynb")
    if not left:
        (root / "out/a.txt").unlink()
    assert bench.actions() == {"make": "run"}
    assert bench.reasons() == {"make": ["output ../out/a.txt missing"]}
    bench.run()
    assert (root / "notebooks/out/a.txt").read_text() == "x"
    assert bench.reasons() == {}
