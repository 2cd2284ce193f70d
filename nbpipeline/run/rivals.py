"""Other runs that go on, or went on while a plan was made, and have something in common with it."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nbpipeline.errors import BusyError
from nbpipeline.model import Action, Pipeline, Plan
from nbpipeline.run.folder import (
    RunFolder,
    began,
    is_running,
    kept_runs,
    read_control,
    read_plan,
)
from nbpipeline.stage.lock import busy
from nbpipeline.values import dataclass

Ended = Callable[[str], Collection[str]]
"""The instances that a run has done with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A run that goes on, and what it has in common with a plan."""

    run: str
    pid: int | None
    since: float
    stages: tuple[str, ...]
    """Those that both would run, or that one reads while the other makes them."""

    @property
    def refusal(self) -> BusyError:
        """Say who holds what."""
        return busy(self.stages[0], pid=self.pid, run=self.run, since=self.since)

    @property
    def notice(self) -> str:
        """Say what is waited for."""
        return f"waiting for run {self.run} (process {self.pid}), which holds {', '.join(self.stages)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen of other runs before a plan was made."""

    over: frozenset[str]
    """Runs that had ended: the plan knows all of their work."""
    done: Mapping[str, frozenset[str]]
    """By run that went on: the instances that it had done with."""


def look(root: Path, ended: Ended, now: float) -> Sight:
    """See how far other runs are."""
    over, done = [], {}
    for folder in kept_runs(root):
        if is_running(read_control(folder.path), now):
            done[folder.run] = frozenset(ended(folder.run))
        else:
            over.append(folder.run)
    return Sight(over=frozenset(over), done=done)


def outdated(plan: Plan, seen: Sight, root: Path, ended: Ended, now: float) -> bool:
    """Whether another run has since done, or died over, what the plan builds on."""
    folders = [one for one in kept_runs(root) if one.run not in seen.over]
    if not seen.done.keys() <= {one.run for one in folders}:
        return True
    since = [(one, _worked_on(one, plan.pipeline, ended, now)) for one in folders]
    changed = {name for one, names in since for name in names - seen.done.get(one.run, frozenset())}
    return bool(changed) and not changed.isdisjoint(touched(plan))


def _worked_on(folder: RunFolder, pipeline: Pipeline, ended: Ended, now: float) -> set[str]:
    """Name what a run has done with; for one that is no longer there, all that it had to do."""
    done = set(ended(folder.run))
    return done if is_running(read_control(folder.path), now) else done | _theirs(folder, pipeline)


def rivals(plan: Plan, root: Path, ended: Ended, now: float) -> tuple[Rival, ...]:
    """Find the runs that this plan would disturb, or that would disturb it; nothing to do disturbs nobody."""
    mine = may_do(plan)
    if not mine:
        return ()
    ties = _Ties(plan.pipeline)
    return tuple(_rivals(mine, ties.around(mine), ties, ended, _going_on(root, now)))


def rivals_by_hand(
    names: Collection[str], pipeline: Pipeline, root: Path, ended: Ended, now: float
) -> tuple[Rival, ...]:
    """Find the runs that make or read the outputs of these instances, which are to be changed by hand."""
    ties = _Ties(pipeline)
    return tuple(_rivals(set(names), ties.sharing(names), ties, ended, _going_on(root, now)))


def _going_on(root: Path, now: float) -> Iterator[tuple[RunFolder, Mapping[str, Any]]]:
    """Give the runs that go on, with their control.json."""
    for folder in kept_runs(root):
        control = read_control(folder.path)
        if control is not None and is_running(control, now):
            yield folder, control


def _rivals(
    mine: set[str],
    around: set[str],
    ties: "_Ties",
    ended: Ended,
    going: Iterable[tuple[RunFolder, Mapping[str, Any]]],
) -> Iterator[Rival]:
    for folder, control in going:
        theirs = _theirs(folder, ties.pipeline) - set(ended(folder.run))
        common = (theirs & around) | (mine & ties.around(theirs))
        if common:
            yield Rival(
                run=folder.run,
                pid=control.get("pid"),
                since=began(control) or time.time(),
                stages=tuple(sorted(common)),
            )


# --- what a run may do -----------------------------------------------------------------------


def may_do(plan: Plan) -> set[str]:
    """Name what a run of the plan may execute or restore."""
    return _doable({step.instance.id: step.action for step in plan.steps}, plan.pipeline)


def _theirs(folder: RunFolder, pipeline: Pipeline) -> set[str]:
    """Name what a run has or had to do."""
    stages = (read_plan(folder.path) or {}).get("stages", ())
    return _doable({str(one["stage"]): str(one.get("action")) for one in stages}, pipeline)


def _doable(actions: Mapping[str, str], pipeline: Pipeline) -> set[str]:
    """Leave out what is fresh, but for what builds on a restore: where that fails, it is decided again."""
    found = {name for name, action in actions.items() if action != Action.SKIP}
    shaky = {name for name, action in actions.items() if action == Action.RESTORE}
    for edge in pipeline.edges if shaky else ():  # in run order, so one pass finds the far ones
        if edge.kind != "after" and edge.upstream in shaky and edge.downstream in actions:
            shaky.add(edge.downstream)
    return found | shaky


def touched(plan: Plan) -> set[str]:
    """Name all instances whose results a plan looks at, and those that write to the same places."""
    return _Ties(plan.pipeline).around({step.instance.id for step in plan.steps})


class _Ties:
    """Which instances touch the same files, or count on one another's results."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        writers: dict[str, set[str]] = {}
        for instance in pipeline:
            for path in (path for output in instance.outputs for path in output.paths):
                writers.setdefault(path, set()).add(instance.id)
        self._sharing = [names for names in writers.values() if len(names) > 1]

    def around(self, names: Collection[str]) -> set[str]:
        """Give the instances, those they build on, and all that write to the same places."""
        edges = (edge for name in names for edge in self.pipeline.upstream(name))
        return self.sharing({*names, *(edge.upstream for edge in edges if edge.kind != "after")})

    def sharing(self, names: Collection[str]) -> set[str]:
        """Give the instances, and all that write to the same places."""
        found = set(names)
        for sharing in self._sharing:
            if not sharing.isdisjoint(found):
                found = found | sharing
        return found
