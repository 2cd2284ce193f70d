"""What is told of a run while it goes on: events, the state's rows, control.json."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbpipeline.encoding import plain, reason_data
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Action, Pipeline, Plan, RunResult, StageResult, Step
from nbpipeline.ports import State
from nbpipeline.run.board import Board
from nbpipeline.run.commit import CommitTeller
from nbpipeline.run.events import EventWriter
from nbpipeline.run.folder import RunFolder, close_run
from nbpipeline.run.mended import UNMENDED, mended, unmended
from nbpipeline.run.options import RunOptions
from nbpipeline.run.summary import counts, result_to_json, run_status
from nbpipeline.run.undeclared import notices


class Chronicle:
    """Tells of the run: events, the state's rows, the folder's control.json."""

    def __init__(self, *, state: State, folder: RunFolder, events: EventWriter, started: float) -> None:
        """Begin the clock."""
        self.folder = folder
        self.events = events
        self._state = state
        self._started = started
        self._clock = time.monotonic()
        self._pipeline: Pipeline | None = None
        self._commit: CommitTeller | None = None
        self.mended: frozenset[str] = frozenset()
        """Fresh instances that are told of all the same: the last that was told of them is a failure."""

    def begin(self, plan: Plan, board: Board, options: RunOptions, masker: Masker) -> None:
        """Say what is to be done: what may run, with the seconds that each is expected to take.

        A command line may hold a secret, which the history must not.
        """
        self._pipeline = plan.pipeline
        unwell = unmended(self._state)
        self.mended = mended(plan, unwell)
        stages = [
            step for step in plan.steps if step.action is not Action.SKIP or step.instance.id in self.mended
        ]
        expected: Mapping[str, float] = self._state.durations() if stages else {}
        planned = {step.instance.id for step in stages}
        data: dict[str, Any] = {
            "total": len(plan.steps),
            "fresh": len(plan.steps) - len(stages),
            "slots": options.slots,
            "command": masker.text(options.command),
            "profile": plan.pipeline.project.profile or "",
        }
        kept = {**data, UNMENDED: sorted(unwell)} if unwell else data
        self._state.add_run(self.folder.run, started=self._started, data=kept)
        listed = [
            {
                "stage": step.instance.id,
                "action": str(step.action),
                "expected": expected.get(step.instance.id),
                "upstream": sorted(board.upstream(step.instance.id) & planned),
            }
            for step in stages
        ]
        self.events.emit("run_started", **data, stages=listed, models=list(_models(plan.pipeline)))
        for notice in plan.notices:
            self.events.emit("notice", text=notice)
        if stages:
            self._commit = CommitTeller(Path(plan.pipeline.project.root), self.events)

    def stage_started(self, step: Step, action: Action) -> None:
        """Tell that an instance was handed out, and why."""
        self.events.emit(
            "stage_started",
            step.instance.id,
            action=str(action),
            reasons=[reason_data(reason) for reason in step.reasons],
            parameters=plain(step.instance.parameters),
            notebook=step.instance.spec.notebook.path,
            inputs={one.name: list(one.paths) for one in step.instance.inputs},
            outputs={one.name: list(one.paths) for one in step.instance.outputs},
        )

    def stage_finished(self, result: StageResult, *, told: bool = True) -> None:
        """Tell how an instance ended; what the plan already knew to be fresh is not told again."""
        if not told:
            return
        self._state.add_result(self.folder.run, result, finished=time.time())
        self.events.emit("stage_finished", result.instance, **result_to_json(result))

    def end(self, board: Board, *, interrupted: bool) -> RunResult:
        """Tell how the run ended, in the events and in the state."""
        results = board.ended()
        seconds = time.monotonic() - self._clock
        status = run_status(results, interrupted=interrupted)
        try:
            self._state.end_run(self.folder.run, finished=time.time(), status=status)
            self._tell_undeclared(results)
        finally:  # whoever watches must not wait for a run whose history cannot be written
            self._close(results, status, seconds)
        return RunResult(
            run=self.folder.run,
            folder=str(self.folder.path),
            results=results,
            seconds=seconds,
            interrupted=interrupted,
        )

    def _close(self, results: Sequence[StageResult], status: str, seconds: float) -> None:
        """Tell the end in the events and in control.json."""
        if self._commit is not None:
            self._commit.close()
        for text in self.events.trouble:
            self.events.emit("notice", text=text)
        self.events.emit("run_finished", status=status, seconds=round(seconds, 3), counts=counts(results))
        try:
            close_run(self.folder, now=time.time(), status=status)
        except OSError as error:
            self.events.emit("notice", text=f"control.json is not up to date: {error.strerror or error}")

    def _tell_undeclared(self, results: Sequence[StageResult]) -> None:
        """Tell of files that stages opened and did not declare, now that all are seen who made them."""
        if self._pipeline is None or not any(one.record and one.record.undeclared for one in results):
            return
        for stage, text in notices(self._pipeline, results, self._state.last_records()):
            self.events.emit("notice", stage, text=text)


def _models(pipeline: Pipeline) -> Iterator[dict[str, Any]]:
    for instance in pipeline:
        for output in instance.outputs:
            if output.spec.kind == "model":
                for path in output.paths:
                    yield {
                        "stage": instance.id,
                        "output": output.name,
                        "path": path,
                        "notebook": instance.spec.notebook.path,
                        "folder": instance.spec.working_folder,
                        "import_roots": list(instance.spec.pythonpath),
                    }
