"""The layout of `.nbpipeline/runs`: how a run's folder begins, ends and, one day, goes.

A folder appears under its id only when it is whole, and goes by being renamed first, so that two
runs at once, and whoever watches, never see a half one.
"""

import contextlib
import itertools
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbpipeline.encoding import fingerprint_from
from nbpipeline.errors import StorageError
from nbpipeline.liveness import is_alive, own_identity, told_time
from nbpipeline.location import STATE_FOLDER, Location
from nbpipeline.model import Fingerprint
from nbpipeline.patterns import regex
from nbpipeline.replacing import replace_text
from nbpipeline.stage.places import is_another
from nbpipeline.values import dataclass

KEPT_RUNS = 20
VERSION = 1
UNSENT = "tracking.json"
"""In the folder of a run that trackers are yet to be told of; such a run is kept."""
FOREIGN_GRACE = 7 * 24 * 3600.0
"""Seconds that an unended run of another machine counts as alive: its processes cannot be asked."""
MAKING_TIME = 3600.0
"""Seconds after which a folder on its way in was left by a killed run."""
_STEPS = 1 << 16
_RUN_ID = regex(r"\d{8}-\d{6}-[0-9a-f]{4}")
_LEAVING = ".old-"
_COMING = ".new-"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Where one run keeps what it leaves."""

    run: str
    path: Path

    @property
    def plan(self) -> Path:
        """What was to be done and why."""
        return self.path / "plan.json"

    @property
    def events(self) -> Path:
        """What happened, a line an event."""
        return self.path / "events.jsonl"

    @property
    def control(self) -> Path:
        """Who runs it, since when, and how it ended."""
        return self.path / "control.json"

    def instance(self, slug: str) -> Path:
        """Where an instance's attempts, log and rejected outputs stand."""
        return self.path / slug

    def fingerprint(self, slug: str) -> Fingerprint | None:
        """Read the state that an instance ran in; None for one that did not, or where it is damaged."""
        try:
            data = json.loads((self.instance(slug) / "step.json").read_text(encoding="utf-8"))
            return fingerprint_from(data["fingerprint"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def state_folder(root: Path) -> Path:
    """Make the project's `.nbpipeline`, for its owner alone and ignored by git. Raises StorageError."""
    folder = root / STATE_FOLDER
    ignore = folder / ".gitignore"
    try:
        if not ignore.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise unwritable(STATE_FOLDER, error) from error
    return folder


def unwritable(path: str, error: OSError) -> StorageError:
    """Say that nbpipeline's own folder refuses."""
    return StorageError.of(
        f"cannot be written: {error.strerror or error}.",
        where=Location(path=path),
        mend="make room or give yourself the right to write there; no output was touched",
    )


def runs_folder(root: Path) -> Path:
    """Where the runs' folders stand; it need not exist."""
    return root / STATE_FOLDER / "runs"


def new_run_id(now: float, further: int = 0) -> str:
    """Make an id that sorts by time (UTC): its end is the second's fraction, in steps of 15 microseconds.

    `further` goes that many steps on, where an id is taken.
    """
    second, part = divmod(int(now * _STEPS) + further, _STEPS)
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(second))}-{part:04x}"


def is_run_id(name: str) -> bool:
    """Whether a name is a run's: not a test's, nor anything else in its place."""
    return _RUN_ID.fullmatch(name) is not None


def open_run(root: Path, plan: Mapping[str, Any], *, now: float) -> RunFolder:
    """Make a run's folder with plan.json and control.json in it. Raises StorageError.

    Its id comes after those of all runs before it, also where the clock was set back meanwhile: the last run
    must be found as the last one.
    """
    runs = state_folder(root) / "runs"
    try:
        runs.mkdir(exist_ok=True)
        first = _first_after(root, now)
        for further in itertools.count():
            run = new_run_id(first, further)
            coming = runs / f"{_COMING}{run}"
            try:
                coming.mkdir()
            except FileExistsError:
                continue
            folder = RunFolder(run=run, path=coming)
            folder.plan.write_text(
                json.dumps({"run": run, **plan}, ensure_ascii=False) + "\n", encoding="utf-8"
            )
            _write_control(folder, _identity(folder, now))
            if _move(coming, runs / run):
                return RunFolder(run=run, path=runs / run)
            shutil.rmtree(coming, ignore_errors=True)
    except OSError as error:
        raise unwritable(f"{STATE_FOLDER}/runs", error) from error
    raise AssertionError("an id is free at last")


def _first_after(root: Path, now: float) -> float:
    """Give the time to make an id from: now, or, where the clock was set back, just after the newest run."""
    newest = next((one.run for one in kept_runs(root)), "")
    if newest < new_run_id(now):
        return now
    import calendar  # noqa: PLC0415 - start-up is counted, and clocks are seldom set back

    day, second, part = newest.split("-")
    digits = (day[:4], day[4:6], day[6:], second[:2], second[2:4], second[4:])
    return calendar.timegm(tuple(map(int, digits))) + (int(part, 16) + 1) / _STEPS


def _identity(folder: RunFolder, now: float) -> dict[str, Any]:
    pid, started = own_identity()
    return {
        "version": VERSION,
        "run": folder.run,
        "root": str(_root_of(folder.path)),
        "pid": pid,
        "process_started": started,
        "host": platform.node(),
        "started": now,
        "finished": None,
        "status": "running",
    }


def _move(source: Path, target: Path) -> bool:
    """Rename a folder to a name that is free; False where it is taken."""
    if target.exists():
        return False
    try:
        source.rename(target)
    except OSError:
        if target.exists():
            return False
        raise
    return True


