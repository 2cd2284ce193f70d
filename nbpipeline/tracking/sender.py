"""Sends what runs tell of themselves to trackers: the program that `python -m nbpipeline.tracking` is."""

import io
import json
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from nbpipeline import plugins
from nbpipeline.errors import NbpipelineError
from nbpipeline.lines import Lines
from nbpipeline.model.told import RunLog
from nbpipeline.ports import Tracker
from nbpipeline.run.folder import RunFolder, is_running, read_control, runs_folder, state_folder
from nbpipeline.state.sqlite import open_state
from nbpipeline.tracking.log import RunReader
from nbpipeline.tracking.outbox import Outbox, read, unsent, write
from nbpipeline.tracking.pages import Pages
from nbpipeline.tracking.teller import Teller, said

LOCK = ".tracking.lock"
"""In a run's folder, held by the process that tells of the run."""
FOLDER = "tracking"
"""In a run's folder: what trackers keep there until it can be sent."""
PAUSE = 0.25
"""Seconds between two looks at what is new."""
SOON = 0.05
"""The same once the run's process asks no more: it waits for the end of this one."""
ANSWER = 45.0
"""Seconds that trackers have to give a stage's variables, their imports among them."""
GRACE = 600.0
"""Seconds that a tracker has at a run's end; for one that takes longer the run stays unsent."""
TRIES = 3
"""Runs that a tracker may refuse before it is taken for one that is down."""
PATIENCE = 60.0
"""Seconds that `runs --sync` waits for a process that tells of a run just now."""
READY, DONE = {"ready": True}, {"done": True}
"""Said to the run's process: questions are answered from now on; the run was told of, or cannot be now."""


class Sender:
    """Tells the trackers of one run, each in a thread of its own."""

    def __init__(self, root: Path, folder: RunFolder, outbox: Outbox, reader: RunReader) -> None:
        """Begin to open the trackers; what of them is not installed is noted as their trouble."""
        self._folder, self._outbox, self._reader = folder, outbox, reader
        self._pages = Pages() if any(map(_shows_pages, outbox.waiting)) else None
        self._told: RunLog | None = None
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._tellers = {
            name: Teller(partial(self._open, root, name), partial(self._ended.put, name))
            for name in outbox.waiting
        }

    def _open(self, root: Path, name: str) -> Tracker:
        module = plugins.load("trackers", name)
        module.require()
        settings, spool = self._outbox.trackers[name].settings, self._folder.path / FOLDER
        opened: Tracker = module.open_tracker(settings, root, self._outbox.project, spool)
        return opened

    def answer(self, stage: str, names: Sequence[str], patience: float = ANSWER) -> dict[str, str]:
        """Give what some trackers want in a stage's kernel; one that fails or hangs gives none."""
        log = self._reader.read(time.time())
        until = time.monotonic() + patience
        found: dict[str, str] = {}
        asked = {name: self._tellers[name].ask(log, stage) for name in names if name in self._tellers}
        for name, answer in asked.items():
            try:
                found |= answer.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                self._tellers[name].give_up_asking()
        return found

    def _read(self, *, wait: bool = False) -> RunLog:
        log = self._reader.read(time.time())
        return self._pages.added(log, wait=wait) if self._pages else log

    def tell(self) -> RunLog:
        """Have every tracker told of what is new, and those again that failed."""
        log = self._read()
        for teller in self._tellers.values():
            if log != self._told or teller.trouble:
                teller.tell(log)
        self._told = log
        return log

    def finish(self, patience: float = GRACE) -> Outbox:
        """Have every tracker told of all, and note which has been; at most `patience` seconds are waited.

        Raises OSError.
        """
        log = self._read(wait=True)
        for teller in self._tellers.values():
            teller.tell(log, last=True)
        until = time.monotonic() + patience
        waiting = set(self._tellers)
        while waiting:
            try:
                name = self._ended.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            waiting.discard(name)
            self._note(name)
        for name in waiting:
            after = self._outbox.after(name, trouble=f"it hangs: no end after {patience:g} s", hangs=True)
            self._write(after)
        return self._outbox

    def _note(self, name: str) -> None:
        """Note what came of telling a tracker, be it after it was taken for one that hangs."""
        teller, again = self._tellers[name], self._outbox.trackers[name].hangs
        if teller.given_up:
            self._write(self._outbox.without(name, teller.given_up))
        else:
            self._write(self._outbox.after(name, trouble=teller.trouble, again=again))

    def _write(self, outbox: Outbox) -> None:
        self._outbox = outbox
        write(self._folder, outbox)

    def keep(self, held: ExitStack) -> None:
        """Let go of the run's lock when the trackers that hang have ended: none shall tell them beside."""
        hanging = [name for name, one in self._outbox.trackers.items() if one.hangs]
        if hanging:
            given = (held.pop_all(), len(hanging))
            threading.Thread(target=self._see_off, args=given, daemon=True).start()

    def _see_off(self, held: ExitStack, count: int) -> None:
        with held:
            for _ in range(count):
                name = self._ended.get()
                with suppress(OSError):  # the run's folder is gone
                    self._note(name)


