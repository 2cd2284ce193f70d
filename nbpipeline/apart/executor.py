"""The near side of stages on other machines: ships what a job reads, and settles what it left."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from nbpipeline.apart import logged
from nbpipeline.apart.shipping import Returned, Shipper, laid_out
from nbpipeline.apart.withheld import told
from nbpipeline.model import Event, Failure, Job, StageRecord, StageResult, Status, shell_name
from nbpipeline.ports import Cancel, DistantExecutor, Emit
from nbpipeline.run.cancel import CancelSwitch

Settle = Callable[[Job, StageRecord, Cancel], StageResult]
"""`stage.restore` with its backends."""
Joined = Callable[[Job, Emit, Cancel], Job]
"""Gives a job what trackers want in its kernel."""
_AT_ONCE = 8


class ShippingExecutor:
    """Fills `ports.Executor` over a distant one, which is entered already."""

    def __init__(
        self,
        inner: DistantExecutor,
        shipper: Shipper,
        settle: Settle,
        joined: Joined,
        *,
        trackers: Iterable[str] = (),
        told_once: Iterable[str] = (),
    ) -> None:
        """Start nothing yet. `told_once` is said with the first job."""
        self._inner = inner
        self._shipper = shipper
        self._settle = settle
        self._joined = joined
        self._trackers = tuple(trackers)
        self._told_once = iter(tuple(told_once))
        self._switch = CancelSwitch()
        self._pool = ThreadPoolExecutor(_AT_ONCE, "nbpipeline-apart")

    def __enter__(self) -> Self:
        """Whoever made it has entered the distant one."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what runs, and settle what came back."""
        self.cancel(2)
        self._inner.__exit__(kind, error, trace)
        self._pool.shutdown()

    def submit(self, job: Job, emit: Emit) -> "Future[StageResult]":
        """Ship the job when a thread is free; its result stands in the project when the future is done."""
        future: Future[StageResult] = Future()
        future.set_running_or_notify_cancel()
        self._pool.submit(self._ship, job, emit, future)
        return future

    def cancel(self, level: int) -> None:
        """Raise the cancel level, here and there."""
        self._switch.raise_to(level)
        self._inner.cancel(level)

    def _ship(self, job: Job, emit: Emit, future: "Future[StageResult]") -> None:
        cancelled = StageResult(instance=job.instance.id, status=Status.CANCELLED)
        try:
            if self._given_up():
                future.set_result(cancelled)
                return
            there = self._joined(job, emit, self._switch)
            there, texts = logged.sent(there, Path(job.root), self._trackers)
            for text in (*self._told_once, *told(there.environment), *texts):
                data = {"text": text}
                emit(Event(kind="notice", run=job.run, stage=job.instance.id, data=data))
            packed = self._shipper.packed(there)
            if self._given_up():
                future.set_result(cancelled)
                return
            done = self._inner.submit(packed, emit)
            job = replace(job, unwatched=there.unwatched)
            done.add_done_callback(partial(self._back, job, future))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
            future.set_exception(error)

    def _given_up(self) -> bool:
        return self._switch.level > 0

    def _back(self, job: Job, future: "Future[StageResult]", there: "Future[StageResult]") -> None:
        try:
            self._pool.submit(self._settled, job, future, there)
        except RuntimeError as error:  # it was left meanwhile
            future.set_exception(there.exception() or error)

    def _settled(self, job: Job, future: "Future[StageResult]", there: "Future[StageResult]") -> None:
        try:
            future.set_result(self._in_place(job, there.result()))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
            future.set_exception(error)

    def _in_place(self, job: Job, result: StageResult) -> StageResult:
        """Bring what a job left to where a run here would have left it, and put it on record."""
        if isinstance(result, Returned):
            laid_out(result.papers, Path(job.folder))
            logged.brought(Path(job.folder), Path(job.root), job.unwatched)
        plain = StageResult(**{one.name: getattr(result, one.name) for one in fields(StageResult)})
        if plain.status is not Status.SUCCEEDED:
            return plain
        if plain.record is None:
            return replace(plain, status=Status.FAILED, failure=_changed(job))
        brought = self._settle(job, plain.record, CancelSwitch())
        notices = (*plain.notices, *brought.notices)
        if brought.failure is not None:
            return replace(plain, status=Status.FAILED, record=None, failure=brought.failure, notices=notices)
        return replace(plain, notices=notices)


def _changed(job: Job) -> Failure:
    """Say that what a worker made is of no state that anybody planned: it is not brought here."""
    return Failure(
        kind="input",
        where=job.instance.spec.where,
        what=f"what '{job.instance.id}' reads changed after the plan was made; its outputs were left there.",
        mend=f"run it again: nbpipeline run {shell_name(job.instance.id)}",
    )


if TYPE_CHECKING:
    from nbpipeline.ports import Executor

    def _fills(one: ShippingExecutor) -> Executor:
        return one
