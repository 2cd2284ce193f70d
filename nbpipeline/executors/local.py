"""Runs jobs in threads of this process, as many side by side as there is room for."""

import itertools
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from nbpipeline.model import Job, StageResult, Status
from nbpipeline.ports import Emit, Work
from nbpipeline.values import dataclass

if TYPE_CHECKING:
    from concurrent.futures import Future


APART = False
"""Jobs stay in this process."""


class Level:
    """A cancel level, of a run or of an executor; fills `ports.Cancel`.

    It never falls, also where a signal's handler raises it while another call does.
    """

    def __init__(self) -> None:
        """Start at 0."""
        self._reached = [0]
        self._turns = itertools.count(1)
        self._lock = threading.RLock()
        self._callbacks: list[Callable[[int], None]] = []

    @property
    def level(self) -> int:
        """The present level."""
        return max(self._reached)

    def turned(self) -> int:
        """Count a signal; gives the level that it means: 1 for the first, 2 for those after it."""
        return min(next(self._turns), 2)

    def on_raise(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call back when the level rises, and at once where it has already; returns how to unsubscribe."""
        with self._lock:
            self._callbacks.append(callback)
            level = self.level
        if level:
            callback(level)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return unsubscribe

    def raise_to(self, level: int) -> None:
        """Raise the level; one that is not higher changes nothing."""
        with self._lock:
            if level <= self.level:
                return
            self._reached.append(level)  # and not assigned: a handler may have raised it further since
            if level < self.level:
                return
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            callback(level)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    job: Job
    emit: Emit
    future: "Future[StageResult]"


class LocalExecutor:
    """Fills `ports.Executor`: a thread a job. Leaving its context kills what still runs."""

    def __init__(self, work: Work, *, slots: int, memory: int | None = None) -> None:
        """Take the work and the room: `slots` jobs and cores, `memory` bytes of declared need."""
        self._work = work
        self._slots = max(1, slots)
        self._memory = memory
        self._level = Level()
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._running: dict[int, Job] = {}
        self._threads: set[threading.Thread] = set()

    def __enter__(self) -> Self:
        """Nothing needs to be opened."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what runs, and wait until it is gone."""
        self.cancel(2)
        while True:
            with self._lock:
                thread = next(iter(self._threads), None)
            if thread is None:
                return
            thread.join()
            with self._lock:
                self._threads.discard(thread)

    def submit(self, job: Job, emit: Emit) -> "Future[StageResult]":
        """Run the job when there is room for it."""
        from concurrent.futures import Future  # noqa: PLC0415 - a run with nothing to do submits nothing

        future: Future[StageResult] = Future()
        with self._lock:
            self._waiting.append(_Waiting(job=job, emit=emit, future=future))
        self._start_what_fits()
        return future

    def cancel(self, level: int) -> None:
        """Raise the cancel level of what runs; what waits ends as cancelled."""
        self._level.raise_to(level)
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for one in waiting:
            if one.future.set_running_or_notify_cancel():
                one.future.set_result(StageResult(instance=one.job.instance.id, status=Status.CANCELLED))

    def _start_what_fits(self) -> None:
        with self._lock:
            for one in tuple(self._waiting):
                if not self._fits(one.job):
                    continue
                self._waiting.remove(one)
                if not one.future.set_running_or_notify_cancel():
                    continue
                self._running[id(one)] = one.job
                name = f"nbpipeline-{one.job.instance.slug}"
                thread = threading.Thread(target=self._run, args=(one,), name=name, daemon=True)
                self._threads.add(thread)
                thread.start()

    def _fits(self, job: Job) -> bool:
        """Whether the job may start beside what runs; one that asks for more than there is runs alone."""
        if not self._running:
            return True
        wanted = job.instance.spec.resources
        held = [one.instance.spec.resources for one in self._running.values()]
        if len(held) >= self._slots or sum(one.cpus for one in held) + wanted.cpus > self._slots:
            return False
        if self._memory is None or wanted.memory is None:
            return True
        return sum(one.memory or 0 for one in held) + wanted.memory <= self._memory

    def _run(self, one: _Waiting) -> None:
        outcome: StageResult | BaseException
        try:
            outcome = self._work(one.job, one.emit, self._level)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
            outcome = error
        with self._lock:
            del self._running[id(one)]
            self._threads.discard(threading.current_thread())
        self._start_what_fits()
        if isinstance(outcome, BaseException):
            one.future.set_exception(outcome)
        else:
            one.future.set_result(outcome)


def open_executor(
    work: Work, *, slots: int, memory: int | None, settings: Mapping[str, Any]
) -> LocalExecutor:
    """Give the executor; there is nothing to set."""
    del settings
    return LocalExecutor(work, slots=slots, memory=memory)
