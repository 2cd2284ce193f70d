"""Which trackers were not told of runs, and which never will be: a part of `doctor`."""

import time
from collections.abc import Iterator
from pathlib import Path

from nbpipeline.run.folder import is_running, kept_runs, read_control
from nbpipeline.tracking.outbox import read
from nbpipeline.upkeep.finding import Finding


def untold(root: Path) -> Iterator[Finding]:
    """Look at the outboxes of the runs that have ended, newest first."""
    waiting: dict[str, list[str]] = {}
    trouble: dict[str, str] = {}
    now = time.time()
    for folder in kept_runs(root):
        outbox = read(folder.path)
        if outbox is None or is_running(read_control(folder.path), now):
            continue
        for name in outbox.waiting:
            waiting.setdefault(name, []).append(folder.run)
            trouble.setdefault(name, outbox.trackers[name].trouble)
        for line in outbox.given_up:
            mend = "nbpipeline doctor --alerts tries them now" if line.startswith("alerts:") else ""
            yield Finding(subject="trackers", state="warning", what=f"run {folder.run}: {line}", mend=mend)
    for name, runs in waiting.items():
        named = f"run {runs[0]}" if len(runs) == 1 else f"{len(runs)} runs, the last {runs[0]}"
        why = f": {trouble[name]}" if trouble[name] else ""
        what = f"{name} was not told yet of {named}{why}"
        yield Finding(subject="trackers", state="warning", what=what, mend="nbpipeline runs --sync")
