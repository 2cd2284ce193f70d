"""Weights & Biases: a run is a group there, each of its stage instances a run.

All is written into the project's `wandb/` as W&B's offline runs are, and with `mode: online` sent from
there: no run waits for W&B's server. An offline run is written whole beside and moved into place: it is there
or not, and what is there is not written again. What was sent W&B notes itself.
Written against wandb 0.31, https://docs.wandb.ai/ref/python/.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from nbpipeline.model import Value, slug_of
from nbpipeline.model.told import RunLog, StageLog
from nbpipeline.plugins import missing_library
from nbpipeline.trackers.settings import wrong
from nbpipeline.trackers.wandb_sync import OURS, sync
from nbpipeline.trackers.wandb_values import write_run

JOINED_BY = frozenset({"wandb"})
"""Modules whose calls in a notebook land in its stage's own run."""
KEYS = ("project", "entity", "mode", "base_url")
MODES = ("offline", "online")
BASE_URL = "https://api.wandb.ai"
FOLDER = "wandb"
"""W&B's own choice, beside pipeline.yaml: `wandb sync` looks there."""
QUIET = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
"""No reports of errors to W&B's makers, no lines on the terminal."""


def require() -> None:
    """Raise MissingPluginError where wandb is not installed."""
    if find_spec("wandb") is None:
        raise missing_library("wandb", "tracker 'wandb'")


def complaints(settings: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with `tracking: {wandb: ...}`, and the mend."""
    yield from wrong(settings, KEYS, addresses=("base_url",))
    mode = settings.get("mode", MODES[0])
    if isinstance(mode, str) and mode not in MODES:
        yield f"mode: {mode!r} is unknown.", f"write one of {', '.join(MODES)}"


def files(settings: Mapping[str, Value], root: Path) -> tuple[str, ...]:
    """Give how the paths of what wandb writes begin."""
    del settings
    return (f"{root / FOLDER}/",)


class WandbTracker:
    """One folder of W&B's runs, and the server that they are sent to, if any."""

    def __init__(self, settings: Mapping[str, Value], root: Path, project: str) -> None:
        """Write nothing yet."""
        self._project = str(settings.get("project", project))
        self._entity = settings.get("entity")
        self._server = str(settings.get("base_url", BASE_URL)) if settings.get("mode") == "online" else None
        self._root = root
        self._folder = root / FOLDER
        self._opened = False
        self._told: dict[tuple[str, str], str] = {}
        """Runs and stages that are written, with W&B's ids for them."""
        self._sent: set[str] = set()
        """Folders that need not be looked at any more."""

    def __enter__(self) -> Self:
        """Load wandb."""
        os.environ.update(QUIET)
        os.environ["WANDB_DATA_DIR"] = os.fspath(self._folder)  # what is still to be sent is kept there
        import wandb  # noqa: F401, PLC0415 - it costs time: for the tracker's process alone

        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End W&B's own process."""
        self._close()

    def _close(self) -> None:
        """End W&B's own process, which writes on after a run has been finished; a next run starts another."""
        if self._opened:
            import wandb  # noqa: PLC0415 - start-up is counted

            wandb.teardown()
            self._opened = False

    def environment(self, run: RunLog, stage: str) -> Mapping[str, str]:
        """Give the variables by which a kernel's wandb writes to the stage's run.

        Offline in any case: a server that does not answer would hold the notebook up, and fail it.
        """
        given = {
            "WANDB_RUN_ID": run_id(run, stage),
            "WANDB_RESUME": "allow",
            "WANDB_RUN_GROUP": run.run,
            "WANDB_PROJECT": self._project,
            "WANDB_JOB_TYPE": stage,
            "WANDB_NAME": stage,
            "WANDB_MODE": "offline",
            "WANDB_DIR": os.fspath(self._root),
            "WANDB_DATA_DIR": os.fspath(self._folder),
            "WANDB_CONSOLE": "off",  # what cells print would not be masked there
            **QUIET,
        }
        return {**given, "WANDB_ENTITY": str(self._entity)} if self._entity else given

    def send(self, run: RunLog) -> None:
        """Write what has ended and is not there yet, then send it. Raises OSError, ConnectionError."""
        ended = [one for one in run.stages if one.finished is not None or run.finished is not None]
        for one in ended:
            key = (run.run, one.stage)
            if key not in self._told:
                self._write(run, one)
                self._told[key] = run_id(run, one.stage)
        if self._server is not None and ended:
            self._close()
            self._sync(self._server)

    def _sync(self, server: str) -> None:
        """Send what is not sent yet; a folder's name ends in its run's id."""
        names = set(self._told.values())
        folders = [one for one in self._folder.iterdir() if one.name.rpartition("-")[2] in names]
        waiting = [one for one in folders if one.name not in self._sent and _is_unsent(one)]
        sync(waiting, server, self._root)
        self._sent.update(one.name for one in folders)

    def _write(self, run: RunLog, one: StageLog) -> None:
        name = run_id(run, one.stage)
        ended = time.strftime("%Y%m%d_%H%M%S", time.localtime(one.finished or run.finished))
        target = self._folder / f"offline-run-{ended}-{OURS}-{name}"  # a notebook's own ends in its id, too
        if target.exists():
            return
        from tempfile import TemporaryDirectory  # noqa: PLC0415 - start-up is counted

        self._folder.mkdir(parents=True, exist_ok=True)
        self._opened = True
        with TemporaryDirectory(prefix=".nbpipeline-", dir=self._folder) as beside:
            write_run(self._settings(run, one, name), Path(beside), run, one)
            (made,) = (Path(beside) / FOLDER).glob(f"*-{name}")
            made.replace(target)

    def _settings(self, run: RunLog, one: StageLog, name: str) -> dict[str, Value]:
        return {
            "run_id": name,
            "project": self._project,
            "entity": None if self._entity is None else str(self._entity),
            "run_group": run.run,
            "run_job_type": one.stage,
            "run_name": one.stage,
        }


def run_id(run: RunLog, stage: str) -> str:
    """Give the id of a stage's run, the same each time; W&B refuses some signs in one."""
    from hashlib import sha256  # noqa: PLC0415 - start-up is counted

    return sha256(f"{run.root}\n{run.run}\n{slug_of(stage)}".encode()).hexdigest()[:16]


def _is_unsent(folder: Path) -> bool:
    return any(folder.glob("*.wandb")) and not any(folder.glob("*.wandb.synced"))


def untracked(folder: Path) -> Mapping[str, str]:
    """Give the variables by which a kernel of a run that nobody is told of writes there."""
    return {"WANDB_MODE": "offline", "WANDB_DIR": os.fspath(folder), "WANDB_CONSOLE": "off", **QUIET}


def open_tracker(settings: Mapping[str, Value], root: Path, project: str, spool: Path) -> WandbTracker:
    """Make the tracker of a project; what cannot be sent waits in W&B's own folder, not in `spool`."""
    del spool
    return WandbTracker(settings, root, project)
