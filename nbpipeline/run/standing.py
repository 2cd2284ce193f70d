"""What other runs have put aside: those at work, and those that died in the middle of a stage."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbpipeline.location import STATE_FOLDER
from nbpipeline.pipeline.wording import listed
from nbpipeline.run.folder import is_running, read_control, runs_folder
from nbpipeline.stage import journal
from nbpipeline.stage.entries import Journal
from nbpipeline.stage.lock import owner
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """A run of which journals stand: it is at work, or died."""

    run: str
    pid: int | None
    alive: bool
    stages: tuple[str, ...]
    """Instances that it is, or was, in the middle of."""
    outputs: tuple[str, ...]
    """Paths whose previous bytes it has put aside."""

    @property
    def notice(self) -> str:
        """Say who has put what aside, and what brings it back."""
        stages, outputs = listed(self.stages), listed(self.outputs)
        one = len(self.outputs) == 1
        if self.alive:
            told = f"run {self.run} (process {self.pid or 'unknown'}) is at work on {stages}"
            stand = f"{'stands' if one else 'stand'} aside while it is"
            return f"{told}; {outputs} {stand}" if outputs else told
        told = f"run {self.run} died in the middle of {stages}"
        if not outputs:
            return f"{told}; no output stands aside; the next run or `nbpipeline doctor` clears up after it"
        stand = f"{len(self.outputs)} output{' stands' if one else 's stand'} aside ({outputs})"
        it = "it" if one else "them"
        return f"{told}; {stand}; the next run or `nbpipeline doctor` brings {it} back"


def asides(root: Path, now: float) -> tuple[Aside, ...]:
    """See, without a lock, which runs are in the middle of a stage or died there, oldest first.

    Where there are none it costs the listing of one folder.
    """
    by_run: dict[str, list[Journal]] = {}
    for one in journal.standing(root):
        by_run.setdefault(one.run, []).append(one)
    found = [_aside(root, run, journals, now) for run, journals in sorted(by_run.items())]
    return tuple(one for one in found if one)


def damaged(root: Path) -> tuple[str, ...]:
    """Say which journals of runs that died cannot be read, and what becomes of what they protect."""
    return tuple(
        f"{STATE_FOLDER}/journals/{name} cannot be read: a run died in the middle of its stage; the stage's "
        "next run or `nbpipeline doctor` brings back what waits beside the outputs, and keeps what stands "
        "there"
        for name in journal.unreadable(root)
    )


def _aside(root: Path, run: str, journals: list[Journal], now: float) -> Aside | None:
    """Look who the run is; None where it has just come to the end of all these stages."""
    control = read_control(runs_folder(root) / run) or _by_hand(root, run, journals)
    alive = is_running(control, now)
    left = [one for one in journals if one.file.exists()]  # after the look: one that ends removes them first
    if not left:
        return None
    return Aside(
        run=run,
        pid=(control or {}).get("pid"),
        alive=alive,
        stages=tuple(one.instance for one in left),
        outputs=tuple(dict.fromkeys(path for one in left for path in journal.waiting(one))),
    )


def _by_hand(root: Path, run: str, journals: list[Journal]) -> Mapping[str, Any] | None:
    """Who holds the instances, as a control.json has it: a test or a restore by hand has no folder."""
    marks = (owner(root, one.instance) or {} for one in journals)
    pid = next((mark.get("pid") for mark in marks if mark.get("run") == run), None)
    return None if pid is None else {"pid": pid, "host": platform.node()}
