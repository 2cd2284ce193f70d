"""Runs a plan: ready instances side by side, the rest decided as soon as it can be."""

import dataclasses
import queue
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nbpipeline.encoding import dumps
from nbpipeline.errors import NbpipelineError
from nbpipeline.location import STATE_FOLDER
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import (
    Action,
    Failure,
    Imported,
    Job,
    Plan,
    RunResult,
    StageInstance,
    StageRecord,
    StageResult,
    Status,
    Step,
)
from nbpipeline.ports import Cancel, Emit, Executor, State
from nbpipeline.run.admission import Capacity, Room, free_memory, visible_gpus
from nbpipeline.run.board import GOOD, Board, blocked
from nbpipeline.run.cancel import turned_by_ctrl_c
from nbpipeline.run.chronicle import Chronicle
from nbpipeline.run.claim import masker_of
from nbpipeline.run.events import EventWriter
from nbpipeline.run.folder import RunFolder, drop_old_runs, unwritable
from nbpipeline.run.options import RunOptions
from nbpipeline.values import dataclass

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Restore = Callable[[Job, StageRecord, Cancel], StageResult]
"""`stage.restore` with its backends: brings a record's outputs back; a failed result where it cannot."""

_RESTORING_AT_ONCE = 4


class Decider(Protocol):
    """What the scheduler needs of `plan.Planner`."""

    def decide(self, instance_id: str) -> Step:
        """Decide from what is on disk now; never MAYBE."""

    def imports(self, instance: StageInstance) -> tuple[Imported, ...]:
        """Name the third-party modules that the stage imports."""


def run(  # noqa: PLR0913 - the one seam between the composition root and the run
    plan: Plan,
    planner: Decider,
    executor: Executor,
    folder: RunFolder,
    *,
    state: State,
    root: Path,
    restore: Restore,
    options: RunOptions | None = None,
    emit: Emit | None = None,
    cancel: Cancel | None = None,
) -> RunResult:
    """Do what the plan says, and record what happened in the `folder` that `claim` has opened.

    `executor` is given un-entered: a run with nothing to do never enters it. `emit` hears every event
    after it is on disk. Raises BusyError, StorageError and other trouble around a stage after what else
    was running has ended. With no `cancel`, Ctrl-C turns one.
    """
    options = options or RunOptions()
    started = time.time()
    masker = masker_of(plan)
    try:
        events = EventWriter(folder.events, folder.run, emit, masker=masker)
    except OSError as error:
        raise unwritable(f"{STATE_FOLDER}/runs/{folder.run}", error) from error
    history = Chronicle(state=state, folder=folder, events=events, started=started)
    with closing(events), ExitStack() as stack:
        shift = _Shift(
            board=Board(plan),
            planner=planner,
            executor=executor,
            restore=restore,
            options=options,
            history=history,
            masker=masker,
            root=root,
            cancel=cancel or stack.enter_context(turned_by_ctrl_c()),
        )
        result = _recorded(shift, plan)
    drop_old_runs(root, now=time.time())
    if shift.trouble:
        raise shift.trouble
    return result


def _recorded(shift: "_Shift", plan: Plan) -> RunResult:
    """Work, with the run's beginning and end told whatever happens."""
    history, board = shift.history, shift.board
    try:
        history.begin(plan, board, shift.options, shift.masker)
        shift.work()
    except BaseException:
        with suppress(NbpipelineError, OSError):  # the first trouble is the one to tell
            history.end(board, interrupted=True)
        raise
    return history.end(board, interrupted=shift.interrupted)