def _shows_pages(name: str) -> bool:
    """Whether a tracker has a use for executed notebooks as pages, which take a second or two to make."""
    with suppress(NbpipelineError):
        return bool(getattr(plugins.load("trackers", name), "PAGES", True))
    return False  # it is not installed


def follow(sender: Sender, questions: Lines, answers: TextIO) -> None:
    """Tell of a run until it has ended, and answer what its process asks meanwhile."""
    _print(answers, READY)
    while sender.tell().finished is None:
        line = questions.next(PAUSE)
        if line is not None:
            asked = json.loads(line)
            variables = sender.answer(asked["stage"], asked["trackers"])
            _print(answers, {"stage": asked["stage"], "variables": variables})
        elif questions.ended:  # its process is gone, or ends: what it writes yet is not announced
            time.sleep(SOON)


def _print(answers: TextIO, data: Mapping[str, Any]) -> None:
    with suppress(OSError):  # the run's process has gone on without us
        answers.write(json.dumps(data) + "\n")
        answers.flush()


@contextmanager
def _alone(folder: RunFolder, patience: float = 0.0) -> Iterator[ExitStack]:
    """Hold the run's lock, as a stack that `Sender.keep` may take over. Raises Timeout."""
    lock = FileLock(folder.path / LOCK, timeout=patience, thread_local=False)
    with ExitStack() as held:
        held.enter_context(lock)
        yield held


def send_live(root: Path, run: str, questions: Lines, answers: TextIO) -> Outbox | None:
    """Tell of a run while it goes on. Raises OSError and StorageError where its folder cannot be read."""
    folder = RunFolder(run=run, path=runs_folder(root) / run)
    outbox = read(folder.path)
    if outbox is None:  # the run was withdrawn before it began; a lock would make its folder again
        return None
    with _alone(folder) as held:
        with open_state(state_folder(root)) as state:
            reader = RunReader(root, folder, outbox.project, state, outbox.store)
            sender = Sender(root, folder, outbox, reader)
            follow(sender, questions, answers)
            after = sender.finish()
        sender.keep(held)
    return after


def send_ended(root: Path, folder: RunFolder, patience: float = 0.0, grace: float = GRACE) -> Outbox | None:
    """Tell of a run that has ended; None where another process does for longer than `patience` seconds.

    Raises OSError and StorageError where the run's folder or the history cannot be read or written.
    """
    try:
        with _alone(folder, patience) as held:
            outbox = read(folder.path)
            if outbox is None or not outbox.waiting:
                return outbox
            with open_state(state_folder(root)) as state:
                reader = RunReader(root, folder, outbox.project, state, outbox.store)
                sender = Sender(root, folder, outbox, reader)
                after = sender.finish(grace)
            sender.keep(held)
            return after
    except Timeout:
        return None


def _refused(outbox: Outbox | None) -> Counter[str]:
    """Count for each tracker that was not told once, and for one that hangs as often as it takes."""
    return Counter({one: TRIES if one in outbox.hanging else 1 for one in outbox.addresses} if outbox else {})


def send_waiting(
    root: Path, patience: float = 0.0, grace: float = GRACE, *, before: Outbox | None = None, but: str = ""
) -> dict[str, Outbox | str]:
    """Send what earlier runs could not, oldest first; gives their outboxes, or in words why there is none.

    Where a tracker has refused TRIES of them, it is not asked with the next that has the same settings: one
    run that it will never take holds up no others, and one that is down is not waited for again and again.
    The run `but` was just told of, which came out as `before`.
    """
    found: dict[str, Outbox | str] = {}
    refusals = _refused(before)
    for one in (one for one in unsent(root) if one.run != but):
        outbox = read(one.path)
        control = read_control(one.path)
        if control is None or is_running(control, time.time()):
            continue
        if outbox is None or all(refusals[one] >= TRIES for one in outbox.addresses):
            continue
        try:
            after = send_ended(root, one, patience, grace)
        except (OSError, NbpipelineError) as error:
            found[one.run] = said(error)
            continue
        found[one.run] = after or "another process is still telling of it"
        refusals += _refused(after)
    return found


def sent_lines(root: Path) -> tuple[str, ...]:
    """Send what waits of ended runs; say what became of each."""
    return tuple(f"run {run}: {_told(outbox)}" for run, outbox in send_waiting(root, PATIENCE).items())


def _told(outbox: Outbox | str) -> str:
    if isinstance(outbox, str):
        return f"not sent: {outbox}"
    sent = ", ".join(name for name, one in outbox.trackers.items() if one.told)
    unsent = [f"not sent to {name}: {outbox.trackers[name].trouble}" for name in outbox.waiting]
    return "; ".join([*([f"sent to {sent}"] if sent and not unsent else []), *unsent, *outbox.given_up])


def main(arguments: list[str]) -> int:
    """Run as `python -m nbpipeline.tracking ROOT RUN`: live, then what waits of earlier runs."""
    root, run = Path(arguments[0]), arguments[1]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    try:
        after = send_live(root, run, Lines(io.FileIO(0, closefd=False)), answers)
    finally:
        _print(answers, DONE)
    send_waiting(root, before=after, but=run)
    return 0
