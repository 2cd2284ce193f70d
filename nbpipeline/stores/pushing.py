"""Results on their way to a remote store: an outbox on disk, and a thread that empties it.

A result is noted in the outbox before it is on record, and struck out when all of it is there: what a killed
run or a dead network left is pushed later. The work itself waits for none of it.
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from nbpipeline.content import digest_text
from nbpipeline.encoding import dumps
from nbpipeline.errors import NbpipelineError
from nbpipeline.model import StageRecord, slug_of
from nbpipeline.stores.local import LocalStore
from nbpipeline.stores.transfer import Transfer

PAUSE = 60.0
"""Seconds for which a far side that did not answer is not asked again."""
_LOOK = 0.1
_QUIET = 1.0
"""Seconds of waiting after which it is said."""


class Outbox:
    """Which results a remote store, named by its URL, is yet to get."""

    def __init__(self, near: LocalStore, url: str) -> None:
        """Make nothing yet."""
        self._near = near
        self._folder = near.folder / "unsent" / digest_text(url)[:16]

    def add(self, record: StageRecord) -> None:
        """Note a record, before it is kept."""
        self._near.write(self._place(record), json.dumps([record.instance, record.state]))

    def strike(self, record: StageRecord) -> None:
        """Strike out what is there by now."""
        self._place(record).unlink(missing_ok=True)

    def waiting(self) -> Iterator[StageRecord]:
        """Give the records that wait.

        A note without its record goes: another has taken its place since, or a run died between the two.
        """
        for place in sorted(self._folder.glob("*.json")):
            try:
                instance, state = json.loads(place.read_text(encoding="utf-8"))
                record = self._near.get_record(str(instance), str(state))
            except (OSError, ValueError):
                record = None
            if record is None or self._place(record) != place:
                with suppress(OSError):
                    if place.stat().st_mtime < time.time() - PAUSE:
                        place.unlink(missing_ok=True)
            else:
                yield record

    def __len__(self) -> int:
        """Count what waits."""
        return sum(1 for _ in self._folder.glob("*.json"))

    def name(self, record: StageRecord) -> str:
        """Name a note: a later record of the same state has another."""
        content = digest_text(dumps(record))[:16]
        return f"{slug_of(record.instance)}~{slug_of(record.state)[:32]}~{content}.json"

    def _place(self, record: StageRecord) -> Path:
        return self._folder / self.name(record)


class Pusher:
    """Empties the outbox in a thread of its own, from the first result on."""

    def __init__(self, transfer: Transfer, outbox: Outbox) -> None:
        """Start nothing yet."""
        self._transfer = transfer
        self._outbox = outbox
        self._queue: queue.SimpleQueue[StageRecord | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._trouble = ""
        self._again_at = 0.0
        self._lines: list[str] = []

    @property
    def begun(self) -> bool:
        """Whether something was put since the last end."""
        return self._thread is not None

    def put(self, record: StageRecord | None) -> None:
        """Push a record soon; None: what waits from earlier."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="nbpipeline-push")
                self._thread.start()
        if record is not None:
            self._queue.put(record)

    def finish(self, hurry: Callable[[], bool], tell: Callable[[str], None]) -> tuple[str, ...]:
        """Wait until all is pushed, or cannot be, or `hurry`; says what is not, a line each."""
        thread = self._thread
        if thread is None:
            return ()
        for record in self._outbox.waiting():
            self._queue.put(record)
        self._queue.put(None)
        told_at = time.monotonic() + _QUIET
        while thread.is_alive() and not hurry():
            thread.join(_LOOK)
            if thread.is_alive() and time.monotonic() > told_at:
                told_at = float("inf")
                tell(f"pushing results to {self._transfer.far.name}")
        self._thread = None
        lines, self._lines = tuple(dict.fromkeys(self._lines)), []
        return (*lines, *self._left())

    def _left(self) -> Iterator[str]:
        count = len(self._outbox)
        if count:
            why = self._trouble or f"not all was pushed to {self._transfer.far.name}."
            yield f"{why.rstrip('.')}; {waiting(count)}"

    def _work(self) -> None:
        done: set[str] = set()
        while (record := self._queue.get()) is not None:
            name = self._outbox.name(record)
            if name in done or time.monotonic() < self._again_at:
                continue
            try:
                lacking = self._transfer.push(record)
            except NbpipelineError as error:
                self._trouble = error.complaints[0].what
                self._again_at = time.monotonic() + PAUSE
                continue
            except Exception as error:  # noqa: BLE001 - it must not be lost with the thread
                self._lines.append(f"'{record.instance}' is not pushed: {type(error).__name__}: {error}")
                continue
            done.add(name)
            self._outbox.strike(record)
            if lacking:
                self._lines.append(f"'{record.instance}' is not pushed: {', '.join(lacking)} is gone here")


def waiting(count: int) -> str:
    """Say that results wait, and what brings them there."""
    results = "1 result waits" if count == 1 else f"{count} results wait"
    return f"{results} in the local store until the next run that makes some, or `nbpipeline push`"
