"""Other runs that go on and have something in common with a plan."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from nbpipeline.errors import BusyError
from nbpipeline.model import Action, Plan
from nbpipeline.run.folder import RunFolder, is_running, kept_runs, read_control, read_plan
from nbpipeline.stage.lock import busy

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


def rivals(plan: Plan, root: Path, ended: Ended, now: float) -> tuple[Rival, ...]:
    """Find the runs that this plan would disturb, or that would disturb it; nothing to do disturbs nobody."""
    mine = {step.instance.id for step in plan.steps if step.action is not Action.SKIP}
    return tuple(_rivals(plan, mine, root, ended, now)) if mine else ()


def _rivals(plan: Plan, mine: set[str], root: Path, ended: Ended, now: float) -> Iterator[Rival]:
    makers: dict[str, set[str]] = {}
    for edge in plan.pipeline.edges:
        if edge.kind == "data":
            makers.setdefault(edge.downstream, set()).add(edge.upstream)
    for folder in kept_runs(root):
        control = read_control(folder.path)
        if control is None or not is_running(control, now):
            continue
        theirs = _planned(folder) - set(ended(folder.run))
        common = (mine & theirs) | (_made_for(mine, makers) & theirs) | (mine & _made_for(theirs, makers))
        if common:
            yield Rival(
                run=folder.run,
                pid=control.get("pid"),
                since=float(control.get("started") or now),
                stages=tuple(sorted(common)),
            )


def _made_for(names: set[str], makers: dict[str, set[str]]) -> set[str]:
    return {maker for name in names for maker in makers.get(name, ())}


def _planned(folder: RunFolder) -> set[str]:
    """Name what a run has or had to do."""
    stages = (read_plan(folder.path) or {}).get("stages", ())
    return {str(one["stage"]) for one in stages if one.get("action") != Action.SKIP}
