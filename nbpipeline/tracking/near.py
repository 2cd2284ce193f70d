"""A run's side of its courier: starts it, asks it for the kernels' variables, waits a little at the end."""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nbpipeline import plugins
from nbpipeline.model import Imported, ProjectSpec, StageInstance
from nbpipeline.run.folder import RunFolder
from nbpipeline.tracking.letter import Addressee, Letter, read, write

PATIENCE = 15.0
"""Seconds that a run waits at its end until all is sent; the rest goes on without it."""
STARTING = 20.0
"""Seconds that a stage waits for a courier that has just been started: it imports trackers' libraries."""
ANSWER = 30.0
"""Seconds that a stage waits for its variables; trackers give up on a silent server long before that."""
FILE = "courier.log"


class Sending:
    """The courier of one run; without trackers it does nothing."""

    def __init__(self, project: ProjectSpec, folder: RunFolder) -> None:
        """Start nothing yet."""
        self._project = project
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._rest = b""
        self._lock = threading.Lock()
        self._joined_by: frozenset[str] = frozenset()
        self.files: tuple[str, ...] = ()
        """What a kernel that joins writes for the trackers; see `Job.trackers_files`."""

    def __enter__(self) -> Self:
        """Start the courier. Raises OSError."""
        trackers = self._project.tracking
        if not trackers:
            return self
        for name, settings in trackers.items():
            tracker = plugins.load("trackers", name)
            self._joined_by |= tracker.JOINED_BY
            self.files += tracker.files(settings or {}, Path(self._project.root))
        addressees = {name: Addressee(settings=settings or {}) for name, settings in trackers.items()}
        write(self._folder, Letter(project=self._project.name, trackers=addressees))
        command = [sys.executable, "-m", "nbpipeline.tracking", self._project.root, self._folder.run]
        with (self._folder.path / FILE).open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this Python, and our own words
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C ends the run, and the courier tells of it
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask no more; the courier goes on until it has told of the run's end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def variables(self, instance: StageInstance, imports: tuple[Imported, ...]) -> Mapping[str, str]:
        """Give what trackers want in the kernel of a stage that uses them; none where nobody answers."""
        if not any(one.module.partition(".")[0] in self._joined_by for one in imports):
            return {}
        with self._lock:
            if not self._ready:
                self._ready = self._line(STARTING) is not None
            return self._asked(instance.id) if self._ready else {}

    def _asked(self, stage: str) -> Mapping[str, str]:
        process = self._process
        if process is None or process.stdin is None:
            return {}
        try:
            process.stdin.write(json.dumps({"stage": stage}).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            return {}
        until = time.monotonic() + ANSWER
        while (left := until - time.monotonic()) > 0:
            answer = self._line(left)
            if answer is None:
                return {}
            if answer.get("stage") == stage:  # else a late answer to an earlier question
                return dict(answer["variables"])
        return {}

    def _line(self, seconds: float) -> dict[str, Any] | None:
        """Read one answer; None where none comes in time."""
        if self._process is None or self._process.stdout is None:
            return None
        number, until = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._rest:
            ready, _, _ = select.select([number], [], [], max(0.0, until - time.monotonic()))
            more = os.read(number, 65536) if ready else b""
            if not more:
                return None
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return dict(json.loads(line))

    def finish(self, patience: float = PATIENCE) -> tuple[str, ...]:
        """Wait until all is sent, or `patience` seconds; gives a line a tracker that was not told of all."""
        if self._process is None:
            return ()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return ("tracking goes on in the background; see `nbpipeline runs --sync`",)
        letter = read(self._folder.path)
        waiting = letter.waiting if letter else tuple(self._project.tracking)
        return tuple(
            f"{name}: not sent yet{_why(letter, name)}; `nbpipeline runs --sync` tries again"
            for name in waiting
        )


def _why(letter: Letter | None, name: str) -> str:
    trouble = letter.trackers[name].trouble if letter else "the tracker's process ended early"
    return f" ({trouble})" if trouble else ""
