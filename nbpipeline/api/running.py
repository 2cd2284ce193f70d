"""Carries a begun run out: what works, what brings back, who is told."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import nbpipeline.stage as one_stage
from nbpipeline import tracking
from nbpipeline.api.executing import apart_executor, executor_of
from nbpipeline.api.planning import Begun
from nbpipeline.api.warming import expected_kernels, expected_validators
from nbpipeline.model import Event, Job, ProjectSpec, RunResult, StageRecord, StageResult
from nbpipeline.ports import Cancel, Emit, State
from nbpipeline.run.mended import mended, unmended
from nbpipeline.run.options import RunOptions
from nbpipeline.run.rivals import may_do
from nbpipeline.run.scheduler import run as carry_out
from nbpipeline.worker import Workplace

if TYPE_CHECKING:
    from nbpipeline.tracking.link import SenderLink


def carried_out(
    run: Begun,
    place: Workplace,
    options: RunOptions,
    sender: "SenderLink | None",
    *,
    wait: bool,
    emit: Emit | None,
    cancel: Cancel | None,
) -> RunResult:
    """Do what the plan says; `sender` is asked for what trackers want in the kernels.

    Raises ExecutorError, MissingPluginError before anything runs where other machines are not fit for it.
    """
    plan, planner = run.plan, run.planner
    root = Path(place.project.root)

    def joined(job: Job, emit: Emit, cancel: Cancel) -> Job:
        if sender is not None and (trackers := sender.joined_by(job.imports)):
            return _joining(job, sender, trackers, emit, cancel)
        return job

    def work(job: Job, emit: Emit, cancel: Cancel) -> StageResult:
        job = joined(job, emit, cancel)
        if sender is None and place.project.tracking:
            job = _apart(job, place.project, run.folder.path)
        return one_stage.execute(job, place.backends(planner.fingerprint, wait=wait), emit, cancel)

    def bring_back(job: Job, record: StageRecord, cancel: Cancel) -> StageResult:
        return one_stage.restore(job, record, place.backends(planner.fingerprint, wait=wait), cancel)

    with ExitStack() as stack:
        if options.elsewhere and may_do(plan):
            executor = apart_executor(
                stack,
                run,
                place,
                options,
                settle=bring_back,
                joined=joined,
                track=sender is not None,
                cancel=cancel,
            )
        else:
            place.expect(lambda: expected_kernels(plan, planner, root), lambda: expected_validators(plan))
            executor = executor_of(work, options, place.project)
        return carry_out(
            plan,
            planner,
            executor,
            run.folder,
            state=place.state,
            root=root,
            restore=bring_back,
            options=options,
            emit=emit,
            cancel=cancel,
        )


def _joining(job: Job, sender: "SenderLink", trackers: tuple[str, ...], emit: Emit, cancel: Cancel) -> Job:
    """Let the job's kernel join its run in the trackers' systems."""
    variables = sender.variables(job.instance, trackers, cancel)
    if not variables and not cancel.level:
        text = "no tracker answered: what the notebook logs itself goes where it would without nbpipeline"
        emit(Event(kind="notice", run=job.run, stage=job.instance.id, data={"text": text}))
    chosen = sender.choices(job.instance, trackers) if variables else {}
    if chosen:
        text = f"the notebook says where it logs ({', '.join(chosen)}): that is not its stage's run"
        emit(Event(kind="notice", run=job.run, stage=job.instance.id, data={"text": text}))
    withheld = {name for names in chosen.values() for name in names}
    given = {name: value for name, value in variables.items() if name not in withheld}
    return replace(job, environment={**job.environment, **given}, unwatched=sender.files)


def _apart(job: Job, project: ProjectSpec, folder: Path) -> Job:
    """Let what the job's kernel logs itself stay in the run's folder: no tracker is told of the run."""
    variables = tracking.link.apart(project.tracking, job.imports, folder / "untracked")
    return replace(job, environment={**job.environment, **variables})


@contextmanager
def telling(project: ProjectSpec, run: Begun, state: State, *, track: bool) -> Iterator["SenderLink | None"]:
    """Have trackers told of the run while the block lasts; None where nobody is to be, or nothing is done.

    A failure that was mended by going back is told of, though nothing is done.
    """
    if not (track and project.tracking and (may_do(run.plan) or mended(run.plan, unmended(state)))):
        yield None
        return
    with tracking.link.SenderLink(project, run.folder) as sender:
        yield sender


def told_of_all(result: RunResult, sender: "SenderLink | None", tell: Callable[[str], None]) -> RunResult:
    """Wait a little until trackers know all of the run; note in its result which do not."""
    if sender is None:
        return result
    executed = any(one.attempts for one in result.results)
    patience = tracking.link.PATIENCE if executed else tracking.link.BRIEF_PATIENCE
    return replace(result, untold=sender.finish(patience, tell))


def deaf(event: Event) -> None:
    """Hear an event that nobody asked for."""
    del event
