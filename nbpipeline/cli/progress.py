"""A run as it goes: a live table on a terminal, plain lines elsewhere, JSON lines for programs."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import Any, TextIO

import click

from nbpipeline.cli.main import lead_nowhere
from nbpipeline.model import Event
from nbpipeline.report.wording import duration
from nbpipeline.run.events import encode
from nbpipeline.values import dataclass

Listener = Callable[[Event], None]

_ENDS = {
    "succeeded": ("done", "green"),
    "restored": ("restored", "cyan"),
    "fresh": ("fresh", None),
    "failed": ("FAILED", "red"),
    "check_failed": ("CHECK FAILED", "red"),
    "blocked": ("blocked", "yellow"),
    "cancelled": ("cancelled", "yellow"),
}
_UNSTARTED = ("blocked", "cancelled")
_SHOWN_AT_ONCE = 8
_REFRESH = 0.5
"""Seconds between two redraws while nothing is told."""


@contextmanager
def listener(*, as_json: bool) -> Iterator["Guarded"]:
    """Give what a run tells its events to. An output that takes nothing silences it, and the run goes on."""
    if as_json:
        yield Guarded(lambda event: click.echo(encode(event), nl=False), sys.stdout)
    elif sys.stderr.isatty():
        board = LiveBoard()
        try:
            yield Guarded(board, sys.stderr)
        finally:
            board.close()
    else:
        yield Guarded(Lines(), sys.stderr)


class Guarded:
    """Passes events on until the other end is gone."""

    def __init__(self, inner: Listener, stream: TextIO) -> None:
        """Pass events to `inner`, which writes to `stream`."""
        self._inner: Listener | None = inner
        self._stream = stream
        self.refused: OSError | None = None
        """Why it takes nothing any more."""

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        if self._inner is None:
            return
        try:
            self._inner(event)
        except OSError as error:
            self._inner, self.refused = None, error
            with contextlib.suppress(OSError):  # one that is no file
                lead_nowhere(self._stream.fileno())  # else Python tries again at its end: exit code 120


@dataclass(slots=True)
class Course:
    """What has been heard of a run: who runs, where it is, how long it may take."""

    total: int = 0
    ended: int = 0
    expected: dict[str, float] = field(default_factory=dict)
    """Seconds that an instance took last time."""
    waiting: set[str] = field(default_factory=set)
    running: dict[str, "Going"] = field(default_factory=dict)

    def hear(self, event: Event) -> None:
        """Take an event into account."""
        data = event.data
        if event.kind == "run_started":
            stages = data.get("stages", [])
            self.total = len(stages)
            self.waiting = {one["stage"] for one in stages}
            self.expected = {one["stage"]: one["expected"] for one in stages if one.get("expected")}
        elif event.kind == "stage_started":
            self.waiting.discard(event.stage)
            self.running[event.stage] = Going(since=event.time)
        elif event.kind == "stage_finished":
            self.waiting.discard(event.stage)
            self.running.pop(event.stage, None)
            self.ended += 1
        elif event.kind == "cell_started" and event.stage in self.running:
            going = self.running[event.stage]
            going.cell, going.cells = int(data.get("n", 0)), int(data.get("of", 0))

    def left(self, now: float, slots: int = 1) -> float | None:
        """Seconds that the rest may take, from past runs; None while a stage's time is not known."""
        names = [*self.waiting, *self.running]
        if not names or any(one not in self.expected for one in names):
            return None
        waiting = sum(self.expected[one] for one in self.waiting)
        running = [max(self.expected[name] - (now - one.since), 0.0) for name, one in self.running.items()]
        return max([waiting / max(slots, 1) + sum(running) / max(slots, 1), *running])


@dataclass(slots=True)
class Going:
    """A running instance."""

    since: float
    cell: int = 0
    cells: int = 0

    def words(self, now: float) -> str:
        """Say where it is: `cell 3 of 8, 12 s`."""
        place = f"cell {self.cell} of {self.cells}, " if self.cells else ""
        return f"{place}{duration(max(now - self.since, 0))}"


