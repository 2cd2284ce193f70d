"""How a run begins: one at a time, so that of two that would disturb each other the second sees the first."""

import math
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from nbpipeline.errors import BusyError
from nbpipeline.location import STATE_FOLDER
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Pipeline, Plan
from nbpipeline.run.folder import (
    RunFolder,
    is_run_id,
    is_running,
    open_run,
    read_control,
    runs_folder,
    state_folder,
    unwritable,
    withdraw_run,
)
from nbpipeline.run.preflight import refuse_held, refuse_impossible_copies, refuse_missing_inputs
from nbpipeline.run.rivals import Ended, Rival, Sight, may_do, outdated, rivals, rivals_by_hand, touched
from nbpipeline.run.summary import plan_to_keep
from nbpipeline.stage import journal
from nbpipeline.stage.lock import PATIENCE, hold, take

LOCK = f"{STATE_FOLDER}/locks/.begin.lock"
"""Held for the moment in which a run looks for others and shows itself; no instance has this name."""
LONGEST = 60.0
"""Seconds that another's turn is waited for: a beginning takes milliseconds, most restores seconds."""


def never() -> bool:
    """Give nothing up."""
    return False


@contextmanager
def turn(root: Path, longest: float = LONGEST, give_up: Callable[[], bool] = never) -> Iterator[None]:
    """Let no run begin while the block lasts; the system ends it when the process dies.

    Raises BusyError where another process does not come to an end of it in `longest` seconds, or before that
    when `give_up` says so, and StorageError.
    """
    until = time.monotonic() + longest
    state_folder(root)
    try:
        lock = take(
            root / LOCK,
            patience=min(PATIENCE, longest),
            give_up=lambda: time.monotonic() >= until or give_up(),
        )
    except OSError as error:
        raise unwritable(LOCK, error) from error
    if lock is None:
        raise BusyError.of(
            "another process has let no run begin for a minute.",
            known=f"it holds {LOCK}: a `restore` or `clean` that takes long, or one that was stopped",
            mend="wait until it ends, or end it; then try again",
        )
    try:
        yield
    finally:
        lock.release()


def claim(
    plan: Plan,
    root: Path,
    seen: Sight,
    ended: Ended,
    *,
    wait: bool = False,
    give_up: Callable[[], bool] = never,
) -> RunFolder | tuple[Rival, ...]:
    """Open the run's folder, by which others see from now on what it may do.

    Else gives the runs that stand against it, or none where the plan has to be made anew: another run has
    changed what it builds on since `seen`, which is from before it. Raises MissingInputError,
    MissingPluginError, UsageError for what would certainly go wrong; BusyError where, without `wait`, a stage
    is held, and as soon as `give_up` says so where it is waited for another process; StorageError.
    """
    if not may_do(plan):
        return open_for(plan, root)
    with turn(root, math.inf if wait else LONGEST, give_up):
        now = time.time()
        found = rivals(plan, root, ended, now)
        if outdated(plan, seen, root, ended, now):  # asked last: what ends between the two is seen here
            return ()
        if found or _settled_meanwhile(plan, root, now, give_up):
            return found
        if not wait:
            refuse_held(plan, root)
        return open_for(plan, root)


@contextmanager
def by_hand(names: Collection[str], pipeline: Pipeline, root: Path, ended: Ended) -> Iterator[None]:
    """Let no run begin while the block changes outputs of these instances.

    Raises BusyError where a run makes or reads them.
    """
    if not names:
        yield
        return
    with turn(root):
        found = rivals_by_hand(names, pipeline, root, ended, time.time())
        if found:
            raise found[0].refusal
        yield


def _settled_meanwhile(plan: Plan, root: Path, now: float, give_up: Callable[[], bool]) -> bool:
    """Whether another process has just brought back what a dead run left of what the plan builds on.

    Waits for it. Raises BusyError where that takes too long.
    """
    until = time.monotonic() + LONGEST
    waiting = [
        one for one in journal.standing(root) if is_run_id(one.run) and not _goes_on(root, one.run, now)
    ]
    names = touched(plan) if waiting else frozenset()
    found = [one for one in waiting if one.instance in names]
    for one in found:
        with hold(root, one.instance, wait=True, give_up=lambda: time.monotonic() >= until or give_up()):
            pass
    return any(not one.file.exists() for one in found)


def _goes_on(root: Path, run: str, now: float) -> bool:
    return is_running(read_control(runs_folder(root) / run), now)


def open_for(plan: Plan, root: Path) -> RunFolder:
    """Open the folder of a run, whoever else runs, unless it would certainly go wrong; raises as `claim`."""
    refuse_missing_inputs(plan, root)
    refuse_impossible_copies(plan)
    return open_run(root, masker_of(plan).anything(plan_to_keep(plan)), now=time.time())


def masker_of(plan: Plan) -> Masker:
    """Mask the secrets of a plan's stages."""
    return Masker.of({one for step in plan.steps for one in step.instance.spec.secrets}, os.environ)


@contextmanager
def begun(folder: RunFolder) -> Iterator[RunFolder]:
    """Take the claim back where the block fails before the run has ended by itself."""
    try:
        yield folder
    except BaseException:
        withdraw_run(folder, now=time.time())
        raise
