"""What every executor must do (`ports.Executor`)."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster
from stages import instance

from nbpipeline import plugins
from nbpipeline.executors import dask
from nbpipeline.executors.local import LocalExecutor
from nbpipeline.model import Event, Fingerprint, Job, Resources, StageResult, Status
from nbpipeline.ports import Cancel, Emit, Executor, Work

Make = Callable[..., Executor]
WAIT = 20
HERE: dict[int, Work] = {}


def on_dask(stack: ExitStack) -> Make:
    """A scheduler and a worker in this process, reached by their address; work is pickled as its number."""

    def make(work: Work, *, slots: int, memory: int | None = None) -> Executor:
        room = {"cpus": max(1, slots), **({"memory": memory} if memory else {})}
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=1,
                threads_per_worker=8,
                processes=False,
                dashboard_address="127.0.0.1:0",
                resources=room,
                silence_logs=50,
            )
        )
        settings = {"address": cluster.scheduler_address}
        return dask.open_executor(Known(work), slots=slots, memory=memory, settings=settings)

    return make


class Known:
    """Work that crosses to another process as a number, and is itself there: it is this one."""

    def __init__(self, work: Work) -> None:
        self.number = id(work)
        HERE[self.number] = work

    def __call__(self, job: Job, emit: Emit, cancel: Cancel) -> StageResult:
        return HERE[self.number](job, emit, cancel)


def of_others(name: str, settings: dict[str, Any]) -> Make:
    """A plug-in's; what is apart is given work that is itself only in this process."""
    module = plugins.load("executors", name)

    def make(work: Work, *, slots: int, memory: int | None = None) -> Executor:
        given = Known(work) if module.APART else work
        return module.open_executor(given, slots=slots, memory=memory, settings=settings)

    return make


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try what is built in, or the plug-in that is asked for."""
    if "make" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--plugin", default=None)
        metafunc.parametrize("make", [asked] if asked else ["local", "dask"], indirect=True)


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    with ExitStack() as stack:
        if request.param == "local":
            yield LocalExecutor
        elif request.param == "dask":
            yield on_dask(stack)
        else:
            text = request.config.getoption("--plugin-settings", default="{}")
            yield of_others(request.param, json.loads(text))


def job(run: str, **resources: Any) -> Job:
    stage = instance(["x = 1"], resources=Resources(**resources))
    return Job(root="/", run=run, folder=str(Path("/")), instance=stage, fingerprint=Fingerprint())


def done(name: str, status: Status = Status.SUCCEEDED) -> StageResult:
    return StageResult(instance=name, status=status)


def no_events(event: Event) -> None:
    raise AssertionError("no event was expected")


class Gate:
    """Work that waits until the test lets it go, and counts who is inside."""

    def __init__(self) -> None:
        self.open = {name: threading.Event() for name in "abcd"}
        self.entered = {name: threading.Event() for name in "abcd"}

    def __call__(self, job: Job, emit: Emit, cancel: Cancel) -> StageResult:
        self.entered[job.run].set()
        assert self.open[job.run].wait(WAIT)
        return done(job.run)

    def is_in(self, name: str) -> bool:
        return self.entered[name].is_set()


def test_events_and_the_result_come_back(make: Make) -> None:
    def work(job: Job, emit: Emit, cancel: Cancel) -> StageResult:
        emit(Event(kind="cell_started", run=job.run))
        return done(job.run)

    heard: list[Event] = []
    with make(work, slots=1) as executor:
        assert executor.submit(job("a"), heard.append).result(WAIT).instance == "a"
    assert [event.kind for event in heard] == ["cell_started"]


def test_an_exception_belongs_to_the_future(make: Make) -> None:
    def work(job: Job, emit: Emit, cancel: Cancel) -> StageResult:
        raise KeyError(job.run)

    with make(work, slots=1) as executor:
        future = executor.submit(job("a"), no_events)
        with pytest.raises(KeyError, match="a"):
            future.result(WAIT)
        assert isinstance(executor.submit(job("b"), no_events).exception(WAIT), KeyError)


def test_no_more_than_the_slots_run_side_by_side(make: Make) -> None:
    gate = Gate()
    with make(gate, slots=2) as executor:
        futures = {name: executor.submit(job(name), no_events) for name in "abc"}
        assert gate.entered["a"].wait(WAIT)
        assert gate.entered["b"].wait(WAIT)
        assert not gate.is_in("c")
        gate.open["b"].set()
        assert futures["b"].result(WAIT).instance == "b"
        assert gate.entered["c"].wait(WAIT)
        gate.open["a"].set()
        gate.open["c"].set()
        assert futures["a"].result(WAIT).instance == "a"
        assert futures["c"].result(WAIT).instance == "c"


@pytest.mark.parametrize("big", [{"cpus": 2}, {"cpus": 99}, {"memory": 900}])
def test_a_job_that_does_not_fit_waits_and_smaller_ones_pass(make: Make, big: dict[str, Any]) -> None:
    gate = Gate()
    with make(gate, slots=2, memory=1000) as executor:
        first = executor.submit(job("a", memory=200), no_events)
        assert gate.entered["a"].wait(WAIT)
        large = executor.submit(job("b", **big), no_events)
        small = executor.submit(job("c", memory=200), no_events)
        assert gate.entered["c"].wait(WAIT)
        assert not gate.is_in("b")
        for name in "ac":
            gate.open[name].set()
        assert [first.result(WAIT).instance, small.result(WAIT).instance] == ["a", "c"]
        assert gate.entered["b"].wait(WAIT)
        gate.open["b"].set()
        assert large.result(WAIT).instance == "b"


def test_cancel_reaches_what_runs_and_drops_what_waits(make: Make) -> None:
    started = threading.Event()

    def work(job: Job, emit: Emit, cancel: Cancel) -> StageResult:
        stopped = threading.Event()
        cancel.on_raise(lambda level: stopped.set())
        started.set()
        assert stopped.wait(WAIT)
        assert cancel.level == 1
        return done(job.run, Status.CANCELLED)

    with make(work, slots=1) as executor:
        running = executor.submit(job("a"), no_events)
        waiting = executor.submit(job("b"), no_events)
        assert started.wait(WAIT)
        executor.cancel(1)
        assert waiting.result(WAIT).status is Status.CANCELLED
        assert running.result(WAIT).status is Status.CANCELLED


def test_leaving_kills_what_runs(make: Make) -> None:
    levels: list[int] = []
    started = threading.Event()

    def work(job: Job, emit: Emit, cancel: Cancel) -> StageResult:
        killed = threading.Event()
        cancel.on_raise(lambda level: killed.set() if level == 2 else None)
        started.set()
        assert killed.wait(WAIT)
        levels.append(cancel.level)
        return done(job.run, Status.CANCELLED)

    with make(work, slots=1) as executor:
        future = executor.submit(job("a"), no_events)
        assert started.wait(WAIT)
    assert levels == [2]
    assert future.done()


def test_work_and_executor_fit_the_ports() -> None:
    work: Work = lambda job, emit, cancel: done(job.run)  # noqa: E731
    executor: Executor = LocalExecutor(work, slots=0)
    with executor:
        assert executor.submit(job("a"), no_events).result(WAIT).instance == "a"
