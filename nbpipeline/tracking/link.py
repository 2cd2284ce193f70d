"""The sender of a run, as the run's process sees it: started, asked for variables, waited for a little."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nbpipeline import plugins
from nbpipeline.errors import NbpipelineError
from nbpipeline.fingerprint.code import NEVER_RUN
from nbpipeline.lines import Lines
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import Imported, ProjectSpec, StageInstance
from nbpipeline.ports import Cancel
from nbpipeline.run.folder import RunFolder
from nbpipeline.stores.local import folder_for
from nbpipeline.tracking.outbox import Outbox, Recipient, read, write

PATIENCE = 15.0
"""Seconds that a run waits at its end until all is sent; the rest goes on without it."""
BRIEF_PATIENCE = 3.0
"""The same where nothing was executed: to bring results back takes less time than to load a tracker."""
FELT = 2.0
"""Seconds of waiting after which somebody who looks on wants to know why."""
ANSWER = 50.0
"""Seconds that a stage waits for its variables, the sender's start and its trackers' imports among them."""
LOOK = 0.2
"""Seconds after which a waiting stage looks whether it was cancelled."""
LOG = "sender.log"
AGAIN = "`nbpipeline runs --sync` tries again"


class SenderLink:
    """The sender of one run."""

    def __init__(self, project: ProjectSpec, folder: RunFolder) -> None:
        """Start nothing yet."""
        self._project = project
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: Lines | None = None
        self._ready = False
        self._trouble = ""
        self._lock = threading.Lock()
        self._joined_by: dict[str, AbstractSet[str]] = {}
        self._chooses: dict[str, Mapping[str, tuple[str, ...]]] = {}
        self.files: tuple[str, ...] = ()
        """What a kernel that joins writes for the trackers; see `Job.unwatched`."""

    def __enter__(self) -> Self:
        """Start the sender; a run that has none goes on, and says so at its end."""
        for name, settings in self._project.tracking.items():
            tracker = plugins.load("trackers", name)
            self._joined_by[name] = tracker.JOINED_BY
            self._chooses[name] = getattr(tracker, "CHOOSES", {})
            self.files += plugins.trusted(
                "trackers", name, partial(_files, tracker, settings or {}, Path(self._project.root))
            )
        try:
            self._start()
        except OSError as error:
            self._trouble = error.strerror or str(error)
        return self

    def _start(self) -> None:
        recipients = {name: Recipient(settings=one or {}) for name, one in self._project.tracking.items()}
        store = str(folder_for(self._project))
        write(self._folder, Outbox(project=self._project.name, trackers=recipients, store=store))
        command = [sys.executable, "-P", "-m", "nbpipeline.tracking", self._project.root, self._folder.run]
        with (self._folder.path / LOG).open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this Python, and our own words
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C ends the run, and the sender tells of it
            )
        if self._process.stdout is not None:
            self._answers = Lines(self._process.stdout)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask no more; the sender goes on until it has told of the run's end."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def joined_by(self, imports: tuple[Imported, ...]) -> tuple[str, ...]:
        """Name the trackers to whose systems a stage with these imports speaks itself."""
        return tuple(name for name, wanted in self._joined_by.items() if _is_imported(wanted, imports))

    def choices(self, instance: StageInstance, trackers: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        """Find the calls by which a notebook says where it logs, and the variables to withhold for each."""
        known = {call: names for one in trackers for call, names in self._chooses[one].items()}
        cells = instance.spec.notebook.cells if known else ()
        text = "\n".join(one.source for one in cells if one.kind == "code" and not one.tags & NEVER_RUN)
        own = {
            self._project.name,
            *((self._project.tracking[one] or {}).get("experiment") for one in trackers),
        }
        said = rf"^[^#\n]*\b({'|'.join(known)})\s*\((?:\s*[\"']([^\"']*)[\"']\s*\))?"
        found = re.findall(said, text, flags=re.MULTILINE) if known else ()
        return {call: known[call] for call, name in found if not name or name not in own}

    def variables(
        self, instance: StageInstance, trackers: tuple[str, ...], cancel: Cancel
    ) -> Mapping[str, str]:
        """Give what trackers want in a stage's kernel; none where nobody answers in time, or it is cancelled.

        Stages wait for each other's answers here, in threads of their own.
        """
        until = time.monotonic() + ANSWER
        with self._lock:
            self._ready = self._ready or self._answer("ready", until, cancel) is not None
            if not (self._ready and self._asked(instance.id, trackers)):
                return {}
            while (answer := self._answer("stage", until, cancel)) is not None:
                if answer["stage"] == instance.id:  # else a late one, to an earlier question
                    return dict(answer["variables"])
        return {}

    def _asked(self, stage: str, trackers: tuple[str, ...]) -> bool:
        if self._process is None or self._process.stdin is None:
            return False
        question = {"stage": stage, "trackers": trackers}
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
        except (OSError, ValueError):  # it has ended, or the run has
            return False
        return True

    def _answer(self, key: str, until: float, cancel: Cancel | None = None) -> dict[str, Any] | None:
        """Read up to an answer with the key; None where none comes in time, or the run is cancelled."""
        while self._answers is not None and (left := until - time.monotonic()) > 0:
            line = self._answers.next(min(left, LOOK))
            if line is not None:
                with suppress(ValueError):
                    answer = json.loads(line)
                    if isinstance(answer, dict) and key in answer:
                        return answer
            elif self._answers.ended or (cancel is not None and cancel.level):
                return None
        return None

    def finish(self, patience: float, tell: Callable[[str], None]) -> tuple[str, ...]:
        """Wait until all is sent, or `patience` seconds; gives a line a tracker that was not told of all.

        A wait that is felt is told of.
        """
        if self._process is None:
            told = f"not told of this run ({self._trouble}); {AGAIN}"
            return tuple(f"{name}: {told}" for name in self._project.tracking)
        until = time.monotonic() + patience
        with self._lock:
            done = self._answer("done", min(until, time.monotonic() + FELT))
            if done is None and self._process.poll() is None and time.monotonic() < until:
                self._say_who(tell, until)
                done = self._answer("done", until)
        outbox = read(self._folder.path)
        waiting = outbox.waiting if outbox else tuple(self._project.tracking)
        if done is None and self._process.poll() is None:
            unsent = ", ".join(waiting)
            return (
                f"{unsent}: still being told, in the background; `nbpipeline runs --sync` waits for that",
            )
        return tuple(f"{name}: not sent yet{self._why(outbox, name)}; {AGAIN}" for name in waiting)

    def _say_who(self, tell: Callable[[str], None], until: float) -> None:
        outbox = read(self._folder.path)
        names = outbox.waiting if outbox else tuple(self._project.tracking)
        if names and self._answers is not None and not self._answers.ended:
            left = max(until - time.monotonic(), 0)
            tell(f"waiting for {', '.join(names)} to take what is known of the run, {left:.0f} s at most")

    def _why(self, outbox: Outbox | None, name: str) -> str:
        trouble = outbox.trackers[name].trouble if outbox else ""
        return f" ({trouble or f'see {STATE_FOLDER}/runs/{self._folder.run}/{LOG}'})"


def apart(tracking: Iterable[str], imports: tuple[Imported, ...] | None, folder: Path) -> dict[str, str]:
    """Give a stage's variables in a run that no tracker is told of: what it logs itself goes into `folder`.

    Else it would write into the project. `imports` are the stage's; None where they are not known.
    """
    found: dict[str, str] = {}
    for name in tracking:
        with suppress(NbpipelineError):  # it is not installed, and need not be
            tracker = plugins.load("trackers", name)
            if hasattr(tracker, "untracked") and (
                imports is None or _is_imported(tracker.JOINED_BY, imports)
            ):
                found |= plugins.trusted("trackers", name, partial(_untracked, tracker, folder))
    return found


def _files(tracker: Any, settings: Mapping[str, Any], root: Path) -> tuple[str, ...]:
    return tuple(str(one) for one in tracker.files(settings, root))


def _untracked(tracker: Any, folder: Path) -> dict[str, str]:
    return {str(name): str(value) for name, value in tracker.untracked(folder).items()}


def _is_imported(wanted: AbstractSet[str], imports: tuple[Imported, ...]) -> bool:
    return any(name in wanted for one in imports for name in _imported(one))


def _imported(one: Imported) -> Iterator[str]:
    """Give a module's name, those of the packages that it is in, and of what is taken from it."""
    parts = one.module.split(".")
    yield from (".".join(parts[: count + 1]) for count in range(len(parts)))
    yield from (f"{one.module}.{name}" for name in one.names)