class Lines:
    """One line a stage that starts or ends, for logs and pipes."""

    def __init__(self) -> None:
        """Start with nothing heard."""
        self._course = Course()

    def __call__(self, event: Event) -> None:
        """Print what an event is worth."""
        self._course.hear(event)
        for line in event_lines(event, self._course):
            click.echo(line, err=True)


def event_lines(event: Event, course: Course) -> Iterator[str]:
    """Say an event in words, where it is worth a line that stays."""
    data = event.data
    if event.kind == "stage_started":
        expected = course.expected.get(event.stage)
        hint = f" (took {duration(expected)} last time)" if expected and data.get("action") == "run" else ""
        yield f"{event.stage}: {'restoring' if data.get('action') == 'restore' else 'running'}{hint}"
    elif event.kind == "attempt_failed":
        if not data.get("last"):  # the last one's failure is told at length when the stage has finished
            what = f"{data['where']}: {data.get('what')}" if data.get("where") else data.get("what")
            yield f"{event.stage}: attempt {data.get('attempt')} failed, trying again: {what}"
    elif event.kind == "notice":
        yield f"{event.stage}: {data.get('text', '')}" if event.stage else f"note: {data.get('text', '')}"
    elif event.kind == "stage_finished":
        yield f"[{course.ended}/{course.total}] {event.stage}: {_ending(data)}"
        if data.get("attempts") or data.get("status") not in _UNSTARTED:  # the run's end says why not
            yield from (f"{event.stage}: note: {text}" for text in data.get("notices", ()))


def _ending(data: Mapping[str, Any]) -> str:
    status = str(data.get("status", ""))
    word, color = _ENDS.get(status, (status, None))
    seconds = float(data.get("seconds") or 0)
    took = f" in {duration(seconds)}" if seconds and status != "fresh" else ""
    return click.style(word, fg=color) + took if color else word + took


class LiveBoard:
    """What runs now, redrawn in place under the lines that stay. rich is loaded with the first stage."""

    def __init__(self) -> None:
        """Draw nothing yet: a run with nothing to do shows no board."""
        self._course = Course()
        self._lock = threading.RLock()
        self._slots = 1
        self._live: Any = None

    def __call__(self, event: Event) -> None:
        """Take an event, one after the other; print what stays, redraw the rest.

        Printing takes rich's lock, under which it draws: not while ours is held, which drawing takes.
        """
        with self._lock:
            self._course.hear(event)
            if event.kind == "run_started":
                self._slots = int(event.data.get("slots", 1))
            lines = [] if event.kind == "stage_started" else list(event_lines(event, self._course))
        if self._live is None and event.kind == "stage_started":
            self._start()
        for line in lines:
            self._print(line)
        if event.kind == "run_finished":  # what is said after it stands on lines of its own
            self.close()

    def close(self) -> None:
        """Take the board away."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _start(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a run on a terminal draws
        from rich.live import Live  # noqa: PLC0415

        self._live = Live(
            console=Console(stderr=True, highlight=False),
            get_renderable=self._draw,
            refresh_per_second=1 / _REFRESH,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _print(self, line: str) -> None:
        if self._live is None:
            click.echo(line, err=True)
            return
        from rich.text import Text  # noqa: PLC0415

        self._live.console.print(Text.from_ansi(line))

    def _draw(self) -> Any:
        from rich.table import Table  # noqa: PLC0415

        now = time.time()
        grid = Table.grid(padding=(0, 2))
        with self._lock:
            going = list(self._course.running.items())
            left = self._course.left(now, self._slots)
            counted = f"{self._course.ended} of {self._course.total}"
        for name, one in going[:_SHOWN_AT_ONCE]:
            grid.add_row(_plain(name), _plain(one.words(now)))
        if len(going) > _SHOWN_AT_ONCE:
            grid.add_row(f"and {len(going) - _SHOWN_AT_ONCE} more", "")
        grid.add_row(counted, f"about {duration(left)} left" if left is not None else "")
        return grid


def _plain(text: str) -> Any:
    from rich.text import Text  # noqa: PLC0415

    return Text(text)  # a name with brackets is no markup
