"""Carries what runs tell of themselves to trackers: the program that `python -m nbpipeline.tracking` is."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self, TextIO

from filelock import FileLock, Timeout

from nbpipeline import plugins
from nbpipeline.errors import NbpipelineError
from nbpipeline.model.told import Commit, RunLog
from nbpipeline.ports import Tracker
from nbpipeline.run.folder import RunFolder, is_running, read_control, runs_folder, state_folder
from nbpipeline.state.sqlite import open_state
from nbpipeline.tracking.letter import Letter, read, unsent, write
from nbpipeline.tracking.log import RunReader

LOCK = ".tracking.lock"
"""In a run's folder, held by the process that tells of the run."""
FOLDER = "tracking"
"""In a run's folder: what trackers keep there until it can be sent."""
PAUSE = 0.5
"""Seconds between two looks at what is new."""
RETRY = 5.0
"""Seconds before a tracker that failed is tried again while the run goes on."""
PATIENCE = 60.0
"""Seconds that `runs --sync` waits for a process that tells of a run just now."""
READY = {"ready": True}


class Courier:
    """Tells the trackers of one run."""

    def __init__(self, root: Path, folder: RunFolder, letter: Letter, reader: RunReader) -> None:
        """Open nothing yet."""
        self._root, self._folder, self._letter, self._reader = root, folder, letter, reader
        self._trackers: dict[str, Tracker] = {}
        self._tried: dict[str, float] = {}
        self._trouble: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Open the trackers; what of them is not installed is noted as their trouble."""
        self._stack = ExitStack()
        for name in self._letter.waiting:
            settings, spool = self._letter.trackers[name].settings, self._folder.path / FOLDER
            with suppress(NbpipelineError):
                module = plugins.load("trackers", name)
                tracker = module.open_tracker(settings, self._root, self._letter.project, spool)
                self._trackers[name] = self._stack.enter_context(tracker)
        return self

    def __exit__(self, *error: object) -> None:
        """Close the trackers."""
        self._stack.close()

    def answer(self, stage: str) -> dict[str, str]:
        """Give the variables that the trackers want in a stage's kernel; one that fails gives none."""
        log = self._reader.read(time.time())
        found: dict[str, str] = {}
        for name, tracker in self._trackers.items():
            try:
                found |= tracker.environment(log, stage)
            except Exception as error:  # noqa: BLE001 - whatever a tracker's libraries raise
                self._trouble[name] = _said(error)
        return found

    def tell(self, *, last: bool = False) -> RunLog:
        """Tell every tracker of what is new; `last`: also those that failed just now."""
        log = self._reader.read(time.time())
        for name, tracker in self._trackers.items():
            failed_at = self._tried.get(name)
            if not last and failed_at is not None and time.monotonic() - failed_at < RETRY:
                continue
            try:
                tracker.send(log)
            except Exception as error:  # noqa: BLE001 - as above
                self._tried[name] = time.monotonic()
                self._trouble[name] = _said(error)
            else:
                self._tried.pop(name, None)
                self._trouble.pop(name, None)
        return log

    def close_letter(self) -> Letter:
        """Note on disk who has been told of all. Raises OSError."""
        for name in self._letter.waiting:
            missing = "" if name in self._trackers else f"the tracker '{name}' is not installed"
            self._letter = self._letter.after(name, trouble=self._trouble.get(name, missing))
        write(self._folder, self._letter)
        return self._letter


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


def follow(courier: Courier, questions: TextIO, answers: TextIO) -> None:
    """Tell of a run until it has ended, and answer what its process asks meanwhile."""
    _print(answers, READY)
    asked = True
    while courier.tell().finished is None:
        if asked:
            asked = _answered(courier, questions, answers)
        else:  # its process is gone, or ends: what it writes yet is looked for, not announced
            time.sleep(PAUSE)
    courier.tell(last=True)


def _answered(courier: Courier, questions: TextIO, answers: TextIO) -> bool:
    """Wait a moment for a question; False where no more will come."""
    ready, _, _ = select.select([questions], [], [], PAUSE)
    if not ready:
        return True
    line = questions.readline()
    if line.strip():
        stage = json.loads(line)["stage"]
        _print(answers, {"stage": stage, "variables": courier.answer(stage)})
    return bool(line)


def _print(answers: TextIO, data: Mapping[str, Any]) -> None:
    with suppress(BrokenPipeError):
        answers.write(json.dumps(data) + "\n")
        answers.flush()


def carry(
    root: Path,
    run: str,
    questions: TextIO | None = None,
    answers: TextIO | None = None,
    *,
    patience: float = 0.0,
) -> Letter | None:
    """Tell of one run, live where there are questions; None where another process does, or there is nothing.

    Waits `patience` seconds for the other process.

    Raises OSError and StorageError where the run's folder or the history cannot be read or written.
    """
    folder = RunFolder(run=run, path=runs_folder(root) / run)
    try:
        with FileLock(folder.path / LOCK, timeout=patience):
            letter = read(folder.path)
            if letter is None or not letter.waiting:
                return letter
            with open_state(state_folder(root)) as state:
                reader = RunReader(root, folder, letter.project, state, commit_of(root))
                with Courier(root, folder, letter, reader) as courier:
                    if questions is not None and answers is not None:
                        follow(courier, questions, answers)
                    else:
                        courier.tell(last=True)
                    return courier.close_letter()
    except Timeout:
        return None


def carry_waiting(root: Path, besides: str = "", patience: float = 0.0) -> dict[str, Letter]:
    """Send what earlier runs could not; gives their letters, oldest first."""
    found = {}
    for one in unsent(root):
        if one.run == besides or is_running(read_control(one.path), time.time()):
            continue
        letter = carry(root, one.run, patience=patience)
        if letter is None:
            continue
        found[one.run] = letter
        if letter.waiting:
            break  # what refuses this one refuses the next
    return found


def sent_lines(root: Path) -> tuple[str, ...]:
    """Send what waits of ended runs; say what became of each."""
    return tuple(
        f"run {run}: {_told(letter)}" for run, letter in carry_waiting(root, patience=PATIENCE).items()
    )


def _told(letter: Letter) -> str:
    if not letter.waiting:
        return f"sent to {', '.join(letter.trackers)}"
    return "; ".join(f"not sent to {name}: {letter.trackers[name].trouble}" for name in letter.waiting)


def commit_of(root: Path) -> Commit | None:
    """Ask git for the commit that the project is at."""
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return Commit(id=head, dirty=bool(changed))


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", os.fspath(root), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 - our words
    return done.stdout.strip()


def main(arguments: list[str]) -> int:
    """Run as `python -m nbpipeline.tracking ROOT RUN`: live, then what waits of earlier runs."""
    root, run = Path(arguments[0]), arguments[1]
    letter = carry(root, run, sys.stdin, sys.stdout)
    if letter is not None and not letter.waiting:
        carry_waiting(root, besides=run)
    return 0
