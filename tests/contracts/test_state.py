"""What every implementation of the State port, and of the Cache port beside it, must do."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbpipeline.location import Location
from nbpipeline.model import (
    CellProfile,
    Failure,
    Fingerprint,
    PathValue,
    StageRecord,
    StageResult,
    Status,
    StoredOutput,
    Usage,
)
from nbpipeline.ports import Cache, State
from nbpipeline.state.memory import MemoryState
from nbpipeline.state.sqlite import open_state


@pytest.fixture(params=[lambda _: MemoryState(), open_state], ids=["memory", "sqlite"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    make: Callable[[Path], Any] = request.param
    with make(tmp_path / "state") as opened:
        yield opened


def record(instance: str = "train[region=eu]", state: str = "s1", **more: Any) -> StageRecord:
    fingerprint = Fingerprint(
        code={"cell 2": "abc", "output model": '"../m"'},
        modules={"notebooks/f.py": "def a:1"},
        parameters={"C": "1.0"},
        inputs={"data/ä 'x'.csv": "123", "later": None},
        upstream={"clean": "s0"},
        environment={"python": "3.11"},
        kernel="python (ipykernel_launcher)",
    )
    outputs = (
        StoredOutput(path="m/a.joblib", digest="d1", size=7),
        StoredOutput(path="m/t", digest="d2", kind="directory", stored=False),
    )
    values = {"outputs": outputs, "run": "r1", "attempt": 2, "finished": 12.5, "seconds": 3.25, **more}
    return StageRecord(instance=instance, state=state, fingerprint=fingerprint, **values)


def failure(instance: str = "train[region=eu]", **more: Any) -> StageResult:
    why = Failure(
        kind="cell",
        what="KeyError: 'x'",
        mend="mend the cell",
        where=Location(path="n.ipynb", cell=3, line=2),
        known="columns: a",
        traceback="Traceback",
    )
    return StageResult(instance=instance, status=Status.FAILED, attempts=2, failure=why, state="s9", **more)


def test_fills_the_ports(state: Any) -> None:
    assert isinstance(state, State)
    assert isinstance(state, Cache)
    assert state.notices == ()


def test_nothing_at_first(state: Any) -> None:
    assert state.last_record("a") is None
    assert state.last_records() == {}
    assert state.last_failure("a") is None
    assert state.last_failures() == {}
    assert state.runs() == ()
    assert state.results("r1") == ()
    assert state.durations() == {}
    assert state.load("file") == {}


def test_a_record_comes_back_as_it_was(state: Any) -> None:
    metrics = {"auc": 0.5, "worst": float("inf"), "where": PathValue("a/b"), "many": [1, 2]}
    usage = Usage(watched=True, used=("data/a",), listed=("data/",), unseen=("cp",))
    given = record(metrics=metrics, undeclared=("data/x",), usage=usage, origin="recorded")
    state.add_record(given)
    assert state.last_record(given.instance) == given
    assert state.last_records() == {given.instance: given}


def test_the_newest_record_counts(state: Any) -> None:
    state.add_record(record(state="s1"))
    state.add_record(record(state="s2", seconds=9.0))
    state.add_record(record("other", state="s3"))
    assert state.last_record("train[region=eu]").state == "s2"
    assert {name: one.state for name, one in state.last_records().items()} == {
        "train[region=eu]": "s2",
        "other": "s3",
    }
    assert state.durations() == {"train[region=eu]": 9.0, "other": 3.25}


def test_earlier_records_newest_first_each_state_once(state: Any) -> None:
    assert state.earlier_records("train[region=eu]") == ()
    for number in (1, 2, 3, 1):
        state.add_record(record(state=f"s{number}", seconds=float(number)))
    state.add_record(record("other", state="s7"))
    assert [one.state for one in state.earlier_records("train[region=eu]")] == ["s3", "s2"]
    assert state.earlier_records("other") == ()
    for number in range(20):
        state.add_record(record(state=f"t{number}"))
    assert [one.state for one in state.earlier_records("train[region=eu]")] == [
        f"t{number}" for number in range(18, 11, -1)
    ]


def test_a_failure_until_the_next_success(state: Any) -> None:
    state.add_record(record())
    state.add_result("r2", failure(), finished=20.0)
    expected = {"run": "r2", "kind": "cell", "what": "KeyError: 'x'", "state": "s9", "finished": 20.0}
    assert state.last_failure("train[region=eu]") == expected
    assert state.last_failures() == {"train[region=eu]": expected}
    state.add_record(record())
    assert state.last_failure("train[region=eu]") is None
    assert state.last_failures() == {}


@pytest.mark.parametrize("status", [Status.CHECK_FAILED, Status.FAILED])
def test_what_is_a_failure(state: Any, status: Status) -> None:
    state.add_result("r", StageResult(instance="a", status=status), finished=1.0)
    assert state.last_failure("a") is not None


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.BLOCKED, Status.FRESH, Status.SUCCEEDED])
def test_what_is_no_failure(state: Any, status: Status) -> None:
    state.add_result("r", StageResult(instance="a", status=status), finished=1.0)
    assert state.last_failure("a") is None


def test_runs_newest_first(state: Any) -> None:
    for number in range(5):
        state.add_run(f"r{number}", started=float(number), data={"pid": number, "p": PathValue("x")})
    state.end_run("r1", finished=9.0, status="failed")
    assert [one["run"] for one in state.runs(3)] == ["r4", "r3", "r2"]
    found = {one["run"]: one for one in state.runs()}
    assert found["r1"] == {
        "run": "r1",
        "started": 1.0,
        "finished": 9.0,
        "status": "failed",
        "data": {"pid": 1, "p": PathValue("x")},
    }
    assert found["r2"]["status"] is None


def test_the_run_begun_last_is_the_newest_whatever_the_clock_says(state: Any) -> None:
    for run, started in (("b", 100.0), ("c", 200.0), ("a", 1.0)):
        state.add_run(run, started=started, data={})
    assert [one["run"] for one in state.runs()] == ["a", "c", "b"]


def test_results_in_order(state: Any) -> None:
    first = failure(cells=(CellProfile(cell=1, seconds=0.5, peak_memory=7), CellProfile(cell=0, seconds=0.0)))
    second = StageResult(
        instance="b", status=Status.SUCCEEDED, seconds=2.0, record=record("b"), notices=("said",)
    )
    state.add_result("r1", first, finished=1.0)
    state.add_result("r1", second, finished=2.0)
    state.add_result("r2", second, finished=3.0)
    assert state.results("r1") == (first, second)
    assert [state.results("r1", known) for known in range(1, 4)] == [(second,), (), ()]


def test_the_cache(state: Any) -> None:
    state.save("file", {"a": "1", "b": "2"})
    state.save("file", {"b": "3"})
    state.save("cell", {"a": "4"})
    assert state.load("file") == {"a": "1", "b": "3"}
    assert state.load("cell") == {"a": "4"}


def test_several_threads(state: Any) -> None:
    def work(number: int) -> None:
        for turn in range(20):
            state.add_record(record(f"i{number}", state=str(turn)))
            state.add_result("r", StageResult(instance=f"i{number}", status=Status.FRESH), finished=1.0)
            state.save("file", {f"{number} {turn}": "x"})
            state.last_records()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {one.state for one in state.last_records().values()} == {"19"}
    assert len(state.last_records()) == 6
    assert len(state.results("r")) == 120
    assert len(state.load("file")) == 120