def close_run(folder: RunFolder, *, now: float, status: str) -> None:
    """Note in control.json how the run ended. Raises OSError."""
    control = read_control(folder.path) or _identity(folder, now)
    _write_control(folder, {**control, "finished": now, "status": status})


def withdraw_run(folder: RunFolder, *, now: float) -> None:
    """End a run whose process goes on without it: else it would count as running. One that told nothing goes.

    A run that has ended stays as it is, and trouble with the disk is passed over.
    """
    control = read_control(folder.path)
    if control is None or control.get("finished") is not None:
        return
    if not folder.events.exists():
        _remove(folder.path)
        return
    with contextlib.suppress(OSError):
        close_run(folder, now=now, status="interrupted")


def _write_control(folder: RunFolder, control: Mapping[str, Any]) -> None:
    replace_text(folder.control, json.dumps(control) + "\n")


def _root_of(path: Path) -> Path:
    """Give the project that a run's folder stands in."""
    return path.parent.parent.parent


def read_control(folder: Path) -> Mapping[str, Any] | None:
    """Read control.json; None where it is missing or no JSON object.

    In a copy of the project in which the run began, it has no process.
    """
    control = _read_object(folder / "control.json")
    if control is None:
        return None
    root, began = _root_of(folder), control.get("root")
    copied = isinstance(began, str) and began != str(root) and is_another(Path(began), root)
    return {**control, "pid": None} if copied else control


def read_plan(folder: Path) -> Mapping[str, Any] | None:
    """Read plan.json; None where it is missing, or its stages are not as `open_run` is given them."""
    plan = _read_object(folder / "plan.json")
    stages = (plan or {}).get("stages", [])
    return plan if isinstance(stages, list) and all(map(_is_step, stages)) else None


def _is_step(data: Any) -> bool:
    if not (isinstance(data, dict) and isinstance(data.get("stage"), str)):
        return False
    reasons = data.get("reasons", [])
    return isinstance(reasons, list) and all(
        isinstance(one, dict) and isinstance(one.get("kind"), str) for one in reasons
    )


def _read_object(file: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def kept_runs(root: Path) -> tuple[RunFolder, ...]:
    """List the runs whose folders are still there, newest first."""
    try:
        names = [one.name for one in os.scandir(runs_folder(root))]
    except OSError:
        return ()
    found = sorted((name for name in names if is_run_id(name)), reverse=True)
    return tuple(RunFolder(run=name, path=runs_folder(root) / name) for name in found)


def began(control: Mapping[str, Any]) -> float:
    """Give the time of a control.json's run; 0 where it tells none."""
    return told_time(control.get("started"), 0.0)


def is_running(control: Mapping[str, Any] | None, now: float) -> bool:
    """Whether the run of this control.json goes on: it has not ended, and its process lives."""
    if control is None or control.get("finished") is not None:
        return False
    if control.get("host") != platform.node():
        return now - began(control) < FOREIGN_GRACE
    pid = control.get("pid")
    return isinstance(pid, int) and is_alive(pid, control.get("process_started"))


def drop_old_runs(root: Path, *, now: float, keep: int = KEPT_RUNS, unsent: bool = False) -> tuple[str, ...]:
    """Remove the folders of runs that are no longer kept; gives their ids.

    Kept: the last `keep`, the last `keep` in which a stage was executed (so that runs with nothing to do
    do not push out logs), the last good one, those that go on, and, but for `unsent`, those that trackers are
    yet to be told of. Trouble with the disk is passed over: the next run tries again.
    """
    _clear_leftovers(root, now)
    runs = kept_runs(root)
    spared = {one.run for one in runs[:keep]}
    if len(runs) > keep:
        spared |= set(_last_with_work(runs, keep)) | set(_last_good(runs))
    gone = [
        one
        for one in runs
        if one.run not in spared
        and (unsent or not (one.path / UNSENT).exists())
        and not is_running(read_control(one.path), now)
    ]
    for one in gone:
        _remove(one.path)
    return tuple(one.run for one in gone)


def _last_with_work(runs: tuple[RunFolder, ...], keep: int) -> Iterator[str]:
    left = keep
    for one in runs:
        if left and _has_folders(one.path):
            left -= 1
            yield one.run


def _has_folders(path: Path) -> bool:
    try:
        return any(entry.is_dir() for entry in os.scandir(path))
    except OSError:
        return False


def _last_good(runs: tuple[RunFolder, ...]) -> Iterator[str]:
    """Give the newest run that succeeded, and the newest of those that executed something."""
    found = False
    for one in runs:
        if (read_control(one.path) or {}).get("status") != "succeeded":
            continue
        works = _has_folders(one.path)
        if works or not found:
            yield one.run
        found = True
        if works:
            return


def _remove(path: Path) -> None:
    leaving = path.with_name(f"{_LEAVING}{path.name}")
    try:
        path.rename(leaving)
    except OSError:
        return  # another run removes it, or the disk refuses: not worth ending a run for
    shutil.rmtree(leaving, ignore_errors=True)


def _clear_leftovers(root: Path, now: float) -> None:
    """Finish what killed runs began: folders on their way in or out."""
    try:
        entries = [Path(one.path) for one in os.scandir(runs_folder(root)) if one.name.startswith(".")]
    except OSError:
        return
    for path in entries:
        dead = (
            path.name.startswith(_COMING) and _is_old(path, now) and not is_running(read_control(path), now)
        )
        if path.name.startswith(_LEAVING) or dead:
            shutil.rmtree(path, ignore_errors=True)


def _is_old(path: Path, now: float) -> bool:
    """Whether a folder on its way in is older than its making could take."""
    try:
        return now - path.stat().st_mtime > MAKING_TIME
    except OSError:
        return False
