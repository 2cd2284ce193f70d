"""Sends what runs tell of themselves to trackers: the program that `python -m nbpipeline.tracking` is."""

import io
import json
import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TextIO

from filelock import FileLock, Timeout

from nbpipeline import plugins
from nbpipeline.errors import NbpipelineError
from nbpipeline.lines import Lines
from nbpipeline.model.told import Commit, RunLog
from nbpipeline.ports import Tracker
from nbpipeline.run.folder import RunFolder, is_running, read_control, runs_folder, state_folder
from nbpipeline.state.sqlite import open_state
from nbpipeline.tracking.log import RunReader
from nbpipeline.tracking.outbox import Outbox, read, unsent, write

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
READY, DONE = {"ready": True}, {"done": True}
"""Said to the run's process: questions are answered from now on; the run was told of, or cannot be now."""


class Sender:
    """Tells the trackers of one run."""

    def __init__(self, root: Path, folder: RunFolder, outbox: Outbox, reader: RunReader) -> None:
        """Open nothing yet."""
        self._root, self._folder, self._outbox, self._reader = root, folder, outbox, reader
        self._trackers: dict[str, Tracker] = {}
        self._tried: dict[str, float] = {}
        self._trouble: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open the trackers; what of them is not installed is noted as their trouble."""
        for name in self._outbox.waiting:
            settings, spool = self._outbox.trackers[name].settings, self._folder.path / FOLDER
            with suppress(NbpipelineError):
                module = plugins.load("trackers", name)
                module.require()
                tracker = module.open_tracker(settings, self._root, self._outbox.project, spool)
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

    def close_outbox(self) -> Outbox:
        """Note on disk who has been told of all. Raises OSError."""
        for name in self._outbox.waiting:
            missing = "" if name in self._trackers else f"the tracker '{name}' is not installed"
            self._outbox = self._outbox.after(name, trouble=self._trouble.get(name, missing))
        write(self._folder, self._outbox)
        return self._outbox


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


def follow(sender: Sender, questions: Lines, answers: TextIO) -> None:
    """Tell of a run until it has ended, and answer what its process asks meanwhile."""
    _print(answers, READY)
    while sender.tell().finished is None:
        line = questions.next(PAUSE)
        if line is not None:
            stage = json.loads(line)["stage"]
            _print(answers, {"stage": stage, "variables": sender.answer(stage)})
        elif questions.ended:  # its process is gone, or ends: what it writes yet is not announced
            time.sleep(PAUSE)
    sender.tell(last=True)


def _print(answers: TextIO, data: Mapping[str, Any]) -> None:
    with suppress(OSError):  # the run's process has gone on without us
        answers.write(json.dumps(data) + "\n")
        answers.flush()


def send_live(root: Path, run: str, questions: Lines, answers: TextIO) -> None:
    """Tell of a run while it goes on. Raises OSError and StorageError where its folder cannot be read."""
    folder = RunFolder(run=run, path=runs_folder(root) / run)
    outbox = read(folder.path)
    if outbox is None:  # the run was withdrawn before it began; a lock would make its folder again
        return
    with FileLock(folder.path / LOCK, timeout=0):
        outbox = replace(outbox, commit=commit_of(root))
        write(folder, outbox)
        with open_state(state_folder(root)) as state:
            reader = RunReader(root, folder, outbox.project, state, outbox.commit)
            with Sender(root, folder, outbox, reader) as sender:
                follow(sender, questions, answers)
                sender.close_outbox()


def send_ended(root: Path, folder: RunFolder, patience: float = 0.0) -> Outbox | None:
    """Tell of a run that has ended; None where another process does for longer than `patience` seconds.

    Raises OSError and StorageError where the run's folder or the history cannot be read or written.
    """
    try:
        with FileLock(folder.path / LOCK, timeout=patience):
            outbox = read(folder.path)
            if outbox is None or not outbox.waiting:
                return outbox
            with open_state(state_folder(root)) as state:
                reader = RunReader(root, folder, outbox.project, state, outbox.commit)
                with Sender(root, folder, outbox, reader) as sender:
                    sender.tell(last=True)
                    return sender.close_outbox()
    except Timeout:
        return None


def send_waiting(root: Path, patience: float = 0.0) -> dict[str, Outbox | str]:
    """Send what earlier runs could not, oldest first; gives their outboxes, or in words why there is none.

    Where a tracker refuses one, it is not asked again with the next that has the same settings.
    """
    found: dict[str, Outbox | str] = {}
    refused: frozenset[str] = frozenset()
    for one in unsent(root):
        outbox = read(one.path)
        control = read_control(one.path)
        if control is None or is_running(control, time.time()):
            continue
        if outbox is None or outbox.addresses <= refused:
            continue
        try:
            after = send_ended(root, one, patience)
        except (OSError, NbpipelineError) as error:
            found[one.run] = _said(error)
            continue
        found[one.run] = after or "another process is still telling of it"
        if after is not None:
            refused |= after.addresses
    return found


def sent_lines(root: Path) -> tuple[str, ...]:
    """Send what waits of ended runs; say what became of each."""
    return tuple(f"run {run}: {_told(outbox)}" for run, outbox in send_waiting(root, PATIENCE).items())


def _told(outbox: Outbox | str) -> str:
    if isinstance(outbox, str):
        return f"not sent: {outbox}"
    if not outbox.waiting:
        return f"sent to {', '.join(outbox.trackers)}"
    return "; ".join(f"not sent to {name}: {outbox.trackers[name].trouble}" for name in outbox.waiting)


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
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - our words
    return done.stdout.strip()


def main(arguments: list[str]) -> int:
    """Run as `python -m nbpipeline.tracking ROOT RUN`: live, then what waits of earlier runs."""
    root, run = Path(arguments[0]), arguments[1]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        send_live(root, run, Lines(io.FileIO(0, closefd=False)), answers)
    finally:
        _print(answers, DONE)
    send_waiting(root)
    return 0
