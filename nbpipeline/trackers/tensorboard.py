"""TensorBoard: event files of what each stage instance did, and of its numbers from run to run.

    FOLDER/runs/RUN/STAGE/   one run of a stage: parameters, metrics, cost of cells, plots, how it ended
    FOLDER/stages/STAGE/     its numbers over the runs; the step is the number of the run

An event file can only grow, so each is written whole beside and moved into place: it is there or not, and
what is there is not sent again. Written against tensorboardX 2.6 and TensorBoard 2.20.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from nbpipeline.model import Value, slug_of
from nbpipeline.model.told import RunLog
from nbpipeline.plugins import missing_library
from nbpipeline.trackers.settings import wrong
from nbpipeline.trackers.tensorboard_values import of_run, of_stage, over_runs

if TYPE_CHECKING:
    from tensorboardX.proto.event_pb2 import Event

JOINED_BY = frozenset({"tensorboardX", "tensorboard", "torch.utils.tensorboard"})
"""Modules by which a notebook writes event files itself."""
KEYS = ("folder",)
FOLDER = "tensorboard"
VARIABLE = "TENSORBOARD_LOGDIR"


def require() -> None:
    """Raise MissingPluginError where tensorboardX is not installed."""
    if find_spec("tensorboardX") is None:
        raise missing_library("tensorboardX", "tracker 'tensorboard'")


def complaints(settings: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with `tracking: {tensorboard: ...}`, and the mend."""
    yield from wrong(settings, KEYS)
    folder = settings.get("folder", FOLDER)
    if isinstance(folder, str) and "://" in folder:
        yield f"folder: {folder!r} is no folder.", f"name one on this machine: `folder: {FOLDER}`"


def files(settings: Mapping[str, Value], root: Path) -> tuple[str, ...]:
    """Give how the paths of event files begin."""
    return (f"{root / str(settings.get('folder', FOLDER))}/",)


class TensorboardTracker:
    """One folder of event files."""

    def __init__(self, settings: Mapping[str, Value], root: Path) -> None:
        """Write nothing yet."""
        self._folder = root / str(settings.get("folder", FOLDER))
        self._told: set[tuple[str, str]] = set()
        """Runs and stages that are written."""

    def __enter__(self) -> Self:
        """Load tensorboardX."""
        import tensorboardX  # noqa: F401, PLC0415 - it costs time: for the tracker's process alone

        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    def environment(self, run: RunLog, stage: str) -> Mapping[str, str]:
        """Name the folder in which what the notebook writes is shown with its stage's run."""
        return {VARIABLE: os.fspath(self._of_run(run) / slug_of(stage))}

    def send(self, run: RunLog) -> None:
        """Write what has ended and is not there yet. Raises OSError."""
        for one in run.stages:
            ended = one.finished or run.finished
            if ended is not None and (run.run, one.stage) not in self._told:
                slug = slug_of(one.stage)
                self._write(self._of_run(run) / slug / _named(ended, run), of_stage(one, ended))
                all_runs = self._folder / "stages" / slug
                number = 1 + len([*all_runs.glob("events.out.tfevents.*")])
                self._write(all_runs / _named(ended, run), over_runs(one, ended, number))
                self._told.add((run.run, one.stage))
        if run.finished is not None:
            self._write(self._of_run(run) / _named(run.finished, run), of_run(run, run.finished))

    def _of_run(self, run: RunLog) -> Path:
        return self._folder / "runs" / run.run

    def _write(self, target: Path, events: Iterator[Event]) -> None:
        """Write an event file unless it is there."""
        from tempfile import TemporaryDirectory  # noqa: PLC0415 - start-up is counted

        from tensorboardX.record_writer import RecordWriter  # noqa: PLC0415 - as above

        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", dir=self._folder) as beside:
            made = Path(beside) / target.name
            writer = RecordWriter(os.fspath(made))
            for one in events:
                writer.write(one.SerializeToString())
            writer.close()
            made.replace(target)


def _named(time: float, run: RunLog) -> str:
    """Name an event file as TensorBoard wants it; it reads those of a folder by the time in their names."""
    return f"events.out.tfevents.{int(time):010d}.{run.run}"


def untracked(folder: Path) -> Mapping[str, str]:
    """Name a folder to be thrown away, for a kernel of a run that nobody is told of."""
    return {VARIABLE: os.fspath(folder / "tensorboard")}


def open_tracker(settings: Mapping[str, Value], root: Path, project: str, spool: Path) -> TensorboardTracker:
    """Make the tracker of a project; nothing waits in `spool`, since no server can be down."""
    del project, spool
    return TensorboardTracker(settings, root)