@dataclass(slots=True, kw_only=True)
class _Shift:
    """The loop of one run. Everything here happens in one thread; others only put into `_news`."""

    board: Board
    planner: Decider
    executor: Executor
    restore: Restore
    options: RunOptions
    history: Chronicle
    masker: Masker
    root: Path
    cancel: Cancel
    trouble: BaseException | None = None
    interrupted: bool = False
    _decided: dict[str, Step] = dataclasses.field(default_factory=dict)
    _running: dict[str, Action] = dataclasses.field(default_factory=dict)
    _failed_by: str = ""
    _stopped: bool = False
    _news: "queue.SimpleQueue[tuple[str, Future[StageResult]] | int]" = dataclasses.field(
        default_factory=queue.SimpleQueue
    )
    _stack: ExitStack = dataclasses.field(default_factory=ExitStack)
    _restorers: "ThreadPoolExecutor | None" = None
    _entered: bool = False
    _room: Room | None = None

    def work(self) -> None:
        """Run until nothing runs and nothing more may start."""
        unsubscribe = self.cancel.on_raise(self._news.put)
        try:
            with self._stack:
                self._start_ready()
                while self._running:
                    self._take_news()
                    self._start_ready()
        finally:
            unsubscribe()
        self._close_rest()

    def _take_news(self) -> None:
        """Wait for something to end, or for the cancel level to rise."""
        news = self._news.get()
        if isinstance(news, int):
            self._interrupt(news)
        else:
            self._collect(*news)

    def _interrupt(self, level: int) -> None:
        self.interrupted = True
        self._stopped = True
        if self._restorers is not None:  # those not begun are not begun
            self._restorers.shutdown(wait=False, cancel_futures=True)
        if self._entered:
            self.executor.cancel(level)

    # --- starting ----------------------------------------------------------------------------

    def _start_ready(self) -> None:
        """Hand out all that may start now."""
        held = []
        for name in self.board.take_ready(lambda: self._room is None or not self._room.full):
            if self.cancel.level and not self.interrupted:
                self._interrupt(self.cancel.level)
            if self._stopped or not self._start(name):
                held.append(name)
        self.board.put_back(held)

    def _start(self, name: str) -> bool:
        """Skip, restore or run an instance; False where there is no room yet."""
        try:
            step = self._decide(name)
            if step.action is Action.SKIP:
                told = self.board.steps[name].action is not Action.SKIP or name in self.history.mended
                self._end(_fresh(step), as_planned=True, told=told)
                return True
            if step.action is Action.RESTORE and step.record:
                self._hand_out(step, Action.RESTORE)
                return True
            if not self._make_room().admits(step.instance.spec.resources):
                return False
            self._hand_out(step, Action.RUN)
        except Exception as error:  # noqa: BLE001 - what else runs shall end in good order first
            self._fail(name, error)
        return True

    def _decide(self, name: str) -> Step:
        step = self._decided.get(name)
        if step is None:
            planned = self.board.steps[name]
            step = self.planner.decide(name) if self.board.must_decide(name) else planned
            self._decided[name] = step
        return step

    def _make_room(self) -> Room:
        if self._room is None:
            gpus = self.options.gpus if self.options.gpus is not None else visible_gpus()
            capacity = Capacity(slots=self.options.slots, memory=self.options.memory, gpus=gpus)
            self._room = Room(capacity, free_memory)
            if self.options.elsewhere:  # the executor knows what its machines have
                wide = Capacity(slots=self.options.jobs or sys.maxsize, gpus=sys.maxsize)
                self._room = Room(wide, lambda: None)
        return self._room

    def _hand_out(self, step: Step, action: Action) -> None:
        """Give an instance to the executor, or a restore to a thread of its own."""
        name = step.instance.id
        job = self._job(step)
        self.history.stage_started(step, action)
        if action is Action.RESTORE and step.record:
            future = self._restoring().submit(self.restore, job, step.record, self.cancel)
        else:
            self._make_room().take(name, step.instance.spec.resources)
            future = self._executing().submit(job, self.history.events)
        self._running[name] = action
        future.add_done_callback(lambda done: self._news.put((name, done)))

    def _job(self, step: Step) -> Job:
        folder = self.history.folder.instance(step.instance.slug)
        if step.action is Action.RUN:
            folder.mkdir(exist_ok=True)
            kept = {"stage": step.instance.id, "fingerprint": step.fingerprint}
            (folder / "step.json").write_text(self.masker.text(dumps(kept)) + "\n", encoding="utf-8")
        return Job(
            root=str(self.root),
            run=self.history.folder.run,
            folder=str(folder),
            instance=step.instance if self.options.retries else _tried_once(step.instance),
            fingerprint=step.fingerprint,
            imports=self.planner.imports(step.instance) if step.action is Action.RUN else (),
            keep_kernel=self.options.on_failure == "keep",
        )

    def _executing(self) -> Executor:
        if not self._entered:
            self._stack.enter_context(self.executor)
            self._entered = True
        return self.executor

    def _restoring(self) -> "ThreadPoolExecutor":
        if self._restorers is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - most runs restore nothing

            pool = ThreadPoolExecutor(_RESTORING_AT_ONCE, thread_name_prefix="nbpipeline-restore")
            self._restorers = self._stack.enter_context(pool)
        return self._restorers

    # --- ending ------------------------------------------------------------------------------

    def _collect(self, name: str, future: "Future[StageResult]") -> None:
        """Take what became of an instance that was handed out."""
        action = self._running.pop(name)
        self._make_room().give_back(name)
        try:
            cancelled = StageResult(instance=name, status=Status.CANCELLED)
            result = cancelled if future.cancelled() else future.result()
        except BaseException as error:  # noqa: BLE001 - what else runs shall end in good order first
            self._fail(name, error)
            return
        if action is Action.RESTORE and result.status not in GOOD and not self._stopped:
            self._run_instead(name, result)
            return
        self._end(result, as_planned=action is Action.RESTORE and self._was_planned(name))

    def _was_planned(self, name: str) -> bool:
        return self.board.steps[name].action is Action.RESTORE

    def _run_instead(self, name: str, result: StageResult) -> None:
        """Execute the stage after all: the store could not give its outputs back."""
        for told in result.notices:
            self.history.events.emit("notice", name, text=told)
        why = result.failure.what if result.failure else "the store could not give the outputs back"
        self.history.events.emit("notice", name, text=f"'{name}' runs instead of being restored: {why}")
        self._decided[name] = dataclasses.replace(self._decided[name], action=Action.RUN, record=None)
        self.board.put_back([name])

    def _fail(self, name: str, error: BaseException) -> None:
        """Note trouble around a stage (busy, disk full, our own bug); raised when the rest has ended."""
        self.trouble = self.trouble or error
        known = isinstance(error, NbpipelineError)
        failure = Failure(
            kind="storage" if known else "internal",
            what=str(error) if known else f"{type(error).__name__}: {error}",
            mend="see the message at the end of the run",
        )
        self._end(StageResult(instance=name, status=Status.FAILED, failure=failure), as_planned=False)

    def _end(self, result: StageResult, *, as_planned: bool, told: bool = True) -> None:
        self.history.stage_finished(result, told=told)
        below = self.board.end(result, as_planned=as_planned)
        if result.status is not Status.CANCELLED:  # else the run's end says why they were not started
            for name in below:
                self._end_unstarted(blocked(self.board.steps[name], by=result.instance))
        if result.status not in GOOD and not self._stopped and not self.options.keep_going:
            self._stopped = True
            self._failed_by = result.instance

    def _end_unstarted(self, result: StageResult) -> None:
        self.board.results[result.instance] = result
        self.history.stage_finished(result)

    def _close_rest(self) -> None:
        """Say of all that was not started why."""
        for name in self.board.unfinished():
            step = self.board.steps[name]
            if self.interrupted:
                status, notices = Status.CANCELLED, ("not started: the run was interrupted",)
                self._end_unstarted(StageResult(instance=name, status=status, notices=notices))
            else:
                self._end_unstarted(blocked(step, by=self._failed_by))


def _tried_once(instance: StageInstance) -> StageInstance:
    return dataclasses.replace(instance, spec=dataclasses.replace(instance.spec, retries=0))


def _fresh(step: Step) -> StageResult:
    """Tell that an instance is as an earlier run left it, and in which state that was."""
    state = step.record.state if step.record else ""
    return StageResult(instance=step.instance.id, status=Status.FRESH, state=state)
